"""
A page to explore
=================

One call writes one HTML file: search, zoom, colours, neighbours at a click. It needs no server and
no network, so it can be sent by e-mail.
"""

# %%
# Fit
# ---
from sk_entity_embed import EntityEmbedder
from sk_entity_embed.datasets import load_classic_books
from sk_entity_embed.plotting import embedding_map

data = load_classic_books()
embedder = EntityEmbedder(interaction="dot", random_state=0).fit(data.pairs)

facts = data.books.set_index("title")
facts["genre"] = facts["genres"].str.split("; ").str[0]

# %%
# The page
# --------
# Every column of ``metadata`` can be chosen as colour, and its legend filters. Give a path as second
# argument to write the file; here the page shows itself, as it does in a notebook. Try it: type
# "war and", choose a book, click on its neighbours.
page = embedding_map(
    embedder,
    column="book",
    metadata=facts[["author", "genre", "country", "language", "year"]],
    color="genre",
    title="Classic books by what they link to",
    method="opentsne",
    n_components=(2, 3),
)
page

# %%
# What the page lists is what Python says: both come from ``kneighbors``.
print(page)
print(embedder.most_similar("War and Peace", n=3)["entity"].tolist())
# sphinx_gallery_thumbnail_path = "_static/map.png"

# %%
# What we saw
# -----------
# A thousand books with five facts each and their neighbours fit into a file of a fraction of a
# megabyte; the neighbours on the page are the neighbours of the vectors, not of the picture. From the
# command line: ``python -m sk_entity_embed map --out books.html``.
