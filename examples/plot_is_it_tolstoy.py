"""
Is it by Tolstoy?
=================

What does a vector learn? The smallest sketch: a shelf of books, one question about each, and two
numbers a book. The question is the only thing that the vectors are told.
"""

# %%
# The shelf
# ---------
# Twenty-six books of four authors, from the table that ships with the package. The model sees the
# title and nothing else.
import matplotlib.pyplot as plt
import numpy as np

from sk_entity_embed import EntityEmbedder
from sk_entity_embed.datasets import load_classic_books
from sk_entity_embed.plotting import EmbeddingDisplay

books = load_classic_books().books
writers = ["Leo Tolstoy", "Jane Austen", "Charles Dickens", "Douglas Adams"]
shelf = books[books["author"].isin(writers)].reset_index(drop=True)
print(shelf["author"].value_counts().to_string())

# %%
# One question
# ------------
# ``y`` says of each book whether it is by Tolstoy. Each title has two numbers, drawn at random and
# small; training moves them until a small network can read the answer off them.
#
# Cross-fitting is off. Each title stands in one row, so a title whose row is left out is an unknown
# one: there is no second row to learn it from. And here we *want* to see what the vectors make of
# the answer. As features for another model these vectors would be a leak.
is_tolstoy = shelf["author"] == "Leo Tolstoy"
embedder = EntityEmbedder(n_components=2, cv=None, random_state=0)
embedder.fit(shelf[["title"]], is_tolstoy)
print(embedder.embedding("title").loc[["War and Peace", "Anna Karenina", "Emma"]].round(2))

# %%
# Before training, cosines between two books were anything. Now Tolstoy's books point one way, all
# others the opposite way.
similar = embedder.most_similar("War and Peace", n=len(shelf) - 1)
similar["author"] = similar["entity"].map(shelf.set_index("title")["author"])
print(similar.groupby("author", sort=False)["similarity"].agg(["min", "max"]).round(2))

# %%
# A question that asks more
# -------------------------
# Nobody asked who wrote the others, so they lie in one heap. Ask *who wrote it?* and the same books,
# with as many numbers, part into four groups.
asked_more = EntityEmbedder(n_components=2, cv=None, random_state=0)
asked_more.fit(shelf[["title"]], shelf["author"])

author = shelf.set_index("title")["author"].rename("author")
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, fitted, question in zip(
    axes, [embedder, asked_more], ["Is it by Tolstoy?", "Who wrote it?"]
):
    vectors = fitted.embedding("title").to_numpy()  # two numbers each: nothing to project
    EmbeddingDisplay.from_estimator(
        fitted,
        color=author,
        method=vectors,
        ax=ax,
        legend=ax is axes[-1],
        title=question,
        s=50,
    )
plt.show()

# %%
# A question that needs no labels
# -------------------------------
# Titles and their author say nothing of *War and Peace* that was not asked. What a book is about is
# in its links, and "has this book this link?" is a question that every row of a table of pairs
# answers by itself. It is asked with ``interaction="dot"``.
pairs = load_classic_books().pairs
by_links = EntityEmbedder(interaction="dot", random_state=0).fit(pairs)
mean = {}
for name, fitted in {
    "is it by Tolstoy?": embedder,
    "who wrote it?": asked_more,
    "its links": by_links,
}.items():
    near = fitted.most_similar("War and Peace", n=25, candidates=shelf["title"].tolist())
    cosines = near.set_index("entity")["similarity"]
    mean[name] = cosines.groupby(author).mean().reindex(writers)
width = 0.26
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
for i, (name, values) in enumerate(mean.items()):
    ax.bar(np.arange(4) + (i - 1) * width, values, width, label=name)
ax.axhline(0, color="0.4", linewidth=0.8)
ax.set(xticks=range(4), ylabel="mean cosine to War and Peace")
ax.set_xticklabels(writers)
ax.legend(title="vectors asked", frameon=False)
plt.show()

# %%
# What we saw
# -----------
# A vector holds what its question needs and forgets the rest. *Is it by Tolstoy?* makes two heaps,
# *who wrote it?* makes four, and among the others an order that means nothing. The links tell more:
# Tolstoy's other books stay the nearest, and the other authors are neither equal nor opposite,
# they are merely further away. The next examples use links.
