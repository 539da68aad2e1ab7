"""Layouts: the places of GT, LQ and masks in downloaded folders.

A layout is up to three paths without suffix, relative to the data folder, ignoring case. `{name}`
and `{scene}` stand for anything but a slash, `{number}` for digits, `{scale}` for the scale.
Pictures with equal values of these fields belong together.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diffir.data.entries import File
from diffir.data.folders import pictures_below
from diffir.data.sets import file_of
from diffir.errors import DataError

WORDS = {"name": "[^/]+", "scene": "[^/]+", "number": r"\d+"}
WORD = re.compile(r"\{(\w+)\}")

Files = Mapping[str, Path]
"""By their path in the folder, without suffix, normalised by `plain`."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The paths of the pictures of a set."""

    gt: str | None = None
    lq: str | None = None
    """None: LQ is made from GT."""
    mask: str | None = None

    def at(self, scale: int) -> str:
        """Its paths, for messages."""
        paths = " + ".join(path for path in (self.gt, self.lq, self.mask) if path)
        return paths.replace("{scale}", str(scale))


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One test picture: those of GT, LQ and mask that exist."""

    name: str
    gt: File | None = None
    lq: File | None = None
    mask: File | None = None
    problem: str = ""
    """An error message if a part is missing."""


def plain(path: str) -> str:
    """Casefolded, and with composed accents, which macOS decomposes."""
    return unicodedata.normalize("NFC", path).casefold()


def files_below(folder: Path) -> Files:
    """All pictures of a folder and its subfolders; may be empty.

    A link in the folder itself gives its pictures a second path, also if they are in the folder.

    Raises:
        DataError: when two paths differ only in suffix or case.
    """
    links = [path for path in sorted(folder.iterdir()) if path.is_symlink() and path.is_dir()]
    files: dict[str, Path] = {}
    for path in (path for place in (folder, *links) for path in pictures_below(place)):
        key = plain(path.relative_to(folder).with_suffix("").as_posix())
        other = files.setdefault(key, path)
        if other.resolve() != path.resolve():
            raise DataError(f"{other} and {path} both match {key}; remove one")
    return files


def pattern(path: str, scale: int) -> "re.Pattern[str]":
    """The pattern of a layout's path."""
    words = {"scale": str(scale), **{word: f"(?P<{word}>{text})" for word, text in WORDS.items()}}
    pieces = WORD.split(plain(path))  # every second one is a field
    return re.compile(
        "".join(
            words[piece] if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)
        )
    )


def matches(path: str | None, files: Files, scale: int) -> dict[str, dict[str, str]]:
    """The fields of each file that matches a layout's path, by its key in `files`."""
    if path is None:
        return {}
    wanted = pattern(path, scale)
    return {key: found.groupdict() for key in files if (found := wanted.fullmatch(key))}


def cases_of(layout: Layout, files: Files, scale: int) -> list[Case]:
    """The pictures that match a layout, sorted; empty if a part of it is missing entirely."""
    roles = {
        role: matches(path, files, scale)
        for role, path in (("gt", layout.gt), ("lq", layout.lq), ("mask", layout.mask))
        if path is not None
    }
    if not all(roles.values()):
        return []
    first, *rest = roles
    partners = {role: Partners.of(roles[role], roles[first]) for role in rest}
    taken = {key for role in rest for key in roles[role]}
    cases, used = [], set[str]()
    for key, words in roles[first].items():
        if key not in taken:  # `{name}` also matches masks in the folder of the pictures
            found = {role: partner.get(words) for role, partner in partners.items()}
            used |= {other for others in found.values() for other in others}
            cases += cases_of_one(layout, files, words, {first: [key], **found})
    return cases + [
        Case(name=files[key].stem, problem=f"{files[key]} has no GT, expected as {layout.gt}")
        for key in sorted(taken - used)
        if first == "gt"
    ]


def cases_of_one(
    layout: Layout, files: Files, words: Mapping[str, str], found: Mapping[str, list[str]]
) -> list[Case]:
    """A picture with its partners by role, once per mask."""
    masks = found.get("mask", [])
    if len(masks) < 2:
        return [case_of(layout, files, words, found)]
    return [
        replace(case_of(layout, files, words, {**found, "mask": [mask]}), name=files[mask].stem)
        for mask in masks
    ]


