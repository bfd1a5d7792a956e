"""Pictures for a notebook or a paper: scikit-learn Displays, computed once and drawn many times.

matplotlib is imported when something is drawn, and no style of it is changed.
"""

import textwrap
import warnings
from collections.abc import Iterable
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_scalar

from .._entities import name_of, one_line, read_attributes, read_color, read_entities
from .._optional import import_optional
from .._projection import project, trustworthiness, unit_rows
from ._common import (
    checked_coordinates,
    method_name,
    metric_of,
    neighbors_of,
    score_label,
    uses_unit_rows,
)

# Okabe and Ito's colours without black and yellow, which drown on white paper, and two more.
# The closest pair is 12 apart in CIELAB as seen with any of the three dichromacies.
PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#882255",
    "#999933",
)
OTHER = "#B4BAC2"  # values beyond the palette
MISSING_COLOR = "#D9DDE2"  # no value
LABEL_WIDTH = 40  # characters


class EmbeddingDisplay:
    """The vectors of one column as points in the plane.

    Made by :meth:`from_estimator`, which computes; :meth:`plot` only draws and can be called many
    times.

    Parameters
    ----------
    coordinates : ndarray of shape (n_entities, 2)
        Where each entity is.

    names : list of str
        The entities as text.

    color : Attribute, default=None
        By what to colour. None: all alike.

    counts : ndarray of shape (n_entities,), default=None
        Training rows behind each entity.

    labels : list of int, default=None
        Positions of the entities to label, the most important first.

    insist : bool, default=False
        Whether every label has to appear, if need be further from its point.

    size_by_count : bool, default=False
        Whether entities with more rows get larger points.

    trustworthiness : float, default=nan
        How far the picture's neighbours are true ones; 1 is best.

    method : str, default=""
        How the coordinates were made, for the axes' names.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last plot.

    figure_ : matplotlib Figure
        Its figure.

    scatter_ : matplotlib PathCollection
        The points; those without a colour of their own come first, so that they lie beneath.

    labels_ : list of matplotlib Annotation
        The labels that found a place. They look for one anew when the figure is drawn at another
        size, resolution or layout.

    legend_ : matplotlib Legend or None
        Of categories.

    colorbar_ : matplotlib Colorbar or None
        Of numbers.

    See Also
    --------
    NeighborsDisplay : Bars of the nearest and furthest entities.
    embedding_map : One page to explore.
    """

    def __init__(
        self,
        coordinates,
        names,
        *,
        color=None,
        counts=None,
        labels=None,
        insist=False,
        size_by_count=False,
        trustworthiness=float("nan"),
        method="",
    ):
        self.coordinates = coordinates
        self.names = names
        self.color = color
        self.counts = counts
        self.labels = labels
        self.insist = insist
        self.size_by_count = size_by_count
        self.trustworthiness = trustworthiness
        self.method = method

    @classmethod
    def from_estimator(
        cls,
        embedder,
        *,
        column=None,
        color=None,
        metadata=None,
        method="tsne",
        labels=None,
        size_by_count=False,
        random_state=0,
        verbose=False,
        ax=None,
        **plot_params,
    ):
        """Project the vectors of a fitted embedder and draw them.

        Parameters
        ----------
        embedder : EntityEmbedder
            Fitted.

        column : str or int, default=None
            The embedded column. May be left out where there is one, or for links, where it means
            the first.

        color : str, Series, dict or array-like, default=None
            A column of `metadata`, "count", values indexed by entity, or one value for each
            entity in the order of `categories_`. Texts and booleans get colours, the commonest
            values first and the others grey; numbers, dates and durations get a colour bar.

        metadata : data frame, default=None
            Facts about the entities: found by index, or by a column with the name of the embedded
            one.

        method : {"tsne", "pca", "opentsne", "umap"}, object or ndarray, default="tsne"
            How to project: a name, an object with `fit_transform`, or the finished coordinates,
            an array of shape (n_entities, 2).

        labels : list or int, default=None
            Entities to name in the picture: a list, or how many of the most frequent (of the
            first, where an embedder has no `counts_`). Of these, labels without a free place are
            left out; those of a list move further from their points instead.

        size_by_count : bool, default=False
            Whether entities with more training rows get larger points.

        random_state : int, RandomState instance or None, default=0
            Same number, same picture.

        verbose : bool, default=False
            Whether t-SNE and UMAP print their progress.

        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        **plot_params : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : EmbeddingDisplay
            With what was drawn in its attributes.
        """
        entities = read_entities(embedder, column)
        if len(entities) == 0:
            raise ValueError(f"Column {entities.column!r} has no entities to show.")
        color = read_color(color, entities, read_attributes(metadata, entities))
        shown, insist = _labelled(labels, entities)
        vectors, normalize = entities.vectors, uses_unit_rows(embedder)
        if isinstance(method, np.ndarray):
            coordinates = checked_coordinates(method, len(entities), (2,))
        else:
            coordinates = project(
                vectors, method, normalize=normalize, random_state=random_state, verbose=verbose
            )
        if coordinates.shape[1] != 2:
            raise ValueError("A picture has two dimensions: the method returned three.")
        truth = trustworthiness(unit_rows(vectors) if normalize else vectors, coordinates)
        display = cls(
            coordinates,
            entities.names,
            color=color,
            counts=entities.counts,
            labels=shown,
            insist=insist,
            size_by_count=size_by_count,
            trustworthiness=truth,
            method=method_name(method, len(entities)),
        )
        return display.plot(ax=ax, **plot_params)

    def plot(
        self,
        ax=None,
        *,
        max_categories=8,
        palette=PALETTE,
        cmap=None,
        title=None,
        label_size=8,
        legend=True,
        **scatter_params,
    ):
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        max_categories : int, default=8
            Values that get a colour and a line in the legend, the commonest, at least 0; the
            others share one grey. Never more than `palette` has.

        palette : sequence of colours, default=PALETTE
            For categories. The default can be told apart by colour-blind readers.

        cmap : str or matplotlib Colormap, default=None
            For numbers and dates, from the first to the 99th hundredth of them; what is beyond
            has the colours of the ends, unless `vmin`, `vmax` or `norm` say otherwise. None:
            "viridis" without the end that drowns on the axes' ground.

        title : str, default=None
            Above the picture.

        label_size : float, default=8
            Of the labels, in points.

        legend : bool, default=True
            Whether to draw the legend or the colour bar. The legend stands beside the axes of a
            figure that makes room for it (by its layout), else inside. Colours of your own have
            none.

        **scatter_params : dict
            Passed to :meth:`matplotlib.axes.Axes.scatter`; `s` is the size of an average point.
            What has a value per point is in the order of `names`.

        Returns
        -------
        self : EmbeddingDisplay
            With `ax_`, `figure_`, `scatter_`, `labels_`, `legend_` and `colorbar_`.
        """
        check_scalar(max_categories, "max_categories", Integral, min_val=0)
        self.ax_ = ax = _axes(ax, figsize=(8, 6), layout="constrained")
        self.figure_ = ax.get_figure(root=True)
        self.legend_ = self.colorbar_ = None
        palette = list(palette)[:max_categories]
        order, colors = self._layers(palette, cmap)
        given = _plain_names(scatter_params)
        hollow = "c" not in given and _is_hollow(given)
        if hollow:
            del given["facecolors"]  # the outlines have the colours then
        own_colors = bool({"c", "color", "facecolors"} & set(given))
        if own_colors:
            colors = {} if cmap is None else {"cmap": cmap}
        elif "norm" in given:
            colors = {key: value for key, value in colors.items() if key not in ("vmin", "vmax")}
        given = {key: _in_order(key, value, order) for key, value in given.items()}
        outlined = hollow or "edgecolors" in given or _is_stroke(given.get("marker"))
        params = {"linewidths": int(outlined), "alpha": 0.85, **colors, **given}
        area = params.pop("s", float(np.clip(20_000 / len(self.names), 4, 60)))
        if self.size_by_count and self.counts is not None:
            area = np.asarray(area) * _relative_areas(self.counts)[order]
        self.scatter_ = ax.scatter(*self.coordinates[order].T, s=area, **params)
        if hollow:
            mapped = self.scatter_.get_array() is not None
            self.scatter_.set_edgecolor(None if mapped else self.scatter_.get_facecolor())
            self.scatter_.set_facecolor("none")
        ax.set(xticks=[], yticks=[], aspect="equal")  # units of a projection mean nothing
        ax.set_adjustable("datalim")
        if self.method:
            ax.set(xlabel=f"{self.method} 1", ylabel=f"{self.method} 2")
        if title is not None:
            ax.set_title(title, parse_math=False)
        if legend and not own_colors:
            self._draw_legend(palette)
        areas = np.broadcast_to(self.scatter_.get_sizes(), len(order))[np.argsort(order)]
        self.labels_ = self._draw_labels(label_size, np.sqrt(areas) / 2)
        return self

    def _layers(self, palette, cmap):
        """Order of drawing, greys beneath, and colours in that order, as scatter's arguments."""
        if self.color is None:
            return np.arange(len(self.names)), {"c": PALETTE[0]}
        if self.color.codes is None:
            values = _on_scale(self.color)
            order = np.argsort(~np.isnan(values), kind="stable")
            if np.isnan(values).all():
                return order, {"c": MISSING_COLOR}
            low, high = _usual_range(values)
            shades = {"cmap": _shades(cmap, self.ax_), "vmin": low, "vmax": high}
            return order, {"c": values[order], "plotnonfinite": True, **shades}
        codes = self.color.codes
        order = np.argsort(np.where(codes > len(palette), 0.5, codes > 0), kind="stable")
        table = [MISSING_COLOR, *palette, OTHER]
        return order, {"c": [table[min(code, len(palette) + 1)] for code in codes[order]]}

    def _draw_legend(self, palette):
        if self.color is None:
            return
        if self.color.codes is None:
            if np.isfinite(self.color.values).any():
                self.colorbar_ = _colorbar(self.figure_, self.ax_, self.scatter_, self.color)
            return
        rows = _legend_rows(self.color, palette)
        lines = import_optional("matplotlib.lines", extra="map")
        marks = [
            lines.Line2D([], [], marker="o", linestyle="", markersize=6, markeredgewidth=0, color=c)
            for c, _ in rows
        ]
        self.legend_ = self.ax_.legend(
            marks,
            ["."] * len(rows),  # set below, as a label that starts with "_" would be left out
            title=".",
            alignment="left",
            **self._legend_place(),
        )
        texts = [text for _, text in rows]
        names = [one_line(self.color.name, LABEL_WIDTH), *texts]
        for text, name in zip([self.legend_.get_title(), *self.legend_.get_texts()], names):
            text.set_parse_math(False)
            text.set_text(name)

    def _legend_place(self):
        """Beside the axes where the layout of the figure makes room for it, else inside."""
        if _makes_room(self.figure_):
            beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
            return {**beside, "frameon": False}
        few = len(self.names) <= 50_000  # of more, looking for the best place takes seconds
        dense = {"fontsize": "small", "title_fontsize": "small", "framealpha": 0.85}
        dense |= {"labelspacing": 0.2, "handletextpad": 0, "borderpad": 0.3, "borderaxespad": 0.2}
        return {"loc": "best" if few else "upper right", **dense}

    def _draw_labels(self, size, radii):
        if not self.labels:
            return []
        from ._labels import Labels  # it needs matplotlib

        names = [one_line(self.names[row], LABEL_WIDTH) for row in self.labels]
        inside = self.legend_ is not None and not _makes_room(self.figure_)
        labels = Labels(
            self.ax_,
            self.coordinates[self.labels],
            radii[self.labels],
            names,
            size,
            insist=self.insist,
            legend=self.legend_ if inside else None,
        )
        self.figure_.draw_without_rendering()  # the first search, so that it can be told of here
        if self.insist and labels.homeless:
            warnings.warn(
                f"No free place for {len(labels.homeless)} labels, such as {labels.homeless[0]!r}: "
                "make the figure larger or label_size smaller.",
                UserWarning,
                stacklevel=4,
            )
        return labels.placed


