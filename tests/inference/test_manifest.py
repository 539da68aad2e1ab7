"""The manifest knows what was made of what, so that the next run makes no more than it must."""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from official import network, toy
from PIL import Image

import diffir
from diffir.errors import PictureError
from diffir.inference import Restorer
from diffir.inference.batch import Outcome, restore_files
from diffir.inference.jobs import plan
from diffir.inference.manifest import NAME, Settings, open_manifest, read_manifest
from diffir.tasks import TASKS

SETTINGS = Settings(model="toy", weights="ab" * 32)
PIXELS = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
HOLES = np.zeros((9, 8), np.uint8)
HOLES[2:4, 2:5] = 255
MANIFEST = Path("out") / NAME
THERE = "already made from the same input"
CHANGED = "exists, but was not made here or has changed since"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    """Two pictures, by relative names."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.png", "in/x/b.png", "masks/a.png", "masks/x/b.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS if name.startswith("in") else HOLES).save(name)


@pytest.fixture(scope="module")
def deblur() -> Restorer:
    return Restorer(network(2, toy("deblur")), TASKS["deblur"], device="cpu")


@pytest.fixture(scope="module")
def inpaint() -> Restorer:
    return Restorer(network(2, toy("inpaint")), TASKS["inpaint"], device="cpu")


def run(restorer: Restorer, settings: Settings = SETTINGS, **options) -> dict[str, Outcome]:
    """Restore `in` into `out`: outcomes by name."""
    jobs = plan(
        [Path("in")], Path("out"), options.pop("mask", None), suffix=options.pop("suffix", None)
    )
    with open_manifest(Path("out"), settings, jobs) as manifest:
        done = restore_files(restorer, jobs, seed=settings.seed, manifest=manifest, **options)
        return {outcome.job.relative.as_posix(): outcome for outcome in done}


def skipped(outcomes: dict[str, Outcome]) -> dict[str, str | None]:
    assert not any(outcome.error for outcome in outcomes.values())
    return {name: outcome.skipped for name, outcome in outcomes.items()}


def lines() -> list[dict[str, object]]:
    return [json.loads(line) for line in MANIFEST.read_text().splitlines()]


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def refused() -> str:
    """The sentence of a run, and of a look at the manifest, that may not be; nothing changes."""
    before = MANIFEST.read_bytes()
    with pytest.raises(PictureError) as caught, open_manifest(Path("out"), SETTINGS, []):
        pass
    with pytest.raises(PictureError) as again:
        read_manifest(Path("out"), SETTINGS)
    assert str(again.value) == str(caught.value)
    assert MANIFEST.read_bytes() == before
    return str(caught.value)


def test_a_line_tells_what_a_file_was_made_of_and_how(inpaint):
    run(inpaint, replace(SETTINGS, seed=3), mask=Path("masks"))
    first, second = lines()
    assert first.pop("seconds") >= 0
    assert first == {
        "diffir": diffir.__version__,
        "source": "a.png",
        "target": "a.png",
        "source_sha256": digest("in/a.png"),
        "mask_sha256": digest("masks/a.png"),
        "target_sha256": digest("out/a.png"),
        "model": "toy",
        "weights": "ab" * 32,
        "seed": 3,
        "precision": "float32",
        "ensemble": False,
        "detail": 0.0,
        "format": "png",
        "width": 8,
        "height": 9,
        "bytes": Path("out/a.png").stat().st_size,
    }
    assert (second["source"], second["target"]) == ("x/b.png", "x/b.png")


def test_a_failed_file_has_a_line_with_its_error_and_is_tried_again(deblur):
    whole = Path("in/a.png").read_bytes()
    Path("in/a.png").write_bytes(whole[:40])
    assert run(deblur)["a.png"].error
    (line,) = [line for line in lines() if line["source"] == "a.png"]
    assert "in/a.png" in line["error"]
    assert "target_sha256" not in line
    Path("in/a.png").write_bytes(whole)
    assert skipped(run(deblur)) == {"a.png": None, "x/b.png": THERE}


def test_what_was_made_from_the_same_is_skipped(deblur):
    assert skipped(run(deblur)) == {"a.png": None, "x/b.png": None}
    before = MANIFEST.read_bytes()
    os.utime("in/a.png", (0, 0))  # content counts, not time
    assert skipped(run(deblur, replace(SETTINGS, model="other/name"))) == {
        "a.png": THERE,
        "x/b.png": THERE,
    }
    assert MANIFEST.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"weights": "cd" * 32},
        {"precision": "bfloat16"},
        {"ensemble": True},
        {"detail": 0.5},
        {"diffir": "0.0"},
    ],
)
def test_other_settings_make_our_files_again(deblur, change):
    run(deblur)
    other = replace(SETTINGS, **change)
    assert skipped(run(deblur, other)) == {"a.png": None, "x/b.png": None}
    assert skipped(run(deblur, other)) == {"a.png": THERE, "x/b.png": THERE}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_what_comes_from_a_pipe_is_made_again(deblur):
    content = Path("in/a.png").read_bytes()
    os.mkfifo("pipe.png")
    jobs = plan([Path("pipe.png")], Path("out.png"))
    for _ in range(2):
        writer = Thread(target=Path("pipe.png").write_bytes, args=(content,))
        writer.start()
        with open_manifest(Path(), SETTINGS, jobs) as manifest:
            (outcome,) = restore_files(deblur, jobs, manifest=manifest)
        writer.join()
        assert (outcome.error, outcome.skipped) == (None, None)


def test_other_content_makes_our_file_again(deblur):
    run(deblur)
    old = digest("out/a.png")
    Image.fromarray(PIXELS[::-1]).save("in/a.png")
    assert skipped(run(deblur)) == {"a.png": None, "x/b.png": THERE}
    assert digest("out/a.png") != old


def test_another_mask_makes_our_file_again(inpaint):
    run(inpaint, mask=Path("masks"))
    Image.fromarray(HOLES[::-1].copy()).save("masks/x/b.png")
    assert skipped(run(inpaint, mask=Path("masks"))) == {"a.png": THERE, "x/b.png": None}


def test_another_format_is_another_file(deblur):
    run(deblur)
    assert skipped(run(deblur, suffix=".bmp")) == {"a.png": None, "x/b.png": None}
    assert skipped(run(deblur, suffix=".png")) == {"a.png": THERE, "x/b.png": THERE}


def test_what_is_not_ours_or_was_changed_since_is_left_alone_until_overwriting(deblur):
    run(deblur)
    Path("out/a.png").write_text("retouched by hand")
    Image.fromarray(PIXELS).save("in/c.png")
    Path("out/c.png").write_text("mine")
    Image.fromarray(PIXELS[::-1]).save("in/a.png")
    told = {"a.png": CHANGED, "c.png": CHANGED, "x/b.png": THERE}
    assert skipped(run(deblur)) == told
    assert Path("out/a.png").read_text() == "retouched by hand"
    assert Path("out/c.png").read_text() == "mine"
    assert skipped(run(deblur, overwrite=True)) == dict.fromkeys(told)
    assert skipped(run(deblur)) == dict.fromkeys(told, THERE)


def test_our_file_that_somebody_changes_while_it_is_made_again_is_not_replaced(deblur):
    run(deblur)

    def retouch(_share):
        Path("out/a.png").write_text("retouched by hand")

    outcomes = run(deblur, replace(SETTINGS, seed=1), progress=retouch)
    assert outcomes["a.png"].error.startswith("out/a.png: the file exists")
    assert Path("out/a.png").read_text() == "retouched by hand"


def test_a_kill_between_the_line_and_its_file_costs_one_file_and_no_more(deblur):
    run(deblur)
    Path("out/a.png").unlink()  # as if the line alone had been written
    assert skipped(run(deblur)) == {"a.png": None, "x/b.png": THERE}
    old = Path("out/a.png").read_bytes()
    run(deblur, replace(SETTINGS, seed=1))
    Path("out/a.png").write_bytes(old)  # the line of seed 1 is the last, its file never came
    assert skipped(run(deblur, replace(SETTINGS, seed=1))) == {"a.png": None, "x/b.png": THERE}


@pytest.mark.parametrize("kept", [1, 9, 10, 60, -1])
def test_a_last_line_that_a_kill_cut_is_ignored_and_goes(deblur, kept):
    run(deblur)
    first, second = MANIFEST.read_bytes().splitlines(keepends=True)
    MANIFEST.write_bytes(first + second[:kept])
    assert skipped(run(deblur)) == {"a.png": THERE, "x/b.png": CHANGED}
    assert MANIFEST.read_bytes() == first


@pytest.mark.parametrize(
    "content",
    [b"hello", b"hello\n", b'{"image": "a.png"}\n', b"[]\n", b"\n", b"\xff\xfe\n", b'{"diffir":1'],
)
def test_a_manifest_of_another_program_is_refused_and_stays(content):
    Path("out").mkdir()
    MANIFEST.write_bytes(content)
    assert "is not a manifest of diffir" in refused()


def test_a_manifest_with_a_broken_line_in_the_middle_is_refused(deblur):
    run(deblur)
    first, second = MANIFEST.read_bytes().splitlines(keepends=True)
    MANIFEST.write_bytes(first[:60] + b"\n" + second)
    assert "is not a manifest of diffir" in refused()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks that end with a process")
def test_a_second_run_into_one_folder_is_refused_until_the_first_has_ended():
    code = (
        "import fcntl, sys; from pathlib import Path; Path('out').mkdir()\n"
        f"file = open({str(MANIFEST)!r}, 'a'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print(flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.readline()
        with (
            pytest.raises(PictureError, match="another run is restoring into out; wait"),
            open_manifest(Path("out"), SETTINGS, []),
        ):
            pass
        process.kill()
    with open_manifest(Path("out"), SETTINGS, []):
        pass


def test_a_full_disk_leaves_no_half_line_and_no_file(deblur, monkeypatch):
    @contextmanager
    def full_disk():
        write = os.write
        with monkeypatch.context() as patch:
            patch.setattr(
                "diffir.inference.manifest.os.write", lambda to, data: write(to, data[:30])
            )
            yield

    with full_disk():
        outcomes = run(deblur)
    assert all("No space left" in outcome.error for outcome in outcomes.values())
    assert MANIFEST.read_bytes() == b""
    assert {path.name for path in Path("out").rglob("*") if path.is_file()} == {NAME}


def test_what_killed_runs_left_is_removed_and_no_other_file(deblur):
    run(deblur)
    strays = [Path(f"out{below}/.diffir-{'0' * 32}.part") for below in ("", "/x")]
    for path in (*strays, Path("out/.diffir-notes.part"), Path("out/x/b.part")):
        path.touch()
    run(deblur)
    assert not any(path.exists() for path in strays)
    assert Path("out/.diffir-notes.part").exists()
    assert Path("out/x/b.part").exists()


def test_processes_that_share_the_work_write_files_of_their_own_and_read_all(deblur):
    jobs = plan([Path("in")], Path("out"))
    for rank in (0, 1):
        with open_manifest(Path("out"), SETTINGS, jobs, rank) as manifest:
            list(restore_files(deblur, jobs[rank::2], manifest=manifest))
    own = [MANIFEST, Path("out/manifest/1.jsonl")]
    assert [json.loads(path.read_text())["source"] for path in own] == ["a.png", "x/b.png"]
    with open_manifest(Path("out"), SETTINGS, jobs, 5) as manifest:
        done = list(restore_files(deblur, jobs, manifest=manifest))
    assert [outcome.skipped for outcome in done] == [THERE, THERE]
    assert skipped(run(deblur)) == {"a.png": THERE, "x/b.png": THERE}
    assert MANIFEST.read_text().count("\n") == 1


def test_a_file_of_another_process_that_is_not_ours_is_refused(deblur):
    run(deblur)
    Path("out/manifest").mkdir()
    Path("out/manifest/1.jsonl").write_text("hello\n")
    assert "out/manifest/1.jsonl is not a manifest of diffir" in refused()


def test_what_two_settings_made_alike_is_skipped_for_both(deblur):
    run(deblur)
    again = replace(SETTINGS, weights="cd" * 32)
    assert skipped(run(deblur, again)) == {"a.png": None, "x/b.png": None}
    assert skipped(run(deblur, again)) == skipped(run(deblur)) == {"a.png": THERE, "x/b.png": THERE}


def test_names_that_are_no_utf_8_are_restored_and_known_the_next_time(deblur):
    name = os.fsdecode(b"bad\xff.png")
    Path("in/a.png").rename(Path("in") / name)
    assert skipped(run(deblur)) == {name: None, "x/b.png": None}
    assert "bad\\xff.png" in {line["target"] for line in lines()}
    assert skipped(run(deblur)) == {name: THERE, "x/b.png": THERE}
    (Path("in") / name).write_bytes(b"")
    Path("in/x/c.png").write_bytes(Path("in/x/b.png").read_bytes())
    outcomes = run(deblur)
    assert outcomes[name].error is None or "an empty file" in outcomes[name].error
    assert Path("out/x/c.png").exists()
