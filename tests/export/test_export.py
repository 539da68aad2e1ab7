"""Exported files give what the plain network gives, say what they are, and appear whole."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from official import network, toy
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

import diffir.export.make as module
from diffir.checkpoints import Checkpoint, format
from diffir.cli.app import app
from diffir.errors import DataError, MissingLibraryError, WeightsError
from diffir.export import Target, export, open_file
from diffir.export.check import SIZES, check
from diffir.export.graph import padded, trace
from diffir.export.runners import open_content, open_torch
from diffir.files import digest_of
from diffir.inference.padding import pad_to_multiple
from diffir.loading import load_checkpoint, weights_file
from diffir.tasks import TASKS

onnx = pytest.importorskip("onnx", reason="exports take diffir[export]")
pytest.importorskip("onnxscript", reason="exports take diffir[export]")
pytest.importorskip("onnxruntime", reason="exports take diffir[export]")

Weights = Callable[[str], Path]
Exported = Callable[[str, Target], Path]
pytestmark = pytest.mark.timeout(600)  # tracing, on a busy machine
ORDER_OF_SUMS = 1e-5
ROOT = Path(__file__).parents[2]


def checked(weights: Path, path: Path) -> list[float]:
    """The largest differences of an exported file from the plain network."""
    checkpoint = load_checkpoint(weights)
    rows = check(checkpoint.model, TASKS[checkpoint.task], open_file(path), [])
    return [row.difference for row in rows]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, picture in (("a.png", data.astronaut()), ("b.jpg", data.coffee())):
        Image.fromarray(picture[100:148, 200:264]).save(folder / name)
    return folder


@pytest.fixture
def _converted_before(monkeypatch: pytest.MonkeyPatch, exported: Exported) -> None:
    """The ONNX model of sr-x4 from the shared file, instead of ten seconds of tracing."""
    path = exported("sr-x4", "onnx")
    monkeypatch.setattr(module, "trace", lambda *_: None)
    monkeypatch.setattr(module, "to_onnx", lambda *_: onnx.load(path))


def test_onnx_works_at_any_size_and_batch(weights: Weights, exported: Exported) -> None:
    differences = checked(weights("sr-x4"), exported("sr-x4", "onnx"))
    assert len(differences) == len(SIZES)
    assert max(differences) < ORDER_OF_SUMS


def test_openvino_runs_onnx_files(weights: Weights, exported: Exported) -> None:
    pytest.importorskip("openvino")
    checkpoint = load_checkpoint(weights("sr-x4"))
    runner = open_file(exported("sr-x4", "onnx"), "openvino")
    assert runner.backend == "openvino"
    rows = check(checkpoint.model, TASKS["sr"], runner, [])
    assert max(row.difference for row in rows) < ORDER_OF_SUMS


def test_the_program_of_torch_takes_the_mask(weights: Weights, exported: Exported) -> None:
    path = exported("inpaint", "torch")
    runner = open_torch({".pt2": path.read_bytes()}, path)
    rows = check(load_checkpoint(weights("inpaint")).model, TASKS["inpaint"], runner, [])
    assert max(row.difference for row in rows) < ORDER_OF_SUMS
    assert (runner.facts.task, runner.facts.scale) == ("inpaint", 1)


def test_programs_of_torch_are_not_loaded_from_files() -> None:
    with pytest.raises(WeightsError, match="can run code"):
        open_file(Path("model.pt2"))


@pytest.mark.usefixtures("_converted_before")
def test_openvino_gets_two_files_that_give_the_same(weights: Weights, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = tmp_path / "model.xml"
    report = export(weights("sr-x4"), path, "openvino")
    assert max(row.difference for row in report.rows) < ORDER_OF_SUMS
    assert report.size == path.stat().st_size + path.with_suffix(".bin").stat().st_size
    assert open_file(path).facts == report.facts


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 20])
@pytest.mark.parametrize("multiple", [8, 32])
def test_the_graph_pads_as_the_restorer_does(length: int, multiple: int) -> None:
    x = torch.rand(1, 2, length, length + 1)
    found = padded(padded(x, -2, multiple), -1, multiple)
    assert found.equal(pad_to_multiple(x, multiple))


@pytest.mark.usefixtures("_converted_before")
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_half_precision_is_half_as_large_and_close(
    to: Target, weights: Weights, tmp_path: Path
) -> None:
    if to == "openvino":
        pytest.importorskip("openvino")
    path = tmp_path / f"half{module.SUFFIXES[to]}"
    report = export(weights("sr-x4"), path, to, precision="float16")
    assert min(row.psnr for row in report.rows) > 55  # half precision has 11 bits
    assert open_file(path).facts.precision == "float16"
    if to == "onnx":
        half = onnx.load(path)
        sizes = {each.name: each.data_type for each in half.graph.initializer}
        assert sizes["model.dirformer.embed.weight"] == onnx.TensorProto.FLOAT16
    else:
        weights_of_it = path.with_suffix(".bin").stat().st_size
        assert weights_of_it < 0.6 * weights("sr-x4").stat().st_size


@pytest.mark.usefixtures("_converted_before")
def test_int8_sees_the_photos_and_tells_of_them(
    weights: Weights, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "small.onnx"
    report = export(weights("sr-x4"), path, "onnx", precision="int8", photos=photos)
    assert [row.inputs for row in report.rows[-2:]] == ["a.png", "b.jpg"]
    assert min(row.psnr for row in report.rows[-2:]) > 30
    quantised = [node for node in onnx.load(path).graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantised) > 10
    assert open_file(path).facts.precision == "int8"


def test_a_file_says_what_it_is(weights: Weights, exported: Exported) -> None:
    facts = open_file(exported("sr-x4", "onnx")).facts
    assert (facts.task, facts.scale, facts.precision) == ("sr", 4, "float32")
    assert facts.ipr_dim == 32
    assert facts.weights_sha256 == digest_of(weights("sr-x4"))
    assert facts.licence == module.OTHERS_LICENCE


def test_bundled_weights_have_our_licence() -> None:
    assert module.licence_of(weights_file("sr-x4-lite")) == "Apache-2.0"
    assert module.licence_of(Path("sr-x4.safetensors")) == module.OTHERS_LICENCE


def test_the_metadata_are_strings_that_any_program_reads(exported: Exported) -> None:
    model = onnx.load(exported("sr-x4", "onnx"))
    metadata = {each.key: each.value for each in model.metadata_props}
    assert metadata["format"] == "diffir-export"
    assert {"task", "scale", "weights_sha256", "licence", "diffir"} <= metadata.keys()
    inputs = {
        each.name: [d.dim_param or d.dim_value for d in each.type.tensor_type.shape.dim]
        for each in model.graph.input
    }
    assert inputs["image"] == ["batch", 3, "height", "width"]
    assert inputs["noise"] == ["batch", 32]
    (output,) = model.graph.output
    shape = [size.dim_param or size.dim_value for size in output.type.tensor_type.shape.dim]
    assert shape == ["batch", 3, "4*height", "4*width"]


@pytest.mark.parametrize(("name", "to"), [("sr-x4", "onnx"), ("inpaint", "torch")])
def test_no_path_of_this_machine_is_in_a_file(name: str, to: Target, exported: Exported) -> None:
    content = exported(name, to).read_bytes()
    assert str(ROOT).encode() not in content
    assert b"site-packages" not in content


def test_an_export_that_differs_is_refused(weights: Weights, exported: Exported) -> None:
    checkpoint = load_checkpoint(weights("sr-x4"))
    other = network(2, checkpoint.config, seed=1)
    with pytest.raises(WeightsError, match="differs from the original"):
        check(other, TASKS["sr"], open_file(exported("sr-x4", "onnx")), [])


@pytest.mark.usefixtures("_converted_before")
def test_nothing_appears_where_the_check_fails(weights: Weights, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"  # the shared model is another network's
    model = network(2, load_checkpoint(weights("sr-x4")).model.config, seed=1)
    format.save(Checkpoint(model=model, task="sr"), other)
    with pytest.raises(WeightsError, match="nothing was written"):
        export(other, tmp_path / "out.onnx", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["other.safetensors"]


def test_the_named_file_of_two_comes_last(tmp_path: Path) -> None:
    graph = tmp_path / "model.xml"
    graph.write_bytes(b"of before")
    graph.with_suffix(".bin").mkdir()  # so that the weights can't be written
    with pytest.raises(OSError, match="model"):
        module.publish({".bin": b"weights", ".xml": b"graph"}, graph)
    assert not graph.exists()


def test_networks_that_draw_at_every_step_are_refused() -> None:
    model = network(2, replace(toy("deblur"), insert_variance=True))
    with pytest.raises(WeightsError, match="noise at every step"):
        trace(model, TASKS["deblur"])


def test_stage_1_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stage1.safetensors"
    format.save(Checkpoint(model=network(1, toy("deblur")), task="deblur"), path)
    with pytest.raises(WeightsError, match="stage-1"):
        export(path, tmp_path / "out.onnx", "onnx")


@pytest.mark.parametrize(
    ("name", "to", "options", "words"),
    [
        ("out.bin", "onnx", {}, r"does not end in \.onnx"),
        ("out.pt2", "torch", {"precision": "float16"}, "only float32"),
        ("out.onnx", "onnx", {"precision": "int8"}, "--calibrate FOLDER"),
        ("out.onnx", "onnx", {"photos": Path()}, "leave them out"),
        ("out.onnx", "tensorrt", {}, "'tensorrt' found; wanted one of onnx, openvino, torch"),
        ("out.onnx", "onnx", {"precision": "half"}, "'half' found; wanted one of float32"),
    ],
)
def test_what_contradicts_itself_is_told_at_once(
    name: str, to: Target, options: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=words):
        export("deblur-lite", tmp_path / name, to, **options)
    with pytest.raises(WeightsError, match=words):
        export("deblur-lite", str(tmp_path / name), to, **options)


def test_a_library_that_is_missing_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(module, "trace", None)
    with pytest.raises(MissingLibraryError, match=r"openvino.*pip install 'diffir\[openvino\]'"):
        export("sr-x4-lite", tmp_path / "out.xml", "openvino")


def test_a_folder_without_photos_is_told(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no picture"):
        export(weights("sr-x4"), tmp_path / "o.onnx", "onnx", precision="int8", photos=tmp_path)


def test_files_of_others_and_broken_ones_are_told(exported: Exported, tmp_path: Path) -> None:
    whole = exported("sr-x4", "onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="cannot be opened"):
        open_file(cut)
    model = onnx.load(whole)
    del model.metadata_props[:]
    with pytest.raises(WeightsError, match="another program"):
        open_content({".onnx": model.SerializeToString()}, "onnxruntime", cut)
    onnx.helper.set_model_props(model, {"format": "diffir-export", "format_version": "9"})
    with pytest.raises(WeightsError, match="update diffir"):
        open_content({".onnx": model.SerializeToString()}, "onnxruntime", cut)
    onnx.helper.set_model_props(model, {"format": "diffir-export", "format_version": "1"})
    with pytest.raises(WeightsError, match="invalid metadata"):
        open_content({".onnx": model.SerializeToString()}, "onnxruntime", cut)


def test_a_file_whose_metadata_is_of_another_network_is_told(exported: Exported) -> None:
    path = exported("sr-x4", "onnx")
    model = onnx.load(path)
    facts = {one.key: one.value for one in model.metadata_props}
    for lie in ({"task": "inpaint"}, {"ipr_dim": "7"}):
        onnx.helper.set_model_props(model, facts | lie)
        for backend in ("onnxruntime", "openvino"):
            pytest.importorskip(backend)
            with pytest.raises(WeightsError, match="but its metadata describes"):
                open_content({".onnx": model.SerializeToString()}, backend, path)


@pytest.mark.usefixtures("_converted_before")
def test_two_files_may_be_named_in_capitals(weights: Weights, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    export(weights("sr-x4"), tmp_path / "model.xml", "openvino")
    for suffix in (".xml", ".bin"):
        (tmp_path / f"model{suffix}").rename(tmp_path / f"MODEL{suffix.upper()}")
    assert open_file(tmp_path / "MODEL.XML").facts.scale == 4


def test_a_missing_half_of_two_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text("<net/>")
    with pytest.raises(WeightsError, match=r"model\.bin cannot be read"):
        open_file(tmp_path / "model.xml")


def test_a_backend_that_does_not_run_the_file_is_told(exported: Exported) -> None:
    with pytest.raises(WeightsError, match="runs on openvino, not on onnxruntime"):
        open_file(Path("model.xml"), "onnxruntime")
    with pytest.raises(WeightsError, match="diffir export sr-x4-lite --to openvino"):
        open_file(Path("sr-x4-lite"), "openvino")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["export", *words])


@pytest.mark.usefixtures("_converted_before")
def test_the_verb_prints_the_table_and_replaces_only_when_told(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = run(str(weights("sr-x4")), "--to", "onnx")
    assert first.exit_code == 0, first.output
    assert "sr-x4.onnx: sr ×4, float32" in first.output
    assert len(re.findall(r"^noise +\d+ +\d+×\d+ +\d\.\de-\d+ +\S+ dB$", first.output, re.M)) == 5
    before = Path("sr-x4.onnx").read_bytes()
    second = run(str(weights("sr-x4")), "--to", "onnx")
    assert second.exit_code == 2
    assert "exists" in second.output
    assert Path("sr-x4.onnx").read_bytes() == before
    assert run(str(weights("sr-x4")), "--overwrite").exit_code == 0
    assert not [path for path in tmp_path.iterdir() if path.name != "sr-x4.onnx"]


@pytest.mark.usefixtures("_converted_before")
def test_two_exports_of_one_network_are_equal(weights: Weights, tmp_path: Path) -> None:
    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for path in paths:
        export(weights("sr-x4"), path, "onnx")
    assert paths[0].read_bytes() == paths[1].read_bytes()
