"""Labels that find their places whenever a picture is drawn, at whatever size that may be.

It loads matplotlib, for a class of it; a picture with labels loads it.
"""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

# Where a label may stand about its point: direction, and how the text is aligned to it.
_SIDES = (
    (1, 0, "left", "center"),
    (-1, 0, "right", "center"),
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
    (0.7, 0.7, "left", "bottom"),
    (0.7, -0.7, "left", "top"),
    (-0.7, 0.7, "right", "bottom"),
    (-0.7, -0.7, "right", "top"),
)
_BACK = {"left": 0, "bottom": 0, "center": -0.5, "right": -1, "top": -1}  # in sizes of the text
_DOT = 3  # pixels about a labelled point that stay free
_BESIDE = 10  # points from the dot; a label further away needs a thread to it
_STEPS = (5, _BESIDE)  # from the middle of a dot with a radius of 4; from larger ones more
_FAR_STEPS = (*_STEPS, 18, 28, 40, 55, 72, 90)


class Labels(Artist):
    """Labels beside their points, each where no earlier one and no labelled point is.

    Greedy, in the order given: the first free place of eight directions and some distances. The
    labels are annotations of the axes; this is drawn just before them and moves them, if the
    axes have another size or other limits than before.

    Parameters
    ----------
    ax : matplotlib Axes
        Where the points are.

    points : ndarray of shape (n_labels, 2)
        In data coordinates.

    radii : ndarray of shape (n_labels,)
        Of their dots, in points.

    names : list of str
        A text for each.

    size : float
        Of the texts, in points.

    insist : bool
        Whether a label may move further from its point to find a place.

    legend : matplotlib Legend, default=None
        What is inside the axes and must not be written over.

    Attributes
    ----------
    placed : list of matplotlib Annotation
        The labels with a place; the same list after every drawing.

    homeless : list of str
        The texts without one.
    """

    zorder = 3.9  # above points, right below the labels

    def __init__(self, ax, points, radii, names, size, *, insist, legend=None):
        super().__init__()
        self.set_in_layout(False)
        self.points = np.asarray(points, dtype=np.float64)
        self.further = np.maximum(0, np.asarray(radii, dtype=np.float64) - 4)
        self.legend = legend
        self.steps = _FAR_STEPS if insist else _STEPS
        self.placed, self.homeless = [], []
        self._ax = ax
        self._drawn: tuple = ()  # how things were when the labels last moved
        thread = {"arrowstyle": "-", "color": "0.5", "linewidth": 0.6, "shrinkB": 2}
        halo = withStroke(linewidth=2.5, foreground=ax.get_facecolor(), alpha=0.8)
        self._labels = [
            ax.annotate(
                name,
                point,
                xytext=(0, 0),
                textcoords="offset points",
                arrowprops=thread if insist else None,
                fontsize=size,
                parse_math=False,
                path_effects=[halo],
                snap=False,  # halos make text a path: one of straight strokes alone would lose some
                zorder=4,
            )
            for name, point in zip(names, self.points)
        ]
        for label in self._labels:
            label.set_in_layout(False)
        ax.add_artist(self)

    def draw(self, renderer):
        """Move the labels to free places, unless all is where it was."""
        frame = self._ax.get_window_extent(renderer)
        points = self._ax.transData.transform(self.points)
        scale = renderer.points_to_pixels(1)
        seen = (
            type(renderer),
            scale,
            *np.round(frame.size, 1),
            np.round(points - frame.p0, 1).tobytes(),
        )
        if seen != self._drawn:
            self._drawn = seen
            callbacks = [label.stale_callback for label in self._labels]
            for label in self._labels:  # a change while drawing must not ask for another drawing
                label.stale_callback = None
            self._place(renderer, frame.extents, points, scale)
            for label, callback in zip(self._labels, callbacks):
                label.stale_callback = callback
        self.stale = False

    def _place(self, renderer, frame, points, scale):
        self.placed.clear()
        self.homeless.clear()
        for label in self._labels:
            label.set_visible(False)  # a legend makes way for what can be seen
        taken = np.column_stack([points - _DOT, points + _DOT])
        if self.legend is not None:
            taken = np.vstack([taken, self.legend.get_window_extent(renderer).extents])
        for row, label in enumerate(self._labels):
            label.set_visible(True)
            size = Text.get_window_extent(label, renderer).size
            others = np.delete(taken, row, axis=0)
            steps = [step + self.further[row] for step in self.steps]
            place = _free_place(points[row], size, steps, others, frame, scale)
            if place is None:
                label.set_visible(False)
                self.homeless.append(label.get_text())
                continue
            box, step, (x, y, horizontal, vertical) = place
            label.set(position=(step * x, step * y), ha=horizontal, va=vertical)
            if label.arrow_patch is not None:
                label.arrow_patch.set_visible(step > _BESIDE + self.further[row])
            taken = np.vstack([taken, box])
            self.placed.append(label)


def _free_place(point, size, steps, taken, frame, scale):
    """The first free box of a text about a point, its distance and its side; None: there is none."""
    for step in steps:
        for side in _SIDES:
            x, y, horizontal, vertical = side
            low = point + scale * step * np.array([x, y])
            low = low + size * [_BACK[horizontal], _BACK[vertical]]
            high = low + size
            if (low < frame[:2]).any() or (high > frame[2:]).any():
                continue
            if not ((taken[:, :2] <= high) & (low <= taken[:, 2:])).all(axis=1).any():
                return np.concatenate([low, high]), step, side
    return None
