"""Rank links better, and leave the left neighbours alone: the solved right table, polished by a softmax.

Least squares asks every link for a score of 1 and shrinks rare links furthest below it, so a rare link that fits well
loses to a common one that fits badly. A softmax of the true link against others asks for the order only. With the left
table held fixed, a pass over the pairs is enough: what it changes most are the lengths of the right vectors.
"""

import numpy as np
import torch

from .._links_records import LinkPairs
from ._links_sgd import Recipe, Softmax, run_epochs

# Recall@20 and NDCG@20 by the protocol of benchmarks/bench_links.py, one seed, before and after: wiki .550 -> .556 and
# .391 -> .408, codex_m .619 -> .636 and .425 -> .452, attr .364 -> .383 and .243 -> .268. With the columns exchanged
# NDCG gains .003 to .004, recall .001 to .004 but for wiki's (-.010). Half the rate or twice the passes: within .003;
# twice the rate loses .015 on attr exchanged. With the lengths alone codex_m gains a third less, attr as much, and
# wiki's NDCG .007 in place of .017.
_BATCH_SIZE, _MIN_STEPS, _MAX_PASSES = 512, 300, 15
# Of more pairs, some: the time is bounded, and the gain wears off gently (attr: NDCG .243, with a twentieth of the
# pairs .248, with a quarter .259, with all .268).
_MAX_PAIRS = _MIN_STEPS * _BATCH_SIZE
_RATE, _WEIGHT_DECAY = 0.1, 0.3
_MEAN_LOGIT = 7.0  # of the links at the start; least squares leaves .6 to .8, a softmax of nearly equal chances
_PAIRS_TRIED = 10_000


def polish(links, x, v, rng, effort=1.0):
    """The right table `v` after a softmax over the links, with the left table `x` held fixed.

    Parameters
    ----------
    links : csr_matrix of shape (n_left, n_right)
        Confidences of the links.
    x, v : Tensor of shape (n_left, n_components) and (n_right, n_components)
        The solved tables.
    rng : Generator
    effort : float, default=1.0
        Share of the usual steps.

    Returns
    -------
    Tensor of shape (n_right, n_components)
        Its vectors have the mean length of before, each counted once a link.
    """
    coo = links.tocoo()
    left, right, weight = *coo.coords, coo.data
    count = np.bincount(right, minlength=len(v)).astype(np.float32)
    most = int(effort * _MAX_PAIRS)
    if len(left) > most:
        some = rng.choice(len(left), most, replace=False, shuffle=False)
        left, right, weight = left[some], right[some], weight[some]
    weight = None if (weight == 1).all() else weight / weight.mean()
    pairs = LinkPairs(left, right, None, weight, *links.shape)
    batch_size = min(_BATCH_SIZE, max(32, len(left) // (_MIN_STEPS // _MAX_PASSES)))
    n_passes = min(_MAX_PASSES, _MIN_STEPS * batch_size / len(left))
    scale = (_MEAN_LOGIT / max(_mean_score(left, right, x, v, rng), 1e-3)) ** 0.5
    recipe = Recipe(
        loss="softmax",
        n_negatives=0,  # the other links of the batch
        negative_sampling="popularity",
        # To the nearest: 2 % more steps than one pass would otherwise be two (attr without its authors: .35 of 2.5 s).
        max_epochs=max(1, round(effort * n_passes)),
        batch_size=batch_size,
        learning_rate=_RATE,
        weight_decay=_WEIGHT_DECAY,
    )
    model = Softmax((x * scale, v * scale), pairs, recipe, rng, is_left_fixed=True)
    run_epochs(model, pairs, recipe, rng, x.device, lambda *_: False)
    polished = model.result()[1]
    count = torch.from_numpy(count).to(v.device)
    lengths = [float((count * table.norm(dim=1)).sum()) for table in (v, polished)]
    return polished * (lengths[0] / max(lengths[1], 1e-12))


def toward(v, polished, share):
    """The table that far from `v` to the one `polished`."""
    return v + share * (polished - v)


def _mean_score(left, right, x, v, rng):
    """Of some of the links."""
    tried = rng.integers(0, len(left), min(len(left), _PAIRS_TRIED))
    vectors, others = (
        table.index_select(0, torch.from_numpy(codes[tried].astype(np.int64)).to(table.device))
        for table, codes in ((x, left), (v, right))
    )
    return float((vectors * others).sum(1).mean())
