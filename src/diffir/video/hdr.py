"""HDR10 metadata: the mastering display and the maximum brightness."""

import av
import numpy as np
from av.sidedata.sidedata import SideData

CHROMATICITY = 50_000  # units of CIE 1931 x and y, of SMPTE ST 2086
LUMINANCE = 10_000  # units of cd/m²


def hdr10_of(frame: av.VideoFrame) -> str:
    """HDR10 metadata as x265 parameters; empty if a frame has none."""
    words = []
    mastering = numbers(frame, "MASTERING_DISPLAY_METADATA")
    if len(mastering) >= 22 and all(mastering[20:22]):  # both parts are present
        ratios = [
            top / max(1, bottom)
            for top, bottom in zip(mastering[:20:2], mastering[1:20:2], strict=True)
        ]
        xs = [round(ratio * CHROMATICITY) for ratio in ratios[:8]]
        low, high = (round(ratio * LUMINANCE) for ratio in ratios[8:])
        red, green, blue, white = (f"({x},{y})" for x, y in zip(xs[::2], xs[1::2], strict=True))
        words.append(f"master-display=G{green}B{blue}R{red}WP{white}L({high},{low})")
    light = numbers(frame, "CONTENT_LIGHT_LEVEL")
    if len(light) >= 2:
        words.append(f"max-cll={light[0]},{light[1]}")
    return ":".join(["hdr10=1", *words]) if words else ""


def numbers(frame: av.VideoFrame, kind: str) -> list[int]:
    """A frame's side data of a kind, as integers; empty if there is none."""
    found = frame.side_data.get(kind)
    return np.frombuffer(bytes(found), "=i4").tolist() if isinstance(found, SideData) else []
