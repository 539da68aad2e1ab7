"""Pixels to RGB and back, by matrix, range and depth."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.format import VideoFormat
from skimage import data
from torch import Tensor

from diffir.errors import PictureError
from diffir.video.colour import Colour, colour_of, from_rgb, to_rgb


def colour(matrix: int = 1, *, full: bool = False) -> Colour:
    return Colour(matrix=matrix, full=full, range_tag=1 + full, primaries=1, transfer=1, gray=False)


def photo() -> Tensor:
    return torch.from_numpy(data.astronaut()[:64, :64] / 255).float().permute(2, 0, 1)[None]


def plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """The numbers of a plane."""
    part = frame.planes[index]
    kind = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    rows = np.frombuffer(bytes(part), kind).reshape(part.height, -1)
    return rows[:, : part.width].astype(int)


# From ITU-R BT.709, BT.601 and BT.2020 with their quantisation: Y, Cb, Cr of pure red.
@pytest.mark.parametrize(
    ("matrix", "full", "pixels", "red"),
    [
        (1, False, "yuv444p", (63, 102, 240)),
        (6, False, "yuv444p", (81, 90, 240)),
        (9, False, "yuv444p10le", (294, 387, 960)),
        (1, True, "yuv444p", (54, 99, 255)),
        (6, True, "yuv444p10le", (306, 339, 1023)),
    ],
)
def test_red_has_the_codes_of_the_standard(
    matrix: int, full: bool, pixels: str, red: tuple[int, int, int]
) -> None:
    rgb = torch.zeros(1, 3, 16, 16)
    rgb[:, 0] = 1
    frame = from_rgb(rgb, VideoFormat(pixels), colour(matrix, full=full), matrix)
    assert tuple(plane(frame, index)[0, 0] for index in range(3)) == red
    back = to_rgb(frame, colour(matrix, full=full))
    assert (back - rgb).abs().max() < 0.01  # half a step of 8 bits in three numbers


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le"])
def test_there_and_back_costs_luma_nothing(pixels: str, full: bool) -> None:
    shape, sort = VideoFormat(pixels), colour(full=full)
    frame = from_rgb(photo(), shape, sort, 1)
    again = from_rgb(to_rgb(frame, sort), shape, sort, 1)
    off = np.abs(plane(frame, 0) - plane(again, 0))
    assert off.mean() < 0.01  # where a colour beyond RGB was clipped
    assert np.abs(plane(frame, 1) - plane(again, 1)).mean() < (1 if "10" in pixels else 0.2)


@pytest.mark.parametrize("pixels", ["yuvj420p", "yuvj444p"])
def test_the_old_names_of_full_range_are_full_range(pixels: str) -> None:
    plain = from_rgb(photo(), VideoFormat(pixels.replace("j", "")), colour(full=True), 1)
    old = av.VideoFrame(64, 64, pixels)
    for ours, theirs in zip(plain.planes, old.planes, strict=True):
        theirs.update(bytes(ours))
    assert colour_of(old, Path("old.mp4")).full
    assert torch.equal(to_rgb(old, colour(full=True)), to_rgb(plain, colour(full=True)))


def test_gray_is_read_in_its_range() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((16, 16), 255, np.uint8), "gray")
    assert (to_rgb(frame, colour_of(frame, Path("gray.mkv"))) == 1).all()
    frame = av.VideoFrame.from_ndarray(np.full((16, 16), 235, np.uint8), "gray")
    frame.color_range = 1
    assert (to_rgb(frame, colour_of(frame, Path("gray.mkv"))) == 1).all()


def test_rgb_needs_no_matrix() -> None:
    pixels = data.astronaut()[:16, :16]
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
    back = to_rgb(frame, colour_of(frame, Path("rgb.mkv")))
    assert torch.equal((back[0].permute(1, 2, 0) * 255).round().byte(), torch.tensor(pixels))


def test_a_matrix_that_is_not_known_is_a_sentence() -> None:
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.colorspace = 8  # YCgCo
    with pytest.raises(PictureError, match="matrix 8"):
        colour_of(frame, Path("odd.mkv"))


def test_without_a_tag_the_height_decides_the_matrix() -> None:
    assert (colour(2).matrix_at(480), colour(2).matrix_at(720)) == (6, 1)
    assert colour(9).matrix_at(480) == 9
