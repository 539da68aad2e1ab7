"""The docs site: pages that lie elsewhere in the project, and links to what has no page.

Model cards stand beside their weights and the changelog at the top, where people look. Here
they get an address in the site, and links between all of them are turned to it.
"""

import posixpath
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent
CARDS = ROOT / "src" / "diffir" / "weights"
PAGES = {
    "CHANGELOG.md": "changelog.md",
    **{f"src/diffir/weights/{card.name}": f"models/{card.name}" for card in CARDS.glob("*.md")},
}
"""From the path in the project to the one in the site."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of docs."""
    for source, place in PAGES.items():
        content = (ROOT / source).read_text(encoding="utf-8")
        if content.startswith("---\n"):  # what the Hub wants to know, no page's metadata
            content = content.split("---\n", 2)[2]
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links that a reader of the project follows into those of the site."""
    source = next((old for old, new in PAGES.items() if new == page.file.src_uri), None)
    here = PurePosixPath(source or f"docs/{page.file.src_uri}").parent

    def turned(link: re.Match[str]) -> str:
        image, text, target, anchor = link.groups()
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = posixpath.normpath(here / target)
        place = PAGES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if place is None:  # a file of the project that is no page
            return f"{text} (`{path}`)"
        start = posixpath.dirname(page.file.src_uri) or "."
        return f"{image}[{text}]({posixpath.relpath(place, start)}{anchor or ''})"

    return LINK.sub(turned, markdown)
