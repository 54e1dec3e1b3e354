"""Guards over the two tables that promise something about the code: the theorem ledger and the notation."""

import ast
import importlib
import re
from pathlib import Path

from book.guards_links import broken_links, proof_labels
from book.pages import ROOT, Page

COLUMNS = ["id", "statement", "source", "chapter", "function", "test"]
MAP_COLUMNS = ["item", "content", "chapter", "function", "test", "status"]
STATUSES = ("reproduced", "reproduced with other data", "illustrated", "not checked against the text")
LEDGER_KINDS = ("theorem", "lemma", "proposition", "corollary")
SYNONYMS = re.compile(r"[a-zA-Z]|pi|eta|lam|lambda_|rho|sigma|theta")
ALLOWED = {"n", "p", "q", "x", "y", "theta"}  # a count of draws; two beliefs in an order; axes; parameters of a policy


def table(text: str, columns: list[str]) -> tuple[list[list[str]], list[str]]:
    """Rows of the one table with these columns, and what is wrong with its form."""
    lines = [line.strip() for line in text.splitlines()]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    heads = [at for at, row in enumerate(rows) if row == columns]
    if len(heads) != 1:
        return [], [f"must hold one table with the columns {', '.join(columns)}. Got {len(heads)}."]
    rows = rows[heads[0] + 2 :]
    return rows, [f"row {row[0]} has {len(row)} cells, not {len(columns)}" for row in rows if len(row) != len(columns)]


def ledger_faults(ledger: Page, pages: list[Page], root: Path = ROOT) -> list[str]:
    """Theorems without a row, rows without a theorem, a function or a test that runs."""
    rows, found = table(ledger.text, COLUMNS)
    rows = [row for row in rows if len(row) == len(COLUMNS)]
    labels = {label: page.path for page in pages for label in proof_labels(page, LEDGER_KINDS)}
    ids = [row[0].strip("`") for row in rows]
    found += [
        f"{path}: theorem {label or 'without a label'} has no row" for label, path in labels.items() if label not in ids
    ]
    found += [f"row {name} stands twice" for name in sorted(set(ids)) if ids.count(name) > 1]
    found += [f"row {name}: ids begin with thm- or check-" for name in ids if not name.startswith(("thm-", "check-"))]
    for name, row in zip(ids, rows, strict=True):
        found += [f"row {name}: {fault}" for fault in row_faults(name, row, labels.get(name), ledger.path, root)]
    return [*found, *broken_links(ledger, root)]


def row_faults(name: str, row: list[str], home: str | None, ledger_path: str, root: Path) -> list[str]:
    """What is wrong with one row, whose theorem stands on the page `home`."""
    found = ["no such theorem in the book"] * (name.startswith("thm-") and home is None)
    link = re.search(r"\]\(([^)#]+)", row[3])
    target = (root / ledger_path).parent.joinpath(link[1]).resolve() if link else None
    if name.startswith("thm-") and home and target != (root / home).resolve():
        found.append(f"the theorem stands in {home}, which its chapter does not link to")
    found += ["no statement"] * (not row[1]) + ["no source"] * (not row[2])
    functions, tests = (re.findall(r"`([^`]+)`", row[column]) for column in (4, 5))
    found += ["names no function"] * (not functions) + ["names no test"] * (not tests)
    found += [f"{function} is not a function of the package" for function in functions if not is_function(function)]
    return found + [fault for test in tests for fault in faults_of_test(test, root)]


def paper_map_faults(paper_map: Page, root: Path = ROOT) -> list[str]:
    """Rows of the paper map without an honest status, and rows that claim something and point nowhere."""
    rows, found = table(paper_map.text, MAP_COLUMNS)
    for item, _, chapter, function, test, status in (row for row in rows if len(row) == len(MAP_COLUMNS)):
        links = [bool(re.search(sign, cell)) for sign, cell in ((r"\]\(", chapter), ("`", function), ("`", test))]
        found += [f"row {item}: status {status!r} is none of {', '.join(STATUSES)}"] * (status not in STATUSES)
        found += [f"row {item}: lacks a chapter, function or test"] * (status in STATUSES[:3] and not all(links))
        names, tests = (re.findall(r"`([^`]+)`", cell) for cell in (function, test))
        found += [f"row {item}: {name} is not a function of the package" for name in names if not is_function(name)]
        found += [f"row {item}: {fault}" for name in tests for fault in faults_of_test(name, root)]
    return [*found, *broken_links(paper_map, root)]


