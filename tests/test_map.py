"""The page to explore an embedding: its data, and itself in a real browser without a network."""

import base64
import contextlib
import datetime
import gzip
import hashlib
import html
import json
import re
import shutil
import string
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _fake_embedder import HOSTILE, FakeEmbedder, make_books

from sk_entity_embed._entities import name_of, one_line
from sk_entity_embed.plotting import embedding_map


def unpack(page):
    """Header and arrays of a page, read as the page reads them."""
    packed = re.search('<script type="text/plain" id="data">(.*?)</script>', page.html).group(1)
    raw = gzip.decompress(base64.b64decode(packed))
    start = 4 + int.from_bytes(raw[:4], "little")
    header = json.loads(raw[4:start])
    arrays = {
        key: np.frombuffer(raw, dtype=f"<{kind}", count=size, offset=start + offset)
        for key, (kind, offset, size) in header["arrays"].items()
    }
    return header, arrays


def hostile_books(n_components=4):
    rng = np.random.default_rng(0)
    names = [*HOSTILE, "War and Peace"]
    index = pd.Index(names, dtype=object)
    metadata = pd.DataFrame({"<b>genre": names[::-1]}, index=index, dtype=object)
    vectors = rng.normal(size=(len(names), n_components))
    return FakeEmbedder(names, vectors, counts=np.arange(len(names), 0, -1)), metadata


# --- the data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_page_and_python_agree_on_neighbours(metric):
    """The same entities in the same order, with the same numbers."""
    embedder, metadata = make_books()
    header, arrays = unpack(embedding_map(embedder, metadata=metadata, method="pca", metric=metric))
    distances, indices = embedder.kneighbors(n_neighbors=10, metric=metric)
    assert header["names"] == list(embedder.categories_[0])
    np.testing.assert_array_equal(arrays["neighbors"].reshape(-1, 10), indices)
    scores = {"cosine": 1 - distances, "dot": -distances, "euclidean": distances}[metric]
    found = arrays["scores"].reshape(-1, 10) * header["scoreScale"]
    np.testing.assert_allclose(found, scores, rtol=1e-6, atol=2e-5 if metric == "cosine" else 1e-6)


def test_page_holds_all_metadata():
    embedder, metadata = make_books()
    header, arrays = unpack(
        embedding_map(embedder, metadata=metadata.sample(frac=1), color="genre", method="pca")
    )
    columns = {column["name"]: column for column in header["columns"]}
    assert list(columns) == [*metadata.columns, "count"]
    assert header["columns"][header["color"]]["name"] == "genre"
    values = [None, *columns["genre"]["values"]]
    genres = [values[code] for code in arrays[columns["genre"]["array"]]]
    assert genres == [None if pd.isna(genre) else genre for genre in metadata["genre"]]
    sizes = metadata["genre"].value_counts()
    assert [sizes[value] for value in values[1:]] == sorted(sizes, reverse=True)
    np.testing.assert_array_equal(arrays[columns["pages"]["array"]], metadata["pages"])
    days = arrays[columns["published"]["array"]].astype("datetime64[ms]")
    np.testing.assert_array_equal(days, metadata["published"].to_numpy())
    np.testing.assert_array_equal(arrays[columns["count"]["array"]], embedder.counts_[0])
    assert [columns[name]["kind"] for name in columns] == [
        "category",
        "number",
        "date",
        "category",
        "number",
    ]


def test_colour_by_a_series_adds_a_column():
    embedder, metadata = make_books()
    mood = pd.Series("sad", index=["War and Peace"], name="mood")
    header, arrays = unpack(embedding_map(embedder, color=mood, metadata=metadata, method="pca"))
    assert header["color"] == 0
    assert header["columns"][0]["name"] == "mood"
    assert arrays["column0"].tolist() == [1] + [0] * 59


def test_coordinates_fill_the_page_and_keep_their_shape():
    embedder, _ = make_books()
    given = np.random.default_rng(0).normal(size=(60, 2)) * [30, 10] + 100
    page = embedding_map(embedder, method=given)
    points = unpack(page)[1]["points2"].reshape(60, 2)
    assert np.abs(points).max() == pytest.approx(1)
    wide, high = np.ptp(given, axis=0)
    np.testing.assert_allclose(np.ptp(points, axis=0), [2, 2 * high / wide], rtol=1e-5)
    np.testing.assert_allclose(page.coordinates[2], given, rtol=1e-6)


def test_compound_emoji_and_joined_letters_stay_whole():
    assert one_line("a\n\t b \u202e🏳️‍🌈 می‌خواهم\x00") == "a b 🏳️‍🌈 می‌خواهم"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("\n") == "(empty)"


