"""The HTML report: tables and crops in one file without external resources."""

import base64
from collections.abc import Sequence
from html import escape

from diffir.data.pixels import Pixels, png_of

from .crops import GAIN, View

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Headers, and rows of cells."""

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
    """The whole page."""
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
    """A table with escaped cells."""
    heads, rows = content
    lines = [cells("th", heads), *(cells("td", row) for row in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def cells(tag: str, texts: Sequence[str]) -> str:
    """A row of a table."""
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"


def crops(view: View) -> str:
    """The crops of a picture side by side, with the differences below."""
    figures = []
    for tile in view.tiles:
        images = image(tile.pixels, f"{view.picture}, {tile.label}")
        if tile.difference is not None:
            images += image(tile.difference, f"{view.picture}, {tile.label} minus GT")
        figures.append(f"<figure><figcaption>{escape(tile.label)}</figcaption>{images}</figure>")
    heading = f"{view.picture}, at {view.left}, {view.top}"
    return f'<h3>{escape(heading)}</h3>\n<div class="crops">{"".join(figures)}</div>'


def image(pixels: Pixels, alt: str) -> str:
    """A picture as an embedded PNG."""
    text = base64.b64encode(png_of(pixels)).decode("ascii")
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{text}">'
