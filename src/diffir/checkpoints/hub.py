"""The Hugging Face Hub: from the name of a repository to a file here, and back.

Offline first: DIFFIR_WEIGHTS is searched, then the Hub's cache, and only then is the network asked.
huggingface_hub downloads, shows progress and goes on where a connection broke; it obeys its own
variables (HF_HUB_OFFLINE, HF_HOME, HF_TOKEN, HF_ENDPOINT).
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from diffir.errors import WeightsError

from .checkpoint import Checkpoint
from .folder import CARD_FILE, WEIGHTS_FILE, require_sha256, save_folder, told_sha256

logger = logging.getLogger(__name__)

PART = r"[A-Za-z0-9_][\w.-]*"
NAME = re.compile(
    rf"(?P<scheme>hf://)?(?P<repo>{PART}/{PART})"
    rf"(?:@(?P<revision>refs/pr/\d+|{PART}))?(?:/(?P<file>{PART}(?:/{PART})*))?"
)
FILE_SUFFIXES = (".safetensors", ".pth", ".ckpt", ".pt", ".bin", ".onnx", ".xml", ".pt2")
"""Of weights and of exported networks: no repository is meant."""
REVISION = re.compile(rf"{PART}(?:/{PART})*")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class HubName:
    """A file of a repository on the Hub."""

    repo: str
    """user/name."""
    revision: str | None = None
    """A branch, a tag or a commit; None is the newest that this machine has, else the Hub's."""
    file: str = WEIGHTS_FILE
    """Its path in the repository."""

    @property
    def place(self) -> str:
        """Its path in the folder in DIFFIR_WEIGHTS."""
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.repo}{at}/{self.file}"

    def __str__(self) -> str:
        return f"hf://{self.place}"


def hub_name(text: str, revision: str | None = None) -> HubName | None:
    """What `hf://user/repo[@revision][/file]` or `user/repo[@revision]` names, None for others.

    Raises:
        WeightsError: when it begins with hf:// and is no such name, or names another revision.
    """
    found = NAME.fullmatch(text)
    if text.startswith("hf://") and found is None:
        raise WeightsError(
            f"{text} found; the Hub's names are hf://user/repo, with @revision and /file if wanted"
        )
    is_path = found is None or text.endswith(FILE_SUFFIXES) or bool(found["file"])
    if found is None or (is_path and not found["scheme"]):
        return None
    if revision and found["revision"] not in (None, revision):
        raise WeightsError(f"{text} names another revision than {revision}; leave one of them out")
    if revision and REVISION.fullmatch(revision) is None:
        raise WeightsError(f"revision {revision!r} found; a branch, a tag or a commit is wanted")
    name = HubName(repo=found["repo"], revision=revision or found["revision"])
    return replace(name, file=found["file"]) if found["file"] else name


def fetch(name: HubName) -> Path:
    """The file on this machine, downloaded where it isn't here, and its sha256 checked.

    Raises:
        WeightsError: when it is neither here nor to be had, or its content is not what was told.
    """
    if own := told_file(name):
        require_sha256(own, told_sha256(own))
        return own
    path, told = cached(name), None
    if path is None:
        path, told = downloaded(name)
    try:
        require_sha256(path, told or _blob_sha256(path))
    except WeightsError as error:
        with suppress(OSError):  # a cache may be read-only
            _blob(path).unlink()
            raise WeightsError(f"{error} (it is out of the Hub's cache now: try again)") from error
        raise
    return path


def told_place() -> Path | None:
    """The folder in DIFFIR_WEIGHTS, None where it names none."""
    told = os.environ.get("DIFFIR_WEIGHTS")
    return Path(told).expanduser() if told else None


def told_file(name: HubName) -> Path | None:
    """The file in the folder in DIFFIR_WEIGHTS, None where it isn't."""
    place = told_place()
    file = place / name.place if place else None
    return file if file and file.is_file() else None


def cached(name: HubName) -> Path | None:
    """The file in the Hub's cache, without a question to the network; raises WeightsError."""
    with explained(name):
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(name.repo, name.file, revision=name.revision)
    return Path(path) if isinstance(path, str) else None


