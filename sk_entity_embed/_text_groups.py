"""Groups of categories whose texts are alike: what a group says, rare and new categories of it say too. No torch."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix, vstack

from ._native import is_missing
from ._rows import most_frequent

MIN_TEXTS = 20  # categories that are worth grouping
MAX_COMPARED = 10_000  # categories among which groups are found, the commonest ones
MAX_LETTERS = 1000  # of a text that are read; comparing 10,000 texts of 10 kB would take minutes
NGRAM_LENGTHS = (2, 4)
N_HASHES = 1 << 18
MAX_NGRAMS = 1 << 13  # those in most texts
N_DIRECTIONS = 50
N_SHUFFLES = 199
PRIOR_ROWS = 10.0  # in the test, a category of so many rows counts half of one of very many
_TEXTS_AT_ONCE = 1 << 10


@dataclass(frozen=True)
class TextGroups:
    """Groups of a column's categories.

    Attributes
    ----------
    of_category : ndarray of shape (n_categories,), int32
        Group of each category; -1 for none.
    ngrams : ndarray of shape (n_ngrams,), int32
        Hashes of the character n-grams that are told apart, sorted.
    directions : ndarray of shape (n_ngrams, n_directions), float32
        From counts of n-grams, damped by the logarithm, to a space where texts that are alike have a small angle.
    centers : ndarray of shape (n_groups, n_directions), float32
        Of the groups, in that space.
    """

    of_category: np.ndarray
    ngrams: np.ndarray
    directions: np.ndarray
    centers: np.ndarray

    def __len__(self):
        return len(self.centers)

    @property
    def of_code(self):
        """For the codes of unknown, each category and each group: 0 for no group, else the group and 1."""
        own = 1 + np.arange(len(self), dtype=np.int32)
        return np.concatenate([np.zeros(1, np.int32), 1 + self.of_category, own])

    def check(self, n_categories):
        """Raise an error if the arrays do not fit together, as those of a damaged file may not."""
        n_ngrams, n_directions = self.directions.shape
        fits = (
            self.of_category.shape == (n_categories,)
            and self.ngrams.shape == (n_ngrams,)
            and self.centers.shape == (len(self), n_directions)
            and self.of_category.dtype.kind == self.ngrams.dtype.kind == "i"
            and self.directions.dtype.kind == self.centers.dtype.kind == "f"
            and -1 <= self.of_category.min(initial=0) <= self.of_category.max(initial=0) < len(self)
            and 0 <= self.ngrams.min(initial=0) <= self.ngrams.max(initial=0) < N_HASHES
        )
        if not fits:
            shapes = [getattr(self, name).shape for name in vars(self)]
            raise ValueError(f"groups of texts {shapes}, {n_categories} categories")

    def assign(self, texts):
        """Group of each text, shape (n_texts,), int32; -1 where most of its n-grams were never seen."""
        out = np.empty(len(texts), dtype=np.int32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = slice(start, start + _TEXTS_AT_ONCE)
            counts = _count_ngrams(texts[part])
            known = _select(counts, self.ngrams)
            is_known = 2 * _sums(known) >= _sums(counts)
            place = _place(known, self.directions)
            nearest = (place @ self.centers.T - 0.5 * (self.centers**2).sum(axis=1)).argmax(axis=1)
            out[part] = np.where(is_known & place.any(axis=1), nearest, -1)
        return out


def learn_text_groups(categories, counts, tells=None):
    """Group the categories of a column by their texts.

    Texts are compared by their character n-grams, weighted by how few texts have them, in the space of the largest
    singular vectors (latent semantic analysis [1]_), and there divided by k-means into the square root of their number.
    That takes nothing from the target.

    Parameters
    ----------
    categories : ndarray of shape (n_categories,)
    counts : ndarray of shape (n_categories,)
        Training rows of each.
    tells : callable or None
        Asked whether the groups, of the categories among which they were found, are worth having: see `tell_apart`.

    Returns
    -------
    groups : TextGroups or None
        None where categories are few, or not texts, or their groups are not worth having.

    References
    ----------
    .. [1] Deerwester, S., Dumais, S. T., Furnas, G. W., Landauer, T. K. and Harshman, R. (1990). Indexing by latent
       semantic analysis. Journal of the American Society for Information Science 41(6).
       :doi:`10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9`
    """
    if len(categories) < MIN_TEXTS or categories.dtype.kind not in "OU":
        return None
    is_text = np.fromiter((isinstance(c, str) for c in categories), bool, len(categories))
    if not (is_text[:-1].all() and (is_text[-1] or is_missing(categories[-1]))):
        return None
    places = np.flatnonzero(is_text)
    common = places[most_frequent(counts[places], MAX_COMPARED)]
    groups = _find_groups(categories[common])
    if groups is None:
        return None
    of_category = np.full(len(categories), -1, dtype=np.int32)
    of_category[common] = groups.of_category
    if tells is not None and not tells(replace(groups, of_category=of_category)):
        return None
    rest = np.setdiff1d(places, common, assume_unique=True)
    of_category[rest] = groups.assign(categories[rest])
    return replace(groups, of_category=of_category)


def _find_groups(texts):
    """Groups of texts, or None where these have too little in common."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd

    n_texts = len(texts)
    starts = range(0, n_texts, _TEXTS_AT_ONCE)
    counts = vstack([_count_ngrams(texts[s : s + _TEXTS_AT_ONCE]) for s in starts], format="csr")
    n_found = np.bincount(counts.indices, minlength=N_HASHES)  # texts with that n-gram
    ngrams = np.argsort(-n_found, kind="stable")[:MAX_NGRAMS]
    ngrams = np.sort(ngrams[n_found[ngrams] > 1]).astype(np.int32)
    n_directions = min(N_DIRECTIONS, n_texts - 1, len(ngrams) - 1)
    if n_directions < 1:
        return None
    rarity = 1 + np.log((1 + n_texts) / (1 + n_found[ngrams]))
    known = _select(counts, ngrams)
    weighted = normalize(_damped(known).multiply(rarity).tocsr())
    axes = randomized_svd(weighted, n_directions, random_state=0)[2]
    directions = np.ascontiguousarray((axes * rarity).T, dtype=np.float32)
    place = _place(known, directions)
    # Rounding errors keep texts apart that repeat one word more or less often; k-means would warn of equal points.
    rounded = place.astype(float).round(4)
    n_groups = min(round(n_texts**0.5), len(np.unique(rounded, axis=0)))
    label = KMeans(n_groups, n_init=1, random_state=0).fit(rounded).labels_
    # Means of their members anew: those of k-means are summed up by several threads, in no fixed order.
    centers = np.zeros((n_groups, n_directions), dtype=np.float32)
    np.add.at(centers, label, place)
    centers /= np.maximum(np.bincount(label, minlength=n_groups), 1)[:, None]
    groups = TextGroups(np.empty(0, np.int32), ngrams, directions, centers)
    of_category = groups.assign(texts)
    used = np.unique(of_category[of_category >= 0])
    if not len(used):
        return None
    # Groups may lose all members, since a text that is mostly unfamiliar is of none. No row would train their vectors.
    number = np.full(n_groups + 1, -1, dtype=np.int32)  # the last one for -1
    number[used] = np.arange(len(used))
    return replace(groups, of_category=number[of_category], centers=centers[used])


