"""Planted faults in what lies around the pages: links, tables, tracked files, studies, and the built site."""

import json

import fitting_site
import nbformat.v4 as nb
import pytest
import results
from book.pages import ROOT, Page, read_page

from book import browser, guards_ledger, guards_links, guards_repository, guards_site


def page(source, path="book/many-agents/planted.md"):
    return Page(path, [nb.new_markdown_cell(source)])


def write(folder, files):
    for name, words in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words, encoding="utf-8")


# --- contents, links, labels ------------------------------------------------------------------------------------------


def test_pages_and_contents_agree(tmp_path):
    write(tmp_path, {"book/intro.md": "# A", "book/part/one.ipynb": "{}", "book/_results/notes.md": "# Not a page"})
    contents = {"root": "book/intro", "parts": [{"caption": "P", "chapters": [{"file": "book/part/one"}]}]}
    assert guards_links.toc_faults(contents, tmp_path) == []
    assert guards_links.toc_faults({"root": "book/intro"}, tmp_path) == ["book/part/one: not in _toc.yml"]
    contents["parts"][0]["chapters"] += [{"file": "book/part/two"}, {"file": "book/intro"}]
    wrong = ["_toc.yml: book/part/two does not exist", "_toc.yml: book/intro stands twice"]
    assert guards_links.toc_faults(contents, tmp_path) == wrong
    write(tmp_path, {"book/Two_Words.md": "# B"})
    assert "book/Two_Words: page names are lower case with hyphens" in guards_links.toc_faults(contents, tmp_path)


def test_text_pages_are_read_with_their_front_matter(tmp_path):
    write(tmp_path, {"a.md": "---\ndefinitions: ['0.7']\n---\n# Title\n\nWith chance 0.7.\n"})
    read = read_page(tmp_path / "a.md", tmp_path)
    assert read.definitions == ("0.7",)
    assert read.cells[0].source.startswith("# Title")


def test_links_reach_files_and_headings(tmp_path):
    write(tmp_path, {"book/a.md": "# A title, *with* marks\n\n(mark)=\n", "book/b.md": "# B"})
    good = "[a](a.md) [b](a.md#a-title-with-marks) [c](a.md#mark) [d](https://example.invalid/x) `[e](no.md)`"
    assert guards_links.broken_links(page(good, "book/b.md"), tmp_path) == []
    bad = page("[a](c.md) and [b](a.md#other)\n\n:::{note}\n[c](d.md)\n:::", "book/b.md")
    assert [finding.split("link to ")[1].split(",")[0] for finding in guards_links.broken_links(bad, tmp_path)] == [
        "c.md", "a.md#other", "d.md",
    ]  # fmt: skip


THEOREM = ":::{prf:theorem} Herds\n:label: thm-planted\nThey form.\n:::"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("{prf:ref}`thm-planted`, {numref}`text <fig-a>`, {cite:p}`vives1993, vives1997`, `{ref}`", ""),
        ("{prf:ref}`thm-other`", "{prf:ref} to thm-other"),
        ("{ref}`thm-planted`", "{ref} to thm-planted"),  # theorems live in a domain of their own
        ("{ref}`words <nowhere>`", "{ref} to nowhere"),
        ("{cite:t}`vives1993,vives1998`", "{cite} to vives1998"),
        (":::{note}\n:name: fig-a\n:::", "label fig-a is given twice"),
        (THEOREM, "label thm-planted is given twice"),
    ],
)
def test_references_resolve(source, fault):
    figure = nb.new_code_cell("draw()", metadata={"mystnb": {"figure": {"name": "fig-a"}}})
    pages = [Page("a.ipynb", [nb.new_markdown_cell(THEOREM), figure]), page(source)]
    findings = guards_links.broken_references(pages, "@article{vives1993,\n}\n@article{vives1997,\n}\n")
    assert [fault in finding for finding in findings] == [True] * bool(fault)


# --- ledger, paper map, notation --------------------------------------------------------------------------------------

