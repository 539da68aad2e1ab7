"""Sets: from what a user gives as data, from a folder to a mixture, to a source of crops."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Discriminator, Tag, TypeAdapter, ValidationError

from diffir.errors import DataError

from .entries import Entry, File, indexed
from .folders import files_below, picture_files, pictures_below
from .pairing import pair_files
from .settings import Positive, Values, named, read_yaml, sentence
from .shards import members_of
from .sources import Mixture, OnBad, Pictures, Source, Synthetic
from .synthetic import DeadLeaves

SYNTHETICS = {"dead-leaves": DeadLeaves()}


class PhotoSet(Values):
    """Pictures without LQ, or shards, whose pictures may have one."""

    photos: Path
    """A folder (searched recursively, shards too), a picture, a shard, or a `.txt` list of them."""
    weight: Positive | None = None
    """Odds against other sets; None: in one pool with all sets without a weight."""


class PairSet(Values):
    """Pictures with an LQ each."""

    gt: Path
    lq: Path
    lq_name: str = "{}"
    """Name of LQ, where `{}` is that of GT without its suffix, such as `{}x4`."""
    weight: Positive | None = None


class SyntheticSet(Values):
    """Synthetic pictures, a new one for each crop."""

    synthetic: Annotated[DeadLeaves, BeforeValidator(named(SYNTHETICS))]
    colours: Path | None = None
    """Photos to take colours from, like `photos`; None: random palettes."""
    weight: Positive = 1


AnySet: TypeAlias = PhotoSet | PairSet | SyntheticSet


def kind_of(value: Any) -> str:
    """The kind of a set, by its keys."""
    keys = value if isinstance(value, dict) else vars(value)
    return next((key for key in ("photos", "synthetic", "gt") if key in keys), "photos")


DataSet = Annotated[
    Annotated[PhotoSet, Tag("photos")]
    | Annotated[PairSet, Tag("gt")]
    | Annotated[SyntheticSet, Tag("synthetic")],
    Discriminator(kind_of),
]
DataSets = TypeAdapter(list[DataSet])


PAIRS = (("gt", "lq"), ("sharp", "blur"), ("target", "input"))
"""Folders of GT and LQ that mark a folder of pairs: ours, and those of deblurring sets."""


MADE = "pairs.yaml"
"""The list in a folder made by `diffir data degrade`."""


def data_sets(words: Iterable[str]) -> list[AnySet]:
    """The sets that words stand for: `dead-leaves`, a `.yaml` list of sets, or a path.

    A folder with the subfolders `gt` and `lq`, or others of `PAIRS`, is a set of pairs, and so is
    one made by `diffir data degrade`. Paths in a `.yaml` are relative to its folder.

    Raises:
        DataError: when a file is missing or invalid.
    """
    sets: list[AnySet] = []
    for word in words:
        path = Path(word)
        if word in SYNTHETICS and not path.exists():
            sets.append(SyntheticSet(synthetic=SYNTHETICS[word]))
        elif path.suffix in (".yaml", ".yml"):
            sets += read_sets(path)
        elif (path / MADE).is_file():
            sets += read_sets(path / MADE)
        else:
            sets.append(pairs_in(path) or PhotoSet(photos=path))
    return sets


def pairs_in(folder: Path) -> PairSet | None:
    """The pairs of a folder; None if it has none of `PAIRS`."""
    for names in PAIRS:
        gt, lq = (folder / name for name in names)
        if gt.is_dir() and lq.is_dir():
            return PairSet(gt=gt, lq=lq)
    return None


def read_sets(path: Path) -> list[AnySet]:
    """The sets listed in a `.yaml` file. Raises DataError."""
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
        for item in content if isinstance(content, list) else ():
            if not isinstance(item, dict):
                raise DataError(f"{path} lists {item!r}; wanted lines such as - photos: {item}")
        found = DataSets.validate_python(content)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; check the path") from error
    except ValidationError as error:
        raise DataError(f"{path}: {sentence(error)}") from error
    except ValueError as error:
        raise DataError(f"{path} is not valid YAML ({error}); correct it") from error
    return [
        chosen.model_copy(
            update={name: path.parent / value for name, value in chosen if isinstance(value, Path)}
        )
        for chosen in found
    ]


def open_sets(sets: Sequence[AnySet], *, scale: int, on_bad: OnBad = "skip") -> Source:
    """The source of crops from all sets; only headers of files are read.

    Raises:
        DataError: when a set has no picture, or has a bad one and `on_bad` is `stop`.
    """

    def pictures(chosen: Sequence[AnySet]) -> Source:
        return Pictures(*entries_of_sets(chosen, scale), scale=scale, on_bad=on_bad)

    pool = [chosen for chosen in sets if chosen.weight is None]
    sources, weights = ([pictures(pool)], [1.0]) if pool else ([], [])
    for chosen in sets:
        if chosen.weight is not None:
            if isinstance(chosen, SyntheticSet):
                photos = [PhotoSet(photos=chosen.colours)] if chosen.colours else None
                colours = open_sets(photos, scale=1, on_bad=on_bad) if photos else None
                sources.append(Synthetic(chosen.synthetic, colours))
            else:
                sources.append(pictures([chosen]))
            weights.append(chosen.weight)
    if not sources:
        raise DataError("no data given; name a folder of pictures")
    return sources[0] if len(sources) == 1 else Mixture(sources, weights)


def entries_of_sets(sets: Sequence[AnySet], scale: int) -> tuple[list[Entry], dict[str, str]]:
    """The pictures of all sets, and a sentence for each unfit one; DataError for synthetic sets."""
    entries, unfit = list[Entry](), dict[str, str]()
    for chosen in sets:
        if isinstance(chosen, SyntheticSet):
            raise DataError("synthetic pictures found, which are not files; leave them out")
        found, wrong = entries_of(chosen, scale)
        entries += found
        unfit |= wrong
    return entries, unfit


def entries_of(chosen: PhotoSet | PairSet, scale: int) -> tuple[list[Entry], dict[str, str]]:
    """The pictures of a set, and a sentence for each unfit one. Raises DataError for none."""
    files, alone = files_of(chosen)
    entries, unfit = indexed(files, scale)
    return entries, alone | unfit


def files_of(chosen: PhotoSet | PairSet) -> tuple[list[tuple[File, File | None]], dict[str, str]]:
    """GT and LQ files of a set, unopened, and a sentence for each unpaired file or bad shard.

    Raises:
        DataError: when there are none.
    """
    if isinstance(chosen, PairSet):
        gts = picture_files([chosen.gt])
        pairs, alone = pair_files(gts, chosen.gt, chosen.lq, chosen.lq_name)
        return [(file_of(gt), file_of(lq)) for gt, lq in pairs], alone
    files: list[tuple[File, File | None]] = []
    problems = {}
    for path in listed(chosen.photos):
        if path.suffix != ".tar":
            files.append((file_of(path), None))
            continue
        samples, problem = members_of(path)
        files += [(s["gt"], s.get("lq")) for s in samples.values() if "gt" in s]
        if problem:
            problems[str(path)] = problem
    return files, problems


def file_of(path: Path) -> File:
    """The file at a path."""
    return File(name=str(path), path=path)


def listed(path: Path) -> list[Path]:
    """The pictures and shards of a folder, a file or a `.txt` list.

    Raises:
        DataError: when there are none, or some of a list are missing.
    """
    if path.suffix == ".txt" and path.is_file():
        # Some editors write a byte order mark, and names of files may be any bytes
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        files = [path.parent / line.strip() for line in lines if line.strip()]
        missing = [file for file in files if not file.exists()]
        if missing:
            raise DataError(
                f"{path} lists {missing[0]}, which does not exist ({len(missing)} of "
                f"{len(files)} missing); give a UTF-8 text of paths relative to the list's folder"
            )
        return files
    shards = sorted(file for file in files_below(path) if file.suffix == ".tar")
    return [*shards, *pictures_below(path)] if shards else picture_files([path])