def test_two_and_three_dimensions_can_share_a_page():
    embedder, _ = make_books(20)
    page = embedding_map(embedder, n_components=(2, 3), method="pca")
    header, arrays = unpack(page)
    assert arrays["points2"].size == 40
    assert arrays["points3"].size == 60
    assert set(header["trust"]) == {"2", "3"}
    assert set(page.coordinates) == {2, 3}
    assert "points2" not in unpack(embedding_map(embedder, n_components=3, method="pca"))[1]


def test_same_seed_gives_the_same_page():
    embedder, metadata = make_books(20)
    first, again = (embedding_map(embedder, metadata=metadata, random_state=1) for _ in range(2))
    assert first.html == again.html


def test_beyond_the_limit_the_most_frequent_stay():
    """The page says so; neighbours that are left out keep their place in the list, by name."""
    embedder, metadata = make_books(60)
    with pytest.warns(UserWarning, match="20 most frequent of 60"):
        page = embedding_map(embedder, metadata=metadata, method="pca", max_entities=20)
    header, arrays = unpack(page)
    assert header["nShown"] == page.n_entities == 20
    assert header["nAll"] == 60
    counts = pd.Series(embedder.counts_[0], index=embedder.categories_[0])
    shown = header["names"][:20]
    assert counts[shown].min() >= counts.drop(shown).max()
    assert list(page.entities) == shown
    for row, name in enumerate(shown):
        listed = [header["names"][i] for i in arrays["neighbors"][10 * row : 10 * row + 10]]
        assert listed == embedder.most_similar(name)["entity"].tolist()
    genre = header["columns"][0]
    assert len(arrays[genre["array"]]) == 20


@pytest.mark.parametrize("n_books", [0, 1, 2, 3])
def test_few_entities_make_a_page(n_books):
    embedder, _ = make_books(3, 2)
    embedder.categories_[0] = embedder.categories_[0][:n_books]
    embedder.embeddings_[0] = embedder.embeddings_[0][:n_books]
    embedder.counts_[0] = embedder.counts_[0][:n_books]
    header, _ = unpack(embedding_map(embedder))
    assert header["nShown"] == n_books
    assert header["nNeighbors"] == max(0, n_books - 1)


def test_a_random_sample_is_called_one():
    """Without counts nobody is known to be frequent."""
    embedder, _ = make_books(60)
    del embedder.counts_
    with pytest.warns(UserWarning, match="20 randomly drawn of 60"):
        page = embedding_map(embedder, method="pca", max_entities=20)
    assert unpack(page)[0]["count"] is None


@pytest.mark.filterwarnings("ignore:The map shows")
def test_the_sample_depends_on_any_random_state():
    """A number of NumPy's draws what Python's draws; a generator has a say too."""
    embedder, _ = make_books(60)
    del embedder.counts_

    def draw(random_state):
        page = embedding_map(embedder, method="pca", max_entities=20, random_state=random_state)
        return page.entities.tolist()

    assert draw(np.int64(3)) == draw(3)
    assert draw(np.random.RandomState(1)) == draw(np.random.RandomState(1))
    assert len({tuple(draw(np.random.RandomState(seed))) for seed in range(3)}) == 3


def test_the_page_names_the_projection_that_was_made():
    """Three entities are too few for t-SNE, and PCA lays them out."""
    for n_books, name in ((3, "PCA"), (5, "t-SNE")):
        assert unpack(embedding_map(make_books(n_books, 4)[0]))[0]["method"] == name


def test_numbers_are_told_as_exactly_as_they_are_known():
    """Whole numbers beyond 2**53 as text, floats of that size not digit by digit, times to the second."""
    names = ["a", "b", "c"]
    metadata = pd.DataFrame(
        {
            "large": pd.array([2**60 + 1, None, 7], dtype="Int64"),
            "float": [1e20, 2.0, 3.0],
            "year": [1990, 2000, 2010],
            "day": pd.to_datetime(["2020-01-03", None, "2021-01-01"]),
            "time": pd.to_datetime(["2020-01-03 10:20:30", None, "2021-01-01 00:00:00"]),
        },
        index=names,
    )
    header, _ = unpack(embedding_map(FakeEmbedder(names, np.eye(3)), metadata=metadata))
    columns = {column["name"]: column for column in header["columns"]}
    assert columns["large"]["texts"] == ["1,152,921,504,606,846,977", None, "7"]
    assert not columns["float"]["whole"]
    assert columns["year"]["whole"]
    assert columns["year"]["years"]
    assert (columns["day"]["step"], columns["time"]["step"]) == (86_400_000, 1000)


def test_every_kind_of_category_has_a_name():
    keys = [1, 2.5, 3.0, True, None, float("nan"), pd.NaT, pd.NA, np.datetime64("2020-01-02"), "x"]
    keys += [pd.Timestamp("2020-01-02"), datetime.datetime(2020, 1, 2, 12, 30)]
    names = ["1", "2.5", "3", "True", *["(missing)"] * 4, "2020-01-02", "x"]
    names += ["2020-01-02", "2020-01-02T12:30"]
    assert [name_of(key) for key in keys] == names


