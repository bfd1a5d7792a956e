"""A component for what a linear model would give each category."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.linear_model import LogisticRegression, Ridge

from sk_entity_embed import EntityEmbedder, _fit_network
from sk_entity_embed._effects import append_effects, fit_additive_model, standardise
from sk_entity_embed._records import TrainingTable

QUICK = {"hidden_layer_sizes": (16,), "max_epochs": 10, "random_state": 0}


def draw_additive(n_rows=4000, noise=0.1, seed=0):
    """Codes of two columns, a number, their effects, and the sum of all."""
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(1, n, n_rows) for n in (6, 41)]).astype(np.int32)
    numeric = rng.normal(size=(n_rows, 1)).astype(np.float32)
    effects = [rng.normal(size=n) for n in (6, 41)]
    y = effects[0][codes[:, 0]] + effects[1][codes[:, 1]] - 2 * numeric[:, 0]
    return codes, numeric, effects, y + noise * rng.normal(size=n_rows)


def make_bent(n_rows=1500, seed=0):
    """Cities that differ in their size alone, whose square counts: a number tells all, if one may bend it.

    What a line through the sizes leaves is a matter of the city, for a linear model.
    """
    rng = np.random.default_rng(seed)
    city = rng.integers(15, size=n_rows)
    size = rng.normal(size=15)[city] + 0.2 * rng.normal(size=n_rows)
    kind = rng.integers(4, size=n_rows)
    y = size**2 + 0.5 * kind + 0.1 * rng.normal(size=n_rows)
    X = pd.DataFrame({"city": [f"no. {i}" for i in city], "kind": kind.astype(str), "size": size})
    return X, y


def make_training(codes, numeric, y, n_folds=3):
    target = ((y - y.mean()) / y.std()).astype(np.float32)[:, None]
    return TrainingTable(codes, numeric, target, fold=np.arange(len(y)) % n_folds)


def test_planted_effects_are_found():
    """Beside those of another column and of a number; a constant is nobody's."""
    codes, numeric, planted, y = draw_additive()
    found, left = fit_additive_model(codes, [6, 41], numeric, y, np.ones(len(y)))
    assert left.std() < 0.11  # of noise of 0.1
    for effects, truth in zip(found, planted):
        assert effects[0] == 0  # no row has it
        apart = effects[1:] - truth[1:]
        np.testing.assert_allclose(apart - apart.mean(), 0, atol=0.05)


def test_effects_are_best_linear_unbiased_predictions():
    """For the variances that are found: a rare category is shrunk, a column of chance nearly to nothing."""
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(200, size=2000), rng.integers(50, size=2000)])
    codes = codes.astype(np.int32)
    truth = rng.normal(size=200)
    y = truth[codes[:, 0]] + 2 * rng.normal(size=2000)
    (effects, of_chance), _ = fit_additive_model(
        codes, [200, 50], np.empty((2000, 0), np.float32), y, np.ones(2000)
    )
    counts = np.bincount(codes[:, 0])
    means = np.bincount(codes[:, 0], y - y.mean()) / counts
    # Variances 4 and 1, so a mean of n rows is shrunk by n / (n + 4).
    best = means * counts / (counts + 4)
    assert np.corrcoef(effects, best)[0, 1] > 0.99
    assert np.square(effects - best).mean() < 0.02 * np.square(best).mean()
    assert of_chance.std() < 0.3 * effects.std()


