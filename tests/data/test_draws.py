"""Draws: every number from a seed, a stream and an index, and from nothing else."""

import numpy as np
import pytest

from diffir.data.draws import Draws, generator, note


def numbers(draws: Draws, stream: str = "crops") -> list[float]:
    return [draw.random() for draw in draws.own(stream)]


def test_an_index_draws_the_same_whoever_holds_it() -> None:
    whole = numbers(Draws((1, 2, 3), (0, 1, 2, 3)))
    assert numbers(Draws((1, 2, 3), (1, 3))) == [whole[1], whole[3]]
    assert len(set(whole)) == 4


def test_what_is_shared_is_the_same_on_every_rank_and_apart_from_what_is_own() -> None:
    first, second = (Draws((1, 2), indices).shared("a").random() for indices in ((0, 2), (1, 3)))
    assert first == second
    assert first not in numbers(Draws((1, 2), (0, 1)), "a")


@pytest.mark.parametrize("seed", [(3, 1, 4), (3, 1, 4, 1, 5)])
def test_streams_and_seeds_draw_different_numbers(seed: tuple[int, ...]) -> None:
    drawn = [
        generator(one, stream, *key).random()
        for one in (seed, seed[:-1])
        for stream in ("crops", "masks", "second order")
        for key in ((), (0,), (1,))
    ]
    assert len(set(drawn)) == len(drawn)


def test_what_is_noted_twice_is_numbered() -> None:
    draw = generator((0,), "a")
    for sigma in (1.0, 2.0, 3.0):
        note(draw, sigma=sigma, kind="blur")
    assert [draw.facts[name] for name in ("sigma", "sigma_2", "sigma_3")] == [1, 2, 3]
    note(np.random.default_rng(0), sigma=1.0)  # a plain generator remembers nothing


def test_a_picture_alone_has_nothing_in_common_with_others_and_keeps_its_own_draws() -> None:
    alone = [Draws((1, 2), (index,), alone=True) for index in (0, 1)]
    first, second = (draws.shared("a").random() for draws in alone)
    assert first != second
    assert first != Draws((1, 2), (0,)).shared("a").random()
    assert numbers(alone[1]) == numbers(Draws((1, 2), (1,)))
    with pytest.raises(ValueError, match="too many values"):
        Draws((1, 2), (0, 1), alone=True).shared("a")
