"""Guards over the built site: nothing is asked from another host, it is light, headings and pictures are in order."""

import gzip
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

REMOTE = re.compile(r"(?i)^\s*(?:(?:https?|wss?|ftp):)?//(?!localhost\b|127\.0\.0\.1\b)")
ATTRIBUTES = ("src", "srcset", "poster", "data", "background", "manifest")
LINKS = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "modulepreload",
    "preconnect",
    "dns-prefetch",
    "manifest",
    "prerender",
}
IN_CSS = re.compile(r"""(?:@import\s+|url\(\s*)(?:url\(\s*)?["']?([^"')\s;]+)""", re.IGNORECASE)
IN_SCRIPT = re.compile(
    r"""(?:\bimport\s*\(|\bimport\s|\bfrom\s|\bfetch\s*\(|\bimportScripts\s*\(|\bnew\s+(?:WebSocket|Worker|EventSource)\s*\(|"""
    r"""\.src\s*=|\.open\s*\(\s*["']\w+["']\s*,|\brequire\s*\(\s*\[?)\s*["'`]([^"'`]+)["'`]"""
)

TEXT = (".html", ".css", ".js", ".svg", ".json", "")  # what servers compress


def weight(paths: Iterable[Path], wire: bool = False) -> int:
    """Bytes of some files of the site, as they lie there or, on the `wire`, with text compressed."""
    return sum(
        len(gzip.compress(path.read_bytes())) if wire and path.suffix in TEXT else path.stat().st_size for path in paths
    )


def external_requests(path: Path, name: str) -> list[str]:
    """Addresses of other hosts that a page, style sheet or script of the site would load."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".css":
        addresses = IN_CSS.findall(text)
    elif path.suffix in (".js", ".mjs"):
        addresses = IN_SCRIPT.findall(text)
    else:
        addresses = html_addresses(BeautifulSoup(text, "html.parser"))
    return [f"{name}: loads {address.strip()}" for address in addresses if REMOTE.match(address)]


def html_addresses(soup: BeautifulSoup) -> list[str]:
    """Everything that an HTML page loads by itself."""
    found = []
    for tag in soup.find_all(True):
        for attribute in ATTRIBUTES:
            value = tag.get(attribute, "")
            found += re.split(r",\s+|\s+", value) if attribute == "srcset" else [value]
        found += IN_CSS.findall(tag.get("style", ""))
    found += [link.get("href", "") for link in soup.find_all("link") if LINKS & set(link.get("rel", []))]
    for style in soup.find_all("style"):
        found += IN_CSS.findall(style.get_text())
    for script in soup.find_all("script"):
        if script.get("type") == "importmap":
            found += re.findall(r'"([^"]+)"', script.get_text())
        else:
            found += IN_SCRIPT.findall(script.get_text())
    return found


def dead_links(path: Path, site: Path) -> list[str]:
    """Links of a page to files that the site does not hold, buttons included."""
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    links = [tag.get(name) for name in ("href", "src") for tag in soup.find_all(attrs={name: True})]
    parts = [(link, urlsplit(link)) for link in links]
    local = {link: unquote(part.path) for link, part in parts if part.path and not part.scheme and not part.netloc}
    files = {link: (site if name[0] == "/" else path.parent) / name.lstrip("/") for link, name in local.items()}
    return [
        f"{path.relative_to(site)}: link to {link}, which is not there" for link, f in files.items() if not f.exists()
    ]


def heading_faults(html: str, name: str) -> list[str]:
    """Articles that have not exactly one first heading, or skip a level."""
    article = BeautifulSoup(html, "html.parser").find("article")
    if article is None:
        return [f"{name}: has no article"]
    levels = [int(tag.name[1]) for tag in article.find_all(re.compile("^h[1-6]$"))]
    found = [] if levels.count(1) == 1 else [f"{name}: has {levels.count(1)} first headings"]
    jumps = [(a, b) for a, b in zip([0, *levels], levels, strict=False) if b > a + 1]
    return found + [f"{name}: a heading of level {b} follows one of level {a}" for a, b in jumps]


def picture_faults(html: str, name: str) -> list[str]:
    """Pictures of an article whose alt text is empty or a path, and figures without a caption."""
    article = BeautifulSoup(html, "html.parser").find("article")
    found = []
    for image in article.find_all("img") if article else []:
        alt = image.get("alt", "").strip()
        if not alt or re.search(r"\.(?:png|svg|jpe?g|gif|webp)$|^\S*/\S*$", alt):
            found.append(f"{name}: picture {image.get('src', '')[-40:]} has no alt text in words")
        if image.find_parent(class_="cell_output") and image.find_parent("figure") is None:
            found.append(f"{name}: an executed figure stands outside a figure with a caption")
    captions = [figure.find("figcaption") for figure in (article.find_all("figure") if article else [])]
    return found + [
        f"{name}: a figure has no caption" for caption in captions if not (caption and caption.get_text(strip=True))
    ]
