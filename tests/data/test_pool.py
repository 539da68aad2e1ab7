"""The pair pool: nothing lost, nothing twice, and as it was after a stop."""

from pathlib import Path

import numpy as np
import pytest
import torch

from diffir.data import Batch, PairPool


def numbered(start: int, count: int = 2) -> Batch:
    """Pairs whose pixels and facts are their number."""
    numbers = torch.arange(start, start + count, dtype=torch.float32)[:, None, None, None]
    facts = tuple({"number": float(number)} for number in range(start, start + count))
    return Batch(lq=numbers.expand(-1, 3, 2, 2), gt=numbers.expand(-1, 3, 4, 4), facts=facts)


def test_a_pool_lets_batches_pass_until_it_is_full_and_then_mixes_them() -> None:
    pool, draw = PairPool(size=6), np.random.default_rng(0)
    for start in (0, 2, 4):
        assert torch.equal(pool.exchange(numbered(start), draw).gt, numbered(start).gt)
    seen: list[float] = []
    for start in range(6, 200, 2):
        mixed = pool.exchange(numbered(start), draw)
        assert torch.equal(mixed.lq[:, 0, 0, 0], mixed.gt[:, 0, 0, 0])  # pairs stay together
        assert [fact["number"] for fact in mixed.facts] == mixed.gt[:, 0, 0, 0].tolist()
        seen += mixed.gt[:, 0, 0, 0].tolist()
    left = pool.tensors["gt"][:, 0, 0, 0].tolist()
    assert sorted(seen + left) == list(range(200))  # nothing is lost and nothing comes twice
    assert seen != sorted(seen)


def test_a_restored_pool_goes_on_as_the_saved_one_would(tmp_path: Path) -> None:
    pool, again = PairPool(size=5), PairPool(size=5)
    for start in (0, 2, 4):
        pool.exchange(numbered(start), np.random.default_rng(start))
    torch.save(pool.state_dict(), tmp_path / "pool.pt")
    again.load_state_dict(torch.load(tmp_path / "pool.pt", weights_only=True))
    for start in (6, 8, 10):
        first, second = (
            p.exchange(numbered(start), np.random.default_rng(start)) for p in (pool, again)
        )
        assert torch.equal(first.lq, second.lq)
        assert torch.equal(first.gt, second.gt)
        assert first.facts == second.facts


def test_an_empty_pool_is_saved_and_restored_too() -> None:
    pool = PairPool(size=4)
    pool.exchange(numbered(0), np.random.default_rng(0))
    pool.load_state_dict(PairPool(size=4).state_dict())
    assert len(pool) == 0


def test_a_pool_starts_anew_when_crops_change_their_size() -> None:
    pool, draw = PairPool(size=2), np.random.default_rng(0)
    pool.exchange(numbered(0), draw)
    other = Batch(lq=torch.zeros(2, 3, 4, 4), gt=torch.zeros(2, 3, 8, 8))
    assert torch.equal(pool.exchange(other, draw).gt, other.gt)
    assert pool.tensors["gt"].shape == (2, 3, 8, 8)


def test_what_does_not_fit_into_a_pool_is_a_sentence() -> None:
    pool, draw = PairPool(size=2), np.random.default_rng(0)
    with pytest.raises(ValueError, match="batch of 3 found"):
        pool.exchange(numbered(0, count=3), draw)
    with pytest.raises(ValueError, match="a pool of size 9 found"):
        pool.load_state_dict({"size": 9})
