from pathlib import Path

import pytest
import torch

from diffir.errors import DeviceError
from diffir.inference.engine import budget, bytes_of, default_budget


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("2GB", 2 * 10**9), ("1.5 g", 1.5e9), ("500mb", 5e8), ("2GiB", 2 * 1024**3), ("4096", 4096)],
)
def test_sizes_are_read_as_people_write_them(text: str, wanted: float) -> None:
    assert bytes_of(text) == wanted


@pytest.mark.parametrize("text", ["", "GB", "two", "-1GB", "0", "1 XB", "1.2.3MB"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(DeviceError, match="wanted a size like 500MB or 2GB"):
        bytes_of(text)


def test_unasked_a_run_takes_most_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "free_of_system", lambda: 1000)
    monkeypatch.setattr(budget, "free_of_container", lambda: 500)
    assert default_budget(torch.device("cpu")) == 450
    monkeypatch.setattr(budget, "free_of_container", lambda: None)
    assert default_budget(torch.device("cpu")) == 900
    monkeypatch.setattr(budget, "free_of_system", lambda: None)
    assert default_budget(torch.device("cpu")) is None


def test_what_is_free_is_read_from_the_system(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:   7 kB\n")
    assert budget.free_of_system(meminfo) == 7 * 1024
    assert budget.free_of_system(tmp_path / "none") is None


def test_a_containers_limit_counts_files_it_can_drop_as_free(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100\nactive_file 50\n")
    assert budget.free_of_container(tmp_path) == 400
    (tmp_path / "memory.max").write_text("max\n")
    assert budget.free_of_container(tmp_path) is None
    assert budget.free_of_container(tmp_path / "none") is None
