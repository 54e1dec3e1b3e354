"""Everybody can read the book: axe-core finds no fault in any article, light or dark, and the keyboard gets everywhere.

axe-core comes from the npm registry, for the run.
"""

import shutil
import subprocess
import tarfile
from urllib.parse import urldefrag, urljoin

import pytest
import yaml
from accessible_site import mended
from book.pages import ROOT
from bs4 import BeautifulSoup

from book import browser, guards_links

AXE = "axe-core@4.14.1"
SITE = ROOT / "_build/html"
TOC = guards_links.toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
BUILT = [f"{name}.html" for name in TOC if (SITE / f"{name}.html").exists()]
# Everything is unfolded. Of the tokens of code one of each kind stays, and formulas become plain text: their colours
# are those of their class and of the words around them, and axe would need minutes for them.
PREPARE = """(async () => {
  await window.MathJax?.startup?.promise;
  const still = "<style>* { transition: none !important; animation: none !important; }</style>";
  document.head.insertAdjacentHTML("beforeend", still);
  document.querySelectorAll("article details").forEach((part) => { part.open = true; });
  document.querySelectorAll("article .toggle-hidden").forEach((part) => part.classList.remove("toggle-hidden"));
  await new Promise((done) => setTimeout(done, 100));
  const seen = new Set(), tokens = [...document.querySelectorAll("article pre span")];
  const kinds = tokens.map((token) => `${token.className} ${token.closest(".highlight")?.parentElement.className}`);
  tokens.forEach((token, k) => { if (seen.has(kinds[k])) token.replaceWith(token.textContent); seen.add(kinds[k]); });
  document.querySelectorAll("mjx-math > *").forEach((part) => part.replaceWith(part.textContent));
})()"""
RUN = """(async () => {
  document.documentElement.dataset.theme = document.documentElement.dataset.mode = mode;
  const { violations } = await axe.run("article", { resultTypes: ["violations"], preload: false, ...options });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${mode}: ${id}: ${node.html.slice(0, 120)}`));
})()"""
OUT_OF_REACH = """[...document.querySelectorAll("article *:not(mjx-container *)")]
  .filter((e) => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && e.tabIndex < 0)
  .filter((e) => /auto|scroll/.test(getComputedStyle(e).overflowX) && !e.querySelector("a, button, [tabindex='0']"))
  .map((e) => `scrolls out of reach: ${e.outerHTML.slice(0, 120)}`)"""
PLANTED = """<!doctype html><html lang="en" data-theme="light"><title>Faults</title>
<style>p { background: #fff; color: #aaa; } [data-theme=dark] p { background: #222; color: #fff; }</style>
<style>pre { width: 90px; overflow: auto; }</style>
<article><h1>Faults</h1><p>pale grey</p><img src="none.png">
<pre tabindex="-1">wide wide wide wide wide</pre></article></html>"""
QUESTIONS = {
    "how to run it": ("book/how-to-use.html", "make book"),
    "where herding is explained": ("book/many-agents/cascades.html", "cascade"),
    "how to use it on own data": ("book/many-agents/audit-a-log.html", "log"),
    "how to use it on an own model": ("book/practice/your-own-model.html", "model"),
    "how to teach with it": ("book/coursework/for-instructors.html", "students"),
}

needs_site = pytest.mark.skipif(not (SITE / "index.html").exists(), reason="the site is not built: run `make book`")
needs_chromium = pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    if shutil.which("npm") is None:
        pytest.skip("npm is not on this machine: it fetches axe-core")
    folder = tmp_path_factory.mktemp("axe")
    packed = subprocess.run(["npm", "pack", AXE, "--silent"], cwd=folder, capture_output=True, text=True, timeout=120)
    if packed.returncode:
        pytest.skip(f"npm could not fetch {AXE}: {packed.stderr.strip()[-200:]}")
    with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.opened(tmp_path_factory.mktemp("profile")) as opened:
        opened.call("Emulation.setDeviceMetricsOverride", **browser.PHONE)
        opened.socket.settimeout(120)
        yield opened


