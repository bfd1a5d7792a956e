"""Training of link vectors, both solvers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from sk_entity_embed._fold_in import fold_in
from sk_entity_embed._links_records import LinkPairs, LinkSpec, link_matrix
from sk_entity_embed._torch import _links, _links_exact
from sk_entity_embed._torch._links import train_links
from sk_entity_embed._torch._links_exact import Penalty, Side, both_sides, pull, sweep, whiten
from sk_entity_embed._torch._links_penalty import Choice, _Grid, _Trial, _walk, choose

_TRIAL = "sk_entity_embed._torch._links_penalty._Trial"
FIXED = {"n_components": 4, "weight_decay": 0.1, "negative_weight": 0.02}


def block_pairs(n_left=60, n_right=40, n_blocks=4, seed=0, extra=0.02):
    """Entities of a block share links; a few pairs cross the blocks."""
    rng = np.random.default_rng(seed)
    same = np.arange(n_left)[:, None] % n_blocks == np.arange(n_right) % n_blocks
    left, right = np.nonzero(rng.random((n_left, n_right)) < np.where(same, 0.6, extra))
    return LinkPairs(left, right, None, None, n_left, n_right)


def with_fields(pairs, **fields):
    """`pairs` with other fields."""
    return LinkPairs(**{**pairs.__dict__, **fields})


def block_auc(trained, n_blocks=4):
    """Chance that a pair of one block scores above a pair of two."""
    scores = trained.left_vectors @ trained.right_vectors.T
    rows, columns = np.indices(scores.shape)
    same = rows % n_blocks == columns % n_blocks
    return (scores[same][:, None] > scores[~same]).mean()


def slow_objective(x, v, pairs, penalty):
    """The sum that the exact solver minimises, cell by cell."""
    links, targets = link_matrix(pairs)
    c = links.toarray()
    t = (c > 0).astype(float) if targets is None else targets.toarray()
    z = x.astype(float) @ v.astype(float).T
    value = (c * (t - z) ** 2).sum() + penalty.negative_weight * (z**2).sum()
    for table, mass, n in ((x, c.sum(1), c.shape[1]), (v, c.sum(0), c.shape[0])):
        ridge = penalty.ridge * (mass + penalty.negative_weight * n) ** penalty.power
        value += (ridge * (table.astype(float) ** 2).sum(1)).sum()
    return value


def weighted_pairs():
    """Links and non-links with weights, some pairs given twice with other values."""
    rng = np.random.default_rng(1)
    n = 500
    value = (rng.random(n) < 0.7).astype(np.float32)
    weight = (rng.random(n) + 0.2).astype(np.float32)
    left, right = rng.integers(0, 50, n), rng.integers(0, 30, n)
    return LinkPairs(left, right, value, weight, 50, 30, "binary")


@pytest.mark.parametrize("d", [3, 8, 25])
@pytest.mark.parametrize("power", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["links", "binary"])
def test_exact_side_is_the_fold_in(d, power, kind, monkeypatch):
    """Each half sweep solves the normal equations, by either system and however it is cut."""
    monkeypatch.setattr(_links_exact, "_CELLS", 400)
    pairs = block_pairs() if kind == "links" else weighted_pairs()
    links, targets = link_matrix(pairs)
    v = np.random.default_rng(2).normal(size=(links.shape[1], d)).astype(np.float32)
    penalty = Penalty(0.05, 0.2, power)
    found, _ = Side(links, targets, d, torch.device("cpu")).solve(torch.from_numpy(v), penalty)
    slow = fold_in(
        v,
        links.indptr,
        links.indices,
        links.data,
        None if targets is None else targets.data,
        negative_weight=0.05,
        ridge=0.2,
        ridge_power=power,
    )
    np.testing.assert_allclose(found.numpy(), slow, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("kind", ["links", "binary"])
def test_exact_objective_is_reported_and_falls(kind):
    """The objective of a sweep is that of its tables, and no sweep makes it worse."""
    pairs = block_pairs() if kind == "links" else weighted_pairs()
    left, right = both_sides(*link_matrix(pairs), 4, torch.device("cpu"))
    penalty = Penalty(0.02, 0.1, 0.5)
    v = torch.randn(pairs.n_right, 4, generator=torch.Generator().manual_seed(0))
    # The record of a sweep is taken between its halves: with the old right table.
    x, value = left.solve(v, penalty)
    ridge = penalty.of(right.mass, left.n_rows)
    value += float((ridge * v.square().sum(1)).sum())
    assert value == pytest.approx(slow_objective(x.numpy(), v.numpy(), pairs, penalty), rel=1e-4)
    losses = []
    sweep(left, right, (None, v), penalty, 6, lambda objective, _: losses.append(objective))
    assert losses[0] == pytest.approx(value, rel=1e-5)
    assert (np.diff(losses) < 1e-5 * value).all()


def improve_all(monkeypatch):
    """From here on few pairs count as many, and narrow systems as wide."""
    monkeypatch.setattr(_links_exact, "_MANY_PAIRS", 0)
    monkeypatch.setattr(_links_exact, "_WIDE", 1)


@pytest.mark.parametrize("power", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["links", "binary"])
def test_steps_lead_to_the_solution(power, kind, monkeypatch):
    """Few come nearer to it, as the objective tells, and many reach it."""
    improve_all(monkeypatch)
    pairs = block_pairs() if kind == "links" else weighted_pairs()
    left, right = both_sides(*link_matrix(pairs), 6, torch.device("cpu"))
    left._may_improve = True  # in spite of uneven weights
    penalty = Penalty(0.05, 0.2, power)
    v, near = (
        torch.randn(n, 6, generator=torch.Generator().manual_seed(n))
        for n in (pairs.n_right, pairs.n_left)
    )
    of_right = float((penalty.of(right.mass, left.n_rows) * v.square().sum(1)).sum())
    best, least = left.solve(v, penalty)
    values = []
    for n_steps in (1, 2, 12):
        monkeypatch.setattr(_links_exact, "_STEPS", n_steps)
        x, value = left.solve(v, penalty, near)
        values.append(value)
        slow = slow_objective(x.numpy(), v.numpy(), pairs, penalty)
        assert value + of_right == pytest.approx(slow, rel=1e-4)
    assert values[0] > values[1] > least
    assert values[2] == pytest.approx(least, rel=1e-5)
    np.testing.assert_allclose(x.numpy(), best.numpy(), rtol=1e-2, atol=1e-3)


def test_sweeps_by_steps_get_as_far(monkeypatch):
    """Of many pairs no sweep solves anything exactly, and after some the tables are as good."""
    pairs = block_pairs(n_left=200, n_right=150, n_blocks=10)
    spec = LinkSpec(n_components=8, weight_decay=0.1, max_epochs=12)
    exact = train_links(pairs, spec, seed=0)
    improve_all(monkeypatch)
    steps = train_links(pairs, spec, seed=0)
    assert steps.history[0]["loss"] != exact.history[0]["loss"]
    assert steps.history[-1]["loss"] == pytest.approx(exact.history[-1]["loss"], rel=0.03)
    assert block_auc(steps, n_blocks=10) > block_auc(exact, n_blocks=10) - 0.005


@pytest.mark.parametrize(("heaviest", "is_exact"), [(2.0, False), (500.0, True)])
def test_uneven_weights_are_solved(heaviest, is_exact, monkeypatch):
    """A few steps would leave the heavy pairs far from what they ask for."""
    improve_all(monkeypatch)
    pairs = block_pairs()
    weight = np.full(len(pairs.left), 2.0, np.float32)
    weight[::7] = heaviest
    side = Side(*link_matrix(with_fields(pairs, weight=weight)), 6, torch.device("cpu"))
    v = torch.randn(pairs.n_right, 6, generator=torch.Generator().manual_seed(0))
    x, _ = side.solve(v, Penalty(0.05, 0.2, 0.5))
    near, _ = side.solve(v, Penalty(0.05, 0.2, 0.5), torch.zeros_like(x))
    assert torch.equal(x, near) == is_exact


def test_relaxed_sweeps_get_further():
    """As many sweeps leave a lower objective where each starts ahead of what the last one found."""
    pairs = block_pairs(n_left=200, n_right=150, n_blocks=10, extra=0.05)
    left, right = both_sides(*link_matrix(pairs), 4, torch.device("cpu"))
    penalty = Penalty(0.01, 0.05, 0.5)
    v = 0.01 * torch.randn(pairs.n_right, 4, generator=torch.Generator().manual_seed(0))
    reached = []
    for relaxation in (0.0, 0.5):
        (_, end), interrupted = sweep(left, right, (None, v), penalty, 8, relaxation=relaxation)
        assert not interrupted
        x, _ = left.solve(end, penalty)
        reached.append(slow_objective(x.numpy(), end.numpy(), pairs, penalty))
    assert reached[1] < reached[0]


def test_history_has_a_falling_loss_of_each_sweep():
    """One record a sweep; of few pairs, whose sweeps are relaxed, the last is below the first."""
    pairs = block_pairs()
    trained = train_links(pairs, LinkSpec(**FIXED), seed=0)
    losses = [r["loss"] for r in trained.history]
    assert len(losses) == 12
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("whitening", [0.0, 0.6])
@pytest.mark.parametrize("lightness", [1.0, 0.3])
def test_exact_left_vectors_are_fold_ins(whitening, lightness, monkeypatch):
    """What fold-in gives for an entity of the training set is its vector; on the right where that was solved last."""

    def lightened(self, choice):
        weight = lightness * choice.penalty.negative_weight
        return replace(choice, kept=replace(choice.kept, negative_weight=weight))

    monkeypatch.setattr(
        f"{_TRIAL}.whitened", lambda _, choice: replace(choice, whitening=whitening)
    )
    monkeypatch.setattr(f"{_TRIAL}.lightened", lightened)
    pairs = block_pairs()
    trained = train_links(pairs, LinkSpec(n_components=4, solver="exact"), seed=0)
    links, _ = link_matrix(pairs)
    others = {"ridge_power": trained.ridge_power, "confidence": trained.confidence}
    left = {"negative_weight": trained.negative_weight, "ridge": trained.ridge} | others
    table = trained.right_vectors if trained.solved_right is None else trained.solved_right
    again = fold_in(table, links.indptr, links.indices, **left)
    np.testing.assert_allclose(again, trained.left_vectors, rtol=1e-2, atol=1e-3)
    assert (trained.solved_right is None) == (lightness == 1)
    if lightness < 1:
        turned = links.T.tocsr()
        right = {
            "negative_weight": trained.right_negative_weight,
            "ridge": trained.right_ridge,
        } | others
        assert left["negative_weight"] == pytest.approx(lightness * right["negative_weight"])
        again = fold_in(trained.left_vectors, turned.indptr, turned.indices, **right)
        np.testing.assert_allclose(again, trained.right_vectors, rtol=1e-2, atol=1e-3)


def popular_pairs(seed, n=300, n_blocks=6):
    """Pairs within blocks and a few beyond, some right entities far commoner than others; a tenth is held out."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n)
    common = 1 / (1 + codes // n_blocks)
    chance = (1.2 * (codes[:, None] % n_blocks == codes % n_blocks) + 0.1) * common
    linked = rng.random((n, n)) < np.minimum(chance, 0.9)
    held = linked & (rng.random((n, n)) < 0.1)
    return LinkPairs(*np.nonzero(linked & ~held), None, None, n, n), np.nonzero(held)


def held_gain(trained, pairs, held):
    """Mean of 1 / log2(2 + rank) of held-out links among all right entities that the left one has no link to."""
    score = trained.left_vectors @ trained.right_vectors.T
    own = score[held]
    score[pairs.left, pairs.right] = -np.inf
    return (1 / np.log2(2 + (score[held[0]] > own[:, None]).sum(1))).mean()


@pytest.fixture
def always_polished(monkeypatch):
    """Whatever held-back pairs say, which are few here."""
    monkeypatch.setattr(
        f"{_TRIAL}.polished", lambda _, choice, **__: replace(choice, polish_share=1.0)
    )


@pytest.mark.usefixtures("always_polished")
def test_auto_polishes_the_right_table_alone():
    """Held-out links rank better with it, and neighbours on the left are the solved ones."""
    gains = []
    for seed in range(3):
        pairs, held = popular_pairs(seed)
        both = [
            train_links(pairs, LinkSpec(n_components=8, weight_decay=0.3, solver=solver), seed=0)
            for solver in ("auto", "exact")
        ]
        gains.append([held_gain(trained, pairs, held) for trained in both])
    polished, solved = both
    assert solved.solved_right is None
    assert polished.solver == solved.solver == "exact"
    np.testing.assert_array_equal(polished.left_vectors, solved.left_vectors)
    np.testing.assert_array_equal(polished.solved_right, solved.right_vectors)
    # As long as before, each vector counted once a link.
    lengths = [np.linalg.norm(t.right_vectors, axis=1)[pairs.right].mean() for t in both]
    np.testing.assert_allclose(*lengths, rtol=1e-4)
    assert np.diff(gains, axis=1).max() < -0.01  # .022 to .029


@pytest.mark.usefixtures("always_polished")
def test_some_of_many_pairs_are_enough_to_polish(monkeypatch):
    """The time is bounded; what is left of the gain is one."""
    monkeypatch.setattr("sk_entity_embed._torch._links_polish._MAX_PAIRS", 1600)
    gains = []
    for seed in range(3):
        pairs, held = popular_pairs(seed)
        polished = train_links(pairs, LinkSpec(n_components=8, weight_decay=0.3), seed=0)
        solved = replace(polished, right_vectors=polished.solved_right)
        gains.append([held_gain(trained, pairs, held) for trained in (polished, solved)])
    assert len(pairs.left) > 2000
    assert np.diff(gains, axis=1).mean() < -0.01  # .015 to .028


def test_known_non_links_are_not_polished():
    """A softmax has no place for them."""
    pairs = block_pairs()
    value = np.ones(len(pairs.left), np.float32)
    value[::5] = 0
    spec = LinkSpec(**FIXED)
    assert (
        train_links(with_fields(pairs, value=value, kind="binary"), spec, seed=0).solved_right
        is None
    )


@pytest.mark.usefixtures("always_polished")
def test_ctrl_c_while_polishing_leaves_the_solved_table(monkeypatch):
    """Nothing of the fit is lost."""

    def interrupt(*_):
        raise KeyboardInterrupt

    pairs = block_pairs()
    whole = train_links(pairs, LinkSpec(**FIXED), seed=0)
    monkeypatch.setattr("sk_entity_embed._torch._links.polish", interrupt)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        trained = train_links(pairs, LinkSpec(**FIXED), seed=0)
    assert trained.interrupted
    np.testing.assert_array_equal(trained.right_vectors, whole.solved_right)
    np.testing.assert_array_equal(trained.left_vectors, whole.left_vectors)


def test_ctrl_c_while_choosing_the_penalty_leaves_one_sweep(monkeypatch):
    """However many were asked for."""

    def interrupted(*arguments, **options):
        return replace(choose(*arguments, **options), interrupted=True)

    monkeypatch.setattr("sk_entity_embed._torch._links.choose", interrupted)
    with pytest.warns(ConvergenceWarning, match="interrupted after 1 full epoch"):
        trained = train_links(block_pairs(), LinkSpec(n_components=4, max_epochs=30), seed=0)
    assert trained.n_epochs == 1


SPECS = {
    "exact": LinkSpec(n_components=8),
    "softmax": LinkSpec(n_components=8, solver="sgd"),
    "sampled softmax": LinkSpec(n_components=8, solver="sgd", n_negatives=20),
    "logistic": LinkSpec(n_components=8, solver="sgd", loss="logistic"),
    "article": LinkSpec(
        n_components=8, solver="sgd", loss="squared_error", learning_rate=0.01, max_epochs=30
    ),
}


@pytest.mark.parametrize("name", SPECS)
def test_blocks_are_found(name):
    """Pairs of one block score above pairs of two."""
    trained = train_links(block_pairs(), SPECS[name], seed=0)
    assert trained.left_vectors.shape == (60, 8)
    assert trained.left_vectors.dtype == np.float32
    assert block_auc(trained) > 0.9  # seeds 0 to 4 gave 0.948 (exact) and more


@pytest.mark.parametrize("name", SPECS)
def test_a_seed_decides_all(name):
    """Equal seeds, equal vectors; another seed, other vectors; the global generators rest."""
    torch_state, numpy_state = torch.get_rng_state(), np.random.mtrand._rand.get_state()[1].copy()
    first, second, third = (train_links(block_pairs(), SPECS[name], seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.left_vectors, second.left_vectors)
    np.testing.assert_array_equal(first.right_vectors, second.right_vectors)
    assert not np.array_equal(first.left_vectors, third.left_vectors)
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.mtrand._rand.get_state()[1], numpy_state)


def test_repeated_pairs_are_weights():
    """A pair given twice is a pair of weight 2, in the exact solver bit for bit."""
    pairs = block_pairs()
    twice = with_fields(
        pairs, left=np.r_[pairs.left, pairs.left[:50]], right=np.r_[pairs.right, pairs.right[:50]]
    )
    weight = np.ones(len(pairs.left), np.float32)
    weight[:50] = 2
    a, b = (train_links(p, LinkSpec(), seed=0) for p in (twice, with_fields(pairs, weight=weight)))
    np.testing.assert_array_equal(a.left_vectors, b.left_vectors)


@pytest.mark.parametrize("name", SPECS)
def test_weight_zero_is_absence(name):
    """A pair of weight 0 might as well not be there."""
    pairs = block_pairs()
    keep = np.random.default_rng(0).random(len(pairs.left)) < 0.8
    fewer = with_fields(pairs, left=pairs.left[keep], right=pairs.right[keep])
    fewer = with_fields(fewer, weight=np.ones(keep.sum(), np.float32))
    zeroed = with_fields(pairs, weight=keep.astype(np.float32))
    a, b = (train_links(p, SPECS[name], seed=0) for p in (fewer, zeroed))
    np.testing.assert_array_equal(a.left_vectors, b.left_vectors)


def test_a_known_non_link_scores_lower():
    """An explicit non-link is held against a pair, more than silence."""
    pairs = block_pairs(extra=0.0)
    silent = train_links(pairs, LinkSpec(**FIXED), seed=0)
    told = LinkPairs(
        np.r_[pairs.left, 0],
        np.r_[pairs.right, 4],
        np.r_[np.ones(len(pairs.left)), 0].astype(np.float32),
        None,
        60,
        40,
        "binary",
    )
    keep = ~((told.left == 0) & (told.right == 4) & (told.value == 1))
    told = with_fields(told, left=told.left[keep], right=told.right[keep], value=told.value[keep])
    known = train_links(told, LinkSpec(**FIXED), seed=0)
    before = silent.left_vectors[0] @ silent.right_vectors[4]
    assert known.left_vectors[0] @ known.right_vectors[4] < before


def test_an_entity_without_pairs_has_zeros():
    """No pair, no vector: nothing is left at random."""
    pairs = with_fields(block_pairs(), n_left=61, n_right=41)
    for spec in (LinkSpec(), LinkSpec(solver="sgd"), LinkSpec(solver="sgd", loss="logistic")):
        trained = train_links(pairs, spec, seed=0)
        assert not trained.left_vectors[60].any()
        assert np.isfinite(trained.right_vectors).all()


def test_ratings_are_recovered():
    """Bias + bias + dot product explains most of held-out ratings that follow that law."""
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(80, 2)), rng.normal(size=(50, 2))
    bias, other_bias = rng.normal(size=80), rng.normal(size=50)
    truth = 100 + 10 * (x @ v.T + bias[:, None] + other_bias)
    left, right = np.nonzero(rng.random(truth.shape) < 0.6)
    value = truth[left, right].astype(np.float32)
    train = rng.random(len(left)) < 0.8
    pairs = LinkPairs(left[train], right[train], value[train], None, 80, 50, "rating")
    fit = train_links(pairs, LinkSpec(n_components=4, weight_decay=0.02, max_epochs=60), seed=0)
    guess = fit.intercept + fit.left_bias[:, None] + fit.right_bias
    guess = (guess + fit.left_vectors @ fit.right_vectors.T)[left, right]
    error = np.square(guess - value)[~train].mean() / value[~train].var()
    assert fit.solver == "sgd"
    assert error < 0.02  # seeds 0 to 2 gave 0.003 to 0.004


