"""Train the vectors of two tables of entities from pairs of them.

This file chooses: which solver, which settings for "auto", when to stop. The mathematics is in
`_links_exact.py` and `_links_sgd.py`.
"""

import math
import warnings
from dataclasses import replace

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .._links_records import TrainedLinks, link_matrix
from ._device import own_defaults
from ._links_exact import Penalty, both_sides, start_table, sweep, whiten
from ._links_penalty import Choice, choose, kept_tables
from ._links_polish import polish, toward
from ._links_sgd import Cosine, Factorization, Recipe, Softmax, as_batch, run_epochs
from ._threads import enough_threads

_KINDS = ("links", "binary", "rating")
_LOSSES = ("auto", "softmax", "logistic", "squared_error")
# For each pair and component, to judge threads by: a second one from some 600,000 pairs of 50 components. On fewer, on
# a busy machine, two threads that wait for each other took 22 s for what one did in 0.6.
_FLOPS = 13
# Up to so many pairs: the sweeps besides those of the search, and their relaxation. Near the minimum few pairs have
# better neighbours (wiki: precision@10 of authors .709 to .715; a tenth of attr or codex_m: no clear change); more
# pairs rank links better short of it (attr: recall@20 .371, with a relaxation of 0.5 .365; twice the sweeps gain at
# most .002 anywhere). Above 250,000 they are fewer for time alone: each sweep less takes .0008 of attr's precision@10
# of authors, and quality on data of that size is not measured. All by benchmarks/bench_links.py.
_SWEEPS = ((50_000, 12, 0.5), (250_000, 4, 0.0), (math.inf, 2, 0.0))
_LEAST_FROM_CHANCE = 4  # sweeps where no search has gone before
# Of ratings, and of links and non-links: the best decay differs a hundred times between sales by shop and day, which
# vectors tell nearly all of, and delays of flights, of which they say nothing. A few passes choose as thirty do, so
# that a search costs one or two fits, and less of more pairs (benchmarks/bench_links.py --ratings).
_DECAYS = tuple(0.2 * 2.0**i for i in range(-6, 4))
_FIRST_DECAY = _DECAYS.index(0.2)
_MIN_PASSES, _MAX_PASSES, _PAIRS_TRIED = 3, 10, 5_000_000
_MIN_HELD, _MAX_HELD = 20, 10_000
_LEAST_SCORE = 1e-3  # if what adds to it is always below, nothing was learned


def train_links(pairs, spec, *, seed, device="cpu", on_epoch=None):
    """Vectors of the entities in `pairs`, trained as `spec` says.

    Parameters
    ----------
    pairs : LinkPairs
        The pairs, as 0-based codes.
    spec : LinkSpec
        The recipe.
    seed : int
        All chance comes from it; equal seeds give equal vectors on one device.
    device : str or torch.device, default="cpu"
        Where to compute. The exact solver takes the CPU in place of MPS.
    on_epoch : callable, default=None
        Called as ``on_epoch(epoch, record)`` after every pass or sweep, epochs counted from 0; a
        true result ends the training.

    Returns
    -------
    TrainedLinks
        NumPy arrays and plain numbers.

    Raises
    ------
    ValueError
        If `spec` contradicts itself or `pairs`, or no pair has a positive weight.
    FloatingPointError
        If the loss becomes NaN or infinite.
    """
    pairs = _usable(pairs)
    solver, loss = _resolve(pairs, spec)
    diary = _Diary(on_epoch)
    train, device = _train_exact if solver == "exact" else _train_sgd, torch.device(device)
    if solver == "exact" and device.type == "mps":
        # MPS has no double precision, in which objectives are summed, nor in older torch cholesky_solve.
        device = torch.device("cpu")
    with enough_threads(_FLOPS * len(pairs.left) * spec.n_components), own_defaults():
        trained = train(pairs, spec, loss, seed, device, diary)
    if pairs.weight is not None or spec.weight_decay != "auto":
        _warn_if_vanished(trained, 1.0 if pairs.kind != "rating" else float(pairs.value.std()))
    return trained