def downloaded(name: HubName) -> tuple[Path, str | None]:
    """The file, taken from the Hub into its cache, and the sha256 that the Hub tells of large ones.

    Raises:
        WeightsError: when it is not to be had.
    """
    with explained(name):
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        # Asked first: where there is no network, hf_hub_download tries again for 23 seconds
        url = hf_hub_url(name.repo, name.file, revision=name.revision)
        told = get_hf_file_metadata(url, library_name="diffir").etag or ""
        logger.info("downloading %s", name)
        path = hf_hub_download(name.repo, name.file, revision=name.revision, library_name="diffir")
    return Path(path), told if SHA256.fullmatch(told) else None


def push(
    checkpoint: Checkpoint,
    repo: str,
    *,
    license: str = "unknown",
    private: bool | None = None,
) -> str:
    """Commit a network's folder to a repository, made where it is missing; its commit's address.

    Args:
        checkpoint: as `save_folder` takes it.
        repo: user/name.
        license: of the weights; a model card that is there stays as it is.
        private: of a new repository; None: as the account has it.

    Raises:
        WeightsError: when the Hub can't be reached or doesn't let us.
    """
    name = hub_name(repo)
    if name is None or name != HubName(repo=name.repo):
        raise WeightsError(f"{repo} found; a repository's name is wanted, user/name")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_folder(checkpoint, folder, license=license, repo=name.repo)
        with explained(name):
            from huggingface_hub import HfApi

            hub = HfApi(library_name="diffir")
            hub.create_repo(name.repo, private=private, exist_ok=True)
            has_card = hub.file_exists(name.repo, CARD_FILE)
            commit = hub.upload_folder(
                repo_id=name.repo,
                folder_path=folder,
                ignore_patterns=[CARD_FILE] if has_card else None,
                commit_message=f"Network for {checkpoint.task}, by diffir",
            )
    return str(commit.commit_url)


@contextmanager
def explained(name: HubName) -> Iterator[None]:
    """Whatever goes wrong with the Hub, as one sentence of WeightsError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{name} is no path here, and asking the Hub for it takes huggingface_hub; "
            f"pip install 'diffir[hub]', or put the file at $DIFFIR_WEIGHTS/{name.place}"
        ) from error
    except Exception as error:  # of the Hub, of its HTTP library, of the disk
        raise WeightsError(f"{name} {_reason(error, name)}") from error


REASONS = {
    "GatedRepoError": "is closed to this account; ask for access on its page, then `hf auth login`",
    "RepositoryNotFoundError": "is in no repository that this account sees, and no path here; "
    "check the name, or `hf auth login`",
    "RevisionNotFoundError": "names a revision that the repository lacks; check it on its page",
    "RemoteEntryNotFoundError": "names a file that the repository lacks; check it on its page",
    "OfflineModeIsEnabled": "is not on this machine, and HF_HUB_OFFLINE forbids the network; "
    "unset that, or put the file at $DIFFIR_WEIGHTS/{place}",
    "ConnectError": "is not on this machine, and the Hub can't be reached; "
    "connect to the network, or put the file at $DIFFIR_WEIGHTS/{place}",
}
"""By the names of huggingface_hub's errors, the narrower first."""


def _reason(error: Exception, name: HubName) -> str:
    names = {kind.__name__ for kind in type(error).__mro__}
    for kind, reason in REASONS.items():
        if kind in names:
            return reason.format(place=name.place)
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        return "is closed to this account; `hf auth login` with a token that may do this"
    line = " ".join(str(error).split())[:200]
    return f"is not to be had from the Hub ({type(error).__name__}: {line}); try it again later"


def _blob(path: Path) -> Path:
    """Where the Hub's cache keeps a file's content; the file itself on disks without links.

    One link is followed and no more: content that repositories share lies behind another link,
    under another name.
    """
    return path.parent / path.readlink() if path.is_symlink() else path


def _blob_sha256(path: Path) -> str | None:
    """The sha256 that the Hub told of a file: it is its name in the cache, for large files."""
    told = _blob(path).name
    return told if SHA256.fullmatch(told) else told_sha256(path)
