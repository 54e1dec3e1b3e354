"""Execute every notebook of the book in place, two at a time, and save its outputs.

What is saved depends on the cells alone: no run times, no widget state, no version of the interpreter.

    python book/_tools/execute.py [notebook ...]
"""

import sys
import time
from pathlib import Path

import export
import nbformat
from joblib import Parallel, delayed
from nbclient import NotebookClient

TIMEOUT_S = 60
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def execute(path: Path, save: bool = True) -> float:
    """Execute one notebook, save it unless told not to, and return the seconds it took."""
    start = time.perf_counter()
    notebook = nbformat.read(path, 4)
    NotebookClient(
        notebook, timeout=TIMEOUT_S, kernel_name=KERNEL["name"], resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    if save:
        nbformat.write(stable(notebook), path)
    return time.perf_counter() - start


def stable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what changes from run to run or from machine to machine."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _merge_streams(cell.outputs)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = KERNEL
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def _merge_streams(outputs: list) -> list:
    """Outputs in which neighbouring pieces of one stream are one: where the kernel cuts it depends on its speed."""
    merged = []
    for output in outputs:
        if merged and output.output_type == "stream" and output.name == merged[-1].get("name"):
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def main(names: list[str]) -> None:
    """Execute the named notebooks, or all."""
    paths = [Path(name).resolve() for name in names] or export.pages(export.ROOT / "book", ".ipynb")
    runs = Parallel(n_jobs=2, return_as="generator")(delayed(execute)(path) for path in paths)
    for path, seconds in zip(paths, runs, strict=True):
        print(f"executed {path.relative_to(export.ROOT)} in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
