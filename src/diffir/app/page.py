"""The page and its event handlers."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from fastapi import HTTPException

from diffir.errors import DiffIRError, WeightsError
from diffir.files import write_whole
from diffir.inference import Restorer
from diffir.serving import Settings
from diffir.serving.job import Job
from diffir.serving.schema import Order

from . import status
from .desk import Desk
from .examples import write_examples
from .orders import Asked, decoded, order_of, sentence, shown_of
from .parts import OWN, USUAL, Parts, choices_of, place_parts
from .pictures import png, shown
from .wishes import offered

POLL_SECONDS = 0.2  # between checks of an order's progress
SUFFIXES = {"jpeg": "jpg", "tiff": "tif"}
CSS = """
.gradio-container {max-width: 960px !important; margin: 0 auto !important}
#examples .grid-wrap {padding-top: 22px}
#examples .grid-container {grid-template-columns: repeat(4, minmax(0, 1fr)) !important}
@media (max-width: 480px) {.gradio-container .main {padding: 12px !important}}
.wrong {color: var(--error-text-color); background: var(--error-background-fill);
  border: 1px solid var(--error-border-color); border-radius: 8px; padding: 8px 12px}
.running {display: flex; gap: 12px; align-items: center}
.running progress {flex: 1; height: 12px; accent-color: var(--color-accent)}
"""
FONTS = ["ui-sans-serif", "system-ui", "sans-serif"]  # from the visitor's own computer


def look(settings: Settings) -> dict[str, Any]:
    """Options to launch a page: `build_page(restorers, settings).launch(**look(settings))`.

    The page loads nothing from other sites and sends no telemetry.
    """
    theme = gr.themes.Default(font=FONTS, font_mono=["ui-monospace", "monospace"])
    return {
        "theme": theme.set(block_info_text_color="*body_text_color"),  # gray was hard to read
        "css": CSS,
        "footer_links": [],
        "max_file_size": settings.max_bytes,
        "share": False,
        "pwa": False,
        "ssr_mode": False,
        "mcp_server": False,
        "run_history": False,
        "enable_monitoring": False,
    }


def build_page(restorers: Mapping[str, Restorer], settings: Settings | None = None) -> gr.Blocks:
    """A page for these networks, to be launched with `look`.

    It offers only wishes that one of the networks serves. One thread runs them, in order of
    arrival.
    """
    desk = Desk(restorers, settings or Settings())
    page = page_of(desk)
    desk.open()
    return page


def page_of(desk: Desk) -> gr.Blocks:
    """The page of a desk, which the caller opens; raises WeightsError if it has no networks."""
    wishes = {wish.words: names for wish, names in offered(desk.restorers).items()}
    if not wishes:
        raise WeightsError("the page has no network to serve; name a preset or a weights file")
    keep = int(desk.settings.keep_seconds)
    with gr.Blocks(
        title="Restore a photo", analytics_enabled=False, delete_cache=(min(60, keep), keep)
    ) as page:
        answers = Answers(desk, wishes)
        answers.connect(place_parts(wishes, answers.examples))
        page.unload(answers.cancel)
    return page


def visitor_of(request: gr.Request) -> str:
    """The visitor's id: one for each open page in a browser."""
    return request.session_hash or ""


