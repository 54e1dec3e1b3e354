"""The command line.

python -m llma_tutorial audit log.csv [--html report.html]      (`many-agents/audit-a-log`)
python -m llma_tutorial fetch [smollm2|reviews ...] [--check]   (`reference/data-sets`)
"""

from __future__ import annotations

import argparse
import base64
import html
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llma_tutorial.many_agents.audit import Report

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Audit of {name}</title>
<style>
body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }}
pre {{ white-space: pre-wrap; line-height: 1.4 }} img {{ max-width: 100% }}
</style></head>
<body>
<h1>Audit of {name}</h1>
<pre>{text}</pre>
{figure}
</body>
</html>
"""


def page(report: Report, name: str) -> str:
    """One self-contained HTML page: it loads nothing, and what came with the log is escaped."""
    return PAGE.format(name=html.escape(name), text=html.escape(str(report)), figure=_figure(report))


def _figure(report: Report) -> str:
    if not report.effects:
        return ""
    import matplotlib

    matplotlib.use("Agg")
    from llma_tutorial import plots

    plots.use_style()
    figure, ax = plots.panels()
    plots.own_information(ax, report.effects, report.margin)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    encoded = base64.b64encode(picture.getvalue()).decode()
    alt = "Effect of own information on following the leading action, with intervals, by the lead of that action."
    return f'<img alt="{alt}" src="data:image/png;base64,{encoded}">'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if it did what was asked, 1 if its input was refused."""
    parser = argparse.ArgumentParser(prog="python -m llma_tutorial", description="Tools of the book for the shell.")
    commands = parser.add_subparsers(dest="command", required=True)
    audit = commands.add_parser(
        "audit", help="herding, measured from a decision log", description="Is this log of decisions herding?"
    )
    audit.set_defaults(run=_audit)
    audit.add_argument("log", help="CSV file with the columns run, order, action[, signal][, truth]")
    audit.add_argument("--html", metavar="FILE", help="also write the report, with its figure, as one HTML page")
    audit.add_argument("--margin", type=float, default=0.1, help="largest effect that counts as none (default 0.1)")
    audit.add_argument("--level", type=float, default=0.95, help="coverage of the intervals (default 0.95)")
    fetching = commands.add_parser(
        "fetch", help="a real language model and real texts", description="Fetch what the book reads, once."
    )
    fetching.set_defaults(run=_fetch)
    fetching.add_argument("names", nargs="*", metavar="NAME", help="smollm2 or reviews (default: both)")
    fetching.add_argument("--check", action="store_true", help="fetch nothing, compare what is there with its hashes")
    chosen = parser.parse_args(arguments)
    return chosen.run(chosen)


def _audit(chosen: argparse.Namespace) -> int:
    from llma_tutorial.many_agents.audit import report

    try:
        found = report(chosen.log, margin=chosen.margin, level=chosen.level)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(found)
    if chosen.html:
        Path(chosen.html).write_text(page(found, Path(chosen.log).name), encoding="utf-8")
    return 0


def _fetch(chosen: argparse.Namespace) -> int:
    from llma_tutorial import fetch

    names = chosen.names or list(fetch.SOURCES)
    try:
        if chosen.check:
            return 1 if fetch.check(names) else 0
        fetch.fetch(names)
        if "smollm2" in names:
            from llma_tutorial.reading.models.pretrained_models import converted

            print(f"smollm2: opens from {converted('smollm2')}")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: nothing half-fetched is kept. The same command starts again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
