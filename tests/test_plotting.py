"""Pictures with matplotlib: what is in them, never their pixels."""

import datetime
import itertools
import pickle
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
from sk_entity_embed._entities import name_of
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
        ({"max_categories": -1}, "max_categories == -1, must be >= 0"),
        ({"column": "film"}, r"Column 'film' is not embedded: choose one of \['book'\]"),
        ({"method": np.zeros((3, 2))}, r"shape \(60, 2\), got \(3, 2\)"),
        ({"method": np.full((60, 2), np.nan)}, "finite"),
    ],
)
def test_mistakes_are_explained(books, params, message):
    params = {"metadata": books[1], **params}
    with pytest.raises(ValueError, match=message):
        draw(books[0], **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"labels": 2.5}, r"labels must be a list of entities, or how many to name, got 2\.5"),
        ({"max_categories": 3.5}, "max_categories must be an instance of"),
        ({"linewidth": 1, "linewidths": 2}, "aliases of one another"),
    ],
)
def test_parameters_of_a_wrong_type_are_explained(books, params, message):
    with pytest.raises(TypeError, match=message):
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


@pytest.mark.parametrize("params", [{"s": 400}, {"size_by_count": True}])
def test_labels_stand_beside_large_dots(params):
    counts = np.array([1, 1, 1, 10_000, 1])
    embedder = FakeEmbedder("abcde", np.random.default_rng(0).normal(size=(5, 3)), counts=counts)
    color = ["x", "x", "x", None, "y"]  # which is drawn first
    display = draw(embedder, labels=1, color=color, **params)
    x, y = display.ax_.transData.transform(display.coordinates[3])
    (label,) = display.labels_
    box = label.get_window_extent()
    assert label.get_text() == "d"
    away = np.hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1))
    area = 400 if "s" in params else display.scatter_.get_sizes().max()
    assert area >= 360
    assert away > np.sqrt(area) / 2 * display.figure_.dpi / 72


def test_letters_of_straight_strokes_stay_whole():
    """Snapped to pixels, "HE" lost bars of its letters; beside other letters they were whole."""
    labels = draw(FakeEmbedder(["HE", "FLL", "Emma"], np.eye(3)), labels=3).labels_
    assert {label.get_snap() for label in labels} == {False}


def test_a_number_labels_the_most_frequent(books):
    embedder, _ = books
    display = draw(embedder, labels=1)
    assert [label.get_text() for label in display.labels_] == ["War and Peace"]


def test_asked_for_labels_all_appear(books):
    wanted = ["Book 7", "War and Peace", "Book 9"]
    display = draw(books[0], labels=wanted)
    assert [label.get_text() for label in display.labels_] == wanted
    assert [label.get_text() for label in draw(books[0], labels="Book 7").labels_] == ["Book 7"]


def text_boxes(display):
    return np.array([mpl.text.Text.get_window_extent(label).extents for label in display.labels_])


def test_labels_find_new_places_in_another_layout(books, tmp_path):
    """Smaller axes, another resolution, a legend inside: never over each other or outside."""
    embedder, metadata = books
    figure, (ax, _) = plt.subplots(1, 2, figsize=(12, 5))
    display = draw(embedder, metadata=metadata, color="genre", labels=30, ax=ax)
    labels = display.labels_
    before = [label.get_text() for label in labels]
    frames = []
    for change in (
        figure.tight_layout,
        lambda: figure.set_size_inches(7, 3),
        lambda: figure.set_dpi(180),
    ):
        change()
        figure.canvas.draw()
        boxes = text_boxes(display)
        frame = ax.get_window_extent()
        frames.append(tuple(frame.size))
        legend = display.legend_.get_window_extent().extents
        assert len(boxes) >= 3
        assert (boxes[:, :2] >= frame.p0).all()
        assert (boxes[:, 2:] <= frame.p1).all()
        for i, box in enumerate(boxes):
            others = np.vstack([boxes[:i], legend])
            assert not ((others[:, :2] < box[2:]) & (box[:2] < others[:, 2:])).all(axis=1).any()
    assert len(set(frames)) == 3
    assert display.labels_ is labels
    assert [label.get_text() for label in labels] != before
    for name in ("picture.png", "picture.svg", "picture.pdf"):
        figure.savefig(tmp_path / name, dpi=50, bbox_inches="tight")
    copied = pickle.loads(pickle.dumps(figure))
    copied.canvas.draw()