HOME = "book/many-agents/planted.md"
FILES = {
    "book/many-agents/planted.md": THEOREM,
    "tests/test_a.py": "def test_a(): pass\n@pytest.mark.skip\ndef test_b(): pass\ndef test_c(): pytest.skip()\n",
    "tests/test_d.py": "pytestmark = pytest.mark.xfail\ndef test_d(): pass\n",
}
FUNCTION, TEST = "`llma_tutorial.beliefs.bayes_update`", "`tests/test_a.py::test_a`"
ROW = f"| thm-planted | $P(a \\| x)$ | K | [herds](../many-agents/planted.md) | {FUNCTION} | {TEST} |"


def ledger(*rows):
    head = "| id | statement | source | chapter | function | test |\n|---|---|---|---|---|---|\n"
    return page(head + "\n".join(rows), "book/reference/theorem-ledger.md")


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([ROW], ""),
        ([], "theorem thm-planted has no row"),
        ([ROW, ROW], "row thm-planted stands twice"),
        ([ROW, ROW.replace("thm-planted", "thm-else")], "no such theorem in the book"),
        ([ROW, ROW.replace("thm-planted", "lemma-1")], "ids begin with"),
        ([ROW, ROW.replace("thm-planted", "check-a")], ""),
        ([ROW.replace("planted.md", "absent.md")], "the theorem stands in"),
        ([ROW.replace("bayes_update", "bayes_up")], "bayes_up is not a function"),
        ([ROW.replace(FUNCTION, "`numpy.eye`")], "not a function of the package"),
        ([ROW.replace(FUNCTION, "")], "names no function"),
        ([ROW.replace(TEST, "")], "names no test"),
        ([ROW.replace("::test_a", "::test_z")], "has no test test_z"),
        ([ROW.replace("test_a.py", "test_z.py")], "tests/test_z.py does not exist"),
        ([ROW.replace("::test_a", "::test_b")], "is skipped"),
        ([ROW.replace("::test_a", "::test_c")], "is skipped"),
        ([ROW.replace("test_a.py::test_a", "test_d.py::test_d")], "is skipped"),
        ([ROW, "| check-short | cells |"], "has 2 cells, not 6"),
        ([ROW.replace("| K |", "| |")], "no source"),
    ],
)
def test_the_ledger_binds_theorems_to_tests(tmp_path, rows, fault):
    write(tmp_path, FILES)
    findings = guards_ledger.ledger_faults(ledger(*rows), [page(THEOREM, HOME)], tmp_path)
    assert sum(fault in finding for finding in findings) == bool(fault)
    assert len(findings) == bool(fault) + ("absent.md" in "".join(rows))  # the missing file is also a broken link


def test_a_theorem_without_a_label_and_a_second_table_are_found(tmp_path):
    write(tmp_path, FILES)
    unnamed = page(THEOREM.replace(":label: thm-planted\n", ""), HOME)
    assert "theorem without a label has no row" in guards_ledger.ledger_faults(ledger(), [unnamed], tmp_path)[0]
    twice = page(ledger(ROW).text + "\n\n" + ledger(ROW).text)
    assert "must hold one table" in guards_ledger.ledger_faults(twice, [page(THEOREM, HOME)], tmp_path)[0]


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ("[a](planted.md) | `llma_tutorial.beliefs.bayes_update` | `tests/test_a.py::test_a` | reproduced", ""),
        ("| | | not checked against the text", ""),
        ("| | | planned", "is none of"),
        ("[a](planted.md) | | | illustrated", "lacks a chapter"),
        ("[a](planted.md) | `llma_tutorial.no` | `tests/test_a.py::test_a` | illustrated", "is not a function"),
        ("[a](planted.md) | `llma_tutorial.beliefs.bayes_update` | `tests/test_a.py::no` | illustrated", "has no test"),
    ],
)
def test_the_paper_map_is_honest(tmp_path, cells, fault):
    write(tmp_path, FILES)
    head = "| item | content | chapter | function | test | status |\n|---|---|---|---|---|---|\n"
    findings = guards_ledger.paper_map_faults(page(f"{head}| herding | herds | {cells} |", HOME), tmp_path)
    assert [fault in finding for finding in findings] == [True] * bool(fault)