def test_binary_labels_by_sgd_learn_the_base_rate():
    """Labels without structure: the predicted log-odds are the share of links."""
    rng = np.random.default_rng(0)
    n = 6000
    value = (rng.random(n) < 0.2).astype(np.float32)
    pairs = LinkPairs(rng.integers(0, 30, n), rng.integers(0, 30, n), value, None, 30, 30, "binary")
    fit = train_links(pairs, LinkSpec(solver="sgd", weight_decay=5.0), seed=0)
    assert fit.loss == "logistic"
    assert 1 / (1 + np.exp(-fit.intercept)) == pytest.approx(value.mean(), abs=1e-6)


def test_on_epoch_sees_each_epoch_and_can_stop():
    """Records in order, and a true answer ends the training."""
    for spec in (LinkSpec(**FIXED), LinkSpec(n_components=4, solver="sgd")):
        seen = []

        def watch(epoch, record, seen=seen):
            seen.append((epoch, record["epoch"], record["seconds"] >= 0))
            return epoch == 1

        trained = train_links(block_pairs(), spec, seed=0, on_epoch=watch)
        assert seen == [(0, 0, True), (1, 1, True)]
        assert trained.n_epochs == len(trained.history) == 2
        assert not trained.interrupted


@pytest.mark.parametrize("name", ["exact", "softmax"])
def test_ctrl_c_keeps_what_was_learned(name):
    """Training stops, warns and gives finite vectors."""

    def interrupt(epoch, record):
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted after 2 full epochs"):
        trained = train_links(block_pairs(), SPECS[name], seed=0, on_epoch=interrupt)
    assert trained.interrupted
    assert np.isfinite(trained.left_vectors).all()
    assert block_auc(trained) > 0.6


