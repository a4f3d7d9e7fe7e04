"""The style networks' optimiser: Muon for inner kernels, Adam for the rest."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from styletransfer.training.muon import MuonAdam  # noqa: E402
from styletransfer.training.network import JohnsonNet, LiveNet, PlainNet  # noqa: E402

INNER, FIRST, LAST = 0, 1, 3


def layers():
    """Kernels between feature maps, from pixels, a bias, and to pixels."""
    torch.manual_seed(0)
    return nn.ParameterList([torch.randn(8, 8, 3, 3), torch.randn(8, 3, 3, 3), torch.randn(8), torch.randn(3, 8, 3, 3)])


def moved(parameters, optimiser, share=1.0):
    """How far each parameter goes in one step downhill from fixed gradients of very different sizes."""
    before = [parameter.detach().clone() for parameter in parameters]
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters:
        sizes = torch.logspace(0, 3, len(parameter)).view(-1, *[1] * (parameter.ndim - 1))
        parameter.grad = torch.randn(parameter.shape, generator=generator) * sizes
    optimiser.set_share(share)
    optimiser.step()
    return [parameter.detach() - old for parameter, old in zip(parameters, before, strict=True)]


def test_inner_kernels_move_by_an_orthogonal_matrix_and_the_rest_by_adams_step():
    parameters = layers()
    steps = moved(parameters, MuonAdam(parameters, 1e-3, 0.02))
    lengths = torch.linalg.svdvals(steps[INNER].flatten(1)) / 0.02
    assert lengths.min() > 0.4 and lengths.max() < 1.5  # rows whose gradients differ by 1000 : 1
    for index in (FIRST, 2, LAST):
        torch.testing.assert_close(steps[index].abs(), torch.full_like(steps[index], 1e-3), rtol=1e-3, atol=0)


def test_without_a_rate_of_muons_everything_is_adams():
    parameters = layers()
    optimiser = MuonAdam(parameters, 1e-3, 0.0)
    for step in moved(parameters, optimiser):
        torch.testing.assert_close(step.abs(), torch.full_like(step, 1e-3), rtol=1e-3, atol=0)
    assert list(optimiser.state_dict()) == ["adam"]


def test_the_step_goes_downhill():
    parameters = layers()
    steps = moved(parameters, MuonAdam(parameters, 1e-3, 0.02))
    assert all((step * parameter.grad).sum() < 0 for step, parameter in zip(steps, parameters, strict=True))


def test_a_share_of_the_rates_is_a_share_of_the_step():
    whole, half = layers(), layers()
    steps = moved(whole, MuonAdam(whole, 1e-3, 0.02)), moved(half, MuonAdam(half, 1e-3, 0.02), 0.5)
    for one, other in zip(*steps, strict=True):
        torch.testing.assert_close(other, one / 2, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_every_weight_of_every_network_is_trained(memory):
    for kind in (LiveNet, PlainNet, JohnsonNet):
        network = kind(8).to(memory_format=memory)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        optimiser = MuonAdam(network, 1e-3, 0.02)
        photo = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
        network(photo).square().mean().backward()
        optimiser.step()
        unmoved = [name for name, value in network.state_dict().items() if torch.equal(value, before[name])]
        assert unmoved == []
        optimiser.zero_grad()
        assert all(parameter.grad is None for parameter in network.parameters())


def test_a_saved_state_goes_on_as_if_nothing_had_happened():
    one, other = layers(), layers()
    optimiser = MuonAdam(one, 1e-3, 0.02)
    moved(one, optimiser)
    other.load_state_dict(one.state_dict())
    resumed = MuonAdam(other, 1e-3, 0.02)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))  # which a file is, too
    for a, b in zip(moved(one, optimiser), moved(other, resumed), strict=True):
        assert torch.equal(a, b)