def test_a_duration_has_one_name_whoever_keeps_it():
    """NumPy's, of which the categories are, pandas' and Python's: a label may be any of them."""
    span = datetime.timedelta(days=1, hours=2)
    keys = [
        span,
        pd.Timedelta(span),
        *(np.timedelta64(26, "h").astype(f"m8[{u}]") for u in ("s", "ns")),
    ]
    assert [name_of(key) for key in keys] == ["1 days 02:00:00"] * 4
    assert name_of(np.timedelta64("NaT")) == "(missing)"


# --- the file ----------------------------------------------------------------------------------


def test_nothing_is_left_when_writing_fails(tmp_path):
    """The old file stays as it was and no draft lies about."""
    path = tmp_path / "map.html"
    page = embedding_map(make_books(5)[0], path, method="pca")
    assert page.path == path
    assert path.read_text("utf-8") == page.html
    page.html = 7  # cannot be written
    with pytest.raises(TypeError):
        page.save(path)
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert [file.name for file in tmp_path.iterdir()] == ["map.html"]


def test_policy_allows_the_page_alone():
    """Script and style run by their hashes; no request may leave the page."""
    page = embedding_map(make_books(5)[0], method="pca").html
    policy = html.unescape(re.search('Security-Policy" content="(.*?)">', page).group(1))
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    for tag in ("script", "style"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    code = re.sub(r'id="data">.*?</script>', "", page, flags=re.DOTALL)
    for word in ("http:", "https:", "innerHTML", "outerHTML", "document.write", "eval(", "fetch("):
        assert word not in code


def test_names_never_reach_the_markup():
    """Whatever the names, the page differs in its data and its escaped title only."""
    embedder, metadata = hostile_books()
    page = embedding_map(embedder, metadata=metadata, title=HOSTILE[1] + HOSTILE[11], method="pca")
    plain = embedding_map(make_books(5)[0], title="plain", method="pca")
    without_data = [
        re.sub(r'(id="data">)[A-Za-z0-9+/=]*(</script>)', r"\1\2", each.html)
        for each in (page, plain)
    ]
    title = html.escape(HOSTILE[1] + HOSTILE[11])
    assert without_data[0] == without_data[1].replace("<title>plain<", f"<title>{title}<")
    assert unpack(page)[0]["names"][:13] == HOSTILE[:13]


def test_a_notebook_shows_the_page_in_a_sandbox():
    page = embedding_map(make_books(5)[0], method="pca", title='"><script>')
    frame = page._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts" ')
    assert frame.count("<") == 2  # all of the page is inside an attribute
    assert html.unescape(re.search('srcdoc="(.*?)"', frame, re.DOTALL).group(1)) == page.html
    assert "5 entities" in repr(page)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"column": "film"}, "Column 'film' is not embedded"),
        ({"color": "genre"}, "no column of metadata"),
        ({"method": np.zeros((5, 4))}, r"shape \(5, 2 or 3\), got \(5, 4\)"),
        ({"n_components": 4}, "n_components must be 2 or 3"),
        ({"n_components": ()}, "n_components must be 2 or 3"),
        ({"n_components": 2.0}, "n_components must be 2 or 3"),
        ({"max_entities": 0}, "max_entities == 0, must be >= 1"),
        ({"n_neighbors": -1}, "n_neighbors == -1, must be >= 0"),
    ],
)
def test_mistakes_are_explained(params, message):
    with pytest.raises(ValueError, match=message):
        embedding_map(make_books(5)[0], **params)


# --- in a browser ------------------------------------------------------------------------------

# Software WebGL, so that it runs where there is no graphics card; and no errands of its own.
BROWSER_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    """Debian's or anyone's Chromium, driven by playwright; skipped where either is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium on this machine (the page was not tried in a browser)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open a page without a network; at the end of the test its console must be free of errors."""
    with contextlib.ExitStack() as stack:
        errors = []

        def listen(message):
            if message.type == "error":
                errors.append(message.text)

        def visit(path, *, content=None, **context):
            context = (
                browser.new_context(
                    offline=True, reduced_motion="reduce", viewport={"width": 1280, "height": 800}
                )
                if not context
                else browser.new_context(offline=True, **context)
            )
            stack.callback(context.close)
            tab = context.new_page()
            tab.set_default_timeout(120_000)  # others use the machine too
            tab.on("console", listen)
            tab.on("pageerror", lambda error: errors.append(str(error)))
            tab.on("request", lambda request: requests.append(request.url))
            if content is not None:
                tab.set_content(content)
                return tab
            tab.goto(Path(path).as_uri())
            wait_until(tab, "window.entityMap && entityMap.ready")
            return tab

        requests = []
        yield visit
        assert errors == []
        assert all(url.startswith(("file:", "data:", "about:")) for url in requests)


