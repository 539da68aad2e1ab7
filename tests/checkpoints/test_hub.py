"""A network goes to a folder or to the Hub and comes back to the bit, offline where it can.

The Hub here is a stand-in on this machine that speaks the few addresses which huggingface_hub asks.
"""

import base64
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from official import network, toy, write_pth

from diffir import Restorer, load
from diffir.checkpoints import Checkpoint, format
from diffir.checkpoints.folder import save_folder
from diffir.checkpoints.hub import HubName, hub_name
from diffir.errors import WeightsError
from diffir.loading import load_checkpoint, weights_file

constants = pytest.importorskip("huggingface_hub.constants")
huggingface_hub = pytest.importorskip("huggingface_hub")

FIRST, SECOND = "1" * 40, "2" * 40
REPO = "ann/net"


class Hub(ThreadingHTTPServer):
    """Repositories by name: of each, commits by branch, tag or hash: of each, files by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.asked: list[str] = []
        self.uploaded: dict[str, bytes] = {}
        self.breaks_at: int | None = None
        """After so many bytes of the next download, the connection ends."""
        self.spoils = False
        """Whether downloads arrive with another last byte."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        sent = {"Content_Length": str(len(body)), **headers}
        for name, value in sent.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, answer: Any) -> None:
        self.answer(200, json.dumps(answer).encode(), Content_Type="application/json")

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}")
        if self.path == f"/api/models/{REPO}":  # of a repository that create_repo couldn't make
            return self.answer(200 if REPO in self.server.repos else 401)
        found = re.fullmatch(r"/([\w-]+/[\w.-]+)/resolve/([^/]+)/([^?]+)", self.path)
        assert found is not None
        repo, revision, file = found.groups()
        commits = self.server.repos.get(repo)
        if commits is None:
            return self.answer(404, X_Error_Code="RepoNotFound")
        if revision not in commits:
            return self.answer(404, X_Error_Code="RevisionNotFound")
        if file not in commits[revision]:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=FIRST)
        content = commits[revision][file]
        commit = next(name for name in commits if commits[name] is commits[revision])
        facts = {
            "X_Repo_Commit": commit,
            "X_Linked_Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            "Accept_Ranges": "bytes",
        }
        if self.command == "HEAD":
            return self.answer(200, content, **facts)
        if self.server.spoils:
            content = content[:-1] + bytes([content[-1] ^ 1])
        begin = int(re.sub(r"\D", "", self.headers.get("Range", "")) or 0)
        breaks_at, self.server.breaks_at = self.server.breaks_at, None
        if breaks_at is not None:
            self.answer(200, content[:breaks_at], Content_Length=str(len(content)), **facts)
            self.close_connection = True
            return None
        return self.answer(206 if begin else 200, content[begin:], **facts)

    def do_POST(self) -> None:
        said, path = self.body(), self.path
        self.server.asked.append(f"POST {path}")
        if path == "/api/repos/create":
            if self.headers.get("Authorization") != "Bearer hf_ann":
                return self.answer(401)
            self.server.repos.setdefault(REPO, {"main": {}})
            return self.answer_json({"url": f"{self.server.address}/{REPO}"})
        if path == "/api/validate-yaml":
            return self.answer_json({"errors": [], "warnings": []})
        if "/preupload/" in path:
            names = [file["path"] for file in json.loads(said)["files"]]
            modes = {True: "lfs", False: "regular"}
            files = [
                {"path": name, "uploadMode": modes[name.endswith(".safetensors")],
                 "shouldIgnore": False, "oid": None} for name in names
            ]  # fmt: skip
            return self.answer_json({"files": files})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**thing, "actions": {"upload": {"href": f"{self.server.address}/{thing['oid']}"}}}
                for thing in json.loads(said)["objects"]
            ]
            return self.answer_json({"transfer": "basic", "objects": objects})
        return self.commit([json.loads(line) for line in said.splitlines()])

    def do_PUT(self) -> None:
        self.server.uploaded[self.path[1:]] = self.body()
        self.answer(200)

    def commit(self, lines: list[dict[str, Any]]) -> None:
        main = self.server.repos[REPO]["main"]
        for line in lines:
            said = line["value"]
            if line["key"] == "file":
                main[said["path"]] = base64.b64decode(said["content"])
            if line["key"] == "lfsFile":
                main[said["path"]] = self.server.uploaded[said["oid"]]
        url = f"{self.server.address}/{REPO}/commit/{FIRST}"
        self.server.repos[REPO] = {FIRST: main, "main": main}
        self.answer_json({"commitUrl": url, "commitOid": FIRST, "success": True, "hookOutput": ""})


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, a cache of its own, and nothing that this machine's user has."""
    server = Hub()
    Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "ENDPOINT": server.address,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
        "HF_HUB_OFFLINE": False,
    }
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "DIFFIR_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    yield server
    server.shutdown()
    server.server_close()


