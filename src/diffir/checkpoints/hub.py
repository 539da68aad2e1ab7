"""The Hugging Face Hub: download files of repositories, and push networks to them.

Offline first: the network is used only for files that are in neither DIFFIR_WEIGHTS nor the Hub's
cache. huggingface_hub downloads, shows progress and resumes broken downloads; it reads its own
environment variables (HF_HUB_OFFLINE, HF_HOME, HF_TOKEN, HF_ENDPOINT).
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
from diffir.text import one_line

from .checkpoint import Checkpoint
from .folder import CARD_FILE, WEIGHTS_FILE, recorded_sha256, require_sha256, save_folder

logger = logging.getLogger(__name__)

PART = r"[A-Za-z0-9_][\w.-]*"
NAME = re.compile(
    rf"(?P<scheme>hf://)?(?P<repo>{PART}/{PART})"
    rf"(?:@(?P<revision>refs/pr/\d+|{PART}))?(?:/(?P<file>{PART}(?:/{PART})*))?"
)
EXPORTED_SUFFIXES = (".onnx", ".xml", ".pt2")
FILE_SUFFIXES = (".safetensors", ".pth", ".ckpt", ".pt", ".bin", *EXPORTED_SUFFIXES)
"""Of weights and exported networks; names that end so are paths, not repositories."""
REVISION = re.compile(rf"{PART}(?:/{PART})*")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class HubName:
    """A file of a repository on the Hub."""

    repo: str
    """user/name."""
    revision: str | None = None
    """A branch, a tag or a commit; None: the newest on this machine, else on the Hub."""
    file: str = WEIGHTS_FILE
    """Its path in the repository."""

    @property
    def place(self) -> str:
        """Its path below DIFFIR_WEIGHTS."""
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.repo}{at}/{self.file}"

    def __str__(self) -> str:
        return f"hf://{self.place}"


def hub_name(text: str, revision: str | None = None) -> HubName | None:
    """Parse `hf://user/repo[@revision][/file]` or `user/repo[@revision]`; None for other texts.

    Raises:
        WeightsError: when a text with hf:// is malformed, or names another revision.
    """
    found = NAME.fullmatch(text)
    if text.startswith("hf://") and found is None:
        raise WeightsError(
            f"{text} found; a name on the Hub is hf://user/repo, with optional @revision and /file"
        )
    is_path = found is None or text.endswith(FILE_SUFFIXES) or bool(found["file"])
    if found is None or (is_path and not found["scheme"]):
        return None
    if revision and found["revision"] not in (None, revision):
        raise WeightsError(f"{text} names another revision than {revision}; omit one of them")
    if revision and REVISION.fullmatch(revision) is None:
        raise WeightsError(f"revision {revision!r} found; a branch, a tag or a commit is wanted")
    name = HubName(repo=found["repo"], revision=revision or found["revision"])
    return replace(name, file=found["file"]) if found["file"] else name


def fetch(name: HubName) -> Path:
    """The file on this machine, downloaded if necessary, after checking its sha256.

    Raises:
        WeightsError: when it is not here and cannot be downloaded, or its sha256 is wrong.
    """
    if own := own_file(name):
        require_sha256(own, recorded_sha256(own))
        return own
    path, expected = cached(name), None
    if path is None:
        path, expected = downloaded(name)
    try:
        require_sha256(path, expected or _blob_sha256(path))
    except WeightsError as error:
        with suppress(OSError):  # a cache may be read-only
            _blob(path).unlink()
            raise WeightsError(
                f"{error} (it was removed from the Hub's cache: try again)"
            ) from error
        raise
    return path


def own_folder() -> Path | None:
    """The folder named by DIFFIR_WEIGHTS, None if it is not set."""
    folder = os.environ.get("DIFFIR_WEIGHTS")
    return Path(folder).expanduser() if folder else None


def own_file(name: HubName) -> Path | None:
    """The file below DIFFIR_WEIGHTS, None if it is not there."""
    folder = own_folder()
    file = folder / name.place if folder else None
    return file if file and file.is_file() else None


def cached(name: HubName) -> Path | None:
    """The file in the Hub's cache, without using the network; raises WeightsError."""
    with explained(name):
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(name.repo, name.file, revision=name.revision)
    return Path(path) if isinstance(path, str) else None