@pytest.fixture(scope="module")
def books():
    return make_books(300)


@pytest.fixture(scope="module")
def books_page(books, tmp_path_factory):
    embedder, metadata = books
    path = tmp_path_factory.mktemp("map") / "books.html"
    embedding_map(
        embedder, path, metadata=metadata, color="genre", method="pca", n_components=(2, 3)
    )
    return path


def listed(tab):
    return tab.locator("#neighbors .name").all_inner_texts()


def chosen(tab):
    return tab.evaluate("entityMap.chosen() < 0 ? null : entityMap.nameOf(entityMap.chosen())")


def wait_until(tab, expression):
    """Wait for a true value. (The page's policy forbids the string that wait_for_function evaluates there.)"""
    for _ in range(400):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"still false after 20 seconds: {expression}")


def search(tab, text):
    tab.fill("#search", text)
    return tab.locator("#found [role=option]").all_inner_texts()


def test_search_finds_and_lists_neighbours_as_python_does(visit, books, books_page):
    tab = visit(books_page)
    assert tab.evaluate("entityMap.renderer") == "webgl2"
    assert tab.title() == "Map of book"
    assert "300 points" in tab.inner_text("#facts")
    assert search(tab, "wár and p")[0] == "War and Peace"
    tab.click("#found [role=option] >> nth=0")
    assert tab.inner_text("#chosen") == "War and Peace"
    expected = books[0].most_similar("War and Peace")
    assert listed(tab) == expected["entity"].tolist()
    shown = [float(text) for text in tab.locator("#neighbors .number").all_inner_texts()]
    np.testing.assert_allclose(shown, expected["similarity"], atol=6e-4)
    assert tab.inner_text("#metric") == "cosine similarity"
    pages = books[1].loc["War and Peace", "pages"]
    assert f"pages\n{pages:.0f}\n" in tab.inner_text("#details")


def test_search_without_a_match_offers_close_names(visit, books_page):
    tab = visit(books_page)
    assert search(tab, "war nd peace")[0] == "War and Peace"
    assert "Close to it" in tab.inner_text("#found")
    assert search(tab, "zzzzqqq") == []
    assert "No name" in tab.inner_text("#found")
    assert search(tab, "book 1")[0] == "Book 10" or search(tab, "book 1")[0].startswith("Book 1")
    assert re.search(r"\d+ names match", tab.inner_text("#found"))


def test_every_sign_of_a_name_can_be_searched_for(visit, tmp_path):
    """Signs that mean something in a regular expression are signs, the hyphen included."""
    signs = string.punctuation
    names = ["Slaughterhouse-Five", *(f"sign {sign} of {i}" for i, sign in enumerate(signs))]
    vectors = np.random.default_rng(0).normal(size=(len(names), 3))
    path = tmp_path / "signs.html"
    embedding_map(FakeEmbedder(names, vectors), path, method="pca", n_neighbors=2)
    tab = visit(path)
    assert search(tab, "slaughterhouse-f") == names[:1]
    for sign, name in zip(signs, names[1:]):
        assert search(tab, f"{sign} of") == [name]


def test_a_click_on_a_point_chooses_it_and_a_neighbour_leads_on(visit, books, books_page):
    tab = visit(books_page)
    lonely = tab.evaluate(
        """() => { // a point with no other near it, to be sure who is hit; and no card above it
          const at = Array.from({length: entityMap.n}, (_, i) => entityMap.screen(i));
          return at.map((p, i) => [Math.min(...at.map((q, j) => i === j ? 1e9 :
            Math.hypot(p[0] - q[0], p[1] - q[1]))), i, ...p])
            .filter((x) => x[2] > 300 && x[3] > 40 && x[3] < 700).sort((a, b) => b[0] - a[0])[0];
        }"""
    )
    name = tab.evaluate(f"entityMap.nameOf({lonely[1]})")
    box = tab.locator("#points").bounding_box()
    tab.mouse.move(box["x"] + lonely[2], box["y"] + lonely[3])
    tab.wait_for_selector("#tip:not(.hidden)")
    assert tab.inner_text("#tip b") == name
    tab.mouse.click(box["x"] + lonely[2], box["y"] + lonely[3])
    assert chosen(tab) == name
    assert listed(tab) == books[0].most_similar(name)["entity"].tolist()
    second = listed(tab)[1]
    tab.click("#neighbors button >> nth=1")
    assert chosen(tab) == second
    assert listed(tab) == books[0].most_similar(second)["entity"].tolist()
    tab.click("#back")
    assert chosen(tab) == name