def _usable(pairs):
    """`pairs` without the rows of weight zero, checked."""
    if pairs.kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, got {pairs.kind!r} instead.")
    if pairs.kind == "links" and pairs.value is not None:
        raise ValueError("kind='links' takes no values; use 'binary' or 'rating'.")
    if pairs.kind != "links" and pairs.value is None:
        raise ValueError(f"kind={pairs.kind!r} needs a value for every pair.")
    if pairs.weight is not None:
        if not (np.isfinite(pairs.weight).all() and (pairs.weight >= 0).all()):
            raise ValueError("The weights of pairs must be finite and not negative.")
        keep = pairs.weight > 0
        if not keep.all():
            pairs = pairs.only(keep)
    if not len(pairs.left):
        raise ValueError("There is no pair with a positive weight to learn from.")
    if pairs.value is not None and not np.isfinite(pairs.value).all():
        raise ValueError("The values of pairs must be finite.")
    return pairs


def _resolve(pairs, spec):
    """Solver and loss with "auto" resolved, checked against each other."""
    if spec.loss not in _LOSSES:
        raise ValueError(f"loss must be one of {_LOSSES}, got {spec.loss!r} instead.")
    solver, loss = spec.solver, spec.loss
    if solver == "auto":
        other_loss = loss in ("softmax", "logistic")
        solver = "sgd" if pairs.kind == "rating" or other_loss else "exact"
    if solver == "exact":
        if pairs.kind == "rating":
            raise ValueError(
                "solver='exact' knows links and non-links only; ratings need solver='sgd'."
            )
        if loss not in ("auto", "squared_error"):
            raise ValueError(f"loss={loss!r} needs solver='sgd'.")
        return solver, "squared_error"
    if solver != "sgd":
        raise ValueError(f"solver must be 'auto', 'exact' or 'sgd', got {solver!r} instead.")
    if loss == "auto":
        loss = {"links": "softmax", "binary": "logistic", "rating": "squared_error"}[pairs.kind]
    if pairs.kind == "rating" and loss != "squared_error":
        raise ValueError(f"loss={loss!r} takes links; ratings need loss='squared_error'.")
    return solver, loss


class _Diary:
    """Keeps the history, asks the caller whether to go on, and stops a training gone wrong."""

    def __init__(self, on_epoch):
        self.history = []
        self._on_epoch = on_epoch

    def end_epoch(self, loss, seconds, **setting):
        """Add a record; true when training should end."""
        epoch = len(self.history)
        if not math.isfinite(loss):
            named = ", ".join(f"{k} {v:g}" for k, v in setting.items())
            raise FloatingPointError(
                f"The loss became {loss} in epoch {epoch + 1} (with {named}). Try a smaller "
                "learning_rate or a larger weight_decay, and look for huge values or weights."
            )
        record = {"epoch": epoch, "loss": float(loss), "seconds": float(seconds)}
        self.history.append(record)
        return bool(self._on_epoch is not None and self._on_epoch(epoch, record))


def _warn_interrupted(n_epochs):
    warnings.warn(
        f"Training was interrupted after {n_epochs} full epochs; what was learned is kept.",
        ConvergenceWarning,
        stacklevel=2,
    )


def _warn_if_vanished(trained, scale):
    """Warn if neither vectors nor biases make a difference to any score, beside the `scale` of what is to be told."""
    tables = (trained.left_vectors, trained.right_vectors)
    highest = math.prod(float(np.linalg.norm(table, axis=1).max()) for table in tables)
    biases = (float(np.abs(bias).max()) for bias in (trained.left_bias, trained.right_bias))
    if max(highest, *biases) < _LEAST_SCORE * scale:
        warnings.warn(
            f"The vectors vanished: no product of two is above {highest:.1g}. The penalty outweighs the pairs. Give an "
            "ordinary pair a sample_weight of about 1, or lower weight_decay.",
            ConvergenceWarning,
            stacklevel=2,
        )


