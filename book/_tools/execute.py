"""Execute the notebooks of the book, two at a time; one execution serves the pages, the site and the tests.

What is saved depends on the cells alone: no run times, no widget state, no version of the interpreter.
The site takes outputs from a cache in `_build`, which knows a notebook by its code cells. The cache belongs to one
state of package, studies and installed libraries; it is emptied when that changes.

    python book/_tools/execute.py [notebook ...]     all, or those named: in place, and into the cache
    python book/_tools/execute.py --missing          those that the cache lacks, into the cache alone
"""

import hashlib
import shutil
import sys
import time
from pathlib import Path

import export
import nbformat
from joblib import Parallel, delayed
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from nbclient import NotebookClient

TIMEOUT_S = 600  # for one cell: it ends what hangs, and is far above what a busy machine needs
CACHE = export.ROOT / "_build/.jupyter_cache"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def execute(path: Path) -> tuple[nbformat.NotebookNode, float]:
    """One notebook with its outputs, and the seconds that it took."""
    start = time.perf_counter()
    notebook = nbformat.read(path, 4)
    NotebookClient(
        notebook, timeout=TIMEOUT_S, kernel_name=KERNEL["name"], resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    return stable(notebook), time.perf_counter() - start


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


# --- the cache ------------------------------------------------------------------------------------------------------


def state(root: Path = export.ROOT) -> str:
    """Hash of all that the outputs of a notebook depend on besides its cells."""
    digest = hashlib.sha256(sys.version.encode())
    kinds = (".py", ".json", ".csv", ".txt", ".safetensors", ".jinja")
    inside = (path for folder in ("llma_tutorial", "book/_results") for path in (root / folder).rglob("*"))
    for path in sorted([root / "requirements.txt", *(path for path in inside if path.suffix in kinds)]):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def cache(folder: Path = CACHE, now: str | None = None) -> JupyterCacheAbstract:
    """The cache, empty if it was filled in another state."""
    now, mark = now or state(), folder / "state.txt"
    if not mark.exists() or mark.read_text() != now:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        mark.write_text(now)
    return get_cache(folder)


def is_kept(kept: JupyterCacheAbstract, path: Path) -> bool:
    """Whether the cache holds the outputs of a notebook."""
    try:
        kept.match_cache_notebook(nbformat.read(path, 4))
    except KeyError:
        return False
    return True


def keep(kept: JupyterCacheAbstract, path: Path, notebook: nbformat.NotebookNode, seconds: float = 0.0) -> None:
    """Put an executed notebook into the cache."""
    bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
    kept.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def main(names: list[str]) -> None:
    """Execute the named notebooks, or all, or those that the cache lacks."""
    missing = names == ["--missing"]
    kept = cache()
    if missing or not names:
        paths = export.pages(export.ROOT / "book", ".ipynb")
    else:
        paths = [Path(name).resolve() for name in names]
    if missing:
        paths = [path for path in paths if not is_kept(kept, path)]
    runs = Parallel(n_jobs=2, return_as="generator")(delayed(execute)(path) for path in paths)
    for path, (notebook, seconds) in zip(paths, runs, strict=True):
        keep(kept, path, notebook, seconds)
        if not missing:
            nbformat.write(notebook, path)
        print(f"executed {path.relative_to(export.ROOT)} in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
