"""The same network in the libraries that people use for it: Keras, fastai, pytabkit.

Each function trains the network of a `Case` for a few epochs and returns the median time of an
epoch per row, as `Clock.pace` gives it. What a library does once before its first epoch (learning
the categories, building the graph) is not counted. All are optional: `PEERS` names the modules that
each needs, and they are imported where they are used.

    pip install -e '.[peers]'
"""

import os
import statistics
import time
import warnings
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

import numpy as np
import pandas as pd


class Clock:
    """Clock and CPU seconds at the ends of epochs or steps."""

    def __init__(self):
        self.ends = []

    def note(self):
        """One more has ended, or the first begins."""
        self.ends.append((time.perf_counter(), time.process_time()))

    def pace(self, n_rows, skip=1):
        """Median (seconds, CPU seconds) per row, without the first `skip`, which warm up."""
        lasted = np.diff(self.ends, axis=0)
        return tuple(np.median(lasted[skip:] if len(lasted) > skip else lasted, axis=0) / n_rows)


@dataclass(frozen=True)
class Case:
    """Data and a network: what is equal for all."""

    X: pd.DataFrame  # categorical columns
    y: np.ndarray  # 0 and 1
    widths: tuple  # of the vectors, one a column
    hidden: tuple = (256, 128)
    batch_size: int = 1024
    n_steps: int = 60  # in an epoch of a peer: it gets the first rows only
    n_threads: int = 1

    @cached_property
    def n_categories(self):
        return [len(self.X[c].cat.categories) for c in self.X]

    @cached_property
    def codes(self):
        return np.stack([self.X[c].cat.codes.to_numpy() for c in self.X], axis=1).astype(np.int64)

    @property
    def n_part(self):
        """Rows of a peer: whole batches."""
        n = min(len(self.y), self.n_steps * self.batch_size)
        return max(self.batch_size, n - n % self.batch_size)

    @property
    def tables_mib(self):
        return sum(n * w for n, w in zip(self.n_categories, self.widths)) * 4 / 2**20

    @property
    def data_mib(self):
        return len(self.y) * (self.X.shape[1] + 1) * 4 / 2**20


def _keras(case):
    """Keras with its TensorFlow backend, or with torch where there is no TensorFlow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow" if find_spec("tensorflow") else "torch")
    import keras

    if find_spec("tensorflow"):
        import tensorflow as tf

        if tf.config.threading.get_intra_op_parallelism_threads() != case.n_threads:
            tf.config.threading.set_intra_op_parallelism_threads(case.n_threads)
            tf.config.threading.set_inter_op_parallelism_threads(case.n_threads)

    class EpochClock(keras.callbacks.Callback, Clock):
        def __init__(self):
            keras.callbacks.Callback.__init__(self)
            Clock.__init__(self)

        def on_train_begin(self, logs=None):
            self.note()

        def on_epoch_end(self, epoch, logs=None):
            self.note()

    return keras, EpochClock()


def _keras_model(keras, case, n_more=0):
    """Embedding layers, then the layers of `case`, as embedding-encoder and Keras's guides do it."""
    layers = keras.layers
    inputs = [layers.Input((1,), name=c, dtype="int32") for c in case.X]
    vectors = [
        layers.Flatten()(layers.Embedding(n + n_more, w)(x))
        for x, n, w in zip(inputs, case.n_categories, case.widths)
    ]
    x = layers.Concatenate()(vectors)
    for units in case.hidden:
        x = layers.Dropout(0.1)(layers.Dense(units, activation="relu")(x))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
    model.compile(optimizer="adam", loss="binary_crossentropy")
    return model


