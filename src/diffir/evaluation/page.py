"""The page: tables and crops in one HTML file that asks for nothing from anywhere."""

import base64
import io
from collections.abc import Sequence
from html import escape

from PIL import Image

from diffir.data.pixels import Pixels

from .crops import GAIN, View

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Heads, and rows of cells."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 }
th, td { border-bottom: 1px solid #ccc; padding: .25em .75em; text-align: left }
.crops { display: flex; flex-wrap: wrap; gap: .5em; margin-bottom: 2em }
figure { margin: 0 }
figcaption { max-width: 192px; overflow-wrap: anywhere }
img { display: block; width: 192px; margin-bottom: 4px; image-rendering: pixelated }
"""


def page(
    title: str, sentences: Sequence[str], means: Table, pictures: Table, views: Sequence[View]
) -> str:
    """The whole page, in UTF-8."""
    parts = [
        f"<h1>{escape(title)}</h1>",
        table(means),
        "<ul>",
        *(f"<li>{escape(sentence)}</li>" for sentence in sentences),
        "</ul>",
    ]
    if views:
        parts.append("<h2>Worst pictures, where the first method is worst</h2>")
        parts.append(f"<p>Below each crop: its difference from GT, {GAIN} times as bright.</p>")
        parts += map(crops, views)
    parts += ["<h2>Pictures, worst first</h2>", table(pictures)]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def table(content: Table) -> str:
    """A table, every cell escaped."""
    heads, rows = content
    lines = [cells("th", heads), *(cells("td", row) for row in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def cells(tag: str, texts: Sequence[str]) -> str:
    """A row of a table."""
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"


def crops(view: View) -> str:
    """The crops of a picture side by side, the differences below them."""
    figures = []
    for tile in view.tiles:
        images = image(tile.pixels, f"{view.picture}, {tile.label}")
        if tile.difference is not None:
            images += image(tile.difference, f"{view.picture}, {tile.label} minus GT")
        figures.append(f"<figure><figcaption>{escape(tile.label)}</figcaption>{images}</figure>")
    heading = f"{view.picture}, at {view.left}, {view.top}"
    return f'<h3>{escape(heading)}</h3>\n<div class="crops">{"".join(figures)}</div>'


def image(pixels: Pixels, alt: str) -> str:
    """A picture as PNG within the page."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG")
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{text}">'
