"""Restoring by exported files is restoring: pictures, masks, seeds and errors are the same."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from diffir.errors import DeviceError, MaskError, PictureError, StoppedError, WeightsError
from diffir.export import ExportedRestorer, Target, is_exported
from diffir.export.onnx_file import Inputs
from diffir.export.runners import open_torch
from diffir.images import Picture
from diffir.inference import Restorer
from diffir.inference.batch import restore_files
from diffir.inference.ensemble import turned, turned_back
from diffir.inference.jobs import plan

pytest.importorskip("onnxscript", reason="exports take diffir[export]")
pytest.importorskip("onnxruntime", reason="exports take diffir[export]")
Weights = Callable[[str], Path]
Exported = Callable[[str, Target], Path]
pytestmark = pytest.mark.timeout(600)  # tracing, on a busy machine
ORDER_OF_SUMS = 1e-5
PHOTO = data.astronaut()[40:71, 200:245]


@pytest.fixture
def restorer(exported: Exported) -> ExportedRestorer:
    return ExportedRestorer.from_file(exported("sr-x4", "onnx"))


def test_a_photo_comes_back_as_from_the_engine(
    restorer: ExportedRestorer, weights: Weights
) -> None:
    rgba = np.dstack([PHOTO, np.arange(PHOTO[..., 0].size).reshape(PHOTO.shape[:2]) % 256])
    picture = Picture.from_array(rgba.astype(np.uint8))
    wanted = Restorer.from_pretrained(weights("sr-x4"))(picture, seed=3)
    found = restorer(picture, seed=3)
    np.testing.assert_allclose(found.pixels, wanted.pixels, atol=ORDER_OF_SUMS)
    np.testing.assert_array_equal(found.alpha, wanted.alpha)
    assert restorer.scale == 4


def test_seeds_of_a_batch_are_those_of_single_pictures(restorer: ExportedRestorer) -> None:
    images = torch.rand(2, 3, 9, 14, generator=torch.Generator().manual_seed(0))
    both = restorer.restore_batch(images, seeds=[1, 2])
    for index, seed in enumerate((1, 2)):
        alone = restorer.restore_batch(images[index : index + 1], seeds=[seed])
        torch.testing.assert_close(both[index : index + 1], alone, atol=ORDER_OF_SUMS, rtol=0)
    assert not both[:1].equal(restorer.restore_batch(images[:1], seeds=[9]))


def test_holes_are_filled_and_the_rest_is_left_alone(exported: Exported, weights: Weights) -> None:
    path = exported("inpaint", "torch")
    restorer = ExportedRestorer(open_torch({".pt2": path.read_bytes()}, path))
    mask = np.zeros(PHOTO.shape[:2], np.uint8)
    mask[8:20, 10:25] = 255
    found = restorer(PHOTO, mask=mask)
    wanted = Restorer.from_pretrained(weights("inpaint"))(PHOTO, mask=mask)
    np.testing.assert_allclose(found.pixels, wanted.pixels, atol=ORDER_OF_SUMS)
    np.testing.assert_array_equal(found.pixels[mask == 0], PHOTO[mask == 0] / np.float32(255))
    with pytest.raises(MaskError, match="needs a mask"):
        restorer(PHOTO)


def test_a_folder_goes_through_as_with_weights(restorer: ExportedRestorer, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(PHOTO).save(tmp_path / "photos" / name)
    jobs = plan([tmp_path / "photos"], tmp_path / "out")
    outcomes = list(restore_files(restorer, jobs))
    assert all(outcome.error is None for outcome in outcomes)
    assert Image.open(tmp_path / "out" / "b.png").size == (4 * 45, 4 * 31)


def test_worker_processes_can_build_it(exported: Exported) -> None:
    import pickle

    build = partial(ExportedRestorer.from_file, exported("sr-x4", "onnx"), "onnxruntime")
    assert pickle.loads(pickle.dumps(build))().scale == 4


def test_progress_is_told_at_the_end_and_stop_is_seen_before(restorer: ExportedRestorer) -> None:
    told: list[float] = []
    restorer(PHOTO, progress=told.append)
    assert told == [1.0]
    stop = Event()
    stop.set()
    with pytest.raises(StoppedError):
        restorer(PHOTO, stop=stop)


def test_an_ensemble_is_the_mean_over_flips_and_turns(
    restorer: ExportedRestorer, exported: Exported
) -> None:
    image = torch.rand(1, 3, 9, 14, generator=torch.Generator().manual_seed(0))
    ensemble = ExportedRestorer.from_file(exported("sr-x4", "onnx"), ensemble=True)
    found = ensemble.restore_batch(image, seeds=[0])
    turns = [(turns, flip) for turns in range(4) for flip in (False, True)]
    each = [
        turned_back(restorer.restore_batch(turned(image, *turn), seeds=[0]), *turn)
        for turn in turns
    ]
    torch.testing.assert_close(found, torch.cat(each).mean(0, True), atol=ORDER_OF_SUMS, rtol=0)


def test_a_filter_of_the_ipr_is_refused(restorer: ExportedRestorer) -> None:
    with pytest.raises(WeightsError, match="does not expose its IPR"):
        restorer.restore_batch(torch.zeros(1, 3, 8, 8), seeds=[0], ipr_filter=torch.clone)


def test_wrong_inputs_are_told_as_by_the_restorer(restorer: ExportedRestorer) -> None:
    with pytest.raises(MaskError, match="leave it out"):
        restorer(PHOTO, mask=PHOTO)
    with pytest.raises(MaskError, match="leave it out"):
        restorer.restore_batch(torch.zeros(1, 3, 8, 8), masks=torch.ones(1, 1, 8, 8), seeds=[0])
    with pytest.raises(PictureError, match="numbers from 0 to 1"):
        restorer.restore_batch(torch.full((1, 3, 8, 8), 2.0), seeds=[0])


def test_an_exported_file_has_no_weights_to_save(
    restorer: ExportedRestorer, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="save those it was made from"):
        restorer.save_pretrained(tmp_path / "out")


@pytest.mark.parametrize(
    "asked",
    [{"device": "meta"}, {"precision": "bfloat16"}, {"memory": 10**9}, {"detail": 0.5}],
)
def test_what_does_not_apply_is_told(asked: dict[str, object], exported: Exported) -> None:
    with pytest.raises(DeviceError, match=r"leave that out|not on this machine"):
        ExportedRestorer.from_file(exported("sr-x4", "onnx"), **asked)


def test_every_name_of_the_cpu_applies(exported: Exported) -> None:
    for device in ("cpu", "cpu:0", torch.device("cpu")):
        assert ExportedRestorer.from_file(exported("sr-x4", "onnx"), device=device).scale == 4


def test_wrong_arguments_are_sentences(exported: Exported) -> None:
    with pytest.raises(WeightsError, match="detail None found; wanted a number"):
        ExportedRestorer.from_file(exported("sr-x4", "onnx"), detail=None)
    with pytest.raises(
        WeightsError, match=r"is not an exported file; give one that ends in \.onnx"
    ):
        ExportedRestorer.from_file("mine.safetensors")
    with pytest.raises(WeightsError, match=r"ExportedRestorer\.from_file"):
        ExportedRestorer.from_pretrained(exported("sr-x4", "onnx"), device="cpu")
    with pytest.raises(WeightsError, match=r"ExportedRestorer\.from_file"):
        Restorer.from_pretrained(exported("sr-x4", "onnx"))


def test_threads_get_their_own_pictures(exported: Exported) -> None:
    pytest.importorskip("openvino")
    restorer = ExportedRestorer.from_file(exported("sr-x4", "onnx"), "openvino")
    images = [np.full((24, 24, 3), shade, np.float32) for shade in (0.1, 0.5, 0.9)]
    alone = [restorer(image).pixels for image in images]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(restorer, images * 6))
    for picture, wanted in zip(together, alone * 6, strict=True):
        np.testing.assert_array_equal(picture.pixels, wanted)


def test_what_the_backend_raises_costs_one_file(restorer: ExportedRestorer, tmp_path: Path) -> None:
    def fail_on_wide(inputs: Inputs) -> NDArray[np.float32]:
        if inputs["image"].shape[3] > 20:
            raise RuntimeError("[ONNXRuntimeError] : 2 :\nINVALID_ARGUMENT")
        return restorer.runner.run(inputs)

    for name, width in (("a.png", 30), ("b.png", 10)):
        Image.fromarray(PHOTO[:, :width]).save(tmp_path / name)
    failing = ExportedRestorer(replace(restorer.runner, run=fail_on_wide))
    first, second = restore_files(failing, plan([tmp_path], tmp_path / "out"))
    assert "onnxruntime failed on 1 picture(s) of 30×31 ([ONNXRuntimeError]" in str(first.error)
    assert second.error is None


def test_another_scale_than_that_of_the_metadata_is_told(restorer: ExportedRestorer) -> None:
    facts = restorer.runner.facts.model_copy(update={"scale": 2})
    with pytest.raises(WeightsError, match=r"\(1, 3, 124, 180\) instead of \(1, 3, 62, 90\)"):
        ExportedRestorer(replace(restorer.runner, facts=facts))(PHOTO)


def test_it_has_the_attributes_of_a_restorer(restorer: ExportedRestorer) -> None:
    assert (restorer.preset, restorer.training, restorer.memory) == (None, {}, None)


def test_names_tell_exported_files_from_weights() -> None:
    assert all(map(is_exported, ("a.onnx", "B.XML", Path("c.pt2"))))
    assert not any(map(is_exported, ("sr-x4-lite", "a.safetensors", "b.pth")))
