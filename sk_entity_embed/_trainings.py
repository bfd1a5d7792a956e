"""The trainings of a fit to a target, one after the other: of the vectors, and of crossed pairs."""

import math
import warnings
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ._alignment import turn_back
from ._calibration import balance, calibrate
from ._cross_fitting import keep_apart
from ._pairs import MIN_COUNT, Pairs, collect_pairs
from ._plan import UNKNOWN_START, auto_components
from ._records import NetworkSpec, TrainedNetwork, TrainingPlan, TrainingTable
from ._residuals import choose_pairs
from ._text_groups import join_columns
from ._values import Values, no_values

# Share by which a model behind the vectors must gain by a cycle for another to follow.
LEAST_WORTH = 0.02


@dataclass(frozen=True)
class Task:
    """What is trained, and on what.

    Attributes
    ----------
    table : TrainingTable
        Its columns are the embedded ones, then those that hold the groups of their texts.
    numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
        The numbers of its rows as they came.
    texts : list of TextGroups or None
        Groups of the texts of each embedded column, if they have vectors.
    spec : NetworkSpec
    plans : list of one or two TrainingPlan
        Of the network and, if there may be pairs, of their effects.
    counted : list of tuple of int
        Pairs of columns that are crossed for their counts.
    candidates : Values or None
        Numbers that residuals may choose, beside pairs; None where they choose nothing.
    n_directions : int
        In which a prediction can move.
    starts : list of ndarray of shape (n_tables, n_codes, at most the width) or None
        What the vectors of each column start from, beside chance.
    """

    table: TrainingTable
    numeric: np.ndarray
    texts: list
    spec: NetworkSpec
    plans: list[TrainingPlan]
    counted: list
    candidates: Values | None
    n_directions: int
    starts: list

    @property
    def max_epochs(self):
        """Most epochs of all trainings together."""
        of_vectors, *of_pairs = [plan.most_epochs for plan in self.plans]
        return of_vectors + sum(of_pairs) * (2 if self.may_search_early else 1)

    @property
    def may_search_early(self):
        """Whether residuals may choose pairs in the middle of the training."""
        may_choose = self.candidates is not None and len(self.plans) > 1
        return may_choose and self.plans[0].n_doublings > 0


@dataclass(frozen=True)
class Crossing:
    """What a training of pairs has beside the vectors that it finds.

    Attributes
    ----------
    pairs : Pairs
        Among the columns of the task's table, then `values`.
    values : Values
    table : TrainingTable
        Its columns are those with vectors, then the pairs.
    spec : NetworkSpec
    """

    pairs: Pairs
    values: Values
    table: TrainingTable
    spec: NetworkSpec


@dataclass(frozen=True)
class Learned:
    """What comes of a task.

    Attributes
    ----------
    network : TrainedNetwork
        Of the vectors.
    of_pairs : TrainedNetwork or None
        Predicts in its place, if there is one. Its first tables are those of `network` at the end or after a cycle of
        its training; the others hold the effects of pairs.
    crossing : Crossing or None
        What `of_pairs` was trained on.
    """

    network: TrainedNetwork
    of_pairs: TrainedNetwork | None = None
    crossing: Crossing | None = None

    @property
    def predicting(self):
        """The network that is asked for predictions."""
        return self.network if self.of_pairs is None else self.of_pairs

    @property
    def validation_loss(self):
        """Of its predictions."""
        return self.predicting.validation_loss


def train_all(task, on_epoch, loss_behind=None):
    """All trainings.

    Parameters
    ----------
    task : Task
    on_epoch : EpochCallbacks
    loss_behind : callable or None
        Gives the loss of a model behind the vectors of a network. Epochs are doubled while it falls; None where the
        network's own predictions count.

    Returns
    -------
    learned : Learned
    """
    return _Trainings(task, on_epoch).run(loss_behind)