def test_a_label_moved_by_hand_stays_there(books):
    display = draw(books[0], labels=5)
    display.labels_[0].set_position((33, 44))
    display.figure_.canvas.draw()
    assert display.labels_[0].get_position() == (33, 44)


def test_placing_labels_asks_for_no_further_drawing(books):
    """In an interactive session each change within a drawing would ask for the next one."""
    display = draw(books[0], labels=5)
    display.figure_.canvas.draw()
    n_changes = []
    for dpi in (100, 180):  # the second time all labels are placed anew
        display.figure_.set_dpi(dpi)
        changes = []
        display.figure_.stale_callback = lambda figure, stale, seen=changes: seen.append(stale)
        display.figure_.canvas.draw()
        n_changes.append(len(changes))
    assert n_changes[0] == n_changes[1]


def test_the_legend_stays_within_a_figure_that_makes_no_room(books):
    embedder, metadata = books
    figure, axes = plt.subplots(1, 2)
    figure.tight_layout()  # once; it makes no room for what comes later
    inside = draw(embedder, metadata=metadata, color="genre", ax=axes[0])
    figure.canvas.draw()
    frame, legend = axes[0].get_window_extent(), inside.legend_.get_window_extent()
    assert frame.contains(*legend.p0)
    assert frame.contains(*legend.p1)
    beside = draw(embedder, metadata=metadata, color="genre")
    beside.figure_.canvas.draw()
    frame, legend = beside.ax_.get_window_extent(), beside.legend_.get_window_extent()
    assert frame.x1 < legend.x0
    assert legend.x1 <= beside.figure_.bbox.x1


def test_dates_can_be_named_as_pandas_and_python_write_them():
    days = np.array(["2020-01-03", "2020-02-01", "2021-01-01"], dtype="datetime64[D]")
    embedder = FakeEmbedder(days, np.eye(3), column="day")
    wanted = [pd.Timestamp("2020-01-03"), datetime.datetime(2021, 1, 1)]
    texts = [label.get_text() for label in draw(embedder, labels=wanted).labels_]
    assert texts == ["2020-01-03", "2021-01-01"]
    assert len(draw(embedder, labels=wanted[0]).labels_) == 1
    bars = NeighborsDisplay.from_estimator(embedder, days[0])
    bars.query = name_of(wanted[0])
    assert bars.plot().ax_.get_title(loc="left").endswith(": 2020-01-03")


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


@pytest.mark.parametrize("color", ["genre", "pages"])
def test_what_has_a_value_per_point_goes_to_its_point(books, color):
    """In the order of names, whatever the order of drawing."""
    embedder, metadata = books
    metadata.loc[metadata.index[::7], "pages"] = np.nan
    rows = np.arange(60)
    given = {"s": list(10.0 + rows), "linewidths": pd.Series(rows / 60), "alpha": (rows + 1) / 61}
    given["edgecolors"] = [f"#0000{row:02x}" for row in rows]
    display = draw(embedder, metadata=metadata, color=color, size_by_count=True, **given)
    display.figure_.canvas.draw()
    at = [
        list(map(tuple, display.coordinates)).index(tuple(p))
        for p in display.scatter_.get_offsets().data
    ]
    assert at != list(rows)
    counts = embedder.counts_[0][at]
    relative = np.clip(np.sqrt(counts / np.median(counts)), 0.3, 6)
    np.testing.assert_allclose(display.scatter_.get_sizes(), (10 + rows[at]) * relative)
    np.testing.assert_allclose(display.scatter_.get_linewidths(), rows[at] / 60)
    np.testing.assert_allclose(display.scatter_.get_alpha(), (rows[at] + 1) / 61)
    np.testing.assert_allclose(display.scatter_.get_edgecolor()[:, 2] * 255, rows[at])
    display.plot(c=rows, cmap="magma")
    np.testing.assert_array_equal(display.scatter_.get_array(), rows[at])
    assert display.scatter_.get_cmap().name == "magma"


