"""Inside the network: gradients by hand, updates by rows, and the same forward pass in NumPy."""

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from sk_entity_embed._alignment import find_turns, turn_back
from sk_entity_embed._cross_fitting import ask_body
from sk_entity_embed._head import forward
from sk_entity_embed._records import NetworkSpec, TrainedNetwork, TrainingPlan, TrainingTable
from sk_entity_embed._torch import _loop, train
from sk_entity_embed._torch._losses import make_loss
from sk_entity_embed._torch._network import (
    BLOCK_COST,
    PADDED_CELLS,
    AdamW,
    Bodies,
    MaskPool,
    Tables,
    split_into_blocks,
)

LOSSES = {
    "squared_error": 2,
    "log_loss": 3,
    "cross_entropy": 4,
    "poisson": 1,
    "quantile": 1,
}


def draw_target(loss, shape, rng):
    if loss == "log_loss":
        target = rng.integers(0, 2, shape)
    elif loss == "cross_entropy":
        target = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    elif loss == "poisson":
        target = rng.poisson(2.0, shape)
    else:
        target = rng.normal(size=shape)
    return torch.as_tensor(target, dtype=torch.float64)


# Two blocks: a column of 2 components is too narrow to be padded to 20.
N_CODES, N_COMPONENTS = (5, 9, 4, 6), (3, 20, 2, 16)


def make_spec(**changes):
    settings = {
        "n_codes": N_CODES,
        "n_components": N_COMPONENTS,
        "n_numeric": 0,
        "n_outputs": 1,
        "hidden_layer_sizes": (7, 5),
        "loss": "squared_error",
        "dropout": 0.0,
        "n_tables": 3,
    }
    return NetworkSpec(**{**settings, **changes})


def make_tables(spec, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tables = Tables(spec, generator, "cpu")
    assert len(tables.blocks) == 2
    return tables


def make_body(spec, tables, seed=0):
    """Bodies in double precision, each with weights of its own, zero where the vectors are padded."""
    generator = torch.Generator().manual_seed(seed)
    body = Bodies(spec, tables, generator, "cpu")
    flat = body.flat.double()
    flat += 0.1 * torch.randn(flat.shape, generator=generator) * (flat != 0)
    body.hold(flat)
    return body


# --- gradients -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_of_a_loss_equals_autograd(loss):
    """Each closed form is the derivative of the values beside it."""
    rng = np.random.default_rng(0)
    function = make_loss(loss, quantile=0.3)
    shape = (2, 6, LOSSES[loss])
    raw = torch.as_tensor(rng.normal(size=shape)).requires_grad_()
    values, gradient = function(raw, draw_target(loss, shape, rng))
    assert values.shape == shape[:2]
    (expected,) = torch.autograd.grad(values.sum(), raw)
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "quantile"])
def test_numbers_predicted_exactly_cost_nothing(loss):
    """Whether to train on is judged by the share that the loss falls by, which a constant beside it would hide."""
    target = torch.tensor([[0.5], [1.0], [30.0]])
    values, gradient = make_loss(loss)(target.log() if loss == "poisson" else target, target)
    torch.testing.assert_close(values, torch.zeros(3), rtol=0, atol=1e-5)
    if loss != "quantile":
        torch.testing.assert_close(gradient, torch.zeros(3, 1), rtol=0, atol=1e-5)
    if loss == "poisson":  # no count: nothing is lost in the limit, and 0 * log(0) is 0
        values, _ = make_loss(loss)(torch.tensor([[-20.0]]), torch.zeros(1, 1))
        assert 0 <= float(values) < 1e-8