def is_function(dotted: str) -> bool:
    """Whether a dotted name leads to something of the package that can be called."""
    parts = dotted.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for part in parts[split:]:
            value = getattr(value, part, None)
        return parts[0] == "llma_tutorial" and callable(value)
    return False


def faults_of_test(test: str, root: Path) -> list[str]:
    """Why a test named as `file::function` would not run."""
    file, _, name = test.partition("::")
    if not (root / file).is_file():
        return [f"{file} does not exist"]
    module = ast.parse((root / file).read_text(encoding="utf-8"))
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not functions or not name.startswith("test_"):
        return [f"{file} has no test {name}"]
    marks = [ast.unparse(mark) for mark in functions[-1].decorator_list]
    marks += [ast.unparse(node.func) for node in ast.walk(functions[-1]) if isinstance(node, ast.Call)]
    marks += [
        ast.unparse(node.value) for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]  # fmt: skip
    skipped = any(re.search(r"\b(skip|skipif|xfail|importorskip)\b", mark) for mark in marks)
    return [f"{test} is skipped or expected to fail"] * skipped


def signatures(folder: Path) -> dict[str, dict[str, str]]:
    """Arguments and fields of all public functions and classes, each with what its docstring says about it."""
    found, files = {}, sorted(folder.rglob("*.py"))
    modules = [(file, ast.parse(file.read_text(encoding="utf-8")).body) for file in files]
    exported = {name for file, body in modules if file.stem[0] != "_" for name in _exports(body)}
    for file, body in modules:
        module = ".".join(file.relative_to(folder.parent).with_suffix("").parts)
        for node in body:
            named = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if named and (file.stem[0] != "_" or node.name in exported):
                found |= _signature(node, f"{module}.{node.name}")
    return found


def _exports(body: list[ast.stmt]) -> list[str]:
    """Names in the `__all__` of a module."""
    lists = [node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    return [item.value for node in lists if isinstance(node, ast.List) for item in node.elts]


def _signature(node: ast.AST, name: str) -> dict[str, dict[str, str]]:
    documented = re.findall(r"(?m)^\s*([\w, ]+?) : (.+)$", ast.get_docstring(node) or "")
    words = {argument.strip(): kind for names, kind in documented for argument in names.split(",")}
    if isinstance(node, ast.FunctionDef):
        arguments = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
        return {name: {argument: words.get(argument, "") for argument in arguments if argument not in ("self", "cls")}}
    fields = [
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name[0] != "_"]
    found = {name: {field: words.get(field, "") for field in fields}}
    for method in methods:
        found |= _signature(method, f"{name}.{method.name}")
    return found


def notation_faults(notation: Page, known: dict[str, dict[str, str]]) -> list[str]:
    """Names in the table that the package does not use, shapes that it contradicts, and symbols used as names."""
    rows, found = table(notation.text, ["symbol", "meaning", "name in code", "shape"])
    for row in rows:
        for name in re.findall(r"`([^`]+)`", row[2]) if len(row) == 4 else []:
            users = {user: words[name] for user, words in known.items() if name in words}
            found += [f"`{name}` is no argument or field of a public name"] * (not users)
            shapes = re.findall(r"\([^)]*\)", row[3])
            for user, words in users.items():
                documented = re.findall(r"\([^)]*\)", words)
                small = {shape.replace("2", "X") for shape in documented}  # what some functions accept for X = 2 only
                if shapes and documented and not set(shapes) & {*documented, *small}:
                    found.append(f"`{name}` has shape {documented[0]} in {user}, which the table does not list")
    for user, words in known.items():
        symbols = [name for name in words if SYNONYMS.fullmatch(name) and name not in ALLOWED]
        found += [f"{user}: argument `{name}` is a symbol, not a name" for name in symbols]
    return found
