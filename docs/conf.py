"""Sphinx configuration: one theme, no network, every warning an error."""

import inspect
import sys
from datetime import date
from pathlib import Path

from sphinx.util.inspect import stringify_signature

import sparseopt

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "sparseopt"
author = "sparseopt developers"
copyright = f"{date.today().year}, {author}"
version = release = sparseopt.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "native_math",
    "result_pages",
]
exclude_patterns = ["_build"]
nitpicky = False
default_role = "code"

# pages
myst_enable_extensions = [
    "amsmath",
    "attrs_inline",
    "colon_fence",
    "deflist",
    "dollarmath",
]
myst_heading_anchors = 3
html_math_renderer = "native"
native_math_macros = {
    "eps": r"\varepsilon",
    "ones": r"\mathbf{1}",
    "diag": r"\operatorname{diag}",
    "KL": r"\operatorname{KL}",
    "inner": r"\langle #1 \rangle",
}

# reference
autosummary_generate = True
autodoc_typehints = "none"
# Pages of sparseopt.torch need no torch, and are the same where it is installed.
autodoc_mock_imports = ["torch"]
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
intersphinx_mapping = {
    # stored inventories: a build never waits for a server
    "python": ("https://docs.python.org/3/", "inventories/python.inv"),
    "numpy": ("https://numpy.org/doc/stable/", "inventories/numpy.inv"),
    "scipy": ("https://docs.scipy.org/doc/scipy/", "inventories/scipy.inv"),
    "sklearn": ("https://scikit-learn.org/stable/", "inventories/sklearn.inv"),
    "joblib": ("https://joblib.readthedocs.io/en/stable/", "inventories/joblib.inv"),
}

# gallery
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"/papers/",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "min_reported_time": 0,
    "show_signature": False,
    "write_computation_times": False,  # its page loads scripts from elsewhere
    "show_memory": False,
    "remove_config_comments": True,
    "download_all_examples": False,
    "copyfile_regex": r"$^",
    "doc_module": ("sparseopt",),
    "backreferences_dir": "api/backreferences",
    "reference_url": {"sparseopt": None},
    "capture_repr": (),  # what is printed, not what the last line happens to give
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# look
templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_title = "sparseopt"
html_static_path = ["_static"]
html_css_files = ["sparseopt.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "sparseopt"},
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
html_sidebars = {"index": [], "papers/**": ["sidebar-nav-bs"]}


def setup(app):
    """Signatures of classes that autodoc does not get right."""
    app.connect("autodoc-process-signature", _class_signature)


def _class_signature(app, what, name, obj, options, signature, annotation):
    """Results are made by solvers: their pages show no constructor.

    And classes with a mocked base would show that of the mock.
    """
    if what == "class" and hasattr(obj, "converged"):
        return "", None
    if what == "class" and signature == "(*args, **kwargs)":
        parameters = list(inspect.signature(obj.__init__).parameters.values())[1:]
        own = inspect.Signature(parameters)
        return stringify_signature(own, show_annotation=False), None
    return None