def test_notation_and_package_agree(tmp_path):
    function = 'def f(prior, *, rng):\n    """F.\n\n    prior : array-like of shape (X,), optional\n    """\n'
    documented = 'class C:\n    """C.\n\n    utility : array of shape (M, X)\n    """\n\n    utility: int\n\n'
    write(tmp_path, {"package/a.py": function, "package/b.py": "from ._c import C\n__all__ = ['C']\n"})
    write(tmp_path, {"package/_c.py": documented + "    def g(self, pi): ...\ndef h(t): ...\n"})
    known = guards_ledger.signatures(tmp_path / "package")
    assert known["package.a.f"] == {"prior": "array-like of shape (X,), optional", "rng": ""}
    head = "| symbol | meaning | name in code | shape |\n|---|---|---|---|\n"
    assert guards_ledger.notation_faults(page(f"{head}| $p$ | prior | `prior` | (X,) or (M, X) |"), known) == [
        "package._c.C.g: argument `pi` is a symbol, not a name"
    ]
    wrong = page(f"{head}| $u$ | utility | `utility` | (X, A) |\n| $c$ | cost | `cost` | |")
    findings = guards_ledger.notation_faults(wrong, known)
    assert "`utility` has shape (M, X) in package._c.C, which the table does not list" in findings
    assert "`cost` is no argument or field of a public name" in findings


# --- tracked files and studies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        "sk-" + "a1" * 12, "hf_" + "Ab" * 15, "ghp_" + "x9" * 18, "AKIA" + "ABCD" * 4,
        "-----BEGIN RSA " + "PRIVATE KEY-----", 'api_key = "' + "0123456789abcdef" + '"',
    ],
)  # fmt: skip
def test_secrets_are_found_and_not_repeated(secret):
    (finding,) = guards_repository.secrets({"a.py": f"x = 1\nkey = {secret!r}"})[:1]
    assert finding.startswith("a.py, line 2: holds what looks like")
    assert secret not in finding
    assert (
        guards_repository.secrets({"a.py": "task-force sk-learn hf_name api_key=os.environ['KEY'] tokenizer: x"}) == []
    )


def test_paths_of_one_machine_are_found():
    assert guards_repository.machine_paths({"a.ipynb": "at /" + "home/ann/herds.csv"}) == ["a.ipynb: /" + "home/ann"]
    assert guards_repository.machine_paths({"a.md": "https://example.invalid/home/page and book/work/x"}) == []


def test_blocked_words_are_found_and_not_repeated():
    word = "zorb" + "laxian"
    assert guards_repository.blocked_words({"a.md": f"Herds\nare not {word.upper()}!"}) == [
        "a.md, line 2: holds a word of the block list"
    ]
    assert guards_repository.blocked_words({"a.md": f"herds {word}ish"}) == []


def test_tracked_files_are_read(tmp_path):
    write(tmp_path, {"a.txt": "herd", "_build/b.txt": "no", ".hidden/c.txt": "no"})
    assert [path.name for path in guards_repository.tracked_files(tmp_path)] == ["a.txt"]
    assert ROOT / "pyproject.toml" in guards_repository.tracked_files()
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00")
    assert guards_repository.read_texts([tmp_path / "a.txt", tmp_path / "b.bin"]) == {"a.txt": "herd"}