def test_a_weight_of_two_is_two_rows_and_one_of_zero_none():
    """To the last digits that 32 bits of a number hold."""
    codes, numeric, _, y = draw_additive(300)
    weight = np.random.default_rng(1).integers(3, size=300).astype(float)
    rows = np.repeat(np.arange(300), weight.astype(int))
    weighted, left = fit_additive_model(codes, [6, 41], numeric, y, weight)
    repeated, left_of_repeated = fit_additive_model(
        codes[rows], [6, 41], numeric[rows], y[rows], np.ones(len(rows))
    )
    np.testing.assert_allclose(left[rows], left_of_repeated, atol=1e-4)
    for one, other in zip(weighted, repeated):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_numbers_are_filled_and_marked():
    """Without a warning for those that are all missing, or all alike."""
    numeric = np.array([[1, 3, np.nan, 7], [2, np.nan, np.nan, 7], [6, 5, np.nan, 7]], np.float32)
    scaled = standardise(numeric)
    expected = (numeric[:, 0] - 3) / np.sqrt(14 / 3)
    np.testing.assert_allclose(scaled[:, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(scaled[:, 1:4], [[-1, 0, 0], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(scaled[:, 4:], [[0, 1], [1, 1], [0, 1]])


def test_numbers_that_are_sums_of_others():
    """As marks of the same missing cells are: they share what one of them would have had."""
    codes, numeric, _, y = draw_additive(500)
    once, _ = fit_additive_model(codes, [6, 41], numeric, y, np.ones(500))
    many = np.repeat(numeric, 20, axis=1) * np.linspace(0.5, 2, 20, dtype=np.float32)
    for one, other in zip(once, fit_additive_model(codes, [6, 41], many, y, np.ones(500))[0]):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_outliers_of_large_weight_in_numbers_that_are_multiples_of_others():
    """In 32 bits the outlier's square leaves no digit for what keeps the numbers apart."""
    codes, numeric, planted, y = draw_additive(20_000)
    numeric[3] = 1e4
    numeric = standardise(np.hstack([numeric, 2 * numeric, -numeric]))
    weight = np.ones(20_000)
    weight[3] = 1e4
    found, _ = fit_additive_model(codes, [6, 41], numeric, y, weight)
    for effects, truth in zip(found, planted):
        assert np.corrcoef(effects[1:], truth[1:])[0, 1] > 0.9


def test_a_row_that_outweighs_all_others():
    """Next to its weight those of all other folds are zero in 32 bits."""
    X, y = make_bent(300)
    weight = np.ones(300)
    weight[3] = 1e60
    vectors = EntityEmbedder(**QUICK).fit_transform(X, y, sample_weight=weight)
    assert np.isfinite(vectors).all()


def test_labels_of_a_fold_have_no_part_in_its_effects():
    """Table 0 keeps its bits whatever the labels of fold 0 say; the others do not."""
    codes, numeric, _, y = draw_additive(600)
    table = make_training(codes, numeric, y)
    blank = [np.zeros((3, n, 1), dtype=np.float32) for n in (6, 41)]
    target = table.target.copy()
    target[table.fold == 0] *= 2
    one, other = (
        append_effects(blank, t, numeric, [None, None], [2, 2], "squared_error")
        for t in (table, replace(table, target=target))
    )
    for before, after in zip(one, other):
        assert before.shape[2] == after.shape[2] == 2
        np.testing.assert_array_equal(before[0], after[0])
        assert np.abs(before[1:, 1:, 1] - after[1:, 1:, 1]).max() > 0.1


def test_a_linear_model_learns_what_the_network_leaves_to_a_number():
    """The network bends the number and has nothing to say of cities."""
    X, y = make_bent(3000)
    X, y, X_new, y_new = X[:1500], y[:1500], X[1500:], y[1500:]
    scores = []
    for told in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not told:
                patch.setattr(_fit_network, "append_effects", lambda tables, *_: tables)
            embedder = EntityEmbedder(**{**QUICK, "max_epochs": 60})
            model = Ridge().fit(embedder.fit_transform(X, y), y)
        scores.append(model.score(embedder.transform(X_new), y_new))
        assert list(embedder.get_feature_names_out()).count("city_1") == told
    assert scores[0] > scores[1] + 0.05


def test_vectors_that_tell_all_get_no_effect():
    """Effects that add up are what a component of a response tells."""
    codes, numeric, _, y = draw_additive(3000)
    X = pd.DataFrame({"a": codes[:, 0].astype(str), "b": codes[:, 1].astype(str)})
    embedder = EntityEmbedder(hidden_layer_sizes=(), max_epochs=60, random_state=0)
    embedder.fit(X.assign(x=numeric[:, 0]), y)
    assert embedder.n_components_ == [1, 1]


@pytest.mark.parametrize(
    "settings", [{"cv": None}, {"n_components": 2}, {"n_components": {"city": 2}}]
)
def test_no_effect_where_a_width_is_given_or_nothing_is_cross_fitted(settings):
    """A width is taken at its word; without folds an effect would have seen the labels of its rows."""
    X, y = make_bent(400)
    names = EntityEmbedder(**QUICK, **settings).fit(X, y).get_feature_names_out()
    assert "city_2" not in names
    assert np.sum(["city" in name for name in names]) <= 2


def test_a_random_target_has_no_effects():
    """The vectors are as wide as they were."""
    X, _ = make_bent(1000)
    coin = np.random.default_rng(1).integers(2, size=1000)
    told = EntityEmbedder(**QUICK).fit(X, coin).n_components_
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fit_network, "append_effects", lambda tables, *_: tables)
        assert EntityEmbedder(**QUICK).fit(X, coin).n_components_ == told


def test_a_random_target_of_uneven_weights_has_no_effects():
    """Two thousand rows of which a few outweigh the others are few rows."""
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(1, n, 2000) for n in (51, 301)]).astype(np.int32)
    blank = [np.zeros((5, n, 1), dtype=np.float32) for n in (51, 301)]
    none = np.empty((2000, 0), np.float32)
    for _ in range(10):
        weight = np.exp(3 * rng.normal(size=2000))
        table = make_training(codes, none, rng.normal(size=2000), n_folds=5)
        table = replace(table, weight=(weight / weight.mean()).astype(np.float32))
        told = append_effects(blank, table, none, [None, None], [2, 2], "squared_error")
        assert [t.shape[2] for t in told] == [1, 1]


def test_several_classes_share_components():
    """Three classes that a number tells by its bends, of which a linear model would see two more directions."""
    X, y = make_bent(3000)
    y = np.digitize(y, [0.5, 1.5])
    scores = []
    for told in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not told:
                patch.setattr(_fit_network, "append_effects", lambda tables, *_: tables)
            embedder = EntityEmbedder(**{**QUICK, "max_epochs": 60})
            Z = embedder.fit_transform(X[:1500], y[:1500])
        model = LogisticRegression(max_iter=1000).fit(Z, y[:1500])
        scores.append(model.score(embedder.transform(X[1500:]), y[1500:]))
    assert scores[0] > scores[1] + 0.02


def test_no_vector_grows_beyond_twice_its_width_nor_its_bound():
    """Of two outputs whose effects both count."""
    codes, numeric, _, y = draw_additive(1000)
    other = np.random.default_rng(1).normal(size=(6, 41))[codes[:, 0], codes[:, 1]]
    table = make_training(codes, numeric, y)
    other = ((other - other.mean()) / other.std()).astype(np.float32)[:, None]
    table = replace(table, target=np.hstack([table.target, other]))
    for width, most, expected in [(1, 9, 2), (2, 9, 4), (2, 3, 3), (2, 2, 2)]:
        blank = [np.zeros((3, n, width), dtype=np.float32) for n in (6, 41)]
        told = append_effects(blank, table, numeric, [None, None], [0, most], "squared_error")
        assert [t.shape[2] for t in told] == [width, expected]


def test_outputs_that_say_the_same_have_one_component():
    """As three classes have two: the effects on the last are those on the others, mirrored."""
    codes, numeric, _, y = draw_additive(2000)
    table = make_training(codes, numeric, y)
    classes = np.eye(3, dtype=np.float32)[np.digitize(table.target[:, 0], [-0.5, 0.5])]
    blank = [np.zeros((3, n, 4), dtype=np.float32) for n in (6, 41)]
    for target, loss, n in [
        (table.target[:, [0, 0, 0]], "squared_error", 1),
        (classes, "cross_entropy", 2),
    ]:
        told = append_effects(
            blank, replace(table, target=target), numeric, [None, None], [9, 9], loss
        )
        assert [t.shape[2] for t in told] == [4 + n, 4 + n]


def test_what_is_found_of_one_output_must_count_among_all():
    """Effects on a rare class alone, which two common ones know nothing of, widen no vector."""
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 201, (6000, 1)).astype(np.int32)
    is_rare = (codes[:, 0] == 1) & (rng.random(6000) < 0.8)
    classes = np.column_stack([is_rare, ~is_rare, ~is_rare]).astype(np.float32)
    classes[:, 1:] *= np.eye(2)[rng.integers(2, size=6000)]
    numeric = rng.normal(size=(6000, 1)).astype(np.float32)
    table = make_training(codes, numeric, numeric[:, 0])
    blank = [np.zeros((3, 201, 2), dtype=np.float32)]
    for target, width in [(classes, 2), (classes[:, :1], 3)]:
        labels = replace(table, target=target)
        (vectors,) = append_effects(blank, labels, numeric, [None], [9], "squared_error")
        assert vectors.shape[2] == width