def tell_apart(groups, codes, table):
    """Whether groups differ more in the target than groups dealt out at random would.

    A permutation test on the mean targets of the categories: none of 199 random orders of the groups may do better.

    Parameters
    ----------
    groups : TextGroups
    codes : ndarray of shape (n_rows,)
        Of the column; 0 is unknown, ``i + 1`` is category ``i``.
    table : TrainingTable

    Returns
    -------
    answer : bool
    """
    n_groups, n_codes = len(groups), len(groups.of_category) + 1
    weight = table.weights()
    mass = np.bincount(codes, weight, minlength=n_codes)[1:]
    is_used = (mass > 0) & (groups.of_category >= 0)
    if not is_used.any():
        return False
    sums = [
        np.bincount(codes, weight * (values - np.average(values, weights=weight)), n_codes)[1:]
        for values in table.target.T
    ]
    mass, sums = mass[is_used], [s[is_used] for s in sums]
    trust = mass / (mass + PRIOR_ROWS)
    # Differences from the mean of all, times trust.
    differences = [s / (mass + PRIOR_ROWS) for s in sums]
    group = groups.of_category[is_used]

    def variance_between(group):
        of_groups = np.maximum(np.bincount(group, trust, n_groups), np.finfo(float).tiny)
        return sum((np.bincount(group, d, n_groups) ** 2 / of_groups).sum() for d in differences)

    own, rng = variance_between(group), np.random.default_rng(0)
    return all(variance_between(rng.permutation(group)) < own for _ in range(N_SHUFFLES))