def _train_exact(pairs, spec, loss, seed, device, diary):
    links, targets = link_matrix(pairs)
    n_sweeps, relaxation = next(rest for up_to, *rest in _SWEEPS if links.nnz <= up_to)
    begin = _begin_exact(links, targets, spec, relaxation, seed, device)
    penalty, kept, interrupted = begin.penalty, begin.kept, begin.interrupted
    if begin.tables[0] is None:
        n_sweeps = max(n_sweeps, _LEAST_FROM_CHANCE)
    if interrupted:
        n_sweeps = 1
    elif spec.max_epochs != "auto":
        n_sweeps = spec.max_epochs
    left, right = both_sides(links, targets, spec.n_components, device)

    def end_sweep(objective, seconds):
        mean = objective / links.nnz
        return diary.end_epoch(mean, seconds, weight_decay=penalty.ridge)

    (_, v), stopped = sweep(left, right, begin.tables, penalty, n_sweeps, end_sweep, relaxation)
    solved_right = whiten(v, begin.whitening)
    x, v = kept_tables(left, right, solved_right, penalty, kept)
    interrupted |= stopped
    if begin.polish_share > 0 and not interrupted:
        try:
            polished = polish(links, x, v, np.random.default_rng(seed))
            v = toward(v, polished, begin.polish_share)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        _warn_interrupted(len(diary.history))
    return _record(
        (x, v, x.new_zeros(len(x)), v.new_zeros(len(v)), 0.0),
        "exact",
        loss,
        diary,
        solved_right=None if solved_right is v else _plain_array(solved_right),
        interrupted=interrupted,
        negative_weight=kept.negative_weight,
        ridge=kept.ridge,
        ridge_power=kept.power,
        right_negative_weight=penalty.negative_weight,
        right_ridge=penalty.ridge,
    )


def _begin_exact(links, targets, spec, relaxation, seed, device):
    """What held-back links choose, if there is anything to choose, and tables to sweep from.

    Returns
    -------
    choice : Choice
    """
    generator = torch.Generator().manual_seed(seed)
    given, may_polish = _given_penalty(spec), spec.solver == "auto" and targets is None

    def by_chance():
        return None, start_table(links.shape[1], spec.n_components, generator, device)

    # With a penalty that is given the tables are those of a fit without polish.
    tables = None if given is None else by_chance()
    if given is not None and not may_polish:
        return Choice(given, given, tables)
    choice = choose(
        links,
        targets,
        spec.n_components,
        np.random.default_rng(seed),
        generator,
        device,
        negative_weight=spec.negative_weight,
        penalty=given,
        relaxation=relaxation,
        may_polish=may_polish,
    )
    return replace(choice, tables=tables or choice.tables or by_chance())


def _given_penalty(spec):
    if spec.weight_decay == "auto":
        return None
    weight = 0.01 if spec.negative_weight == "auto" else spec.negative_weight
    # Not quite zero, so that every system has a solution.
    return Penalty(weight, max(spec.weight_decay or 0.0, 1e-6), 0.0)


def _train_sgd(pairs, spec, loss, seed, device, diary):
    rng = np.random.default_rng(seed)
    recipe = _recipe(pairs, spec, loss)
    if loss == "softmax" and pairs.value is not None:
        # A softmax has no place for known non-links.
        pairs = replace(pairs.only(pairs.value > 0), value=None)
        if not len(pairs.left):
            raise ValueError("loss='softmax' needs at least one link among the pairs.")
    interrupted = False
    if spec.weight_decay == "auto" and pairs.value is not None and not recipe.n_negatives:
        recipe, interrupted = _choose_decay(pairs, spec, recipe, seed, device)
        if interrupted:
            recipe = replace(recipe, max_epochs=1)
    model = _start_model(pairs, spec, recipe, seed, rng, device)

    def end_epoch(value, seconds):
        return diary.end_epoch(value, seconds, learning_rate=recipe.learning_rate)

    try:
        run_epochs(model, pairs, recipe, rng, device, end_epoch)
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        _warn_interrupted(len(diary.history))
    return _record(
        model.result(), "sgd", loss, diary, interrupted=interrupted, ridge=recipe.weight_decay
    )


def _model_class(pairs, loss):
    if pairs.kind == "rating":
        return Factorization
    return {"softmax": Softmax, "logistic": Factorization}.get(loss, Cosine)


def _start_model(pairs, spec, recipe, seed, rng, device):
    """The model of a recipe before its first epoch."""
    generator = torch.Generator().manual_seed(seed)
    model_class = _model_class(pairs, recipe.loss)
    scale = 0.05 if model_class is Cosine else 0.1 / spec.n_components**0.5
    tables = [
        start_table(n, spec.n_components, generator, device, scale)
        for n in (pairs.n_left, pairs.n_right)
    ]
    for table, codes in zip(tables, (pairs.left, pairs.right), strict=True):
        unused = np.bincount(codes, minlength=len(table)) == 0
        table[torch.from_numpy(unused).to(device)] = 0.0
    return model_class(tables, pairs, recipe, rng)


