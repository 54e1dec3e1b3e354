"""Guard over the numbers in prose: each one is an output of its page or a stated definition."""

import re
from dataclasses import dataclass
from decimal import Decimal

from book.pages import Directive, Page, parse, printed_text

LITERAL = {"bibliography", "code", "code-block", "code-cell", "eval-rst", "literalinclude", "math", "raw", "toctree"}
UNBOUND = [  # what holds digits but states no number
    r"<!--.*?-->",
    r"(?<!\\)\$\$.+?\$\$",
    r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}",
    r"(?<!\\)\$[^$]+\$",
    r"(?:\{[^}\s]+\})?(`+)(?:(?!\1).)+\1",
    r"(?<=\])\([^)\s]*\)",
    r"<?\bhttps?://\S+",
    r"\barXiv[:\s]\s*\d{4}\.\d+",
    r"\b10\.\d{4,}/\S+",
    r"\b\d+\.\d+\.\d\S*",
    r"\b(?:Python|version|CC BY)\s+\d+\.\d+\+?",
]
NUMBER = re.compile(
    r"(?P<minus>(?<![\w.)\]-])[-\u2212])?(?<![\w.])(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+)(?!\d|\.\d)"
    r"(?P<exponent>e[-+]?\d+)?(?P<percent>\s?(?:%|percent\b|per\scent\b))?"
)
PRINTED = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Stated:
    """A decimal or a percentage as a reader meets it."""

    text: str
    value: Decimal
    step: Decimal
    percent: bool

    def equals(self, number: Decimal) -> bool:
        """Whether a number shows these digits; without a minus sign in the text, the size alone is compared."""
        wanted = [number, number * 100] if self.percent else [number]
        if not self.value.is_signed():
            wanted = [abs(candidate) for candidate in wanted]
        return any(abs(candidate - self.value) <= self.step / 2 for candidate in wanted)

    def is_defined_by(self, definition: "Stated") -> bool:
        """Whether a definition states the same value, as it stands or as a percentage."""
        scale = Decimal(100) if self.percent and not definition.percent else Decimal(1)
        return self.percent >= definition.percent and definition.value * scale == self.value


def prose(text: str) -> str:
    """What a reader reads as sentences: no maths, code, citations, addresses or options."""
    kept = []
    for part in parse(text):
        if isinstance(part, Directive):
            kept += [part.argument, prose(part.body)] if part.name and part.name not in LITERAL else []
        else:
            kept.append(part)
    plain = "\n".join(kept)
    for pattern in UNBOUND:
        plain = re.sub(pattern, " ", plain, flags=re.DOTALL | re.IGNORECASE)
    return plain


def stated_numbers(text: str, integers: bool = False) -> list[Stated]:
    """Decimals and percentages in a text; plain integers only if asked for."""
    found = []
    for match in NUMBER.finditer(text):
        digits = match["digits"].replace(",", "")
        if integers or "." in digits or match["percent"]:
            value = Decimal(("-" if match["minus"] else "") + digits + (match["exponent"] or ""))
            step = Decimal(1).scaleb(value.as_tuple().exponent)
            found.append(Stated(match[0].strip(), value, step, bool(match["percent"])))
    return found


def printed_numbers(page: Page) -> list[Decimal]:
    """All numbers in the text outputs of a page."""
    texts = [text for _, cell in page.code for text in printed_text(cell)]
    return [Decimal(number.replace(",", "")) for text in texts for number in PRINTED.findall(text)]


def sentences(page: Page) -> list[tuple[str, str]]:
    """Prose of a page with its place: the text cells, and the captions of figures."""
    captions = [
        (place, cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")) for place, cell in page.code
    ]
    texts = [(place, cell.source) for place, cell in page.markdown]
    return [(place, prose(text)) for place, text in texts] + [
        (f"{place}, caption", prose(text)) for place, text in captions
    ]


def unheld_numbers(page: Page) -> list[str]:
    """Decimals and percentages in prose that neither an output nor a definition shows."""
    outputs, found = printed_numbers(page), []
    definitions = [number for text in page.definitions for number in stated_numbers(text, integers=True)]
    for place, text in sentences(page):
        for number in stated_numbers(text):
            if not any(map(number.is_defined_by, definitions)) and not any(map(number.equals, outputs)):
                found.append(f"{place}: {number.text} is neither printed on the page nor a definition")
    return found


def unused_definitions(page: Page) -> list[str]:
    """Definitions that no sentence states."""
    stated = [number for _, text in sentences(page) for number in stated_numbers(text)]
    found = []
    for text in page.definitions:
        numbers = stated_numbers(text, integers=True)
        if not any(number.is_defined_by(definition) for number in stated for definition in numbers):
            found.append(f"{page.path}: definition {text} is not used")
    return found
