"""A fitted estimator serves in a process that never loads torch."""

import subprocess
import sys

import joblib
import numpy as np
import pytest
from _made import PLAIN, make_pairs, make_shops

from sk_entity_embed import EntityEmbedder, EntityEmbeddingClassifier, EntityEmbeddingRegressor


def run(script, *arguments):
    """What a script prints in a process of its own, where importing torch is an error."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_never_loads_torch():
    """`python -X importtime` lists what is loaded: all that the estimators need, and no torch."""
    script = "import sk_entity_embed; import sk_entity_embed._predictors"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "sk_entity_embed._embedder" in loaded
    assert "sk_entity_embed._predictors" in loaded
    assert not {name for name in loaded if name.partition(".")[0] in ("torch", "matplotlib")}
    assert not {name for name in loaded if name.startswith("sk_entity_embed._torch")}


SERVE = """
import sys
class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise AssertionError("torch was imported")
sys.meta_path.insert(0, Ban())
import joblib, numpy
from sk_entity_embed import EntityEmbedder
X, pairs, embedder, links, classifier, regressor = joblib.load(sys.argv[1])
loaded = EntityEmbedder.load(sys.argv[2])
results = [
    embedder.transform(X),
    loaded.transform(X),
    embedder.kneighbors(n_neighbors=3, column="shop")[0],
    embedder.most_similar("shop 1", column="shop")["similarity"].to_numpy(),
    embedder.inverse_transform(embedder.transform(X))[:, 2].astype(float),
    embedder.embedding("item").to_numpy(),
    embedder.set_output(transform="pandas").transform(X).to_numpy(),
    links.transform(pairs),
    links.most_similar("book 00", among="link")["similarity"].to_numpy(),
    classifier.predict_proba(X),
    classifier.predict(X).astype(float),
    regressor.predict(X),
    regressor.embedder_.transform(X),
]
assert embedder._repr_html_() and repr(links)
assert "torch" not in sys.modules
joblib.dump(results, sys.argv[3])
"""


def test_a_served_estimator_never_loads_torch(tmp_path):
    """Unpickling, loading and every use of what was learned; the results are those of this process."""
    X, y = make_shops(60)
    pairs, _ = make_pairs()
    embedder = EntityEmbedder(**PLAIN, add_prediction=True).fit(X, y)
    links = EntityEmbedder(interaction="dot", n_components=4, random_state=0).fit(pairs)
    classifier = EntityEmbeddingClassifier(**PLAIN).fit(X, y > 1)
    regressor = EntityEmbeddingRegressor(**PLAIN).fit(X, y)
    paths = [tmp_path / name for name in ("estimators", "embedder.safetensors", "results")]
    joblib.dump((X, pairs, embedder, links, classifier, regressor), paths[0])
    embedder.save(paths[1])
    run(SERVE, *paths)
    results = joblib.load(paths[2])
    Z = embedder.transform(X)
    for i in (0, 1, 6):
        np.testing.assert_allclose(results[i], Z, rtol=1e-6)
    np.testing.assert_allclose(results[7], links.transform(pairs), rtol=1e-6)
    np.testing.assert_allclose(results[9], classifier.predict_proba(X), rtol=1e-6)
    np.testing.assert_allclose(results[11], regressor.predict(X), rtol=1e-6)


def test_the_ban_on_torch_bites():
    """The check above would see an import."""
    script = SERVE.replace("import joblib, numpy", "import torch")
    with pytest.raises(AssertionError, match="torch was imported"):
        run(script)
