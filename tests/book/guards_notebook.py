"""Guards over the cells of one notebook: what ran, what it may call, what it shows."""

import ast
import doctest
import re
from difflib import SequenceMatcher

from book.pages import Page, has_image, printed_text, tags

NETWORK = {"aiohttp", "datasets", "ftplib", "httpx", "huggingface_hub", "requests", "smtplib", "socket", "urllib3"}
NETWORK |= {"urllib.request", "http.client"}
LOCAL_HOST = re.compile(r"https?://(localhost|127\.0\.0\.1)\b")
SEEDED = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "Philox"}
DRAWING = {"plots", "figure", "ax", "axes", "plt", "left", "right", "top", "bottom", "panel"}  # names that draw
TORCH_SAMPLING = {"bernoulli", "multinomial", "normal", "rand", "randint", "randn", "randperm"}


def stored_errors(page: Page) -> list[str]:
    """Code cells that were not run from top to bottom, that failed, or that wrote warnings."""
    found = []
    for number, (place, cell) in enumerate(page.code, start=1):
        if cell.execution_count != number:
            found.append(f"{place}: run as number {cell.execution_count}, not {number}: execute the page from the top")
        kinds = {output.get("name", output.output_type) for output in cell.outputs}
        found += [f"{place}: stores an error"] * ("error" in kinds) + [f"{place}: writes to stderr"] * (
            "stderr" in kinds
        )
    return found


def shell_and_network(page: Page) -> list[str]:
    """Shell escapes, magics, modules that open connections, and addresses of other hosts."""
    found = []
    for place, cell in page.code:
        escapes = [line for line in cell.source.splitlines() if line.lstrip().startswith(("!", "%"))]
        if escapes:
            found += [f"{place}: shell escape or magic: {line.strip()}" for line in escapes]
            continue
        tree = ast.parse(cell.source)
        used = [name for name in imported(tree) if name in NETWORK or name.split(".")[0] in NETWORK]
        found += [f"{place}: imports {name}, which opens connections" for name in used]
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        remote = [text for text in texts if re.match(r"https?://", text) and not LOCAL_HOST.match(text)]
        found += [f"{place}: names another host: {text}" for text in remote]
    return found


