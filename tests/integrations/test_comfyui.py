"""The nodes do what ComfyUI asks of nodes; a stand-in host runs the workflows of the folder.

ComfyUI itself wants torchvision and is no package. The stand-in has the modules that nodes import,
reads a custom node as ComfyUI does, and runs a workflow of its API format: names are looked up,
inputs checked against INPUT_TYPES, links against RETURN_TYPES.
"""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from official import network, toy, write_pth
from torch import Tensor

from diffir import Restorer
from diffir.checkpoints import Checkpoint, format
from diffir.errors import MaskError

if sys.version_info >= (3, 11):
    import tomllib

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"


class InterruptError(Exception):
    """What ComfyUI raises when its user cancels."""


class Host:
    """The stand-in: models on a disk, one picture with a mask, and who runs workflows."""

    def __init__(self, models: Path, image: Tensor, mask: Tensor) -> None:
        self.models, self.image, self.mask = models, image, mask
        self.saved: Tensor | None = None
        self.shown: list[float] = []
        self.is_interrupted = False
        self.tables: dict[str, tuple[list[str], set[str]]] = {}
        self.nodes: dict[str, Any] = {
            "LoadImage": SimpleNamespace(RETURN_TYPES=("IMAGE", "MASK")),
            "SaveImage": SimpleNamespace(RETURN_TYPES=()),
        }

    def modules(self) -> dict[str, ModuleType]:
        def files(kind: str) -> list[str]:
            (places, suffixes) = self.tables[kind]
            found = [path for place in places for path in Path(place).rglob("*")]
            return sorted(path.name for path in found if path.suffix in suffixes)

        def interrupt() -> None:
            if self.is_interrupted:
                raise InterruptError

        host = self

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.total = total

            def update_absolute(self, value: int) -> None:
                host.shown.append(value / self.total)

        facts: dict[str, dict[str, Any]] = {
            "folder_paths": {
                "models_dir": str(self.models),
                "folder_names_and_paths": self.tables,
                "get_filename_list": files,
                "get_full_path": lambda kind, name: str(Path(self.tables[kind][0][0]) / name),
            },
            "comfy": {},
            "comfy.utils": {"ProgressBar": ProgressBar},
            "comfy.model_management": {
                "get_torch_device": lambda: torch.device("cpu"),
                "throw_exception_if_processing_interrupted": interrupt,
            },
        }
        modules = {name: ModuleType(name) for name in facts}
        for name, module in modules.items():
            module.__dict__.update(facts[name])
        modules["comfy"].model_management = modules["comfy.model_management"]  # type: ignore[attr-defined]
        return modules

    def read(self, folder: Path) -> ModuleType:
        """A custom node's folder, as a module whose name is its path."""
        spec = importlib.util.spec_from_file_location(
            str(folder).replace(".", "_x_"), folder / "__init__.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        assert module.NODE_DISPLAY_NAME_MAPPINGS.keys() == module.NODE_CLASS_MAPPINGS.keys()
        self.nodes |= module.NODE_CLASS_MAPPINGS
        return module

    def run(self, workflow: dict[str, Any]) -> None:
        """Every node after those that it takes from; ComfyUI does so in inference mode."""
        with torch.inference_mode():
            done: dict[str, tuple[Any, ...]] = {}
            for key in sorted(workflow, key=int):
                done[key] = self.step(workflow, key, done)

    def step(self, workflow: dict[str, Any], key: str, done: dict[str, Any]) -> tuple[Any, ...]:
        kind, inputs = workflow[key]["class_type"], workflow[key]["inputs"]
        if kind == "LoadImage":
            return self.image, self.mask
        values = {
            name: done[value[0]][value[1]] if isinstance(value, list) else value
            for name, value in inputs.items()
        }
        if kind == "SaveImage":
            self.saved = values["images"]
            return ()
        node = self.nodes[kind]
        wanted = node.INPUT_TYPES()["required"]
        assert wanted.keys() == inputs.keys()
        for name, (what, *options) in wanted.items():
            if isinstance(inputs[name], list):
                source, slot = inputs[name]
                assert self.nodes[workflow[source]["class_type"]].RETURN_TYPES[slot] == what
            elif isinstance(what, list):
                assert inputs[name] in what, "Value not in list"
            else:
                assert what == "INT"
                assert options[0]["min"] <= inputs[name] <= options[0]["max"]
        answer = getattr(node(), node.FUNCTION)(**values)
        assert isinstance(answer, tuple)
        assert len(answer) == len(node.RETURN_TYPES)
        return answer


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    draw = torch.Generator().manual_seed(1)
    image = torch.rand(2, 18, 21, 3, generator=draw)
    mask = torch.zeros(2, 18, 21)
    mask[0, 3:9, 4:12] = 1
    mask[1, 10:14, 2:6] = 1
    (tmp_path / "diffir").mkdir()
    host = Host(tmp_path, image, mask)
    for name, module in host.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    before = set(sys.modules)
    host.read(FOLDER)
    yield host
    for name in set(sys.modules) - before:
        if name.startswith(str(FOLDER).replace(".", "_x_")):
            del sys.modules[name]


def workflow(task: str, **changes: Any) -> dict[str, Any]:
    """A workflow of the folder with other inputs: `name` of the network, `seed`."""
    nodes = json.loads((FOLDER / "example_workflows" / f"{task}.json").read_text("utf-8"))
    for node in nodes.values():
        node["inputs"] |= {key: changes[key] for key in node["inputs"].keys() & changes.keys()}
    return nodes


def channels_first(image: Tensor) -> Tensor:
    return image.movedim(-1, 1)


def test_the_workflow_for_restoring_gives_what_diffir_gives(host):
    host.run(workflow("restore"))
    assert host.saved is not None
    assert host.saved.shape == (2, 72, 84, 3)
    assert host.saved.dtype == torch.float32
    expected = Restorer.from_pretrained("sr-x4-lite", device="cpu").restore_batch(
        channels_first(host.image)[:1], seeds=[0]
    )
    assert torch.equal(channels_first(host.saved)[:1], expected)
    assert host.shown[0] == 0
    assert host.shown[-1] == 1
    assert host.shown == sorted(host.shown)


def test_the_workflow_for_inpainting_fills_the_holes_and_nothing_else(host):
    model = network(2, toy("inpaint"))
    path = host.models / "diffir" / "inpaint.safetensors"
    format.save(Checkpoint(model=model, task="inpaint"), path)
    host.run(workflow("inpaint"))
    assert host.saved is not None
    known = (host.mask == 0)[..., None].expand_as(host.image)
    assert torch.equal(host.saved[known], host.image[known])
    expected = Restorer.from_pretrained(path, device="cpu").restore_batch(
        channels_first(host.image), masks=host.mask[:, None], seeds=[0, 0]
    )
    # 1e-5: pictures one by one, and in one batch
    assert torch.allclose(channels_first(host.saved), expected, atol=1e-5)
    assert not torch.equal(host.saved, host.image)


def test_every_picture_is_told_where_the_network_tells_nothing(host, monkeypatch):
    told = Restorer.restore_batch

    def silent(self, *args: Any, progress: object, **options: Any) -> Tensor:
        return told(self, *args, **options)

    monkeypatch.setattr(Restorer, "restore_batch", silent)
    host.run(workflow("restore"))
    assert host.shown == [0, 0.5, 0.5, 1]


def test_one_mask_serves_all_pictures(host):
    write_pth(host.models / "diffir" / "net.pth", network(2, toy("inpaint")))
    host.mask = host.mask[0]
    host.run(workflow("inpaint", name="net.pth"))
    assert host.saved is not None
    assert torch.equal(host.saved[:, :3], host.image[:, :3])


def test_masks_that_are_neither_one_nor_as_many_as_the_pictures_are_a_sentence(host):
    write_pth(host.models / "diffir" / "net.pth", network(2, toy("inpaint")))
    host.image = host.image[:1]
    told = "2 masks found for 1 images; give one for all, or as many"
    with pytest.raises(MaskError, match=told):
        host.run(workflow("inpaint", name="net.pth"))


def test_the_authors_files_are_among_the_names(host):
    write_pth(host.models / "diffir" / "theirs.pth", network(2, toy("sr-x2")))
    (host.models / "diffir" / "notes.txt").write_text("no weights")
    (names,) = host.nodes["DiffIRLoad"].INPUT_TYPES()["required"]["name"]
    assert "sr-x4-lite" in names
    assert names[-1] == "theirs.pth"
    host.run(workflow("restore", name="theirs.pth", seed=2**64 - 1))
    assert host.saved is not None
    assert host.saved.shape == (2, 36, 42, 3)


def test_cancelling_ends_a_picture(host):
    host.is_interrupted = True
    with pytest.raises(InterruptError):
        host.run(workflow("restore"))
    assert host.saved is None


def test_a_network_for_inpainting_asks_the_other_node_for_a_mask(host):
    write_pth(host.models / "diffir" / "net.pth", network(2, toy("inpaint")))
    with pytest.raises(MaskError, match="needs a mask"):
        host.run(workflow("restore", name="net.pth"))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_the_package_has_what_the_registry_asks_for():
    told = tomllib.loads((FOLDER / "pyproject.toml").read_text("utf-8"))
    assert {"name", "version", "description", "license", "dependencies"} <= told["project"].keys()
    assert "comfyui" not in told["project"]["name"].lower()
    assert {"PublisherId", "DisplayName"} <= told["tool"]["comfy"].keys()
    assert told["project"]["dependencies"] == (FOLDER / "requirements.txt").read_text().splitlines()
