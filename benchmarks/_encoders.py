"""The ways to turn categories into numbers that bench_quality.py compares.

Each is a function of a `Split`. It gives the training rows and the new rows as matrices, the
numeric columns last (a prediction column after them), NaN where a number is missing. What a method
needs from ``y`` it may only take from the training rows; how it keeps their labels from leaking is
its own business.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from sk_entity_embed import EntityEmbedder

N_FOLDS = 5  # of every cross-fitting method
FEW = 40  # categories that skrub's TableVectorizer sends to one-hot instead of a text encoder


@dataclass(frozen=True)
class Split:
    """Training rows in random order, new rows, and what is known about the columns."""

    X: pd.DataFrame
    y: np.ndarray
    X_new: pd.DataFrame
    y_new: np.ndarray
    cats: list
    nums: list
    task: str  # regression, binary, multiclass
    seed: int
    network: dict = field(default_factory=dict)  # parameters of every network, for a quick run

    def numbers(self):
        return self.X[self.nums].to_numpy(np.float32), self.X_new[self.nums].to_numpy(np.float32)

    def beside_numbers(self, train, new):
        train_numbers, new_numbers = self.numbers()
        if sparse.issparse(train):
            # A scaler of sparse columns takes no mean off, and years in thousands keep lbfgs from converging.
            middle = np.nan_to_num(np.nanmedian(train_numbers, axis=0))
            train_numbers, new_numbers = train_numbers - middle, new_numbers - middle
            stack = [sparse.hstack([train, train_numbers]), sparse.hstack([new, new_numbers])]
            return [part.tocsr() for part in stack]
        return np.hstack([train, train_numbers]), np.hstack([new, new_numbers])

    @property
    def target_type(self):
        return {"regression": "continuous"}.get(self.task, self.task)

    def folds(self):
        kind = KFold if self.task == "regression" else StratifiedKFold
        return kind(N_FOLDS, shuffle=True, random_state=self.seed)


# -- one number a category -------------------------------------------------------------------------


def ordinal(split):
    """Codes in sorted order."""
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    )
    train = encoder.fit_transform(split.X[split.cats])
    return split.beside_numbers(train, encoder.transform(split.X_new[split.cats]))


def target(split):
    """scikit-learn's TargetEncoder, cross-fitted; a column for each of several classes."""
    encoder = TargetEncoder(target_type=split.target_type, cv=split.folds())
    train = encoder.fit_transform(split.X[split.cats], split.y)
    return split.beside_numbers(train, encoder.transform(split.X_new[split.cats]))


def catboost_encoder(split):
    """category_encoders' ordered target statistics; a column for each of several classes."""
    from category_encoders import CatBoostEncoder

    # Texts, so that None is no missing value for it: missing becomes a category as for the others.
    X, X_new = (X[split.cats].astype(object).fillna("") for X in (split.X, split.X_new))
    if split.task == "multiclass":
        targets = [(split.y == label).astype(float) for label in np.unique(split.y)]
    else:
        targets = [split.y.astype(float)]
    train, new = [], []
    for y in targets:
        encoder = CatBoostEncoder(cols=split.cats, random_state=split.seed)
        train.append(encoder.fit_transform(X, y).to_numpy())
        new.append(encoder.transform(X_new).to_numpy())
    return split.beside_numbers(np.hstack(train), np.hstack(new))


# -- several columns a category, without y ---------------------------------------------------------


def one_hot(split):
    """Categories of fewer than ten rows share a column."""
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=10, dtype=np.float32
    )
    train = encoder.fit_transform(split.X[split.cats])
    return split.beside_numbers(train, encoder.transform(split.X_new[split.cats]))


def _text_encoder(split, make):
    """skrub's encoders of text for columns of many categories, one-hot for the others."""
    train, new = [], []
    for name in split.cats:
        old, fresh = split.X[name], split.X_new[name]
        if old.nunique() <= FEW:
            encoder = OneHotEncoder(
                handle_unknown="ignore", drop="if_binary", sparse_output=False, dtype=np.float32
            )
            old, fresh = old.to_frame(), fresh.to_frame()
        else:
            encoder = make()
        train.append(np.asarray(encoder.fit_transform(old), dtype=np.float32))
        new.append(np.asarray(encoder.transform(fresh), dtype=np.float32))
    return split.beside_numbers(np.hstack(train), np.hstack(new))


