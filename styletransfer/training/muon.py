"""The optimiser of the style networks: Muon for the kernels between feature maps, Adam for everything else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_BETAS = (0.9, 0.99)  # the default 0.999 remembers the first, enormous gradients for too long
_MOMENTUM = 0.95
_PICTURE_CHANNELS = 3


class MuonAdam:
    """Muon (Jordan et al. 2024) and Adam (Kingma & Ba 2015) over one network, step by step together.

    Muon moves a kernel, as a matrix of one row an output channel, by the nearest orthogonal matrix of its gradient's
    mean: all directions alike, where Adam follows the few that are steep. Kernels that read or write pixels, gains,
    scales and biases are Adam's.

    Args:
        network: its parameters are changed in place; they stay where they are, on their device.
        rate: Adam's learning rate.
        muon_rate: Muon's: the length of a row's step; kernels start with rows of about 0.6. 0: everything is Adam's.
    """

    def __init__(self, network: nn.Module, rate: float, muon_rate: float) -> None:
        self._parameters = list(network.parameters())
        self._kernels: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for parameter in self._parameters:
            (self._kernels if muon_rate and _is_inner(parameter) else others).append(parameter)
        for kernel in self._kernels:  # else the matrices would be copies
            kernel.data = kernel.data.contiguous(memory_format=torch.channels_last)
        self._matrices = [nn.Parameter(_matrix(kernel.detach())) for kernel in self._kernels]
        self._optimisers: dict[str, tuple[torch.optim.Optimizer, float]] = {
            "adam": (torch.optim.Adam(others, lr=rate, betas=_BETAS, fused=True), rate)
        }
        if self._matrices:  # Muon takes no empty list
            muon = torch.optim.Muon(self._matrices, lr=muon_rate, weight_decay=0.0, momentum=_MOMENTUM)
            self._optimisers["muon"] = (muon, muon_rate)

    def set_share(self, share: float) -> None:
        """Go on at ``share`` of both learning rates."""
        for optimiser, peak in self._optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = share * peak

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self) -> None:
        """Change the parameters by their gradients."""
        for matrix, kernel in zip(self._matrices, self._kernels, strict=True):
            matrix.grad = None if kernel.grad is None else _matrix(kernel.grad)
        for optimiser, _ in self._optimisers.values():
            optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs, of types that ``torch.load`` takes with ``weights_only``."""
        return {name: optimiser.state_dict() for name, (optimiser, _) in self._optimisers.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a :meth:`state_dict` of the same network."""
        for name, (optimiser, _) in self._optimisers.items():
            optimiser.load_state_dict(state_dict[name])


def _is_inner(parameter: Tensor) -> bool:
    """Whether a parameter is a kernel from feature maps to feature maps."""
    return parameter.ndim == 4 and min(parameter.shape[:2]) > _PICTURE_CHANNELS


def _matrix(kernel: Tensor) -> Tensor:
    """``[O, I, H, W]`` as ``[O, H · W · I]``: the same memory where that is in channels_last."""
    return kernel.permute(0, 2, 3, 1).flatten(1)
