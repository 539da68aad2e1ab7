"""A picture in, a better picture out, whatever its size, depth, alpha and colour."""

import logging
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
import torch
from official import network, toy
from PIL import Image
from skimage import data

from diffir.checkpoints import Checkpoint, format
from diffir.errors import DeviceError, MaskError, PictureError, StoppedError, WeightsError
from diffir.images import Picture
from diffir.inference import Restorer, devices
from diffir.inference import restorer as restorers
from diffir.inference.engine import plan_for
from diffir.inference.engine.choice import kernels_for
from diffir.inference.network import run_network
from diffir.presets import PRESETS

PHOTO = np.ascontiguousarray(data.astronaut()[90:130, 200:250])  # (40, 50, 3), a face
NETWORKS = ["deblur", "sr-x4", "sr-x2", "sr-x1", "inpaint"]

pytestmark = pytest.mark.usefixtures("stripes_at_any_size")


def restorer_of(preset: str, precision="float32", memory=None, **changes) -> Restorer:
    config = toy(preset, num_blocks=(1, 1, 1, 1), **changes)
    task = PRESETS[preset].task
    return Restorer(network(2, config), task, device="cpu", precision=precision, memory=memory)


@pytest.fixture(scope="module", params=NETWORKS)
def any_restorer(request) -> Restorer:
    return restorer_of(request.param)


@pytest.fixture(scope="module")
def deblur() -> Restorer:
    return restorer_of("deblur")


@pytest.fixture(scope="module")
def inpaint() -> Restorer:
    return restorer_of("inpaint")


def hole_in(array, share=0.3) -> np.ndarray:
    """Some pixels, never none and never all of more than one."""
    holes = np.random.default_rng(0).random(array.shape[:2]) < share
    holes.flat[0], holes.flat[-1] = True, False
    return holes


def restored(restorer: Restorer, image, seed=0) -> np.ndarray:
    """The restored integers; masks are made up where the task wants one."""
    mask = hole_in(np.asarray(image)) if restorer.task.wants_mask else None
    return restorer(image, mask=mask, seed=seed).to_array()


