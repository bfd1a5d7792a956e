"""Settings of Sphinx. Nothing is fetched: the pages build without a network."""

import sys
from pathlib import Path

import sk_entity_embed

project = "sk_entity_embed"
author = "The sk_entity_embed developers"
copyright = "2026, The sk_entity_embed developers"
release = version = sk_entity_embed.__version__

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "**/sg_execution_times.rst"]
default_role = "literal"
nitpicky = False

autosummary_generate = True
autodoc_default_options = {"members": True, "inherited-members": True}
extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}
# Docstrings that scikit-learn's classes hand down refer to labels of its own pages.
suppress_warnings = ["ref.ref"]
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "sk_entity_embed"
html_theme_options = {"show_prev_next": False, "navbar_end": ["theme-switcher"]}
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_static_path = ["_static"]
html_css_files = ["pages.css"]
toc_object_entries_show_parents = "hide"  # "EntityEmbedder.get_metadata_routing()" was cut
html_sidebars = {"getting_started": [], "how_it_works": [], "api": []}

# Examples are scripts examples/plot_*.py, run one after the other.
sys.path.insert(0, str(Path(__file__).parent))  # for gallery_order
EXAMPLES = Path(__file__).parents[1] / "examples"
if any(EXAMPLES.glob("plot_*.py")):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": str(EXAMPLES),
        "gallery_dirs": "auto_examples",
        "within_subsection_order": "gallery_order.ExampleOrder",
        "filename_pattern": r"/plot_",
        "download_all_examples": False,
        "remove_config_comments": True,
        "show_memory": False,
        "show_signature": False,
        "plot_gallery": "True",
        "abort_on_example_error": True,
        "reset_modules": (),  # a style or seed that an example sets must not exist
    }
