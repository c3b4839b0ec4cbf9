"""The documentation site: Markdown (MyST) rendered by Sphinx in Furo, from this folder and the code alone."""

import re
from dataclasses import is_dataclass
from inspect import Signature

from mdkif import __version__
from sphinx.application import Sphinx
from sphinx.util.inspect import signature, stringify_signature

project, release, language, smartquotes = "mdkif", __version__, "en", False
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "examples"]

html_theme = "furo"
html_title = "mdkif"
html_show_copyright = html_show_sphinx = html_copy_source = False

myst_heading_anchors = 4
default_role = "code"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True


def _plain(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text with code in backticks: a star is a star."""
    lines[:] = [re.sub(r"(`[^`]*`)|\*", lambda found: found[1] or r"\*", line) for line in lines]


def _front(app: Sphinx, docname: str, source: list[str]) -> None:
    """The repository's pages have others in the site: what links to them leads there."""
    up = "../" * docname.count("/")
    for page, there in {"README": "index", "CONTRIBUTING": "contributing"}.items():
        source[0] = re.sub(rf"\]\((?:\.\./)+{page}\.md[^)]*\)", f"]({up}{there}.md)", source[0])


def _readable(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Defaults that are no Python: a class by its name, what a factory makes as an ellipsis.

    A dataclass may inherit fields whose types only its base's module knows, so it is asked, not its `__init__`.
    """
    if isinstance(obj, type) and is_dataclass(obj):
        exact = signature(obj).replace(return_annotation=Signature.empty)
        arguments = stringify_signature(exact, unqualified_typehints=True)
    shown = arguments and re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", arguments.replace("<factory>", "..."))
    return shown, returned


def setup(app: Sphinx) -> None:
    """Connect them."""
    app.connect("autodoc-process-signature", _readable)
    app.connect("autodoc-process-docstring", _plain)
    app.connect("source-read", _front)