class NeighborsDisplay:
    """Bars of the nearest and the furthest entities of one entity.

    Parameters
    ----------
    query : str
        Whose neighbours they are, as text.

    names : list of str
        The entities, the nearest first.

    scores : ndarray of shape (n_bars,)
        Their similarity to the query (for metric "euclidean": their distance).

    n_nearest : int
        How many of the bars are the nearest; the others are the furthest.

    metric : str, default="cosine"
        What the scores are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last plot.

    figure_ : matplotlib Figure
        Its figure.

    bars_ : matplotlib BarContainer
        The bars, the nearest at the top.

    See Also
    --------
    EmbeddingDisplay : All entities in the plane.
    """

    def __init__(self, query, names, scores, *, n_nearest, metric="cosine"):
        self.query = query
        self.names = names
        self.scores = scores
        self.n_nearest = n_nearest
        self.metric = metric

    @classmethod
    def from_estimator(
        cls,
        embedder,
        query,
        *,
        column=None,
        n_nearest=10,
        n_furthest=10,
        metric=None,
        ax=None,
        **plot_params,
    ):
        """Find the nearest and furthest entities of `query` and draw them.

        Parameters
        ----------
        embedder : EntityEmbedder
            Fitted.

        query : object
            A category of the column.

        column : str or int, default=None
            The embedded column. May be left out where there is one, or for links, where it means
            the first.

        n_nearest, n_furthest : int, default=10
            Bars of each kind; fewer when there are few entities, and none is shown twice.

        metric : {"cosine", "dot", "euclidean"}, default=None
            None: the embedder's own.

        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        **plot_params : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : NeighborsDisplay
            With what was drawn in its attributes.
        """
        if isinstance(query, (list, np.ndarray)):
            raise ValueError(f"query must be one category, got {query!r}. Draw a display for each.")
        check_scalar(n_nearest, "n_nearest", Integral, min_val=0)
        check_scalar(n_furthest, "n_furthest", Integral, min_val=0)
        if n_nearest == n_furthest == 0:
            raise ValueError("n_nearest and n_furthest are both 0: there is nothing to draw.")
        entities = read_entities(embedder, column)
        metric = metric_of(embedder, metric)
        scores, indices = neighbors_of(
            embedder, entities, [query], len(entities) - 1, metric=metric
        )
        n_near = min(n_nearest, indices.shape[1])
        n_far = min(n_furthest, indices.shape[1] - n_near)
        ends = np.r_[:n_near, indices.shape[1] - n_far : indices.shape[1]].astype(int)
        display = cls(
            name_of(query),
            [entities.names[place] for place in indices[0, ends]],
            scores[0, ends],
            n_nearest=n_near,
            metric=metric,
        )
        return display.plot(ax=ax, **plot_params)

    def plot(self, ax=None, *, title=None, colors=(PALETTE[0], PALETTE[3]), **bar_params):
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure, as high as the bars need.

        title : str, default=None
            None: names the query.

        colors : tuple of two colours, default=(blue, orange)
            For the nearest and for the furthest.

        **bar_params : dict
            Passed to :meth:`matplotlib.axes.Axes.barh`.

        Returns
        -------
        self : NeighborsDisplay
            With `ax_`, `figure_` and `bars_`.
        """
        n_bars = len(self.names)
        n_far = n_bars - self.n_nearest
        self.ax_ = ax = _axes(ax, figsize=(7, 1.2 + 0.26 * (n_bars + 1)), layout="constrained")
        self.figure_ = ax.get_figure(root=True)
        gap = 0.6 if n_far and self.n_nearest else 0
        places = np.arange(n_bars) + gap * (np.arange(n_bars) >= self.n_nearest)
        bar_params.setdefault("color", [colors[0]] * self.n_nearest + [colors[1]] * n_far)
        self.bars_ = ax.barh(places, self.scores, **bar_params)
        ax.set_yticks(
            places, [one_line(name, LABEL_WIDTH) for name in self.names], parse_math=False
        )
        ax.tick_params(axis="y", length=0)
        ax.invert_yaxis()
        if n_bars:
            ax.axvline(0, color="0.4", linewidth=0.8)
            ax.set_xlabel(score_label(self.metric))
            ticker = import_optional("matplotlib.ticker", extra="map")
            # No quarters: long names leave little room for numbers of many digits.
            ax.xaxis.set_major_locator(ticker.MaxNLocator("auto", steps=[1, 2, 5, 10]))
        else:
            ax.set(xticks=[], xlim=(0, 1), ylim=(-1, 1))
            ax.text(0, 0, "There is nothing else to be near to.", va="center")
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
        # A title is broken into lines at spaces, so that long words need some.
        name = " ".join(textwrap.wrap(one_line(self.query, 2 * LABEL_WIDTH), 30))
        kinds = [kind for kind, n in (("Nearest", self.n_nearest), ("furthest", n_far)) if n]
        heading = f"{' and '.join(kinds) or 'Neighbours'}: {name}"
        heading = heading[0].upper() + heading[1:]
        ax.set_title(heading if title is None else title, loc="left", wrap=True, parse_math=False)
        return self


def _axes(ax, **subplots):
    if ax is not None:
        return ax
    return import_optional("matplotlib.pyplot", extra="map").subplots(**subplots)[1]


def _makes_room(figure):
    """Whether the layout of a figure leaves room for what stands beside its axes."""
    engines = import_optional("matplotlib.layout_engine", extra="map")
    engine = figure.get_layout_engine()  # a place holder after a call of tight_layout()
    return engine is not None and not isinstance(engine, engines.PlaceHolderLayoutEngine)


def _labelled(labels, entities):
    """Positions to label, and whether the caller named them."""
    if labels is None:
        return [], False
    if isinstance(labels, Integral):
        check_scalar(labels, "labels", Integral, min_val=0)
        if entities.counts is None:
            return list(range(min(int(labels), len(entities)))), False
        return np.argsort(-entities.counts, kind="stable")[: int(labels)].tolist(), False
    if isinstance(labels, Real):
        raise TypeError(f"labels must be a list of entities, or how many to name, got {labels!r}.")
    position = {name: row for row, name in reversed(list(enumerate(entities.names)))}
    one = isinstance(labels, str) or not isinstance(labels, Iterable)
    wanted = [labels] if one else list(labels)
    unknown = [label for label in wanted if name_of(label) not in position]
    if unknown:
        raise ValueError(f"No entity to label: {unknown[:5]}. Names are written as in categories_.")
    return [position[name_of(label)] for label in wanted], True


def _relative_areas(counts):
    """Areas by the root of the count: 1 for the median, from 0.3 to 6."""
    counts = np.asarray(counts, dtype=np.float64)
    return np.clip(np.sqrt(counts / max(np.median(counts), 1)), 0.3, 6)


def _legend_rows(attribute, palette):
    """Colour and text of every line of a legend."""
    sizes = np.bincount(attribute.codes, minlength=len(attribute.values) + 1)
    rows = [
        (color, f"{one_line(value, LABEL_WIDTH)} ({size:,})")
        for color, value, size in zip(palette, attribute.values, sizes[1:])
    ]
    n_more = len(attribute.values) - len(palette)
    if n_more > 0:
        rows.append((OTHER, f"{n_more:,} other values ({sizes[len(palette) + 1 :].sum():,})"))
    if sizes[0]:
        rows.append((MISSING_COLOR, f"missing ({sizes[0]:,})"))
    return rows


# --- parameters of scatter ---------------------------------------------------------------------

_PER_POINT = ("s", "c", "alpha", "color", "edgecolors", "facecolors", "linewidths", "urls")


def _plain_names(params):
    """Parameters of scatter, each by the one name that scatter's own signature has."""
    cbook = import_optional("matplotlib.cbook", extra="map")
    collections = import_optional("matplotlib.collections", extra="map")
    params = cbook.normalize_kwargs(params, collections.Collection)
    plural = {"edgecolor": "edgecolors", "facecolor": "facecolors", "linewidth": "linewidths"}
    return {plural.get(key, key): value for key, value in params.items()}


