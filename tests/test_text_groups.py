"""Groups of categories whose texts are alike: how they are found and tested, and what they do for rare and new ones."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _made import PLAIN, QUICK, Callback
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline

from sk_entity_embed import (
    EntityEmbedder,
    EntityEmbeddingClassifier,
    EntityEmbeddingRegressor,
    _persistence,
)
from sk_entity_embed import _text_groups as text_groups
from sk_entity_embed._head import forward
from sk_entity_embed._records import TrainedNetwork, TrainingTable
from sk_entity_embed._text_groups import (
    TextGroups,
    append_groups,
    join_columns,
    learn_text_groups,
    tell_apart,
)

TRADES = ["Librarian", "Firefighter", "Bus Operator", "Police Officer", "Registered Nurse", "Clerk"]


def make_titles(n_titles=180, seed=0):
    """Titles such as "Police Officer II, Northwood", and the trade of each."""
    rng = np.random.default_rng(seed)
    starts, ends = ["North", "South", "Oak", "Elm", "Lake", "Mill"], ["wood", "ford", "ton", "dale"]
    places = [s + e for s in starts for e in ends]
    every = [f"{t} {g}, {p}" for t in TRADES for g in ("I", "II", "III") for p in places]
    trades = np.repeat(np.arange(len(TRADES)), 3 * len(places))
    drawn = rng.permutation(len(every))[:n_titles]
    return np.array(every, dtype=object)[drawn], trades[drawn]


@pytest.fixture(scope="module")
def staff():
    """Salaries by trade; three rows of each title. A third of the titles are new."""
    titles, trades = make_titles()
    rng = np.random.default_rng(1)
    is_known = np.arange(len(titles)) < 120
    rows = rng.permutation(np.repeat(np.flatnonzero(is_known), 3))
    pay = np.array([1.0, 3.0, 0.0, 4.0, 5.0, 2.0])[trades]
    X = pd.DataFrame({"title": titles[rows], "year": rng.integers(0, 30, len(rows)).astype(float)})
    y = pay[rows] + 0.02 * X["year"].to_numpy() + rng.normal(0, 0.3, len(rows))
    X_new = pd.DataFrame({"title": titles[~is_known], "year": 15.0})
    return X, y, X_new, pay[~is_known] + 0.3


def as_table(codes, target):
    target = np.asarray(target, dtype=np.float32).reshape(len(codes), -1)
    return TrainingTable(codes[:, None], np.empty((len(codes), 0), np.float32), target)


# --- which texts are alike -------------------------------------------------------------------------


def test_texts_that_are_alike_share_a_group():
    """Nearly all titles of a group are of one trade."""
    titles, trades = make_titles()
    groups = learn_text_groups(titles, np.ones(len(titles), dtype=int))
    assert len(groups) == round(len(titles) ** 0.5)
    shares = pd.crosstab(groups.of_category, trades)
    assert shares.max(axis=1).sum() > 0.9 * len(titles)


def test_a_known_text_is_assigned_to_its_group():
    """Whatever its case and accents; a text of other n-grams to none."""
    titles, _ = make_titles()
    groups = learn_text_groups(titles, np.ones(len(titles), dtype=int))
    np.testing.assert_array_equal(groups.assign(titles), groups.of_category)
    shouted = [t.upper().replace("I", "Í") for t in titles]
    np.testing.assert_array_equal(groups.assign(shouted), groups.of_category)
    assert groups.assign(["", " ", "zzyzx", "ψ", "\ud800"]).tolist() == [-1] * 5
    assert groups.assign([]).shape == (0,)


def test_of_a_long_text_the_first_letters_count():
    """Else ten thousand texts of many pages would take minutes."""
    titles, _ = make_titles()
    groups = learn_text_groups(titles, np.ones(len(titles), dtype=int))
    start = " ".join(titles[:60])[: text_groups.MAX_LETTERS]
    assert text_groups._count_ngrams([start + "z" * 10_000]).sum() < 3 * text_groups.MAX_LETTERS
    assert groups.assign([start + "z" * 10_000, start]).tolist() == [groups.assign([start])[0]] * 2


def test_texts_are_read_some_at_a_time(monkeypatch):
    """Which changes nothing but the memory that it takes."""
    titles, _ = make_titles()
    whole = learn_text_groups(titles, np.ones(len(titles), dtype=int))
    monkeypatch.setattr(text_groups, "_TEXTS_AT_ONCE", 7)
    parts = learn_text_groups(titles, np.ones(len(titles), dtype=int))
    np.testing.assert_array_equal(whole.ngrams, parts.ngrams)
    np.testing.assert_array_equal(whole.of_category, parts.of_category)


def test_texts_beyond_the_commonest_are_assigned(monkeypatch):
    """Groups are found among the commonest; the others come to the nearest of them."""
    titles, trades = make_titles(300)
    counts = np.where(np.arange(300) < 200, 5, 1)
    monkeypatch.setattr(text_groups, "MAX_COMPARED", 200)
    groups = learn_text_groups(titles, counts)
    few = learn_text_groups(titles[:200], counts[:200])
    np.testing.assert_array_equal(groups.of_category[:200], few.of_category)
    shares = pd.crosstab(groups.of_category[200:], trades[200:])
    assert shares.max(axis=1).sum() > 0.9 * 100


@pytest.mark.parametrize(
    "categories",
    [
        [f"shop {i}" for i in range(19)],
        list(range(50)),
        [*(f"shop {i}" for i in range(50)), 7, None],
        [*(f"shop {i}" for i in range(50)), 7],
        [chr(0x4E00 + 7 * i) for i in range(50)],
    ],
    ids=["few", "numbers", "objects", "an object at the end", "without a common n-gram"],
)
def test_some_columns_have_no_groups(categories):
    """Of few categories, or of such as have no texts to compare."""
    array = np.array(categories, dtype=object if categories[-1] in (7, None) else None)
    assert learn_text_groups(array, np.ones(len(array), dtype=int)) is None


def test_a_missing_value_has_no_group():
    """It is the last category, and no text."""
    titles, _ = make_titles()
    groups = learn_text_groups(np.append(titles, [None]), np.ones(len(titles) + 1, dtype=int))
    assert groups.of_category[-1] == -1
    assert groups.of_category[:-1].min() >= 0


def test_equal_texts_are_one_place():
    """More groups than different texts would be a warning of k-means."""
    categories = np.array(["Ab", "aB", "AB", "ab", "ÁB", "ab ", " ab", "áb"] * 5, dtype=object)
    categories[:20] = [f"{'x' * i}" for i in range(3, 23)]
    groups = learn_text_groups(categories, np.ones(40, dtype=int))
    assert groups is None or len(groups) <= 21


def test_texts_that_repeat_a_word_are_one_place():
    """Rounding errors keep them apart, of which k-means would warn."""
    categories = np.array(["abc " * i for i in range(1, 60)], dtype=object)
    assert len(learn_text_groups(categories, np.ones(59, dtype=int))) == 1
    rng = np.random.default_rng(0)
    for _ in range(20):
        words = ["".join(rng.choice(list("abcdxyz "), rng.integers(2, 9))) for _ in range(4)]
        some = [(rng.choice(words) + " ") * rng.integers(1, 30) for _ in range(60)]
        learn_text_groups(np.array(some, dtype=object), np.ones(60, dtype=int))


def test_each_group_has_a_member():
    """The vector of a group without one would be as random as it started, and new texts would get it."""
    pairs = [chr(0x4E00 + i % 40) + chr(0x4E00 + 7 * (i // 40)) + "\u5e02" for i in range(400)]
    for texts in (pairs, ["ab" + " " * i + "c" for i in range(30)]):
        groups = learn_text_groups(np.array(texts, dtype=object), np.ones(len(texts), dtype=int))
        members = groups.of_category[groups.of_category >= 0]
        assert np.unique(members).tolist() == list(range(len(groups)))
        np.testing.assert_array_equal(groups.assign(texts), groups.of_category)


def test_texts_that_are_mostly_unfamiliar_to_each_other_have_no_groups():
    """Each shares one n-gram of many with others."""
    texts = [f"{chr(0x4E00 + 9 * i)}{chr(0x4E01 + 9 * i)}{'abcde'[i % 5]}" for i in range(60)]
    assert learn_text_groups(np.array(texts, dtype=object), np.ones(60, dtype=int)) is None


# --- whether they tell anything --------------------------------------------------------------------


def test_groups_that_tell_are_told_from_others():
    """By their trades always; of 40 targets by title alone hardly one."""
    titles, trades = make_titles()
    groups = learn_text_groups(titles, np.ones(len(titles), dtype=int))
    rng = np.random.default_rng(0)
    category = rng.integers(0, len(titles), 2000)
    passed = 0
    for _ in range(40):
        effect = rng.standard_normal(len(titles))[category]
        passed += tell_apart(groups, category + 1, as_table(category, effect))
    assert passed <= 3
    y = trades[category] + rng.standard_normal(2000)
    assert tell_apart(groups, category + 1, as_table(category, y))
    classes = np.eye(len(TRADES))[trades[category]]
    assert tell_apart(groups, category + 1, as_table(category, classes))


def test_rows_of_no_weight_do_not_tell():
    """Nor does a column of which nothing is known."""
    titles, trades = make_titles()
    groups = learn_text_groups(titles, np.ones(len(titles), dtype=int))
    rng = np.random.default_rng(0)
    category = rng.integers(0, len(titles), 4000)
    weight = np.repeat(np.array([2, 0], dtype=np.float32), 2000)
    y = np.append(rng.standard_normal(len(titles))[category[:2000]], trades[category[2000:]])
    table = as_table(category, y)
    assert tell_apart(groups, category + 1, table)
    assert not tell_apart(groups, category + 1, replace(table, weight=weight))
    assert not tell_apart(groups, np.zeros(4000, dtype=int), table)


# --- in the network --------------------------------------------------------------------------------


def test_a_joined_network_answers_the_same():
    """The vector of a category ends with that of its group; rows of the first layer follow."""
    rng = np.random.default_rng(0)
    of_category = np.array([0, 2, -1, 1], dtype=np.int32)
    none = np.empty(0, np.int32)
    groups = TextGroups(of_category, none, np.empty((0, 1)), np.empty((3, 1)))
    texts = [None, groups, None]
    shapes = [(3, 2), (5, 3), (2, 1), (4, 2)]  # codes and components; the last: groups and none
    tables = [rng.standard_normal((2, *shape)).astype(np.float32) for shape in shapes]
    head = {
        "coefs": [rng.standard_normal((2, 8, 6)), rng.standard_normal((2, 6, 1))],
        "intercepts": [rng.standard_normal((2, 1, 6)), rng.standard_normal((2, 1, 1))],
    }
    codes = np.array([[1, 1, 1], [2, 2, 0], [0, 3, 1], [2, 4, 1], [1, 0, 0], [1, 6, 1]], np.int32)
    wide = append_groups(codes, [None, groups.of_code, None])
    assert wide[:, 3].tolist() == [1, 3, 0, 2, 0, 2]
    joined = join_columns(TrainedNetwork(tables, head, [], 1), texts)
    assert [t.shape for t in joined.tables] == [(2, 3, 2), (2, 8, 5), (2, 2, 1)]
    wide[wide[:, 1] > 4, 1] = 0  # to the network, a new text is unknown
    for k in range(2):
        before = np.hstack([t[k, code] for t, code in zip(tables, wide.T)])
        after = np.hstack([t[k, code] for t, code in zip(joined.tables, codes.T)])
        no_numbers = np.empty((len(codes), 0), np.float32)
        np.testing.assert_allclose(
            forward(joined.head, after, no_numbers, body=k),
            forward(head, before, no_numbers, body=k),
        )


def test_new_texts_are_told_by_their_group(staff):
    """The predictor knows what titles pay that it has not seen."""
    X, y, X_new, y_new = staff
    score = {}
    for groups in ("auto", False):
        model = EntityEmbeddingRegressor(text_groups=groups, random_state=0).fit(X, y)
        score[groups] = r2_score(y_new, model.predict(X_new))
    assert score["auto"] > 0.9
    assert score[False] < 0.2


@pytest.mark.parametrize("add_prediction", [False, True])
def test_the_vector_of_a_new_text_is_that_of_its_group(staff, add_prediction):
    """New titles of one group have one vector, unfamiliar ones the unknown vector."""
    X, y, X_new, _ = staff
    embedder = EntityEmbedder(add_prediction=add_prediction, random_state=0).fit(X, y)
    width = embedder.n_components_[0]
    groups = TextGroups(**embedder._texts[0])
    found = embedder.transform(X_new)
    expected = embedder._group_vectors[0][groups.assign(X_new["title"].tolist())]
    np.testing.assert_array_equal(found[:, :width], expected)
    strange = embedder.transform(X_new.assign(title=["zzyzx", None] * (len(X_new) // 2)))
    assert (strange[:, :width] == embedder.unknown_vectors_[0]).all()
    assert len(np.unique(found[:, :width], axis=0)) > 5


def test_new_categories_may_be_of_any_type(staff):
    """Texts among numbers and missing values are found; a float is no text."""
    X, y, X_new, _ = staff
    embedder = EntityEmbedder(**QUICK | {"max_epochs": 10}).fit(X, y)
    cells = [7.5, X_new["title"][0], None, X["title"][0], X_new["title"][0]]
    out = embedder.transform(pd.DataFrame({"title": pd.Series(cells, dtype=object), "year": 1.0}))
    assert (out[[0, 2], :-1] == embedder.unknown_vectors_[0]).all()
    np.testing.assert_array_equal(out[1], out[4])
    assert (out[1, :-1] != embedder.unknown_vectors_[0]).any()


def test_rare_categories_share_the_unknown_vector(staff):
    """`min_frequency` says so, familiar as they may look."""
    X, y, _, _ = staff
    rare = X.assign(title=X["title"].where(X.index > 0, "Clerk II, Newdale"))
    embedder = EntityEmbedder(**QUICK, min_frequency=2, text_groups=True).fit(rare, y)
    assert embedder.infrequent_categories_[0].tolist() == ["Clerk II, Newdale"]
    out = embedder.transform(rare[:1])[0, :-1]
    np.testing.assert_array_equal(out, embedder.unknown_vectors_[0])


@pytest.mark.parametrize(
    ("settings", "has_groups"),
    [
        ({}, True),
        ({"cv": None}, True),
        ({"text_groups": False}, False),
        ({"n_components": 3}, False),
        ({"n_components": {"title": 3}}, False),
    ],
)
def test_which_columns_are_grouped(staff, settings, has_groups):
    """Those of automatic width whose groups tell something."""
    X, y, _, _ = staff
    embedder = EntityEmbedder(**QUICK | settings).fit(X, y)
    assert (embedder.text_groups_[0] is not None) == has_groups
    if has_groups:
        assert embedder.text_groups_[0].shape == embedder.categories_[0].shape


def test_groups_that_say_nothing_are_left_out(staff):
    """Unless they are asked for; then the vectors are as wide as without."""
    X, y, X_new, _ = staff
    other = np.random.default_rng(3).permutation(y)
    assert EntityEmbedder(**QUICK).fit(X, other).text_groups_ == [None]
    embedder = EntityEmbedder(**QUICK, text_groups=True).fit(X, other)
    assert embedder.text_groups_[0] is not None
    assert embedder.n_components_[0] <= 4  # the fourth root of 120
    assert embedder.transform(X_new).shape[1] == embedder.n_components_[0] + 1


def test_groups_do_not_leak():
    """Of a coin, out-of-fold predictions know nothing, though groups were asked for."""
    titles, _ = make_titles(400)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"title": titles[rng.integers(0, 400, 6000)]})
    y = rng.integers(0, 2, 6000)
    embedder = EntityEmbedder(add_prediction=True, text_groups=True, max_epochs=10, random_state=0)
    assert roc_auc_score(y, embedder.fit_transform(X, y)[:, -1]) == pytest.approx(0.5, abs=0.03)


def test_pairs_may_cross_groups(staff):
    """Of a new text they know the group: two columns whose groups count together predict new titles."""
    titles, trades = make_titles(300)
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 200, (2, 4000))
    effect = rng.standard_normal((len(TRADES), len(TRADES)))
    y = effect[trades[left], trades[right]] + rng.normal(0, 0.1, 4000)
    X = pd.DataFrame({"a": titles[left], "b": [f"{t}!" for t in titles[right]]})
    model = EntityEmbeddingRegressor(crossed_pairs=True, max_epochs=20, random_state=0).fit(X, y)
    embedder = model.embedder_
    n_columns = [*embedder._pairs["left"], *embedder._pairs["right"]]
    assert max(n_columns) > 1
    new = rng.integers(200, 300, (2, 500))
    X_new = pd.DataFrame({"a": titles[new[0]], "b": [f"{t}!" for t in titles[new[1]]]})
    assert model.score(X_new, effect[trades[new[0]], trades[new[1]]]) > 0.5


def test_classes_have_groups_too(staff):
    """Probabilities of a title that is new."""
    X, y, X_new, y_new = staff
    cuts = [1.5, 3.5]
    model = EntityEmbeddingClassifier(random_state=0).fit(X, np.digitize(y, cuts))
    assert model.embedder_.text_groups_[0] is not None
    assert model.score(X_new, np.digitize(y_new, cuts)) > 0.85


def test_one_seed_one_fit(staff):
    """The same bits, groups included; nothing else of the process is changed."""
    X, y, X_new, _ = staff
    np.random.seed(0)  # noqa: NPY002, a stranger's seed
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two = (EntityEmbedder(**QUICK).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(one.transform(X_new), two.transform(X_new))
    for key, array in one._texts[0].items():
        np.testing.assert_array_equal(array, two._texts[0][key])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_groups_are_kept(staff, tmp_path):
    """Pickled or saved, new texts have the same vectors and predictions."""
    X, y, X_new, _ = staff
    embedder = EntityEmbedder(**PLAIN, add_prediction=True).fit(X, y)
    embedder.save(tmp_path / "staff.safetensors")
    expected = embedder.transform(X_new)
    copies = (
        pickle.loads(pickle.dumps(embedder)),
        EntityEmbedder.load(tmp_path / "staff.safetensors"),
    )
    for copied in copies:
        np.testing.assert_array_equal(copied.transform(X_new), expected)
        np.testing.assert_array_equal(copied.text_groups_[0], embedder.text_groups_[0])


def _change(key, change):
    """A function that puts another value into the groups of a saved embedder."""
    return lambda state: state["_texts"][0].update({key: change(state["_texts"][0][key])})


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state["_texts"].__setitem__(0, None),
        lambda state: state["_texts"].pop(),
        lambda state: state["_texts"][0].pop("centers"),
        lambda state: state["_group_vectors"].pop(),
        lambda state: state["_group_vectors"].__setitem__(0, state["_group_vectors"][0][:-1]),
        lambda state: state["_group_vectors"].__setitem__(0, state["_group_vectors"][0][:, :0]),
        lambda state: state["_group_vectors"].__setitem__(0, state["_group_vectors"][0].ravel()),
        *(
            _change(key, change)
            for key in ("of_category", "ngrams", "directions", "centers")
            for change in (
                lambda array: array[:-1],
                lambda array: array[:0],
                lambda array: array[None],
                lambda array: array.astype(str),
                lambda array: None,
            )
        ),
        _change("of_category", lambda groups: groups + 1),
        _change("of_category", lambda groups: groups - 2),
        _change("of_category", lambda groups: groups + 0.5),
        _change("ngrams", lambda hashes: hashes + text_groups.N_HASHES),
        _change("centers", lambda centers: centers[:, :-1]),
    ],
)
def test_groups_that_do_not_fit_are_refused(fitted_file, tmp_path, damage):
    """A file is damaged when it is read, not when the first new text comes."""
    content = _persistence.read(fitted_file, "EntityEmbedder")
    damage(content["state"])
    broken = tmp_path / "broken"
    _persistence.write(broken, "EntityEmbedder", content)
    with pytest.raises(ValueError, match="is damaged"):
        EntityEmbedder.load(broken)


@pytest.fixture(scope="module")
def fitted_file(staff, tmp_path_factory):
    X, y, _, _ = staff
    path = tmp_path_factory.mktemp("groups") / "staff"
    EntityEmbedder(**PLAIN).fit(X, y).save(path)
    return path


def test_a_fit_without_texts_forgets_groups(staff):
    """Of pairs as well."""
    X, y, _, _ = staff
    embedder = EntityEmbedder(**QUICK).fit(X, y)
    embedder.set_params(interaction="dot", n_components=2)
    embedder.fit(pd.DataFrame({"a": list("aabbcc"), "b": list("xyyzzx")}))
    with pytest.raises(AttributeError, match="text_groups_ is there after"):
        _ = embedder.text_groups_
    assert embedder.transform(pd.DataFrame({"a": ["a", "new"], "b": ["x", "y"]})).shape == (2, 4)


@pytest.mark.parametrize("crossed_pairs", [False, True])
def test_a_callback_sees_groups(staff, crossed_pairs):
    """After each epoch there is an estimator that knows new titles; the last one is the result."""
    X, y, X_new, _ = staff
    X, X_new = (data.assign(year=(data["year"] % 3).astype(str)) for data in (X, X_new))
    seen = []

    class Watcher(Callback):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if context.task_name == "epoch":
                seen.append(fitted_estimator.predict(X_new))

    model = EntityEmbeddingRegressor(**QUICK, crossed_pairs=crossed_pairs)
    model.set_callbacks(Watcher()).fit(X, y)
    assert model.embedder_.text_groups_[0] is not None
    assert len(seen) == (5 if crossed_pairs else 3)
    assert (seen[0] != seen[1]).any()
    np.testing.assert_array_equal(seen[-1], model.predict(X_new))


def test_in_a_pipeline_of_pandas(staff):
    """Names and an index as without groups."""
    X, y, X_new, _ = staff
    pipeline = make_pipeline(EntityEmbedder(**QUICK)).set_output(transform="pandas")
    out = pipeline.fit(X, y).transform(X_new)
    assert out.columns[-1] == "year"
    assert out.index.equals(X_new.index)