def imported(tree: ast.AST) -> list[str]:
    """Dotted names of all modules that a piece of code imports."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def unseeded(source: str) -> list[str]:
    """Randomness that a second run would not repeat, in code and in the examples of its docstrings."""
    tree = ast.parse(source)
    found = ["the standard library's `random`"] * ("random" in imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found += _global_numpy(ast.unparse(node))
        elif isinstance(node, ast.Call):
            found += _unseeded_call(node, "manual_seed(" in source)
    for example in doctest.DocTestParser().get_examples(_docstrings(tree)):
        found += unseeded(example.source)
    return found


def _global_numpy(name: str) -> list[str]:
    match = re.fullmatch(r"(?:np|numpy)\.random\.(\w+)", name)
    return [f"global randomness: {name}"] if match and match[1] not in SEEDED else []


def _unseeded_call(call: ast.Call, torch_is_seeded: bool) -> list[str]:
    name = ast.unparse(call.func)
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    nothing = not values or (isinstance(values[0], ast.Constant) and values[0].value is None)
    if name.split(".")[-1] == "default_rng" and nothing:
        return ["`default_rng` without a seed"]
    samples = name.startswith("torch.") and name.split(".")[-1] in TORCH_SAMPLING
    has_generator = any(keyword.arg == "generator" for keyword in call.keywords)
    return [f"`{name}` without a seed"] if samples and not (has_generator or torch_is_seeded) else []


def _docstrings(tree: ast.AST) -> str:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return "\n\n".join(ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds))


def page_randomness(page: Page) -> list[str]:
    """Unseeded randomness of a page, whose cells share one kernel."""
    source = "\n".join(re.sub(r"(?m)^\s*[%!].*$", "", cell.source) for _, cell in page.code)
    return [f"{page.path}: {finding}" for finding in unseeded(source)]


def long_functions(page: Page, most: int = 10) -> list[str]:
    """Functions of more than ten lines: they belong in the package."""
    found = []
    for place, cell in page.code:
        source = re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", cell.source)
        defined = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
        lengths = {node.name: node.end_lineno - node.lineno + 1 for node in defined}
        found += [f"{place}: `{name}` has {length} lines" for name, length in lengths.items() if length > most]
    return found


def only_draws(page: Page, at: int) -> bool:
    """Whether a cell is there for its picture: at least half of its lines draw, and no later cell uses its names."""
    cell = page.cells[at]
    tree = ast.parse(cell.source)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.FunctionDef)]
    made = {node.name if isinstance(node, ast.FunctionDef) else node.id for node in nodes if not _is_read(node)}
    later = "\n".join(other.source for other in page.cells[at + 1 :] if other.cell_type == "code")
    used = {node.id for node in ast.walk(ast.parse(later)) if isinstance(node, ast.Name) and _is_read(node)}
    fresh = {node.id for node in ast.walk(ast.parse(later)) if isinstance(node, ast.Name) and not _is_read(node)}
    if (made & used) - fresh - DRAWING:
        return False
    lines = [
        (node.end_lineno - node.lineno + 1, any(isinstance(n, ast.Name) and n.id in DRAWING for n in ast.walk(node)))
        for node in tree.body
    ]
    return 2 * sum(length for length, draws in lines if draws) >= sum(length for length, _ in lines)


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)


def unfolded(page: Page) -> list[str]:
    """Set-up and drawing that stand open on a page, or that do not say in a word what they fold."""
    found, first = [], True
    for number, cell in enumerate(page.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        drawn = any(has_image(output) for output in cell.outputs)
        what, first = "set-up" if first else "drawing", False
        held = "hide-cell" in tags(cell) or cell.metadata.get("jupyter", {}).get("source_hidden")
        wanted = what == "set-up" or (drawn and not held and only_draws(page, number))
        place, folded = f"{page.path}, cell {number}", "hide-input" in tags(cell)
        if wanted and not folded:
            found.append(f"{place}: the {what} is not folded: tag it hide-input")
        elif folded and what == "drawing" and not drawn:
            found.append(f"{place}: folded, but it draws nothing")
        elif folded and cell.metadata.get("mystnb", {}).get("code_prompt_show") != f"Show the {what}":
            found.append(f"{place}: folded without the words `Show the {what}`")
    return found


def figures_without_words(page: Page) -> list[str]:
    """Executed figures that lack a caption, a name, or an alt text that says what they show."""
    found = []
    for place, cell in page.code:
        images = sum(has_image(output) for output in cell.outputs)
        if not images:
            continue
        found += [f"{place}: shows {images} pictures under one caption"] * (images > 1)
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        caption, alt = figure.get("caption", ""), cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        found += [f"{place}: figure without a {key}" for key in ("caption", "name") if not figure.get(key, "").strip()]
        if len(alt.strip()) < 60:
            found.append(f"{place}: alt text of {len(alt.strip())} characters, fewer than 60")
        elif repeats(alt, caption):
            found.append(f"{place}: alt text repeats the caption")
    return found


def repeats(alt: str, caption: str) -> bool:
    """Whether two texts say the same in nearly the same letters, or one holds the other."""
    alt, caption = (" ".join(re.findall(r"\w+", text.lower())) for text in (alt, caption))
    inside = bool(caption) and (caption in alt or alt in caption)
    return inside or SequenceMatcher(None, alt, caption, autojunk=False).ratio() >= 0.8


def figure_names_used_twice(pages: list[Page]) -> list[str]:
    """Figure names must be unique in the book: they are targets of references."""
    seen, found = {}, []
    for page in pages:
        for place, cell in page.code:
            name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
            if name and name in seen:
                found.append(f"{place}: figure name {name} is taken by {seen[name]}")
            elif name:
                seen[name] = place
    return found


def unheld_outputs(page: Page) -> list[str]:
    """Cells whose printed text no test compares and nobody has excused, and figures that leak objects as text."""
    found = []
    for place, cell in page.code:
        texts = [text for text in printed_text(cell) if text.strip()]
        if not texts:
            continue
        leaked = [text for text in texts if re.match(r"\[?<|\(?\[?(Text|Line2D)\(", text.strip())]
        if leaked:
            found.append(f"{place}: leaks an object as text: {leaked[0][:40]}")
        elif "nbval-ignore-output" in tags(cell) and len(cell.metadata.get("nbval_reason", "")) < 20:
            found.append(f"{place}: ignores its output without a reason in `nbval_reason`")
        elif not {"nbval-check-output", "nbval-ignore-output"} & set(tags(cell)):
            found.append(f"{place}: prints text that no tag holds")
    return found


def glued(page: Page) -> list[str]:
    """`glue` and `eval` roles: they show raw in JupyterLab and in exported notebooks. `eval-rst` is another thing."""
    found = [
        f"{place}: {match}"
        for place, cell in page.markdown
        for match in re.findall(r"\{(?:glue|eval)(?!-rst)[^}]*\}", cell.source)
    ]
    return found + [f"{place}: calls glue" for place, cell in page.code if re.search(r"\bglue\(", cell.source)]
