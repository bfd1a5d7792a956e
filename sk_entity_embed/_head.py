"""The trained layers above the vectors, in NumPy: predictions need no torch.

They are computed in double precision: in single precision a row's prediction would depend, in its last digits, on the
rows beside it, for matrix products add up in another order for other shapes.
"""

import numpy as np

_ROWS_AT_ONCE = 1 << 12  # keeps the activations in the cache


def forward(head, vectors, numeric, body=None):
    """Raw outputs of the network.

    Parameters
    ----------
    head : dict
        ``coefs`` and ``intercepts``, lists of arrays, one per dense layer, of shape (n_bodies, fan_in, fan_out) and
        (n_bodies, 1, fan_out). With numeric columns also ``frequencies`` (n_bodies, n_numeric, 1, k),
        ``periodic_coefs`` (n_bodies, n_numeric, 2 k, d) and ``periodic_intercepts`` (n_bodies, n_numeric, 1, d).
    vectors : ndarray of shape (n_rows, sum of the columns' n_components), float32
        Or of shape (n_bodies or 1, n_rows, sum of the columns' n_components): for each body its own.
    numeric : ndarray of shape (n_rows, n_numeric), float32
        Scaled as in training.
    body : int or None
        The body to ask; None gives the mean of all.

    Returns
    -------
    raw : ndarray of shape (n_rows, n_outputs), float64
    """
    vectors = vectors if vectors.ndim == 3 else vectors[None]
    n_bodies = len(head["coefs"][0])
    bodies = range(n_bodies) if body is None else [body]
    raw = np.zeros((len(numeric), head["coefs"][-1].shape[2]))
    for start in range(0, len(numeric), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        inputs, numbers = vectors[:, rows].astype(float), numeric[rows].astype(float)
        for k in bodies:
            raw[rows] += _forward_one(head, inputs[k if len(inputs) > 1 else 0], numbers, k)
    raw /= len(bodies)
    return raw


def _forward_one(head, h, numeric, k):
    if numeric.shape[1]:
        h = np.concatenate([h, _periodic_features(head, numeric, k), numeric], axis=1)
    for coef, intercept in zip(head["coefs"][:-1], head["intercepts"][:-1]):
        h = h @ coef[k]
        h += intercept[k]
        np.maximum(h, 0, out=h)
    return h @ head["coefs"][-1][k] + head["intercepts"][-1][k]


def numeric_parts(head, numeric, body, column):
    """What a numeric column adds to the inputs of a body's first layer.

    Parameters
    ----------
    head : dict
        As in `forward`.
    numeric : ndarray of shape (n_rows, n_numeric), float32
        Scaled as in training.
    body, column : int

    Returns
    -------
    parts : ndarray of shape (n_rows, width of the first layer)
    """
    n_numeric, d = numeric.shape[1], head["periodic_coefs"].shape[3]
    coefs = head["coefs"][0][body]
    first = len(coefs) - n_numeric * (d + 1)  # of the features, which lie behind the vectors
    only = slice(column, column + 1)
    periodic = ("frequencies", "periodic_coefs", "periodic_intercepts")
    features = _periodic_features(
        {key: head[key][:, only] for key in periodic}, numeric[:, only], body
    )
    own = coefs[first + column * d : first + (column + 1) * d]
    return features @ own + np.outer(numeric[:, column], coefs[first + n_numeric * d + column])


def _periodic_features(head, x, k):
    """ReLU of a dense layer on each column's sines and cosines, shape (n_rows, n_numeric * d)."""
    angle = x.T[:, :, None] * (2 * np.pi * head["frequencies"][k])
    waves = np.concatenate([np.sin(angle), np.cos(angle)], axis=2)  # (n_numeric, n_rows, 2 k)
    hidden = waves @ head["periodic_coefs"][k] + head["periodic_intercepts"][k]
    return np.maximum(hidden, 0).transpose(1, 0, 2).reshape(len(x), -1)
