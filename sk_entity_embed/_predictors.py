"""The embedding network as the predictor itself: a classifier and a regressor around a fitted embedder."""

from numbers import Real
from typing import ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ._embedder import EntityEmbedder
from ._target import Target, infer_type, plain_labels, refuse_missing
from ._validation import Interval, StrOptions, fit_context, raise_for_params

_SHARED = (
    "categorical_features",
    "n_components",
    "hidden_layer_sizes",
    "dropout",
    "min_frequency",
    "handle_unknown",
    "cv",
    "crossed_pairs",
    "text_groups",
    "max_epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "early_stopping",
    "validation_fraction",
    "patience",
    "device",
    "random_state",
)


class _NetworkPredictor(CallbackSupportMixin, BaseEstimator):
    """What the two predictors share: they fit an embedder and ask its network."""

    _parameter_constraints: ClassVar[dict] = {
        name: EntityEmbedder._parameter_constraints[name] for name in _SHARED
    }

    def __init__(
        self,
        *,
        categorical_features="auto",
        n_components="auto",
        hidden_layer_sizes=(128, 64),
        dropout=0.1,
        min_frequency=1,
        handle_unknown="vector",
        cv=5,
        crossed_pairs="auto",
        text_groups="auto",
        max_epochs="auto",
        batch_size="auto",
        learning_rate="auto",
        weight_decay="auto",
        early_stopping=False,
        validation_fraction=0.1,
        patience=5,
        device="auto",
        random_state=None,
    ):
        self.categorical_features = categorical_features
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.min_frequency = min_frequency
        self.handle_unknown = handle_unknown
        self.cv = cv
        self.crossed_pairs = crossed_pairs
        self.text_groups = text_groups
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.device = device
        self.random_state = random_state

    def _fit_embedder(self, X, y, sample_weight, params, class_weight=None, **settings):
        raise_for_params(params, self, "fit")
        self._require(y)
        shared = {name: getattr(self, name) for name in _SHARED}
        embedder = EntityEmbedder(**shared, **settings)
        embedder._fit(X, y, sample_weight, params, "fit", owner=self, class_weight=class_weight)
        return embedder

    def _require(self, y):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )

    def _raw(self, X):
        check_is_fitted(self)
        return self.embedder_._predict_raw(X, self)

    @property
    def n_features_in_(self):
        """Columns seen in `fit`."""
        return self.embedder_.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the columns seen in `fit`, where all are strings."""
        return self.embedder_.feature_names_in_

    def __sklearn_is_fitted__(self):
        return "embedder_" in vars(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags

    def _fitted_attributes(self, embedder):
        """Fitted attributes around a fitted embedder; callbacks ask for them after each epoch."""
        return {"embedder_": embedder}

    def get_metadata_routing(self):
        """Get the metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            `sample_weight` for this estimator, the rest for the splitter `cv`.
        """
        routing = MetadataRouter(owner=self).add_self_request(self)
        if hasattr(self.cv, "get_metadata_routing"):
            routing.add(
                splitter=self.cv, method_mapping=MethodMapping().add(caller="fit", callee="split")
            )
        return routing


_PARAMETERS = """
    categorical_features : "auto", list of str or int, array of bool, or callable, default="auto"
        Columns to embed, as in :class:`EntityEmbedder`. The others must be numeric.
    n_components : int, dict or "auto", default="auto"
        Width of the vectors, for all columns or as a dict from column, by name or position, to width.
    hidden_layer_sizes : tuple of int, default=(128, 64)
        Dense layers between the vectors and the output.
    dropout : float, default=0.1
        Share of the hidden units dropped in training, in [0, 1).
    min_frequency : int or float, default=1
        Categories of fewer rows (or, below 1, a smaller share of the rows) share one vector.
    handle_unknown : {"vector", "error"}, default="vector"
        What to do with a category unseen in `fit`.
    cv : int, cross-validation splitter, iterable or None, default=5
        Folds of the cross-fitted training; None trains a single network on vectors that have seen their labels.
    crossed_pairs : "auto", bool or int, default="auto"
        Pairs of columns whose combinations of categories get an effect of their own. An int is the most pairs to use,
        True stands for 64, those of the most combinations. "auto", with folds: those that tell of what the network
        leaves unexplained, of categories and numbers, and the single values of a number that do; with a single output
        (numbers, two classes) what True gives as well. All are dropped if rows out of their folds are predicted no
        better.
    text_groups : "auto" or bool, default="auto"
        Columns of at least 20 texts whose network also learns a vector for each group of texts that are alike, which
        tells of rare and new ones. "auto": where groups differ in ``y``. As in :class:`EntityEmbedder`.
    max_epochs : int or "auto", default="auto"
        Passes over the rows; with crossed pairs half as many again for these. "auto" doubles them, as in
        :class:`EntityEmbedder`, while that pays; not with early stopping.
    batch_size : int or "auto", default="auto"
        Rows a step.
    learning_rate : float or "auto", default="auto"
        Of the dense layers.
    weight_decay : float or "auto", default="auto"
        Of the dense layers.
    early_stopping : bool, default=False
        Stop when the validation loss has not improved for `patience` epochs, and keep the best epoch.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping scores.
    patience : int, default=5
        Epochs without improvement before early stopping ends the training.
    device : str, default="auto"
        Where to train: "cpu", "cuda", "mps" or "auto".
    random_state : int, RandomState instance or None, default=None
        Seeds everything random.