def string(split):
    """skrub's StringEncoder: tf-idf of letter n-grams, then a truncated SVD."""
    from skrub import StringEncoder

    return _text_encoder(split, lambda: StringEncoder(random_state=split.seed))


def min_hash(split):
    """skrub's MinHashEncoder of letter n-grams."""
    from skrub import MinHashEncoder

    return _text_encoder(split, MinHashEncoder)


def gap(split):
    """skrub's GapEncoder: topics of letter n-grams. Slow."""
    from skrub import GapEncoder

    return _text_encoder(split, lambda: GapEncoder(random_state=split.seed))


# -- vectors ---------------------------------------------------------------------------------------


def _without_effects():
    return mock.patch("sk_entity_embed._fit_network.append_effects", lambda tables, *_: tables)


@contextmanager
def _as_learned():
    express = mock.patch(
        "sk_entity_embed._fit_network.express", lambda network, *_, **__: network.tables
    )
    with express, _without_effects():
        yield


def our_embedder(split, **parameters):
    embedder = EntityEmbedder(
        categorical_features=split.cats,
        target_type=split.target_type,
        random_state=split.seed,
        **{**split.network, **parameters},
    )
    return embedder.set_output(transform="default")


def ours(split, **parameters):
    """The library as it comes."""
    embedder = our_embedder(split, **parameters)
    train = embedder.fit_transform(split.X, split.y)
    return train, embedder.transform(split.X_new)


def ours_p(split):
    """The library with the network's prediction as a further column."""
    return ours(split, add_prediction=True)


def ours_p_without_pairs(split):
    """The same without crossed pairs: what are they worth?"""
    return ours(split, add_prediction=True, crossed_pairs=False)


def ours_without_texts(split):
    """The library blind to what categories are called: what are text groups worth?"""
    return ours(split, text_groups=False)


def ours_p_without_texts(split):
    """The same with the prediction."""
    return ours(split, add_prediction=True, text_groups=False)


def ours_exact(split, **parameters):
    """Our vectors as the fold tables have them, not rounded: what is rounding worth?"""
    with mock.patch("sk_entity_embed._embedder.round_to_noise", lambda values, *_: values):
        return ours(split, **parameters)


def ours_p_exact(split):
    """The same with the prediction, not rounded either."""
    return ours_exact(split, add_prediction=True)


def ours_without_effects(split, **parameters):
    """Our vectors without the effects of a linear model beside them: what are they worth?"""
    with _without_effects():
        return ours(split, **parameters)


def ours_from_chance(split):
    """Our vectors that start anywhere: what is it worth to start from products of traits?"""
    with mock.patch("sk_entity_embed._fit_network.find_products", return_value=[]):
        return ours(split)


def ours_p_without_effects(split):
    """The same with the prediction."""
    return ours_without_effects(split, add_prediction=True)


def ours_as_learned(split):
    """Our vectors as the network learned them: what is it worth to tell them by the responses?"""
    with _as_learned():
        return ours(split)


def ours_trained_on(split):
    """Our vectors trained for as long as the network's own loss falls: are more epochs worth their time?"""
    with asking_no_model_behind():
        return ours(split)


def asking_no_model_behind():
    """While it lasts no model behind the vectors ends their training, as if all tables had too few rows."""
    return mock.patch("sk_entity_embed._fit_network.FEW_ROWS", np.inf)


def target_p(split):
    """TargetEncoder beside our prediction alone: what do the vectors add?"""
    embedder = our_embedder(split, add_prediction=True)
    predictions = embedder.fit_transform(split.X, split.y), embedder.transform(split.X_new)
    width = sum(embedder.n_components_) + len(split.nums)
    return [np.hstack([a, p[:, width:]]) for a, p in zip(target(split), predictions)]


def naive(split):
    """One network without cross-fitting, as other packages have it: the labels leak."""
    with _as_learned():
        return ours(split, cv=None, text_groups=False)