@dataclass(frozen=True)
class Partners:
    """Files of one role, by the fields that they share with those of another role."""

    words: list[str]
    keys: dict[tuple[str, ...], list[str]]

    @classmethod
    def of(
        cls, files: Mapping[str, dict[str, str]], first: Mapping[str, dict[str, str]]
    ) -> "Partners":
        """From the files of two roles with their fields."""
        shared = sorted(next(iter(files.values())).keys() & next(iter(first.values())).keys())
        keys: dict[tuple[str, ...], list[str]] = {}
        for key, words in files.items():
            keys.setdefault(tuple(words[word] for word in shared), []).append(key)
        return cls(shared, keys)

    def get(self, words: Mapping[str, str]) -> list[str]:
        """The files with these fields."""
        return self.keys.get(tuple(words[word] for word in self.words), [])


def case_of(
    layout: Layout, files: Files, words: Mapping[str, str], found: Mapping[str, list[str]]
) -> Case:
    """A picture with its partner of each role, or an error message if there is not exactly one."""
    paths = {role: files[keys[0]] for role, keys in found.items() if keys}
    first = next(iter(paths.values()))
    problem = "; ".join(
        f"{first} has {'several' if keys else 'no'} {role.upper()}, expected as "
        f"{getattr(layout, role)}"
        for role, keys in found.items()
        if len(keys) != 1
    )
    scene = next((part for part in first.parts if plain(part) == words.get("scene")), None)
    name = own_name(first.stem, words)
    name = f"{scene}/{name}" if scene else name
    return Case(name=name, problem=problem, **{role: file_of(path) for role, path in paths.items()})


def own_name(stem: str, words: Mapping[str, str]) -> str:
    """The `{name}` of a file in its own spelling, without parts of the layout such as _HR."""
    composed, name = unicodedata.normalize("NFC", stem), words.get("name", "")
    place = composed.casefold().find(name)
    whole = len(composed.casefold()) == len(composed) and place >= 0  # ß becomes ss
    return composed[place : place + len(name)] if name and whole else stem


def lying_as(layouts: Sequence[Layout], folder: Path, scale: int) -> tuple[Layout, list[Case]]:
    """The first layout in which some picture is complete, or else any that matches; its pictures.

    An empty layout if none matches.
    """
    files = files_below(folder)
    found = [(layout, cases_of(layout, files, scale)) for layout in layouts]
    found = [(layout, cases) for layout, cases in found if cases]
    whole = (each for each in found if not all(case.problem for case in each[1]))
    return next(whole, found[0] if found else (Layout(), []))


def variants(*layouts: Layout, inside: Sequence[str]) -> tuple[Layout, ...]:
    """The layouts themselves, and inside other folders."""

    def moved(path: str | None, folder: str) -> str | None:
        return None if path is None else f"{folder}{path}"

    return tuple(
        Layout(gt=moved(each.gt, folder), lq=moved(each.lq, folder), mask=moved(each.mask, folder))
        for folder in ("", *inside)
        for each in layouts
    )


GT_AND_LQ = Layout(gt="gt/{name}", lq="lq/{name}")

ENLARGING = (
    Layout(gt="HR/{name}", lq="LR_x{scale}/{name}"),
    Layout(gt="HR/{name}", lq="LR_x{scale}/{name}x{scale}"),
    Layout(gt="HR/{name}", lq="LR_bicubic/X{scale}/{name}x{scale}"),
    Layout(gt="GTmod12/{name}", lq="LRbicx{scale}/{name}"),
    Layout(
        gt="image_SRF_{scale}/{name}_SRF_{scale}_HR", lq="image_SRF_{scale}/{name}_SRF_{scale}_LR"
    ),
    GT_AND_LQ,
)
"""EDSR's `benchmark.tar`, BasicSR's folders, Huang et al.'s SelfExSR, and this project's own."""

ENLARGING_GT = tuple(
    Layout(gt=path) for path in ("HR/{name}", "GTmod12/{name}", "original/{name}", "{name}")
)

DEBLURRING = (
    *variants(
        Layout(gt="{scene}/sharp/{name}", lq="{scene}/blur/{name}"),
        Layout(gt="target/{name}", lq="input/{name}"),
        Layout(gt="sharp/{name}", lq="blur/{name}"),
        inside=["test/"],
    ),
    GT_AND_LQ,
)
"""GOPRO_Large's, MPRNet's and Restormer's, and the usual."""

FILLING = (
    Layout(gt="{name}", mask="{name}_mask{number}"),
    Layout(gt="gt/{name}", mask="masks/{name}"),
    Layout(gt="gt/{name}", mask="mask/{name}"),
    Layout(gt="images/{name}", mask="masks/{name}"),
)
"""LaMa's, and the usual."""

OF_TASK = {"sr": ENLARGING, "deblur": DEBLURRING, "inpaint": FILLING}
"""Layouts of a folder that is not a named benchmark; any other folder is photos without LQ."""
