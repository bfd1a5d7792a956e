"""Pictures with matplotlib: what is in them, never their pixels."""

import subprocess
import sys
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from _fake_embedder import HOSTILE, FakeEmbedder, make_books
from matplotlib import colors as mcolors
from matplotlib import pyplot as plt
from sklearn.exceptions import NotFittedError

from sk_entity_embed import EntityEmbedder, EntityEmbeddingRegressor
from sk_entity_embed.plotting import EmbeddingDisplay, NeighborsDisplay
from sk_entity_embed.plotting._display import MISSING_COLOR, OTHER, PALETTE


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def books():
    return make_books()


def draw(embedder, **params):
    return EmbeddingDisplay.from_estimator(embedder, method=params.pop("method", "pca"), **params)


def face_colors(display):
    return [mcolors.to_hex(rgba, keep_alpha=False).upper() for rgba in display.scatter_.get_fc()]


def legend_texts(display):
    return [text.get_text() for text in display.legend_.get_texts()]


def test_importing_plotting_loads_neither_matplotlib_nor_torch():
    script = (
        "import sys, sk_entity_embed.plotting; "
        "assert not {'matplotlib', 'torch', 'openTSNE', 'umap'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_entity_is_a_point(books):
    display = draw(books[0])
    assert display.scatter_.get_offsets().shape == (60, 2)
    np.testing.assert_allclose(display.scatter_.get_offsets(), display.coordinates)
    assert 0.5 < display.trustworthiness <= 1
    assert display.ax_.get_xlabel() == "PCA 1"
    assert display.legend_ is None
    assert display.labels_ == []


def test_it_is_computed_once_and_drawn_many_times(books):
    """`plot` returns the display, draws into the given axes and makes no figure of its own."""
    calls = []

    class Counting:
        def fit_transform(self, rows):
            calls.append(len(rows))
            return rows[:, :2]

    display = draw(books[0], method=Counting())
    n_figures = len(plt.get_fignums())
    figure, axes = plt.subplots(1, 2)
    for ax in axes:
        assert display.plot(ax=ax) is display
        assert display.ax_ is ax
        assert display.figure_ is figure
    assert calls == [60]
    assert len(plt.get_fignums()) == n_figures + 1
    assert display.ax_.get_xlabel() == "Counting 1"


def test_common_values_are_named_and_the_rest_is_grey(books):
    embedder, metadata = books
    display = draw(embedder, metadata=metadata, color="author", max_categories=3)
    authors = metadata["author"].value_counts()
    assert legend_texts(display) == [
        *(f"Author {i} (3)" for i in (0, 1, 10)),  # equals by name
        f"20 other values ({authors.sum() - 9})",
    ]
    assert display.legend_.get_title().get_text() == "author"
    shown = face_colors(display)
    assert shown.count(OTHER) == 51
    assert shown[:51] == [OTHER] * 51  # beneath the others
    assert set(shown[51:]) == {color.upper() for color in PALETTE[:3]}


def test_missing_values_have_a_line_of_their_own(books):
    embedder, metadata = books
    display = draw(embedder, metadata=metadata, color="genre")
    n_missing = metadata["genre"].isna().sum()
    assert n_missing
    assert legend_texts(display)[-1] == f"missing ({n_missing})"
    assert face_colors(display).count(MISSING_COLOR) == n_missing


@pytest.mark.parametrize("column", ["pages", "published"])
def test_numbers_and_dates_get_a_colour_bar(books, column):
    embedder, metadata = books
    metadata.loc["War and Peace", column] = None
    display = draw(embedder, metadata=metadata, color=column)
    assert display.legend_ is None
    assert display.colorbar_.ax.get_ylabel() == column
    display.figure_.canvas.draw()
    assert face_colors(display).count(MISSING_COLOR) == 1
    ticks = [text.get_text() for text in display.colorbar_.ax.get_yticklabels()]
    assert any("19" in tick for tick in ticks) == (column == "published")


def test_a_column_without_any_value_is_drawn_grey(books):
    embedder, metadata = books
    metadata["nothing"] = np.nan
    display = draw(embedder, metadata=metadata, color="nothing")
    display.figure_.canvas.draw()
    assert display.colorbar_ is None
    assert set(face_colors(display)) == {MISSING_COLOR}


def test_colours_can_be_given_in_many_ways(books):
    """A Series by entity, a dict, an array in order, polars and a column of names: all agree."""
    pl = pytest.importorskip("polars")
    embedder, metadata = books
    by_name = metadata["genre"].sample(frac=1, random_state=0)
    with_names = metadata.reset_index(names="book")
    ways = [
        {"color": by_name},
        {"color": by_name.to_dict()},
        {"color": metadata["genre"].tolist()},
        {"color": metadata["genre"].to_numpy()},
        {"color": "genre", "metadata": with_names},
        {"color": "genre", "metadata": pl.from_pandas(with_names[["book", "genre"]])},
    ]
    expected = draw(embedder, metadata=metadata, color="genre")
    for way in ways:
        display = draw(embedder, **way)
        assert face_colors(display) == face_colors(expected), way
        assert legend_texts(display) == legend_texts(expected)


def test_count_is_always_a_colour(books):
    assert draw(books[0], color="count").colorbar_.ax.get_ylabel() == "count"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"color": "gender"}, r"color='gender' is no column of metadata.*'genre'"),
        ({"color": [1, 2]}, "color has 2 values for 60 entities"),
        ({"color": pd.Series([1], index=["Emma"])}, "None of the 60 entities"),
        ({"labels": ["Emma"]}, r"No entity to label: \['Emma'\]"),
        ({"labels": -1}, "labels == -1, must be >= 0"),
        ({"column": "film"}, r"Column 'film' is not embedded: choose one of \['book'\]"),
        ({"method": np.zeros((3, 2))}, r"shape \(60, 2\), got \(3, 2\)"),
        ({"method": np.full((60, 2), np.nan)}, "finite"),
    ],
)
def test_mistakes_are_explained(books, params, message):
    params = {"metadata": books[1], **params}
    with pytest.raises(ValueError, match=message):
        draw(books[0], **params)


