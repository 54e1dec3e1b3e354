"""The pages of the package: every public module is described, docstrings survive, names lead there and back."""

import re
from importlib import import_module

import api_pages
import pytest
from book.pages import ROOT
from bs4 import BeautifulSoup

import llma_tutorial

SITE = ROOT / "_build/html"
ROOMS = ("reading", "one_agent", "many_agents", "control")
TOP = ("beliefs", "plots", "results", "exercises")


def public_modules():
    """Modules that readers import: those at the top, and what the rooms offer."""
    rooms = [f"{room}.{name}" for room in ROOMS for name in import_module(f"llma_tutorial.{room}").__all__]
    return {f"llma_tutorial.{name}" for name in (*TOP, *rooms)}


def described(folder):
    return re.findall(r"^\.\. api:: (\S+)$", "\n".join(p.read_text() for p in folder.glob("api*.md")), re.MULTILINE)


def test_every_public_module_is_described_once():
    found = described(ROOT / "book/reference")
    assert len(found) == len(set(found))
    assert public_modules() <= set(found)
    assert set(llma_tutorial.__all__) <= {*ROOMS, *TOP, "__version__"}


def test_a_module_that_is_not_described_is_seen(tmp_path):
    (tmp_path / "api.md").write_text("```{eval-rst}\n.. api:: llma_tutorial.beliefs\n```\n")
    assert described(tmp_path) == ["llma_tutorial.beliefs"]
    assert "llma_tutorial.plots" in public_modules() - set(described(tmp_path))


def test_words_of_a_docstring_are_escaped_and_formulas_left_alone():
    found = api_pages.prose("A law p(a | x) of `x`, q_:\n    p * q = |u|\nand *so* on.")
    assert found == [r"A law p(a \| x) of ``x``, q\_:", "", "::", "", "    p * q = |u|", "", r"and \*so\* on."]


def test_chapters_become_links():
    assert api_pages.chapters(["In ``many-agents/cascades``, not ``many_agents``."]) == [
        "In :doc:`/book/many-agents/cascades`, not ``many_agents``."
    ]


def unlinked(html, names):
    """Full names of described things in code type that lead nowhere."""
    codes = BeautifulSoup(html, "html.parser").select("code.literal")
    return [code.text for code in codes if code.text.removesuffix("()") in names and code.find_parent("a") is None]


@pytest.mark.skipif(not (SITE / "index.html").exists(), reason="the site is not built: run `make book`")
def test_names_in_chapters_lead_to_their_description():
    names = {f"{module}.{name}" for module in public_modules() for name in api_pages.public(import_module(module))}
    pages = {path: path.read_text(encoding="utf-8") for path in SITE.glob("book/*/*.html")}
    assert {path.name: found for path, html in pages.items() if (found := unlinked(html, names))} == {}
    assert (
        "api-many-agents.html#llma_tutorial.many_agents.social.exact_law"
        in pages[SITE / "book/many-agents/cascades.html"]
    )
    assert "../many-agents/cascades.html" in pages[SITE / "book/reference/api-many-agents.html"]


def test_a_name_that_leads_nowhere_is_seen():
    html = '<code class="literal">a.b</code> <a href="x"><code class="literal">a.b()</code></a>'
    assert unlinked(html, {"a.b"}) == ["a.b"]
