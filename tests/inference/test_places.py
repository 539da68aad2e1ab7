"""Objects behind a URL are restored as files are, and go on as folders do."""

import hashlib
import json
import pickle
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from official import network, toy
from PIL import Image

from diffir.errors import PictureError
from diffir.inference import Restorer
from diffir.inference.batch import restore_files
from diffir.inference.jobs import plan
from diffir.inference.lines import IN_A_PART, Parts, Together
from diffir.inference.manifest import Settings, open_manifest, read_manifest
from diffir.inference.places import below, content, files_below, parse_place
from diffir.tasks import TASKS

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("upath", reason="universal-pathlib is not installed")

SETTINGS = Settings(model="toy", weights="ab" * 32)
PIXELS = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
HOLES = np.zeros((9, 8), np.uint8)
HOLES[2:4, 2:5] = 255
THERE = "already made from the same input"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> None:
    """Two pictures, one broken one and masks, here and in a store that is empty else."""
    monkeypatch.chdir(tmp_path)
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    for name in (
        "in/a.png",
        "in/x/b.png",
        "in/bad.png",
        "masks/a.png",
        "masks/x/b.png",
        "masks/bad.png",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS if name.startswith("in") else HOLES).save(name)
    Path("in/bad.png").write_text("no picture")
    for path in (path for path in Path().rglob("*.png")):
        store.pipe_file(f"/b/{path.as_posix()}", path.read_bytes())


@pytest.fixture(scope="module")
def inpaint() -> Restorer:
    return Restorer(network(2, toy("inpaint")), TASKS["inpaint"], device="cpu")


def run(restorer: Restorer, source: str, output: str, mask: str, **options) -> dict[str, str]:
    """Restore into a folder: what became of each picture, `made` where it was."""
    jobs = plan([parse_place(source)], parse_place(output), parse_place(mask))
    with open_manifest(parse_place(output), SETTINGS, jobs) as manifest:
        done = list(restore_files(restorer, jobs, manifest=manifest, **options))
    return {item.job.relative.as_posix(): item.error or item.skipped or "made" for item in done}


def objects(folder: str) -> dict[str, bytes]:
    """Everything below a folder but the manifest."""
    root = parse_place(folder)
    names = {below(path, root): path for path in files_below(root)}
    return {name: content(path) for name, path in names.items() if not name.startswith("manifest")}


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def lines(folder: str) -> list[dict[str, object]]:
    parts = files_below(parse_place(folder) / "manifest")
    return [json.loads(line) for part in parts for line in content(part).splitlines()]


def test_a_store_gets_what_a_folder_gets_and_goes_on_as_it_does(inpaint):
    assert run(inpaint, "in", "out", "masks")["a.png"] == "made"
    told = run(inpaint, "memory://b/in", "memory://b/out", "memory://b/masks")
    assert told.pop("bad.png").startswith("memory://b/in/bad.png: not a picture")
    assert told == {"a.png": "made", "x/b.png": "made"}
    assert objects("memory://b/out") == objects("out")
    assert objects("out").keys() == {"a.png", "x/b.png"}
    made = {line["source"]: line for line in lines("memory://b/out")}
    assert made.keys() == {"a.png", "x/b.png", "bad.png"}
    assert made["x/b.png"]["source_sha256"] == digest("in/x/b.png")
    assert made["x/b.png"]["target_sha256"] == digest("out/x/b.png")
    again = run(inpaint, "memory://b/in", "memory://b/out", "memory://b/masks")
    assert (again["a.png"], again["x/b.png"]) == (THERE, THERE)


def test_a_folder_that_was_copied_into_a_store_is_gone_on_with_there(inpaint):
    run(inpaint, "in", "out", "masks")
    for path in (path for path in Path("out").rglob("*") if path.is_file()):
        fsspec.filesystem("memory").pipe_file(f"/b/{path.as_posix()}", path.read_bytes())
    again = run(inpaint, "memory://b/in", "memory://b/out", "memory://b/masks")
    assert (again["a.png"], again["x/b.png"]) == (THERE, THERE)


def test_a_kill_between_the_line_and_its_object_costs_one_object_and_no_more(inpaint):
    words = ("memory://b/in", "memory://b/out", "memory://b/masks")
    run(inpaint, *words)
    fsspec.filesystem("memory").rm_file("/b/out/a.png")
    again = run(inpaint, *words)
    assert (again["a.png"], again["x/b.png"]) == ("made", THERE)


def test_the_line_of_an_object_is_safe_before_the_object_is_there(inpaint, monkeypatch):
    def refuse(_data, place):
        raise OSError(5, "the store is full", str(place))

    monkeypatch.setattr("diffir.inference.batch.put", refuse)
    told = run(inpaint, "memory://b/in", "memory://b/out", "memory://b/masks")
    assert "the store is full" in told["a.png"]
    assert objects("memory://b/out") == {}
    first, failure = (line for line in lines("memory://b/out") if line["source"] == "a.png")
    assert first["target_sha256"]
    assert "the store is full" in failure["error"]


