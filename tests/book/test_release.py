"""A release holds what it should, nothing else, and its checksums say so; links to Colab lead to what is published."""

import hashlib
import re
import shutil
import zipfile

import export
import nbformat
import pytest
import release
import yaml
from book.pages import ROOT

from book import guards_links

NUMBER = release.version()
WHEEL, SOURCE, SITE, NOTEBOOKS = release.names(NUMBER)
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="  # one pixel
FILES = {
    "llma_tutorial/__init__.py": "",
    "llma_tutorial/weights.safetensors": "weights",
    "book/_results/study.json": "{}",
    "book/coursework/instructor/set.ipynb": "{}",
    "requirements.txt": "",
    "Makefile": "",
    "_build/html/index.html": "",
    "_build/html/book/intro.html": "",
    "_build/html/book/part/page.html": "A page.",
    "_build/html/notebooks/part/page.ipynb": "{}",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A small project with the settings of this one, and the folder of its release."""
    root = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, root)
    (root / "book/part").mkdir()
    drawn = nbformat.v4.new_output("display_data", {"image/png": PICTURE})
    cells = [nbformat.v4.new_markdown_cell("# A page"), nbformat.v4.new_code_cell("draw()", outputs=[drawn])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "book/part/page.ipynb")
    release.build(root, root / "_build/release")
    return root, root / "_build/release"


@pytest.fixture
def copied(built, tmp_path):
    """The release in a folder where it may be damaged."""
    root, folder = built
    return root, shutil.copytree(folder, tmp_path / "release")


def written(folder):
    """Write the checksums again, after a file was changed on purpose."""
    (folder / release.SUMS).write_text(release.checksums(folder, release.names(NUMBER)))


def test_a_release_is_complete_and_its_checksums_hold(built):
    root, folder = built
    assert release.faults(root, folder) == []
    assert sorted(path.name for path in folder.iterdir()) == sorted((*release.names(NUMBER), release.SUMS))
    lines = (folder / release.SUMS).read_text().splitlines()
    assert lines[2] == f"{hashlib.sha256((folder / SITE).read_bytes()).hexdigest()}  {SITE}"
    assert zipfile.ZipFile(folder / SITE).read(f"book-html-{NUMBER}/book/part/page.html") == b"A page."
    assert "llma_tutorial/_results/study.json" in release.members(folder / WHEEL)
    assert PICTURE in zipfile.ZipFile(folder / NOTEBOOKS).read(f"notebooks-{NUMBER}/part/page.ipynb").decode()


def test_the_same_files_make_the_same_bytes(built, tmp_path):
    root, folder = built
    release.build(root, tmp_path / "again")
    assert (tmp_path / "again" / release.SUMS).read_text() == (folder / release.SUMS).read_text()


def test_a_missing_file_is_seen(copied):
    root, folder = copied
    (folder / NOTEBOOKS).unlink()
    assert release.faults(root, folder) == [f"{NOTEBOOKS} is missing"]


def test_a_wrong_checksum_is_seen(copied):
    root, folder = copied
    text = (folder / release.SUMS).read_text()
    (folder / release.SUMS).write_text(("1" if text[0] == "0" else "0") + text[1:])
    assert release.faults(root, folder) == [f"{WHEEL} is not what SHA256SUMS says"]


def test_a_file_without_checksum_is_seen(copied):
    root, folder = copied
    lines = (folder / release.SUMS).read_text().splitlines(keepends=True)
    (folder / release.SUMS).write_text("".join(lines[:-1]))
    assert release.faults(root, folder) == [f"SHA256SUMS does not list {NOTEBOOKS}"]


def test_a_file_of_another_version_is_seen(copied):
    root, folder = copied
    (folder / "notebooks-0.0.1.zip").write_text("")
    assert release.faults(root, folder) == [f"notebooks-0.0.1.zip does not belong to version {NUMBER}"]


@pytest.mark.parametrize(
    ("name", "lost"),
    [(WHEEL, "llma_tutorial/weights.safetensors"), (SITE, "book/part/page.html"), (NOTEBOOKS, "part/page.ipynb")],
)
def test_a_lack_in_an_archive_is_seen(copied, name, lost):
    root, folder = copied
    with zipfile.ZipFile(folder / name) as whole:
        kept = {member: whole.read(member) for member in whole.namelist() if not member.endswith(lost)}
    with zipfile.ZipFile(folder / name, "w") as poorer:
        for member, content in kept.items():
            poorer.writestr(member, content)
    written(folder)
    assert release.faults(root, folder) == [f"{name} lacks {lost}"]


def test_a_master_in_an_archive_is_seen(copied):
    root, folder = copied
    with zipfile.ZipFile(folder / SITE, "a") as site:
        site.writestr("site/_sources/book/coursework/instructor/set.ipynb", "{}")
    written(folder)
    assert release.faults(root, folder) == [f"{SITE} holds _sources/book/coursework/instructor/set.ipynb"]


def test_a_tag_of_another_version_is_refused(capsys):
    assert release.main("v0.0.1") == 1
    assert capsys.readouterr().out == f"The tag must be that of the version, v{NUMBER}. Got v0.0.1.\n"


def test_no_release_without_a_site(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `make book`"):
        release.build(tmp_path, tmp_path / "release")


# --- Colab ----------------------------------------------------------------------------------------------------------

BUILT = ROOT / "_build/html"
OPEN = re.compile(r"https://colab\.research\.google\.com/github/([^\"/]+/[^\"/]+)/blob/([^\"/]+)/([^\"]+)")


def colab_faults(page, name, site):
    """What is wrong with the way from the page of a notebook to Colab: repository, branch, file."""
    links = OPEN.findall(page)
    repository = export.repository().removeprefix("https://github.com/")
    expected = (repository, "gh-pages", f"notebooks/{name}.ipynb")
    found = [f"{name}: leads to {'/'.join(link)}" for link in links if link != expected]
    if not links:
        found.append(f"{name}: has no link to Colab")
    elif not (site / expected[2]).is_file():
        found.append(f"{name}: {expected[2]} is not part of the site")
    elif nbformat.read(site / expected[2], 4).cells[0].id != "install":
        found.append(f"{name}: its plain copy does not install the package first")
    return found


@pytest.mark.skipif(not (BUILT / "index.html").exists(), reason="the site is not built: run `make book`")
def test_links_to_colab_lead_to_exported_notebooks():
    toc = guards_links.toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    names = [name for name in toc if (ROOT / f"{name}.ipynb").exists() and (BUILT / f"{name}.html").exists()]
    assert len(names) > 15
    pages = {name.removeprefix("book/"): (BUILT / f"{name}.html").read_text(encoding="utf-8") for name in names}
    assert [fault for name, page in pages.items() for fault in colab_faults(page, name, BUILT)] == []


def test_the_branch_that_colab_reads_is_the_site():
    steps = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text())["jobs"]["deploy"]["steps"]
    publish = steps[-1]["run"]
    assert "cd _build/html\n" in publish
    assert "git init -q -b gh-pages\n" in publish


def test_wrong_links_to_colab_are_seen(tmp_path):
    plain = nbformat.v4.new_notebook(cells=[export.install_cell()])
    (tmp_path / "notebooks/part").mkdir(parents=True)
    nbformat.write(plain, tmp_path / "notebooks/part/page.ipynb")
    place = f"{export.repository().removeprefix('https://github.com/')}/blob/gh-pages/notebooks"
    good = f'<a href="https://colab.research.google.com/github/{place}/part/page.ipynb">'
    assert colab_faults(good, "part/page", tmp_path) == []
    assert "has no link" in colab_faults("", "part/page", tmp_path)[0]
    assert "leads to" in colab_faults(good.replace("gh-pages", "main"), "part/page", tmp_path)[0]
    assert "is not part" in colab_faults(good.replace("page", "other"), "part/other", tmp_path)[-1]
    plain.cells[0].id = "other"
    nbformat.write(plain, tmp_path / "notebooks/part/page.ipynb")
    assert "does not install" in colab_faults(good, "part/page", tmp_path)[0]