def test_stale_and_incomplete_studies_are_found(tmp_path):
    (tmp_path / "herd.py").write_text("def compute(seed):\n    return {'onset': 3}\n", encoding="utf-8")
    study = {
        "function": "herd.py:compute", "cells": [{"arguments": {"seed": 1}, "result": {"onset": 3}}],
        "package_version": "0.1.0", "seconds": 1.0, "code_hash": results.code_hash(tmp_path / "herd.py"),
    }  # fmt: skip
    path = tmp_path / "herd.json"

    def faults(**changes):
        path.write_text(json.dumps(study | changes), encoding="utf-8")
        return guards_repository.study_faults(path, results.is_fresh)

    assert faults() == []
    assert faults(code_hash="0" * 64) == ["herd.json: was computed by other code; `make results` computes it again"]
    assert "must hold its arguments with the seed" in faults(cells=[{"arguments": {}, "result": 1}])[0]
    path.write_text(json.dumps({"cells": []}), encoding="utf-8")
    missing = "herd.json: has no code_hash, function, package_version, seconds"
    assert guards_repository.study_faults(path, results.is_fresh) == [missing]


# --- the built site ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.html", '<img src="https://example.invalid/a.png">'),
        ("a.html", '<script src="//example.invalid/a.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="http://example.invalid/a.css">'),
        ("a.html", '<img srcset="a.png 1x, https://example.invalid/b.png 2x">'),
        ("a.html", "<p style=\"background: url('https://example.invalid/a.png')\">"),
        ("a.html", "<style>@import 'https://example.invalid/a.css';</style>"),
        ("a.html", '<script type="importmap">{"imports": {"a": "https://example.invalid/a.js"}}</script>'),
        ("a.html", "<script type=module>import a from 'https://example.invalid/a.js'</script>"),
        ("a.css", "body { background: URL( //example.invalid/a.png ) }"),
        ("a.css", '@import "https://example.invalid/a.css";'),
        ("a.js", "const a = await import(`https://example.invalid/a.js`)"),
        ("a.js", "fetch('https://example.invalid/a.json')"),
    ],
)
def test_external_addresses_are_found(tmp_path, name, source):
    (tmp_path / name).write_text(source, encoding="utf-8")
    assert len(guards_site.external_requests(tmp_path / name, name)) == 1


def test_local_addresses_and_mere_links_pass(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="https://example.invalid">out</a><link rel="canonical" href="https://example.invalid/a">'
        '<img src="_images/a.png"><img src="data:image/png;base64,aa//bb"><script>var x = "http://www.w3.org/svg"</script>',
        encoding="utf-8",
    )
    assert guards_site.external_requests(tmp_path / "a.html", "a.html") == []


@pytest.mark.parametrize(
    ("article", "fault"),
    [
        ("<h1>A</h1><h2>B</h2><h3>C</h3><h2>D</h2>", ""),
        ("<h1>A</h1><h3>C</h3>", "level 3 follows one of level 1"),
        ("<h1>A</h1><h1>B</h1>", "2 first headings"),
        ("<h2>A</h2>", "0 first headings"),
        ('<h1>A</h1><img src="a.png">', "no alt text"),
        ('<h1>A</h1><img src="a.png" alt="../_images/0af3.png">', "no alt text"),
        ('<h1>A</h1><div class="cell_output"><img src="a.png" alt="A herd."></div>', "outside a figure"),
        ('<h1>A</h1><figure><img src="a.png" alt="A herd."></figure>', "no caption"),
        ('<h1>A</h1><figure><img src="a.png" alt="A herd."><figcaption>Herd</figcaption></figure>', ""),
    ],
)
def test_headings_and_pictures_are_checked(article, fault):
    html = f"<h1>Site</h1><article>{article}</article>"
    findings = guards_site.heading_faults(html, "a") + guards_site.picture_faults(html, "a")
    assert any(fault in finding for finding in findings) if fault else findings == []


def test_dead_links_of_the_site_are_found(tmp_path):
    links = '<a href="b.html#x">b</a><a href="#top">up</a><a href="https://example.invalid">o</a><img src="no.png">'
    write(tmp_path, {"part/a.html": links + '<a href="../c%20d.ipynb">c</a><a href="e.html">e</a>', "c d.ipynb": "{}"})
    write(tmp_path, {"part/b.html": ""})
    findings = guards_site.dead_links(tmp_path / "part/a.html", tmp_path)
    assert findings == [f"part/a.html: link to {name}, which is not there" for name in ("e.html", "no.png")]


@pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")
def test_the_browser_sees_what_a_page_asks_for(tmp_path):
    bad = '<img src="http://example.invalid/a.png"><script>fetch("//example.invalid/" + "b")</script>'
    good = '<a href="http://example.invalid/">out</a><img src="a.png"><img src="data:image/png;base64,">'
    write(tmp_path, {"site/bad.html": bad, "site/good.html": good})
    with browser.served(tmp_path / "site") as address, browser.opened(tmp_path / "profile") as chromium:
        asked = {name: browser.outside(chromium.requests(f"{address}/{name}.html")) for name in ("bad", "good")}
    assert sorted(asked["bad"]) == ["http://example.invalid/a.png", "http://example.invalid/b"]
    assert asked["good"] == []
    assert len(guards_site.external_requests(tmp_path / "site/bad.html", "bad.html")) == 2


@pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")
def test_what_a_phone_cuts_off_is_found(tmp_path):
    head = '<meta name="viewport" content="width=device-width, initial-scale=1"><article style="overflow-x: clip">'
    wide = '<span style="display: inline-block; width: 700px">wide</span>'
    write(tmp_path, {"site/bad.html": f"{head}<p>{wide}</p>", "site/good.html": f"{head}<p>narrow</p>"})
    write(tmp_path, {"site/scrolls.html": f'{head}<div style="overflow-x: auto">{wide}</div>'})
    with browser.served(tmp_path / "site") as address, browser.opened(tmp_path / "profile") as chromium:
        found = {name: chromium.cut_off(f"{address}/{name}.html") for name in ("bad", "good", "scrolls")}
    assert found == {"bad": ["span wide"], "good": [], "scrolls": []}


def test_weight_on_the_wire_counts_text_compressed(tmp_path):
    write(tmp_path, {"a.html": "again " * 1_000, "b.woff2": "again " * 1_000})
    assert guards_site.weight(tmp_path.iterdir()) == 12_000
    assert 6_000 < guards_site.weight(tmp_path.iterdir(), wire=True) < 6_200


@pytest.mark.skipif(browser.EXECUTABLE is None, reason="no Chromium on this machine")
def test_what_is_wider_than_its_page_is_seen(tmp_path):
    rows = "<pre style='overflow-x: auto; width: 30rem'>{}</pre>"
    wide, narrow, folded = (rows.format(words) for words in ("wide " * 40, "narrow", "folded " * 40))
    cut_off = "<p style='width: 3000px'>x</p>"
    page = f"<!doctype html><article>{wide}{narrow}<details><summary>s</summary>{folded}</details>{cut_off}"
    (tmp_path / "planted.html").write_text(page, encoding="utf-8")
    with browser.opened(tmp_path / "profile") as chromium:
        found = chromium.overflowing((tmp_path / "planted.html").as_uri())
    assert [part.split()[0] for part in found] == ["pre:", "pre:", "p"]


def test_printed_lines_hang_and_colours_over_several_lines_are_left_alone():
    head = '<div class="output stream highlight-myst-ansi notranslate"><div class="highlight"><pre><span></span>'
    lines = '<span class="line">a <span>b</span>\n</span><span class="line">c\n</span>'
    assert fitting_site.hang(f"{head}a <span>b</span>\nc\n</pre>") == f"{head}{lines}</pre>"
    assert fitting_site.hang(f"{head}a <span>b\nc</span>\n</pre>") == f"{head}a <span>b\nc</span>\n</pre>"


def test_a_ledger_stays_a_table_for_those_who_hear_it():
    cards = fitting_site.as_cards('<table class="ledger table"><tr><td>a</td></tr></table><table><tr></tr></table>')
    row = '<tr role="row"><td role="cell">a</td></tr>'
    assert cards == f'<table role="table" class="ledger table">{row}</table><table><tr></tr></table>'
