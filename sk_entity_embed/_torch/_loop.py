"""The epochs: a training table goes in, a trained network of NumPy arrays comes out.

No DataLoader and no per-row Python: the rows are laid out once as tensors, an epoch walks through a random order of
them, and several steps' worth of rows are fetched by one gather.
"""

import math
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .._alignment import ROWS_COMPARED, find_turns
from .._records import TrainedNetwork
from .._rows import FEW_ROWS, some_rows
from ._device import own_defaults
from ._losses import make_loss, steepness
from ._network import AdamW, Bodies, MaskPool, Tables
from ._threads import enough_threads

_ALL = slice(None)
UNKNOWN_RATE = 0.02  # share of cells shown as unknown, so that its vector is trained
ROWS_TRIED = 256  # rows of each fold on which the end of the training is tried
ROWS_JUDGED = 4096  # rows of each fold that judge a cycle
# Share by which a cycle must lower the validation loss for another to follow; and after `MANY_CYCLES`, which take long.
LEAST_GAIN, LARGE_GAIN, MANY_CYCLES = 0.01, 0.1, 4
# Shares of the validation loss: the least gap to the training loss that tells of rows learned by heart, and what a
# cycle must promise then (benchmarks/bench_epochs.py). Of tables with several classes and 800 to 2,500 rows some lose 2
# to 5 % by the same rule, so it is for more than a few rows.
LEAST_GAP, LEAST_PROMISE = 0.01, 0.03
# Scales of softmax outputs that are tried where a cycle is judged: how sure a network should be is found afterwards, so
# it may be surer than it is right as long as it is right more often.
SCALES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)
ROWS_AT_ONCE = 1 << 15  # rows fetched by one gather; bounds what a shuffle holds


def train(table, spec, plan, on_epoch=None, fixed=(), after_cycle=None, starts=()):
    """Train the network.

    Parameters
    ----------
    table : TrainingTable
    spec : NetworkSpec
    plan : TrainingPlan
    on_epoch : callable or None
        Called after each epoch with its record and a function that gives the TrainedNetwork so far. A true result stops
        the training. Its method ``begin`` is called before each epoch.
    fixed : list of ndarray of shape (n_tables, n_codes, n_components)
        Tables of the first columns that are not to be learned any more.
    after_cycle : callable or None
        Called after each cycle of epochs that has gained so much that another one may pay, with a function that gives
        the TrainedNetwork so far and the list of the epochs' records. A false result ends the training. What it does
        in the meantime, be it a training of its own, does not change this one.
    starts : list of ndarray of shape (n_tables, n_codes, at most the width) or None
        For each column what its vectors start from, beside chance.

    Returns
    -------
    network : TrainedNetwork

    Raises
    ------
    FloatingPointError
        If the loss stops being finite.
    """
    width = sum(spec.n_components) + spec.n_numeric
    sizes = [width, *spec.hidden_layer_sizes, spec.n_outputs]
    # A product forward and two backward, each a multiplication and an addition; honest training shows a batch twice.
    flops = 6 * plan.batch_size * min(2, spec.n_tables) * sum(a * b for a, b in pairwise(sizes))
    with enough_threads(flops), own_defaults():
        return _Training(table, spec, plan, fixed, starts).run(on_epoch, after_cycle)


