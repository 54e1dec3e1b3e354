"""Contact sheets of the built site: every page at three widths, light and dark, for a person to look at.

python book/_tools/screenshots.py             every page, into _build/screenshots/
python book/_tools/screenshots.py cascades    pages whose name holds one of these words
"""

import base64
import html
import io
import sys
import tempfile
from itertools import product
from pathlib import Path

from PIL import Image
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
SITE, TARGET = ROOT / "_build/html", ROOT / "_build/screenshots"
WIDTHS, MODES = (1400, 800, 390), ("light", "dark")
STRIP, SCALE, GAP = 2400, 0.5, 12  # a long page is cut into strips of this height, shrunk, and laid side by side
SETTLE = """(async () => {
  document.querySelectorAll("img[loading=lazy]").forEach((image) => { image.loading = "eager"; });
  if (window.MathJax?.startup) await MathJax.startup.promise;
  await document.fonts.ready;
  return document.querySelector(".bd-main, main").scrollHeight;
})()"""


def sheet(chromium, url: str, width: int, mode: str) -> Image.Image:
    """One page, from top to bottom, as strips side by side."""
    phone = width < 500
    chromium.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=phone)
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])
    chromium.requests(url, seconds=60)
    answer = chromium.call("Runtime.evaluate", expression=SETTLE, awaitPromise=True, returnByValue=True)
    height = max(answer["result"]["value"], 900)
    strips = []
    for top in range(0, height, STRIP):
        clip = {"x": 0, "y": top, "width": width, "height": min(STRIP, height - top), "scale": SCALE}
        shot = chromium.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        strips.append(Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB"))
    step = strips[0].width + GAP
    whole = Image.new("RGB", (step * len(strips) - GAP, max(strip.height for strip in strips)), "#888888")
    for column, strip in enumerate(strips):
        whole.paste(strip, (column * step, 0))
    return whole


def index(names: list[str]) -> str:
    """A page that leads to the sheets."""
    kinds = [f"{width}-{mode}" for width in WIDTHS for mode in MODES]
    rows = [
        f"<li>{html.escape(name)}: " + ", ".join(f'<a href="{kind}/{name}.png">{kind}</a>' for kind in kinds) + "</li>"
        for name in names
    ]
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Contact sheets</title><ul>{"".join(rows)}</ul>'


def main(words: list[str]) -> None:
    """Take the sheets of every page, or of those named."""
    sys.path.insert(0, str(ROOT / "tests"))
    from book import browser

    if browser.EXECUTABLE is None:
        sys.exit("Chromium must be installed to take screenshots. None was found on the path.")
    pages = [path.relative_to(SITE / "book") for path in sorted(SITE.glob("book/**/*.html"))]
    pages = [page for page in pages if not words or any(word in page.as_posix() for word in words)]
    if not pages:
        sys.exit(f"A page must be built whose name holds one of {words or 'any words'}. None is: run `make book`.")
    names = ["-".join(page.with_suffix("").parts) for page in pages]
    sheets = list(product(zip(pages, names, strict=True), WIDTHS, MODES))
    profile = tempfile.TemporaryDirectory()
    with profile as folder, browser.served(SITE) as address, browser.opened(Path(folder)) as chromium:
        for (page, name), width, mode in tqdm(sheets, unit="sheet"):
            path = TARGET / f"{width}-{mode}/{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            sheet(chromium, f"{address}/book/{page.as_posix()}", width, mode).quantize(128).save(path)
    (TARGET / "index.html").write_text(index(names), encoding="utf-8")
    print(f"{len(names)} pages, {len(sheets)} sheets: open {TARGET}/index.html.")


if __name__ == "__main__":
    main(sys.argv[1:])
