"""
Beside OneHotEncoder and TargetEncoder
======================================

When do vectors help another model? Two generated tables of sales, alike but for one thing: in the first
a shop and a product matter *together*, in the second each for itself.
"""

# %%
# Two tables
# ----------
# 100 shops, 60 products, 4,000 sales and a discount. In the first table shops and products are of four
# kinds that nobody wrote down, and the outcome depends on the pair of kinds. In the second, each shop and
# each product adds something of its own.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from sk_entity_embed import EntityEmbedder, EntityEmbeddingRegressor

rng = np.random.default_rng(0)
n_rows = 4_000
shop, product = rng.integers(100, size=n_rows), rng.integers(60, size=n_rows)
discount = rng.uniform(0, 30, size=n_rows)
X = pd.DataFrame({"shop": shop, "product": product}).astype(str).assign(discount=discount)

shop_kind, product_kind = rng.integers(4, size=100), rng.integers(4, size=60)
together = rng.normal(size=(4, 4))[shop_kind[shop], product_kind[product]]
alone = rng.normal(size=100)[shop] + rng.normal(size=60)[product]
rest = 0.05 * discount + rng.normal(scale=0.5, size=n_rows)
targets = {"together": together + rest, "each for itself": alone + rest}

# %%
# Four ways to encode
# -------------------
# The encoders of scikit-learn are told which columns to encode. ``EntityEmbedder`` takes the whole
# table: it finds the columns of strings by itself, and its network sees the discount as context.
columns = ["shop", "product"]
encoders = {
    "one-hot": make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), columns),
        remainder="passthrough",
    ),
    "target": make_column_transformer(
        (TargetEncoder(cv=KFold(5, shuffle=True, random_state=0)), columns), remainder="passthrough"
    ),
    "vectors": EntityEmbedder(random_state=0),
    "vectors + prediction": EntityEmbedder(add_prediction=True, random_state=0),
}
models = {"ridge": Ridge(), "boosting": HistGradientBoostingRegressor(random_state=0)}

# %%
# In front of a model they are used alike, in a pipeline:
half = n_rows // 2
y = targets["together"]
pipeline = make_pipeline(encoders["vectors"], models["boosting"]).fit(X[:half], y[:half])
print(f"R2 on the other half: {pipeline.score(X[half:], y[half:]):.2f}")

# %%
# For all combinations, over two folds, here is by hand what the pipeline does, so that each encoder is
# fitted once for both models: ``fit_transform`` on the training rows, which gives vectors that have not
# seen the row's own outcome, and ``transform`` on the new ones.
rows = []
for target, y in targets.items():
    for train, test in KFold(2, shuffle=True, random_state=0).split(X):
        for encoder_name, encoder in encoders.items():
            encoded, new = (
                encoder.fit_transform(X.loc[train], y[train]),
                encoder.transform(X.loc[test]),
            )
            for model_name, model in models.items():
                r2 = model.fit(encoded, y[train]).score(new, y[test])
                rows.append((target, model_name, encoder_name, r2))
        network = EntityEmbeddingRegressor(random_state=0).fit(X.loc[train], y[train])
        r2 = network.score(X.loc[test], y[test])
        rows.append((target, "the network itself", "none needed", r2))
scores = pd.DataFrame(rows, columns=["outcome", "model", "encoder", "R2"])
scores = scores.groupby(["outcome", "model", "encoder"], as_index=False).mean()
order = [*encoders, "none needed"]
scores.pivot(index=["outcome", "model"], columns="encoder", values="R2")[order].round(2)

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
shades = ["0.75", "0.5", "#56B4E9", "#0072B2"]
for ax, target in zip(axes, targets):
    table = scores[scores["outcome"] == target].pivot(index="model", columns="encoder", values="R2")
    table.loc[list(models), list(encoders)].plot.bar(
        ax=ax, rot=0, color=shades, legend=False, title=target
    )
    ax.axhline(
        table.loc["the network itself", "none needed"], color="black", linewidth=1, linestyle=":"
    )
    ax.set(xlabel="", ylabel="R2 on new rows (dotted: the network itself)")
axes[0].legend(loc="upper left", title="", frameon=False)
axes[0].set_ylim(0, 1.15)
plt.show()

# %%
# Inside a ColumnTransformer
# --------------------------
# There the embedder sees the columns that it is given and no others, so the network has no context.
# Its job is the same, and the columns keep their names.
mixed = make_column_transformer(
    (EntityEmbedder(random_state=0), columns),
    (StandardScaler(), ["discount"]),
    verbose_feature_names_out=False,
)
mixed.set_output(transform="pandas").fit_transform(X, targets["together"]).head(3).round(2)

# %%
# In a grid search
# ----------------
# Its parameters are searched like any others. Each candidate costs its trainings, so search few things on
# few folds. Here the width: "auto" takes four components for the shops, three for the products.
search = GridSearchCV(
    make_pipeline(EntityEmbedder(random_state=0), HistGradientBoostingRegressor(random_state=0)),
    {"entityembedder__n_components": [1, 4]},
    cv=2,
).fit(X, targets["together"])
found = pd.DataFrame(search.cv_results_["params"]).assign(
    R2=search.cv_results_["mean_test_score"].round(2)
)
print(
    found.rename(columns=lambda name: name.removeprefix("entityembedder__")).to_string(index=False)
)

# %%
# What we saw
# -----------
# Where columns matter together, the mean outcome of a category says too little: on top of vectors, boosting explains
# about seven tenths of the outcome, on top of target encoding less than half. It is not the width that tells: one
# learned number a category served boosting as well as four. A linear model cannot combine two vectors and gains next
# to nothing from them; the prediction column brings it what the network found.
#
# Where each column matters for itself, vectors gain nothing under a linear model: one-hot has the same R2 and needs
# no training. Both tables are generated, and the first one is made for vectors: on data of your own, compare as
# here. ``benchmarks/bench_quality.py`` does so on real tables.
