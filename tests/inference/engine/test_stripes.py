import pytest
import torch
import torch.nn.functional as F

from diffir.inference.engine.stripes import Grid, LineBuffer, finished, window_of

HEIGHTS = [1, 2, 3, 7, 12]


@pytest.mark.parametrize("rows", [2, 4, 6, 100])
@pytest.mark.parametrize("height", HEIGHTS)
def test_stripes_cover_a_map_once_and_are_never_less_than_a_block(height: int, rows: int) -> None:
    grid = Grid(height=height, width=5, block=2, rows=rows)
    spans = grid.spans()
    assert [row for start, stop in spans for row in range(start, stop)] == list(range(height))
    assert all(min(2, height) <= stop - start <= grid.tallest for start, stop in spans)


@pytest.mark.parametrize("late", [1, 2])
@pytest.mark.parametrize("height", HEIGHTS)
def test_sums_are_made_of_the_same_pieces_whatever_the_stripes(height: int, late: int) -> None:
    def pieces(rows: int) -> list[tuple[int, int]]:
        grid = Grid(height=height, width=5, block=2, rows=rows)
        found, begun = [], 0
        for _, stop in grid.spans():
            end = height if stop == height else max(stop - late, 0)
            if begun < end:
                found += grid.pieces(begun, end, late)
            begun = end
        return found

    assert pieces(2) == pieces(4) == pieces(6) == pieces(100)
    assert [row for low, high in pieces(4) for row in range(low, high)] == list(range(height))


@pytest.mark.parametrize("rows", [1, 2, 3, 12])
@pytest.mark.parametrize("height", HEIGHTS)
def test_a_map_through_a_line_buffer_is_convolved_as_a_whole(height: int, rows: int) -> None:
    x = torch.randn(height, 4, 3, generator=torch.Generator().manual_seed(0))
    weight = torch.ones(3, 1, 3, 3)
    whole = F.conv2d(x.permute(2, 0, 1)[None], weight, padding=1, groups=3)
    line, parts, begun = LineBuffer(torch.full((rows + 3, 4, 3), torch.nan)), [], 0
    for top in range(0, height, rows):
        stop = min(top + rows, height)
        line.room(stop - top)[:] = x[top:stop]
        start, end = finished(top, stop, height)
        if start < end:
            window = line.window(stop == height)
            assert (start, len(window)) == (begun, end - start + 2)
            image = window.permute(2, 0, 1)[None]
            parts.append(F.conv2d(image, weight, padding=(0, 1), groups=3))
            begun = end
    assert torch.equal(torch.cat(parts, dim=2), whole)


@pytest.mark.parametrize("span", [(0, 4), (0, 2), (1, 3), (3, 4)])
def test_windows_of_a_map_have_zeros_beyond_its_edges(span: tuple[int, int]) -> None:
    x = torch.randn(4, 3, 2)
    padded = F.pad(x, (0, 0, 0, 0, 1, 1))
    window = window_of(x, *span)
    assert torch.equal(window, padded[span[0] : span[1] + 2])
    assert window.is_contiguous()
