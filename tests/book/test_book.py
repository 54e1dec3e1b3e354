"""The sources of the book keep the conventions: each guard over each page."""

import pytest
import results
import yaml
from book.pages import ROOT, page_files, read_book, read_page

from book import guards_chapter, guards_ledger, guards_links, guards_notebook, guards_numbers, guards_repository

PAGES = read_book()
PLAIN = [path for folder in ("_build/notebooks", "_build/html/notebooks") for path in (ROOT / folder).rglob("*.ipynb")]
DOCUMENTS = [path for path in sorted(ROOT.glob("*.md")) if path.is_file()]
PAGE_GUARDS = (
    guards_notebook.stored_errors,
    guards_notebook.shell_and_network,
    guards_notebook.page_randomness,
    guards_notebook.long_functions,
    guards_notebook.figures_without_words,
    guards_notebook.unheld_outputs,
    guards_notebook.glued,
    guards_numbers.unheld_numbers,
    guards_numbers.unused_definitions,
    guards_links.broken_links,
)
CHAPTER_GUARDS = (
    guards_chapter.missing_parts,
    guards_chapter.unchecked_sections,
    guards_chapter.exercise_faults,
    guards_notebook.unfolded,
)
FILE_GUARDS = (guards_repository.secrets, guards_repository.machine_paths, guards_repository.blocked_words)


@pytest.fixture(scope="module")
def texts():
    return guards_repository.read_texts(guards_repository.tracked_files())


@pytest.mark.parametrize("guard", PAGE_GUARDS, ids=lambda guard: guard.__name__)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_page(page, guard):
    assert guard(page) == []


@pytest.mark.parametrize("guard", CHAPTER_GUARDS, ids=lambda guard: guard.__name__)
@pytest.mark.parametrize("page", [page for page in PAGES if page.is_chapter], ids=lambda page: page.path)
def test_chapter(page, guard):
    assert guard(page) == []


def test_every_page_is_in_the_table_of_contents():
    assert guards_links.toc_faults(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))) == []


def test_figure_names_are_unique():
    assert guards_notebook.figure_names_used_twice(PAGES) == []


def test_references_resolve():
    assert guards_links.broken_references(PAGES, (ROOT / "book/references.bib").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_link_to_what_exists(path):
    assert guards_links.broken_links(read_page(path)) == []


def test_every_theorem_has_its_row_and_every_row_its_test():
    assert guards_ledger.ledger_faults(read_page(ROOT / "book/reference/theorem-ledger.md"), PAGES) == []


def test_the_paper_map_is_honest():
    assert guards_ledger.paper_map_faults(read_page(ROOT / "book/reference/paper-map.md")) == []


def test_notation_is_that_of_the_package():
    known = guards_ledger.signatures(ROOT / "llma_tutorial")
    assert guards_ledger.notation_faults(read_page(ROOT / "book/reference/notation.md"), known) == []


@pytest.mark.parametrize("path", sorted((ROOT / "llma_tutorial").rglob("*.py")), ids=lambda path: path.stem)
def test_package_has_no_unseeded_randomness(path):
    assert guards_notebook.unseeded(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("guard", FILE_GUARDS, ids=lambda guard: guard.__name__)
def test_tracked_files(texts, guard):
    assert guard(texts) == []


@pytest.mark.parametrize("path", sorted((ROOT / "book/_results").glob("*.json")), ids=lambda path: path.stem)
def test_saved_studies_are_fresh(path):
    assert guards_repository.study_faults(path, results.is_fresh) == []


def test_every_study_is_saved():
    scripts = (ROOT / "book/_results").glob("*.py")
    assert [script.name for script in scripts if not script.with_suffix(".json").exists()] == []


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_exported_notebooks_are_plain(path):
    assert guards_links.raw_directives(read_page(path)) == []


def test_the_book_has_pages():
    assert len(page_files()) >= 5
    assert any(page.is_chapter for page in PAGES)