@pytest.mark.parametrize("n_numeric", [0, 3])
@pytest.mark.parametrize("sizes", [(), (6,), (7, 5)])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_of_the_network_equals_autograd(loss, sizes, n_numeric):
    """Of every parameter and every vector, for several bodies and columns of different width at once."""
    rng = np.random.default_rng(1)
    spec = make_spec(
        loss=loss, n_outputs=LOSSES[loss], hidden_layer_sizes=sizes, n_numeric=n_numeric
    )
    tables = make_tables(spec)
    body = make_body(spec, tables)
    flat = body.flat.clone().requires_grad_()
    body.hold(flat)
    n_rows = 4
    vectors = torch.as_tensor(rng.normal(size=(3, n_rows, tables.width))).requires_grad_()
    x = torch.as_tensor(rng.normal(size=(3, n_rows, n_numeric)))
    numeric = body.numeric_features(x) if n_numeric else None
    raw, activations = body.forward(vectors, None if numeric is None else numeric[0])
    values, g = make_loss(loss, 0.3)(raw, draw_target(loss, tuple(raw.shape), rng))
    expected, expected_vectors = torch.autograd.grad(values.sum(), (flat, vectors))
    with torch.no_grad():
        gradient, g_vectors = body.backward(activations, g, numeric)
        gradient = gradient.clone()  # the next call writes over it
        close = {"rtol": 1e-6, "atol": 1e-7}
        torch.testing.assert_close(gradient, expected, **close)
        torch.testing.assert_close(g_vectors, expected_vectors, **close)
        # Honest training takes the vectors' gradient from some rows, the body's from others.
        _, some = body.backward(activations, g, numeric, rows=slice(0, 3))
        torch.testing.assert_close(some, g_vectors[:, :3])
        if not n_numeric:
            first = body.backward(activations, g, body_rows=slice(0, 3))[0].clone()
            rest, _ = body.backward(activations, g, body_rows=slice(3, None))
            torch.testing.assert_close(first + rest, gradient)


class Onlooker:
    """Keeps what each epoch shows to a callback."""

    def __init__(self):
        self.n_begun, self.shown = 0, []

    def begin(self):
        self.n_begun += 1

    def __call__(self, record, export):
        self.shown.append(export())


class GivenMasks:
    """Masks made beforehand, in place of a pool."""

    def __init__(self, masks):
        self.masks = list(masks)

    def take(self, *shape):
        mask = self.masks.pop(0)
        assert mask.shape == shape
        return mask


def test_gradient_with_dropout_equals_autograd():
    """A dropped unit has no gradient, the others one that is scaled up."""
    rng = np.random.default_rng(2)
    spec = make_spec(dropout=0.4, hidden_layer_sizes=(30, 20))
    tables = make_tables(spec)
    body = make_body(spec, tables)
    flat = body.flat.clone().requires_grad_()
    body.hold(flat)
    masks = [torch.as_tensor((rng.random((3, 4, n)) >= 0.4) / 0.6) for n in (30, 20)]
    vectors = torch.as_tensor(rng.normal(size=(3, 4, tables.width))).requires_grad_()
    h = vectors
    for weight, bias, mask in zip(body.weights, body.biases, masks):
        h = torch.relu(torch.baddbmm(bias, h, weight)) * mask
    raw = torch.baddbmm(body.biases[-1], h, body.weights[-1])
    expected = torch.autograd.grad(raw.square().sum(), (flat, vectors))
    with torch.no_grad():
        again, activations = body.forward(vectors, None, GivenMasks(masks))
        torch.testing.assert_close(again, raw)
        gradient = body.backward(activations, 2 * raw, dropout=0.4)
    torch.testing.assert_close(gradient, expected)


def test_masks_keep_the_mean():
    """Units are dropped at the rate that was asked for, the others scaled up, and no two masks agree."""
    pool = MaskPool(0.25, 1000, torch.Generator().manual_seed(0), "cpu")
    masks = torch.cat([pool.take(1, 10, 100) for _ in range(400)])
    assert masks.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert masks.mean() == pytest.approx(1, abs=0.01)  # 400,000 draws: sd .001, overlaps aside
    assert len(masks.flatten(1).unique(dim=0)) == len(masks)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adamw_equals_the_textbook(weight_decay):
    """Algorithm 2 of Loshchilov and Hutter, epsilon under the root, on parameters that are decayed and others."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    decays = (np.arange(20) < 12).astype(float)
    flat = torch.as_tensor(x.copy())
    optimiser = AdamW(flat, torch.as_tensor(decays), weight_decay, betas=(0.9, 0.99))
    mean = square = np.zeros(20)
    for t in range(1, 6):
        g, rate = rng.normal(size=20), 0.01 / t
        optimiser.step(torch.as_tensor(g), rate)
        mean, square = 0.9 * mean + 0.1 * g, 0.99 * square + 0.01 * g * g
        adaptive = (mean / (1 - 0.9**t)) / np.sqrt(square / (1 - 0.99**t) + 1e-16)
        x = x - rate * (adaptive + weight_decay * decays * x)
    np.testing.assert_allclose(flat.numpy(), x, rtol=1e-9)


# --- tables ----------------------------------------------------------------------------------


def draw_rows(tables, rng, shape):
    """Row numbers of a batch in each block's matrix, as the loop makes them."""
    rows = []
    for (columns, _), n_rows in zip(tables.blocks, tables.n_rows):
        codes = rng.integers(0, [tables.n_codes[c] for c in columns], (*shape, len(columns)))
        k = rng.integers(0, tables.n_tables, (*shape, 1))
        rows.append(torch.as_tensor(codes + tables.offset[columns] + k * n_rows))
    return rows


