"""What vectors are worth to a model behind them. No torch."""

import math

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from ._cross_fitting import out_of_fold_vectors, round_to_noise
from ._effects import main_outputs
from ._rows import draw_rows

# Rows: at most, and at least where columns are many; fewer cells of both than these.
N_JUDGED, N_LEAST, N_CELLS = 12_000, 1000, 1 << 19
N_SPLITS = 3


def loss_behind(tables, table, numeric):
    """The squared error of gradient boosting behind vectors and numbers, cross-validated.

    Boosting, since its trees find what columns say together, as the network does. So it gains where the vectors have
    learned something new, and does not where only the layers above them have. A third of the default's trees, each with
    twice the weight, tell as much.

    Parameters
    ----------
    tables : list of ndarray of shape (n_folds, n_codes, n_components)
        One for each of the first columns.
    table : TrainingTable
    numeric : ndarray of shape (n_rows, n_numeric), float32 or float64
        The numbers of its rows as they came.

    Returns
    -------
    loss : float
        Of several outputs, of the principal axes among them; infinite if hardly a row has a weight.
    """
    width = sum(t.shape[2] for t in tables) + numeric.shape[1]
    rows = draw_rows(table.n_rows, int(np.clip(N_CELLS // max(1, width), N_LEAST, N_JUDGED)))
    if table.weight is not None:  # next to weights of other rows some were rounded to zero
        rows = rows[table.weight[rows] > 0]
    if len(rows) < 2 * N_SPLITS:
        return math.inf
    codes = table.codes[rows, : len(tables)]
    vectors = round_to_noise(out_of_fold_vectors(tables, codes, table.fold[rows]), tables, codes)
    inputs, weight = np.hstack([vectors, numeric[rows]]), table.weights(rows)
    weight /= weight.sum()
    target = main_outputs(table.target[rows].astype(np.float64), weight)
    part = np.random.default_rng(0).permutation(len(rows)) % N_SPLITS
    loss = 0.0
    for is_asked in (part == i for i in range(N_SPLITS)):
        for y in target.T:
            model = HistGradientBoostingRegressor(
                learning_rate=0.2, max_iter=30, early_stopping=False, random_state=0
            )
            model.fit(inputs[~is_asked], y[~is_asked], sample_weight=weight[~is_asked])
            errors = np.square(y[is_asked] - model.predict(inputs[is_asked]))
            loss += float(weight[is_asked] @ errors)
    return loss
