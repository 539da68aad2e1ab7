"""Encoding: equal frames give equal bits, whatever the memory held before."""

import os
import subprocess
import sys
from pathlib import Path

from video.clips import Made, make

# With B-frames, which are not used, x264's lookahead reads most
ENCODE = """
import hashlib
from pathlib import Path
import av
from diffir.video.encoding import choose, encode, encoder, flush
from diffir.video.source import frames_from, probe

source = Path("in.mkv")
encoding = choose(probe(source), 1, Path("out.mkv"), 10)
context = encoder(encoding)
context.max_b_frames = 3
packets = []
for index, decoded in enumerate(frames_from(source, 0)):
    frame = av.VideoFrame.from_ndarray(decoded.to_ndarray(), decoded.format.name)
    packets += encode(context, index, frame, encoding)
packets += flush(context)
print(hashlib.sha256(b"".join(packet.data for packet in packets)).hexdigest())
"""


def encoded(folder: Path, filler: int) -> bytes:
    """The digest of a clip's packets, where memory comes filled with a byte, in glibc."""
    words = [sys.executable, "-c", ENCODE]
    env = os.environ | {"MALLOC_PERTURB_": str(filler)}
    return subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True).stdout


def test_what_memory_held_before_changes_no_bit(tmp_path: Path) -> None:
    make(tmp_path / "in.mkv", Made(frames=32, codec="ffv1", options={}))
    assert encoded(tmp_path, 85) == encoded(tmp_path, 255)