def test_fold_tables_start_alike():
    """The same start for each table; unknown and padding are zero."""
    tables = make_tables(make_spec())
    for vectors, n, width in zip(tables.export(), N_CODES, N_COMPONENTS):
        assert vectors.shape == (3, n, width)
        np.testing.assert_array_equal(vectors[0], vectors[1])
        np.testing.assert_array_equal(vectors[0], vectors[2])
        assert not vectors[:, 0].any()
        assert (vectors[:, 1:] != 0).all()


def test_two_categories_start_apart():
    """By .015 from their mean, whatever is drawn."""
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        spec = make_spec(n_codes=(3, 4), n_components=(1, 2), n_tables=2)
        two, _ = Tables(spec, generator, "cpu").export()
        np.testing.assert_allclose(np.abs(two[:, 1:]), 0.015, rtol=1e-4)


def test_gather_gives_the_vectors_of_each_column():
    """In the layout that the first layer expects."""
    rng = np.random.default_rng(0)
    tables = make_tables(make_spec())
    rows = draw_rows(tables, rng, (3, 5))
    gathered = tables.gather(rows).numpy()
    exported, layout = tables.export(), tables.layout()
    for (columns, _), n_rows, r in zip(tables.blocks, tables.n_rows, rows):
        for j, c in enumerate(columns):
            table, local = np.divmod(r[..., j].numpy(), n_rows)
            expected = exported[c][table, local - tables.offset[c]]
            np.testing.assert_array_equal(gathered[..., layout[c]], expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_update_is_the_implicit_step(weighted):
    """A row that weighs m moves by m rate / (1 + 2 columns m rate) of its mean gradient; no other row moves."""
    rng = np.random.default_rng(0)
    tables = make_tables(make_spec())
    rows, rate = draw_rows(tables, rng, (3, 5)), 0.05
    gradient = torch.as_tensor(rng.normal(size=(3, 5, tables.width)), dtype=torch.float32)
    weight = torch.as_tensor(rng.uniform(0.5, 2, (3, 5, 1)), dtype=torch.float32)
    before = [m.clone() for m in tables.matrices]
    tables.update(rows, gradient, weight if weighted else None, rate)
    start = 0
    for (columns, width), r, old, new in zip(tables.blocks, rows, before, tables.matrices):
        g = gradient[..., start : start + len(columns) * width].reshape(-1, width).numpy()
        start += len(columns) * width
        cells = r.reshape(-1).numpy()
        cell_weight = np.ones(len(cells))
        if weighted:
            cell_weight = np.repeat(weight.reshape(-1).numpy(), len(columns))
        expected = old.numpy().copy()
        for cell in np.unique(cells):
            mass = cell_weight[cells == cell].sum()
            step = rate / (1 + 2 * len(N_CODES) * mass * rate)
            expected[cell] -= step * g[cells == cell].sum(axis=0)
        np.testing.assert_allclose(new.numpy(), expected, rtol=1e-4, atol=1e-6)
        untouched = np.setdiff1d(np.arange(len(old)), cells)
        assert len(untouched)
        np.testing.assert_array_equal(new.numpy()[untouched], old.numpy()[untouched])
    assert not tables.mass.any()  # clean for the next batch


@pytest.mark.parametrize(
    "n_components", [(1,), (4, 4, 4), (1, 50), (3, 20, 2, 16), tuple(range(1, 12))]
)
def test_every_column_has_one_block(n_components):
    """Blocks share the columns out, none narrower than its columns."""
    blocks = split_into_blocks([10] * len(n_components), n_components)
    columns = sorted(c for block, _ in blocks for c in block)
    assert columns == list(range(len(n_components)))
    for block, width in blocks:
        assert width == max(n_components[c] for c in block)


def test_blocks_are_the_cheapest_cut():
    """Of all ways to cut the columns, sorted by width, into runs."""
    n_codes, n_components = [10, 300_000, 40, 70_000, 5, 200_000], [12, 10, 4, 3, 2, 1]

    def cost(blocks):
        padding = [(c, width - n_components[c]) for columns, width in blocks for c in columns]
        cells = sum(n_codes[c] * p for c, p in padding)
        return BLOCK_COST * len(blocks) + sum(p for _, p in padding) + cells / PADDED_CELLS

    cuts = [
        np.split(np.arange(6), np.flatnonzero(is_end) + 1)
        for is_end in product([False, True], repeat=5)
    ]
    costs = [cost([(run.tolist(), n_components[run[0]]) for run in cut]) for cut in cuts]
    chosen = split_into_blocks(n_codes, n_components)
    assert 1 < len(chosen) < 6
    assert cost(chosen) == pytest.approx(min(costs))


def test_a_huge_column_is_not_padded():
    """Padding a million rows would cost more than a second gather."""
    blocks = split_into_blocks([1_000_000, 10], [2, 10])
    assert len(blocks) == 2


# --- torch and NumPy -------------------------------------------------------------------------


@pytest.mark.parametrize("n_numeric", [0, 2])
@pytest.mark.parametrize("sizes", [(), (7, 5)])
def test_numpy_head_equals_torch(sizes, n_numeric):
    """What is exported predicts as the network did, each body for itself and the mean of all."""
    rng = np.random.default_rng(0)
    spec = make_spec(hidden_layer_sizes=sizes, n_numeric=n_numeric, n_outputs=2)
    tables = make_tables(spec)
    body = make_body(spec, tables)
    body.hold(body.flat.float())
    # A batch of one group a table; the codes are 0 nowhere, so that vectors differ from zero.
    rows, vectors = [], []
    codes = [rng.integers(1, n, 8) for n in N_CODES]
    for columns, _ in tables.blocks:
        cells = np.column_stack([codes[c] + tables.offset[c] for c in columns])
        rows.append(torch.as_tensor(cells)[None])
    x = rng.normal(size=(8, n_numeric)).astype(np.float32)
    exported, head = tables.export(), body.export(tables.layout())
    vectors = np.concatenate([t[0, c] for t, c in zip(exported, codes)], axis=1)
    each = []
    for k in range(spec.n_tables):
        numeric = torch.as_tensor(x)[None] if n_numeric else None
        raw = body.predict(k, tables.gather(rows), numeric)[0].numpy()
        np.testing.assert_allclose(forward(head, vectors, x, body=k), raw, rtol=1e-4, atol=1e-5)
        each.append(raw)
    np.testing.assert_allclose(
        forward(head, vectors, x), np.mean(each, axis=0), rtol=1e-4, atol=1e-5
    )


# --- tables that lie another way than the others ----------------------------------------------


def make_vectors(n_tables=5, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(200, 3)) + noise * rng.normal(size=(n_tables, 200, 3))


@pytest.mark.parametrize("which", [[0], [1, 4]])
def test_a_mirrored_table_is_turned_back(which):
    """A rotation with a reflection, and a shift; the others stay."""
    vectors = make_vectors()
    away = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0] * [1, 1, -1]
    moved = vectors.copy()
    moved[which] = vectors[which] @ away + [1.0, -2.0, 0.5]
    turns = find_turns(moved)
    assert list(turns) == which
    for k, (centre, rotation, new_centre) in turns.items():
        back = (moved[k] - centre) @ rotation + new_centre
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.abs(back - vectors[k]).max() < 0.3
        assert np.abs(moved[k] - vectors[k]).max() > 2