def test_a_component_takes_no_other_column_s_name():
    """A few steps tell little of the cities, so effects would be a third component."""
    rng = np.random.default_rng(0)
    city = rng.integers(15, size=6000)
    y = rng.normal(size=15)[city] + 0.1 * rng.normal(size=6000)
    X = pd.DataFrame({"city": [f"no. {i}" for i in city], "size": rng.normal(size=6000)})
    embedder = EntityEmbedder(**{**QUICK, "max_epochs": 2}).set_output(transform="pandas")
    assert embedder.fit_transform(X, y).columns.tolist() == ["city_0", "city_1", "city_2", "size"]
    columns = embedder.fit_transform(X.rename(columns={"size": "city_2"}), y).columns
    assert columns.tolist() == ["city_0", "city_1", "city_2"]


def test_more_outputs_than_ten_are_not_asked():
    """There would be a model for each."""
    X, y = make_bent(400)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sk_entity_embed._effects.fit_additive_model", None)
        EntityEmbedder(**QUICK).fit(X, np.column_stack([y] * 11))


def test_effects_on_a_class_are_log_odds():
    """As the vectors that they stand beside."""
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 3, size=(20_000, 1)).astype(np.int32)
    y = (rng.random(20_000) < np.array([0, 0.35, 0.55])[codes[:, 0]]).astype(np.float32)
    table = TrainingTable(
        codes, np.empty((20_000, 0), np.float32), y[:, None], fold=np.arange(20_000) % 5
    )
    blank = [np.zeros((5, 3, 1), dtype=np.float32)]
    (vectors,) = append_effects(blank, table, table.numeric, [None], [2], "log_loss")
    low, high = vectors[:, 1:, 1].mean(axis=0)
    shares = [y[codes[:, 0] == code].mean() for code in (1, 2)]
    assert high - low == pytest.approx(np.diff(logit(shares))[0], abs=0.05)


def test_a_new_text_has_the_effect_of_its_group():
    """A category's effect is its group's and its own."""
    codes, numeric, _, y = draw_additive(600)
    of_code = np.concatenate([[0], 1 + np.arange(40) % 4, [1, 2, 3, 4]])
    with_groups = np.column_stack([codes, of_code[codes[:, 1]]]).astype(np.int32)
    y = y + 5 * of_code[codes[:, 1]]
    table = make_training(with_groups, numeric, y)
    blank = [np.zeros((3, n, 1), dtype=np.float32) for n in (6, 45)]
    _, vectors = append_effects(blank, table, numeric, [None, of_code], [2, 2], "squared_error")
    of_groups = vectors[:, 41:, 1].mean(axis=0) * y.std()
    np.testing.assert_allclose(np.diff(of_groups), 5, atol=1.5)
    assert (vectors[:, 0, 1] == 0).all()  # an unknown category of no group
