from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402, N812

from styletransfer.core.settings import ARCHITECTURES  # noqa: E402
from styletransfer.training.blocks import (  # noqa: E402
    GainConv,
    InstanceNorm,
    Residual,
    UpConv,
    base_kernels,
    inside,
    phase_kernels,
)
from styletransfer.training.network import NETWORKS, SIZE_MULTIPLE  # noqa: E402

networks = pytest.mark.parametrize("name", sorted(NETWORKS))


def build(name, channels=8, seed=0):
    """A network whose every parameter matters: the norms' scales and shifts are random too."""
    torch.manual_seed(seed)
    network = NETWORKS[name](channels)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, InstanceNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
            if isinstance(module, GainConv):
                module.bias.uniform_(-0.2, 0.2)
    return network


def photo(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 255


def test_every_network_has_its_defaults():
    assert set(NETWORKS) == set(ARCHITECTURES)


@networks
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (2, 20, 36), (1, 64, 24)])
def test_the_output_has_the_inputs_size(name, batch, height, width):
    assert height % SIZE_MULTIPLE == width % SIZE_MULTIPLE == 0
    assert build(name)(photo(batch, 3, height, width)).shape == (batch, 3, height, width)


@pytest.mark.parametrize("name", ["johnson", "live"])
def test_the_output_stays_a_little_outside_of_black_and_white(name):
    network = build(name)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(20)
        result = network(photo(1, 3, 32, 32))
    assert result.min() >= 127.5 - 150.01 and result.max() <= 127.5 + 150.01


@networks
def test_pictures_of_a_batch_do_not_touch_each_other(name):
    network, batch = build(name), photo(3, 3, 32, 40)
    with torch.no_grad():
        together, alone = network(batch), network(batch[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-2, rtol=1e-4)


@networks
@pytest.mark.parametrize("level", [0.0, 90.0, 255.0])
def test_one_colour_stays_one_colour(name, level):
    """No frame from the padding, no grid from the enlargement."""
    with torch.no_grad():
        result = build(name)(torch.full((1, 3, 160, 176), level))
    if name == "plain":  # its zero padding, most of it cut off, still fades out over what the network sees at once
        spread = result.amax((2, 3)) - result.amin((2, 3))
        assert spread.max().item() < 4
        result = result[:, :, 48:-48, 48:-48]
    spread = result.amax((2, 3)) - result.amin((2, 3))
    assert spread.max().item() < 0.05


@networks
def test_the_seed_decides_the_weights_and_channels_the_width(name):
    first, second, other = build(name), build(name), build(name, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    assert build(name, 16).body[0].first.out_channels == 16


@networks
def test_every_parameter_learns(name):
    network = build(name)
    network(photo(2, 3, 32, 32)).square().mean().backward()
    idle = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.abs().max() > 0]
    assert idle == []


def test_the_live_network_starts_mid_grey():
    torch.manual_seed(0)
    with torch.no_grad():
        result = NETWORKS["live"](64)(photo(1, 3, 32, 32))
    assert (result - 127.5).abs().max() < 110  # where tanh still has a slope


# ---- the parts ----


def test_up_conv_is_repeating_pixels_and_a_convolution():
    torch.manual_seed(0)
    up = UpConv(5, 3, bias=True)
    small = torch.randn(2, 5, 6, 7)
    repeated = F.interpolate(small, scale_factor=2, mode="nearest")
    expected = F.conv2d(F.pad(repeated, (1,) * 4, mode="replicate"), up.weight, up.bias)
    torch.testing.assert_close(inside(F.pixel_shuffle(up(small), 2)), expected)


def test_base_kernels_undo_phase_kernels():
    weight = torch.randn(6, 4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(base_kernels(phase_kernels(weight)), weight)


def test_the_phases_agree_on_one_colour():
    sums = phase_kernels(torch.randn(6, 4, 3, 3, dtype=torch.float64)).sum((2, 3)).view(6, 4, 4)
    torch.testing.assert_close(sums, sums[:, :1].expand_as(sums))


@pytest.mark.parametrize("share", [1, 4])
def test_instance_norm_is_torchs_with_shared_scales(share):
    norm = InstanceNorm(8, share)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-1, 1)
    x = torch.randn(2, 8, 9, 10)
    weight, bias = (value.detach().repeat_interleave(share) for value in (norm.weight, norm.bias))
    torch.testing.assert_close(norm(x), F.instance_norm(x, weight=weight, bias=bias, eps=1e-3), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("share", [1, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_instance_norms_gradients_are_torchs(share, layout):
    x = torch.randn(2, 8, 9, 10, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout) * 3 + 1
    seen = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    norm = InstanceNorm(8, share)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
    x.requires_grad_()
    weight, bias = norm.weight.repeat_interleave(share), norm.bias.repeat_interleave(share)
    wanted = (F.instance_norm(x, weight=weight, bias=bias, eps=1e-3) * seen).sum()
    for found, expected in zip(
        torch.autograd.grad((norm(x) * seen).sum(), (x, norm.weight, norm.bias)),
        torch.autograd.grad(wanted, (x, norm.weight, norm.bias)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_a_residual_block_whose_last_scale_is_zero_changes_nothing():
    block = Residual(4)
    torch.nn.init.zeros_(block.second_norm.weight)
    x = torch.randn(1, 4, 8, 8)
    assert torch.equal(block(x), x)