@pytest.mark.parametrize("first", [0, 1])
def test_bodies_are_turned_with_their_tables(first):
    """One component of a table mirrored, a table turned and moved: the mean tells what each does, whose answers stay.

    Tables before the first that may be turned stay as they are.
    """
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 200, (3000, 2))
    plain = [make_vectors(noise=0.1) + 0.3, make_vectors(noise=0.1)]
    moved = [tables.copy() for tables in plain]
    for tables in moved:
        tables[1, :, 0] *= -1
        tables[3] = tables[3] @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 2
    coefs = [rng.normal(size=(5, 8, 4)), rng.normal(size=(5, 4, 1))]
    head = {"coefs": coefs, "intercepts": [rng.normal(size=(5, 1, n)) for n in (4, 1)]}
    head |= {
        "frequencies": rng.normal(size=(5, 1, 1, 2)),
        "periodic_coefs": rng.normal(size=(5, 1, 4, 1)),
        "periodic_intercepts": rng.normal(size=(5, 1, 1, 1)),
    }
    network = TrainedNetwork(moved, head, [], 1)
    before = [(t.copy(), c.copy()) for t, c in zip(moved, coefs)]
    turned = turn_back(network, codes, first)
    numbers = rng.normal(size=(3000, 1)).astype(np.float32)
    for k in range(5):
        expected, answer = (ask_body(n, codes, numbers, k) for n in (network, turned))
        np.testing.assert_allclose(answer, expected, atol=1e-6)
    for c, (own, was) in enumerate(zip(turned.tables, plain)):
        spread = (own - own.mean(axis=1, keepdims=True)).std(axis=0).mean()
        untouched = (was - was.mean(axis=1, keepdims=True)).std(axis=0).mean()
        assert (spread < 1.2 * untouched) == (c >= first)
    for (table, coef), kept, weights in zip(before, moved, coefs):
        np.testing.assert_array_equal(kept, table)  # the network given is not changed
        np.testing.assert_array_equal(weights, coef)