def _in_order(key, value, order):
    """What has a value per point in the order of drawing; anything else as it is."""
    if key not in _PER_POINT or isinstance(value, str) or not isinstance(value, Iterable):
        return value
    if np.ndim(value) == 0 or len(value) != len(order):
        return value
    colors = import_optional("matplotlib.colors", extra="map")
    if key not in ("s", "c", "alpha", "linewidths") and colors.is_color_like(value):
        return value  # red, green and blue of three points
    if isinstance(value, np.ndarray):
        return value[order]
    value = list(value)
    return [value[row] for row in order]


def _is_hollow(params):
    fill, edge = params.get("facecolors"), params.get("edgecolors")
    return isinstance(fill, str) and fill == "none" and edge is None and "color" not in params


def _is_stroke(marker):
    """Whether a marker is all line, such as "x"."""
    matplotlib = import_optional("matplotlib", extra="map")
    markers = import_optional("matplotlib.markers", extra="map")
    marker = matplotlib.rcParams["scatter.marker"] if marker is None else marker
    return not markers.MarkerStyle(marker).is_filled()


# --- scales of numbers and dates ---------------------------------------------------------------


def _usual_range(values):
    """From the first to the 99th hundredth of the known values, as on the page; else all."""
    known = np.sort(values[~np.isnan(values)])
    low, high = (known[int(q * (len(known) - 1) + 0.5)] for q in (0.01, 0.99))
    return (low, high) if high > low else (known[0], known[-1])


