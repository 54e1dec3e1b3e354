"""Measure how long each notebook takes, one after the other, and add a column to `book/reference/run-times.csv`.

    python book/_tools/run_times.py     a few minutes; nothing else should run on the machine

A column is one measurement of the whole book: the version of the package and the date. The last few are kept.
"""

import csv
from datetime import date
from pathlib import Path

import execute
import export

import llma_tutorial

TABLE = export.ROOT / "book/reference/run-times.csv"
LIMIT = 30.0  # seconds for one chapter; the aim is 20, and 8 for most
KEPT = 5  # measurements


def read(table: Path) -> dict[str, dict[str, str]]:
    """Seconds by chapter and measurement; nothing if there is no table yet."""
    if not table.exists():
        return {}
    with table.open(encoding="utf-8", newline="") as lines:
        return {row.pop("chapter"): row for row in csv.DictReader(lines)}


def write(table: Path, name: str, seconds: dict[str, float]) -> None:
    """Add the measurement `name`; chapters that are gone lose their row."""
    before = read(table)
    kept = [column for column in dict.fromkeys(c for row in before.values() for c in row) if column != name]
    columns = [*kept[len(kept) - KEPT + 1 :], name] if len(kept) >= KEPT else [*kept, name]
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["chapter", *columns], restval="", extrasaction="ignore", lineterminator="\n")
        rows.writeheader()
        for chapter, value in seconds.items():
            rows.writerow({"chapter": chapter, **before.get(chapter, {}), name: f"{value:.1f}"})


def faults(table: Path, chapters: list[str]) -> list[str]:
    """Chapters without a row, and chapters over the limit in the newest measurement."""
    rows = read(table)
    missing = [f"{chapter}: not measured" for chapter in chapters if chapter not in rows]
    newest = {chapter: list(row.values())[-1] for chapter, row in rows.items()}
    return missing + [f"{chapter}: {value} s" for chapter, value in newest.items() if float(value or 0) > LIMIT]


def chapters() -> dict[str, Path]:
    """Notebooks by their place in the book."""
    book = export.ROOT / "book"
    return {path.relative_to(book).with_suffix("").as_posix(): path for path in export.pages(book, ".ipynb")}


def main() -> None:
    """Measure all."""
    seconds = {}
    for chapter, path in chapters().items():
        _, seconds[chapter] = execute.execute(path)
        print(f"{chapter}: {seconds[chapter]:.1f} s", flush=True)
    write(TABLE, f"{llma_tutorial.__version__}, {date.today()}", seconds)


if __name__ == "__main__":
    main()