"""


class EntityEmbeddingClassifier(ClassifierMixin, _NetworkPredictor):
    __doc__ = f"""Classify with the embedding network itself.

    The network of :class:`EntityEmbedder` predicts the classes directly. Training is cross-fitted: the dense
    layers learn from vectors that have not seen the row's label, and so learn how far a vector can be trusted.

    Prediction runs on NumPy and needs no torch.

    Parameters
    ----------{_PARAMETERS}    class_weight : dict, list of dict, "balanced" or None, default=None
        Weights of the classes, as elsewhere in scikit-learn; for a multilabel target a dict of 0 and 1 for each label.

    Attributes
    ----------
    embedder_ : EntityEmbedder
        The fitted transformer, for its vectors and neighbours.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels. For a multilabel target the positions of the labels.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of str
        Their names, where all are strings.

    See Also
    --------
    EntityEmbedder : The transformer.
    EntityEmbeddingRegressor : The same for numbers.

    References
    ----------
    .. [1] Guo, C. and Berkhahn, F. (2016). Entity embeddings of categorical variables.
       :doi:`10.48550/arXiv.1604.06737`

    Examples
    --------
    >>> import pandas as pd
    >>> from sk_entity_embed import EntityEmbeddingClassifier
    >>> X = pd.DataFrame({{"city": ["Oslo", "Lima", "Rome"] * 40}})
    >>> y = ["cold", "warm", "warm"] * 40
    >>> classifier = EntityEmbeddingClassifier(max_epochs=20, random_state=0).fit(X, y)
    >>> classifier.predict(pd.DataFrame({{"city": ["Oslo", "Rome"]}})).tolist()
    ['cold', 'warm']
    """

    _parameter_constraints: ClassVar[dict] = {
        **_NetworkPredictor._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        *,
        categorical_features="auto",
        n_components="auto",
        hidden_layer_sizes=(128, 64),
        dropout=0.1,
        min_frequency=1,
        handle_unknown="vector",
        cv=5,
        crossed_pairs="auto",
        text_groups="auto",
        max_epochs="auto",
        batch_size="auto",
        learning_rate="auto",
        weight_decay="auto",
        early_stopping=False,
        validation_fraction=0.1,
        patience=5,
        device="auto",
        random_state=None,
        class_weight=None,
    ):
        super().__init__(
            categorical_features=categorical_features,
            n_components=n_components,
            hidden_layer_sizes=hidden_layer_sizes,
            dropout=dropout,
            min_frequency=min_frequency,
            handle_unknown=handle_unknown,
            cv=cv,
            crossed_pairs=crossed_pairs,
            text_groups=text_groups,
            max_epochs=max_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            device=device,
            random_state=random_state,
        )
        self.class_weight = class_weight

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, **params):
        """Train the network.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Categories, and numbers as context.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels of any type, or a multilabel indicator.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, >= 0.
        **params : dict
            With metadata routing enabled, passed to the splitter `cv`, such as ``groups``.

        Returns
        -------
        self : EntityEmbeddingClassifier
            Fitted.

        Raises
        ------
        ValueError
            If the input does not fit; nothing is trained then.
        TypeError
            If `X` is sparse or a lazy frame, or `y` mixes strings with other labels.
        FloatingPointError
            If the loss stops being finite; what was fitted before stays.
        """
        self._require(y)
        y = y.toarray() if issparse(y) else np.asarray(plain_labels(y))
        refuse_missing(y)
        check_classification_targets(y)
        if y.ndim == 2 and y.shape[1] > 1:
            kind = "multilabel"
            if infer_type(y) != "multilabel-indicator":
                raise ValueError(
                    f"y has {y.shape[1]} columns of classes, expected one column or a multilabel indicator of 0 and 1. "
                    "sklearn.multioutput.MultiOutputClassifier fits a classifier for each column."
                )
        else:
            y = column_or_1d(y, warn=True)
            kind = "binary" if len(np.unique(y)) <= 2 else "multiclass"
        class_weight = None
        if isinstance(self.class_weight, list) and kind != "multilabel":
            raise ValueError(
                f"class_weight as a list is for a multilabel y, got a {kind} one. Give a dict from class to weight."
            )
        if self.class_weight is not None:
            class_weight = compute_sample_weight(self.class_weight, y)
        embedder = self._fit_embedder(X, y, sample_weight, params, class_weight, target_type=kind)
        self.__dict__.update(self._fitted_attributes(embedder))
        return self

    def _fitted_attributes(self, embedder):
        classes = embedder.classes_
        if classes is None:
            classes = np.arange(embedder._target["n_outputs"])
        return {"embedder_": embedder, "classes_": classes}

    def predict_proba(self, X):
        """Probabilities of the classes.

        Unless ``cv=None``, they are calibrated by the rows out of their folds [1]_. Those of the training rows add up
        to the number of rows that each class has.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Columns as in `fit`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``. For a multilabel target the probability of each label.

        References
        ----------
        .. [1] Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On calibration of modern neural networks.
           ICML. :doi:`10.48550/arXiv.1706.04599`
        """
        raw = self._raw(X)
        if len(self.classes_) == 1 and self.embedder_.target_type_ != "multilabel":
            return np.ones((len(raw), 1))
        return Target(**self.embedder_._target).predict(raw)

    def predict(self, X):
        """Most probable classes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Columns as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Labels, or the multilabel indicator.
        """
        probabilities = self.predict_proba(X)
        if self.embedder_.target_type_ == "multilabel":
            return (probabilities > 0.5).astype(int)
        return self.classes_[probabilities.argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class EntityEmbeddingRegressor(MultiOutputMixin, RegressorMixin, _NetworkPredictor):
    __doc__ = f"""Predict numbers with the embedding network itself.

    The network of :class:`EntityEmbedder` predicts ``y`` directly. Training is cross-fitted: the dense layers
    learn from vectors that have not seen the row's label, and so learn how far a vector can be trusted.

    Prediction runs on NumPy and needs no torch.

    Parameters
    ----------{_PARAMETERS}    loss : {{"squared_error", "poisson", "quantile"}}, default="squared_error"
        "poisson": counts with a log link. "quantile": the pinball loss of `quantile`.
    quantile : float, default=0.5
        In (0, 1), for ``loss="quantile"``.

    Attributes
    ----------
    embedder_ : EntityEmbedder
        The fitted transformer, for its vectors and neighbours.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of str
        Their names, where all are strings.

    See Also
    --------
    EntityEmbedder : The transformer.
    EntityEmbeddingClassifier : The same for classes.

    References
    ----------
    .. [1] Guo, C. and Berkhahn, F. (2016). Entity embeddings of categorical variables.
       :doi:`10.48550/arXiv.1604.06737`

    Examples
    --------
    >>> import pandas as pd
    >>> from sk_entity_embed import EntityEmbeddingRegressor
    >>> X = pd.DataFrame({{"city": ["Oslo", "Lima", "Rome"] * 40}})
    >>> y = [3.0, 1.0, 2.0] * 40
    >>> regressor = EntityEmbeddingRegressor(max_epochs=20, random_state=0).fit(X, y)
    >>> regressor.predict(pd.DataFrame({{"city": ["Oslo", "Lima"]}})).round().tolist()
    [3.0, 1.0]
    """

    _parameter_constraints: ClassVar[dict] = {
        **_NetworkPredictor._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson", "quantile"})],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        *,
        categorical_features="auto",
        n_components="auto",
        hidden_layer_sizes=(128, 64),
        dropout=0.1,
        min_frequency=1,
        handle_unknown="vector",
        cv=5,
        crossed_pairs="auto",
        text_groups="auto",
        max_epochs="auto",
        batch_size="auto",
        learning_rate="auto",
        weight_decay="auto",
        early_stopping=False,
        validation_fraction=0.1,
        patience=5,
        device="auto",
        random_state=None,
        loss="squared_error",
        quantile=0.5,
    ):
        super().__init__(
            categorical_features=categorical_features,
            n_components=n_components,
            hidden_layer_sizes=hidden_layer_sizes,
            dropout=dropout,
            min_frequency=min_frequency,
            handle_unknown=handle_unknown,
            cv=cv,
            crossed_pairs=crossed_pairs,
            text_groups=text_groups,
            max_epochs=max_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            device=device,
            random_state=random_state,
        )
        self.loss = loss
        self.quantile = quantile

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, **params):
        """Train the network.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Categories, and numbers as context.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers; for ``loss="poisson"`` not negative.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, >= 0.
        **params : dict
            With metadata routing enabled, passed to the splitter `cv`, such as ``groups``.

        Returns
        -------
        self : EntityEmbeddingRegressor
            Fitted.

        Raises
        ------
        ValueError
            If the input does not fit; nothing is trained then.
        TypeError
            If `X` is sparse or a lazy frame, or `y` mixes strings with other labels.
        FloatingPointError
            If the loss stops being finite; what was fitted before stays.
        """
        settings = {"target_type": "continuous", "loss": self.loss, "quantile": self.quantile}
        self.embedder_ = self._fit_embedder(X, y, sample_weight, params, **settings)
        return self

    def predict(self, X):
        """Predictions in the units of y.

        With ``loss="poisson"`` those of the training rows add up to what y adds up to.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Columns as in `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Float64.
        """
        raw = self._raw(X)
        return Target(**self.embedder_._target).predict(raw)
