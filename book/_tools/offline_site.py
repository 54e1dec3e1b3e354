"""Sphinx extension: the site asks no other host for anything, and offers notebooks that run anywhere.

- MathJax comes from the installed `sphinx-mathjax-offline`: the one script and the fonts that pages use, not its 24 MB.
- The address of a CDN that Jupyter Book writes into each page for a feature that the book does not use is left out.
- Long names in code may break after a dot, a slash, a colon or an underscore, so that tables of them fit.
- A page with an explorable figure (`<div data-explorable="...">`) loads the scripts of that figure, and no other page.
- Each page made from a notebook gets two buttons, download and Colab, that lead to its plain copy (see `export`).
"""

import importlib.util
import re
import shutil
from pathlib import Path

import export

MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")


def copy_mathjax(app, error):
    """Copy what MathJax needs to set TeX as HTML."""
    if error or app.builder.format != "html":
        return
    source = Path(importlib.util.find_spec("sphinx-mathjax-offline").submodule_search_locations[0], "static/mathjax")
    target = Path(app.outdir, "_static/mathjax")
    for name in MATHJAX:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)


def drop_thebe(app):
    """Disconnect sphinx-thebe, which Jupyter Book always loads and which names a CDN on every page."""
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if getattr(listener.handler, "__name__", "") in ("init_thebe_core", "update_thebe_context"):
                listeners.remove(listener)


def copy_notebooks(app, error):
    """Put the plain copy of every notebook of the site into `notebooks/`, without figures: its reader runs it."""
    if error is None and app.builder.format == "html":
        book = Path(app.srcdir, "book")
        shown = [path for path in export.pages(book, ".ipynb") if app.env.path2doc(str(path)) in app.env.found_docs]
        export.write_all(shown, book, Path(app.outdir, "notebooks"), pictures=False)


def break_long_names(app, pagename, templatename, context, doctree):
    """Mark in inline code where a line may break; what a reader copies stays the same."""

    def marked(match):
        return match[1] + re.sub(r"(?<=[./:_])(?=\w)", "<wbr>", match[2])

    context["body"] = re.sub(r'(<span class="pre">)([^<]+)', marked, context.get("body", ""))


def add_explorables(app, pagename, templatename, context, doctree):
    """Load the scripts of the explorable figures that a page holds."""
    figures = sorted(set(re.findall(r'data-explorable="([\w-]+)"', context.get("body", ""))))
    if figures:
        app.add_css_file("explorables.css")
        for name in ("explorable", "explorable-beliefs", *(f"explorable-{figure}" for figure in figures)):
            app.add_js_file(f"{name}.js", loading_method="defer")


def add_buttons(app, pagename, templatename, context, doctree):
    """Offer the plain notebook for download and in Colab."""
    source = Path(app.srcdir, f"{pagename}.ipynb")
    if not source.exists():
        return
    place = Path("notebooks") / Path(pagename).relative_to("book").with_suffix(".ipynb")
    repository = app.config.html_theme_options["repository_url"].removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{repository}/blob/gh-pages/{place.as_posix()}"
    context["header_buttons"][:0] = [
        _link(context["pathto"](place.as_posix(), 1), "Download this notebook", "fas fa-download", "download-notebook"),
        _link(colab, "Open in Colab", "fas fa-rocket", "open-in-colab"),
    ]


def _link(url, tooltip, icon, label):
    return {"type": "link", "url": url, "text": "", "tooltip": tooltip, "icon": icon, "label": f"{label}-button"}


def setup(app):
    """Register everything with Sphinx."""
    app.config.mathjax_path = f"mathjax/{MATHJAX[0]}"
    app.connect("builder-inited", drop_thebe)
    app.connect("html-page-context", break_long_names)
    app.connect("html-page-context", add_explorables)
    app.connect("html-page-context", add_buttons, priority=502)  # after the theme has made its list at 501
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", copy_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