def test_colours_follow_the_column(visit, books, books_page):
    tab = visit(books_page)
    colors = {}
    for column in ("genre", "pages", "published", "author", "Nothing"):
        tab.select_option("#by", label=column)
        colors[column] = tab.evaluate("[...Array(300).keys()].map(i => entityMap.color(i).join())")
    genre = books[1]["genre"].fillna("missing")
    assert pd.Series(colors["genre"]).nunique() == genre.nunique()
    assert pd.crosstab(np.array(colors["genre"]), genre.to_numpy()).gt(0).sum(axis=1).max() == 1
    pages = books[1]["pages"].to_numpy()
    assert colors["pages"][pages.argmin()] != colors["pages"][pages.argmax()]
    assert len(set(colors["published"])) > 20
    assert len(set(colors["author"])) == 9  # eight and grey
    assert len(set(colors["Nothing"])) == 1


def test_legend_filters_by_value(visit, books, books_page):
    tab = visit(books_page)
    sizes = books[1]["genre"].value_counts()
    tab.click("#values button:has-text('Fantasy')")
    assert tab.evaluate("entityMap.shown()") == sizes["Fantasy"]
    tab.click("#values button:has-text('History')")
    assert tab.evaluate("entityMap.shown()") == sizes["Fantasy"] + sizes["History"]
    assert "points shown" in tab.inner_text("#facts")
    assert tab.get_attribute("#values button:has-text('History')", "aria-pressed") == "true"
    tab.click("#all")
    assert tab.evaluate("entityMap.shown()") == 300
    tab.evaluate("entityMap.choose(0)")  # a value in the details filters too
    author = books[1]["author"].iloc[0]
    tab.click(f"#details button:text-is('{author}')")
    assert tab.evaluate("entityMap.shown()") == (books[1]["author"] == author).sum()
    assert tab.input_value("#by") == "3"


def test_legend_filters_by_range(visit, books, books_page):
    tab = visit(books_page)
    tab.select_option("#by", label="pages")
    tab.focus("#from")
    for _ in range(3):
        tab.keyboard.press("PageUp")
    least = tab.evaluate("entityMap.shown()")
    assert 0 < least < 300
    assert tab.is_visible("#all")
    tab.focus("#points")
    tab.keyboard.press("Escape")
    assert tab.evaluate("entityMap.shown()") == 300


def test_everything_can_be_done_with_the_keyboard(visit, books, books_page):
    tab = visit(books_page)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "search"
    tab.keyboard.type("war and peace")
    tab.keyboard.press("Enter")
    assert chosen(tab) == "War and Peace"
    second = books[0].most_similar("War and Peace")["entity"].iloc[1]
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    assert chosen(tab) == second
    tab.keyboard.press("Backspace")
    assert chosen(tab) == "War and Peace"
    tab.keyboard.press("Escape")
    assert chosen(tab) is None
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "search"
    tab.keyboard.type("book 1")
    tab.keyboard.press("ArrowDown")
    option = tab.get_attribute("#search", "aria-activedescendant")
    assert tab.get_attribute(f"#{option}", "aria-selected") == "true"
    wanted = tab.inner_text(f"#{option}")
    tab.keyboard.press("Enter")
    assert chosen(tab) == wanted
    tab.focus("#points")
    tab.keyboard.press("0")
    before = tab.evaluate("entityMap.view()")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("+")
    after = tab.evaluate("entityMap.view()")
    assert after["x"] > before["x"]
    assert after["zoom"] > before["zoom"]
    tab.keyboard.press("Enter")  # the point in the middle
    assert chosen(tab) is not None


def test_tab_reaches_every_control_and_shows_where_it_is(visit, books_page):
    tab = visit(books_page)
    reached, unmarked = set(), []
    for _ in range(40):
        tab.keyboard.press("Tab")
        name, style = tab.evaluate(
            "(() => { const e = document.activeElement || document.body; "
            "if (e === document.body) return ['', 'none']; return [e.id || e.parentElement.id "
            "|| e.closest('[id]')?.id, getComputedStyle(e).outlineStyle]; })()"
        )
        reached.add(name)
        if style == "none" and name:
            unmarked.append(name)
    assert {"search", "starts", "points", "by", "values", "in", "home", "solid", "theme"} <= reached
    assert unmarked == []


def test_wheel_zooms_at_the_pointer_and_drag_moves(visit, books_page):
    tab = visit(books_page)
    box = tab.locator("#points").bounding_box()
    tab.evaluate("entityMap.choose(7)")
    x, y, _ = tab.evaluate("entityMap.screen(7)")
    tab.mouse.move(box["x"] + x, box["y"] + y)
    tab.mouse.wheel(0, -300)
    wait_until(tab, "entityMap.view().zoom > 1.2")
    near = tab.evaluate("entityMap.screen(7)")
    np.testing.assert_allclose(near[:2], [x, y], atol=1)
    tab.mouse.down()
    tab.mouse.move(box["x"] + x + 50, box["y"] + y + 30, steps=5)
    tab.mouse.up()
    np.testing.assert_allclose(tab.evaluate("entityMap.screen(7)")[:2], [x + 50, y + 30], atol=1.5)
    assert tab.evaluate("entityMap.chosen()") == 7  # a drag is not a click