def test_one_colour_is_not_taken_for_three_points():
    embedder, metadata = make_books(3, 2)
    display = draw(embedder, metadata=metadata, color="author", edgecolors=(1, 0.5, 0))
    assert {tuple(rgba[:3]) for rgba in display.scatter_.get_edgecolor()} == {(1, 0.5, 0)}


@pytest.mark.parametrize(
    "params",
    [
        {"marker": "x"},
        {"marker": "+", "color": "pages"},
        {"facecolors": "none", "edgecolors": "k"},
        {"fc": "none", "ec": "k", "lw": 2},
        {"linewidth": 2},
    ],
)
def test_outlines_are_drawn(books, params):
    """Lines have a width where lines are all there is; every alias of matplotlib's is known."""
    display = draw(books[0], **{"color": "genre", "metadata": books[1], **params})
    assert set(display.scatter_.get_linewidths()) == {
        2 if params.keys() & {"lw", "linewidth"} else 1
    }
    edge = display.scatter_.get_edgecolor()
    assert len(edge) == 0 or edge[:, 3].min() > 0.5


@pytest.mark.parametrize("color", ["genre", "pages", None])
def test_hollow_points_have_coloured_outlines(books, color):
    embedder, metadata = books
    full = draw(embedder, metadata=metadata, color=color)
    hollow = draw(embedder, metadata=metadata, color=color, facecolors="none")
    for display in (full, hollow):
        display.figure_.canvas.draw()
    n_colors = max(len(full.scatter_.get_fc()), 1)
    edge = np.broadcast_to(hollow.scatter_.get_edgecolor(), (n_colors, 4))
    np.testing.assert_allclose(edge, full.scatter_.get_fc())
    assert len(hollow.scatter_.get_fc()) == 0
    assert (hollow.legend_ is None) == (full.legend_ is None)
    assert draw(embedder, metadata=metadata, color=color, c="k").legend_ is None


def test_the_colour_scale_leaves_out_the_extremes(books):
    """The colours of 1 to 99 %, as on the page, without viridis' pale end; unless told otherwise."""
    embedder, _ = books
    values = np.r_[np.arange(1.0, 60.0), 1e6]
    display = draw(embedder, color=values)
    assert display.scatter_.get_clim() == (2, 59)
    assert display.colorbar_.extend == "both"
    brightest = display.scatter_.get_cmap()(1.0)
    np.testing.assert_allclose(brightest, mpl.colormaps["viridis"](0.85), atol=0.01)
    assert draw(embedder, color=values, vmax=1e6).scatter_.get_clim() == (2, 1e6)
    assert draw(embedder, color=values, norm="log").scatter_.get_clim() == (1, 1e6)
    assert draw(embedder, color=values, cmap="viridis").scatter_.get_cmap()(1.0) != brightest
    same = draw(embedder, color=np.full(60, 3.0))
    assert same.colorbar_.extend == "neither"
    same.figure_.canvas.draw()
    with plt.style.context("dark_background"):
        night = draw(embedder, color=values).scatter_.get_cmap()
    assert night(1.0) == mpl.colormaps["viridis"](1.0)


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 1], [0, 1, 1, 0, 1], [3, 3, 3, 3, 3]])
def test_ticks_of_whole_numbers_are_whole(values):
    embedder = FakeEmbedder("abcde", np.random.default_rng(0).normal(size=(5, 3)))
    for numbers in (values, [*values[:4], None]):
        display = draw(embedder, color=numbers)
        display.figure_.draw_without_rendering()
        low, high = display.scatter_.get_clim()
        ticks = [tick for tick in display.colorbar_.get_ticks() if low <= tick <= high]
        assert ticks == sorted({*range(min(values), max(values) + 1)})


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2020-01-03T10:00", "2020-01-03T13:30"),
        ("2020-01-03", "2020-01-05"),
        ("2020-01-03", "2020-03-05"),
        ("1900-01-01", "2020-01-01"),
        ("-0500-01-01", "1500-01-01"),
        ("2020-01-03", "2020-01-03"),
    ],
)
def test_ticks_of_dates_are_round_and_differ(books, first, last):
    span = np.array([first, last], dtype="datetime64[s]").astype(np.int64)
    days = np.linspace(*span, 60).astype(np.int64).astype("datetime64[s]")
    display = draw(books[0], color=days, vmin=None, vmax=None)
    display.figure_.canvas.draw()
    ticks = [text.get_text() for text in display.colorbar_.ax.get_yticklabels() if text.get_text()]
    assert ticks
    assert len(set(ticks)) == len(ticks)
    assert "T" not in "".join(ticks)
    if first == "2020-01-03T10:00":
        assert "2020-01-03 11:00" in ticks