def test_the_exact_solver_takes_the_cpu_in_place_of_mps():
    """What an Apple machine is asked for by "auto" has no double precision; nor has this one a tensor there."""
    found, expected = (
        train_links(block_pairs(), LinkSpec(n_components=4), seed=0, device=device)
        for device in ("mps", "cpu")
    )
    np.testing.assert_array_equal(found.left_vectors, expected.left_vectors)


def test_a_loss_gone_wrong_is_named():
    """The message has the epoch, counted from 1 as in ``history_``, the rate and the remedy."""
    rng = np.random.default_rng(0)
    value = rng.normal(size=200).astype(np.float32)
    pairs = LinkPairs(rng.integers(0, 9, 200), rng.integers(0, 9, 200), value, None, 9, 9, "rating")
    with pytest.raises(FloatingPointError, match=r"epoch [1-9]\d* .*learning_rate 1e\+30.*smaller"):
        train_links(pairs, LinkSpec(learning_rate=1e30), seed=0)


def test_a_last_step_gone_wrong_is_named():
    """No later step's loss would tell of it."""
    value = np.linspace(-1, 1, 9).astype(np.float32)
    pairs = LinkPairs(np.arange(9), np.arange(9), value, None, 9, 9, "rating")
    spec = LinkSpec(learning_rate=1e30, max_epochs=1, batch_size=9)
    with pytest.raises(FloatingPointError, match=r"stopped being finite in epoch 1.*smaller"):
        train_links(pairs, spec, seed=0)