def test_metadata_of_something_else_is_refused(books):
    with pytest.raises(ValueError, match=r"give the frame a column named 'book'"):
        draw(books[0], metadata=books[1].reset_index(), color="genre")


def test_an_unfitted_embedder_is_refused():
    with pytest.raises(NotFittedError, match="not fitted"):
        draw(EntityEmbedder())


def test_what_is_no_embedder_is_told_from_one_that_is_not_fitted():
    """A fitted predictor holds an embedder; the message says where."""
    with pytest.raises(TypeError, match=r"got EntityEmbeddingRegressor.*embedder_"):
        draw(EntityEmbeddingRegressor())


def test_column_can_be_left_out_for_links_only(books):
    embedder, _ = books
    embedder.categorical_features_ = ["book", "link"]
    embedder.categories_ = [embedder.categories_[0], np.array(["a", "b"], dtype=object)]
    embedder.embeddings_ = [embedder.embeddings_[0], np.eye(2, dtype=np.float32)]
    embedder.counts_ = [embedder.counts_[0], np.array([1, 2])]
    with pytest.raises(ValueError, match=r"2 columns are embedded.*\['book', 'link'\]"):
        draw(embedder)
    embedder.interaction = "dot"
    assert len(draw(embedder).names) == 60
    assert draw(embedder, column="link").names == ["a", "b"]


@pytest.mark.parametrize("labels", [25, [f"Book {i}" for i in range(2, 14)]])
def test_labels_do_not_overlap_and_stay_inside(books, labels):
    display = draw(books[0], labels=labels)
    # boxes of text alone; those of annotations include the thread to the point
    display.figure_.canvas.draw()
    boxes = [mpl.text.Text.get_window_extent(label) for label in display.labels_]
    assert len(boxes) >= 8
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
    frame = display.ax_.get_window_extent()
    assert all(frame.contains(*box.min) and frame.contains(*box.max) for box in boxes)


def test_a_number_labels_the_most_frequent(books):
    embedder, _ = books
    display = draw(embedder, labels=1)
    assert [label.get_text() for label in display.labels_] == ["War and Peace"]


def test_asked_for_labels_all_appear(books):
    wanted = ["Book 7", "War and Peace", "Book 9"]
    display = draw(books[0], labels=wanted)
    assert [label.get_text() for label in display.labels_] == wanted
    assert [label.get_text() for label in draw(books[0], labels="Book 7").labels_] == ["Book 7"]


def test_labels_without_any_place_are_told(books):
    _, ax = plt.subplots(figsize=(1, 1))
    with pytest.warns(UserWarning, match="No free place for"):
        draw(books[0], labels=list(books[1].index[:40]), ax=ax, legend=False)


def test_size_follows_the_count(books):
    embedder, _ = books
    display = draw(embedder, size_by_count=True)
    areas, counts = display.scatter_.get_sizes(), embedder.counts_[0]
    assert (np.diff(areas[np.argsort(counts)]) >= 0).all()
    assert areas.max() > 1.5 * areas.min()


def test_scatter_parameters_pass_through(books):
    display = draw(books[0], s=7, color=None, alpha=0.5, marker="s")
    assert set(display.scatter_.get_sizes()) == {7}
    display.plot(c="black")
    assert set(face_colors(display)) == {"#000000"}