def test_what_somebody_else_put_into_the_store_is_left_alone(inpaint):
    words = ("memory://b/in", "memory://b/out", "memory://b/masks")
    fsspec.filesystem("memory").pipe_file("/b/out/a.png", b"mine")
    assert run(inpaint, *words)["a.png"] == "exists, but was not made here or has changed since"
    assert content(parse_place("memory://b/out/a.png")) == b"mine"
    assert run(inpaint, *words, overwrite=True)["a.png"] == "made"


def test_a_picture_of_another_store_goes_into_a_folder_here_and_back(inpaint):
    assert run(inpaint, "memory://b/in", "here", "masks")["a.png"] == "made"
    assert run(inpaint, "in", "memory://b/there", "memory://b/masks")["a.png"] == "made"
    assert objects("here") == objects("memory://b/there")


def test_an_archive_is_read_as_a_folder_is_and_never_written(inpaint):
    with zipfile.ZipFile("in.zip", "w") as archive:
        for path in (path for path in Path("in").rglob("*.png")):
            archive.write(path)
    assert run(inpaint, "zip://in::in.zip", "here", "masks")["x/b.png"] == "made"
    assert objects("here").keys() == {"a.png", "x/b.png"}
    with pytest.raises(PictureError, match="is read-only; choose a folder or an object"):
        plan([parse_place("in")], parse_place("zip://out::in.zip"))


def test_a_file_url_is_a_path_of_this_machine():
    assert parse_place(f"file://{Path.cwd()}/in") == Path.cwd() / "in"
    assert parse_place("in") == Path("in")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nowhere://b/in", "nowhere://b/in can't be reached"),
        ("memory://b/none", "memory://b/none does not exist; check the path"),
        ("memory://b/in/a.png", None),
    ],
)
def test_a_url_that_leads_nowhere_is_a_sentence(url, sentence):
    if sentence is None:
        (job,) = plan([parse_place(url)], Path("out"))
        assert job.target == Path("out/a.png")
        return
    with pytest.raises(PictureError, match=sentence):
        plan([parse_place(url)], Path("out"))


def test_a_store_is_no_output_of_itself():
    with pytest.raises(PictureError, match="is an input, so outputs would become inputs"):
        plan([parse_place("memory://b/in")], parse_place("memory://b/in"))
    with pytest.raises(PictureError, match=r"memory://b/in/a.png is an input; choose another"):
        plan([parse_place("memory://b/in/a.png")], parse_place("memory://b/in/a.png"))


def test_places_travel_to_other_processes():
    (job,) = plan([parse_place("memory://b/in/a.png")], parse_place("memory://b/out"))
    assert pickle.loads(pickle.dumps(job)) == job


def test_lines_go_into_objects_of_some_hundred_and_no_empty_one_stays():
    parts = Parts(parse_place("memory://b/parts"))
    for number in range(IN_A_PART + 3):
        parts([b"%d\n" % number])
    parts.close()
    first, second = files_below(parse_place("memory://b/parts"))
    assert content(first).splitlines() == [b"%d" % number for number in range(IN_A_PART)]
    assert content(second) == b"256\n257\n258\n"
    Parts(parse_place("memory://b/none")).close()
    assert not parse_place("memory://b/none").exists()


def test_a_line_that_a_store_refuses_is_told_and_not_taken_for_written():
    written = []

    def write(taken):
        if b"bad" in taken:
            raise OSError("refused")
        written.extend(taken)

    together = Together(write)
    together(b"good")
    with pytest.raises(OSError, match="refused"):
        together(b"bad")
    together(b"more")
    assert written == [b"good", b"more"]


def test_lines_that_come_while_one_is_written_are_written_as_one():
    begun, may_end, writes = Event(), Event(), []

    def write(taken):
        writes.append(sorted(taken))
        begun.set()
        may_end.wait(30)

    together = Together(write)
    with ThreadPoolExecutor(4) as pool:
        pool.submit(together, b"first")
        begun.wait(30)
        rest = [pool.submit(together, b"%d" % number) for number in range(3)]
        while len(together.waiting) < 3:
            time.sleep(0.01)
        may_end.set()
        assert [line.result() for line in rest] == [None] * 3
    assert writes == [[b"first"], [b"0", b"1", b"2"]]


def test_a_look_at_the_manifest_of_a_store_writes_nothing(inpaint):
    assert read_manifest(parse_place("memory://b/out"), SETTINGS).lines == {}
    assert not parse_place("memory://b/out").exists()
    run(inpaint, "memory://b/in", "memory://b/out", "memory://b/masks")
    assert len(read_manifest(parse_place("memory://b/out"), SETTINGS).lines) == 3
