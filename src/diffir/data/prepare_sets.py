"""Public training sets: where they come from, their terms, and their layout when unpacked."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from diffir.errors import DataError

from . import folders
from .cutting import FULL, Cutting
from .folders import PICTURE_SUFFIXES
from .pairing import pair_files

Split = Literal["train", "test"]
Blur = Literal["blur", "blur_gamma"]

DEPTH = 2  # levels below the given folder that are searched for a set's own folders
OST_CLASSES = ("animal", "building", "grass", "mountain", "plant", "sky", "water")

CROPS = Cutting(size=480, step=240)
PAIR_CROPS = Cutting(size=512, step=256)
REAL_WORLD = Cutting(
    size=480, step=240, scales=(FULL, Fraction(3, 4), Fraction(1, 2), Fraction(1, 3)), edge=400
)
"""The sizes that Real-ESRGAN's preparation of DF2K makes, cut into crops."""
WHOLE = Cutting()


@dataclass(frozen=True, kw_only=True)
class Original:
    """A picture as it was downloaded, with its LQ if it has one."""

    name: str
    """Of the files made from it: a path with `/`, without suffix."""
    gt: Path
    lq: Path | None = None


Found = tuple[list[Original], dict[str, str]]
"""Pictures, and by name a sentence for each that has no partner."""


@dataclass(frozen=True)
class Search:
    """The pictures to find, and where."""

    root: Path
    split: Split = "train"
    blur: Blur = "blur"


class AbsentError(Exception):
    """The part of a set that is missing, from which `PublicSet.found` makes an error message."""


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A public training set."""

    title: str
    page: str
    """Where it is described and downloaded; empty for the user's own photos."""
    terms: str
    """As summarised from the page, which is decisive."""
    layout: str
    """The expected folders, in words."""
    find: Callable[[Search], Found]
    """Raises AbsentError if the folders are missing."""
    cutting: Cutting = WHOLE
    """The default for the training part."""
    parts: tuple[Split, ...] = ("train", "test")
    has_pairs: bool = False

    def found(self, search: Search) -> Found:
        """Its pictures below a folder, sorted by name.

        Raises:
            DataError: when the folder or the expected content is missing.
        """
        root = search.root
        if not root.exists():
            raise DataError(f"{root} does not exist; give the folder that holds {self.title}")
        if not root.is_dir():
            raise DataError(f"{root} is a file; unpack it if it is an archive, and give its folder")
        if search.split not in self.parts:
            raise DataError(f"{self.title} has no {search.split} part; leave --split out")
        try:
            originals, alone = self.find(search)
            if not originals and not alone:
                raise AbsentError("no picture in its folders")
        except AbsentError as absent:
            source = f", as unpacked from {self.page}" if self.page else ""
            hint = "; for other photos use `folder`" if self.page else ""
            raise DataError(f"{root} has {absent}; wanted {self.layout}{source}{hint}") from absent
        return sorted(originals, key=lambda original: original.name), alone


def subfolders(folder: Path) -> list[Path]:
    """The visible folders in a folder, sorted."""
    inside = (path for path in folder.iterdir() if path.is_dir())
    return sorted(path for path in inside if not is_litter(path))


def is_litter(path: Path) -> bool:
    """Whether it is hidden or was left by an unpacker: `__MACOSX`, `._0001.png`."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in a folder."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not is_litter(path)
    )


def pictures_below(folder: Path) -> list[Path]:
    """The pictures of a folder and its subfolders, without litter."""
    return [
        path
        for path in folders.pictures_below(folder)
        if not any(map(is_litter, map(Path, path.relative_to(folder).parts)))
    ]


def folder_named(root: Path, names: Iterable[str]) -> Path | None:
    """The folder with one of these names, ignoring case: the root, or the nearest below it.

    Raises:
        DataError: when there are several at the same depth.
    """
    wanted = {name.lower() for name in names}
    level = [root.resolve() if root.name in ("", "..") else root]
    for _ in range(DEPTH + 1):
        found = [folder for folder in level if folder.name.lower() in wanted]
        if len(found) > 1:
            raise DataError(
                f"{found[0]} and {found[1]} both match; give one of them instead of {root}"
            )
        if found:
            return found[0]
        level = [inner for folder in level for inner in subfolders(folder)]
    return None


def originals_in(folder: Path, prefix: str = "") -> list[Original]:
    """All pictures of a folder, named by their path in it."""
    return [
        Original(name=prefix + place_of(path, folder), gt=path) for path in pictures_below(folder)
    ]


def place_of(path: Path, folder: Path) -> str:
    """The path of a file in a folder, without suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