def test_every_size_comes_back_at_the_networks_scale(any_restorer):
    for size in range(1, 41):
        for height, width in ((size, 1), (1, size), (size, 41 - size)):
            if any_restorer.task.wants_mask and height * width == 1:
                continue  # one pixel is all hole or all known
            result = restored(any_restorer, PHOTO[:height, :width])
            assert result.shape == (height * any_restorer.scale, width * any_restorer.scale, 3)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_depth_gray_and_alpha_are_kept(any_restorer, dtype, channels):
    top = np.iinfo(dtype).max
    image = np.random.default_rng(1).integers(0, top, (9, 7, channels), dtype, endpoint=True)
    result = restored(any_restorer, image)
    scale = any_restorer.scale
    assert result.shape == (9 * scale, 7 * scale, channels)
    assert result.dtype == dtype
    if scale == 1 and channels in (2, 4) and not any_restorer.task.wants_mask:
        np.testing.assert_array_equal(result[..., -1], image[..., -1])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((20, 13, 3), np.uint8),
        np.full((20, 13, 3), 255, np.uint8),
        np.random.default_rng(2).integers(0, 256, (20, 13, 3), np.uint8),
        np.indices((20, 13)).sum(0).astype(np.uint8)[..., None].repeat(3, 2) % 2 * 255,
    ],
    ids=["black", "white", "noise", "checkerboard"],
)
def test_unusual_pictures_give_finite_pixels_in_range(any_restorer, image):
    mask = hole_in(image) if any_restorer.task.wants_mask else None
    pixels = any_restorer(image, mask=mask).pixels
    assert np.isfinite(pixels).all()
    assert 0 <= pixels.min() <= pixels.max() <= 1


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(any_restorer):
    mask = hole_in(PHOTO) if any_restorer.task.wants_mask else None
    first, again, other = (any_restorer(PHOTO, mask=mask, seed=s).pixels for s in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_global_random_state_is_neither_read_nor_moved(deblur):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = deblur(PHOTO, seed=3).pixels
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.testing.assert_array_equal(deblur(PHOTO, seed=3).pixels, first)


def test_the_noise_is_one_draw_of_torchs_cpu_generator(deblur):
    size = deblur.model.config.ipr_dim
    drawn = torch.randn(size, generator=torch.Generator().manual_seed(5))
    assert torch.equal(deblur.noise(5), drawn[None])


def test_a_batch_gives_what_single_pictures_give(any_restorer):
    images = torch.rand(3, 3, 19, 13, generator=torch.Generator().manual_seed(0))
    masks = (images[:, :1] > 0.7) if any_restorer.task.wants_mask else None
    batch = any_restorer.restore_batch(images, masks=masks, seeds=[4, 5, 6])
    for index, seed in enumerate([4, 5, 6]):
        own = slice(index, index + 1)
        own_mask = None if masks is None else masks[own]
        single = any_restorer.restore_batch(images[own], masks=own_mask, seeds=[seed])
        # 1e-5: convolutions over a batch sum in another order
        torch.testing.assert_close(batch[own], single, atol=1e-5, rtol=0)


def test_file_pil_array_tensor_and_picture_are_the_same_picture(deblur, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    tensor = torch.from_numpy(PHOTO).permute(2, 0, 1).float() / 255
    same = [
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        Image.fromarray(PHOTO),
        PHOTO,
        PHOTO.astype(np.float32) / 255,
        tensor,
        tensor[None],
        Picture.from_array(PHOTO),
    ]
    results = [deblur(image, seed=1) for image in same]
    assert all(isinstance(result, Picture) for result in results)
    for result in results[1:]:
        np.testing.assert_array_equal(result.to_array(), results[0].to_array())


def test_masks_come_as_arrays_of_truth_bytes_tensors_and_files(inpaint, tmp_path):
    holes = hole_in(PHOTO)
    Image.fromarray(holes).save(tmp_path / "mask.png")
    same = [
        holes,
        holes.astype(np.uint8) * 255,
        torch.from_numpy(holes),
        torch.from_numpy(holes)[None].float(),
        Image.fromarray(holes),
        tmp_path / "mask.png",
    ]
    results = [inpaint(PHOTO, mask=mask).to_array() for mask in same]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize(
    "image", [None, 3, torch.zeros(2, 3, 4, 4), torch.zeros(4, 4, 3), torch.full((3, 4, 4), 2.0)]
)
def test_what_is_no_picture_is_refused_in_a_sentence(deblur, image):
    with pytest.raises(PictureError, match="found; wanted"):
        deblur(image)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_known_pixels_come_back_untouched(inpaint, dtype, channels):
    top = np.iinfo(dtype).max
    image = np.random.default_rng(3).integers(0, top, (33, 21, channels), dtype, endpoint=True)
    holes = hole_in(image)
    result = inpaint(image, mask=holes).to_array()
    np.testing.assert_array_equal(result[~holes], image[~holes])
    assert (result[holes] != image[holes]).any()
    if channels in (2, 4):
        assert (result[holes][:, -1] == top).all()  # filled, thus opaque


def test_transparent_pixels_are_filled_when_no_mask_is_given(inpaint):
    holes = hole_in(PHOTO)
    image = np.dstack([PHOTO, np.where(holes, 0, 255).astype(np.uint8)])
    result = inpaint(image).to_array()
    np.testing.assert_array_equal(result[~holes], image[~holes])
    assert (result[..., 3] == 255).all()
    np.testing.assert_array_equal(result[..., :3], inpaint(PHOTO, mask=holes).to_array())


def test_what_lies_under_the_holes_does_not_matter(inpaint):
    holes = hole_in(PHOTO)
    other = np.where(holes[..., None], 255 - PHOTO, PHOTO)
    first, second = (inpaint(image, mask=holes).to_array() for image in (PHOTO, other))
    np.testing.assert_array_equal(first, second)


def test_a_mask_is_asked_for_or_refused_by_the_task(inpaint, deblur):
    with pytest.raises(MaskError, match="white"):
        inpaint(PHOTO)
    with pytest.raises(MaskError, match="leave it out"):
        deblur(PHOTO, mask=hole_in(PHOTO))


@pytest.mark.parametrize(
    ("images", "masks", "seeds", "message"),
    [
        (torch.zeros(3, 8, 8), None, [0], "wanted .B, 3, H, W."),
        (torch.zeros(1, 4, 8, 8), None, [0], "wanted .B, 3, H, W."),
        (torch.zeros(0, 3, 8, 8), None, [], "wanted .B, 3, H, W."),
        (torch.zeros(2, 3, 8, 8), None, [0], "1 seed.s. for 2 picture"),
        (torch.full((1, 3, 8, 8), 255), None, [0], "wanted numbers from 0 to 1"),
        (torch.full((1, 3, 8, 8), torch.nan), None, [0], "wanted numbers from 0 to 1"),
    ],
)
def test_a_batch_of_another_shape_or_range_is_refused(deblur, images, masks, seeds, message):
    with pytest.raises(PictureError, match=message):
        deblur.restore_batch(images, masks=masks, seeds=seeds)


def test_a_batch_of_masks_must_fit_its_pictures(inpaint):
    with pytest.raises(MaskError, match=r"the images need \(1, 1, 8, 8\)"):
        inpaint.restore_batch(torch.zeros(1, 3, 8, 8), masks=torch.ones(1, 1, 8, 7), seeds=[0])


@pytest.fixture
def with_bfloat16(monkeypatch):
    """Compute it also where that is slow."""
    monkeypatch.setattr(devices, "computes_bfloat16", lambda _device: True)


@pytest.mark.usefixtures("with_bfloat16")
def test_bfloat16_is_close_to_float32(any_restorer):
    mask = hole_in(PHOTO) if any_restorer.task.wants_mask else None
    exact = any_restorer(PHOTO, mask=mask).pixels
    faster = Restorer(any_restorer.model, any_restorer.task, device="cpu", precision="bfloat16")(
        PHOTO, mask=mask
    ).pixels
    assert (faster != exact).any()
    # 0.05: numbers of about 1 with 8 bits of mantissa, through some ten layers
    np.testing.assert_allclose(faster, exact, atol=0.05)


@pytest.mark.usefixtures("with_bfloat16")
def test_where_bfloat16_fails_float32_takes_over_and_says_so(caplog, monkeypatch):
    careful = restorer_of("deblur", precision="bfloat16")
    expected = restorer_of("deblur")(PHOTO, seed=2).pixels

    def fails_in_half(*args, dtype=torch.float32, **more):
        restored = run_network(*args, dtype=dtype, **more)
        return restored * torch.nan if dtype == torch.bfloat16 else restored

    monkeypatch.setattr(restorers, "run_network", fails_in_half)
    with caplog.at_level(logging.WARNING, "diffir"):
        result = careful(PHOTO, seed=2).pixels
    np.testing.assert_array_equal(result, expected)
    assert "restored in float32" in caplog.text


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_that_gives_no_numbers_is_blamed(precision):
    broken = restorer_of("deblur", precision=precision)
    broken.model.dirformer.output.weight.data.fill_(torch.inf)
    with pytest.raises(PictureError, match="weights are likely broken"):
        broken(PHOTO)


def test_lack_of_memory_is_said_with_the_size(deblur, monkeypatch):
    def allocate(*_args):
        return torch.empty(2**50)

    monkeypatch.setattr(type(deblur.task), "network_input", allocate)
    with pytest.raises(DeviceError, match=r"cpu has not enough memory for 1 .* of 50×40"):
        deblur(PHOTO)


def test_the_budget_of_memory_is_kept_and_changes_no_bit():
    large = np.tile(PHOTO, (6, 6, 1))
    roomy, tight = (restorer_of("deblur", memory=memory) for memory in (None, 185_000_000))
    plans = [plan_for(each.model.config, 1, 240, 304, each.memory) for each in (roomy, tight)]
    assert plans[1].scratch_bytes < plans[0].scratch_bytes
    np.testing.assert_array_equal(tight(large).pixels, roomy(large).pixels)


def test_a_budget_that_is_too_small_says_which_would_do():
    with pytest.raises(DeviceError, match=r"the memory limit is 1 MB, but 56×40 needs \d+ MB"):
        restorer_of("deblur", memory=1_000_000)(PHOTO)


def test_progress_rises_to_one_and_a_caller_can_stop(any_restorer):
    mask = hole_in(PHOTO) if any_restorer.task.wants_mask else None
    told, stop = [], Event()
    any_restorer(PHOTO, mask=mask, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    with pytest.raises(StoppedError):
        any_restorer(PHOTO, mask=mask, progress=lambda _share: stop.set(), stop=stop)


def test_other_errors_are_not_taken_for_lack_of_memory(deblur, monkeypatch):
    def fail(*_args):
        raise RuntimeError("a bug")

    monkeypatch.setattr(deblur.model.denoiser, "forward", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        deblur(PHOTO)


def test_a_chain_with_inserted_variance_is_seeded_as_well():
    varied = restorer_of("deblur", insert_variance=True)
    first, again, other = (varied(PHOTO, seed=s).pixels for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_network_that_was_handed_in_can_still_be_trained():
    model = network(2, toy("deblur"))
    Restorer(model, PRESETS["deblur"].task, device="cpu")(PHOTO)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_metadata_is_kept():
    picture = replace(Picture.from_array(PHOTO), icc=b"profile", format="PNG")
    assert restorer_of("sr-x2")(picture).icc == b"profile"


def test_a_file_of_stage_2_becomes_a_restorer_of_its_task(tmp_path):
    file = tmp_path / "net.safetensors"
    model = network(2, toy("sr-x2"))
    format.save(Checkpoint(model=model, task="sr"), file)
    restorer = Restorer.from_pretrained(file, device="cpu")
    assert (restorer.task.name, restorer.scale) == ("sr", 2)
    expected = Restorer(model, PRESETS["sr-x2"].task, device="cpu")
    np.testing.assert_array_equal(restorer(PHOTO).pixels, expected(PHOTO).pixels)


def test_a_file_of_stage_1_is_refused(tmp_path):
    file = tmp_path / "net.safetensors"
    format.save(Checkpoint(model=network(1, toy("deblur")), task="deblur"), file)
    with pytest.raises(WeightsError, match="stage-1 network, which needs the ground truth"):
        Restorer.from_pretrained(file)


@pytest.mark.parametrize("seed", [None, 1.5, True, "1", 2**64])
def test_a_seed_that_is_none_is_a_sentence(deblur, seed):
    with pytest.raises(PictureError, match=r"seed .* found; wanted a whole number"):
        deblur(PHOTO, seed=seed)


def test_a_seed_and_a_bound_of_memory_may_be_numpys(deblur):
    expected = deblur(PHOTO, seed=3)
    bounded = Restorer(deblur.model, deblur.task, device="cpu", memory=np.int64(10**9))
    np.testing.assert_array_equal(bounded(PHOTO, seed=np.int64(3)).pixels, expected.pixels)


def test_truth_is_no_bound_of_memory_and_none_no_device(deblur):
    with pytest.raises(DeviceError, match="memory True found; wanted a number of bytes"):
        Restorer(deblur.model, deblur.task, device="cpu", memory=True)
    with pytest.raises(DeviceError, match="unknown device None"):
        Restorer(deblur.model, deblur.task, device=None)


def test_a_network_of_another_task_or_stage_is_refused(deblur, inpaint):
    for model, task in ((deblur.model, inpaint.task), (inpaint.model, deblur.task)):
        with pytest.raises(WeightsError, match=f"task {task.name} gives"):
            Restorer(model, task, device="cpu")
    with pytest.raises(WeightsError, match="stage-1 network found"):
        Restorer(network(1, toy("deblur")), deblur.task, device="cpu")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_in_another_dtype_is_refused(dtype):
    model = network(2, toy("deblur")).to(dtype)
    with pytest.raises(WeightsError, match=f"a network in {dtype} found; convert it"):
        Restorer(model, PRESETS["deblur"].task, device="cpu")


def test_a_task_by_its_name_is_refused(deblur):
    with pytest.raises(WeightsError, match=r"'deblur' found; wanted a Task, see diffir\.tasks"):
        Restorer(deblur.model, "deblur")


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_a_mask_of_ones_is_told_what_white_is(inpaint, dtype):
    with pytest.raises(MaskError, match=f"a {dtype} array .* white is 255 in uint8; give a bool"):
        inpaint(PHOTO, mask=hole_in(PHOTO).astype(dtype))


def test_pictures_that_do_not_go_together_are_a_sentence(deblur):
    pictures = [Picture.from_array(PHOTO), Picture.from_array(PHOTO[1:])]
    for some, holes in (([], []), (pictures, [None, None]), (pictures[:1], [])):
        with pytest.raises(PictureError, match="wanted one or more of equal size"):
            deblur.restore_pictures(some, holes, seeds=[0] * len(some))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_torchs_defaults_change_nothing(any_restorer, dtype):
    wanted, size = restored(any_restorer, PHOTO), PHOTO[:9, :1]
    small = restored(any_restorer, size)
    kernels_for.cache_clear()
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            np.testing.assert_array_equal(restored(any_restorer, PHOTO), wanted)
            np.testing.assert_array_equal(restored(any_restorer, size), small)
    finally:
        torch.set_default_dtype(before)


def test_the_largest_file_to_read_is_the_callers_choice(deblur, inpaint, tmp_path):
    pixels = PHOTO.shape[0] * PHOTO.shape[1]
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    Image.fromarray(hole_in(PHOTO)).save(tmp_path / "m.png")
    for restorer, mask in ((deblur, None), (inpaint, tmp_path / "m.png")):
        restorer(tmp_path / "a.png", mask=mask, max_pixels=pixels)
        with pytest.raises(PictureError, match="max_pixels="):
            restorer(tmp_path / "a.png", mask=mask, max_pixels=pixels - 1)
