"""A file appears whole or not at all; what a kill leaves is found again, and nothing else is."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffir.files import sweep, whole_file, write_whole

WRITE_AND_WAIT = """
import sys
from pathlib import Path
from diffir.files import whole_file
with whole_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("begun", flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_there_when_it_is_whole_and_not_before(tmp_path):
    with whole_file(tmp_path / "new" / "a.txt") as file:
        file.write(b"whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert names(tmp_path / "new") == {"a.txt"}


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    def interrupted():
        with whole_file(tmp_path / "a.txt") as file:
            file.write(b"new")
            raise KeyboardInterrupt

    write_whole(b"old", tmp_path / "a.txt")
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert names(tmp_path) == {"a.txt"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks that end with a process")
def test_what_a_living_process_writes_stays_and_what_a_killed_one_wrote_goes(tmp_path):
    words = [sys.executable, "-c", WRITE_AND_WAIT, str(tmp_path / "a.txt")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as process:
        assert process.stdout.readline() == b"begun\n"
        (unfinished,) = tmp_path.iterdir()
        assert sweep(tmp_path) == []
        assert unfinished.exists()
        process.kill()
    assert sweep(tmp_path) == [unfinished]
    assert names(tmp_path) == set()


def test_a_users_file_is_never_swept(tmp_path):
    hexadecimal = "0123456789abcdef" * 2
    kept = {
        *("a.part", ".diffir-notes.part", ".diffir-1234.part", f".diffir-{hexadecimal}.part.png"),
        *(
            f"diffir-{hexadecimal}.part",
            f".diffir-{hexadecimal}.png",
            f"x.diffir-{hexadecimal}.part",
        ),
    }
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / f".diffir-{hexadecimal[::-1]}.part").mkdir()
    (tmp_path / f".diffir-{hexadecimal}.part").touch()
    assert [path.name for path in sweep(tmp_path)] == [f".diffir-{hexadecimal}.part"]
    assert names(tmp_path) == kept | {f".diffir-{hexadecimal[::-1]}.part"}


def test_an_error_names_the_goal_and_not_the_file_beside_it(tmp_path: Path) -> None:
    goal = tmp_path / "goal"
    with pytest.raises(OSError, match="No space") as caught, whole_file(goal):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(goal)
    goal.mkdir()
    with pytest.raises(OSError, match="directory") as caught:
        write_whole(b"", goal)
    assert caught.value.filename == str(goal)