@dataclass(frozen=True, kw_only=True)
class Photos:
    """Finds folders of photos, each by its possible names."""

    train: Sequence[tuple[str, ...]]
    test: Sequence[tuple[str, ...]] = ()

    def __call__(self, search: Search) -> Found:
        """The photos, prefixed with the folder's name if there are several folders."""
        wanted = self.train if search.split == "train" else self.test
        folders = [folder_named(search.root, names) for names in wanted]
        absent = [names[0] for names, folder in zip(wanted, folders, strict=True) if folder is None]
        if absent:
            raise AbsentError(f"no folder {', '.join(absent)}")
        found = [folder for folder in folders if folder]
        return [
            original
            for folder in found
            for original in originals_in(folder, f"{folder.name}/" if len(found) > 1 else "")
        ], {}


def any_photos(search: Search) -> Found:
    """Every picture of a folder."""
    return originals_in(search.root), {}


def celeba_hq(search: Search) -> Found:
    """Only the faces, since the masks of their parts are pictures, too."""
    folder = folder_named(search.root, ("CelebA-HQ-img", "data256x256", "celeba-1024"))
    if folder is None and not pictures_in(search.root):
        raise AbsentError("neither pictures nor a folder CelebA-HQ-img")
    return originals_in(folder or search.root), {}


SHARP_FOLDERS: dict[str, Blur | Literal["input"]] = {"sharp": "blur", "target": "input"}
"""Folders of GT and of LQ: GoPro's own, and those of repacked sets."""


def gopro(search: Search) -> Found:
    """Scenes of blurred and sharp frames."""
    base = folder_named(search.root, (search.split,))
    folders = pair_folders(search.root, search.blur)
    if not folders and base:
        folders = pair_folders(part_of(base, "gopro"), search.blur)
    if not folders:
        raise AbsentError(f"no {search.split}/<scene>/sharp with {search.blur} beside it")
    originals, alone = list[Original](), dict[str, str]()
    for scene, gt_folder, lq_folder in folders:
        pairs, unpaired = pair_files(pictures_in(gt_folder), gt_folder, lq_folder)
        alone |= {name: text for name, text in unpaired.items() if not is_litter(Path(name))}
        originals += [Original(name=f"{scene}{gt.stem}", gt=gt, lq=lq) for gt, lq in pairs]
    return originals, alone


def part_of(base: Path, name: str) -> Path:
    """The folder of a set in a folder of several sets, or else that folder."""
    return next((inner for inner in subfolders(base) if inner.name.lower() == name), base)


def pair_folders(base: Path, blur: Blur) -> list[tuple[str, Path, Path]]:
    """`scene/` or nothing, GT's folder and LQ's, for a folder or each of its subfolders."""
    own = folders_beside(base, blur)
    if own:
        return [("", *own)]
    scenes = ((scene, folders_beside(scene, blur)) for scene in subfolders(base))
    return [(f"{scene.name}/", *both) for scene, both in scenes if both]


def folders_beside(base: Path, blur: Blur) -> tuple[Path, Path] | None:
    """The folders of GT and of LQ in a folder."""
    for sharp, blurred in SHARP_FOLDERS.items():
        gt, lq = base / sharp, base / (blur if blurred == "blur" else blurred)
        if gt.is_dir() and lq.is_dir():
            return gt, lq
    return None