class _Trainings:
    """The trainings of a fit: of the network and, with pairs, of others that have their effects besides its vectors.

    Where residuals may choose pairs, they do so twice. After the first cycle of epochs they find what pairs say at once
    and further cycles would take long to learn, or learn by heart. After the last one they tell what is left. The
    out-of-fold loss decides between what comes of either and the network without pairs. Where more pairs are crossed
    for their counts than residuals choose, these are trained once, in the end: on 200,000 flights, 49 pairs beside one,
    training them after the first cycle too took two thirds more time and changed nothing.
    """

    def __init__(self, task, on_epoch):
        self.task, self.on_epoch = task, on_epoch
        self.last_behind = math.inf  # loss of the model behind the vectors after the last cycle
        self.loss = task.spec.loss
        self.early = None  # what came of the pairs that were chosen after the first cycle
        self.is_settled = False  # nothing is to be trained any more

    def run(self, loss_behind=None):
        """Train what there is to train, and choose among it."""
        from ._torch import train  # imported here: only fit needs torch

        task = self.task
        self._begin()
        go_on = partial(self._go_on, loss_behind)
        plan = task.plans[0]
        network = train(
            task.table, task.spec, plan, self.on_epoch, after_cycle=go_on, starts=task.starts
        )
        network = self._finish_vectors(network)
        rivals = [Learned(network)]
        if self.early is not None:
            rivals.append(replace(self.early, network=network))
        if len(task.plans) > 1 and not network.interrupted and not self.is_settled:
            try:
                rivals.append(self._train_pairs(network, self._choose(network)))
            except KeyboardInterrupt:
                warnings.warn(
                    "Interrupted while looking for crossed pairs; keeping what was learned so far.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        rivals = [learned for learned in rivals if learned is not None]
        # Pairs that were asked for are kept; others may be noise, as rows out of their folds say.
        return rivals[-1] if task.candidates is None else _best(rivals)

    def _begin(self):
        """Begin, or go on, to train the vectors: callbacks see their network."""
        self.on_epoch.finish = lambda network: Learned(self._finish_vectors(network))

    def _finish_vectors(self, network):
        return _finish(network, self.task.table, self.loss, texts=self.task.texts)

    def _go_on(self, loss_behind, export, history):
        """Whether another cycle of epochs may add to what counts: the vectors, or the predictions.

        Parameters
        ----------
        loss_behind : callable or None
            As in `train_all`.
        export : callable
            Gives the network.
        history : list of dict
            The records of the epochs; the last one of each cycle has the loss of rows out of their folds.
        """
        if loss_behind is not None:
            return self._vectors_may_gain(loss_behind(self._finish_vectors(export())))
        if self.task.may_search_early:
            losses = [r["validation_loss"] for r in history if "validation_loss" in r]
            return self._predictions_may_gain(export, losses)
        return True

    def _predictions_may_gain(self, export, losses):
        """Whether predictions may get better than those with the pairs that the first cycle's residuals chose.

        They may if the next cycle, when it gains as much as the last one did, gets below their loss. The vectors
        themselves gain nothing by cycles that a pair makes needless. Where pairs are crossed for their counts as well,
        these lower the later loss too, nobody knows by how much, and no cycle is needless (Rossmann's sales, 20,000
        rows: R2 .876, and .867 without the later ones).
        """
        if len(losses) == 1:
            network = replace(self._finish_vectors(export()), validation_loss=losses[0])
            chosen = self._choose(network)
            if len(chosen) >= max(1, len(self.task.counted)):
                self.early = self._train_pairs(network, chosen)
                self._begin()
        elif self.early is not None and not self.task.counted:
            promised = 2 * losses[-1] - losses[-2]
            self.is_settled = promised >= self.early.validation_loss
        return not self.is_settled

    def _vectors_may_gain(self, loss):
        """Whether a model behind the vectors, whose loss this is, gained by the last cycle.

        It counts where nobody asks for predictions: a cycle that lowers the loss of these may teach the layers alone
        what columns say together.
        """
        before, self.last_behind = self.last_behind, loss
        return loss < (1 - LEAST_WORTH) * before

    def _choose(self, network):
        """The pairs that residuals ask for, as `choose_pairs` counts columns."""
        task = self.task
        if task.candidates is None:
            return []
        return choose_pairs(network, task.table, task.numeric, task.candidates, task.spec)

    def _train_pairs(self, network, chosen):
        """Train effects of pairs, and a body above them and the vectors of `network`, which stay as they are.

        Returns
        -------
        learned : Learned or None
            None if nothing is crossed, if the training of pairs that nobody asked for diverged, and if it was
            interrupted before its first cycle of epochs was whole: a half trained body serves nobody.
        """
        from ._torch import train

        crossing = _cross(self.task, network, chosen)
        if crossing is None:
            return None
        fixed = network.tables
        finish = partial(_finish, table=crossing.table, loss=self.loss, n_fixed=len(fixed))
        self.on_epoch.finish = lambda of_pairs: Learned(network, finish(of_pairs), crossing)
        plan = self.task.plans[1]
        try:
            trained = train(crossing.table, crossing.spec, plan, self.on_epoch, fixed=fixed)
        except FloatingPointError as error:
            if self.task.candidates is None:
                raise
            warnings.warn(f"{error} Going without these pairs.", ConvergenceWarning, stacklevel=2)
            return None
        self.is_settled = trained.interrupted
        if trained.interrupted and len(trained.history) < plan.max_epochs:
            return None
        of_pairs = finish(trained)
        # What stayed as it was need not be there twice.
        of_pairs = replace(of_pairs, tables=[*fixed, *of_pairs.tables[len(fixed) :]])
        return Learned(network, of_pairs, crossing)


def _best(rivals):
    """That of the lowest out-of-fold loss; of equals the last."""
    return min(reversed(rivals), key=lambda learned: learned.validation_loss)


def _cross(task, network, chosen):
    """Settle what is crossed: the pairs `chosen` by residuals of `network`, and those by counts.

    Returns
    -------
    crossing : Crossing or None
        None if nothing is.
    """
    spec, numeric, values = task.spec, task.numeric, task.candidates
    counted = [pair for pair in task.counted if pair not in chosen]
    if not counted and not chosen:
        return None
    first = len(spec.n_codes)  # of the values
    used = sorted({c for pair in chosen for c in pair if c >= first})
    values = values.only([c - first for c in used]) if used else no_values()
    place = {c: first + i for i, c in enumerate(used)}
    chosen = [tuple(place.get(c, c) for c in pair) for pair in chosen]
    codes = np.hstack([task.table.codes, values.encode(numeric)])
    min_counts = [MIN_COUNT] * len(counted) + [1] * len(chosen)
    pairs = collect_pairs(codes, [*spec.n_codes, *values.n_codes], counted + chosen, min_counts)
    n_codes, n_directions = pairs.n_codes, task.n_directions
    widths = [1] * len(counted)
    widths += [auto_components(n - 1, n_directions) for n in n_codes[len(counted) :]]
    own = network.tables
    return Crossing(
        pairs,
        values,
        replace(task.table, codes=np.hstack([codes[:, : len(own)], pairs.encode(codes)])),
        replace(
            spec,
            n_codes=(*(t.shape[1] for t in own), *n_codes),
            n_components=(*(t.shape[2] for t in own), *widths),
            unknown_start=(*[0.0] * (len(own) + len(counted)), *[UNKNOWN_START] * len(chosen)),
        ),
    )


def _finish(network, table, loss, texts=None, n_fixed=0):
    """What is done to a network after its training, and to what callbacks see of it.

    `texts` are those of the columns that further ones of `table` hold the groups of; `n_fixed` tables were not trained.
    """
    if table.fold is not None:
        network = turn_back(network, table.codes, n_fixed)
    if texts is not None:
        network = join_columns(network, texts)
    if table.fold is not None:
        network = keep_apart(network, table, n_fixed or len(network.tables))
        if loss in ("log_loss", "cross_entropy"):
            network = calibrate(network, table, loss)
    return balance(network, table, loss)