def _shades(cmap, ax):
    """A colour map; by default viridis without the end that is too near to the axes' ground."""
    pyplot = import_optional("matplotlib.pyplot", extra="map")
    colors = import_optional("matplotlib.colors", extra="map")
    shades = pyplot.get_cmap("viridis" if cmap is None else cmap)
    if cmap is None:
        *rgb, alpha = colors.to_rgba(ax.get_facecolor())
        dark = alpha > 0 and np.dot(rgb, [0.299, 0.587, 0.114]) < 0.5
        shades = colors.ListedColormap(shades(np.linspace(*((0.2, 1) if dark else (0, 0.85)), 256)))
    return shades.with_extremes(bad=MISSING_COLOR)


def _on_scale(attribute):
    """Numbers as they are, dates as matplotlib counts them or, beyond its calendar, as years."""
    if attribute.kind != "date":
        return attribute.values
    if not _in_calendar(attribute.values):
        return 1970 + attribute.values / (365.2425 * 86_400_000)
    dates = import_optional("matplotlib.dates", extra="map")
    return dates.date2num(np.array(attribute.values, dtype="datetime64[ms]"))


def _in_calendar(values):
    """Whether all dates are well within the years 1 to 9999, which Python's calendar has."""
    first, last = np.array(["0002-01-01", "9999-01-01"], dtype="datetime64[ms]").astype(np.float64)
    return not ((values < first) | (values > last)).any()


