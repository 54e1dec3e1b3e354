"""`make lab`: the front page opens rendered, its links open chapters, and a chapter shows no raw markup."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import lab as reader
import nbformat
import pytest
import yaml
from book.pages import ROOT, read_page

from book import browser

SOURCE, CHAPTER, TITLE = "many-agents/cascades.ipynb", "3-many-agents/02-cascades.ipynb", "Why agents herd"
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
    open: all("details[open]", (e) => e.innerText),
    warnings: all(".myst-warning, [class*=warning] [class*=error], .jp-mod-warn", (e) => e.innerText),
    blocks: all("aside", (e) => e.innerText.replace(/\\s+/g, " ")),
    pictures: all(".jp-OutputArea img", (e) => e.naturalWidth > 300).filter(Boolean).length,
    formulas: all(".katex", (e) => 1).length,
    wrong: all(".katex-error", (e) => e.innerText),
    text: page?.innerText ?? "",
  };
})()"""

needs_chromium = pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")


def evaluated(page, expression):
    answer = page.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
    return answer["result"].get("value")


def waited(page, expression, good=bool, seconds=600):
    """The value of an expression on a page once it is good."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = evaluated(page, expression)
        if value is not None and good(value):
            return value
        time.sleep(0.3)
    raise TimeoutError(f"JupyterLab must show what is waited for within {seconds} seconds. Last seen: {value!r:.1500}")


SOLVED = """# Solved

:::{exercise} By code: one
:label: ex-a
Add.
:::

:::{solution-start} ex-a
:class: dropdown
:::
"""


def sources(folder):
    """Of the chapter: how many cells it has, the titles of its theorems and exercises, and its figures."""
    cells = nbformat.read(folder / CHAPTER, 4).cells
    titles = [t.strip() for cell in cells if cell.cell_type == "markdown" for t in BLOCK.findall(cell.source)]
    figures = [cell for cell in cells if "figure" in cell.metadata.get("mystnb", {})]
    return len(cells), titles, len(figures)


def contents():
    return yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def a_book(folder):
    """A book of one page with a solution, and its table of contents."""
    book = folder / "source"
    cells = [
        nbformat.v4.new_markdown_cell(SOLVED),
        nbformat.v4.new_code_cell("print(40 + 2)", outputs=[nbformat.v4.new_output("stream", text="42\n")]),
        nbformat.v4.new_markdown_cell(":::{solution-end}\n:::"),
        nbformat.v4.new_code_cell("print('all' + ' ran')"),
    ]
    (book / "part").mkdir(parents=True)
    (book / "_static").mkdir()
    (book / "intro.md").write_text("# Front\n\n[solved](part/solved.ipynb)\n")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, book / "part/solved.ipynb")
    parts = [{"caption": "P", "chapters": [{"file": "book/part/solved"}]}]
    return book, {"root": "book/intro", "parts": parts}


def test_pages_stand_in_the_order_of_the_book():
    found = reader.places(contents())
    assert found["intro"] == "intro"
    assert found["reading/llm-as-sensor"] == "1-reading/01-llm-as-sensor"
    assert found["many-agents/cascades"] == CHAPTER.removesuffix(".ipynb")
    assert list(found.values())[2:] == sorted(list(found.values())[2:])


def test_solutions_are_nothing_to_run_and_links_lead_to_the_laid_out_pages(tmp_path):
    reader.lay_out(*a_book(tmp_path), tmp_path / "lab")
    cells = nbformat.read(tmp_path / "lab/1-part/01-solved.ipynb", 4).cells
    assert [cell.source for cell in cells if cell.cell_type == "code"] == ["print('all' + ' ran')"]
    assert "```python\nprint(40 + 2)\n```\n\n```text\n42\n```" in cells[1].source
    assert "[solved](1-part/01-solved.ipynb)" in (tmp_path / "lab/intro.md").read_text()


def test_what_a_reader_changed_is_kept_and_what_he_did_not_is_renewed(tmp_path):
    book, toc = a_book(tmp_path)
    target = tmp_path / "lab"
    assert reader.lay_out(book, toc, target) == []
    mine = target / "1-part/01-solved.ipynb"
    mine.write_text(mine.read_text().replace("all", "mine"))
    (book / "intro.md").write_text("# Another front\n")
    assert [path.name for path in reader.lay_out(book, toc, target)] == ["01-solved.ipynb"]
    assert [path.name for path in reader.lay_out(book, toc, target)] == ["01-solved.ipynb"]
    assert "mine" in mine.read_text()
    assert (target / "intro.md").read_text() == "# Another front\n"


def leading_away(folder):
    """References in a reader's folder that JupyterLab could not resolve within their page, and links to nothing."""
    found = []
    for path in folder.rglob("*.[im]*"):
        read = read_page(path, folder)
        own = set(re.findall(r":label: *([\w-]+)|\(([\w-]+)\)", read.text))
        own = {label for pair in own for label in pair if label}
        for name, content in re.findall(r"\{(cite[:tp]*|doc|numref|prf:ref|ref|eq)\}`([^`]+)`", read.text):
            if name not in reader.WITHIN_A_PAGE or re.sub(r".*<|>", "", content) not in own:
                found.append(f"{path.name}: {name} {content}")
        links = re.findall(r"\]\(([\w./-]+\.(?:ipynb|md))\)", read.text)
        found += [f"{path.name}: {link}" for link in links if not (path.parent / link).exists()]
    return found