class _Training:
    def __init__(self, table, spec, plan, fixed=(), starts=()):
        device = torch.device(plan.device)
        self.spec, self.plan, self.device = spec, plan, device
        self.generator = torch.Generator().manual_seed(plan.seed)
        self.tables = Tables(spec, self.generator, device, fixed, starts)
        self.body = Bodies(spec, self.tables, self.generator, device)
        self.optimiser = AdamW(self.body.flat, self.body.decays, plan.weight_decay)
        self.loss = make_loss(spec.loss, spec.quantile)
        self._lay_out(table)
        self.masks = None
        if spec.dropout and spec.hidden_layer_sizes:
            n_rows = 2 * self.group_size * spec.n_tables  # honest training shows a batch twice
            largest = n_rows * max(spec.hidden_layer_sizes)
            self.masks = MaskPool(spec.dropout, largest, self.generator, device)
        self.history, self.interrupted = [], False
        self.name = "Training of crossed pairs" if len(fixed) else "Training"  # for messages
        # The best network so far, by the validation loss; None while it is the one in training, which saves a copy.
        self.best, self.best_loss = None, math.inf

    def _lay_out(self, table):
        """Put the rows on the device; what is one row of memory is read at once."""
        self.numeric = torch.from_numpy(table.numeric).to(self.device)
        self.target = torch.from_numpy(table.target).to(self.device)
        self.weight = (
            None if table.weight is None else torch.from_numpy(table.weight).to(self.device)
        )
        self.codes = torch.from_numpy(np.ascontiguousarray(table.codes)).to(self.device)
        self.columns, self.unknown = [], []  # per block
        for columns, _ in self.tables.blocks:
            self.columns.append(torch.tensor(columns, device=self.device))
            self.unknown.append(torch.from_numpy(self.tables.offset[columns]).to(self.device))
        if table.fold is None:
            is_trained = np.ones(table.n_rows, dtype=bool)
            is_trained[table.validation] = False
            rows = [np.flatnonzero(is_trained)]
        else:
            rows = [np.flatnonzero(table.fold == k) for k in range(self.spec.n_tables)]
        kind = np.int32 if table.n_rows < 2**31 else np.int64
        self.train_rows = [torch.from_numpy(r.astype(kind)) for r in rows]
        self.alias = self._find_aliases()
        n = sum(len(r) for r in rows)
        self.group_size = max(1, min(self.plan.batch_size, n) // self.spec.n_tables)
        self.n_steps = max(1, n // (self.group_size * self.spec.n_tables))
        # A fold larger than the others is visited no more often a step; its rows weigh more instead.
        self.uneven = max(len(r) for r in rows) > 1.01 * min(len(r) for r in rows)
        self.fold_weight = torch.tensor(
            [len(r) * len(rows) / n for r in rows], dtype=torch.float32, device=self.device
        )
        self.groups = torch.arange(self.spec.n_tables, device=self.device)
        self.scales, self.prior = SCALES[:1], None
        if table.fold is not None and self.spec.loss == "cross_entropy":
            prior = torch.from_numpy(np.log(table.shares()).astype(np.float32))
            self.scales, self.prior = SCALES, prior.to(self.device)
        if self.plan.early_stopping:
            fold = np.zeros(table.n_rows, dtype=np.int64) if table.fold is None else table.fold
            self.validation = [
                torch.from_numpy(table.validation[fold[table.validation] == k])
                for k in range(self.spec.n_tables)
            ]
        elif table.fold is not None:  # each has a table and a body that have not seen its label
            self.validation = [some_rows(rows, ROWS_JUDGED) for rows in self.train_rows]
        else:
            self.validation = []

    def _find_aliases(self):
        """For each fold table, the row that stands for a category: its own or, if it was never trained, unknown's.

        A category whose rows all lie in fold f is as new to table f as one never seen at all. Without folds, so is one
        whose rows weigh nothing or are all held back for validation.
        """
        aliases = []
        members = [rows.to(self.device) for rows in self.train_rows]
        for b, ((columns, _), n_rows) in enumerate(zip(self.tables.blocks, self.tables.n_rows)):
            rows = torch.arange(n_rows, device=self.device).repeat(self.spec.n_tables, 1)
            if b < self.tables.n_fixed:
                columns = []  # such rows hold a copy of what stands for them already
            for c in columns:
                start, n = int(self.tables.offset[c]), self.spec.n_codes[c]
                codes = self.codes[:, c].contiguous()
                total = torch.bincount(codes, minlength=n)
                for k, own in enumerate(members):
                    seen = total
                    if len(own) < len(codes):
                        seen = torch.bincount(codes.index_select(0, own), minlength=n)
                    if self.spec.n_tables > 1:
                        seen = total - seen  # a fold table trains on all folds but its own
                    rows[k, start : start + n].masked_fill_(seen == 0, start)  # unknown's
            rows += torch.arange(self.spec.n_tables, device=self.device).unsqueeze(1) * n_rows
            aliases.append(rows.ravel())
        return aliases

    def _rows(self, cells, table):
        """Row numbers in each block's matrix of `cells` (M, m, columns), group g in fold table ``table[g]``."""
        if self.spec.n_tables == 1:
            return cells
        return [c + (table * n).view(-1, 1, 1) for c, n in zip(cells, self.tables.n_rows)]

    def _own_rows(self, cells, fold):
        """The same for rows of fold ``fold[g]`` in the table that has not seen their labels."""
        return [
            alias.index_select(0, r.reshape(-1)).view(r.shape)
            for alias, r in zip(self.alias, self._rows(cells, fold))
        ]

    def _fetch(self, rows):
        """The data of `rows`, a tensor of any shape; of each cell its row number in the block's matrix."""
        flat = rows.reshape(-1).to(self.device)

        def take(part):
            return part.index_select(0, flat).view(*rows.shape, -1)

        numeric = self.numeric if self.spec.n_numeric else None
        others = (self.target, numeric, self.weight)
        codes = take(self.codes)
        # Row numbers become int64 here: index_fill_ takes no others, and those of a fold table may need it.
        cells = [
            codes.index_select(-1, columns) + unknown
            for columns, unknown in zip(self.columns, self.unknown)
        ]
        return cells, *(None if part is None else take(part) for part in others)

    def _hide(self, cells):
        """Show a few cells as unknown, in place."""
        for c, unknown in zip(cells, self.unknown):
            expected = c.numel() * UNKNOWN_RATE
            n_hidden = round(expected)
            if not n_hidden:
                # Of a handful of cells one now and then, or the unknown vector would never be trained.
                drawn = torch.rand((), dtype=torch.float32, generator=self.generator)
                n_hidden = int(drawn < expected)
            place = torch.randint(c.numel(), (n_hidden,), generator=self.generator)
            place = place.to(self.device)
            values = unknown.index_select(0, place % c.shape[-1])
            c.view(-1).index_copy_(0, place, values)

    def _draw_order(self):
        """A random order of an epoch's rows, shape (n_steps, M, m), and the fold of each group.

        Group g trains table g and body g on rows of another fold, shifted by a number drawn for each step.
        """
        steps, m, k = self.n_steps, self.group_size, self.spec.n_tables
        order = []
        for rows in self.train_rows:
            shuffled = torch.randperm(len(rows), dtype=rows.dtype, generator=self.generator)
            drawn = rows.index_select(0, shuffled)
            repeats = -(-steps * m // len(rows))
            drawn = drawn.repeat(repeats) if repeats > 1 else drawn
            order.append(drawn[: steps * m].view(steps, 1, m))
        if k == 1:
            return order[0], None
        order = torch.cat(order, 1)
        shift = torch.randint(1, k, (steps, 1), generator=self.generator)
        fold = (torch.arange(k) - shift) % k  # (n_steps, M)
        return order.gather(1, fold.unsqueeze(2).expand(-1, -1, m)), fold.to(self.device)

    def _calendar(self):
        """The epochs: the length of the cycle that each belongs to, and its place there.

        In each cycle the rates fall to zero; the next one starts anew [1]_, for as many epochs as there were so far.

        References
        ----------
        .. [1] Loshchilov, I. and Hutter, F. (2017). SGDR: stochastic gradient descent with warm restarts. ICLR.
           :doi:`10.48550/arXiv.1608.03983`
        """
        first = self.plan.max_epochs
        for length in (first, *(first << i for i in range(self.plan.n_doublings))):
            for place in range(length):
                yield length, place

    def run(self, on_epoch, after_cycle=None):
        """All epochs; returns what they leave."""
        waiting = 0
        try:
            for epoch, (length, place) in enumerate(self._calendar()):
                if self.best is None and self.best_loss < math.inf:
                    self.best = self.export()
                if on_epoch is not None:
                    on_epoch.begin()
                record = {"epoch": epoch + 1, "loss": self._epoch(length, place)}
                # Not at the end of a cycle: the bodies have yet to learn what a turned table means.
                if 4 * place // length < 4 * (place + 1) // length < 4:
                    self._turn_tables()
                goes_on, export = math.isfinite(record["loss"]), self.export
                has_gained = True
                if not goes_on:
                    if self.best is None:
                        raise self._diverged(f"the loss became {record['loss']}", epoch + 1)
                    export = lambda: self.best  # noqa: E731  what was learned before is there already
                elif self.plan.early_stopping:
                    waiting = 0 if self._judge(record) > 0 else waiting + 1
                    goes_on = waiting < self.plan.patience
                elif self.validation and place + 1 == length:
                    is_late = length >= self.plan.max_epochs << (MANY_CYCLES - 2)
                    least = LARGE_GAIN if is_late else LEAST_GAIN
                    cycle = [*self.history, record][-length:]
                    has_gained = self._judge(record) > least and promises(cycle, len(self.codes))
                self.history.append(record)
                stop = on_epoch is not None and on_epoch(record, export)
                self.interrupted = bool(stop)
                if stop or not goes_on:
                    break
                may_follow = place + 1 == length and epoch + 1 < self.plan.most_epochs
                if has_gained and may_follow and after_cycle:
                    has_gained = after_cycle(self.export, self.history)
                if not has_gained:
                    break
        except KeyboardInterrupt:
            self.interrupted = True
            warnings.warn(
                f"{self.name} interrupted in epoch {len(self.history) + 1}; keeping what was learned so far.",
                ConvergenceWarning,
                stacklevel=2,
            )
        network = self.best
        if network is None:
            if self.best_loss == math.inf:
                self._check_last_step()
            network = self.export(copy=False)
        network = replace(
            network,
            history=self.history,
            interrupted=self.interrupted,
            validation_loss=self.best_loss,
        )
        if not all(np.isfinite(table).all() for tables in network.tables for table in tables):
            raise self._diverged("vectors stopped being finite", network.best_epoch)
        return network

    def _turn_tables(self):
        """Turn fold tables that lie another way than the others."""
        # Of two tables neither is right; and layers that stay as they are do not learn to read a mirror.
        if self.spec.n_tables < 3 or not self.plan.learning_rate:
            return
        views, learning = self.tables.views(), slice(self.tables.n_fixed, None)
        some = some_rows(self.codes, ROWS_COMPARED)
        for columns, _ in self.tables.blocks[learning]:
            for c in columns:
                # Not by index_select, which first copies all of a table whose rows lie apart.
                turns = find_turns(views[c][:, some[:, c]].cpu().numpy())
                for k, turn in turns.items():
                    centre, rotation, new_centre = (
                        torch.from_numpy(part.astype(np.float32)).to(self.device) for part in turn
                    )
                    views[c][k] = (views[c][k] - centre) @ rotation + new_centre

    def _judge(self, record):
        """Score the validation rows, and note whether the network is the best so far.

        Returns the share by which the loss fell below the best so far, 0 if it did not.
        """
        before = self.best_loss
        loss = record["validation_loss"] = self._mean_loss(self.validation)
        if not loss < before - 1e-6:
            return 0.0
        self.best, self.best_loss = None, loss
        return 1.0 if before == math.inf else (before - loss) / abs(before)

    def _check_last_step(self):
        """A step's loss tells of the steps before it; what the last one left is tried on a few rows."""
        loss = self._mean_loss([rows[:ROWS_TRIED] for rows in self.train_rows])
        if not math.isfinite(loss):
            raise self._diverged(f"the loss became {loss}", len(self.history))

    def _diverged(self, what, epoch):
        return FloatingPointError(
            f"{self.name}: {what} in epoch {epoch} with learning_rate={self.plan.learning_rate}. Lower "
            f"learning_rate or weight_decay={self.plan.weight_decay}, or look for extreme values in y and in the "
            "numeric columns."
        )

    def _epoch(self, length, place):
        """One walk through the rows, the epoch ``place`` of a cycle of ``length``; returns the mean loss."""
        order, folds = self._draw_order()
        steps = self.n_steps
        at_once = max(1, ROWS_AT_ONCE // order[0].numel())
        loss = torch.zeros((), dtype=torch.float32, device=self.device)
        for first in range(0, steps, at_once):
            cells, *others = self._fetch(order[first : first + at_once])
            self._hide(cells)
            for i in range(len(others[0])):
                step = first + i
                rate = 0.5 * (1 + math.cos(math.pi * (place * steps + step) / (length * steps)))
                batch = [None if part is None else part[i] for part in others]
                fold = None if folds is None else folds[step]
                loss += self._step([c[i] for c in cells], *batch, fold, rate)
        return float(loss) / order.numel()

    def _step(self, cells, target, numeric, weight, fold, rate):
        """One batch; returns its summed loss."""
        tables, body = self.tables, self.body
        dropout = self.spec.dropout if self.masks is not None else 0.0
        if fold is not None and (weight is not None or self.uneven):
            fold_weight = self.fold_weight.index_select(0, fold).view(-1, 1, 1)
            weight = (
                fold_weight.expand(-1, self.group_size, 1)
                if weight is None
                else weight * fold_weight
            )
        rows = self._rows(cells, self.groups)
        seen = learned = _ALL
        shown = rows
        if fold is not None:
            # Honest training, both halves side by side: the tables learn from the first, vectors that may have seen the
            # row's label, with the body held fixed; the body learns from the second, vectors that have not, and so
            # learns how far a vector can be trusted.
            seen, learned = slice(0, self.group_size), slice(self.group_size, None)
            shown = _twice(rows, self._own_rows(cells, fold))
            target, weight = _twice([target, weight], [target, weight])
        features = None
        if numeric is not None:
            numeric = body.numeric_features(numeric)
            features = numeric[0] if fold is None else _twice(numeric[:1], numeric[:1])[0]
        raw, activations = body.forward(tables.gather(shown), features, self.masks)
        values, g = self.loss(raw, target)
        if weight is not None:
            values, g = values * weight.squeeze(-1), g * weight
            weight = weight[:, seen]
        bend = steepness(self.spec.loss, raw[:, seen], target[:, seen])
        if bend is not None:
            weight = bend if weight is None else weight * bend
        gradient, g_vectors = body.backward(
            activations, g, numeric, dropout, rows=seen, body_rows=learned
        )
        tables.update(rows, g_vectors, weight, self.plan.table_learning_rate * rate)
        self.optimiser.step(gradient, self.plan.learning_rate * rate)
        return values[:, learned].sum()

    def _mean_loss(self, rows_of_folds):
        """Weighted mean loss of rows, given by fold: each with the table and body that have not seen its label."""
        total, mass = np.zeros(len(self.scales)), 0.0
        for k, rows in enumerate(rows_of_folds):
            if not len(rows):  # of few rows that are scored, none need be in this fold
                continue
            for part in rows.split(1 << 14):
                cells, target, numeric, weight = self._fetch(part.unsqueeze(0))
                table = torch.tensor([k], device=self.device)
                vectors = self.tables.gather(self._own_rows(cells, table))
                raw = self.body.predict(k, vectors, numeric)
                weight = raw.new_ones(raw.shape[:2]) if weight is None else weight.squeeze(-1)
                for i, scale in enumerate(self.scales):
                    scaled = raw if scale == 1 else self.prior + scale * (raw - self.prior)
                    total[i] += float((self.loss(scaled, target)[0] * weight).sum())
                mass += float(weight.sum())
        return float(total.min() / mass)

    def export(self, copy=True):
        """What was learned so far, as NumPy arrays; without a copy, for the end, they share the tables' memory."""
        tables = self.tables.export(copy)
        for (columns, _), n_rows, alias in zip(self.tables.blocks, self.tables.n_rows, self.alias):
            alias = alias.view(self.spec.n_tables, n_rows).cpu().numpy()
            for c in columns:
                start, n = self.tables.offset[c], self.spec.n_codes[c]
                for k, table in enumerate(tables[c]):
                    is_new = alias[k, start : start + n] == k * n_rows + start
                    table[is_new] = table[0]
        return TrainedNetwork(
            tables=tables,
            head=self.body.export(self.tables.layout()),
            history=list(self.history),
            best_epoch=len(self.history),
            interrupted=self.interrupted,
        )


def promises(cycle, n_rows, least=LEAST_PROMISE):
    """Whether another cycle may pay, or would rather learn rows by heart.

    What the second half of a cycle gained on rows that are trained on, another may gain again. Of that, rows out of
    their folds see the less the further they lag behind.

    Parameters
    ----------
    cycle : list of dict
        The records of its epochs; the last one has a validation loss.
    n_rows : int
        Of the table.
    least : float, default=LEAST_PROMISE
        What rows out of their folds must be promised, as a share of their loss.
    """
    if n_rows < FEW_ROWS:
        return True
    losses = [record["loss"] for record in cycle]
    n, unseen = len(losses), cycle[-1]["validation_loss"]
    middle = np.mean(losses[2 * n // 5 : -(-3 * n // 5)])
    end = np.mean(losses[-max(1, n // 10) :])
    gap, gain = unseen - end, max(middle - end, 0.0)
    if gap <= LEAST_GAP * abs(unseen):
        return True
    return gain * (gain / gap) >= least * abs(unseen)


def _twice(first, second):
    """Each pair of tensors joined along the rows; None stays."""
    return [None if a is None else torch.cat([a, b], 1) for a, b in zip(first, second)]
