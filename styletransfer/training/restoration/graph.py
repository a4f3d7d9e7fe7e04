"""A restoring network's ONNX graph, and its weights read back out of one: side by side, since each undoes the other."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn

from styletransfer.core.errors import ModelError
from styletransfer.training.blocks import base_kernels, phase_kernels
from styletransfer.training.nodes import GraphBuilder, read_initialisers
from styletransfer.training.restoration.compact import BranchConv, CompactNet
from styletransfer.training.restoration.networks import (
    DIV2K_MEAN,
    EDSR,
    TANH_SWING,
    DnCNN,
    JohnsonSRNet,
    NormResidual,
    RestoreNet,
    ScaledResidual,
    SRResNet,
    UpBlock,
)

OUTPUT = "restored"
"""Name of every graph's output, uint8 RGB ``[N, scale · H, scale · W, 3]``."""


class _Graph(GraphBuilder):
    """The layers and the networks as nodes; batch norms are folded into the convolutions before them."""

    def photo(self) -> str:
        """The input as ``[N, 3, H, W]``, 0..1."""
        return self.add("Mul", self.frame(), self.real("input_scale", 1 / 255))

    def conv_of(self, x: str, name: str, module: nn.Conv2d, norm: nn.BatchNorm2d | None = None) -> str:
        weight, bias = module.weight, module.bias
        if norm is not None:
            weight, bias = fold_norm(weight, norm)
        return self.conv(x, name, weight, bias, zeros=weight.shape[-1] // 2)

    def norm_residual(self, x: str, name: str, module: NormResidual) -> str:
        y = self.conv_of(x, f"{name}.first", module.first, module.first_norm)
        y = self.activation(y, f"{name}.activation", module.activation)
        return self.add("Add", self.conv_of(y, f"{name}.second", module.second, module.second_norm), x)

    def activation(self, x: str, name: str, module: nn.Module) -> str:
        if isinstance(module, nn.PReLU):
            return self.add("PRelu", x, self.real(f"{name}.weight", module.weight.view(1, 1, 1)))
        return self.add("Relu", x)

    def up_block(self, x: str, name: str, module: UpBlock) -> str:
        weight, bias = fold_norm(module.conv.weight, module.norm)
        x = self.conv(x, f"{name}.conv", phase_kernels(weight), bias.repeat_interleave(4), zeros=1)
        return self.inside(self.shuffle(self.add("Relu", x), weight.shape[0]))

    def to_bytes(self, x: str) -> str:
        """0..1 to bytes, rounded and cut off at black and white."""
        x = self.cast(x, TensorProto.FLOAT) if self.half else x
        scale = self.put("output_scale", np.array(1 / 255, np.float32))
        return self.add("QuantizeLinear", x, scale, self.put("output_black", np.array(0, np.uint8)))

    def finish(self, x: str) -> None:
        """``[N, 3, H, W]`` 0..1 to the output."""
        self.add("Transpose", self.to_bytes(x), output=self.output, perm=[0, 2, 3, 1])

    def branches(self, x: str, name: str, module: BranchConv) -> str:
        return self.conv(x, name, module.kernel(), module.square.bias, zeros=1)

    def compact(self, net: CompactNet) -> None:
        photo = self.photo()
        if isinstance(net.first, BranchConv):
            x = self.add("Relu", self.branches(photo, "first", net.first))
        else:
            x = self.add("Relu", self.conv(photo, "first", net.first.weight, net.first.bias, 2, zeros=1))
        for index, layer in enumerate(net.body):
            x = self.add("Relu", self.branches(x, f"body.{index}", layer))  # type: ignore[arg-type]
        repeated = self.conv(photo, "repeat", net.repeat, None, net.size_multiple)
        self.write(self.to_bytes(self.add("Add", self.branches(x, "last", net.last), repeated)), net.block)

    def johnson(self, net: JohnsonSRNet) -> None:
        x = self.add("Relu", self.conv_of(self.photo(), "first", net.first, net.first_norm))
        for index, residual in enumerate(net.body):
            x = self.norm_residual(x, f"body.{index}", residual)  # type: ignore[arg-type]
        for index, up in enumerate(net.up):
            x = self.up_block(x, f"up.{index}", up)  # type: ignore[arg-type]
        x = self.add("Mul", self.add("Tanh", self.conv_of(x, "last", net.last)), self.real("swing", TANH_SWING))
        self.finish(self.add("Add", x, self.real("centre", 0.5)))

    def srresnet(self, net: SRResNet) -> None:
        x = self.conv_of(self.photo(), "first", net.first)
        start = x = self.activation(x, "first_activation", net.first_activation)
        for index, residual in enumerate(net.body):
            x = self.norm_residual(x, f"body.{index}", residual)  # type: ignore[arg-type]
        x = self.add("Add", self.conv_of(x, "after", net.after, net.after_norm), start)
        for index, (conv, activation) in enumerate(zip(net.up, net.up_activation, strict=True)):
            x = self.shuffle(self.conv_of(x, f"up.{index}", conv), net.channels)  # type: ignore[arg-type]
            x = self.activation(x, f"up_activation.{index}", activation)
        self.finish(self.conv_of(x, "last", net.last))

    def edsr(self, net: EDSR) -> None:
        mean = self.real("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1))
        start = x = self.conv_of(self.add("Sub", self.photo(), mean), "first", net.first)
        for index, module in enumerate(net.body):
            x = self.scaled_residual(x, f"body.{index}", module)  # type: ignore[arg-type]
        x = self.add("Add", self.conv_of(x, "after", net.after), start)
        for index, conv in enumerate(net.up):
            x = self.shuffle(self.conv_of(x, f"up.{index}", conv), net.channels)  # type: ignore[arg-type]
        self.finish(self.add("Add", self.conv_of(x, "last", net.last), mean))

    def scaled_residual(self, x: str, name: str, module: ScaledResidual) -> str:
        y = self.conv_of(
            self.add("Relu", self.conv_of(x, f"{name}.first", module.first)), f"{name}.second", module.second
        )
        if module.residual_scale != 1.0:
            y = self.add("Mul", y, self.real("residual_scale", module.residual_scale))
        return self.add("Add", y, x)

    def dncnn(self, net: DnCNN) -> None:
        photo = self.photo()
        x = self.add("Relu", self.conv_of(photo, "first", net.first))
        for index, (conv, norm) in enumerate(zip(net.body, net.norms, strict=True)):
            x = self.add("Relu", self.conv_of(x, f"body.{index}", conv, norm))  # type: ignore[arg-type]
        self.finish(self.add("Sub", photo, self.conv_of(x, "last", net.last)))


def build_graph(network: RestoreNet, half: bool = False) -> onnx.ModelProto:
    """The network as an ONNX model: uint8 RGB ``[N, H, W, 3]`` to ``[N, scale · H, scale · W, 3]``, N, H and W free.

    Args:
        network: its weights are copied; batch norms as they are in evaluation.
        half: weights and activations in float16.
    """
    graph = _Graph(OUTPUT, half)
    with torch.no_grad():
        if isinstance(network, CompactNet):
            graph.compact(network)
        elif isinstance(network, JohnsonSRNet):
            graph.johnson(network)
        elif isinstance(network, SRResNet):
            graph.srresnet(network)
        elif isinstance(network, EDSR):
            graph.edsr(network)
        else:
            graph.dncnn(network)
    return graph.model(("H", "W") if network.scale == 1 else (f"{network.scale}*H", f"{network.scale}*W"))


def fold_norm(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution without bias and the batch norm behind it, in evaluation."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError("a batch norm without statistics cannot be folded")
    gain = norm.weight * (variance + norm.eps).rsqrt()
    return weight * gain.view(-1, 1, 1, 1), norm.bias - mean * gain


def read_weights(model: onnx.ModelProto, network: RestoreNet) -> None:
    """Load a network's weights from a graph that :func:`build_graph` made, of either precision.

    Batch norms, which the file has no longer, become ones that add a bias and do nothing else.

    Raises:
        ModelError: the graph is of another network or size.
    """
    stored = read_initialisers(model)
    try:
        with torch.no_grad():
            for name, module in network.named_modules():
                _read_module(stored, name, module)
            _read_norms(stored, network)
    except KeyError as error:
        raise ModelError(f"it has no weights named {error}") from error


def _read_module(stored: dict[str, Tensor], name: str, module: nn.Module) -> None:
    if isinstance(module, BranchConv):
        module.load_kernel(_of(stored, f"{name}.weight", module.square.weight), stored[f"{name}.bias"])
    elif isinstance(module, UpBlock):
        stored[f"{name}.conv.weight"] = base_kernels(stored[f"{name}.conv.weight"])
        stored[f"{name}.conv.bias"] = stored[f"{name}.conv.bias"][::4]
    elif isinstance(module, nn.PReLU):
        module.weight.copy_(stored[f"{name}.weight"].flatten())
    elif isinstance(module, nn.Conv2d) and f"{name}.weight" in stored:  # a branch's is not there
        module.weight.copy_(_of(stored, f"{name}.weight", module.weight))
        if module.bias is not None:
            module.bias.copy_(stored[f"{name}.bias"])


def _read_norms(stored: dict[str, Tensor], network: RestoreNet) -> None:
    """The bias of every convolution that had a batch norm behind it."""
    names = dict(network.named_modules())
    for name, module in names.items():
        if not isinstance(module, nn.BatchNorm2d):
            continue
        parent, _, own = name.rpartition(".")
        if own.isdigit():
            conv = f"body.{own}"  # dncnn's
        else:
            conv = f"{parent}.{own}".lstrip(".").removesuffix("_norm") if own != "norm" else f"{parent}.conv"
        module.reset_parameters()
        module.weight.fill_((1 + module.eps) ** 0.5)
        module.bias.copy_(stored[f"{conv}.bias"])


def _of(stored: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    value = stored[name]
    if value.shape != like.shape:
        raise ModelError(f"its {name} has shape {tuple(value.shape)}, this network's {tuple(like.shape)}")
    return value