def test_every_reference_of_the_reader_s_book_resolves(tmp_path):
    reader.lay_out(ROOT / "book", contents(), tmp_path)
    assert leading_away(tmp_path) == []


def test_references_that_lead_away_are_seen(tmp_path):
    (tmp_path / "a.md").write_text("{cite:t}`lee1993`, {prf:ref}`thm-b`, [b](b.md), {eq}`eq-a`\n\n$$a$$ (eq-a)\n")
    assert leading_away(tmp_path) == ["a.md: cite:t lee1993", "a.md: prf:ref thm-b", "a.md: b.md"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """What `make lab` runs, on a copy of the book, without the settings of whoever runs the test, and a browser."""
    here = tmp_path_factory.mktemp("lab")
    reader.lay_out(*a_book(here), here / "lab")
    reader.lay_out(ROOT / "book", contents(), here / "lab")  # renews the front page
    planted = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(PLANTED)])
    nbformat.write(planted, here / "lab/planted.ipynb")
    dry = subprocess.run(["make", "-n", "lab"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    [command] = [shlex.split(line) for line in dry.splitlines() if line.startswith("jupyter lab ")]
    own = {name: str(here / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")}
    environment = os.environ | {f"JUPYTER_{name}": folder for name, folder in own.items()}
    environment |= {f"JUPYTERLAB_{name}_DIR": str(here / name) for name in ("WORKSPACES", "SETTINGS")}
    environment["JUPYTER_CONFIG_PATH"] = str(ROOT / "book/_lab")
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    options = ("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=for-this-test")
    options += ("--LabApp.expose_app_in_browser=True",)
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
        yield found[0], page, asked, here / "lab"


@needs_chromium
def test_the_front_page_opens_rendered_and_leads_to_a_chapter(lab):
    _, page, asked, _ = lab
    front = 'document.querySelector(".jp-MarkdownViewer")'
    waited(page, f"{front}?.querySelector('img')?.naturalWidth > 300")
    assert evaluated(page, f"{front}.querySelector('h1').innerText") == "Interacting Language-Model Agents"
    assert RAW.findall(evaluated(page, f"{front}.innerText")) == []
    assert browser.outside(asked) == []
    listed = evaluated(page, '[...document.querySelectorAll(".jp-DirListing-itemText")].map(e => e.innerText)')
    assert [name for name in listed if name[0].isdigit() and name != "1-part"][:3] == [
        "1-reading",
        "2-one-agent",
        "3-many-agents",
    ]
    assert [name for name in listed if name.startswith("_")] == []
    assert evaluated(page, 'document.querySelectorAll(".jp-toast-message, .Toastify__toast").length') == 0
    evaluated(page, f"[...{front}.querySelectorAll('a')].find(e => e.innerText == '{TITLE}').click()")
    waited(page, "document.title", lambda title: title.startswith(Path(CHAPTER).stem))  # JupyterLab shortens it


@needs_chromium
def test_a_chapter_shows_theorems_exercises_and_figures(lab):
    address, page, _, folder = lab
    n_cells, titles, n_figures = sources(folder)
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
    assert "Start of Solution" not in seen["text"]
    assert [fold for fold in seen["open"] if "Solution" in fold] == []
    assert RAW.findall(seen["text"]) == []


@needs_chromium
def test_raw_markup_would_be_seen(lab):
    address, page, *_ = lab
    page.call("Page.navigate", url=f"{address}lab/tree/planted.ipynb?reset")
    seen = waited(page, SEEN, lambda seen: "as it was written" in seen["text"])
    assert RAW.findall(seen["text"]) == [":::{prf:theorem} Planted"]


@needs_chromium
def test_run_all_gives_no_solution_away(lab):
    address, page, *_ = lab
    page.call("Page.navigate", url=f"{address}lab/tree/1-part/01-solved.ipynb?reset")
    waited(page, SEEN, lambda seen: "Solution" in seen["text"] and not seen["unset"])
    evaluated(page, "jupyterapp.commands.execute('notebook:run-all-cells'); null")
    seen = waited(page, SEEN, lambda seen: "all ran" in seen["text"])
    assert "42" not in seen["text"]
    evaluated(page, 'document.querySelectorAll("details").forEach((fold) => { fold.open = true; })')
    assert "42" in waited(page, SEEN, lambda seen: "40 + 2" in seen["text"])["text"]
