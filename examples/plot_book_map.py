"""
A map of all books
==================

Do vectors that were learned from links alone know about genres and countries? All books of the
built-in table in two dimensions, coloured by facts that the training did not use as such.
"""

# %%
# Fit, and project
# ----------------
# t-SNE places books near each other when their vectors point the same way. It is computed once: a
# display keeps the coordinates, and the finished coordinates serve for every further picture.
import matplotlib.pyplot as plt

from sk_entity_embed import EntityEmbedder
from sk_entity_embed.datasets import load_classic_books
from sk_entity_embed.plotting import EmbeddingDisplay

data = load_classic_books()
embedder = EntityEmbedder(interaction="dot", random_state=0).fit(data.pairs)

facts = data.books.set_index("title")
facts["genre"] = (
    facts["genres"].str.split("; ").str[0]
)  # a book has several; the first is its main one

# %%
# By genre
# --------
# The commonest genres have a colour and a line in the legend, the others share a grey. Some books
# are labelled by name.
display = EmbeddingDisplay.from_estimator(
    embedder,
    column="book",
    metadata=facts,
    color="genre",
    method="opentsne",
    labels=[
        "War and Peace",
        "Pride and Prejudice",
        "Dune",
        "The Hobbit",
        "Hamlet",
        "Iliad",
        "Republic",
        "On the Origin of Species",
        "Things Fall Apart",
        "The Tale of Genji",
        "One Hundred Years of Solitude",
        "Nineteen Eighty-Four",
    ],
    title="1,032 books by main genre",
)
plt.show()

# %%
# Can the picture be trusted? The display says how far neighbours on the map are neighbours among the
# vectors: 1 is best, .5 is what chance gives.
print(f"trustworthiness {display.trustworthiness:.2f}")

# %%
# By country
# ----------
# The same coordinates, another colour; here the labels are for the books with the most links, as
# many as find a free place.
EmbeddingDisplay.from_estimator(
    embedder,
    column="book",
    metadata=facts,
    color="country",
    method=display.coordinates,
    labels=25,
    size_by_count=True,
    title="1,032 books by country",
)
plt.show()

# %%
# By year
# -------
# Numbers get a colour bar. The few books from before 1500 would take most of the bar, so they share its
# first colour.
EmbeddingDisplay.from_estimator(
    embedder,
    column="book",
    color=facts["year"].clip(lower=1500).rename("year (1500: or before)"),
    method=display.coordinates,
    title="1,032 books by year",
)
plt.show()

# %%
# The other side of the pairs
# ---------------------------
# Links have vectors too. Here are those that at least ten books have.
links = EntityEmbedder(interaction="dot", min_frequency=10, random_state=0).fit(data.pairs)
EmbeddingDisplay.from_estimator(
    links,
    column="link",
    color="count",
    method="opentsne",
    labels=40,
    title="Links of ten books or more",
)
plt.show()

# %%
# What we saw
# -----------
# Plays, philosophy, science fiction and children's books lie together, and the novels of a country do;
# "novel", the commonest genre, is everywhere, as it should be. Country and time separate more clearly
# than genre. Some of that is plain: links such as *russian literature* or *victorian literature* name
# them. A map of two dimensions cannot keep everything; for what is near to what, ask
# ``most_similar``, which uses all 50.
