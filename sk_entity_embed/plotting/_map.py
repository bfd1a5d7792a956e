"""One HTML file to explore the vectors of a column: no server, no network, nothing to install.

The page is `templates/map.html`: plain JavaScript and WebGL2. Python fills in the title, the data
and a content security policy that lets the page's own script and style run, by their hashes, and
nothing else: no request can leave it. Names reach the page as data and are shown as text only.

The data, gzip then base64: four bytes with the length of a JSON header, the header, then arrays.
In the header, "arrays" gives type, offset and length of each, offsets counted from the end of the
header, all multiples of eight.
"""

import base64
import gzip
import hashlib
import html
import json
import re
import warnings
from importlib import resources
from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar

from .._entities import EXACT, Attribute, one_line, read_attributes, read_color, read_entities
from .._paths import draft_of, file_path
from .._projection import project, seed_of, trustworthiness, unit_rows
from ._common import (
    checked_coordinates,
    method_name,
    metric_of,
    neighbors_of,
    score_label,
    uses_unit_rows,
)

_STEPS = (86_400_000, 60_000, 1000)  # milliseconds of a day, a minute and a second


class EmbeddingMap:
    """A page to explore an embedding; shows itself in a notebook.

    Made by :func:`embedding_map`.

    Parameters
    ----------
    html : str
        The whole page.

    title : str
        Its title.

    n_entities : int
        How many are on the map.

    coordinates : dict of int to ndarray
        By number of dimensions, where each entity is; rows as in `entities`.

    entities : ndarray of shape (n_entities,)
        The categories on the map, in the order of the rows of `coordinates`.

    trustworthiness : dict of int to float
        By number of dimensions, how far neighbours on the map are true neighbours; 1 is best.

    path : pathlib.Path, default=None
        Where it was written last.
    """

    def __init__(
        self, html, *, title, n_entities, coordinates, entities, trustworthiness, path=None
    ):
        self.html = html
        self.title = title
        self.n_entities = n_entities
        self.coordinates = coordinates
        self.entities = entities
        self.trustworthiness = trustworthiness
        self.path = path

    def save(self, path):
        """Write the page.

        Parameters
        ----------
        path : path-like
            The file. It appears complete or not at all.

        Returns
        -------
        path : pathlib.Path
            The same.

        Raises
        ------
        FileNotFoundError
            If its folder does not exist.
        IsADirectoryError
            If `path` is a folder.
        """
        path = file_path(path)
        with draft_of(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(self.html)
        self.path = path
        return path

    def __repr__(self):
        size = f"{len(self.html) / 1e6:.1f} MB"
        where = "" if self.path is None else f", path={str(self.path)!r}"
        return f"<EmbeddingMap {self.title!r}: {self.n_entities:,} entities, {size}{where}>"

    def _repr_html_(self):
        # The frame may run its script and nothing else: it cannot reach the notebook.
        return (
            '<iframe sandbox="allow-scripts" width="100%" height="640" loading="lazy" '
            f'title="{html.escape(self.title)}" style="border:0;border-radius:8px" '
            f'srcdoc="{html.escape(self.html)}"></iframe>'
        )


def embedding_map(
    embedder,
    path=None,
    *,
    column=None,
    metadata=None,
    color=None,
    title=None,
    method="tsne",
    n_components=2,
    n_neighbors=10,
    metric=None,
    random_state=0,
    max_entities=200_000,
    verbose=False,
):
    """One self-contained HTML page to explore the vectors of a column, offline.

    Pan, zoom, search, colour by any column of `metadata` and filter by its values; a click on an
    entity lists and highlights its nearest neighbours in the original space, each a link to go on.

    Parameters
    ----------
    embedder : EntityEmbedder
        Fitted.

    path : path-like, default=None
        File to write. None: nothing is written; the result shows itself in a notebook and has
        :meth:`EmbeddingMap.save`.

    column : str or int, default=None
        The embedded column. May be left out where there is one, or for links, where it means the
        first.

    metadata : data frame, default=None
        Facts about the entities, to show and to colour by: found by index, or by a column with
        the name of the embedded one.

    color : str, Series, dict or array-like, default=None
        What to colour by at first: a column of `metadata`, "count", values indexed by entity, or
        one value for each entity in the order of `categories_`.

    title : str, default=None
        Of the page. None: "Map of" and the name of the column.

    method : {"tsne", "pca", "opentsne", "umap"}, object or ndarray, default="tsne"
        How to project: a name, an object with `fit_transform`, or finished coordinates, an array
        of shape (n_entities, 2) or (n_entities, 3). For more than a few thousand entities
        "opentsne" is the quickest good choice.

    n_components : {2, 3} or (2, 3), default=2
        Dimensions of the map; with both, the page has a switch. Coordinates and objects decide
        for themselves.

    n_neighbors : int, default=10
        How many neighbours a click lists; 0 leaves them out.

    metric : {"cosine", "dot", "euclidean"}, default=None
        What is near. None: the embedder's own.

    random_state : int, RandomState instance or None, default=0
        Same number, same page.

    max_entities : int, default=200_000
        Of more, the most frequent are kept (some at random, where an embedder has no `counts_`);
        the page says so, and a warning.

    verbose : bool, default=False
        Whether t-SNE and UMAP print their progress.

    Returns
    -------
    page : EmbeddingMap
        The page, its coordinates and how far they can be trusted.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist; nothing is computed then.
    IsADirectoryError
        If `path` is a folder.
    ValueError
        If the column or a colour is unknown, no row of `metadata` belongs to any entity,
        coordinates have the wrong shape, or a number is out of its range.

    See Also
    --------
    EmbeddingDisplay : A picture with matplotlib.
    write_projector : Files for TensorFlow's Embedding Projector.
    """
    path = None if path is None else file_path(path)
    check_scalar(max_entities, "max_entities", Integral, min_val=1)
    check_scalar(n_neighbors, "n_neighbors", Integral, min_val=0)
    dimensions = sorted(set(np.atleast_1d(n_components).tolist()))
    if not dimensions or any(d not in (2, 3) or not isinstance(d, int) for d in dimensions):
        raise ValueError(f"n_components must be 2 or 3 or (2, 3), got {n_components!r}.")
    seed = seed_of(random_state)
    everyone = read_entities(embedder, column)
    attributes, first = _attributes(everyone, metadata, color)
    rows = _chosen(everyone, max_entities, seed)
    entities = everyone
    if len(rows) < len(everyone):
        entities, attributes = everyone.take(rows), [each.take(rows) for each in attributes]
    metric = metric_of(embedder, metric)
    normalize = uses_unit_rows(embedder, metric)
    points = _coordinates(entities, everyone, rows, method, dimensions, normalize, seed, verbose)
    vectors = unit_rows(entities.vectors) if normalize else entities.vectors
    trust = {d: trustworthiness(vectors, xy) for d, xy in points.items()}
    names, scores, neighbors = _neighbors(embedder, everyone, entities, rows, n_neighbors, metric)
    if title is None:
        named = isinstance(everyone.column, str)
        title = f"Map of {everyone.column}" if named else f"Map of column {everyone.column}"
    title = one_line(str(title))
    header = {
        "title": title,
        "method": method_name(method, len(entities)),
        "metric": score_label(metric),
        "nComponents": everyone.vectors.shape[1],
        "nShown": len(entities),
        "nAll": len(everyone),
        "nNeighbors": neighbors.shape[1],
        "trust": {str(d): None if np.isnan(t) else round(t, 3) for d, t in trust.items()},
        "names": names,
        "color": first,
    }
    arrays = {f"points{d}": _fitted(xy) for d, xy in points.items()}
    header["scoreScale"], arrays["scores"] = _as_told(scores, metric)
    arrays["neighbors"] = neighbors.ravel()
    header["columns"] = [
        _described(attribute, arrays, f"column{i}") for i, attribute in enumerate(attributes)
    ]
    header["count"] = None if entities.counts is None else "counts"
    if entities.counts is not None:
        arrays["counts"] = np.asarray(entities.counts, dtype=np.float64)
    page = EmbeddingMap(
        _page(title, _packed(header, arrays)),
        title=title,
        n_entities=len(entities),
        coordinates=points,
        entities=entities.keys,
        trustworthiness=trust,
    )
    if path is not None:
        page.save(path)
    return page


# --- what is on the map ------------------------------------------------------------------------


def _attributes(entities, metadata, color):
    """All facts to colour by, and the position of the first to show; -1: none."""
    attributes = read_attributes(metadata, entities)
    color = read_color(color, entities, attributes)
    known = [each.name for each in attributes]
    if entities.counts is not None and "count" not in known:
        attributes.append(Attribute("count", "number", entities.counts.astype(np.float64)))
    if color is None:
        return attributes, -1
    for place, attribute in enumerate(attributes):
        if attribute is color or attribute.name == color.name == "count":
            return attributes, place
    return [color, *attributes], 0


def _chosen(entities, max_entities, seed):
    """Rows to show: all, or the most frequent, equals drawn by lot; all by lot without counts."""
    n = len(entities)
    if n <= max_entities:
        return np.arange(n)
    which = "randomly drawn" if entities.counts is None else "most frequent"
    warnings.warn(
        f"The map shows the {max_entities:,} {which} of {n:,} entities (max_entities).",
        UserWarning,
        stacklevel=3,
    )
    lot = np.random.default_rng(seed).permutation(n)
    if entities.counts is None:
        return np.sort(lot[:max_entities])
    return np.sort(lot[np.argsort(-entities.counts[lot], kind="stable")[:max_entities]])


def _coordinates(entities, everyone, rows, method, dimensions, normalize, seed, verbose):
    """Coordinates by number of dimensions."""
    if isinstance(method, np.ndarray):
        points = checked_coordinates(method, len(everyone), (2, 3))[rows]
        return {points.shape[1]: points}
    found = {}
    for d in dimensions if isinstance(method, str) else dimensions[:1]:
        points = project(
            entities.vectors,
            method,
            n_components=d,
            normalize=normalize,
            random_state=seed,
            verbose=verbose,
        )
        found[points.shape[1]] = points
    return found


def _neighbors(embedder, everyone, entities, rows, n_neighbors, metric):
    """Names, then scores and positions of neighbours; names not on the map come at the end."""
    all_shown = len(rows) == len(everyone)
    scores, indices = neighbors_of(
        embedder, everyone, None if all_shown else list(entities.keys), n_neighbors, metric=metric
    )
    if all_shown:
        return everyone.names, scores, indices
    place = np.full(len(everyone), -1)
    place[rows] = np.arange(len(rows))
    extra = np.unique(indices[place[indices] < 0])
    place[extra] = len(rows) + np.arange(len(extra))
    return entities.names + [everyone.names[row] for row in extra], scores, place[indices]


# --- the page ----------------------------------------------------------------------------------


def _fitted(points):
    """Coordinates in [-1, 1], centred, one scale for all axes."""
    points = np.asarray(points, dtype=np.float64)
    if len(points) == 0:
        return points.astype(np.float32).ravel()
    low, high = points.min(axis=0), points.max(axis=0)
    reach = (high - low).max() / 2
    return ((points - (low + high) / 2) / (reach if reach > 0 else 1)).astype(np.float32).ravel()


def _as_told(scores, metric):
    """Scores and the number that gives them back when multiplied: cosines in 16 bits.

    Products and distances have no scale of their own, and a far neighbour of one entity would
    round the near ones of others to nothing.
    """
    scores = np.where(np.isfinite(scores), scores, 0).ravel()
    if metric == "cosine":
        return 1 / 32767, np.round(np.clip(scores, -1, 1) * 32767).astype(np.int16)
    return 1, scores.astype(np.float32)


def _described(attribute, arrays, key):
    """What the header says of a column; its values go to `arrays`."""
    if attribute.codes is not None:
        arrays[key] = attribute.codes
        return {
            "name": one_line(attribute.title),
            "kind": "category",
            "array": key,
            "values": attribute.values,
        }
    values = attribute.values
    arrays[key] = np.asarray(values, dtype=np.float64)
    known = values[~np.isnan(values)]
    # Beyond what float64 holds, digits would be made up.
    whole = bool((known == np.round(known)).all() and (np.abs(known) <= EXACT).all())
    described = {"name": one_line(attribute.title), "kind": attribute.kind, "array": key}
    if attribute.kind == "date":
        steps = (step for step in _STEPS if (known % step == 0).all())
        return {**described, "step": next(steps, 1)}
    if attribute.integers is not None:
        texts = [None if number is None else f"{number:,}" for number in attribute.integers]
        described["texts"] = texts
    years = whole and known.size > 0 and bool((known >= 1000).all() and (known < 3000).all())
    return {**described, "whole": whole, "years": years}


def _packed(header, arrays):
    """The data as base64."""
    header, body = dict(header, arrays={}), []
    offset = 0
    for key, values in arrays.items():
        values = _smallest(np.asarray(values))
        data = values.tobytes()
        header["arrays"][key] = [values.dtype.str[1:], offset, values.size]
        data += bytes(-len(data) % 8)
        body.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode("ascii")
    text += b" " * (-(len(text) + 4) % 8)
    raw = b"".join([len(text).to_bytes(4, "little"), text, *body])
    return base64.b64encode(gzip.compress(raw, 6, mtime=0)).decode("ascii")


def _smallest(values):
    """Little-endian, and positions in as few bytes as they need."""
    if values.dtype.kind in "iu" and values.dtype != np.int16:
        kind = next(t for t in ("<u1", "<u2", "<u4") if values.max(initial=0) <= np.iinfo(t).max)
        return values.astype(kind)
    return values.astype(values.dtype.newbyteorder("<"))


def _page(title, data):
    template = resources.files(__package__).joinpath("templates", "map.html").read_text("utf-8")
    script, style = (_between(f"<{tag}>", f"</{tag}>", template) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    # In one pass: what is put in is never searched for more places.
    parts = {"TITLE": html.escape(title), "POLICY": html.escape(policy, quote=False), "DATA": data}
    return re.sub("__(TITLE|POLICY|DATA)__", lambda place: parts[place.group(1)], template)


def _between(start, end, text):
    return text.partition(start)[2].partition(end)[0]


def _hash(text):
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest())
    return f"'sha256-{digest.decode('ascii')}'"