def test_what_lies_alike_is_not_turned():
    """The arrays themselves come back."""
    codes = np.random.default_rng(0).integers(0, 200, (3000, 1))
    head = {"coefs": [np.ones((5, 3, 1))], "intercepts": [np.ones((5, 1, 1))]}
    network = TrainedNetwork([make_vectors(noise=0.2)], head, [], 1)
    again = turn_back(network, codes)
    assert again.tables[0] is network.tables[0]
    assert again.head["coefs"][0] is head["coefs"][0]


def test_noise_turns_no_table():
    """Tables that differ by chance stay, be there hardly anything but chance in them."""
    for noise in (0.1, 1.0, 3.0):
        assert find_turns(make_vectors(noise=noise)) == {}


def test_small_vectors_are_not_turned():
    """What a column that hardly counts has for a direction is chance."""
    vectors = make_vectors()
    vectors[2] *= -1
    assert list(find_turns(vectors)) == [2]
    assert find_turns(0.05 * vectors) == {}


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_no_turn_with_vectors_of_no_use(bad):
    """A table that is zero or diverged has no direction; of two tables one is turned to the other."""
    vectors = make_vectors()
    vectors[1] *= -1
    assert list(find_turns(vectors)) == [1]
    assert len(find_turns(vectors[:2])) == 1
    assert find_turns(vectors[:1]) == {}
    vectors[0] = bad
    assert find_turns(vectors) == {}


# --- the loop --------------------------------------------------------------------------------


def make_problem(n_rows=80, n_tables=1, **plan_changes):
    rng = np.random.default_rng(0)
    codes = rng.integers(1, [4, 9], (n_rows, 2)).astype(np.int32)
    table = TrainingTable(
        codes=codes,
        numeric=np.empty((n_rows, 0), dtype=np.float32),
        target=((codes[:, :1] == 2) + 0.1 * rng.normal(size=(n_rows, 1))).astype(np.float32),
        fold=None if n_tables == 1 else np.arange(n_rows) % n_tables,
    )
    spec = NetworkSpec((4, 9), (2, 3), 0, 1, (8,), "squared_error", n_tables=n_tables)
    plan = {
        "max_epochs": 4,
        "batch_size": 16,
        "learning_rate": 0.01,
        "table_learning_rate": 0.05,
        "weight_decay": 0.0,
        "early_stopping": False,
        "patience": 5,
        "seed": 0,
        "device": "cpu",
    }
    return table, spec, TrainingPlan(**{**plan, **plan_changes})


@pytest.mark.parametrize("n_tables", [1, 3])
def test_the_seed_decides_everything(n_tables):
    """The same seed, the same bits; another seed, others."""
    table, spec, plan = make_problem(n_tables=n_tables)
    one, two = train(table, spec, plan), train(table, spec, plan)
    assert one.history == two.history
    for a, b in zip([*one.tables, *one.head["coefs"]], [*two.tables, *two.head["coefs"]]):
        np.testing.assert_array_equal(a, b)
    other = train(*make_problem(n_tables=n_tables, seed=1))
    assert (other.tables[0] != one.tables[0]).any()


@pytest.mark.parametrize("n_tables", [1, 3])
def test_the_loss_falls(n_tables):
    """Twelve epochs on a target that the first column decides."""
    history = train(*make_problem(n_tables=n_tables, max_epochs=12)).history
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