def test_three_dimensions_turn(visit, books_page):
    tab = visit(books_page)
    tab.click("#solid")
    assert tab.evaluate("entityMap.view().dimensions") == 3
    before = tab.evaluate("entityMap.view().yaw")
    box = tab.locator("#points").bounding_box()
    tab.mouse.move(box["x"] + 500, box["y"] + 400)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 600, box["y"] + 420, steps=4)
    tab.mouse.up()
    assert tab.evaluate("entityMap.view().yaw") != before
    tab.evaluate("entityMap.choose(3)")
    assert tab.evaluate("entityMap.screen(3)")[2] > 0  # in front of the camera
    tab.click("#flat")
    assert tab.evaluate("entityMap.view().dimensions") == 2
    assert tab.evaluate("entityMap.chosen()") == 3


def test_day_and_night(visit, books_page):
    """It follows the system, and a button turns it round."""
    paper = "getComputedStyle(document.body).backgroundColor"
    night = visit(books_page, color_scheme="dark")
    day = visit(books_page, color_scheme="light")
    dark, light = night.evaluate(paper), day.evaluate(paper)
    assert dark != light
    day.click("#theme")
    assert day.evaluate(paper) == dark
    day.emulate_media(color_scheme="dark")
    day.evaluate("new Promise(requestAnimationFrame)")  # two changes within a frame would be none
    day.wait_for_timeout(200)
    day.emulate_media(color_scheme="light")
    wait_until(day, f"{paper} === '{light}'")


def test_a_phone_has_room_for_all(visit, books_page):
    tab = visit(books_page, viewport={"width": 390, "height": 780}, has_touch=True)
    assert search(tab, "war")[0] == "War and Peace"
    tab.tap("#found [role=option] >> nth=0")
    assert chosen(tab) == "War and Peace"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.locator("#points").bounding_box()["height"] > 250


def test_it_runs_in_the_sandbox_of_a_notebook(visit, books):
    page = embedding_map(books[0], metadata=books[1], method="pca")
    tab = visit(None, content=f"<!doctype html><body>{page._repr_html_()}</body>")
    frame = tab.frame_locator("iframe")
    frame.locator("#search").fill("war and")
    frame.locator("#found [role=option]").first.click()
    assert frame.locator("#neighbors .name").all_inner_texts() == (
        books[0].most_similar("War and Peace")["entity"].tolist()
    )


def test_hostile_names_are_text_everywhere(visit, tmp_path):
    """In the list, the tooltip, the suggestions, the legend, the details and the title."""
    embedder, metadata = hostile_books()
    path = tmp_path / "hostile.html"
    embedding_map(
        embedder, path, metadata=metadata, color="<b>genre", method="pca", title=HOSTILE[1]
    )
    tab = visit(path)
    assert tab.title() == HOSTILE[1]
    assert tab.inner_text("#title") == HOSTILE[1]
    tab.click("#more")
    for i, name in enumerate(HOSTILE):
        tab.evaluate(f"entityMap.choose({i})")
        shown = tab.evaluate("document.getElementById('chosen').textContent")
        if "\ud800" not in name:
            assert shown == (name if name.strip() else "(empty)")
        at = tab.evaluate(f"entityMap.screen({i})")
        box = tab.locator("#points").bounding_box()
        if at[0] > 260:
            tab.mouse.move(box["x"] + at[0], box["y"] + at[1])
    assert search(tab, "<script>") == [HOSTILE[0]]
    assert search(tab, "__data__") == [HOSTILE[11]]
    assert search(tab, "سلام") == [HOSTILE[6]]
    assert search(tab, "$x^2$ (") == []
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("img, #title b, #panel script").count() == 0
    tab.screenshot()  # a name on the canvas cannot throw
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280


def test_nothing_but_empty_states(visit, tmp_path):
    """One entity, no metadata, no counts: the page says what there is to say."""
    path = tmp_path / "one.html"
    embedding_map(FakeEmbedder(["Emma"], [[1.0, 2.0]]), path)
    tab = visit(path)
    assert "1 point" in tab.inner_text("#facts")
    assert "Pass metadata=" in tab.inner_text("#keyhint")
    tab.click("#starts button")
    assert chosen(tab) == "Emma"
    assert "nothing else" in tab.inner_text("#alone")


def test_one_component_is_one_dimension(visit, tmp_path):
    path = tmp_path / "one.html"
    embedding_map(FakeEmbedder("abcde", [[1], [3], [0], [-1], [2]]), path, method="pca")
    tab = visit(path)
    assert "nearest to it in one dimension." in tab.inner_text("#invite")
    tab.evaluate("entityMap.choose(0)")
    assert tab.inner_text("#nearby") == "Nearest in one dimension"


