"""Mathematics as MathML, written at build time.

Browsers draw MathML themselves, so the pages need no script and no network, and
formulas can be selected, zoomed and read aloud. The font with the sizes of brackets and
sums is in ``_static/fonts``.
"""

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.errors import ExtensionError
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

_logger = getLogger(__name__)


def setup(app):
    """Register the ``native`` math renderer."""
    app.add_config_value("native_math_macros", {}, "env", types={dict})
    app.add_html_math_renderer("native", (_inline, None), (_display, None))
    app.connect("builder-inited", _make_converter)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _make_converter(app):
    if not isinstance(app.config.native_math_macros, dict):
        raise ExtensionError("native_math_macros must be a dictionary")
    app.native_math = LatexToMathML(macros=app.config.native_math_macros)


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(_mathml(self, node, displaystyle=False))
    raise nodes.SkipNode


def _display(self: HTML5Translator, node: nodes.math_block) -> None:
    number = ""
    if node["number"]:
        number = f'<span class="eqno">({node["number"]})'
        self.body.append(self.starttag(node, "div", CLASS="math-block numbered"))
        self.body.append(number)
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    else:
        self.body.append(self.starttag(node, "div", CLASS="math-block"))
    self.body.append(_mathml(self, node, displaystyle=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def _mathml(translator, node, *, displaystyle):
    latex = node.astext().strip()
    if displaystyle and r"\\" in latex and r"\begin" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    converter = translator.builder.app.native_math
    try:
        return converter.convert_with_local_state(latex, displaystyle=displaystyle)
    except LatexError as error:
        _logger.warning("cannot convert %r: %s", latex, error, location=node)
        return f"<code>{translator.encode(latex)}</code>"