def test_epochs_double_while_that_lowers_the_loss_out_of_fold():
    """A cycle for a start, then one as long as all before it, judged by rows whose labels were not seen."""
    table, spec, plan = make_problem(n_tables=2, n_doublings=3)
    network = train(table, spec, plan)
    scores = {r["epoch"]: r.get("validation_loss") for r in network.history}
    ends = [epoch for epoch, score in scores.items() if score is not None]
    assert ends == [4, 8, 16, 32][: len(ends)]
    assert len(ends) > 1
    assert network.best_epoch == min(ends, key=scores.get)
    assert network.validation_loss == min(scores[e] for e in ends)
    # It went on as long as it paid, and no longer.
    assert all(scores[b] < 0.99 * scores[a] for a, b in pairwise(ends[:-1]))
    assert len(ends) == 4 or scores[ends[-1]] >= 0.99 * scores[ends[-2]]


@pytest.mark.parametrize(("large_gain", "n_cycles"), [(-1.0, 6), (1.1, 4)])
def test_late_cycles_must_gain_more(monkeypatch, large_gain, n_cycles):
    """The first four go by one measure, the long ones that follow by another."""
    monkeypatch.setattr(_loop, "LEAST_GAIN", -1.0)
    monkeypatch.setattr(_loop, "LARGE_GAIN", large_gain)
    table, spec, plan = make_problem(n_tables=2, n_doublings=5, max_epochs=1)
    history = train(table, spec, plan).history
    assert [r["epoch"] for r in history if "validation_loss" in r] == [1, 2, 4, 8, 16, 32][
        :n_cycles
    ]


def _cycle(losses, unseen):
    last = {"epoch": len(losses), "loss": losses[-1], "validation_loss": unseen}
    return [{"loss": loss} for loss in losses[:-1]] + [last]


@pytest.mark.parametrize("unit", [1.0, -1.0, 1e-6])
@pytest.mark.parametrize(
    ("gain", "gap", "expected"),
    [
        (0.001, 0.005, True),  # unseen rows hardly lag behind: nothing was learned by heart
        (0.001, -0.2, True),
        (0.02, 0.1, False),  # they lag by five times what was gained last
        (0.2, 0.1, True),  # but much may be gained yet
        (-0.05, 0.1, False),
    ],
)
def test_a_cycle_promises_what_unseen_rows_may_gain(gain, gap, expected, unit):
    unseen = 2.0 * unit
    end = unseen - gap * abs(unseen)
    losses = end + abs(unseen) * gain * np.array([9, 5, 3, 2, 1, 1, 0.5, 0.2, 0.1, 0.0])
    assert _loop.promises(_cycle(losses, unseen), 100_000) == expected
    assert _loop.promises(_cycle(losses, unseen), 4000)  # quick enough to be tried


@pytest.mark.parametrize("n", [1, 2, 3])
def test_short_cycles_promise_something_as_well(n):
    assert _loop.promises(_cycle([1.0] * n, 1.0), 1_000_000)
    assert not _loop.promises(_cycle([1.0] * n, 1.1), 1_000_000)


def test_epochs_do_not_double_where_rows_would_be_learned_by_heart(monkeypatch):
    table, spec, plan = make_problem(n_tables=2, n_doublings=3)
    asked = []
    monkeypatch.setattr(_loop, "promises", lambda *given: asked.append(given))
    assert len(train(table, spec, plan).history) == 4
    ((cycle, n_rows),) = asked
    assert [record["epoch"] for record in cycle] == [1, 2, 3, 4]
    assert n_rows == table.n_rows


def test_the_best_cycle_is_kept():
    """Noise is learned by heart from the start: the first cycle is the best, and the same bits as without doubling."""
    table, spec, plan = make_problem(n_tables=2, learning_rate=0.05)
    noise = np.random.default_rng(1).normal(size=table.target.shape).astype(np.float32)
    table = replace(table, target=noise)
    plain = train(table, spec, plan)
    doubled = train(table, spec, replace(plan, n_doublings=3))
    assert (len(plain.history), len(doubled.history)) == (4, 8)
    assert doubled.best_epoch == 4
    assert doubled.validation_loss == plain.validation_loss
    for a, b in zip(plain.tables, doubled.tables):
        np.testing.assert_array_equal(a, b)


