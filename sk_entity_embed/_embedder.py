"""EntityEmbedder: the transformer that replaces categories by learned vectors."""

from dataclasses import replace
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_array, check_is_fitted

from . import _persistence
from ._cross_fitting import (
    ask_as_new,
    ask_body,
    ask_out_of_fold,
    out_of_fold_vectors,
    round_to_noise,
    write_vectors,
)
from ._deviations import Deviations, read_numbers
from ._fit_links import fit_links
from ._fit_network import fit_network
from ._fold_in import explain, fold_in
from ._native import in_pandas
from ._neighbors import check_index, make_searcher
from ._pairs import Pairs
from ._reading import output_names, read_columns, refuse_repeated
from ._recommend import EntityColumn, kneighbors, most_similar, new_column, read_new, rows_of
from ._records import Columns
from ._rows import some_rows
from ._target import Target, plain_labels
from ._text_groups import TextGroups, append_groups
from ._validation import (
    Interval,
    StrOptions,
    check_feature_names_in,
    fit_context,
    raise_for_params,
    routing_enabled,
)
from ._values import Values
from ._vocabulary import Vocabulary

_ROWS_AT_ONCE = 1 << 16  # of a prediction; bounds the memory of the network's inputs
_ANSWERS_COMPARED = 1 << 15  # of all folds' bodies; tell how far predictions are noise
_AUTO = StrOptions({"auto"})
_COUNT = Interval(Integral, 1, None, closed="left")
_LOSSES = (
    "squared_error",
    "poisson",
    "quantile",
    "log_loss",
    "cross_entropy",
    "softmax",
    "logistic",
)


