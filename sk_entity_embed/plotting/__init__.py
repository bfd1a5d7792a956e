"""Vectors to look at: pictures in a notebook, one page to explore, files for the projector.

Importing it loads no matplotlib; drawing does.
"""

from .._export import write_projector, write_word_vectors
from ._display import EmbeddingDisplay, NeighborsDisplay
from ._map import EmbeddingMap, embedding_map

__all__ = [
    "EmbeddingDisplay",
    "EmbeddingMap",
    "NeighborsDisplay",
    "embedding_map",
    "write_projector",
    "write_word_vectors",
]
