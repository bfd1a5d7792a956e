"""The order of the examples: the smallest first. Named in conf.py, which Sphinx has to pickle."""

_ORDER = (
    "plot_is_it_tolstoy.py",
    "plot_one_hot_limits.py",
    "plot_book_map.py",
    "plot_neighbors_bars.py",
    "plot_interactive_map.py",
    "plot_article.py",
    "plot_pipeline.py",
)


class ExampleOrder:
    """A sort key of Sphinx-Gallery; examples not named above come last, by name."""

    def __init__(self, src_dir):
        self.src_dir = src_dir

    def __call__(self, filename):
        return (_ORDER.index(filename) if filename in _ORDER else len(_ORDER), filename)

    def __repr__(self):
        return "<ExampleOrder>"
