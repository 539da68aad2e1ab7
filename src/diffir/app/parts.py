"""The components of the page, from top to bottom."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from .desk import MEMORIES, STARTED
from .examples import Example

USUAL = ""
"""The value of every wish's preferred network, so that it is valid for any wish."""
PNG, OWN = "PNG, exact", "the photo's own format"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The components that handlers read or change."""

    photo: gr.File
    gallery: gr.Gallery
    trouble: gr.HTML
    wish: gr.Radio
    preview: gr.Image
    brushing: gr.Column
    editor: gr.ImageEditor
    mask: gr.File
    restore: gr.Button
    cancel: gr.Button
    file_format: gr.Radio
    model: gr.Dropdown
    seed: gr.Number
    memory: gr.Dropdown
    status: gr.HTML
    result: gr.Column
    slider: gr.ImageSlider
    line: gr.Slider
    download: gr.DownloadButton
    filled: gr.Image


def choices_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """The networks for a wish, as a dropdown's labels and values."""
    return [(names[0], USUAL), *((name, name) for name in names[1:])]


def place_parts(wishes: dict[str, list[str]], examples: Sequence[tuple[Path, Example]]) -> Parts:
    """Create all components in the current Blocks; `wishes` maps words to networks."""
    gr.Markdown("# Restore a photo\nNothing leaves the computer that this page comes from.")
    found: dict[str, Any] = {}
    for piece in (choosing, brushing, asking, showing):
        found |= piece(wishes, examples)
    return Parts(**found)


def choosing(
    wishes: dict[str, list[str]], examples: Sequence[tuple[Path, Example]]
) -> dict[str, Any]:
    """Inputs for the photo and for what is wrong with it."""
    with gr.Row():
        with gr.Column(min_width=300):
            photo = upload("1. Your photo", "photo")
        with gr.Column(min_width=300, visible=bool(examples)):
            gallery = gr.Gallery(
                [(str(path), example.caption) for path, example in examples],
                label="… or an example",
                columns=4,
                rows=1,
                height=150,
                allow_preview=False,
                object_fit="cover",
                format="png",
                buttons=[],
                interactive=False,
                elem_id="examples",
            )
    trouble = gr.HTML(visible=False, elem_id="trouble")
    wish = gr.Radio(
        list(wishes), value=next(iter(wishes)), label="2. What is wrong with it?", elem_id="wish"
    )
    return {"photo": photo, "gallery": gallery, "trouble": trouble, "wish": wish}


def upload(label: str, name: str) -> gr.File:
    """A file input whose value is a path."""
    file = gr.File(label=label, height=150, elem_id=name)
    # Gradio's own does the same, but leaves an empty file behind each time.
    file.preprocess = path_of  # type: ignore[assignment, method-assign]
    return file


def path_of(file: ListFiles | FileData | None) -> str | None:
    """The path of an upload, if there is one."""
    return file.path if isinstance(file, FileData) else None


def brushing(_wishes: object, _examples: object) -> dict[str, Any]:
    """The original photo, to view or to brush over."""
    preview = gr.Image(
        label="Your photo",
        format="png",
        interactive=False,
        visible=False,
        buttons=["fullscreen"],
        alt_text="Your original photo",
        height=320,
        elem_id="preview",
    )
    with gr.Column(visible=False) as column:
        editor = gr.ImageEditor(
            label="3. Brush over what should go",
            sources=(),
            transforms=(),
            layers=False,
            format="png",
            brush=gr.Brush(colors=["#ff2d55"], color_mode="fixed"),
            height=520,
            buttons=["fullscreen"],
            elem_id="brush",
        )
        mask = upload("… or upload a mask of the photo's size (white is removed)", "mask")
    return {"preview": preview, "brushing": column, "editor": editor, "mask": mask}


def asking(wishes: dict[str, list[str]], _examples: object) -> dict[str, Any]:
    """Advanced options and the buttons."""
    names = next(iter(wishes.values()))
    with gr.Accordion("More", open=False, elem_id="more"):
        file_format = gr.Radio([PNG, OWN], value=PNG, label="Download as", elem_id="format")
        with gr.Row():
            model = gr.Dropdown(choices_of(names), value=USUAL, label="Model", elem_id="model")
            seed = gr.Number(0, label="Seed (same seed, same result)", precision=0, elem_id="seed")
            memory = gr.Dropdown(
                list(MEMORIES), value=STARTED, label="Memory limit per photo", elem_id="memory"
            )
    with gr.Row():
        restore = gr.Button("Restore", variant="primary", elem_id="restore")
        cancel = gr.Button("Cancel", interactive=False, elem_id="cancel")
    return {
        "restore": restore,
        "cancel": cancel,
        "file_format": file_format,
        "model": model,
        "seed": seed,
        "memory": memory,
    }


def showing(_wishes: object, _examples: object) -> dict[str, Any]:
    """Progress and result."""
    status = gr.HTML(elem_id="status")
    with gr.Column(visible=False) as result:
        slider = gr.ImageSlider(
            label="Before | after",
            format="png",
            interactive=False,
            buttons=["fullscreen"],
            elem_id="slider",
            max_height=640,
        )
        line = gr.Slider(
            0,
            100,
            50,
            step=1,
            label="Line between before and after",
            info="Drag it in the picture, or move it here. Zoom with the wheel or two fingers.",
            elem_id="line",
        )
        download = gr.DownloadButton("Download", variant="primary", elem_id="download")
        filled = gr.Image(
            label="What was filled (white)",
            format="png",
            interactive=False,
            visible=False,
            buttons=["download", "fullscreen"],
            alt_text="The mask: white was filled",
            height=240,
            elem_id="filled",
        )
    return {
        "status": status,
        "result": result,
        "slider": slider,
        "line": line,
        "download": download,
        "filled": filled,
    }