def folder_of(place: Path, seed: int = 0, **facts: Any) -> Path:
    """A folder as save_pretrained makes it, of a toy network for deblurring."""
    model = network(2, toy("deblur"), seed)
    save_folder(Checkpoint(model=model, task="deblur", **facts), place)
    return place


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def repo(hub: Hub, tmp_path: Path) -> Hub:
    """The stand-in with a repository of two commits: tag v1, then main."""
    first, second = (files_in(folder_of(tmp_path / f"made{seed}", seed)) for seed in (1, 2))
    hub.repos[REPO] = {FIRST: first, SECOND: second, "v1": first, "main": second}
    return hub


def same(found, expected) -> bool:
    theirs = expected.state_dict()
    ours = found.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def refused(name: str | Path, **options: Any) -> str:
    with pytest.raises(WeightsError) as caught:
        load(name, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_gives_the_network_and_its_facts_back_to_the_bit(tmp_path):
    training = {"data": ["photos"], "steps": 7}
    folder = folder_of(tmp_path / "made", preset="deblur", training=training)
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "config.json", "model.safetensors"
    }  # fmt: skip
    restorer = Restorer.from_pretrained(folder, device="cpu")
    restorer.save_pretrained(tmp_path / "again")
    again = load_checkpoint(str(tmp_path / "again"))
    assert same(again.model, network(2, toy("deblur")))
    assert (again.task, again.preset, again.training) == ("deblur", "deblur", training)