def hide(search: Search) -> Found:
    """Blurred pictures in folders by part; the sharp ones of all parts are in one folder."""
    gt_folder = folder_named(search.root, ("GT",))
    blurred = gt_folder and gt_folder.parent / search.split
    if gt_folder is None or blurred is None or not blurred.is_dir():
        raise AbsentError(f"no folder GT with a folder {search.split} beside it")
    sharp = {path.stem: path for path in pictures_below(gt_folder)}
    originals, alone = [], {}
    for lq in pictures_below(blurred):
        gt = sharp.get(lq.stem)
        if gt is None:
            alone[str(lq)] = f"{lq} has no GT; add {gt_folder / lq.name}"
        else:
            originals.append(Original(name=place_of(lq, blurred), gt=gt, lq=lq))
    return originals, alone


DIV2K = (("DIV2K_train_HR",), ("DIV2K_valid_HR",))
FLICKR2K = ("Flickr2K_HR",)
DIV2K_TERMS = "see the page; for academic research"
FLICKR2K_TERMS = "see the page; the photos belong to Flickr's users"

PUBLIC_SETS: dict[str, PublicSet] = {
    "div2k": PublicSet(
        title="DIV2K",
        page="https://data.vision.ee.ethz.ch/cvl/DIV2K/",
        terms=DIV2K_TERMS,
        layout="the folder DIV2K_train_HR, or DIV2K_valid_HR for --split test",
        find=Photos(train=DIV2K[:1], test=DIV2K[1:]),
        cutting=CROPS,
    ),
    "flickr2k": PublicSet(
        title="Flickr2K",
        page="https://github.com/limbee/NTIRE2017",
        terms=FLICKR2K_TERMS,
        layout="the folder Flickr2K_HR",
        find=Photos(train=(FLICKR2K,)),
        cutting=CROPS,
        parts=("train",),
    ),
    "df2k": PublicSet(
        title="DF2K (DIV2K and Flickr2K)",
        page="https://data.vision.ee.ethz.ch/cvl/DIV2K/ and https://github.com/limbee/NTIRE2017",
        terms=f"DIV2K: {DIV2K_TERMS}; Flickr2K: {FLICKR2K_TERMS}",
        layout="a folder with both DIV2K_train_HR and Flickr2K_HR",
        find=Photos(train=(DIV2K[0], FLICKR2K)),
        cutting=REAL_WORLD,
        parts=("train",),
    ),
    "ost": PublicSet(
        title="OST (OutdoorSceneTraining)",
        page="https://github.com/xinntao/SFTGAN",
        terms="see the page; the photos were collected with search engines",
        layout=f"the folders {', '.join(OST_CLASSES)}",
        find=Photos(train=[(name,) for name in OST_CLASSES]),
        cutting=REAL_WORLD,
        parts=("train",),
    ),
    "gopro": PublicSet(
        title="GoPro (GOPRO_Large)",
        page="https://seungjunnah.github.io/Datasets/gopro",
        terms="see the page",
        layout="train/<scene>/blur and sharp (test/... for --split test)",
        find=gopro,
        cutting=PAIR_CROPS,
        has_pairs=True,
    ),
    "hide": PublicSet(
        title="HIDE",
        page="https://github.com/joanshen0508/HA_deblur",
        terms="see the page",
        layout="folders GT of sharp pictures, and train and test of blurred ones",
        find=hide,
        cutting=PAIR_CROPS,
        has_pairs=True,
    ),
    "places": PublicSet(
        title="Places365",
        page="http://places2.csail.mit.edu/download.html",
        terms="see the page; the photos belong to their owners",
        layout="the folder data_large or data_256 (val_large or val_256 for --split test)",
        find=Photos(
            train=(
                (
                    "data_large",
                    "data_large_standard",
                    "data_large_challenge",
                    "data_256",
                    "data_256_standard",
                    "data_256_challenge",
                    "train",
                ),
            ),
            test=(("val_large", "val_256", "val"),),
        ),
    ),
    "celeba-hq": PublicSet(
        title="CelebA-HQ",
        page="https://github.com/switchablenorms/CelebAMask-HQ",
        terms="non-commercial research; no redistribution",
        layout="a folder of faces, or the folder CelebA-HQ-img",
        find=celeba_hq,
        parts=("train",),
    ),
    "folder": PublicSet(
        title="your photos",
        page="",
        terms="your own",
        layout="a folder of photos",
        find=any_photos,
        parts=("train",),
    ),
}
"""By their names in `diffir data prepare`."""
