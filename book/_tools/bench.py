"""Run times against their limits: every `tests/bench/bench_*.py` has `measure() -> [(what, value, unit, limit), ...]`.

python book/_tools/bench.py     prints a table; fails if a value is over its limit
"""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows(path: Path) -> list[tuple[str, float, str, float]]:
    """What one benchmark file measures."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.measure()


def main(folder: Path) -> int:
    """Print a line for each measurement; the exit status says whether one is over its limit."""
    over = 0
    print(f"{'measured':<66} {'value':>10} {'limit':>10}")
    for path in sorted(folder.glob("bench_*.py")):
        for what, value, unit, limit in rows(path):
            over += value > limit
            mark = "  OVER" if value > limit else ""
            shown = "none" if limit == float("inf") else f"{limit:.3g}"
            print(f"{what:<66} {value:>10.3g} {shown:>10} {unit}{mark}", flush=True)
    if over:
        print(f"Every measurement must stay within its limit. Got {over} over it.")
    return int(over > 0)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    sys.exit(main(ROOT / "tests/bench"))
