from types import SimpleNamespace

import pytest

from diffir.inference.engine import heap


def test_gaps_are_given_back_beside_large_maps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(heap, "glibc", lambda: SimpleNamespace(malloc_trim=trimmed.append))
    heap.give_back_gaps(heap.GAPS)
    assert trimmed == []
    heap.give_back_gaps(heap.GAPS + 1)
    assert trimmed == [0]


def test_elsewhere_nothing_is_given_back_or_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "glibc", lambda: None)
    heap.give_back_gaps(2 * heap.GAPS)
    heap.keep_freed_blocks.__wrapped__()


def test_freed_blocks_are_kept_unless_the_user_chose_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *setting: settings.append(setting))
    monkeypatch.setattr(heap, "glibc", lambda: library)
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    heap.keep_freed_blocks.__wrapped__()
    assert settings == []
    monkeypatch.delenv("MALLOC_MMAP_MAX_")
    heap.keep_freed_blocks.__wrapped__()
    assert settings == [(-3, 32 * 2**20), (-1, 64 * 2**20)]  # M_MMAP_, M_TRIM_THRESHOLD