class Answers:
    """The event handlers of the page."""

    def __init__(self, desk: Desk, wishes: dict[str, list[str]]) -> None:
        self.desk, self.wishes = desk, wishes
        self.wants_mask = {
            words: desk.restorers[names[0]].task.wants_mask for words, names in wishes.items()
        }
        self._folder = TemporaryDirectory(prefix="diffir-examples-")  # deleted with the page
        self.examples = write_examples(Path(self._folder.name), list(wishes))

    def connect(self, parts: Parts) -> None:
        """Register the handlers."""
        self.parts = parts
        quietly: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        looks = [parts.photo.change, parts.wish.change]
        seen: list[Any] = [parts.trouble, parts.preview, parts.brushing, parts.editor, parts.mask]
        gr.on(
            looks,
            self.look_at,
            [parts.photo, parts.wish],
            seen,
            trigger_mode="always_last",
            **quietly,
        )
        parts.gallery.select(self.take_example, None, [parts.photo, parts.wish], **quietly)
        parts.wish.change(self.models, parts.wish, parts.model, **quietly)
        parts.cancel.click(self.cancel, queue=False, **quietly)
        parts.line.input(
            self.move_line, parts.line, parts.slider, trigger_mode="always_last", **quietly
        )
        filled_in = [parts.photo, parts.wish, parts.editor, parts.mask]
        filled_in += [parts.model, parts.seed, parts.memory, parts.file_format]
        changed: list[Any] = [parts.preview, parts.status, parts.restore, parts.cancel]
        changed += [parts.result, parts.slider, parts.download, parts.filled]
        parts.restore.click(
            self.restore, filled_in, changed, concurrency_limit=None, **quietly
        )  # no limit here: the desk has its own queue

    def take_example(self, event: gr.SelectData) -> tuple[str, str]:
        """The path and wish of the example that was clicked."""
        path, example = self.examples[event.index]
        return str(path), example.wish

    def move_line(self, line: float) -> Any:
        """Move the line between before and after, from the keyboard."""
        return gr.ImageSlider(slider_position=line)

    def models(self, words: str) -> Any:
        """The networks for a wish, the preferred one chosen."""
        return gr.Dropdown(choices_of(self.wishes[words]), value=USUAL)

    def cancel(self, request: gr.Request) -> None:
        """Cancel the visitor's order."""
        self.desk.cancel(visitor_of(request))

    def look_at(self, photo: str | None, words: str) -> dict[Any, Any]:
        """Show the photo, or say what is wrong with it."""
        parts, brushes = self.parts, self.wants_mask[words]
        image, news = None, ""
        if photo is not None:
            try:
                image = shown(decoded(photo, self.desk.settings))
            except Exception as error:  # the page must stay usable after any error
                news = status.error(sentence(error))
        has_image = image is not None
        return {
            parts.trouble: gr.HTML(news, visible=bool(news)),
            parts.preview: gr.Image(image, visible=has_image and not brushes),
            parts.brushing: gr.Column(visible=has_image and brushes),
            parts.editor: image if brushes else None,
            parts.mask: None,
        }

    async def restore(
        self,
        photo: str | None,
        words: str,
        editor: dict[str, Any] | None,
        mask: str | None,
        model: str,
        seed: int | None,
        memory: str,
        file_format: str,
        request: gr.Request,
    ) -> AsyncIterator[dict[Any, Any]]:
        """Restore the photo, from the click to the download."""
        asked = Asked(
            photo=photo,
            wants_mask=self.wants_mask[words],
            editor=editor,
            mask=mask,
            model=model or self.wishes[words][0],
            seed=seed,
            memory=memory,
            own_format=file_format == OWN,
        )
        hidden = {self.parts.result: gr.Column(visible=False)}
        yield hidden | self.busy(True, status.info("Reading the photo"))
        began = time.monotonic()
        try:
            order = await asyncio.to_thread(order_of, asked, self.desk.settings)
            job = await asyncio.to_thread(self.desk.submit, order, visitor_of(request))
            async for news in self.news_of(job):
                yield {self.parts.status: news}
            ended = await asyncio.to_thread(self.ended, job, order, photo or "")
        except Exception as error:  # the page must stay usable after any error
            yield self.busy(False, status.error(sentence(error)))
            return
        seconds = time.monotonic() - began
        yield ended | self.busy(False, status.info(f"Done in {seconds:.1f} s; download it below."))

    def busy(self, is_busy: bool, news: str) -> dict[Any, Any]:
        """The state of the buttons, and the status line."""
        return {
            self.parts.status: news,
            self.parts.restore: gr.Button(interactive=not is_busy),
            self.parts.cancel: gr.Button(interactive=is_busy),
        }

    async def news_of(self, job: Job) -> AsyncIterator[str]:
        """Status lines while an order waits and runs, whenever they change."""
        last = ""
        while not job.outcome.done():
            place = self.desk.place(job)
            news = status.waiting(place) if place else status.running(job.progress)
            if news != last:
                yield news
            last = news
            await asyncio.sleep(POLL_SECONDS)

    def ended(self, job: Job, order: Order, photo: str) -> dict[Any, Any]:
        """What to show of a finished order; raises the error it failed with."""
        answer = job.outcome.result()
        if job.unwanted:
            raise DiffIRError("Cancelled; the photo is unchanged.")
        if isinstance(answer, HTTPException):
            raise answer
        parts, seen = self.parts, shown_of(order, answer)
        width, height = seen.size
        suffix = SUFFIXES.get(job.format, job.format)
        file = self.kept(answer, f"{Path(photo).stem}-restored.{suffix}")
        before = self.kept(png(seen.before), "before.png")
        after = self.kept(png(seen.after), "after.png")
        mask = None if order.mask is None else self.kept(order.mask, "mask.png")
        return {
            parts.preview: gr.Image(visible=False),  # the slider shows it
            parts.result: gr.Column(visible=True),
            parts.slider: (before, after),
            parts.download: gr.DownloadButton(f"Download ({width} × {height})", value=file),
            parts.filled: gr.Image(mask, visible=mask is not None),
        }

    def kept(self, data: bytes, name: str) -> str:
        """A file that the browser may fetch, at a path that cannot be guessed."""
        photo = self.parts.photo
        path = Path(photo.GRADIO_CACHE) / secrets.token_hex(16) / name
        photo.temp_files.add(str(path))  # deleted after a while; Gradio would not for pairs
        write_whole(data, path)
        return str(path)