def rated_pairs(n_pairs=3000, strength=1.0, noise=0.1, n=(80, 60), kind="rating", seed=0):
    """Ratings by effects of both entities and, by `strength`, by the product of two traits each."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n, (n_pairs, 2))
    left, right = (rng.normal(size=(m, 3))[c] for m, c in zip(n, codes.T))
    value = left[:, 0] + right[:, 0] + strength * (left[:, 1:] * right[:, 1:]).sum(axis=1)
    value += noise * rng.normal(size=n_pairs)
    if kind == "binary":
        value = value > 0
    return LinkPairs(*codes.T, value.astype(np.float32), None, *n, kind)


@pytest.mark.parametrize("kind", ["rating", "binary"])
def test_held_back_ratings_choose_the_decay(kind):
    """Little where traits tell nearly all, much where they tell nothing."""
    spec = LinkSpec(solver="sgd", n_components=4)
    chosen = [
        train_links(rated_pairs(kind=kind, strength=strength, noise=noise), spec, seed=0).ridge
        for strength, noise in ((1.0, 0.1), (0.0, 2.0))
    ]
    assert chosen[0] < 0.2 < chosen[1]
    assert set(chosen) <= set(_links._DECAYS)


def test_a_decay_that_is_given_stays():
    """And so does the default of ratings too few to hold any back."""
    spec = LinkSpec(n_components=4, weight_decay=0.07)
    assert train_links(rated_pairs(), spec, seed=0).ridge == 0.07
    few = train_links(rated_pairs(n_pairs=150), LinkSpec(n_components=4), seed=0)
    assert few.ridge == _links._RATING["weight_decay"]
    assert few.n_epochs == len(few.history) == _links._RATING["max_epochs"]


def test_all_ratings_choose_the_decay_in_a_few_passes(monkeypatch):
    """Of a sample vectors would seem to say less than they do."""
    passes = []
    run = _links.run_epochs

    def count(model, pairs, recipe, *args):
        passes.append((len(pairs.left), recipe.max_epochs))
        run(model, pairs, recipe, *args)

    monkeypatch.setattr(_links, "run_epochs", count)
    monkeypatch.setattr(_links, "_PAIRS_TRIED", 15_000)
    train_links(rated_pairs(n_pairs=3000), LinkSpec(n_components=4), seed=0)
    *tried, whole = passes
    assert set(tried) == {(2700, 5)}
    assert whole == (3000, _links._RATING["max_epochs"])


def test_the_article_has_no_decay_to_choose():
    """Nor with known non-links in place of drawn ones."""
    spec = LinkSpec(solver="sgd", loss="squared_error", n_negatives=0, n_components=4, max_epochs=1)
    assert train_links(rated_pairs(kind="binary"), spec, seed=0).ridge == 0.0


def test_ctrl_c_in_the_choice_of_the_decay_leaves_one_epoch(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_links.Factorization, "mean_loss", interrupt)
    with pytest.warns(ConvergenceWarning, match="interrupted after 1 full"):
        trained = train_links(rated_pairs(), LinkSpec(n_components=4), seed=0)
    assert trained.n_epochs == 1
    assert np.isfinite(trained.left_vectors).all()


def test_biases_are_shrunk_by_their_count():
    """One rating tells less of an entity than a hundred that say the same."""
    left = np.repeat([0, 1, 2], [1, 100, 100])
    right = np.arange(201) % 50
    value = np.where(left == 2, -1.0, 1.0).astype(np.float32)
    pairs = LinkPairs(left, right, value, None, 3, 50, "rating")
    bias = train_links(pairs, LinkSpec(n_components=1, weight_decay=2.0), seed=0).left_bias
    assert 0.2 < bias[0] < 0.6 * bias[1]


@pytest.mark.parametrize(
    ("fields", "spec", "message"),
    [
        ({"kind": "other"}, {}, "kind must be one of"),
        ({"kind": "rating"}, {}, "needs a value"),
        ({}, {"loss": "hinge"}, "loss must be one of"),
        ({}, {"solver": "other"}, "solver must be"),
        ({}, {"solver": "exact", "loss": "softmax"}, "needs solver='sgd'"),
        ({"weight": -1.0}, {}, "finite and not negative"),
        ({"weight": 0.0}, {}, "no pair with a positive weight"),
        ({"kind": "rating", "value": 2.0}, {"solver": "exact"}, "ratings need solver='sgd'"),
        ({"kind": "rating", "value": 2.0}, {"loss": "softmax"}, "need loss='squared_error'"),
        ({"kind": "rating", "value": np.nan}, {}, "must be finite"),
        ({"value": 1.0}, {}, "takes no values"),
        ({"kind": "binary", "value": 0.0}, {"loss": "softmax"}, "at least one link"),
    ],
)
def test_contradictions_are_named(fields, spec, message):
    """Before any training."""
    pairs = block_pairs()
    full = np.ones(len(pairs.left), np.float32)
    fields = {k: v if isinstance(v, str) else v * full for k, v in fields.items()}
    with pytest.raises(ValueError, match=message):
        train_links(with_fields(pairs, **fields), LinkSpec(**spec), seed=0)


@pytest.mark.parametrize("n_pairs", [1, 2, 5])
def test_few_pairs_are_enough(n_pairs):
    """Too few to hold any back: the penalty has a default."""
    codes = np.arange(n_pairs)
    trained = train_links(LinkPairs(codes, codes // 2, None, None, 5, 3), LinkSpec(), seed=0)
    assert np.isfinite(trained.left_vectors).all()
    trained = train_links(
        LinkPairs(codes, codes // 2, None, None, 5, 3), LinkSpec(solver="sgd"), seed=0
    )
    assert np.isfinite(trained.left_vectors).all()


def test_the_search_leaves_a_penalty_that_is_far_too_strong(monkeypatch):
    """From a start that shrinks all vectors to nothing, the walk goes to a weaker penalty."""
    monkeypatch.setattr("sk_entity_embed._torch._links_penalty._RIDGES", (0.2, 1.0, 50.0))
    monkeypatch.setattr("sk_entity_embed._torch._links_penalty._starts", lambda _: ((2, 2, 1),))
    links, _ = link_matrix(block_pairs(extra=0.0))
    generator = torch.Generator().manual_seed(0)
    choice = choose(links, None, 8, np.random.default_rng(0), generator, torch.device("cpu"))
    assert choice.penalty.ridge < 50
    assert [table.shape for table in choice.tables] == [(60, 8), (40, 8)]
    assert not choice.interrupted


@pytest.mark.parametrize(("standard_errors", "begins"), [(-1.0, 0), (1.0, 0), (3.0, 1)])
def test_a_walk_begins_at_the_better_start(standard_errors, begins):
    """At the other one if that is clearly better; it goes on among the neighbours of that one alone."""
    starts, tried = ((2, 2, 1), (3, 3, 0)), []
    spread = np.tile([-1.0, 1.0], 25)

    class Trial:
        n_pairs = 10_000

        def gains(self, at, *_):
            tried.append(at)
            if at == starts[0]:
                return np.zeros(50)
            return spread + standard_errors / 50**0.5 if at == starts[1] else np.full(50, -9.0)

        def keep(self):
            kept.append(tried[-1])

    class Grid:
        def __contains__(self, at):
            return min(at) >= 0

        def penalty(self, at):
            return at

        def is_bearable(self, at):
            return True

    kept = []
    assert _walk(Trial(), Grid(), starts, 0.0) == (starts[begins], False)
    assert kept == list(starts[: begins + 1])
    assert tried[:2] == list(starts)
    near = np.abs(np.array(tried[2:]) - starts[begins]).max(axis=1)
    assert len(near) > 3
    assert (near == 1).all()


@pytest.mark.parametrize("power", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["links", "binary"])
@pytest.mark.parametrize(("factor", "stays"), [(0.7, True), (1.5, False)])
def test_vectors_stay_where_links_pull_hard_enough(power, kind, factor, stays):
    """A ridge above that of a pull of one lets them vanish, one below leaves some."""
    pairs = block_pairs() if kind == "links" else weighted_pairs()
    links, targets = link_matrix(pairs)
    at_one = Penalty(0.05, pull(links, targets, Penalty(0.05, 1.0, power)), power)
    np.testing.assert_allclose(pull(links, targets, at_one), 1, rtol=1e-6)
    penalty = replace(at_one, ridge=factor * at_one.ridge)
    sides = both_sides(links, targets, 4, torch.device("cpu"))
    start = torch.ones(links.shape[1], 4) / 2
    (_, v), _ = sweep(*sides, (None, start), penalty, 100)
    assert (float(v.norm()) > 1e-3) == stays


@pytest.mark.filterwarnings("error")
def test_an_entity_without_links_has_no_pull():
    """Where non-links weigh nothing its ridge is zero; that of the others counts."""
    links, _ = link_matrix(block_pairs())
    links.resize(61, 41)
    assert 0 < pull(links, None, Penalty(0.0, 1.0, 0.5)) < np.inf


def test_the_search_does_not_let_the_vectors_vanish():
    """Where only counts tell, vectors that shrink rank as well as any until nothing is left of them."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        linked = rng.random((150, 60)) < 0.6 / (1 + np.arange(60)) ** 0.7
        trained = train_links(
            LinkPairs(*np.nonzero(linked), None, None, *linked.shape), LinkSpec(), seed=seed
        )
        scores = trained.left_vectors @ trained.right_vectors.T
        assert scores[linked].mean() > 0.05  # .087 and more; before a pull was asked for, .013