def test_the_model_card_is_one_that_the_hub_reads(tmp_path):
    place = tmp_path / "made"
    training = {"data": ["photos"]}
    model = network(2, toy("inpaint", timesteps=3))
    save_folder(
        Checkpoint(model=model, task="inpaint", training=training), place, license="apache-2.0"
    )
    card = huggingface_hub.ModelCard.load(place / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "diffir"
    assert card.data.pipeline_tag == "image-to-image"
    assert "image-inpainting" in card.data.tags
    assert '"photos"' in card.text
    assert "| in_channels | 4 |" in card.text
    assert "3 steps of diffusion" in card.text
    assert 'mask="mask.png"' in card.text


def test_a_model_card_that_is_there_stays(tmp_path):
    (tmp_path / "README.md").write_text("my own words")
    folder_of(tmp_path)
    assert (tmp_path / "README.md").read_text() == "my own words"


def test_a_folder_whose_weights_are_not_the_told_ones_is_refused(tmp_path):
    folder, other = folder_of(tmp_path / "one", 1), folder_of(tmp_path / "two", 2)
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    assert "has the sha256" in refused(folder)


def test_a_folder_without_weights_is_refused(tmp_path):
    assert "no file model.safetensors found in the folder" in refused(tmp_path)


def test_a_download_is_the_pushed_network_to_the_bit(repo):
    assert same(load(REPO), network(2, toy("deblur"), 2))
    assert same(load(f"hf://{REPO}"), network(2, toy("deblur"), 2))


def test_what_is_in_the_cache_is_taken_without_asking(repo):
    load(REPO)
    asked = len(repo.asked)
    repo.repos.clear()
    assert same(load(REPO), network(2, toy("deblur"), 2))
    assert len(repo.asked) == asked


@pytest.mark.parametrize("how", ["in the name", "as an argument", "as a commit"])
def test_a_revision_is_pinned(repo, how):
    load(REPO)  # the cache has main
    ways = {
        "in the name": lambda: load(f"{REPO}@v1"),
        "as an argument": lambda: Restorer.from_pretrained(REPO, revision="v1", device="cpu").model,
        "as a commit": lambda: load(f"hf://{REPO}@{FIRST}"),
    }
    assert same(ways[how](), network(2, toy("deblur"), 1))


def test_two_revisions_in_one_call_are_refused(hub):
    assert "another revision than v2" in refused(f"{REPO}@v1", revision="v2")
    assert not hub.asked


@pytest.mark.parametrize("revision", ["../../elsewhere", "a b", "/etc"])
def test_a_revision_that_leads_elsewhere_is_refused(hub, revision):
    assert "a branch, a tag or a commit is wanted" in refused(REPO, revision=revision)
    assert not hub.asked


def test_a_spoiled_file_in_a_cache_that_cannot_be_written_is_refused(repo, monkeypatch):
    blob = weights_file(REPO).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")

    def read_only(_path: Path, **_options: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", read_only)
    assert refused(REPO).endswith("so get another copy")


def test_a_revision_of_what_is_not_on_the_hub_is_refused(tmp_path):
    assert "is not a repository on the Hub" in refused("deblur-lite", revision="v1")
    assert "is not a repository on the Hub" in refused(folder_of(tmp_path), revision="v1")


def test_an_authors_file_of_a_repository_is_loaded(repo, tmp_path):
    model = network(2, toy("sr-x2"))
    content = write_pth(tmp_path / "net.pth", model).read_bytes()
    repo.repos[REPO]["main"]["sub/net.pth"] = content
    assert same(load(f"hf://{REPO}/sub/net.pth"), model)


def test_a_download_goes_on_where_the_connection_broke(repo, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    repo.breaks_at = 5000
    with suppress(WeightsError):  # huggingface_hub 1 goes on in the next call, 2 in the same
        load(REPO)
    assert same(load(REPO), network(2, toy("deblur"), 2))
    ranges = [line for line in repo.asked if "bytes=" in line]
    assert ranges == [f"GET /{REPO}/resolve/main/model.safetensors bytes=5000-"]


def test_a_spoiled_download_is_refused_and_not_kept(repo):
    repo.spoils = True
    assert "has the sha256" in refused(REPO)
    repo.spoils = False
    assert same(load(REPO), network(2, toy("deblur"), 2))


def test_a_cache_that_was_spoiled_is_refused_and_mended(repo):
    blob = weights_file(REPO).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    assert "removed from the Hub's cache" in refused(REPO)
    assert same(load(REPO), network(2, toy("deblur"), 2))


def test_what_lies_in_the_own_folder_is_taken_without_asking(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFIR_WEIGHTS", str(tmp_path))
    folder_of(tmp_path / REPO, 3)
    folder_of(tmp_path / f"{REPO}@v1", 4)
    assert same(load(REPO), network(2, toy("deblur"), 3))
    assert same(load(f"{REPO}@v1"), network(2, toy("deblur"), 4))
    assert not hub.asked


def test_a_preset_without_bundled_weights_is_found_in_the_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFIR_WEIGHTS", str(tmp_path))
    model = network(2, toy("sr-x2"))
    write_pth(tmp_path / "sr-x2.pth", model)
    assert same(load("sr-x2"), model)
    format.save(Checkpoint(model=network(2, toy("deblur")), task="deblur"),
                tmp_path / "sr-x4-lite.safetensors")  # fmt: skip
    assert load("sr-x4-lite").config.upscale == 4  # what is bundled keeps its name


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ann/other", "is neither a path on this machine"),
        (f"{REPO}@v9", "names a revision that the repository lacks"),
        (f"hf://{REPO}/none.pth", "names a file that the repository lacks"),
    ],
)
def test_what_the_hub_lacks_is_said_in_one_sentence(repo, name, sentence):
    assert sentence in refused(name)


def test_without_a_network_one_sentence_comes_at_once(hub, monkeypatch):
    url = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(hub.address, "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    message = refused("ann/net@v1")
    assert "the Hub cannot be reached" in message
    assert "$DIFFIR_WEIGHTS/ann/net@v1/model.safetensors" in message


def test_offline_the_network_is_not_asked(repo, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids" in refused(REPO)
    assert not repo.asked


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'diffir[hub]'" in refused("ann/net")


def test_a_push_makes_a_repository_that_gives_the_network_back(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_ann")
    restorer = Restorer.from_pretrained(folder_of(tmp_path / "made", 5), device="cpu")
    address = restorer.push_to_hub(REPO, license="cc-by-4.0")
    assert address == f"{hub.address}/{REPO}/commit/{FIRST}"
    pushed = hub.repos[REPO]["main"]
    assert pushed.keys() == {"README.md", "config.json", "model.safetensors"}
    assert b"license: cc-by-4.0" in pushed["README.md"]
    assert b'from_pretrained("ann/net")' in pushed["README.md"]
    assert same(load(REPO), restorer.model)


def test_a_push_leaves_the_card_that_the_repository_has(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_ann")
    hub.repos[REPO] = {"main": {"README.md": b"my own words"}}
    Restorer.from_pretrained(folder_of(tmp_path / "made"), device="cpu").push_to_hub(REPO)
    assert hub.repos[REPO]["main"]["README.md"] == b"my own words"
    assert "model.safetensors" in hub.repos[REPO]["main"]


def test_a_push_without_a_login_is_refused_in_one_sentence(hub, tmp_path):
    restorer = Restorer.from_pretrained(folder_of(tmp_path / "made"), device="cpu")
    with pytest.raises(WeightsError, match="hf auth login"):
        restorer.push_to_hub(REPO)
    assert not hub.repos


def test_a_push_wants_the_name_of_a_repository(tmp_path):
    restorer = Restorer.from_pretrained(folder_of(tmp_path / "made"), device="cpu")
    for wrong in ("net", f"{REPO}@v1", f"hf://{REPO}/net.pth"):
        with pytest.raises(WeightsError, match="user/name"):
            restorer.push_to_hub(wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann/net", HubName(repo="ann/net")),
        ("ann/net@v1.0", HubName(repo="ann/net", revision="v1.0")),
        ("hf://ann/net@refs/pr/3/a/b.pth",
         HubName(repo="ann/net", revision="refs/pr/3", file="a/b.pth")),
        ("hf://ann/net/b.pth", HubName(repo="ann/net", file="b.pth")),
        ("ann/net.pth", None),
        ("ann/net/b.pth", None),
        ("../net", None),
        ("net", None),
        ("/ann/net", None),
    ],
)  # fmt: skip
def test_names_of_the_hub_are_told_from_paths(text, expected):
    assert hub_name(text) == expected


@pytest.mark.parametrize("text", ["hf://net", "hf://ann/../net", "hf://ann/net/../../x", "hf://"])
def test_names_that_lead_elsewhere_are_refused(text):
    assert "a name on the Hub is hf:" in refused(text)


def test_what_is_a_path_here_is_never_asked_of_the_hub(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder_of(Path("runs/final"))
    assert same(load("runs/final"), network(2, toy("deblur")))
    assert not hub.asked


def test_the_command_line_takes_names_and_variables_of_the_hub(repo, tmp_path):
    told = {"HF_ENDPOINT": repo.address, "HF_HOME": str(tmp_path / "home")}
    told |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "diffir", "info", f"hf://{REPO}@v1"]
    done = subprocess.run(
        command, env=os.environ | told, capture_output=True, text=True, timeout=100, check=True
    )
    assert "deblur ×1" in done.stdout
    assert f"snapshots/{FIRST}/model.safetensors" in done.stdout
    assert str(tmp_path / "home") in done.stdout