def test_what_was_left_out_and_how_finely_things_are_known(visit, tmp_path):
    """No neighbours asked for, a random sample, large numbers, times: all on one page."""
    n = 12
    embedder = FakeEmbedder([f"Book {i}" for i in range(n)], np.eye(n))
    metadata = pd.DataFrame(
        {"key": 2**60 + np.arange(n), "seen": pd.Timestamp("2020-01-03 10:20:30")},
        index=embedder.categories_[0],
    )
    path = tmp_path / "page.html"
    with pytest.warns(UserWarning, match="randomly drawn"):
        embedding_map(
            embedder,
            path,
            metadata=metadata,
            method="pca",
            n_neighbors=0,
            max_entities=10,
            color="key",
        )
    tab = visit(path)
    assert tab.inner_text("#facts") == "10 of 12, drawn at random"
    assert "nearest" not in tab.inner_text("#invite")
    assert "neighbours" not in tab.inner_text("#foot")
    assert tab.inner_text("#low") == "1.15e+18"
    tab.evaluate("entityMap.choose(0)")
    i = int(chosen(tab).removeprefix("Book "))
    assert f"key\n{2**60 + i:,}\nseen\n2020-01-03 10:20:30" in tab.inner_text("#details")
    assert tab.inner_text("#alone") == "Neighbours were left out of this page."


@pytest.mark.parametrize(
    ("width", "height", "is_open", "has_help"),
    [
        (780, 640, False, False),
        (844, 390, False, False),
        (960, 800, False, False),
        (1280, 800, True, True),
    ],
)
def test_at_first_no_point_is_beneath_the_legend(
    visit, books_page, width, height, is_open, has_help
):
    """It makes room where there is some and starts closed elsewhere; the help is short or away."""
    tab = visit(books_page, viewport={"width": width, "height": height}, reduced_motion="reduce")
    assert tab.evaluate("document.getElementById('key').open") == is_open
    assert is_open or tab.inner_text("#key summary") == "Colour by: genre"
    assert tab.is_visible("#help") == has_help
    boxes = [tab.locator("#key").bounding_box()]
    if has_help:
        boxes.append(tab.locator("#help").bounding_box())
        assert boxes[1]["height"] < 45
    at = np.array(tab.evaluate("Array.from({length: entityMap.n}, (_, i) => entityMap.screen(i))"))
    assert (at[:, 0] < width - 344).all()
    for box in boxes:
        beneath = (at[:, 0] < box["x"] + box["width"]) & (at[:, 1] < box["y"] + box["height"])
        assert (beneath & (at[:, 0] > box["x"]) & (at[:, 1] > box["y"])).mean() < 0.02


@pytest.mark.parametrize(("width", "height"), [(400, 800), (320, 568), (1280, 800)])
def test_at_first_no_point_is_beneath_the_tools(visit, tmp_path, width, height):
    """Points in a lower corner, as groups that t-SNE parts; on a phone they were out of sight."""
    corners = np.array([[-1, -1], [-0.98, -0.98], [-0.5, -1], [0.9, 1], [1, 0.9]], dtype=np.float32)
    path = tmp_path / "corners.html"
    embedding_map(FakeEmbedder("abcde", corners), path, method=corners)
    tab = visit(path, viewport={"width": width, "height": height}, reduced_motion="reduce")
    tools, stage = (tab.locator(name).bounding_box() for name in ("#tools", "#stage"))
    for i in range(5):
        x, y = tab.evaluate(f"entityMap.screen({i})")[:2]
        assert 0 < x < stage["width"]
        assert 0 < y < stage["height"]
        assert x > tools["x"] + tools["width"] or y < tools["y"]