def random(split):
    """The control: vectors of the same size, drawn at random. They tell identity, nothing else."""
    with _as_learned():
        embedder = our_embedder(split, cv=None, text_groups=False, max_epochs=1)
        embedder.fit(split.X, split.y)
    rng = np.random.default_rng(split.seed)
    embedder.embeddings_ = [
        rng.standard_normal(v.shape, dtype=np.float32) for v in embedder.embeddings_
    ]
    embedder.unknown_vectors_ = [
        rng.standard_normal(v.shape, dtype=np.float32) for v in embedder.unknown_vectors_
    ]
    return embedder.transform(split.X), embedder.transform(split.X_new)


def k_networks(split):
    """A network for each fold, its vectors rotated onto those of one that saw all rows."""
    with _as_learned():
        reference = our_embedder(split, cv=None, text_groups=False).fit(split.X, split.y)
    train = np.empty((len(split.X), sum(reference.n_components_) + len(split.nums)), np.float32)
    for rest, held in split.folds().split(split.X, split.y):
        X = split.X.iloc[rest]
        sizes = dict(zip(reference.categorical_features_, reference.n_components_))
        one = our_embedder(split, cv=None, n_components=sizes).fit(X, split.y[rest])
        vectors = one.transform(split.X.iloc[held])
        start_from = start = 0
        for j, width in enumerate(reference.n_components_):
            own = one.n_components_[j]  # smaller only where the fold lacks categories
            block = vectors[:, start_from : start_from + own]
            train[held, start : start + width] = _rotation(one, reference, j)(block)
            start_from, start = start_from + own, start + width
        train[held, start:] = vectors[:, start_from:]
    return train, reference.transform(split.X_new)


def _rotation(one, reference, j):
    """Weighted Procrustes of the j-th vectors: a rotation, one scale and a shift."""
    a, b = (
        one.embedding(one.categorical_features_[j]),
        reference.embedding(reference.categorical_features_[j]),
    )
    a, b = a[a.index.notna()], b[b.index.notna()]
    # A category of one row says as little about the rotation as its vector is worth.
    weight = pd.Series(one.counts_[j][: len(a)], a.index).clip(upper=50).to_numpy(float)
    weight /= weight.sum()
    a, b = a.to_numpy(float), b.reindex(a.index).to_numpy(float)
    a = np.pad(a, ((0, 0), (0, b.shape[1] - a.shape[1])))
    center_a, center_b = weight @ a, weight @ b
    moved = (a - center_a) * weight[:, None]
    u, s, vt = np.linalg.svd(moved.T @ (b - center_b))
    scale = s.sum() / max((moved * (a - center_a)).sum(), 1e-12)

    def rotate(vectors):
        padded = np.pad(vectors, ((0, 0), (0, a.shape[1] - vectors.shape[1])))
        return scale * (padded - center_a) @ u @ vt + center_b

    return rotate


ENCODERS = {
    "ordinal": ordinal,
    "one-hot": one_hot,
    "target": target,
    "catboost": catboost_encoder,
    "string": string,
    "minhash": min_hash,
    "gap": gap,
    "random": random,
    "naive": naive,
    "k-networks": k_networks,
    "ours": ours,
    "ours+p": ours_p,
    "target+p": target_p,
    "ours+p without pairs": ours_p_without_pairs,
    "ours without texts": ours_without_texts,
    "ours+p without texts": ours_p_without_texts,
    "ours without effects": ours_without_effects,
    "ours+p without effects": ours_p_without_effects,
    "ours from chance": ours_from_chance,
    "ours exact": ours_exact,
    "ours+p exact": ours_p_exact,
    "ours as learned": ours_as_learned,
    "ours trained on": ours_trained_on,
}
OURS = ("ours", "ours+p")
# questions about ours, no rivals
VARIANTS = (
    "target+p",
    "ours+p without pairs",
    "ours without texts",
    "ours+p without texts",
    "ours without effects",
    "ours+p without effects",
    "ours from chance",
    "ours exact",
    "ours+p exact",
    "ours as learned",
    "ours trained on",
    "our predictor uncalibrated",
    "our predictor without deviations",
    "our predictor without chosen pairs",
    "our predictor from chance",
    "our predictor with late pairs",
    "our predictor with mean vectors",
    "our predictor without texts",
)
NOT_BY_DEFAULT = ("gap", *VARIANTS)  # gap is slow
_NEEDS = {
    "catboost": "category_encoders",
    "string": "skrub",
    "minhash": "skrub",
    "gap": "skrub",
}


def installed(name):
    return name not in _NEEDS or find_spec(_NEEDS[name]) is not None
