"""No byte of a solution is in what is published: homework, pages, site, wheel, source distribution."""

import shutil
import subprocess
import sys
from pathlib import Path

import editions
import master as masters
import pytest
import yaml
from coursework.leaks import CANARY, leaks, solutions

ROOT = editions.ROOT
PUBLISHED = ("_config.yml", "README.md", "LICENSE", "LICENSE-text", "pyproject.toml", "llma_tutorial", "book")
PLANTS = {
    "a canary": f"Nothing to see here, {CANARY}-planted.",
    "a line of a solution": "```python\nnp.add.at(counts, (np.asarray(states), np.asarray(symbols)), 1)\n```",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What a clone holds that matters to a build."""
    target = tmp_path_factory.mktemp("clone")
    forgotten = shutil.ignore_patterns("__pycache__", ".*", "_build")
    for name in PUBLISHED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, target / name, **({"ignore": forgotten} if copy is shutil.copytree else {}))
    return target


def built(source, kind):
    command = f"import hatchling.build as b; print(b.build_{kind}('dist'))"
    subprocess.run([sys.executable, "-c", command], cwd=source, check=True, capture_output=True)
    return sorted((source / "dist").glob({"wheel": "*.whl", "sdist": "*.tar.gz"}[kind]))[-1]


def site(clone, target):
    """The pages of the coursework as a site, sources shown; masters lie beside them and are left out by name."""
    pages = sorted(path.stem for path in (clone / "book/coursework").glob("problem-set-*.md"))
    (clone / "book/coursework/index.md").write_text("# All\n\n```{toctree}\n" + "\n".join(pages) + "\n```\n")
    settings = {"nb_execution_mode": "off", "exclude_patterns": "instructor/**", "extensions": "myst_nb"}
    options = [part for key, value in settings.items() for part in ("-D", f"{key}={value}")]
    command = [sys.executable, "-m", "sphinx", "-C", "-q", *options, str(clone / "book/coursework"), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def test_masters_hold_what_is_searched_for():
    assert len(solutions()) > 30
    assert len(leaks(masters.MASTERS)) > 10 * len(masters.names())


def test_homework_holds_no_solution(tmp_path):
    for name in masters.names():
        editions.lay_out(masters.read(name), tmp_path, "open")
    assert sorted(path.suffix for path in tmp_path.rglob("*.*")).count(".ipynb") == len(masters.names())
    assert leaks(tmp_path) == []
    planted = tmp_path / masters.names()[0] / "tests/q1.py"
    planted.write_text(planted.read_text() + f"# {CANARY}-planted\n")
    assert leaks(tmp_path) == [f"{tmp_path.name}/{masters.names()[0]}/tests/q1.py: holds a canary"]


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_archives_hold_no_solution(source, kind):
    assert leaks(built(source, kind)) == []


def test_a_solution_in_the_package_or_beside_it_is_found(source, tmp_path):
    clone = tmp_path / "clone"
    shutil.copytree(source, clone)
    shutil.copy(masters.MASTERS / "problem-set-1.ipynb", clone / "book/coursework")
    (clone / "llma_tutorial/answers.py").write_text(masters.read("problem-set-1").questions["q4"].answer)
    assert any("book/coursework/problem-set-1.ipynb: holds" in found for found in leaks(built(clone, "sdist")))
    assert any("llma_tutorial/answers.py: holds" in found for found in leaks(built(clone, "wheel")))


def test_pages_and_the_site_made_of_them_hold_no_solution(source, tmp_path):
    clone = tmp_path / "clone"
    shutil.copytree(source, clone)
    html = site(clone, tmp_path / "clean")
    assert (html / "searchindex.js").exists()
    assert len(list((html / "_sources").glob("problem-set-*"))) == len(masters.names())
    assert leaks(html, *(clone / "book/coursework").glob("*.md")) == []
    page = clone / "book/coursework/problem-set-1.md"
    page.write_text(page.read_text() + "".join(f"\n\n{text}\n" for text in PLANTS.values()))
    found = leaks(site(clone, tmp_path / "planted"))
    for place in (
        "problem-set-1.html: holds 'np.add",
        "_sources/problem-set-1.md.txt: holds 'np.add",
        "searchindex.js: holds a canary",
    ):
        assert any(place in name for name in found), found


@pytest.mark.skipif(not (ROOT / "_build/html").exists(), reason="the book has not been built")
def test_the_built_book_holds_no_solution():
    assert leaks(ROOT / "_build/html") == []


def test_masters_are_left_out_by_name():
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert masters.MASTERS.relative_to(ROOT).as_posix() in settings["exclude_patterns"]
    assert not any("coursework/instructor" in line for line in (ROOT / "_toc.yml").read_text().splitlines())
    assert Path(masters.MASTERS).is_dir()
