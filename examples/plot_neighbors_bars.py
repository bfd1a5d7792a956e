"""
The nearest and the furthest
============================

Which books are most like *War and Peace*, and which least? The same bars for a link, and what
"furthest" means.
"""

# %%
# A book
# ------
import matplotlib.pyplot as plt

from sk_entity_embed import EntityEmbedder
from sk_entity_embed.datasets import load_classic_books
from sk_entity_embed.plotting import NeighborsDisplay

pairs = load_classic_books().pairs
embedder = EntityEmbedder(interaction="dot", random_state=0).fit(pairs)
NeighborsDisplay.from_estimator(embedder, "War and Peace", column="book")
plt.show()

# %%
# A link
# ------
# The links were trained with the books and have neighbours of their own.
NeighborsDisplay.from_estimator(embedder, "napoleon", column="link", n_furthest=5)
plt.show()

# %%
# Another measure
# ---------------
# The product of two vectors lets length count, and books with many or telling links have long ones.
# ``NeighborsDisplay`` draws into axes that it is given, so two measures fit side by side.
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for ax, metric in zip(axes, ["cosine", "dot"]):
    NeighborsDisplay.from_estimator(embedder, "Dune", n_furthest=0, metric=metric, ax=ax)
plt.show()

# %%
# The same as a table
# -------------------
# ``most_similar`` gives the numbers behind the bars, and takes several books at once.
liked = ["Dune", "Neuromancer", "The Left Hand of Darkness"]
print(
    embedder.most_similar(liked, combine="mean", n=5)
    .drop(columns="query")
    .round(2)
    .to_string(index=False)
)

# %%
# What we saw
# -----------
# The nearest of *War and Peace* are Tolstoy's other books and the Russian novels of his time. The
# furthest are no opposites: their cosine is a little under 0, they just share nothing with it, and
# which of all unrelated books come last is chance. Cosine and product agree on the first places and
# differ further down.