def test_a_table_that_lies_another_way_is_turned():
    """One mirrored table of five, in a column that learns and in one that does not."""
    table, spec, plan = make_problem(n_tables=5)
    fixed = [np.random.default_rng(0).normal(size=(5, 4, 2)).astype(np.float32)]
    training = _loop._Training(table, spec, plan, fixed)
    kept, turned = training.tables.views()
    turned *= 100  # what starts small is as large as what was learned
    turned[2] *= -1
    before = kept.clone()
    training._turn_tables()
    np.testing.assert_allclose(turned[2], turned[0], atol=1e-4)
    np.testing.assert_array_equal(kept, before)


@pytest.mark.parametrize(("n_tables", "learning_rate"), [(5, 0.01), (5, 0.0), (1, 0.01)])
def test_when_tables_are_compared(monkeypatch, n_tables, learning_rate):
    """After each quarter of a cycle but the last, if there are several and the layers above learn."""
    seen = []
    monkeypatch.setattr(_loop, "find_turns", lambda vectors: seen.append(vectors.shape) or {})
    changes = {"max_epochs": 8, "learning_rate": learning_rate}
    table, spec, plan = make_problem(n_tables=n_tables, **changes)
    train(table, spec, plan)
    learns = n_tables > 1 and learning_rate > 0
    assert sorted(seen) == sorted([(5, 80, 2), (5, 80, 3)] * 3 * learns)


@pytest.mark.parametrize("batch_size", [4, 10**9])
def test_more_folds_than_rows_a_step_and_a_step_of_all_rows(batch_size):
    """A step has a row a fold at least, and no more rows than there are: masks are as large as that."""
    table, spec, plan = make_problem(n_tables=20, batch_size=batch_size, max_epochs=300)
    network = train(table, replace(spec, dropout=0.1), plan)
    assert len(network.history) == 300
    assert np.isfinite(network.tables[0]).all()


def test_a_later_cycle_that_diverges_loses_nothing(monkeypatch):
    """What the first one learned is there already."""
    table, spec, plan = make_problem(n_tables=2, n_doublings=1)
    first = train(table, spec, replace(plan, n_doublings=0))

    def epoch(self, length, place):
        return original(self, length, place) if len(self.history) < 4 else math.nan

    original = _loop._Training._epoch
    monkeypatch.setattr(_loop._Training, "_epoch", epoch)
    onlooker = Onlooker()
    network = train(table, spec, plan, on_epoch=onlooker)
    assert onlooker.n_begun == len(onlooker.shown) == len(network.history) == 5
    for kept in (network, onlooker.shown[-1]):
        for a, b in zip(first.tables, kept.tables):
            np.testing.assert_array_equal(a, b)


def test_a_category_that_never_comes_stays_where_it_starts():
    """Only rows of the batch are touched: code 8 is not in the table. It leaves with the vector of unknown ones."""
    table, spec, plan = make_problem()
    table.codes[table.codes[:, 1] == 8, 1] = 7
    training = _loop._Training(table, spec, plan)
    vectors = training.tables.views()[1][0]
    start = vectors.clone()
    for place in range(3):
        training._epoch(3, place)
    assert torch.equal(vectors[8], start[8])
    assert not torch.equal(vectors[7], start[7])
    network = training.run(None)
    np.testing.assert_array_equal(network.tables[1][0, 8], network.tables[1][0, 0])
    assert len(train(*make_problem(max_epochs=1)).history) == 1


def test_the_unknown_vector_is_trained():
    """A few cells are shown as unknown; otherwise its vector would stay zero."""
    for n_rows, max_epochs in ((400, 6), (9, 60)):  # of the few rows, none is shown in most epochs
        network = train(*make_problem(n_rows=n_rows, max_epochs=max_epochs))
        assert all(np.abs(t[0, 0]).max() > 0 for t in network.tables)


def test_the_last_export_holds_the_vectors_once():
    """The tables may be the largest arrays of a fit, so what leaves the training is not a copy of them."""
    for early_stopping, max_epochs in ((False, 2), (True, 1)):
        table, spec, plan = make_problem(n_tables=2, max_epochs=max_epochs)
        table = replace(table, validation=np.arange(0, 80, 5))
        plan = replace(plan, early_stopping=early_stopping)
        training = _loop._Training(table, spec, plan)
        network = training.run(None)
        for exported, held in zip(network.tables, training.tables.views()):
            assert np.shares_memory(exported, held.numpy())
