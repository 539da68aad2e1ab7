"""The paper's tables say what the paper says."""

import runpy
from pathlib import Path

import pytest

from diffir.evaluation.published import OURS, PUBLISHED, beside
from diffir.tasks import TASKS

ROOT = Path(__file__).parents[2]

COLUMNS = sorted({(row.benchmark, row.metric) for row in PUBLISHED})


@pytest.mark.parametrize(
    ("benchmark", "metric", "method", "value"),
    [
        ("set14", "psnr_y", "SFTGAN", 26.74),
        ("set14", "lpips_alex", OURS, 0.1117),
        ("urban100", "lpips_alex", "BebyGAN", 0.1096),
        ("manga109", "psnr_y", "SRDiff", 28.67),
        ("general100", "psnr_y", "USRGAN", 30.00),
        ("div2k100", "lpips_alex", "LDM", 0.1939),
        ("gopro", "psnr", "IPT", 32.52),
        ("gopro", "ssim", "MPRNet", 0.959),
        ("hide", "psnr", "MIMO-UNet+", 29.99),
        ("hide", "ssim", OURS, 0.947),
        ("places-narrow", "fid", "LaMa", 0.6340),
        ("places-wide", "lpips", OURS, 0.1306),
        ("celeba-hq-narrow", "lpips", "RePaint", 0.0890),
        ("celeba-hq-wide", "fid", "ICT", 9.8794),
        ("realsr", "dists", "BSRGAN", 0.1676),
        ("ntire2020", "psnr_y", "Real-ESRGAN", 26.40),
    ],
)
def test_numbers_stand_where_the_paper_has_them(
    benchmark: str, metric: str, method: str, value: float
) -> None:
    assert {row.method: row.value for row in beside(benchmark, metric)}[method] == value


@pytest.mark.parametrize(("benchmark", "metric"), COLUMNS)
def test_the_paper_is_the_best_of_every_column(benchmark: str, metric: str) -> None:
    rows = beside(benchmark, metric)
    assert rows[-1].method == OURS
    values = [row.value for row in rows]
    assert values == sorted(values, reverse=metric in ("lpips", "lpips_alex", "dists", "fid"))


def test_every_table_is_whole() -> None:
    sizes = {column: len(beside(*column)) for column in COLUMNS}
    assert sum(size == 9 for size in sizes.values()) == 10  # super-resolution
    assert (sizes["gopro", "psnr"], sizes["gopro", "ssim"]) == (5, 4)  # IPT gives no SSIM
    assert (sizes["hide", "psnr"], sizes["places-wide", "fid"]) == (4, 2)
    assert (sizes["celeba-hq-narrow", "fid"], sizes["realsr", "lpips"]) == (4, 3)
    assert len(PUBLISHED) == len({(row.method, row.benchmark, row.metric) for row in PUBLISHED})
    assert len(PUBLISHED) == 90 + 9 + 8 + 8 + 16 + 9 + 9


def test_spelling_does_not_matter_and_the_unknown_is_empty() -> None:
    assert beside("CelebA-HQ narrow", "FID") == beside("celeba-hq-narrow", "fid") != ()
    assert beside("set5", "psnr_y") == beside("set14", "fid") == ()


def test_a_variant_that_the_paper_does_not_tell_has_its_numbers_too() -> None:
    assert beside("realsr", "lpips_vgg") == beside("realsr", "lpips_alex") != ()
    assert beside("gopro", "ssim_volume") == beside("gopro", "ssim") != ()
    assert (
        beside("set14", "lpips_vgg") == beside("set14", "psnr") == beside("gopro", "psnr_y") == ()
    )


def test_the_claims_follow_from_the_costs_that_stand_beside_them() -> None:
    table = runpy.run_path(str(ROOT / "benchmarks" / "published_costs.py"))
    costs = {(cost.task, cost.method): cost for cost in table["PUBLISHED_COSTS"]}
    shares = {(claim.rival, claim.quantity): claim.share for claim in table["CLAIMS"]}
    rival, own = costs["sr", "BebyGAN"].multiply_adds, costs["sr", OURS].multiply_adds
    assert own / rival == pytest.approx(shares["BebyGAN", "multiply-adds"], abs=0.005)
    rival, own = costs["inpaint", "RePaint"].parameters, costs["inpaint", OURS].parameters
    assert own / rival == pytest.approx(shares["RePaint", "parameters"], abs=0.0005)
    assert {row.task for row in (*table["CLAIMS"], *table["PUBLISHED_COSTS"])} <= set(TASKS)
