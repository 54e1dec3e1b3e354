"""Sphinx extension: pages that everybody can read, where the markup of others falls short.

- A folded cell is named by the words that stand on it, not by a general label that hides them.
- The entries of the bibliography are items of its list; the role that docutils gives them has been withdrawn.
- The empty corner of a table is no heading.
- `accessible.js` lets the keyboard reach what scrolls, and only that.
"""

import re

MENDED = (
    (re.compile(r'<summary aria-label="[^"]*">'), "<summary>"),
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
    (re.compile(r"<th\b[^>]*>\s*(?:<p>\s*</p>)?\s*</th>"), "<td></td>"),
)


def mended(html: str) -> str:
    """The same page with the markup set right."""
    for fault, remedy in MENDED:
        html = fault.sub(remedy, html)
    return html


def mend(app, pagename, templatename, context, doctree):
    """Mend the body of a page."""
    context["body"] = mended(context.get("body", ""))


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", mend)
    app.add_js_file("accessible.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