class EntityEmbedder(CallbackSupportMixin, TransformerMixin, BaseEstimator):
    """Replace categories by vectors learned from a target or from pairs.

    A small neural network learns one vector for each category of each categorical column [1]_. With
    ``interaction="mlp"`` it predicts ``y`` from the row's vectors and numbers; with ``interaction="dot"`` the rows are
    pairs, such as (book, link), and the product of two vectors says whether they belong together.

    Training is cross-fitted, so that vectors learned from ``y`` do not leak it into a model trained on them:
    `fit_transform` gives each row vectors that have not seen its label. Hence ``fit_transform(X, y)`` differs from
    ``fit(X, y).transform(X)``, as in :class:`~sklearn.preprocessing.TargetEncoder`. Set ``cv=None`` to turn it off.

    Only fitting imports torch; everything else runs on NumPy.

    Parameters
    ----------
    categorical_features : "auto", list of str or int, array of bool, or callable, default="auto"
        Columns to embed. "auto": in a data frame those of string, object, categorical, boolean or enum type; if there
        are none, or for an array, all columns (with a warning of floats, also as objects, that hardly repeat); for
        "dot" all columns, which must be two. A callable is given the data frame and returns one of the others. The
        remaining columns must be numeric: they are context for the network and pass through `transform` unchanged, as
        float32, or as float64 (the vectors as well) where that would change whole numbers, beyond 2**24.
    n_components : int, dict or "auto", default="auto"
        Width of the vectors, for all columns or as a dict from column, by name or position, to width; never more than
        there are categories ("dot": in the larger column). "auto" is 50 for "dot". For "mlp" it is first the fourth
        root of the number of categories, rounded up; with several classes the number of classes less one, if that is
        more, but no more than the square root of the number of categories; where two columns count by a product of
        traits, one more than there are traits; at most 10, and less than there are categories. With such widths the
        vectors are then told anew by what each category does to the prediction: distances between them are differences
        of predictions, as a root mean square over training rows, in standard deviations of ``y``, log-odds (of several
        classes with a hundredth added to each probability) or, for counts, logarithms. The less a column moves the
        prediction next to the column or number that moves it most, the fewer components it keeps, so widths depend on
        the rows. A column whose vectors do not tell a linear model what it could know gets a last component that does,
        or, of up to ten outputs or classes, several; distances count these beside the differences of predictions. With
        a width that is given vectors stay as the network learned them.
    target_type : {"auto", "continuous", "binary", "multiclass", "multilabel"}, default="auto"
        What ``y`` is. "auto" follows scikit-learn's ``type_of_target``, for which whole numbers are classes: amounts
        in whole numbers need "continuous". "dot" takes 0 and 1 (or -1 and 1) for non-links and links, other numbers for
        ratings.
    interaction : {"mlp", "dot"}, default="mlp"
        "mlp": columns predict ``y`` through dense layers. "dot": two columns; is this pair a link, or how is it rated?
    hidden_layer_sizes : tuple of int, default=(128, 64)
        Dense layers between the vectors and the output. Only "mlp".
    dropout : float, default=0.1
        Share of the hidden units dropped in training, in [0, 1). Only "mlp".
    n_negatives : int or "auto", default="auto"
        Drawn non-links for each link, where the solver of "dot" draws them.
    min_frequency : int or float, default=1
        Categories of fewer rows (or, below 1, a smaller share of the rows) share the unknown vector.
    handle_unknown : {"vector", "error"}, default="vector"
        What `transform` does with a category unseen in `fit`: give it the unknown vector, which was trained for that,
        or raise. In a column with text groups, a new text gets the vector of an unknown one of its group, where most of
        it looks familiar.
    cv : int, cross-validation splitter, iterable or None, default=5
        Folds of the cross-fitting. An int deals the rows out at random, evenly over classes. Only "mlp".
    max_epochs : int or "auto", default="auto"
        Passes over the rows; with crossed pairs half as many again for these. "auto" for "mlp": 40, fewer above 20,000
        rows, and at least 300 steps; with folds and without early stopping, doubled up to five times while that lowers
        the loss of the rows as judged by tables that have not seen their labels, after three times only if it lowers it
        by a tenth, and from 5,000 rows on only where rows are not being learned by heart and, without
        ``add_prediction``, gradient boosting behind the vectors gains as well. For "dot" what the solver takes.
    batch_size : int or "auto", default="auto"
        Rows a step. "auto" grows with the number of rows.
    learning_rate : float or "auto", default="auto"
        Of the dense layers, or of the sgd solver of "dot".
    weight_decay : float or "auto", default="auto"
        Of the dense layers; for "dot" the ridge penalty, which "auto" chooses on held-back pairs with the exact solver,
        and of ratings and known non-links. Where entities have forty links or more, neighbours may be better with 3.0,
        and links are then ranked worse.
    loss : str, default="auto"
        For "mlp" with numbers to predict "squared_error", "poisson" or "quantile". For "dot" with ``solver="sgd"``
        "softmax", "logistic" or "squared_error", the last with cosines on +1 and -1 as in [2]_.
    quantile : float, default=0.5
        Which quantile ``loss="quantile"`` predicts.
    negative_sampling : {"auto", "uniform", "popularity"}, default="auto"
        How "dot" draws non-links: evenly, or by count to the power 0.75.
    crossed_pairs : "auto", bool or int, default="auto"
        Pairs of columns whose combinations of categories get an effect of their own in the prediction, at up to three
        times the price. They are learned after the vectors, which stay the same. An int is the most pairs to use, True
        stands for 64, those of the most combinations. "auto", with ``add_prediction=True`` and folds: those that tell
        of what the network leaves unexplained, of categories and numbers, and the single values of a number that do;
        with a single output (numbers, two classes) what True gives as well. All are dropped if rows out of their folds
        are predicted no better. Only "mlp".
    text_groups : "auto" or bool, default="auto"
        Columns of at least 20 texts whose network also learns a vector for each group of texts that are alike, by their
        character n-grams; the vector of a category is told from its own and that of its group. So rare categories
        learn from others of their group, and new ones have a vector. "auto": columns whose groups differ in ``y`` by
        more than any of 199 random orders of them; True: all such columns. Only "mlp", with ``n_components="auto"``.
    add_prediction : bool, default=False
        Append the network's prediction to the output of `transform`: numbers in the units of ``y``, log-odds for
        classes. In `fit_transform` it is out-of-fold, like the vectors. Only "mlp".
    solver : {"auto", "exact", "sgd"}, default="auto"
        Of "dot". "exact": least squares with every non-pair as a weak negative, solved one table at a time. "sgd":
        batches of pairs. "auto": sgd for ratings, else exact; and where every row is a link, the vectors of the second
        column are then polished by a softmax as far as held-back links rank better for it; the first stay as they are.
    early_stopping : bool, default=False
        Stop when the validation loss has not improved for `patience` epochs, and keep the best epoch. Cross-fitted
        training scores rows by the table that has not seen their labels, which costs no rows. Only "mlp".
    validation_fraction : float, default=0.1
        Share of the rows that early stopping scores.
    patience : int, default=5
        Epochs without improvement before early stopping ends the training.
    metric : {"cosine", "dot", "euclidean"}, default="cosine"
        Of `kneighbors` and `most_similar`.
    n_neighbors : int, default=5
        Neighbours that `kneighbors` gives.
    index : None, "exact", "ann" or object, default=None
        What searches neighbours. "ann": an approximate index (extra ``ann``); an object with ``fit`` and
        ``kneighbors``, such as NearestNeighbors, is used as it is. It should search by the Euclidean distance: it gets
        vectors for which that gives the order of `metric`.
    device : str, default="auto"
        Where to train: "cpu", "cuda", "mps". "auto" takes CUDA where it is there, else the CPU. MPS was never tried;
        the exact solver of "dot" takes the CPU in its place, for MPS lacks what it needs.
    random_state : int, RandomState instance or None, default=None
        Seeds everything random. The same int on the same machine gives the same bits.

    Attributes
    ----------
    categories_ : list of ndarray
        Categories of each embedded column; a missing value, if it was seen, comes last.
    embeddings_ : list of ndarray of shape (n_categories, n_components), float32
        Row ``i`` of the c-th array belongs to ``categories_[c][i]``.
    unknown_vectors_ : list of ndarray of shape (n_components,)
        Vectors of categories that are unknown, and of no group of texts, or rarer than `min_frequency`.
    infrequent_categories_ : list of ndarray or None
        Categories rarer than `min_frequency`.
    counts_ : list of ndarray of shape (n_categories,)
        Training rows of each category.
    categorical_features_ : list of str or int
        Names, or positions where there are no names, of the embedded columns.
    n_components_ : list of int
        Width of each column's vectors.
    target_type_ : str
        What ``y`` was taken for.
    classes_ : ndarray or None
        Sorted labels of a binary or multiclass target.
    text_groups_ : list of ndarray of shape (n_categories,) or None
        Only "mlp": group of texts of each category, -1 for none; None for a column whose texts were not grouped.
    history_ : list of dict
        A record per epoch: ``epoch`` from 1, ``loss``, and where rows were judged ``validation_loss``; of several
        classes the one that calibration leaves.
    n_epochs_ : int
        Epochs trained. The vectors are those of the best ``validation_loss``, if there is any.
    biases_ : list of ndarray of shape (n_categories,)
        Only "dot": what each entity adds to the score of its pairs; zeros unless ratings or logistic links were
        learned.
    intercept_ : float
        Only "dot": what every score has in common.
    solver_, loss_ : str
        Only "dot": what "auto" became.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of str
        Their names, where all are strings.

    See Also
    --------
    EntityEmbeddingClassifier : The same network as a classifier.
    EntityEmbeddingRegressor : The same network as a regressor.
    sklearn.preprocessing.TargetEncoder : One number a category instead of a vector.

    References
    ----------
    .. [1] Guo, C. and Berkhahn, F. (2016). Entity embeddings of categorical variables.
       :doi:`10.48550/arXiv.1604.06737`
    .. [2] Koehrsen, W. (2018). Neural network embeddings explained. Towards Data Science.

    Examples
    --------
    >>> import pandas as pd
    >>> from sk_entity_embed import EntityEmbedder
    >>> X = pd.DataFrame({"city": ["Oslo", "Lima", "Oslo", "Rome"] * 25, "rooms": range(100)})
    >>> y = [3.0, 1.0, 3.1, 2.0] * 25
    >>> embedder = EntityEmbedder(n_components=2, random_state=0).set_output(transform="pandas")
    >>> embedder.fit_transform(X, y).columns.tolist()
    ['city_0', 'city_1', 'rooms']
    >>> embedder.embedding("city").index.tolist()
    ['Lima', 'Oslo', 'Rome']
    """

    _parameter_constraints: ClassVar[dict] = {
        "categorical_features": [_AUTO, str, "array-like", Integral, callable],
        "n_components": [_COUNT, dict, _AUTO],
        "target_type": [StrOptions({"auto", "continuous", "binary", "multiclass", "multilabel"})],
        "interaction": [StrOptions({"mlp", "dot"})],
        "hidden_layer_sizes": ["array-like", _COUNT],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "n_negatives": [_COUNT, _AUTO],
        "min_frequency": [_COUNT, Interval(Real, 0, 1, closed="neither")],
        "handle_unknown": [StrOptions({"vector", "error"})],
        "cv": ["cv_object", None],
        "max_epochs": [_COUNT, _AUTO],
        "batch_size": [_COUNT, _AUTO],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), _AUTO],
        "weight_decay": [Interval(Real, 0, None, closed="left"), _AUTO],
        "loss": [StrOptions({"auto", *_LOSSES})],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "negative_sampling": [StrOptions({"auto", "uniform", "popularity"})],
        "crossed_pairs": [Interval(Integral, 0, None, closed="left"), "boolean", _AUTO],
        "text_groups": ["boolean", _AUTO],
        "add_prediction": ["boolean"],
        "solver": [StrOptions({"auto", "exact", "sgd"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [_COUNT],
        "metric": [StrOptions({"cosine", "dot", "euclidean"})],
        "n_neighbors": [_COUNT],
        "index": "no_validation",
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        categorical_features="auto",
        n_components="auto",
        target_type="auto",
        interaction="mlp",
        hidden_layer_sizes=(128, 64),
        dropout=0.1,
        n_negatives="auto",
        min_frequency=1,
        handle_unknown="vector",
        cv=5,
        max_epochs="auto",
        batch_size="auto",
        learning_rate="auto",
        weight_decay="auto",
        loss="auto",
        quantile=0.5,
        negative_sampling="auto",
        crossed_pairs="auto",
        text_groups="auto",
        add_prediction=False,
        solver="auto",
        early_stopping=False,
        validation_fraction=0.1,
        patience=5,
        metric="cosine",
        n_neighbors=5,
        index=None,
        device="auto",
        random_state=None,
    ):
        self.categorical_features = categorical_features
        self.n_components = n_components
        self.target_type = target_type
        self.interaction = interaction
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.n_negatives = n_negatives
        self.min_frequency = min_frequency
        self.handle_unknown = handle_unknown
        self.cv = cv
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.loss = loss
        self.quantile = quantile
        self.negative_sampling = negative_sampling
        self.crossed_pairs = crossed_pairs
        self.text_groups = text_groups
        self.add_prediction = add_prediction
        self.solver = solver
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.metric = metric
        self.n_neighbors = n_neighbors
        self.index = index
        self.device = device
        self.random_state = random_state

    @property
    def text_groups_(self):
        """Group of texts of each category, -1 for none; None for a column whose texts were not grouped."""
        if "_texts" not in vars(self):
            raise AttributeError("text_groups_ is there after a fit with interaction='mlp'.")
        return [groups and groups["of_category"] for groups in self._texts]

    # -- fitting -----------------------------------------------------------------------------------

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None, **params):
        """Learn the vectors.

        ``fit(X, y).transform(X)`` gives vectors that have seen the labels of `X`. Use `fit_transform` for the rows that
        another model is trained on.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Categories, and numbers as context. For ``interaction="dot"`` two columns, a pair in each row.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Real, binary, multiclass or multilabel indicator. For "dot": None (every row is a link), 0 and 1, or real
            (a rating).
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, >= 0; for "dot" the confidence of a pair, 1 for an ordinary one.
        **params : dict
            With metadata routing enabled, passed to the splitter `cv`, such as ``groups``.

        Returns
        -------
        self : EntityEmbedder
            Fitted.

        Raises
        ------
        ValueError
            If the input does not fit; nothing is trained then.
        TypeError
            If `X` is sparse or a lazy frame, `y` mixes strings with other labels, or `index` cannot search.
        FloatingPointError
            If the loss stops being finite; what was fitted before stays.

        Warns
        -----
        ConvergenceWarning
            If the vectors of "dot" shrink to nothing, as they do where weights are far below 1. If Ctrl-C ends the
            training, which keeps what was learned. If the training of pairs that ``crossed_pairs="auto"`` chose
            diverges, which goes without them.
        """
        self._fit(X, y, sample_weight, params, "fit")
        return self

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None, sample_weight=None, **params):
        """Learn the vectors and give each row those that have not seen its label.

        This is cross-fitted and so differs from ``fit(X, y).transform(X)``, as in
        :class:`~sklearn.preprocessing.TargetEncoder`. Vectors and predictions are rounded to the noise among the folds,
        so that trees have less to tell the folds by, and less to learn rows by heart from. With ``cv=None`` or
        ``interaction="dot"`` the two agree, and nothing is rounded.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            As in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            As in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `fit`.
        **params : dict
            As in `fit`.

        Returns
        -------
        X_out : ndarray or data frame of shape (n_samples, n_features_out), float32 or float64
            Vectors column after column, then the numeric columns.
        """
        fitted = self._fit(X, y, sample_weight, params, "fit_transform")
        columns = fitted.columns
        if fitted.fold is None:
            return self._assemble(columns)
        codes, fold = columns.codes, fitted.fold
        vectors = out_of_fold_vectors(fitted.tables, codes, fold)
        rounded = round_to_noise(vectors, fitted.tables, codes[fitted.trained])
        out = np.hstack([rounded, columns.numeric])
        if not self.add_prediction:
            return out
        return self._append(out, self._answer_out_of_fold(fitted))

    def _answer_out_of_fold(self, fitted):
        """Contrasts of each row from the body and the tables that have not seen its label, rounded like the vectors."""
        codes, fold = fitted.columns.codes, fitted.fold
        codes = np.hstack([codes, self._encode_pairs(fitted.columns)])
        network, inputs, target = fitted.network, fitted.inputs, Target(**self._target)
        out = target.contrasts(ask_out_of_fold(network, codes, inputs, fold)).astype(np.float32)
        n_folds = int(fold.max()) + 1
        trained = np.arange(len(fold))[fitted.trained]
        some = some_rows(trained, max(1, _ANSWERS_COMPARED // n_folds))
        answers = np.empty((n_folds, len(some), target.n_outputs), dtype=np.float32)
        for k in range(n_folds):
            answers[k] = target.contrasts(ask_body(network, codes[some], inputs[some], k))
        return round_to_noise(out, [answers], np.arange(len(some))[:, None])

    def _fit(self, X, y, sample_weight, params, method, owner=None, class_weight=None):
        """Fit, and give what `fit_transform` needs. A predictor passes itself and its class weights on."""
        raise_for_params(params, self, method)
        check_index(self.index)
        before = {
            key: vars(self)[key]
            for key in ("n_features_in_", "feature_names_in_")
            if key in vars(self)
        }
        try:
            y = plain_labels(y)
            if self.interaction == "dot":
                fitted = fit_links(self, X, y, sample_weight)
            else:
                split = {}
                if routing_enabled() and params:
                    split = process_routing(owner or self, method, **params).splitter.split
                fitted = fit_network(self, X, y, sample_weight, split, owner, class_weight)
        except BaseException:  # a failed fit leaves the estimator as it was
            for key in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(key, None)
            self.__dict__.update(before)
            raise
        for key in [k for k in vars(self) if k in _OF_ONE_INTERACTION]:
            delattr(self, key)
        self.__dict__.update(fitted.attributes)
        self._cache = {}
        return fitted

    def _fitted_attributes(self, embedder):
        """What makes this estimator like a fitted copy of it; callbacks ask for it after each epoch."""
        return embedder.__dict__

    # -- vectors as features -----------------------------------------------------------------------

    def transform(self, X):
        """Replace categories by their vectors.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Columns as in `fit`.

        Returns
        -------
        X_out : ndarray or data frame of shape (n_samples, n_features_out), float32 or float64
            Vectors column after column, then the numeric columns as they came, then the prediction if
            ``add_prediction=True``.

        Raises
        ------
        ValueError
            If the columns are not those of `fit`, or a category was not seen there and ``handle_unknown="error"``.

        Warns
        -----
        UserWarning
            If (nearly) none of a column's values is known and they are of another kind than in `fit`, such as strings
            instead of integers. (1 and 1.0 are one category.)
        """
        check_is_fitted(self)
        return self._assemble(read_columns(self, X))

    def _assemble(self, columns):
        """Output for rows that were not trained on."""
        n_rows, width = len(columns.codes), sum(self.n_components_)
        tables = self._cached("tables", self._stack_tables)
        out = np.empty((n_rows, width + columns.numeric.shape[1]), dtype=columns.numeric.dtype)
        write_vectors(tables, columns.codes, out)
        out[:, width:] = columns.numeric
        if self.add_prediction and not self._is_of_pairs:
            return self._append(out, Target(**self._target).contrasts(self._ask(columns)))
        return out

    def _ask(self, columns):
        """Raw outputs of the network for rows that were not trained on."""
        starts = range(0, len(columns.codes), _ROWS_AT_ONCE)
        parts = [self._ask_at_once(columns.rows(slice(s, s + _ROWS_AT_ONCE))) for s in starts]
        return np.concatenate(parts)

    def _ask_at_once(self, columns):
        tables = self._cached("inner tables", self._stack_inner_tables)
        codes = np.hstack([columns.codes, self._encode_pairs(columns)])
        served = _for_bodies([*tables, *self._pair_effects])
        return ask_as_new(self._head, served, codes, self._read_numbers(columns))

    def _read_numbers(self, columns):
        """The numbers of new rows as the network reads them."""
        return read_numbers(columns, self._scaling, Deviations(**self._deviations))

    def _encode_pairs(self, columns):
        """Codes of the crossed pairs, shape (n_rows, n_pairs)."""
        codes, pairs = columns.codes, Pairs(**self._pairs)
        if not len(pairs):
            return codes[:, :0]
        groups_of_codes = self._cached("text groups", self._list_groups)
        with_groups = append_groups(codes, groups_of_codes)
        for c, groups in enumerate(groups_of_codes):
            if groups is not None:  # pairs know of a new text its group alone
                with_groups[codes[:, c] > len(self.categories_[c]), c] = 0
        return pairs.encode(
            np.hstack([with_groups, Values(**self._values).encode(columns.numeric)])
        )

    def _list_groups(self):
        return [groups and TextGroups(**groups).of_code for groups in self._texts]

    def _append(self, out, contrasts):
        """The output with the network's predictions as further columns."""
        return np.hstack([out, Target(**self._target).as_columns(contrasts)])

    def _stack_tables(self):
        """Vectors of each column as the codes count: the unknown one, the categories', those of groups of texts."""
        return [
            np.vstack([unknown[None], vectors, of_groups])
            for unknown, vectors, of_groups in zip(
                self.unknown_vectors_, self.embeddings_, self._group_vectors, strict=True
            )
        ]

    def _stack_inner_tables(self):
        """As `_stack_tables` the vectors that the network reads."""
        shown = self._cached("tables", self._stack_tables)
        return [own if other is None else other for own, other in zip(shown, self._inner_tables)]

    def _predict_raw(self, X, owner):
        """Raw outputs of the network for new rows, for the predictor that holds this embedder."""
        return self._ask(read_columns(self, X, owner))

    def get_feature_names_out(self, input_features=None):
        """Names of the output's columns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            None: the names seen in `fit`, or ``x0, x1, ...``. Otherwise they must equal these.

        Returns
        -------
        names : ndarray of str
            ``book_0, book_1, ...`` for the vectors, then the numeric columns, then the prediction.

        Raises
        ------
        ValueError
            If two of them were equal.
        """
        check_is_fitted(self)
        names = check_feature_names_in(self, input_features)
        out = output_names(names, self._embedded, self.n_components_, self._numeric)
        if self.add_prediction and not self._is_of_pairs:
            out += Target(**self._target).column_names()
        refuse_repeated(out)
        return np.asarray(out, dtype=object)

    @property
    def _n_features_out(self):
        return len(self.get_feature_names_out())

    def inverse_transform(self, X):
        """Find the nearest category to each vector.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Rows as `transform` gives them.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            The category with the nearest vector (Euclidean) in each embedded column, and the numbers.

        Raises
        ------
        ValueError
            If `X` has another number of columns, or a column of `fit` has no category to be found.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=[np.float32, np.float64], ensure_all_finite="allow-nan")
        if X.shape[1] != self._n_features_out:
            raise ValueError(
                f"Shape of the passed X data is not correct. Expected {self._n_features_out} columns, got {X.shape[1]}."
            )
        original = np.empty((len(X), self.n_features_in_), dtype=object)
        start = 0
        for j, (position, width) in enumerate(zip(self._embedded, self.n_components_)):
            if not len(self.categories_[j]):
                raise ValueError(
                    f"Column {self.categorical_features_[j]!r} has no category to go back to: all its values were "
                    "rarer than min_frequency. Lower min_frequency."
                )
            searcher = make_searcher(self.embeddings_[j], "euclidean")
            _, nearest = searcher.search(X[:, start : start + width], 1)
            original[:, position] = self.categories_[j][nearest[:, 0]]
            start += width
        for position in self._numeric:
            original[:, position] = X[:, start]
            start += 1
        kinds = {c.dtype for c in self.categories_}
        return original if self._numeric or len(kinds) > 1 else original.astype(kinds.pop())

    def embedding(self, column=None):
        """Give the vectors of a column as a data frame.

        Parameters
        ----------
        column : str or int, default=None
            Name or position of an embedded column. None: the only one, or the first for "dot".

        Returns
        -------
        vectors : DataFrame of shape (n_categories, n_components)
            Categories as index.

        Raises
        ------
        ValueError
            If `column` is not embedded, or is left out where several are.
        """
        check_is_fitted(self)
        j = self._column(column)
        return self._vectors_frame(j, self.categories_[j], self.embeddings_[j])

    def _vectors_frame(self, j, entities, vectors):
        name = self._names[self._embedded[j]]
        return pd.DataFrame(
            vectors,
            index=in_pandas(pd.Index, entities, name=name),
            columns=[f"{name}_{i}" for i in range(vectors.shape[1])],
            copy=True,  # pandas 2 would share the memory, so that a change of the frame is one of the fit
        )

    # -- new entities and reasons, for links -------------------------------------------------------

    def embed_new(self, links, *, column=None):
        """Give vectors to entities that were not in `fit`, from their links alone.

        A vector solves the least squares that the fit solved for known entities, so an entity of the first column with
        the links it had in `fit`, all of weight 1 and no non-links, gets the vector it has. For the second column it
        gets a slightly other one: its table was solved last but one, and may be polished. Needs ``interaction="dot"``
        and the exact solver.

        Parameters
        ----------
        links : dict
            For each new name the list of its links: entities of the other column. Unknown ones are left out.
        column : str or int, default=None
            Column that the new entities belong to. None: the first.

        Returns
        -------
        vectors : DataFrame of shape (n_new, n_components)
            New names as index, as `embedding` gives those of known entities.

        Raises
        ------
        ValueError
            If the vectors were not learned from links by the exact solver.
        TypeError
            If `links` is not a dict.
        KeyError
            If none of the links of a new entity is known; the message offers the closest spellings.
        """
        check_is_fitted(self)
        j = self._column(column)
        return self._vectors_frame(j, *self._fold_new(j, links))

    def _fold_new(self, j, links):
        """Names and vectors of new entities of a column."""
        self._check_exact()
        names, indptr, indices = read_new(links, self._entities(1 - j))
        table = self._cached(("solved", 1 - j), lambda: self._solved_table(1 - j))
        vectors = fold_in(table, indptr, indices, **self._fold_in[j])
        vectors[~vectors.any(axis=1)] = self.unknown_vectors_[j]  # its links taught nothing either
        return names, vectors

    def _solved_table(self, j):
        """The vectors of a column that those of the other one were solved with: zeros without a known link."""
        kept, table = self._links, self.embeddings_[j]
        if j == 0:
            n_links = np.diff(kept["indptr"])
        else:
            table = table if kept["solved_right"] is None else kept["solved_right"]
            n_links = np.bincount(kept["indices"], minlength=len(table))
        return table if n_links.all() else np.where(n_links[:, None] > 0, table, np.float32(0))

    def _check_exact(self):
        if vars(self).get("_links") is None:
            got = "interaction='mlp'"
            if self._is_of_pairs:
                got = f"interaction='dot', solver {self.solver_!r}"
            raise ValueError(
                "This needs vectors that the exact solver learned from links: interaction='dot', solver 'exact'; "
                f"got {got}."
            )

    def explain(self, a, b, *, column=None, n=None):
        """List the links that make two entities near, and what each adds to their similarity.

        The vector of the exact solver is a sum over an entity's own links, and so is every product with it. Each link
        gets the mean of its parts in the two sums. Needs ``interaction="dot"`` and the exact solver. Exact for the
        first column; for the second it tells of the vectors that `embed_new` would give.

        Parameters
        ----------
        a, b : category
            Two entities of one column.
        column : str or int, default=None
            Their column. None: the first.
        n : int, default=None
            Links to list, None: all that one of the two has.

        Returns
        -------
        links : DataFrame
            Columns entity (of the other column), shared (whether both have it) and part. Shared ones come first, then
            by part, largest first. All parts add up to the similarity: the cosine, or the product with
            ``metric="dot"``.

        Raises
        ------
        ValueError
            If the vectors were not learned from links by the exact solver, or `metric` is "euclidean".
        KeyError
            If a name is not known; the message offers the closest spellings.
        """
        check_is_fitted(self)
        self._check_exact()
        j = self._column(column)
        if n is not None and (not isinstance(n, Integral) or n < 1):
            raise ValueError(f"n must be None or an integer of at least 1, got {n!r}.")
        links = self._cached(("links", j), lambda: self._links_of(j))
        of_a, of_b = (_of_row(links, row) for row in rows_of(self._entities(j), [a, b]))
        told = explain(
            self._cached(("solved", 1 - j), lambda: self._solved_table(1 - j)),
            *(field for both in zip(of_a, of_b) for field in both),
            metric=self.metric,
            **self._fold_in[j],
        )
        order = np.argsort(~told.shared, kind="stable")[:n]
        return pd.DataFrame(
            {
                "entity": in_pandas(pd.Series, self.categories_[1 - j][told.links[order]]),
                "shared": told.shared[order],
                "part": told.parts[order],
            }
        )

    def _links_of(self, j):
        """The links of every entity of a column, as row starts, codes, weights and targets."""
        kept = self._links
        if j == 0:
            return kept["indptr"], kept["indices"], kept["weights"], kept["targets"]
        shape = tuple(len(c) for c in self.categories_)
        places = np.arange(len(kept["indices"]))
        by_row = sparse.csr_matrix((places, kept["indices"], kept["indptr"]), shape=shape).tocsc()
        weights, targets = (
            None if kept[key] is None else kept[key][by_row.data] for key in ("weights", "targets")
        )
        return by_row.indptr, by_row.indices, weights, targets

    # -- neighbours --------------------------------------------------------------------------------

    def kneighbors(
        self, X=None, n_neighbors=None, return_distance=True, *, column=None, metric=None
    ):
        """Find the nearest categories of a column, as NearestNeighbors does.

        Parameters
        ----------
        X : list of categories, floats of shape (n_queries, n_components) or None, default=None
            Whose neighbours: categories, or vectors as `embedding` and `embed_new` give them, of at least two
            components. A category given here is a point like any other and its own nearest neighbour. None: every
            category, itself left out.
        n_neighbors : int, default=None
            How many. None: the parameter of the estimator.
        return_distance : bool, default=True
            Whether to return the distances.
        column : str or int, default=None
            Name or position of an embedded column. None: the only one, or the first for "dot".
        metric : {"cosine", "dot", "euclidean"}, default=None
            None: the parameter of the estimator. The cosine distance is 1 - similarity; that of "dot" is minus the
            product.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            Nearest first. Only with ``return_distance=True``.
        indices : ndarray of shape (n_queries, n_neighbors)
            Positions in ``categories_`` of the column.

        Raises
        ------
        KeyError
            If a name is not known; the message offers the closest spellings.
        ValueError
            If vectors are of another width, or there are not that many neighbours.
        TypeError
            If categories come as a table, not as one of its columns.
        """
        check_is_fitted(self)
        j = self._column(column)
        metric = metric or self.metric
        return kneighbors(
            self._entities(j),
            X,
            self.n_neighbors if n_neighbors is None else n_neighbors,
            return_distance,
            metric=metric,
            searcher=self._searcher(j, metric),
        )

    def most_similar(
        self,
        entities,
        n=10,
        *,
        column=None,
        among=None,
        metric=None,
        exclude=None,
        candidates=None,
        combine=None,
        negative=None,
        popularity=0.0,
    ):
        """List the entities most similar to one or several.

        Parameters
        ----------
        entities : category, list of categories or dict
            One name, or several: a list for each, or one for all with ``combine="mean"``. A dict names new entities
            by their links, as in `embed_new`: ``{"My book": ["tolstoy", "russia"]}``.
        n : int, default=10
            Entities in each list.
        column : str or int, default=None
            Column of `entities`. None: the only one, or the first for "dot".
        among : str or int, default=None
            For "dot": rank the entities of this other column, by the score of the pair.
        metric : {"cosine", "dot", "euclidean"}, default=None
            None: the parameter of the estimator; "dot" with `among`.
        exclude, candidates : list of categories, default=None
            Entities to leave out, be they too rare for a vector or not; the only ones to list.
        combine : {"mean"}, default=None
            "mean": one list for all `entities` together ("I liked these three").
        negative : category or list of categories, default=None
            Move away from these. Not with a dict of new entities.
        popularity : float, default=0.0
            What being common costs in the ranking: ``popularity`` for the commonest entity, less for rarer ones, by
            the logarithm of the count.

        Returns
        -------
        similar : DataFrame
            Columns query, rank (from 1), entity, similarity (larger is nearer) and count (training rows). The query
            itself is left out.

        Raises
        ------
        KeyError
            If a name is not known; the message offers the closest spellings.
        ValueError
            If an argument is out of its range, or does not go with the others.
        TypeError
            If names come as a table, not as one of its columns.

        Examples
        --------
        >>> import pandas as pd
        >>> from sk_entity_embed import EntityEmbedder
        >>> pairs = pd.DataFrame(
        ...     [
        ...         ("Emma", "england"),
        ...         ("Persuasion", "england"),
        ...         ("Nana", "paris"),
        ...         ("Germinal", "paris"),
        ...     ],
        ...     columns=["book", "link"],
        ... )
        >>> embedder = EntityEmbedder(interaction="dot", n_components=2, random_state=0).fit(pairs)
        >>> embedder.most_similar("Emma", n=1)["entity"].tolist()
        ['Persuasion']
        """
        check_is_fitted(self)
        j = self._column(column)
        source, target = self._entities(j), None
        if isinstance(entities, dict):
            if negative is not None:
                raise ValueError(
                    "negative= moves away from known entities, not together with new ones."
                )
            source, target = new_column(source.name, *self._fold_new(j, entities)), source
            entities = source.categories
        if among is None:
            metric = metric or self.metric
            searcher = self._searcher(j, metric)
        else:
            if not self._is_of_pairs:
                raise ValueError(
                    "among= compares vectors of two columns, which only interaction='dot' puts into one space."
                )
            k = self._column(among, "among")
            metric = metric or "dot"
            target = target if k == j else self._entities(k)
            if metric == "dot" and k != j and np.any(self.biases_[k]):
                source, target, searcher = self._with_biases(source, target, j, k)
            else:
                searcher = self._searcher(k, metric)
        return most_similar(
            source,
            entities,
            n,
            target=target,
            metric=metric,
            exclude=exclude,
            candidates=candidates,
            combine=combine,
            negative=negative,
            popularity=popularity,
            searcher=searcher,
        )

    def _column(self, column, argument="column"):
        """Position among the embedded columns; an error names the argument."""
        if column is None:
            if len(self._embedded) == 1 or self._is_of_pairs:
                return 0
            raise ValueError(
                f"Several columns are embedded: give column=, one of {self.categorical_features_}."
            )
        if column in self.categorical_features_:
            return self.categorical_features_.index(column)
        if isinstance(column, Integral) and column in self._embedded:
            return self._embedded.index(column)
        raise ValueError(
            f"{argument}={column!r} is not an embedded column, expected one of {self.categorical_features_}."
        )

    def _entities(self, j):
        return EntityColumn(
            name=self.categorical_features_[j],
            categories=self.categories_[j],
            vectors=self.embeddings_[j],
            counts=self.counts_[j],
            lookup=self._vocabularies[j].lookup,
            infrequent=self._vocabularies[j].infrequent,
        )

    def _with_biases(self, source, target, j, k):
        """Vectors whose product is the whole score of a pair: product, both biases and the intercept."""
        own = self.biases_[j][:, None] + np.float32(self.intercept_)
        left = np.hstack([source.vectors, own, np.ones_like(own)])
        bias = self.biases_[k][:, None]
        right = np.hstack([target.vectors, np.ones_like(bias), bias])
        searcher = self._cached_searcher(("scores", k), right, "dot")
        return replace(source, vectors=left), replace(target, vectors=right), searcher

    def _searcher(self, j, metric):
        return self._cached_searcher(("searcher", j, metric), self.embeddings_[j], metric)

    def _cached_searcher(self, key, vectors, metric):
        kept = self._cached("searchers", dict)
        index, searcher = kept.get(key, (None, None))
        # `index` may have been set since: it is the searcher's, and no matter of the fit.
        if searcher is None or index is not self.index:
            index = self.index
            searcher = make_searcher(vectors, metric, index)
            kept[key] = index, searcher
        return searcher

    def _cached(self, key, make):
        """What `make` gives, kept until the next fit and left out of pickles."""
        cache = self.__dict__.setdefault("_cache", {})
        if key not in cache:
            cache[key] = make()
        return cache[key]

    @property
    def _is_of_pairs(self):
        """Whether the last fit was one of pairs, whatever `interaction` says by now: it left no network's target."""
        return "_target" not in vars(self)

    # -- persistence -------------------------------------------------------------------------------

    def save(self, path):
        """Write the fitted embedder to one safetensors file, all or nothing.

        Parameters
        ----------
        path : str or Path
            The file, in a folder that is there. Loading runs no code, unlike a pickle. Callbacks and metadata requests
            are not written.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        IsADirectoryError
            If `path` is a folder.
        TypeError
            If a parameter or a category is of a type that the file cannot hold, such as a callable; use pickle or
            joblib then.
        """
        check_is_fitted(self)
        state = self.__getstate__()
        vocabularies = [v.__getstate__() for v in state.pop("_vocabularies")]
        for key in ("categories_", "counts_", "infrequent_categories_"):
            state.pop(key)  # the vocabularies hold them
        for key in ("_sklearn_version", "_skl_callbacks", "_metadata_request"):
            state.pop(key, None)  # of this session, not of what was learned
        _persistence.write(
            path, type(self).__name__, {"state": state, "vocabularies": vocabularies}
        )

    @classmethod
    def load(cls, path):
        """Read an embedder that `save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        embedder : EntityEmbedder
            Fitted.

        Raises
        ------
        OSError
            If there is no such file.
        ValueError
            If the file is damaged, of another class or of a newer format.
        """
        content = _persistence.read(path, cls.__name__)
        embedder = cls()
        try:
            embedder.__dict__.update(content["state"])
            vocabularies = [Vocabulary(**v) for v in content["vocabularies"]]
            widths = embedder.n_components_
            counts = [v.counts for v in vocabularies]
            shapes = [v.shape for v in [*embedder.embeddings_, *embedder.unknown_vectors_, *counts]]
            expected = [(len(v.categories), w) for v, w in zip(vocabularies, widths, strict=True)]
            expected += [(w,) for w in widths] + [v.categories.shape for v in vocabularies]
            positions = sorted([*embedder._embedded, *embedder._numeric])
            every, names = range(embedder.n_features_in_), [*embedder.categorical_features_]
            embedder._vocabularies = vocabularies
            embedder.categories_ = [v.categories for v in vocabularies]
            embedder.counts_ = counts
            embedder.infrequent_categories_ = [
                v.infrequent if len(v.infrequent) else None for v in vocabularies
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged: {error!r}.") from error
        if positions != [*every] or len(names) != len(vocabularies):
            raise ValueError(
                f"{path} is damaged: columns {positions} of {len(every)}, {len(vocabularies)} vocabularies for the "
                f"embedded {names}."
            )
        if shapes != expected:
            raise ValueError(
                f"{path} is damaged: vectors, unknown vectors and counts of shapes {shapes}, expected {expected}."
            )
        try:
            embedder._try_network()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is damaged: the arrays of its network do not fit together: {error!r}."
            ) from error
        return embedder

    def _try_network(self):
        """Ask the network about a row of which nothing is known, which fails if its arrays do not fit together."""
        self._stack_tables()
        if self._is_of_pairs:
            return
        rows = []
        for categories, unknown, texts, of_groups, own in zip(
            self.categories_,
            self.unknown_vectors_,
            self._texts,
            self._group_vectors,
            self._inner_tables,
            strict=True,
        ):
            n_groups = 0
            if texts is not None:
                groups = TextGroups(**texts)
                groups.check(len(categories))
                n_groups = len(groups)
            if len(of_groups) != n_groups:
                raise ValueError(f"{len(of_groups)} vectors of groups, {n_groups} groups of texts")
            if own is not None and own.shape[-2] != 1 + len(categories) + n_groups:
                raise ValueError(f"inner vectors {own.shape}, {len(categories)} categories")
            rows.append(unknown[None] if own is None else own[..., :1, :])
        n_codes, n_numeric = [v.n_codes for v in self._vocabularies], len(self._numeric)
        Deviations(**self._deviations).check(n_codes, n_numeric)
        Values(**self._values).check(n_numeric)
        codes = np.zeros((1, len(rows)), dtype=np.int32)
        unknown = Columns(codes, np.full((1, n_numeric), np.nan, dtype=np.float32))
        n_known, n_vectors = Pairs(**self._pairs).n_codes, [len(t) for t in self._pair_effects]
        if n_known != n_vectors:
            raise ValueError(f"{n_known} combinations, {n_vectors} vectors of them")
        effects = zip(self._pair_effects, self._encode_pairs(unknown).T)
        rows += [of_pair[own] for of_pair, own in effects]
        codes = np.zeros((1, len(rows)), dtype=np.int32)
        raw = ask_as_new(self._head, _for_bodies(rows), codes, self._read_numbers(unknown))
        Target(**self._target).as_columns(raw)

    def __getstate__(self):
        state = super().__getstate__()
        return {key: value for key, value in state.items() if key != "_cache"}  # pyrefly: ignore

    # -- scikit-learn ------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self):
        return "embeddings_" in vars(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.interaction == "mlp"
        tags.target_tags.multi_output = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

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
                splitter=self.cv,
                method_mapping=MethodMapping()
                .add(caller="fit", callee="split")
                .add(caller="fit_transform", callee="split"),
            )
        return routing


# Fitted attributes that a fit with the other `interaction` does not write over, so they have to go before it.
_OF_ONE_INTERACTION = frozenset(
    [
        "biases_",
        "intercept_",
        "solver_",
        "loss_",
        "_fold_in",
        "_links",
        "_head",
        "_inner_tables",
        "_pairs",
        "_pair_effects",
        "_values",
        "_scaling",
        "_deviations",
        "_target",
        "_texts",
    ]
)


def _for_bodies(tables):
    """Tables of one for all bodies, or one for each, with an axis for these."""
    return [table if table.ndim == 3 else table[None] for table in tables]


def _of_row(links, row):
    """Codes, weights and targets of the links of one entity."""
    indptr, *fields = links
    own = slice(indptr[row], indptr[row + 1])
    return [None if field is None else field[own] for field in fields]
