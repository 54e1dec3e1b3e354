"""Sphinx extension: a light site. Figures get a palette, and what no reader needs is left out.

- A figure has few colours; written with a palette it takes a third of the bytes and looks the same.
- Source maps serve the theme's authors. Fonts in the TTF format stand behind the same fonts in WOFF2, which every
  browser of the last ten years reads.
- The theme draws its icons twice, by fonts and by a script of 0.5 MB; the fonts are enough.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

NO_SCRIPT = "/* The icons come from the fonts beside the style sheet. */\n"


COLOURS = (32, 48, 64, 96, 128, 256)
SEEN = 24  # of 255: a change of a pixel that an eye might see; 1 in 2,000 pixels may change by more


def small_png(data: bytes) -> bytes:
    """The same picture with the smallest palette in which it looks the same, or `data` where that is no shorter."""
    picture = Image.open(io.BytesIO(data))
    if picture.mode == "P" or picture.convert("RGBA").getextrema()[3][0] < 255:
        return data
    full = picture.convert("RGB")
    for colours in COLOURS:
        few = full.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        change = np.abs(np.asarray(few.convert("RGB"), dtype=np.int16) - np.asarray(full)).max(axis=2)
        if (change > SEEN).mean() < 1 / 2_000:
            break
    written = io.BytesIO()
    few.save(written, "PNG", optimize=True)
    return min(written.getvalue(), data, key=len)


def slim(app, error):
    """Shrink what a build has written."""
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    for picture in site.glob("_images/*.png"):
        picture.write_bytes(small_png(picture.read_bytes()))
    for pattern in ("**/*.map", "_static/vendor/**/*.ttf"):
        for path in site.glob(pattern):
            path.unlink()
    (site / "_static/scripts/fontawesome.js").write_text(NO_SCRIPT)


def setup(app):
    """Register with Sphinx."""
    app.connect("build-finished", slim, priority=900)  # after everything has been copied
    return {"parallel_read_safe": True, "parallel_write_safe": True}
