"""
What one-hot encoding cannot say
================================

One-hot encoding gives each category a column of its own. It has two limits: the table grows with
the number of categories, and no category is more like one than like another. Here they are, beside
vectors for the same books.
"""

# %%
# The first limit: dimension
# --------------------------
# Books and links of the table that ships with the package. With one-hot encoding, a row of the table
# is as wide as there are categories; a vector has the width that we choose.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.preprocessing import OneHotEncoder

from sk_entity_embed import EntityEmbedder
from sk_entity_embed.datasets import load_classic_books

data = load_classic_books()
one_hot = OneHotEncoder().fit(data.pairs)
embedder = EntityEmbedder(interaction="dot", random_state=0).fit(data.pairs)

rows = data.pairs.head()
print("one-hot:", one_hot.transform(rows).shape)
print("vectors:", embedder.transform(rows).shape)

# %%
# One-hot rows are kept sparse, so the width costs little memory by itself. It costs what comes next:
# a linear model has a coefficient for each column, a tree needs a split for each category, and a
# neural network a row of weights. (The last is what an embedding is.)
n_categories = np.array([10, 100, 1_000, 10_000, 100_000])
widths = np.minimum(10, np.ceil(n_categories**0.25))
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.loglog(n_categories, n_categories, "o-", label="one-hot")
ax.loglog(n_categories, widths, "o-", label='vectors, n_components="auto", at most')
ax.set(xlabel="categories of a column", ylabel="columns of the output")
ax.legend(frameon=False)
plt.show()

# %%
# The second limit: similarity
# ----------------------------
# Two one-hot rows share no entry that is not zero, so the cosine of every pair is 0: *War and Peace*
# is as far from *Anna Karenina* as from *The Hitchhiker's Guide to the Galaxy*.
titles = [
    "War and Peace",
    "Anna Karenina",
    "Crime and Punishment",
    "Pride and Prejudice",
    "Emma",
    "The Hitchhiker's Guide to the Galaxy",
    "Dune",
]


def cosines(vectors):
    """Cosine of every pair of rows."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


as_one_hot = OneHotEncoder(sparse_output=False).fit(data.pairs[["book"]])
frames = {
    "one-hot": as_one_hot.transform(
        data.pairs[["book"]].drop_duplicates().set_index("book", drop=False).loc[titles]
    ),
    "vectors": embedder.embedding("book").loc[titles].to_numpy(),
}

figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", sharey=True)
for ax, (name, vectors) in zip(axes, frames.items()):
    matrix = cosines(vectors)
    image = ax.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(matrix.shape):
        shade = "white" if matrix[i, j] > 0.6 else "black"
        ax.text(
            j,
            i,
            f"{matrix[i, j] + 0.0:.1f}".replace("-0.0", "0.0"),
            ha="center",
            va="center",
            color=shade,
        )
    ax.set(xticks=[], yticks=range(len(titles)), title=f"cosine, {name}")
    ax.set_yticklabels(titles)
figure.colorbar(image, ax=axes, shrink=0.8)
plt.show()

# %%
# Over all pairs of books: not one pair of one-hot rows is similar, while the cosines of the vectors
# spread, with a long tail to the right. The tail is what neighbours are made of.
matrix = cosines(embedder.embedding("book").to_numpy())
pairs_of_books = matrix[np.triu_indices(len(matrix), 1)]
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.hist(pairs_of_books, bins=80, label="vectors")
ax.axvline(0, color="C1", label="one-hot: every pair")
ax.set(xlabel="cosine of two books", ylabel="pairs", yscale="log")
ax.legend(frameon=False)
plt.show()
print(f"{len(pairs_of_books):,} pairs, {np.mean(pairs_of_books > 0.5):.1%} with a cosine over .5")

# %%
# What we saw
# -----------
# One-hot rows of a pair are 3,146 columns wide and the vectors 100, for the same two columns; and one-hot
# calls all books equally unlike, where the vectors put Tolstoy beside Dostoevsky and far from Adams.
# One-hot has its place: with few categories, and many rows of each, it is exact and needs no training.
