"""What is refused: each with its status and one sentence, before any pixel is decoded."""

import base64
import io
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import tifffile
from server import HOLES, MASK, PHOTO, PICTURE, Held, detail, file_of, post, restorer, served

LIMIT = 20_000


@pytest.fixture(scope="module")
def client():
    models = {task: restorer(task) for task in ("deblur", "inpaint")}
    with served(models, max_bytes=LIMIT, max_pixels=2000, seconds=20) as client:
        yield client


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png_header(*sizes: tuple[int, int]) -> bytes:
    """A PNG that says how large it is, and holds next to nothing."""
    heads = [chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)) for size in sizes]
    pixels = chunk(b"IDAT", zlib.compress(bytes(99)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(heads) + pixels + chunk(b"IEND", b"")


def tiff_of(samples: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


LARGE = np.zeros((50, 41, 3), np.uint8)
WRONG = {
    "a text": (b"no picture at all", 415, "not a picture"),
    "a GIF": (file_of(PHOTO[..., 0], "GIF"), 415, "a GIF file found"),
    "an empty file": (b"", 422, "picture: Data should have at least 1 byte"),
    "a cut PNG": (PICTURE[: len(PICTURE) // 2], 422, "cannot be decoded"),
    "the first bytes": (PICTURE[:10], 422, "cannot be decoded"),
    "two pages": (tiff_of(np.zeros((2, 9, 9), np.uint8)), 422, "several pages"),
    "too large": (file_of(LARGE), 413, "more than 2000 pixels"),
    "too large a TIFF": (tiff_of(LARGE), 413, "more than 2000 pixels"),
    "a bomb": (png_header((30000, 30000)), 413, "more than 2000 pixels"),
    "a larger bomb": (png_header((2**31 - 1, 2**31 - 1)), 413, "more than 2000 pixels"),
    "a bomb in disguise": (png_header((30000, 30000), (8, 8)), 422, "cannot be decoded"),
}


@pytest.mark.parametrize("to", ["/v1/restore", "/v1/jobs"])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_fit_picture_is_refused(client, name, to):
    picture, status, words = WRONG[name]
    response = post(client, picture, to=to, model="deblur")
    if response.status_code == 202:  # the header was sound; decoding comes with the job's turn
        response = result_of(client, response)
    assert words in detail(response, status)


def result_of(client: httpx.Client, posted: httpx.Response) -> httpx.Response:
    for _ in range(1000):
        response = client.get(posted.headers["location"] + "/result")
        if response.status_code != 409:
            return response
        time.sleep(0.01)
    raise AssertionError("never done")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seed": -1}, "seed: "),
        ({"seed": 2**32}, "seed: "),
        ({"seed": "x"}, "seed: "),
        ({"format": "gif"}, "format: "),
        ({"format": "../../x.png"}, "format: "),
        ({"task": "denoise"}, "task: "),
        ({"model": "sr-x4"}, "no such model"),
        ({"model": "/etc/passwd"}, "no such model"),
        ({"model": "../weights/deblur.safetensors"}, "no such model"),
        ({"model": "http://example.org/x.pth"}, "no such model"),
        ({"model": "x" * 201}, "model: "),
        ({"model": ["deblur", "deblur"]}, "twice"),
        ({"nonsense": 1}, "nonsense: "),
        ({"model": "deblur", "seed": "1" * 1001}, "form cannot be read"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(client, fields, words):
    assert words in detail(post(client, **fields), 422)


@pytest.mark.parametrize("charset", ["undefined", "punycode"])
def test_a_form_in_a_charset_that_cannot_be_read_is_refused(client, charset):
    body = b'--x\r\nContent-Disposition: form-data; name="p"\r\n\r\npicture\r\n--x--\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    answer = client.post("/v1/restore", content=body, headers=kind)
    assert "send UTF-8" in detail(answer, 422)


@pytest.mark.parametrize(
    ("mask", "model", "words"),
    [
        (MASK, "deblur", "task deblur, which takes none"),
        (None, "inpaint", "needs a mask"),
        (file_of(HOLES[:4]), "inpaint", "the mask is 32×4, the picture 32×24"),
    ],
)
@pytest.mark.parametrize("to", ["/v1/restore", "/v1/jobs"])
def test_a_mask_that_does_not_fit_is_refused_at_the_door(client, mask, model, words, to):
    assert words in detail(post(client, to=to, mask=mask, model=model), 422)


def test_a_mask_without_holes_is_refused(client):
    assert "has no hole" in detail(post(client, mask=file_of(HOLES * 0), model="inpaint"), 422)


def test_a_file_is_sent_as_a_file(client):
    response = client.post("/v1/restore", files={"x": b"1"}, data={"picture": "text"})
    assert "picture: text found; send a file" in detail(response, 422)


def test_a_mask_is_limited_as_a_picture_is(client):
    bomb = png_header((30000, 30000))
    assert "the mask has more than" in detail(post(client, mask=bomb, model="inpaint"), 413)
    assert "the mask: not a" in detail(post(client, mask=b"text", model="inpaint"), 415)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "JSON"),
        (b"null", 422, "the body: "),
        (b"{}", 422, "picture: "),
        (b'{"picture": "%%%"}', 422, "picture: "),
        (b'{"picture": "aGk=", "task": "deblur"}', 415, "not a picture"),
        (b'{"picture": 5}', 422, "picture: "),
        (b'{"picture": "aGk=", "seed": "1"}', 422, "seed: "),
        (b'{"picture": "aGk=", "path": "/etc/passwd"}', 422, "path: "),
        (b'{"picture": "\xff"}', 422, "the body: "),
    ],
)
def test_json_is_read_strictly(client, body, status, words):
    response = client.post(
        "/v1/restore", content=body, headers={"Content-Type": "application/json"}
    )
    assert words in detail(response, status)


def test_a_million_brackets_are_one_more_wrong_body():
    with served(max_bytes=2_000_000) as client:
        headers = {"Content-Type": "application/json"}
        for body in (b"[" * 1_000_000, b'{"picture":' * 100_000):
            response = client.post("/v1/restore", content=body, headers=headers)
            assert "JSON" in detail(response, 422)
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/mixed", "application/xml"])
def test_other_kinds_of_body_are_refused(client, kind):
    response = client.post("/v1/restore", content=b"x", headers={"Content-Type": kind})
    assert "send one of them" in detail(response, 415)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_broken_form_is_refused(client, kind):
    response = client.post("/v1/restore", content=b"junk", headers={"Content-Type": kind})
    detail(response, 422)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("told", [True, False], ids=["told", "in chunks"])
def test_bytes_are_counted_as_they_come_in(client, kind, told):
    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'
        for _ in range(21):
            yield bytes(1000)

    body = b"".join(chunks()) if told else chunks()
    response = client.post("/v1/restore", content=body, headers={"Content-Type": kind})
    assert f"more than {LIMIT} bytes" in detail(response, 413)


def test_a_refusal_arrives_although_much_more_is_sent():
    with served(max_bytes=1000) as client:
        body = base64.b64encode(bytes(8_000_000))
        headers = {"Content-Type": "application/json"}
        for _ in range(5):
            response = client.post("/v1/restore", content=body, headers=headers)
            assert "more than 1000 bytes" in detail(response, 413)


def test_a_body_that_trickles_in_is_given_up():
    with served(seconds=1, max_jobs=1) as client:
        address = client.base_url.host, client.base_url.port
        with socket.create_connection(address, timeout=20) as slow:
            head = "Content-Type: application/json\r\nContent-Length: 100\r\nHost: x\r\n\r\n"
            slow.sendall(f"POST /v1/restore HTTP/1.1\r\n{head}".encode() + b'{"picture"')
            answer = b"".join(iter(lambda: slow.recv(10_000), b""))
        assert b" 408 " in answer.partition(b"\r\n")[0]
        assert b"within 1 s" in answer
        detail(post(client, b"text"), 415)  # and not 503: its place is free again


def test_a_client_that_asks_too_much_at_once_waits():
    held = restorer("deblur", Held)
    with served(held, max_client_jobs=2) as client, ThreadPoolExecutor(3) as pool:
        posted = [pool.submit(post, client) for _ in range(2)]
        held.started.wait(10)
        while 'state="waiting"} 1.0' not in client.get("/metrics").text:
            pass
        refusal = post(client)
        assert "2 of your requests" in detail(refusal, 429)
        assert int(refusal.headers["retry-after"]) > 0
        held.release.set()
        assert {answer.result().status_code for answer in posted} == {200}
        assert post(client).status_code == 200


def test_a_full_queue_says_when_to_come_back():
    held = restorer("deblur", Held)
    with served(held, max_jobs=2) as client:
        assert [post(client, to="/v1/jobs").status_code for _ in range(2)] == [202, 202]
        refusal = post(client)
        assert "busy" in detail(refusal, 503)
        assert int(refusal.headers["retry-after"]) > 0


def test_refused_requests_take_no_place(client):
    for _ in range(20):
        post(client, b"text", model="deblur")
        post(client, seed=-1, model="deblur")
    assert post(client, model="deblur").status_code == 200


def test_a_picture_that_takes_too_long_is_given_up():
    held = restorer("deblur", Held)
    with served(held, seconds=1) as client:
        detail(post(client), 503)
        assert held.stopped.wait(10)
        job = post(client, to="/v1/jobs")
        assert "too long" in detail(result_of(client, job), 503)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"X-API-Key": "sécret".encode("latin-1")},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic secret"},
        {"Authorization": "secret"},
    ],
)
def test_without_the_key_nothing_is_told(headers):
    with served(key="secret") as client:
        for method, path in (
            *(("POST", path) for path in ("/v1/restore", "/v1/jobs")),
            *(("GET", path) for path in ("/v1/models", "/v1/jobs/x", "/v1/jobs/x/result")),
            *(("DELETE", "/v1/jobs/x"), ("GET", "/metrics")),
        ):
            response = client.request(method, path, headers=headers)
            assert "the API key is missing or wrong" in detail(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"


def test_with_the_key_in_either_header_all_is_open():
    with served(key="secret") as client:
        for headers in ({"X-API-Key": "secret"}, {"Authorization": "Bearer secret"}):
            client.headers = httpx.Headers(headers)
            assert post(client).status_code == 200
            assert client.get("/metrics").status_code == 200
        client.headers = httpx.Headers()
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready"}


def test_a_key_of_any_letters_is_a_key():
    with served(key="schlüssel") as client:
        client.headers = httpx.Headers({b"X-API-Key": "schlüssel".encode()})
        assert client.get("/v1/models").status_code == 200


def test_nobody_is_sent_elsewhere(client):
    for path in ("/v1/models/", "/healthz/"):
        assert client.get(path, headers={"Host": "elsewhere.example"}).status_code == 404


def test_a_mistake_of_ours_tells_the_client_nothing(caplog):
    broken = restorer("deblur")
    broken.restore_batch = lambda *_args, **_options: 1 / 0
    with served(broken) as client:
        assert detail(post(client), 500) == "internal server error; see the server's log"
        assert client.get("/healthz").status_code == 200
    assert "ZeroDivisionError" in caplog.text


def test_no_file_of_a_client_touches_the_disk(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a temporary file was asked for")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    large = file_of(np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8), "BMP")
    assert len(large) > 2**20
    with served(restorer("deblur", Held)) as client:
        posted = post(client, large, to="/v1/jobs")
        assert posted.status_code == 202
        client.delete(posted.headers["location"])