@pytest.fixture(scope="module")
def address():
    with browser.served(SITE) as url:
        yield url


def evaluated(chromium, program):
    """Value of a program in the page."""
    answer = chromium.call("Runtime.evaluate", expression=program, awaitPromise=True, returnByValue=True)
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    return answer["result"].get("value")


def faults(chromium, axe, url):
    """What axe finds in a page on a phone: by all its rules in light, by those of colour in dark as well."""
    chromium.requests(url, seconds=60)
    chromium.socket.settimeout(120)
    evaluated(chromium, f"{axe}; null")
    evaluated(chromium, PREPARE)
    found = evaluated(chromium, OUT_OF_REACH)
    for mode, options in (("light", "{}"), ("dark", '{ runOnly: ["color-contrast", "link-in-text-block"] }')):
        found += evaluated(chromium, f"(() => {{ const mode = '{mode}', options = {options}; return {RUN}; }})()")
    return found


@needs_site
@needs_chromium
@pytest.mark.parametrize("name", BUILT)
def test_axe_finds_nothing(name, chromium, axe, address):
    assert faults(chromium, axe, f"{address}/{name}") == []


@needs_chromium
def test_axe_sees_planted_faults(tmp_path, chromium, axe):
    (tmp_path / "faults.html").write_text(PLANTED, encoding="utf-8")
    found = " ".join(faults(chromium, axe, (tmp_path / "faults.html").as_uri()))
    assert "light: color-contrast" in found
    assert "dark: color-contrast" not in found
    assert "image-alt" in found
    assert "scrolls out of reach: <pre" in found


@needs_site
@needs_chromium
def test_what_is_unfolded_can_be_scrolled_and_formulas_are_no_stops(chromium, address):
    chromium.requests(f"{address}/book/many-agents/cascades.html", seconds=60)
    chromium.socket.settimeout(120)
    evaluated(chromium, PREPARE.replace("mjx-math > *", "none"))
    assert evaluated(chromium, "document.querySelectorAll('article details pre[tabindex=\"0\"]').length") > 0
    inline = "[...document.querySelectorAll('article mjx-container:not([display])')]"
    assert evaluated(chromium, f"{inline}.length") > 50
    assert evaluated(chromium, f"{inline}.filter((formula) => formula.tabIndex >= 0).length") == 0


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<summary aria-label="Toggle hidden content">\n<p>Show</p>', "<summary>\n<p>Show</p>"),
        ('<div id="a" role="doc-biblioentry">', '<div id="a" role="listitem">'),
        ('<tr><th class="head"><p></p></th><th>a</th></tr>', "<tr><td></td><th>a</th></tr>"),
        ("<thead>\n<tr><th></th>\n<th>a</th>", "<thead>\n<tr><td></td>\n<th>a</th>"),
    ],
)
def test_markup_is_mended(html, expected):
    assert mended(html) == expected


def clicks(start, target, limit):
    """Least number of links of articles and the list of chapters from one page to another; None beyond `limit`."""
    reached, seen = {start}, {start}
    for count in range(limit + 1):
        if target in reached:
            return count
        links = {link for page in reached for link in local_links(page)}
        reached = {link for link in links - seen if (SITE / link).exists()}
        seen |= reached
    return None


def local_links(page):
    """Pages of the site that a page links to."""
    soup = BeautifulSoup((SITE / page).read_text(encoding="utf-8"), "html.parser")
    links = [tag["href"] for tag in soup.select("article a[href]")]
    return {urldefrag(urljoin(page, link))[0] for link in links if "://" not in link and ".html" in link}


@needs_site
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_front_page_leads_there_within_three_clicks(question):
    page, words = QUESTIONS[question]
    assert clicks("book/intro.html", page, 3) is not None
    article = BeautifulSoup((SITE / page).read_text(encoding="utf-8"), "html.parser").find("article")
    assert words in article.get_text()


@needs_site
def test_a_page_that_nothing_leads_to_is_noticed():
    assert clicks("book/intro.html", "book/none.html", 1) is None
