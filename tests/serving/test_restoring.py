"""Over HTTP a picture becomes what the command line makes of it, bit for bit."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import imagecodecs
import numpy as np
import pytest
import tifffile
from official import network, toy
from PIL import Image, ImageCms
from PIL.ExifTags import Base
from server import HOLES, MASK, PHOTO, PICTURE, Held, detail, file_of, post, restorer, served
from typer.testing import CliRunner

from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app
from diffir.images import decode
from diffir.serving.schema import Order
from diffir.serving.server import load_models

RGB16 = (PHOTO * 256.5).astype(np.uint16)
ALPHA = np.linspace(0, 255, HOLES.size).reshape(HOLES.shape).astype(np.uint8)
RGBA = np.dstack([PHOTO, ALPHA])


def tiff16() -> bytes:
    stored = np.dstack([RGB16, ALPHA.astype(np.uint16) * 257])
    file = Path("t.tif")
    tifffile.imwrite(file, stored, photometric="rgb", extrasamples=["unassalpha"])
    return file.read_bytes()


def jpeg() -> bytes:
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    exif[Base.Artist] = "somebody"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return file_of(PHOTO, "JPEG", exif=exif.tobytes(), icc_profile=profile)


PICTURES = {
    "png": lambda: PICTURE,
    "png, gray": lambda: file_of(PHOTO[..., 0]),
    "png, alpha": lambda: file_of(RGBA),
    "png, 16 bit": lambda: bytes(imagecodecs.png_encode(RGB16)),
    "tiff, 16 bit, alpha": tiff16,
    "jpeg, EXIF, ICC": jpeg,
    "webp": lambda: file_of(PHOTO, "WEBP", quality=90),
    "bmp": lambda: file_of(PHOTO, "BMP"),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for preset, task in (("deblur", "deblur"), ("inpaint", "inpaint"), ("sr-x2", "sr")):
        model = network(2, toy(preset))
        format.save(Checkpoint(model=model, task=task), folder / f"{task}.safetensors")
    return folder


@pytest.fixture(scope="module")
def client(weights):
    files = [str(weights / f"{task}.safetensors") for task in ("deblur", "inpaint", "sr")]
    with served(load_models(files, device="cpu", precision="float32", memory=None)) as client:
        yield client


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def by_command(weights: Path, model: str, picture: bytes, suffix: str, *words: str) -> bytes:
    """The file that `diffir restore` writes."""
    Path("in").write_bytes(picture)
    model = str(weights / f"{model}.safetensors")
    words = ("restore", "in", "-o", f"out.{suffix}", "--overwrite", "--model", model, *words)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return Path(f"out.{suffix}").read_bytes()


@pytest.mark.parametrize("model", ["deblur", "sr"])
@pytest.mark.parametrize("name", PICTURES)
def test_the_answer_is_the_file_of_the_command_line(client, weights, name, model):
    kind = name.partition(",")[0]
    picture = PICTURES[name]()
    response = post(client, picture, model=model, seed=3)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"image/{kind}"
    assert response.content == by_command(weights, model, picture, kind, "--seed", "3")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "bmp"])
def test_the_format_can_be_chosen(client, weights, kind):
    response = post(client, model="deblur", format=kind)
    assert response.headers["content-type"] == f"image/{kind}"
    assert response.content == by_command(weights, "deblur", PICTURE, kind)


def test_json_says_the_same_as_a_form(client):
    body = {"picture": base64.b64encode(PICTURE).decode(), "model": "sr", "seed": 5}
    response = client.post("/v1/restore", json=body)
    assert response.content == post(client, model="sr", seed=5).content
    assert response.content != post(client, model="sr", seed=6).content


def test_holes_are_filled_by_a_mask_and_by_transparency(client, weights):
    Path("mask.png").write_bytes(MASK)
    response = post(client, mask=MASK, task="inpaint")
    assert response.content == by_command(weights, "inpaint", PICTURE, "png", "--mask", "mask.png")
    clear = file_of(np.dstack([PHOTO, 255 - HOLES]))
    response = post(client, clear, model="inpaint")
    assert response.content == by_command(weights, "inpaint", clear, "png")
    assert decode(response.content, "answer").alpha.min() == 1


def test_a_task_means_the_first_model_served_for_it(client):
    assert post(client, task="sr").content == post(client, model="sr").content
    assert post(client, task="sr", model="sr").status_code == 200
    assert "no such model" in detail(post(client, task="sr", model="deblur"), 422)
    assert "name one" in detail(post(client), 422)


def test_the_models_are_told(client):
    told = {model["name"]: model for model in client.get("/v1/models").json()}
    assert told["sr"] == {"name": "sr", "task": "sr", "scale": 2, "takes_mask": False}
    assert set(told) == {"deblur", "inpaint", "sr"}
    assert told["inpaint"]["takes_mask"]


def test_equal_sizes_go_together_and_get_the_bits_they_get_alone(weights):
    held = restorer("deblur", Held)
    pictures = [file_of(np.roll(PHOTO, shift, 0)) for shift in range(4)]
    wide = file_of(PHOTO[:16])
    with served(held, max_batch=3, max_client_jobs=9) as client, ThreadPoolExecutor(9) as pool:
        first = pool.submit(post, client, wide)
        held.started.wait(10)
        answers = [pool.submit(post, client, pictures[0], seed=7)]
        wait_until(client, waiting=1)
        other = pool.submit(post, client, wide)
        wait_until(client, waiting=2)
        answers += [pool.submit(post, client, picture, seed=7) for picture in pictures[1:]]
        wait_until(client, waiting=5)
        held.release.set()
        alone = [by_command(weights, "deblur", one, "png", "--seed", "7") for one in pictures]
        assert [answer.result().content for answer in answers] == alone
        assert other.result().content == first.result().content
    assert held.batches == [1, 3, 1, 1]


def wait_until(client: httpx.Client, *, waiting: int) -> None:
    """Until so many jobs wait."""
    for _ in range(1000):
        if f'diffir_jobs{{state="waiting"}} {waiting}.0' in client.get("/metrics").text:
            return
    raise AssertionError(f"never {waiting} waiting")


def test_one_bad_picture_spoils_no_batch():
    held = restorer("deblur", Held)
    with served(held, max_batch=3, max_client_jobs=9) as client, ThreadPoolExecutor(9) as pool:
        first = pool.submit(post, client)
        held.started.wait(10)
        good = pool.submit(post, client)
        bad = pool.submit(post, client, PICTURE[: len(PICTURE) // 2])
        wait_until(client, waiting=2)
        held.release.set()
        assert good.result().content == first.result().content
        assert "cannot be decoded" in detail(bad.result(), 422)
    assert held.batches == [1, 1]


def test_a_batch_is_no_larger_than_the_largest_picture():
    held = restorer("deblur", Held)
    limits = {"max_batch": 9, "max_pixels": 2 * 24 * 32 + 1}
    with served(held, **limits) as client, ThreadPoolExecutor(9) as pool:
        answers = [pool.submit(post, client)]
        held.started.wait(10)
        answers += [pool.submit(post, client) for _ in range(3)]
        wait_until(client, waiting=3)
        held.release.set()
        assert {answer.result().status_code for answer in answers} == {200}
    assert held.batches == [1, 2, 1]


def test_openapi_has_an_example_of_each_body_that_works(client):
    told = client.get("/openapi.json").json()
    for path in ("/v1/restore", "/v1/jobs"):
        bodies = told["paths"][path]["post"]["requestBody"]["content"]
        assert set(bodies) == {"multipart/form-data", "application/json"}
        example = bodies["application/json"]["example"] | {"model": "sr"}
        assert client.post(path, json=example).is_success
        assert set(bodies["multipart/form-data"]["example"]) <= set(Order.model_fields)
    assert set(told["components"]["securitySchemes"]) == {"HTTPBearer", "APIKeyHeader"}
