"""Sphinx builds the site from the pages that GitHub shows: `.ci/docs.sh`, or `sphinx-build -W docs docs/_build`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "frugalblas"
copyright = "the frugalblas contributors, BSD-3-Clause"
version = release = version_of("frugalblas")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "site_directives"]
root_doc = "index"
exclude_patterns = ["_build", "_generated", "examples"]
nitpicky = True
# Types in docstrings are prose ("ndarray of float32"), and NumPy's are elsewhere: the site is built without a network.
nitpick_ignore_regex = [("py:.*", ".*")]
suppress_warnings = ["myst.header"]  # generated pages start where their source does

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

default_role = "code"  # docstrings say `name`
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_use_type_comments = False

html_theme = "furo"
html_title = f"frugalblas {release}"
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
html_show_sphinx = False