def downloaded(name: HubName) -> tuple[Path, str | None]:
    """The file, downloaded into the Hub's cache, and its sha256 if the Hub reports one.

    Raises:
        WeightsError: when it cannot be downloaded.
    """
    with explained(name):
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        # Queried first: without a network, hf_hub_download retries for 23 seconds
        url = hf_hub_url(name.repo, name.file, revision=name.revision)
        etag = get_hf_file_metadata(url, library_name="diffir").etag or ""
        logger.info("downloading %s", name)
        path = hf_hub_download(name.repo, name.file, revision=name.revision, library_name="diffir")
    return Path(path), etag if SHA256.fullmatch(etag) else None


def push(
    checkpoint: Checkpoint,
    repo: str,
    *,
    license: str = "unknown",
    private: bool | None = None,
) -> str:
    """Commit a network's folder to a repository, created if missing; returns the commit's URL.

    Args:
        checkpoint: as `save_folder` takes it.
        repo: user/name.
        license: of the weights; an existing model card is kept.
        private: visibility of a new repository; None: the account's default.

    Raises:
        WeightsError: when the Hub cannot be reached or refuses.
    """
    name = hub_name(repo)
    if name is None or name != HubName(repo=name.repo):
        raise WeightsError(f"{repo} found; the name of a repository is wanted, user/name")
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
    """Turn any failure of the Hub into a WeightsError of one sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{name} is not a path on this machine, and downloading it needs huggingface_hub; "
            f"run pip install 'diffir[hub]', or put the file at $DIFFIR_WEIGHTS/{name.place}"
        ) from error
    except Exception as error:  # of the Hub, of its HTTP library, of the disk
        raise WeightsError(f"{name} {_reason(error, name)}") from error


REASONS = {
    "GatedRepoError": "is gated; request access on its page, then `hf auth login`",
    "RepositoryNotFoundError": "is neither a path on this machine nor in a repository that this "
    "account can see; check the name, or `hf auth login`",
    "RevisionNotFoundError": "names a revision that the repository lacks; check it on its page",
    "RemoteEntryNotFoundError": "names a file that the repository lacks; check it on its page",
    "OfflineModeIsEnabled": "is not on this machine, and HF_HUB_OFFLINE forbids the network; "
    "unset it, or put the file at $DIFFIR_WEIGHTS/{place}",
    "ConnectError": "is not on this machine, and the Hub cannot be reached; "
    "connect to the network, or put the file at $DIFFIR_WEIGHTS/{place}",
}
"""By the names of huggingface_hub's errors, the more specific first."""


def _reason(error: Exception, name: HubName) -> str:
    names = {kind.__name__ for kind in type(error).__mro__}
    for kind, reason in REASONS.items():
        if kind in names:
            return reason.format(place=name.place)
    if getattr(getattr(error, "response", None), "status_code", None) in (401, 403):
        return "is not open to this account; `hf auth login` with a token that permits this"
    reason = f"{type(error).__name__}: {one_line(error)}"
    return f"cannot be downloaded from the Hub ({reason}); try again later"


def _blob(path: Path) -> Path:
    """Where the Hub's cache stores a file's content; the file itself on disks without links.

    Only one link is followed: content that repositories share lies behind a second link, under
    another name.
    """
    return path.parent / path.readlink() if path.is_symlink() else path


def _blob_sha256(path: Path) -> str | None:
    """The sha256 that the Hub reported for a file: for large files, its name in the cache."""
    name = _blob(path).name
    return name if SHA256.fullmatch(name) else recorded_sha256(path)
