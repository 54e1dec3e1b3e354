"""The built site: no page asks another host for anything, headings are in order, pictures have words."""

from urllib.parse import urlsplit

import pytest
import yaml
from book.pages import ROOT

from book import browser, guards_links, guards_site

SITE = ROOT / "_build/html"
FILES = sorted(path for path in SITE.rglob("*") if path.suffix in (".html", ".css", ".js", ".mjs"))
TOC = guards_links.toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
BUILT = [f"{name}.html" for name in TOC if (SITE / f"{name}.html").exists()]
SITE_LIMIT, PAGE_LIMIT = (
    15e6,
    1e6,
)  # bytes: the whole site; a page with all that it asks for, but for fonts of mathematics

pytestmark = pytest.mark.skipif(not (SITE / "index.html").exists(), reason="the site is not built: run `make book`")


def test_every_page_is_built():
    assert [name for name in TOC if f"{name}.html" not in BUILT] == []


def test_nothing_is_loaded_from_another_host():
    found = [
        fault for path in FILES for fault in guards_site.external_requests(path, path.relative_to(SITE).as_posix())
    ]
    assert found == []


@pytest.mark.parametrize("name", BUILT)
def test_links_lead_to_files(name):
    assert guards_site.dead_links(SITE / name, SITE) == []


@pytest.mark.parametrize("name", BUILT)
def test_headings_are_in_order(name):
    assert guards_site.heading_faults((SITE / name).read_text(encoding="utf-8"), name) == []


@pytest.mark.parametrize("name", BUILT)
def test_pictures_have_words(name):
    assert guards_site.picture_faults((SITE / name).read_text(encoding="utf-8"), name) == []


@pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")
def test_a_browser_asks_no_other_host(tmp_path):
    pages = [path.relative_to(SITE).as_posix() for path in FILES if path.suffix == ".html"]
    with browser.served(SITE) as address, browser.opened(tmp_path) as chromium:
        asked = {name: browser.outside(chromium.requests(f"{address}/{name}")) for name in pages if name[0] != "_"}
    assert {name: addresses for name, addresses in asked.items() if addresses} == {}


def test_the_site_is_light():
    assert guards_site.weight(path for path in SITE.rglob("*") if path.is_file()) < SITE_LIMIT


@pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")
def test_every_page_is_light(tmp_path):
    with browser.served(SITE) as address, browser.opened(tmp_path) as chromium:
        asked = {name: {urlsplit(url).path for url in chromium.requests(f"{address}/{name}")} for name in BUILT}
    own = {name: [path.strip("/") for path in paths if "/mathjax/output/" not in path] for name, paths in asked.items()}
    weights = {name: guards_site.weight(map(SITE.joinpath, paths), wire=True) for name, paths in own.items()}
    assert {name: weight for name, weight in weights.items() if weight > PAGE_LIMIT} == {}


@pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")
def test_nothing_is_cut_off_on_a_phone(tmp_path):
    with browser.served(SITE) as address, browser.opened(tmp_path) as chromium:
        found = {name: chromium.cut_off(f"{address}/{name}") for name in BUILT}
    assert {name: parts for name, parts in found.items() if parts} == {}


@pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")
def test_nothing_is_wider_than_its_page_on_a_desk(tmp_path):
    with browser.served(SITE) as address, browser.opened(tmp_path) as chromium:
        found = {name: chromium.overflowing(f"{address}/{name}") for name in BUILT}
    assert {name: parts for name, parts in found.items() if parts} == {}


def test_templates_of_the_theme_are_no_pages_of_the_site():
    assert [path.name for path in FILES if path.suffix == ".html" and "macros" in path.name] == []
    for path in (SITE / "index.html", SITE / "search.html", SITE / "genindex.html"):
        assert guards_site.dead_links(path, SITE) == []