def test_durations_and_dates_of_python_get_a_colour_bar(books):
    embedder, _ = books
    spans = [datetime.timedelta(hours=hour) for hour in range(60)]
    assert draw(embedder, color=spans).colorbar_.ax.get_ylabel() == "color (days)"
    days = [datetime.date(2020, 1, 1) + span for span in spans]
    assert draw(embedder, color=days).colorbar_ is not None


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


def test_a_long_name_is_read_to_its_end():
    long = "The Interesting Narrative of the Life of Olaudah Equiano, or Gustavus Vassa"
    for name in (long, "x" * 75):
        embedder = FakeEmbedder([name, *(f"{i} " + 45 * "n" for i in range(9))], np.eye(10))
        display = NeighborsDisplay.from_estimator(embedder, name)
        for _ in range(2):
            display.figure_.canvas.draw()
        title = display.ax_._left_title
        assert title.get_text().replace(" ", "").endswith(name.replace(" ", ""))
        box, figure = title.get_window_extent(), display.figure_.bbox
        assert box.x1 <= figure.x1 + 2
        assert box.y1 <= figure.y1


@pytest.mark.parametrize("scores", [(1, -1), (0.0001, 0.0002), (0.9, -0.2), (300, -450)])
def test_numbers_below_bars_with_long_names_stand_apart(scores):
    """Cosines of one component reach from -1 to 1 and had a tick at every quarter."""
    names = ["a name of quite some length, up to forty"] * 2
    display = NeighborsDisplay("one", names, np.array(scores, dtype=float), n_nearest=1).plot()
    display.figure_.draw_without_rendering()
    low, high = display.ax_.get_xlim()
    ticks = zip(display.ax_.get_xticks(), display.ax_.get_xticklabels())
    boxes = [label.get_window_extent() for at, label in ticks if low <= at <= high]
    assert len(boxes) >= 3
    assert min(right.x0 - left.x1 for left, right in itertools.pairwise(boxes)) > 8


def test_nothing_to_compare_with_is_said():
    display = NeighborsDisplay.from_estimator(FakeEmbedder(["Emma"], [[1.0, 2.0]]), "Emma")
    display.figure_.canvas.draw()
    assert display.ax_.get_title(loc="left") == "Neighbours: Emma"
    assert [text.get_text() for text in display.ax_.texts] == [
        "There is nothing else to be near to."
    ]
    with pytest.raises(ValueError, match="both 0"):
        NeighborsDisplay.from_estimator(make_books(5)[0], "Book 3", n_nearest=0, n_furthest=0)


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
