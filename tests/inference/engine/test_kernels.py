import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffir.inference.engine import choice
from diffir.inference.engine.kernels import Kernels, as_image, as_rows, few_outputs
from diffir.inference.engine.onednn import OneDNN

CPU = torch.device("cpu")
CLOSE = 1e-5  # the same sums in another order
KINDS = [Kernels]
if hasattr(torch.ops.mkldnn, "_convolution_pointwise_"):
    KINDS.append(OneDNN)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))) / 4


@pytest.fixture(params=KINDS)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return request.param()


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 5), (4, 7)])
@pytest.mark.parametrize("channels", [3, 16, 29])
def test_each_kernel_does_what_its_layer_does(
    kernels: Kernels, channels: int, size: tuple[int, int]
) -> None:
    rows, width = size
    x, window = numbers(rows, width, channels), numbers(rows + 2, width, channels)
    weight, bias, total = numbers(8, channels), numbers(8), numbers(rows, width, 8)

    def near(ours: Tensor, theirs: Tensor) -> bool:
        return (ours - theirs).abs().max() < CLOSE

    out = torch.full((rows, width, 8), torch.nan)
    kernels.product(weight, bias)(x, out)
    assert near(out, F.linear(x, weight, bias))
    grown = total.clone()
    kernels.adder(weight)(x, grown)
    assert near(grown, total + F.linear(x, weight))
    each, other = numbers(channels, 1, 3, 3), numbers(channels, 1, 3, 3) + 1
    deep = as_rows(F.conv2d(as_image(window), each, padding=(0, 1), groups=channels))
    assert near(kernels.depthwise(each)(window), deep)
    value = as_rows(F.conv2d(as_image(window), other, padding=(0, 1), groups=channels))
    assert near(kernels.gate(each, other)(window, window), F.gelu(deep) * value)
    full = numbers(8, channels, 3, 3)
    wanted = as_rows(F.conv2d(as_image(window), full, bias, padding=(0, 1)))
    assert near(kernels.convolution(full, bias)(window), wanted)
    leaky = F.leaky_relu(wanted, 0.1)
    assert near(kernels.convolution(full, bias, leaky=True)(window), leaky)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 5), (4, 7)])
def test_a_convolution_to_rgb_may_be_a_product_with_its_taps(size: tuple[int, int]) -> None:
    window, weight, bias = numbers(size[0] + 2, size[1], 16), numbers(3, 16, 3, 3), numbers(3)
    wanted = as_rows(F.conv2d(as_image(window), weight, bias, padding=(0, 1)))
    assert (few_outputs(weight, bias)(window) - wanted).abs().max() < CLOSE
    assert (few_outputs(weight, None)(window) + bias - wanted).abs().max() < CLOSE


def test_a_sum_reaches_rows_that_lie_apart(kernels: Kernels) -> None:
    maps, x, weight = numbers(4, 2, 15).clone(), numbers(4, 5, 6), numbers(3, 6)
    apart = maps[:, 1].view(4, 5, 3)
    before, beside = apart.clone(), maps[:, 0].clone()
    kernels.adder(weight)(x, apart)
    assert (maps[:, 1].view(4, 5, 3) - before - F.linear(x, weight)).abs().max() < CLOSE
    assert torch.equal(maps[:, 0], beside)


def test_results_of_a_pixel_do_not_hang_on_how_many_are_worked_on(kernels: Kernels) -> None:
    window = numbers(34, 16, 48)
    product, full = kernels.product(numbers(96, 48)), kernels.convolution(numbers(32, 48, 3, 3))
    rgb = few_outputs(numbers(3, 48, 3, 3), None)
    whole, out = full(window), torch.empty(34, 16, 96)
    product(window, out)
    for rows in (2, 6, 14):
        part = torch.empty(rows, 16, 96)
        product(window[8 : 8 + rows].contiguous(), part)
        assert torch.equal(part, out[8 : 8 + rows])
        assert torch.equal(full(window[8 : 10 + rows].contiguous()), whole[8 : 8 + rows])
        assert torch.equal(rgb(window[8 : 10 + rows]), rgb(window)[8 : 8 + rows])


def test_a_weight_is_packed_anew_only_when_the_size_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch").ops.mkldnn._convolution_pointwise_  # noqa: B018
    packed = []
    pack = torch.ops.mkldnn._reorder_convolution_weight
    monkeypatch.setattr(
        torch.ops.mkldnn,
        "_reorder_convolution_weight",
        lambda *arguments: packed.append(arguments) or pack(*arguments),
    )
    depthwise = OneDNN().depthwise(numbers(4, 1, 3, 3))
    for rows in (5, 5, 5, 3, 3):
        depthwise(numbers(rows, 6, 4))
    assert len(packed) == 2


def test_without_the_private_operations_plain_torch_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Missing(OneDNN):
        def product(self, weight: Tensor, bias: Tensor | None = None):
            raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute")

    assert chosen(Missing, monkeypatch) is Kernels


def test_wrong_results_are_noticed_and_plain_torch_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Wrong(OneDNN):
        def depthwise(self, weight: Tensor):
            run = super().depthwise(weight)
            return lambda window: run(window) * 1.01

    assert chosen(Wrong, monkeypatch) is Kernels


def test_a_result_that_is_no_number_is_noticed_wherever_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Wrong(OneDNN):
        def adder(self, weight: Tensor):  # of the trial's second result
            run = super().adder(weight)

            def spoilt(x: Tensor, total: Tensor) -> None:
                run(x, total)
                total[0, 0, 0] = torch.nan

            return spoilt

    assert chosen(Wrong, monkeypatch) is Kernels


def test_what_is_slow_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "seconds", lambda kernels: 2.0 - (type(kernels) is Kernels))
    assert chosen(OneDNN, monkeypatch) is Kernels


def test_what_is_a_little_slower_stays_so_that_every_run_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "seconds", lambda kernels: 1.4 - 0.4 * (type(kernels) is Kernels))
    assert chosen(KINDS[-1], monkeypatch) is KINDS[-1]


def chosen(kind: type[Kernels], monkeypatch: pytest.MonkeyPatch) -> type[Kernels]:
    monkeypatch.setattr(choice, "OneDNN", kind)
    return type(choice.kernels_for.__wrapped__(torch.float32, CPU))