def _choose_decay(pairs, spec, recipe, seed, device):
    """The recipe with the decay of vectors that held-back pairs, with what is known of them, are told best by.

    A walk along `_DECAYS` while it gets better, first two at a time. All pairs take part however many there are: of
    some entities with all their pairs, the others would have fewer, of which vectors seem to say less.

    Returns
    -------
    recipe : Recipe
    interrupted : bool
    """
    order = np.random.default_rng(seed).permutation(len(pairs.left))
    n_held = min(len(order) // 10, _MAX_HELD)
    if n_held < _MIN_HELD or _model_class(pairs, recipe.loss) is not Factorization:
        return recipe, False
    held = as_batch(pairs.only(order[:n_held]), device)
    kept = pairs.only(order[n_held:])
    n_passes = int(min(max(_MIN_PASSES, _PAIRS_TRIED / len(order)), _MAX_PASSES, recipe.max_epochs))
    losses = {}

    def loss_at(i):
        if i not in losses:
            one = replace(recipe, weight_decay=_DECAYS[i], max_epochs=n_passes)
            own = np.random.default_rng(seed)
            model = _start_model(kept, spec, one, seed, own, device)
            run_epochs(model, kept, one, own, device, lambda *_: False)
            losses[i] = model.mean_loss(held)
        return losses[i] if math.isfinite(losses[i]) else math.inf

    at, interrupted = _FIRST_DECAY, False
    try:
        for step in (2, -2, 1, -1):
            while 0 <= at + step < len(_DECAYS) and loss_at(at + step) < loss_at(at):
                at += step
    except KeyboardInterrupt:
        interrupted = True
    return replace(recipe, weight_decay=_DECAYS[at]), interrupted


_ARTICLE = {"n_negatives": 2, "max_epochs": 15, "learning_rate": 0.001, "weight_decay": 0.0}
_SOFTMAX = {"n_negatives": 0, "max_epochs": 15, "learning_rate": 0.1, "weight_decay": 0.3}
_LOGISTIC = {"n_negatives": 5, "max_epochs": 15, "learning_rate": 0.1, "weight_decay": 0.1}
_BINARY = {"n_negatives": 0, "max_epochs": 20, "learning_rate": 0.1, "weight_decay": 0.1}
_RATING = {"n_negatives": 0, "max_epochs": 30, "learning_rate": 0.1, "weight_decay": 0.2}


def _recipe(pairs, spec, loss):
    """The settings of an sgd fit: what is given, else the default of the loss."""
    if pairs.kind == "rating":
        defaults = _RATING
    elif loss == "softmax":
        defaults = _SOFTMAX
    elif loss == "squared_error":
        defaults = _ARTICLE
    else:
        defaults = _LOGISTIC if pairs.kind == "links" else _BINARY
    chosen = {
        name: default if getattr(spec, name) == "auto" else getattr(spec, name)
        for name, default in defaults.items()
    }
    chosen["weight_decay"] = chosen["weight_decay"] or 0.0
    batch_size = spec.batch_size
    if batch_size == "auto":  # at least about 50 steps an epoch, for small data
        batch_size = int(min(1024, max(64, len(pairs.left) // 50)))
    sampling = spec.negative_sampling
    if sampling == "auto":
        sampling = "uniform" if loss == "squared_error" else "popularity"
    return Recipe(loss=loss, batch_size=batch_size, negative_sampling=sampling, **chosen)


def _plain_array(table):
    return np.ascontiguousarray(table.cpu().numpy(), np.float32)


def _record(tables, solver, loss, diary, **numbers):
    x, v, x_bias, v_bias, intercept = tables
    arrays = [_plain_array(t) for t in (x, v, x_bias, v_bias)]
    # A step's loss tells of the steps before it; the last one may have left vectors without a finite product.
    if not all(np.isfinite(np.vdot(array, array)) for array in [*arrays, np.float32(intercept)]):
        raise FloatingPointError(
            f"The vectors stopped being finite in epoch {max(1, len(diary.history))}. Try a smaller learning_rate "
            "or a larger weight_decay, and look for huge values or weights."
        )
    return TrainedLinks(
        *arrays,
        intercept=float(intercept),
        solver=solver,
        loss=loss,
        history=diary.history,
        n_epochs=len(diary.history),
        **numbers,
    )
