"""Sphinx extension: pages of the package, made from its docstrings and linked with the chapters both ways.

- `.. api:: llma_tutorial.beliefs` (in an `eval-rst` block) sets the theory of a module, then all its public names.
- The name of a chapter in a docstring, such as `many-agents/cascades`, becomes a link to that chapter.
- The full name of anything in the package, in code type on any page, becomes a link to its description.
"""

import inspect
import re
import sys
from importlib import import_module
from itertools import groupby

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

CODE = re.compile(r"(?<![`:\w])`([^`\n]+)`(?!`)")
SIGNS = re.compile(r"([\\*|]|_\b)")


def public(module) -> list[str]:
    """Names that a module offers: `__all__`, or what it defines itself without an underscore."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return [name for name in getattr(module, "__all__", own) if name[0] != "_" and callable(getattr(module, name))]


def prose(docstring: str) -> list[str]:
    """Plain words as reStructuredText: signs escaped, code in code type, indented formulas left as they stand."""
    lines = []
    for formula, block in groupby(docstring.splitlines(), key=lambda line: line.startswith("    ")):
        if formula:
            lines += ["", "::", "", *block, ""]
            continue
        parts = CODE.split("\n".join(block))  # words and code in turn
        parts[::2] = [SIGNS.sub(r"\\\1", words) for words in parts[::2]]
        parts[1::2] = [f"``{code}``" for code in parts[1::2]]
        lines += "".join(parts).splitlines()
    return lines


def entries(name: str) -> list[str]:
    """What stands on the page about a module, in reStructuredText."""
    module = import_module(name)
    lines = [f".. py:module:: {name}", ""]
    lines += [*chapters(prose(inspect.cleandoc(module.__doc__))), ""]
    for member in public(module):
        kind = "autoclass" if inspect.isclass(getattr(module, member)) else "autofunction"
        lines += [f".. {kind}:: {name}.{member}", *(["   :members:"] if kind == "autoclass" else []), ""]
    return lines


def chapters(lines: list[str]) -> list[str]:
    """Lines in which ``part/page`` has become a link."""
    page = r"``((?:reading|one-agent|many-agents|control|practice|reference)/[\w-]+|how-to-use)``"
    return [
        re.sub(page, r":doc:`/book/\1`", line).replace("``how-to-use``", ":doc:`/book/how-to-use`") for line in lines
    ]


class Api(SphinxDirective):
    """All about one module."""

    required_arguments = 1

    def run(self):
        """Nodes for the module."""
        container = nodes.container()
        self.state.nested_parse(StringList(entries(self.arguments[0]), "docstring"), 0, container)
        return container.children


def process(app, what, name, obj, options, lines):
    """Docstrings of functions and classes: code in code type, chapters and names of the same module as links."""
    module = name
    while module not in sys.modules:
        module = module.rpartition(".")[0]
    offered = public(sys.modules[module])

    def marked(code):
        return f":py:obj:`{code[1]} <{module}.{code[1]}>`" if code[1] in offered else f"``{code[1]}``"

    lines[:] = chapters([line if line.lstrip().startswith(">>>") else CODE.sub(marked, line) for line in lines])


def say_plainly(app, what, name, obj, options, lines):
    """Docstrings of properties, which napoleon would search for types."""
    if what in ("property", "attribute"):
        lines[:] = chapters(prose(inspect.getdoc(obj) or ""))


def link_names(app, doctree, docname):
    """Make links of full names in code type."""
    described = app.env.get_domain("py").objects
    for code in list(doctree.findall(nodes.literal)):
        known = described.get(code.astext().removesuffix("()"))
        if known is None or isinstance(code.parent, nodes.reference):
            continue
        address = app.builder.get_relative_uri(docname, known.docname) if known.docname != docname else ""
        code.replace_self(nodes.reference("", "", code.deepcopy(), refuri=f"{address}#{known.node_id}", internal=True))


def setup(app):
    """Register with Sphinx."""
    app.add_directive("api", Api)
    app.connect("autodoc-process-docstring", process, priority=400)  # before napoleon reads the sections
    app.connect("autodoc-process-docstring", say_plainly, priority=600)
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