def test_matplotlib_is_left_as_it_was(books, globals_untouched):
    """No style, no current figure and no generator changes when axes are given."""
    embedder, metadata = books
    figure = mpl.figure.Figure()
    before = dict(mpl.rcParams)
    with globals_untouched():
        draw(embedder, metadata=metadata, color="genre", labels=3, ax=figure.subplots())
        NeighborsDisplay.from_estimator(embedder, "War and Peace", ax=figure.subplots())
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_any_name_is_drawn_as_text():
    """Mathematics, markup and control characters are letters like any others."""
    rng = np.random.default_rng(0)
    embedder = FakeEmbedder(HOSTILE, rng.normal(size=(len(HOSTILE), 4)), column="$a_1$ <b>")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="No free place")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        display = draw(embedder, color=HOSTILE, labels=99, palette=["k"] * 30, max_categories=30)
        display.figure_.canvas.draw()
        bars = NeighborsDisplay.from_estimator(embedder, HOSTILE[0])
        bars.figure_.canvas.draw()
    texts = [label.get_text() for label in display.labels_]
    texts += legend_texts(display)
    texts += [tick.get_text() for tick in bars.ax_.get_yticklabels()]
    assert all(len(text) < 60 and "\n" not in text and "\t" not in text for text in texts)
    named = " ".join(legend_texts(display))
    for piece in ("$x^2$ costs $5", "_starts with", "<script>", "🦊", "حرب وسلام"):
        assert piece in named
    assert all(not text.get_parse_math() for text in display.legend_.get_texts())
    assert "<script>" in bars.ax_.get_title(loc="left")


@pytest.mark.parametrize("n_books", [1, 2, 3, 4])
def test_few_entities_can_be_drawn(n_books):
    embedder, metadata = make_books(n_books, 3)
    display = EmbeddingDisplay.from_estimator(
        embedder, metadata=metadata, color="author", labels=5, size_by_count=True
    )
    display.figure_.canvas.draw()
    assert len(display.scatter_.get_offsets()) == n_books
    bars = NeighborsDisplay.from_estimator(embedder, "War and Peace")
    assert len(bars.bars_) == n_books - 1


@pytest.mark.parametrize(("n_books", "name"), [(3, "PCA"), (4, "t-SNE")])
def test_axes_name_the_projection_that_was_made(n_books, name):
    """Three entities are too few for t-SNE, and PCA lays them out."""
    display = draw(make_books(n_books, 3)[0], method="tsne")
    assert display.ax_.get_xlabel() == f"{name} 1"


def test_no_entity_cannot_be_drawn():
    with pytest.raises(ValueError, match="has no entities to show"):
        draw(FakeEmbedder([], np.zeros((0, 2))))


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_bars_are_the_two_ends_of_the_ranking(books, metric):
    embedder, _ = books
    vectors, names = embedder.embeddings_[0].astype(float), embedder.categories_[0]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    score = {
        "cosine": unit @ unit[0],
        "dot": vectors @ vectors[0],
        "euclidean": np.linalg.norm(vectors - vectors[0], axis=1),
    }[metric]
    order = np.argsort(score if metric == "euclidean" else -score)
    order = order[order != 0]
    ends = np.r_[order[:4], order[-3:]]
    display = NeighborsDisplay.from_estimator(
        embedder, "War and Peace", n_nearest=4, n_furthest=3, metric=metric
    )
    assert display.names == list(names[ends])
    np.testing.assert_allclose(display.scores, score[ends], rtol=1e-4, atol=1e-5)
    assert [bar.get_width() for bar in display.bars_] == pytest.approx(list(display.scores))
    ticks = [tick.get_text() for tick in display.ax_.get_yticklabels()]
    assert ticks == display.names
    assert display.ax_.get_title(loc="left") == "Nearest and furthest: War and Peace"


def test_no_entity_is_both_near_and_far():
    embedder, _ = make_books(6, 3)
    display = NeighborsDisplay.from_estimator(embedder, "Book 3", n_nearest=4, n_furthest=4)
    assert len(display.names) == 5
    assert set(display.names) == set(embedder.categories_[0]) - {"Book 3"}
    only = NeighborsDisplay.from_estimator(embedder, "Book 3", n_nearest=2, n_furthest=0)
    assert only.ax_.get_title(loc="left") == "Nearest: Book 3"


def test_a_missing_matplotlib_names_the_extra(books, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="matplotlib"):
        draw(books[0])


def test_finished_coordinates_are_drawn_as_they_are(books):
    """A picture of one display's coordinates by another, its axes without a method's name."""
    embedder, _ = books
    given = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    display = draw(embedder, method=given)
    np.testing.assert_array_equal(display.coordinates, given)
    assert display.ax_.get_xlabel() == ""