def append_groups(codes, groups_of_codes):
    """Codes with a further column for each one of texts: 0 for no group, else the group and 1.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_columns), int32
        Behind the codes of the categories come those of the groups, for new texts.
    groups_of_codes : list of ndarray or None
        Of each column, the ``of_code`` of its groups.

    Returns
    -------
    codes : ndarray of shape (n_rows, n_columns + n_grouped), int32
    """
    grouped = [c for c, of_code in enumerate(groups_of_codes) if of_code is not None]
    if not grouped:
        return codes
    n_rows, n_columns = codes.shape
    out = np.empty((n_rows, n_columns + len(grouped)), dtype=np.int32)
    out[:, :n_columns] = codes
    for j, c in enumerate(grouped, n_columns):
        out[:, j] = groups_of_codes[c].take(codes[:, c], mode="clip")
    return out


def join_columns(network, texts):
    """Join the columns that `append_groups` gave with those that they came from.

    Parameters
    ----------
    network : TrainedNetwork
    texts : list of TextGroups or None

    Returns
    -------
    network : TrainedNetwork
        It has one table a column again. The vector of a category ends with that of its group; behind the categories
        come the groups themselves, each beside the vector of an unknown category.
    """
    widths = [t.shape[2] for t in network.tables]
    places = np.split(np.arange(sum(widths)), np.cumsum(widths)[:-1])
    tables, order = [], []
    further = iter(zip(network.tables[len(texts) :], places[len(texts) :]))
    for table, place, groups in zip(network.tables, places, texts):
        order.append(place)
        if groups:
            of_groups, place_of_groups = next(further)
            own = np.append(np.arange(table.shape[1]), np.zeros(len(groups), dtype=int))
            table = np.concatenate([table[:, own], of_groups[:, groups.of_code]], axis=2)
            order.append(place_of_groups)
        tables.append(table)
    first, *rest = network.head["coefs"]
    order = np.append(np.concatenate(order), np.arange(sum(widths), first.shape[1]))
    return replace(network, tables=tables, head={**network.head, "coefs": [first[:, order], *rest]})


def _count_ngrams(texts):
    """Counts of the hashed n-grams of each text, a sparse matrix."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=NGRAM_LENGTHS,
        n_features=N_HASHES,
        norm=None,
        alternate_sign=False,
        strip_accents="unicode",
        dtype=np.float32,
    )
    texts = [text[:MAX_LETTERS] for text in texts]
    try:
        return hashing.transform(texts)
    except UnicodeEncodeError:  # halves of surrogate pairs, as file names may have them
        return hashing.transform([t.encode("utf-8", "replace").decode() for t in texts])


def _select(counts, ngrams):
    """The columns of some n-grams, in their order."""
    place_of = np.full(N_HASHES, -1, dtype=np.int16)  # ten times as fast as a search
    place_of[ngrams] = np.arange(len(ngrams))
    place = place_of[counts.indices]
    is_known = place >= 0
    starts = np.append(0, np.cumsum(is_known))[counts.indptr]
    return csr_matrix(
        (counts.data[is_known], place[is_known], starts), shape=(counts.shape[0], len(ngrams))
    )


def _damped(counts):
    damped = counts.copy()
    np.log1p(damped.data, out=damped.data)
    return damped


def _place(counts, directions):
    """Unit vectors of texts, zero for those without an n-gram that is known."""
    place = _damped(counts) @ directions
    length = np.linalg.norm(place, axis=1, keepdims=True)
    return place / np.maximum(length, np.finfo(np.float32).tiny)


def _sums(counts):
    return np.asarray(counts.sum(axis=1)).ravel()