def _is_linear(norm):
    return type(norm) is import_optional("matplotlib.colors", extra="map").Normalize


def _colorbar(figure, ax, scatter, attribute):
    values, norm = scatter.get_array().compressed(), scatter.norm
    ends = (values.min() < norm.vmin, values.max() > norm.vmax)
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[ends]
    ticks = {}
    if attribute.kind == "date" and _in_calendar(attribute.values):
        dates = import_optional("matplotlib.dates", extra="map")
        locator = dates.AutoDateLocator()
        formatter = dates.AutoDateFormatter(locator)
        # A bar has room for the whole date: its ticks can be read without their neighbours.
        formatter.scaled |= {1 / 24: "%Y-%m-%d %H:%M", 1 / 1440: "%Y-%m-%d %H:%M"}
        formatter.scaled |= {1 / 86_400: "%Y-%m-%d %H:%M:%S"}
        ticks = {"ticks": locator, "format": formatter}
    elif attribute.kind == "date":
        ticker = import_optional("matplotlib.ticker", extra="map")
        ticks = {"ticks": ticker.MaxNLocator(integer=True), "format": "%d"}
    elif (values == np.round(values)).all() and _is_linear(norm):
        ticker = import_optional("matplotlib.ticker", extra="map")
        ticks = {"ticks": ticker.MaxNLocator("auto", integer=True, min_n_ticks=1)}
    bar = figure.colorbar(scatter, ax=ax, shrink=0.7, extend=extend, extendfrac=0.03, **ticks)
    bar.outline.set_visible(False)
    bar.set_label(one_line(attribute.title, LABEL_WIDTH), parse_math=False)
    return bar