def keras_string_lookup(case, n_epochs=3):
    """Strings through StringLookup, batch by batch, as in Keras's guide to structured data."""
    keras, clock = _keras(case)
    import tensorflow as tf

    X, y = case.X[: case.n_part], case.y[: case.n_part]
    texts = {c: X[c].astype(str).to_numpy(object)[:, None] for c in X}
    lookups = {c: keras.layers.StringLookup(vocabulary=list(X[c].cat.categories)) for c in X}
    rows = tf.data.Dataset.from_tensor_slices((texts, y)).shuffle(len(y)).batch(case.batch_size)
    data = rows.map(lambda x, t: ({c: lookups[c](x[c]) for c in x}, t)).prefetch(1)
    model = _keras_model(keras, case, n_more=1)  # and the unknown one
    model.fit(data, epochs=n_epochs, verbose=0, callbacks=[clock])
    return clock.pace(case.n_part)


def embedding_encoder(case, n_epochs=3):
    """What the package embedding-encoder does (it imports no longer): codes into ``Model.fit``."""
    keras, clock = _keras(case)
    codes = case.codes[: case.n_part].astype(np.int32)
    model = _keras_model(keras, case)
    model.fit(
        [codes[:, [j]] for j in range(codes.shape[1])],
        case.y[: case.n_part].astype(np.float32),
        epochs=n_epochs,
        batch_size=case.batch_size,
        verbose=0,
        callbacks=[clock],
    )
    return clock.pace(case.n_part)


def fastai(case, n_epochs=3):
    """tabular_learner, without batch normalisation, which the others do not have."""
    warnings.simplefilter("ignore")
    from fastai.tabular.all import (
        Callback,
        Categorify,
        CategoryBlock,
        TabularPandas,
        tabular_config,
        tabular_learner,
    )

    X = case.X[: case.n_part]
    clock = Clock()

    class EpochClock(Callback):
        def before_train(self):
            clock.note()

        def after_train(self):
            clock.note()

    rows = TabularPandas(
        X.assign(target=case.y[: case.n_part]),
        procs=[Categorify],
        cat_names=list(X),
        y_names="target",
        y_block=CategoryBlock(),
    )
    learner = tabular_learner(
        rows.dataloaders(bs=case.batch_size, device="cpu"),
        layers=list(case.hidden),
        emb_szs=dict(zip(X, case.widths)),
        n_out=2,
        config=tabular_config(ps=0.1, use_bn=False, bn_cont=False),
        cbs=[EpochClock()],
    )
    with learner.no_bar(), learner.no_logging():
        learner.fit(n_epochs)
    clock.ends = [e for i, e in enumerate(clock.ends) if i % 2 or i == 0]
    return clock.pace(case.n_part)


def pytabkit(case, n_epochs=3):
    """RealMLP-TD-S: one width for all columns, so the mean; few categories are one-hot."""
    warnings.simplefilter("ignore")
    from pytabkit import RealMLP_TD_S_Classifier

    X, y = case.X[: case.n_part], case.y[: case.n_part]
    lasted = []
    for n in (1, 1 + n_epochs):  # it has no callback: the difference is `n_epochs` epochs
        model = RealMLP_TD_S_Classifier(
            device="cpu",
            n_threads=case.n_threads,
            n_epochs=n,
            batch_size=case.batch_size,
            hidden_sizes=list(case.hidden),
            max_one_hot_cat_size=8,  # its own choice is to make all one-hot: ten times slower
            embedding_size=round(statistics.mean(case.widths)),
            p_drop=0.1,
            val_fraction=0.05,
            use_ls=False,
            val_metric_name="cross_entropy",
            random_state=0,
        )
        clock = Clock()
        clock.note()
        model.fit(X, y, cat_col_names=list(X))
        clock.note()
        lasted.append(np.subtract(clock.ends[1], clock.ends[0]))
    return tuple((lasted[1] - lasted[0]) / (n_epochs * 0.95 * case.n_part))


# name -> (what it needs, function)
PEERS = {
    "Keras StringLookup": (("keras", "tensorflow"), keras_string_lookup),
    "embedding-encoder's method": (("keras",), embedding_encoder),
    "fastai": (("fastai",), fastai),
    "pytabkit RealMLP": (("pytabkit",), pytabkit),
}


def missing(name):
    """The modules that a peer lacks."""
    return [module for module in PEERS[name][0] if not find_spec(module)]
