"""Sphinx extension: nothing is cut off at the edge of a page.

- Each printed line is a block of its own, which goes on below with an indent where the page is narrower.
- A row of the theorem ledger is a card: what it says, and below it the function and the tests. It stays a table for
  those who hear it.
- `fit.js` sets a formula that is wider than the page a little smaller; on a phone it scrolls.
- Template files of the theme, which are no pages, leave the site.
"""

import re
from pathlib import Path

PRINTED = re.compile(
    r'(<div class="output (?:stream|text_plain)[^"]*"><div class="highlight"><pre><span></span>)(.*?)(</pre>)',
    re.DOTALL,
)
CARDS = re.compile(r'<table class="[^"]*\bledger\b.*?</table>', re.DOTALL)
ROLES = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "th": "columnheader", "td": "cell"}


def hang(html: str) -> str:
    """Printed outputs with a block for each line, so that a style sheet can indent what is wrapped."""

    def lines(match):
        found = match[2].splitlines(keepends=True)
        if any(line.count("<span") != line.count("</span>") for line in found):
            return match[0]  # a colour that runs over several lines
        return match[1] + "".join(f'<span class="line">{line}</span>' for line in found) + match[3]

    return PRINTED.sub(lines, html)


def as_cards(html: str) -> str:
    """Tables of the class `ledger` with the roles that a style sheet takes from them."""

    def said(match):
        return re.sub(r"<(table|thead|tbody|tr|th|td)\b", lambda tag: f'{tag[0]} role="{ROLES[tag[1]]}"', match[0])

    return CARDS.sub(said, html)


def fit(app, pagename, templatename, context, doctree):
    """Change the body of a page."""
    context["body"] = as_cards(hang(context.get("body", "")))


def drop_templates(app, error):
    """Remove what the theme copies and no page uses: its links lead nowhere."""
    if error is None and app.builder.format == "html":
        for path in Path(app.outdir, "_static").glob("*webpack-macros.html"):
            path.unlink()


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", fit)
    app.connect("build-finished", drop_templates, priority=900)
    app.add_js_file("fit.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
