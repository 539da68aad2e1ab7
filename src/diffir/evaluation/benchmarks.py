"""Benchmarks by name: their folder layouts, numbers of pictures and metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffir.errors import DataError

from .layouts import (
    DEBLURRING,
    ENLARGING,
    ENLARGING_GT,
    FILLING,
    GT_AND_LQ,
    Case,
    Layout,
    lying_as,
    variants,
)
from .published import plain


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A test set and its protocol in papers."""

    name: str
    task: str
    count: int
    """Number of pictures."""
    metrics: tuple[str, ...]
    """Keys of `METRICS`, which include whether RGB, Y or the hole is compared."""
    layouts: tuple[Layout, ...]
    """Accepted folder layouts; the first that matches is used."""
    source: str
    """Where to get it."""
    scale: int = 1
    """Of the published scores."""
    degradation: str | None = None
    """How LQ is made if the folder has none; None: LQ is part of the benchmark."""


def border_of(scale: int) -> int:
    """The border in pixels that papers crop from every side."""
    return scale if scale > 1 else 0


def enlarging(name: str, count: int, source: str, *more: Layout) -> Benchmark:
    """A benchmark of bicubic super-resolution."""
    return Benchmark(
        name=name,
        task="sr",
        count=count,
        metrics=("psnr_y", "ssim_y", "lpips_alex"),
        layouts=(*more, *ENLARGING, *ENLARGING_GT),
        source=source,
        scale=4,
        degradation="bicubic",
    )


def deblurring(name: str, count: int, source: str, *more: Layout) -> Benchmark:
    """A benchmark of motion deblurring."""
    return Benchmark(
        name=name,
        task="deblur",
        count=count,
        metrics=("psnr", "ssim_volume"),
        layouts=(*more, *DEBLURRING),
        source=source,
    )


def real(name: str, count: int, source: str, *layouts: Layout) -> Benchmark:
    """A benchmark of real-world super-resolution."""
    has_gt = any(layout.gt for layout in layouts)
    return Benchmark(
        name=name,
        task="sr",
        count=count,
        metrics=("lpips_vgg", "dists", "psnr_y", "ssim_y") if has_gt else ("niqe",),
        layouts=layouts,
        source=source,
        scale=4,
    )


def filling(name: str, count: int, side: int, kind: str, source: str) -> Benchmark:
    """A benchmark of inpainting with LaMa's masks, in its folders."""
    thickness = {"narrow": "thin", "wide": "thick"}[kind]
    inside = f"random_{thickness}_{side}/"
    outer = [f"{folder}{inside}" for folder in ("", f"val_{side}/", "evaluation/")]
    return Benchmark(
        name=f"{name}-{kind}",
        task="inpaint",
        count=count,
        metrics=("fid", "lpips_vgg", "psnr_hole"),
        layouts=(*variants(FILLING[0], inside=outer), *FILLING[1:], Layout(gt="{name}")),
        source=source,
        degradation=f"holes-{kind}-{side}",
    )


ALL_OF_SR = "the 'benchmark' archive of EDSR-PyTorch or the SR test sets that BasicSR links"
LAMA = "made of {} by LaMa's scripts in fetch_data (github.com/advimman/lama)"
DIV2K = "data.vision.ee.ethz.ch/cvl/DIV2K"

BENCHMARKS: dict[str, Benchmark] = {
    each.name: each
    for each in (
        enlarging("set5", 5, ALL_OF_SR),
        enlarging("set14", 14, ALL_OF_SR),
        enlarging("b100", 100, ALL_OF_SR),
        enlarging("urban100", 100, f"{ALL_OF_SR}; or github.com/jbhuang0604/SelfExSR"),
        enlarging("manga109", 109, "manga109.org, by application"),
        enlarging("general100", 100, "mmlab.ie.cuhk.edu.hk/projects/FSRCNN.html"),
        enlarging(
            "div2k100",
            100,
            DIV2K,
            Layout(
                gt="DIV2K_valid_HR/{name}",
                lq="DIV2K_valid_LR_bicubic/X{scale}/{name}x{scale}",
            ),
            Layout(gt="DIV2K_valid_HR/{name}"),
        ),
        deblurring("gopro", 1111, "seungjunnah.github.io/Datasets/gopro (GOPRO_Large)"),
        deblurring(
            "hide",
            2025,
            "github.com/joanshen0508/HA_deblur",
            Layout(gt="GT/{name}", lq="test/{scene}/{name}"),
            Layout(gt="GT/{name}", lq="test/{name}"),
        ),
        real(
            "realsr",
            50,
            "github.com/csjcai/RealSR (version 3), Canon's test pictures",
            *variants(
                Layout(gt="{name}_HR", lq="{name}_LR{scale}"),
                inside=[f"{folder}Test/{{scale}}/" for folder in ("", "Canon/")],
            ),
            GT_AND_LQ,
        ),
        real(
            "realsrset",
            20,
            "github.com/cszn/BSRGAN (testsets/RealSRSet)",
            Layout(lq="{name}"),
            Layout(lq="RealSRSet/{name}"),
            Layout(lq="lq/{name}"),
        ),
        real(
            "ntire2020",
            100,
            "the NTIRE 2020 challenge on real-world super-resolution, track 1, validation",
            Layout(gt="DIV2K_valid_HR/{name}", lq="Corrupted-va-x/{name}"),
            Layout(gt="HR/{name}", lq="LR/{name}"),
            GT_AND_LQ,
        ),
        *(
            filling(name, count, side, kind, LAMA.format(of))
            for name, count, side, of in (
                ("celeba-hq", 2000, 256, "CelebA-HQ"),
                ("places", 30000, 512, "Places365-Standard"),
            )
            for kind in ("narrow", "wide")
        ),
    )
}
"""By their names for `--benchmark`."""


def benchmark_called(name: str) -> Benchmark:
    """The benchmark of a name in any spelling; DataError if there is none."""
    spelt = {plain(known): known for known in BENCHMARKS}
    if plain(name) not in spelt:
        raise DataError(f"benchmark {name!r} found; choose one of {', '.join(BENCHMARKS)}")
    return BENCHMARKS[spelt[plain(name)]]


def pictures_of(benchmark: Benchmark, folder: Path, scale: int) -> tuple[Layout, list[Case]]:
    """The layout and pictures of a benchmark in a folder, or in the subfolder of its name.

    Raises:
        DataError: when the folder is missing, or matches none of the layouts.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one with {benchmark.name}")
    named = (path for path in sorted(folder.iterdir()) if plain(path.name) == plain(benchmark.name))
    for place in (folder, *(path for path in named if path.is_dir())):
        layout, cases = lying_as(benchmark.layouts, place, scale)
        if cases:
            return layout, cases
    wanted = "; ".join(layout.at(scale) for layout in benchmark.layouts)
    raise DataError(
        f"{folder} has none of the layouts of {benchmark.name}, {wanted}; "
        f"get it from {benchmark.source}"
    )


def count_note(benchmark: Benchmark, layout: Layout, cases: Sequence[Case], scale: int) -> str:
    """A sentence on how many pictures of a benchmark were found, and in which layout."""
    whole = sum(1 for case in cases if not case.problem)
    sentence = (
        f"{benchmark.name}: {whole} of {benchmark.count} pictures found as {layout.at(scale)}"
    )
    if whole == benchmark.count:
        return sentence
    return f"{sentence}, so the scores are not comparable with published ones"
