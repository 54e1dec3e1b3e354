"""`make lab`: the front page opens rendered, its links open chapters, and a chapter shows no raw markup."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from book.pages import ROOT

from book import browser

CHAPTER, TITLE = "many-agents/cascades.ipynb", "Why agents herd"
RAW = re.compile(r"(?::{3,}|`{3,}|~{3,})\{.*|\{(?:prf:ref|cite:?[tp]?|numref|eq|doc|ref)\}`.*")
BLOCK = re.compile(r"^[:`~]{3,}\{(?:prf:\w+|exercise)(?:-start)?\} +(\w[\w ]+)", re.MULTILINE)
PLANTED = "A block that is shown as it was written:\n\n    :::{prf:theorem} Planted\n    :label: thm-planted\n    :::"
SEEN = """(() => {
  const page = document.querySelector(".jp-Notebook:not(.lm-mod-hidden *)");
  page?.querySelector(".jp-WindowedPanel-outer")?.scrollTo(0, 1e7);  // what is far below is drawn when it comes near
  const all = (what, of) => [...(page ?? document).querySelectorAll(what)].map(of);
  return {
    tab: document.title,
    cells: all(".jp-Cell", (e) => e.innerText.trim().length > 0).length,
    unset: all(".jp-MarkdownCell .jp-InputArea-editor:not(.lm-mod-hidden)", (e) => e.innerText).length,
    blocks: all("aside", (e) => e.innerText.replace(/\\s+/g, " ")),
    pictures: all(".jp-OutputArea img", (e) => e.naturalWidth > 300).filter(Boolean).length,
    formulas: all(".katex", (e) => 1).length,
    wrong: all(".katex-error", (e) => e.innerText),
    text: page?.innerText ?? "",
  };
})()"""

pytestmark = pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")


def evaluated(page, expression):
    answer = page.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
    return answer["result"].get("value")


def waited(page, expression, good=bool, seconds=90):
    """The value of an expression on a page once it is good."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = evaluated(page, expression)
        if value is not None and good(value):
            return value
        time.sleep(0.3)
    raise TimeoutError(f"JupyterLab must show what is waited for within {seconds} seconds. Last seen: {value!r:.1500}")


def sources():
    """Of the chapter: how many cells it has, the titles of its theorems and exercises, and its open figures."""
    cells = nbformat.read(ROOT / "book" / CHAPTER, 4).cells
    titles = [t.strip() for cell in cells if cell.cell_type == "markdown" for t in BLOCK.findall(cell.source)]
    folded = [cell.metadata.get("jupyter", {}).get("outputs_hidden", False) for cell in cells]
    figures = [cell for cell, hidden in zip(cells, folded, strict=True) if "mystnb" in cell.metadata and not hidden]
    return len(cells), titles, len(figures)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """What `make lab` runs, on a copy of the book, without the settings of whoever runs the test, and a browser."""
    here = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "book", here / "book", ignore=shutil.ignore_patterns("__pycache__", ".*", "instructor"))
    planted = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(PLANTED)])
    nbformat.write(planted, here / "book/planted.ipynb")
    dry = subprocess.run(["make", "-n", "lab"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    [command] = [shlex.split(line) for line in dry.splitlines() if line.startswith("jupyter lab ")]
    own = {name: str(here / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")}
    environment = os.environ | {f"JUPYTER_{name}": folder for name, folder in own.items()}
    environment |= {f"JUPYTERLAB_{name}_DIR": str(here / name) for name in ("WORKSPACES", "SETTINGS")}
    environment["JUPYTER_CONFIG_PATH"] = str(ROOT / "book/_lab")
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    options = ("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=for-this-test")
    with open(here / "log", "w") as log:
        server = subprocess.Popen([*command, *options], cwd=here, env=environment, stdout=log, stderr=log)
    try:
        yield from _browsed(here, server)
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:  # it waits for a kernel that has only begun to start; kernels end with it
            server.kill()
            server.wait()


def _browsed(here, server):
    for _ in range(300):
        found = re.search(r"http://127\.0\.0\.1:\d+/", (here / "log").read_text())
        if found or server.poll() is not None:
            break
        time.sleep(0.2)
    if not found:
        raise RuntimeError(f"`make lab` must start a server within a minute. It wrote: {(here / 'log').read_text()}")
    with browser.opened(here / "profile") as page:
        size = {"width": 1400, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        page.call("Emulation.setDeviceMetricsOverride", **size)
        asked = page.requests(f"{found[0]}?token=for-this-test", seconds=60)
        yield found[0], page, asked


def test_the_front_page_opens_rendered_and_leads_to_a_chapter(lab):
    _, page, asked = lab
    front = 'document.querySelector(".jp-MarkdownViewer")'
    waited(page, f"{front}?.querySelector('img')?.naturalWidth > 300")
    assert evaluated(page, f"{front}.querySelector('h1').innerText") == "Interacting Language-Model Agents"
    assert RAW.findall(evaluated(page, f"{front}.innerText")) == []
    assert browser.outside(asked) == []
    listed = evaluated(page, '[...document.querySelectorAll(".jp-DirListing-itemText")].map(e => e.innerText)')
    assert "many-agents" in listed
    assert [name for name in listed if name.startswith("_")] == []
    assert evaluated(page, 'document.querySelectorAll(".jp-toast-message, .Toastify__toast").length') == 0
    evaluated(page, f"[...{front}.querySelectorAll('a')].find(e => e.innerText == '{TITLE}').click()")
    waited(page, "document.title", lambda title: title.startswith(Path(CHAPTER).name))


def test_a_chapter_shows_theorems_exercises_and_figures(lab):
    address, page, _ = lab
    n_cells, titles, n_figures = sources()
    assert len(titles) >= 10
    assert n_figures >= 5
    page.call("Page.navigate", url=f"{address}lab/tree/{CHAPTER}?reset")
    seen = waited(
        page, SEEN, lambda seen: seen["cells"] == n_cells and not seen["unset"] and seen["pictures"] == n_figures
    )
    shown = "\n".join(seen["blocks"])
    assert [title for title in titles if title not in shown] == []
    assert any(block.startswith("Theorem 1 (") for block in seen["blocks"])
    assert any(block.startswith("Exercise 1 (") for block in seen["blocks"])
    assert seen["formulas"] > 50
    assert seen["wrong"] == []
    assert RAW.findall(seen["text"]) == []


def test_raw_markup_would_be_seen(lab):
    address, page, _ = lab
    page.call("Page.navigate", url=f"{address}lab/tree/planted.ipynb?reset")
    seen = waited(page, SEEN, lambda seen: "as it was written" in seen["text"])
    assert RAW.findall(seen["text"]) == [":::{prf:theorem} Planted"]