def test_powers_of_the_penalty_agree_on_entities_of_middling_mass():
    """A power says how the ridge is spread between frequent and rare entities, not how large it is."""
    links, _ = link_matrix(block_pairs(n_left=40, n_right=40))
    grid = _Grid((0.01, 0.1), links)
    middling = links.sum() / 40 + 0.1 * 40
    ridges = [float(grid.penalty((1, 5, power)).of(middling, 0)) for power in range(3)]
    without = grid.penalty((1, 5, 0)).ridge
    np.testing.assert_allclose(ridges[0], without)
    at = [grid.penalty((1, 5, p)).ridge * middling ** grid.penalty((1, 5, p)).power for p in (1, 2)]
    np.testing.assert_allclose(at, without)


def test_where_only_counts_tell_the_ranking_is_theirs():
    """The walk goes on to a penalty that leaves one direction, and held-out links rank as they do by counts."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        linked = rng.random((400, 200)) < 0.6 / (1 + np.arange(200)) ** 0.7
        held = linked & (rng.random(linked.shape) < 0.1)
        pairs = LinkPairs(*np.nonzero(linked & ~held), None, None, *linked.shape)
        trained = train_links(pairs, LinkSpec(n_components=20), seed=0)
        counts = np.bincount(pairs.right, minlength=200).astype(float)
        by_counts = replace(trained, left_vectors=np.ones((400, 1)), right_vectors=counts[:, None])
        gains = [held_gain(each, pairs, np.nonzero(held)) for each in (trained, by_counts)]
        assert gains[0] > gains[1] - 0.01, gains


@pytest.mark.parametrize(("factor", "stays_off"), [(-1.0, True), (0.1, True), (2.0, False)])
def test_a_polish_must_not_rank_held_back_links_worse(factor, stays_off, monkeypatch):
    """One that turns the order round or hides common links stays off; vectors of these made longer do not."""
    rng = np.random.default_rng(0)
    linked = rng.random((300, 100)) < 0.5 / (1 + np.arange(100))
    pairs = LinkPairs(*np.nonzero(linked), None, None, *linked.shape)
    scale = torch.where(torch.arange(100)[:, None] < 10, abs(factor), 1.0) * np.sign(factor)
    for module in ("_links", "_links_penalty"):
        monkeypatch.setattr(
            f"sk_entity_embed._torch.{module}.polish", lambda links, x, v, *_: v * scale
        )
    trained = train_links(pairs, LinkSpec(n_components=8, weight_decay=0.3), seed=0)
    assert (trained.solved_right is None) == stays_off


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
def test_whitened_axes_have_the_power_that_is_left_of_their_variance(amount):
    """All of it at 0, none at 1; the norm stays."""
    table = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)) @ torch.tensor(
        [[3.0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0.3, 0], [0, 0, 0, 0.1]]
    )
    white = whiten(table, amount)
    before, after = (torch.linalg.eigvalsh(t.T @ t) for t in (table, white))
    assert before[-1] > 100 * before[0]
    expected = before ** (1 - amount)
    np.testing.assert_allclose(after / after.sum(), expected / expected.sum(), rtol=1e-3)
    np.testing.assert_allclose(white.norm(), table.norm(), rtol=1e-5)


def test_an_empty_axis_stays_empty():
    """A table of fewer traits than components has no axis made of rounding errors."""
    table = torch.zeros(20, 4)
    table[:, 0] = torch.arange(20.0)
    assert whiten(table, 1.0).isfinite().all()
    assert whiten(torch.zeros(20, 4), 1.0).abs().max() == 0


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [([0.3, 0.3, 0.4], 0.0), ([0.3, 0.4, 0.3], 0.3), ([0.3, 0.4, 0.5, 0.6], 1.0)],
)
def test_held_back_links_choose_how_far_to_whiten(gains, chosen, monkeypatch):
    """On as long as they rank better; the right table that is kept is that much whiter."""
    gains = iter(gains)
    asked, amounts = [], []
    whitened = _Trial.whitened

    def gains_of(self, v, kept):
        asked.append(v)
        return np.array([next(gains)])

    def spied(self, choice):
        with monkeypatch.context() as patch:
            patch.setattr(f"{_TRIAL}._gains_behind", gains_of)
            choice = whitened(self, choice)
        amounts.append(choice.whitening)
        return choice

    spec = LinkSpec(n_components=4, solver="exact")
    monkeypatch.setattr(f"{_TRIAL}.lightened", lambda _, choice: choice)
    monkeypatch.setattr(f"{_TRIAL}.whitened", lambda _, choice: choice)
    plain = train_links(block_pairs(), spec, seed=0).right_vectors
    monkeypatch.setattr(f"{_TRIAL}.whitened", spied)
    white = train_links(block_pairs(), spec, seed=0).right_vectors
    assert amounts == [chosen]
    assert len(asked) == min(2 + (0.0, 0.3, 0.6, 1.0).index(chosen), 4)
    again = whiten(torch.from_numpy(plain), chosen)
    np.testing.assert_allclose(white, again, rtol=1e-4, atol=1e-5)


def gains_of(standard_errors):
    """Of a hundred held-back links, so many standard errors above those of none."""
    return np.tile([-1.0, 1.0], 50) + standard_errors / 10


@pytest.mark.parametrize(
    ("weight", "standard_errors", "chosen"),
    [
        (1.0, [-2.0, -0.5], 0.083),  # the lightest that is not clearly worse
        (1.0, [3.0], 0.028),
        (1.0, [-1.0, -1.0, -1.0], 2.5),
        (0.1, [-2.0, -2.0], 0.25),  # lighter than that of the sweeps, or none
        (0.01, [], 0.025),
    ],
)
def test_held_back_links_choose_lighter_non_links_for_the_left_vectors(
    weight, standard_errors, chosen
):
    """From the lightest on, until one does not clearly rank worse; the heavier ones stay where all do."""
    errors = iter(standard_errors)

    class Trial:
        def _gains_of_kept(self, choice):
            is_first = choice.kept.negative_weight == 2.5 * weight
            return np.zeros(100) if is_first else gains_of(next(errors))

    choice = Choice(Penalty(weight, 0.2, 0.5), Penalty(2.5 * weight, 0.2, 0.5), None)
    lightened = _Trial.lightened(Trial(), choice)
    assert lightened == replace(choice, kept=replace(choice.kept, negative_weight=chosen))
    assert next(errors, None) is None


def test_a_penalty_that_is_given_is_that_of_all_vectors():
    """Neither heavier nor lighter non-links for the left ones, nor a larger ridge before a polish."""
    trained = train_links(block_pairs(), LinkSpec(n_components=4, weight_decay=0.3), seed=0)
    assert trained.ridge == trained.right_ridge == 0.3
    assert trained.negative_weight == trained.right_negative_weight == 0.01


@pytest.mark.parametrize("weight_decay", ["auto", 0.3])
def test_a_weight_of_non_links_that_is_given_is_not_lightened(weight_decay):
    """It is that of the sweeps."""
    spec = LinkSpec(n_components=4, negative_weight=0.5, weight_decay=weight_decay)
    trained = train_links(block_pairs(), spec, seed=0)
    assert trained.right_negative_weight == 0.5
    assert trained.negative_weight == (1.25 if weight_decay == "auto" else 0.5)


def test_what_cannot_be_tried_is_not_polished():
    """Of pairs too few to hold any back nothing tells whether it pays."""
    codes = np.arange(4)
    trained = train_links(
        LinkPairs(codes, codes, None, None, 4, 4), LinkSpec(n_components=2), seed=0
    )
    assert trained.solved_right is None