def test_no_name_is_written_across_the_help(visit, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "page.html"
    names = [f"Book with a number {i}" for i in range(400)]
    places = rng.uniform([-1, -1], [1, -0.97], size=(400, 2))
    places[0, 1] = 1
    embedding_map(FakeEmbedder(names, np.eye(400)), path, method=places)
    tab = visit(path)
    then = "requestAnimationFrame(() => requestAnimationFrame(done))"
    for _ in range(4):
        tab.evaluate(f"new Promise((done) => {{ entityMap.pan(0, 12); {then}; }})")
        inked = tab.evaluate(
            """() => {
              const help = document.getElementById("help"), pen = document.getElementById("ink").getContext("2d");
              const { offsetLeft: x, offsetTop: y, offsetWidth: w, offsetHeight: h } = help;
              return pen.getImageData(x + 2, y + 2, w - 4, h - 4).data.some((value) => value > 0);
            }"""
        )
        assert not inked


def test_small_distances_are_told_apart(visit, tmp_path):
    """Columns that hardly move the prediction have small vectors; the list said 0.000 throughout."""
    vectors = [[0], [1.5e-7], [0.00042], [-0.0123], [0.25], [1234]]
    path = tmp_path / "small.html"
    embedding_map(FakeEmbedder("abcdef", vectors), path, method="pca", metric="euclidean")
    tab = visit(path)
    tab.evaluate("entityMap.choose(0)")
    shown = tab.locator("#neighbors .number").all_inner_texts()
    assert shown == ["1.50e\N{MINUS SIGN}7", "0.000420", "0.0123", "0.250", "1234.0"]


def test_the_only_neighbour_stays_in_view(visit, tmp_path):
    """Two points, at the two ends of the map: to start with either is to see both."""
    path = tmp_path / "two.html"
    embedding_map(FakeEmbedder(["Emma", "Dune"], [[1.0, 2.0], [2.0, -1.0]]), path)
    tab = visit(path)
    for i in (0, 1):
        tab.click(f"#empty button >> nth={i}")
        x, y, _ = tab.evaluate(f"entityMap.screen({1 - i})")
        assert 0 < x < 1280 - 344
        assert 0 < y < 800
        tab.click("#close")


def test_colours_of_the_legend_survive_high_contrast(visit, books_page):
    """Where the system chooses all colours, dots keep theirs and what is pressed can be seen."""
    tab = visit(books_page, forced_colors="active", viewport={"width": 1280, "height": 800})
    color = "(selector) => getComputedStyle(document.querySelector(selector)).backgroundColor"
    assert tab.evaluate(color, "#values .dot") == "rgb(0, 114, 178)"
    assert tab.evaluate(color, "#labels") != tab.evaluate(color, "#home")
    tab.select_option("#by", label="pages")
    assert tab.evaluate(color, "#bins i") == "rgb(68, 6, 89)"


def test_large_numbers_fit_into_the_legend(visit, tmp_path):
    path = tmp_path / "page.html"
    names = [f"Book {i}" for i in range(9)]
    metadata = pd.DataFrame({"size": 2**52 + np.arange(9)}, index=names)
    embedding_map(
        FakeEmbedder(names, np.eye(9)), path, metadata=metadata, color="size", method="pca"
    )
    tab = visit(path)
    assert tab.inner_text("#low") == f"{2**52:,}"
    key = tab.locator("#key").bounding_box()
    for end in ("#low", "#high"):
        box = tab.locator(end).bounding_box()
        assert box["x"] + box["width"] <= key["x"] + key["width"]
    inside, shown = tab.evaluate(
        "['scrollWidth', 'clientWidth'].map((each) => document.getElementById('keybody')[each])"
    )
    assert inside <= shown


def test_without_webgl_a_plain_canvas_paints(browser, books_page):
    context = browser.new_context(offline=True)
    context.add_init_script(
        "const real = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind === 'webgl2' ? null : real.call(this, kind, ...rest); };"
    )
    tab = context.new_page()
    tab.goto(Path(books_page).as_uri())
    wait_until(tab, "window.entityMap && entityMap.ready")
    assert tab.evaluate("entityMap.renderer") == "canvas"
    x, y, _ = tab.evaluate("entityMap.screen(0)")
    painted = tab.evaluate(
        f"[...document.getElementById('points').getContext('2d').getImageData({x}, {y}, 1, 1).data]"
    )
    assert painted[3] > 150  # a grey point
    context.close()


def test_pages_of_37_000_points_pan_smoothly(visit, tmp_path):
    """Frames while panning, relative to frames of a page that does nothing in the same time."""
    n = 37_000
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    embedder = FakeEmbedder([f"Book {i}" for i in range(n)], vectors, counts=rng.integers(1, 99, n))
    names = embedder.categories_[0]
    genres = pd.DataFrame({"genre": rng.choice(list("abcdefghijkl"), n)}, index=names)
    path = tmp_path / "large.html"
    nobody = np.tile(np.arange(10), (n, 1))  # neighbours are not what is timed here
    embedder.kneighbors = lambda *args, **kwargs: (nobody.astype(np.float32) / 10, nobody)
    embedding_map(embedder, path, metadata=genres, color="genre", method=vectors[:, :2])
    tab = visit(path)
    count_frames = """(move) => new Promise((resolve) => {
        let frames = 0, start;
        const step = (now) => {
          start ??= now;
          if (now - start > 2000) { resolve(frames); return; }
          frames++;
          if (move) { entityMap.pan(frames % 40 < 20 ? 4 : -4, 1); entityMap.finish(); }
          requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
    })"""
    idle, panning = (tab.evaluate(count_frames, move) for move in (False, True))
    drawn = tab.evaluate("entityMap.frames()")
    assert drawn >= 0.5 * panning
    # software WebGL gave 25 of 119 frames on two cores that eleven processes shared
    assert panning >= 0.05 * idle
