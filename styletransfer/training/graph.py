"""A style network's ONNX graph, and its weights read back out of one: side by side, since each undoes the other."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import onnx
from onnx import TensorProto
from torch import Tensor, nn

from styletransfer.core.errors import ModelError
from styletransfer.training.blocks import (
    ConvNorm,
    GainConv,
    InstanceNorm,
    PlainResidual,
    Residual,
    UpConv,
    UpNorm,
    base_kernels,
    phase_kernels,
)
from styletransfer.training.network import (
    CONTRAST_FLOOR,
    CONTRAST_STRIDE,
    OUTPUT_CENTRE,
    OUTPUT_SWING,
    PLAIN_PAD,
    PLAIN_SWING,
    JohnsonNet,
    LiveNet,
    PlainNet,
    StyleNet,
)
from styletransfer.training.nodes import INPUT, GraphBuilder, read_initialisers

_M = TypeVar("_M", bound=nn.Module)
_INPUT_SCALE = 127.5  # of scale_input


class _Graph(GraphBuilder):
    """The layers and the networks as nodes."""

    def gain_conv(self, x: str, name: str, module: GainConv) -> str:
        return self.conv(x, name, module.kernels(), module.bias, module.stride[0], zeros=1)

    def norm(self, x: str, name: str, norm: InstanceNorm) -> str:
        scale, bias = (
            self.put(f"{name}.{kind}", value.detach().cpu().float().repeat_interleave(norm.share).numpy())
            for kind, value in (("weight", norm.weight), ("bias", norm.bias))
        )
        if not self.half:
            return self.add("InstanceNormalization", x, scale, bias, epsilon=norm.eps)
        # Sums of squares overflow float16, and providers have got it wrong: the norms stay in float32.
        wide = self.cast(x, TensorProto.FLOAT)
        wide = self.add("InstanceNormalization", wide, scale, bias, epsilon=norm.eps)
        return self.cast(wide, self.real_type)

    def conv_norm(self, x: str, name: str, module: ConvNorm, takes_bytes: bool = False) -> str:
        weight, stride = module.conv.weight, module.conv.stride[0]
        if takes_bytes:  # the norm takes the shift away
            weight, _ = _take_bytes(weight, None)
        x = self.conv(self.pad(x, module.pad), f"{name}.conv", weight, None, stride)
        x = self.norm(x, f"{name}.norm", module.norm)
        return self.add("Relu", x) if module.relu else x

    def residual(self, x: str, name: str, module: Residual) -> str:
        y = self.conv(self.pad(x, 2), f"{name}.first", module.first.weight, None)
        y = self.add("Relu", self.norm(y, f"{name}.first_norm", module.first_norm))
        y = self.conv(y, f"{name}.second", module.second.weight, None)
        return self.add("Add", x, self.norm(y, f"{name}.second_norm", module.second_norm))

    def up_norm(self, x: str, name: str, module: UpNorm) -> str:
        kernels = phase_kernels(module.conv.weight)
        y = self.conv(self.pad(x, 1, "edge"), f"{name}.conv", kernels, None)
        return self.shuffle(self.add("Relu", self.norm(y, f"{name}.norm", module.norm)), kernels.shape[0] // 4)

    def pixels(self, x: str) -> str:
        """Unbounded values to rounded uint8."""
        x = self.add("Mul", self.add("Tanh", x), self.real("output_swing", OUTPUT_SWING))
        # A cast cuts the fraction off, so half a level more rounds.
        x = self.add("Add", x, self.real("output_centre", OUTPUT_CENTRE + 0.5))
        x = self.add("Clip", x, self.real("black", 0.0), self.real("white", 255.0))
        return self.cast(x, TensorProto.UINT8)

    def live(self, net: LiveNet) -> None:
        x = self.frame()
        weight, bias = _take_bytes(net.stem.weight, net.stem.bias)
        x = self.add("Relu", self.conv(self.pad(x, 1), "stem", weight, bias, 2))
        x = self.conv_norm(x, "down", net.down)
        x = self.blocks(x, net.body)
        x = self.pad(self.up_norm(x, "up", net.up), 1, "edge")
        kernels = _pixel_order(phase_kernels(net.last.weight))
        bias = None if net.last.bias is None else net.last.bias.repeat(4)
        self.write(self.pixels(self.conv(x, "last", kernels, bias)), block=2)

    def plain(self, net: PlainNet) -> None:
        x = self.pad(self.contrast(), PLAIN_PAD)
        x = self.add("Relu", self.gain_conv(x, "stem", net.stem))
        x = self.add("Relu", self.gain_conv(x, "down", net.down))
        for index, module in enumerate(net.body):
            block = _as(PlainResidual, module)
            y = self.add("Relu", self.gain_conv(x, f"body.{index}.first", block.first))
            x = self.add("Add", x, self.gain_conv(y, f"body.{index}.second", block.second))
        kernels = phase_kernels(net.up.kernels())
        bias = None if net.up.bias is None else net.up.bias.repeat_interleave(4)
        x = self.shuffle(self.add("Relu", self.conv(x, "up", kernels, bias)), kernels.shape[0] // 4)
        margin = PLAIN_PAD // 2 - 3
        inside = [self.integers(value, value) for value in (margin, -margin)]
        x = self.add("Slice", x, *inside, self.integers(2, 3))
        kernels = _block_kernels(_pixel_order(phase_kernels(net.last.kernels())))
        bias = None if net.last.bias is None else net.last.bias.repeat(16)
        x = self.conv(x, "last", kernels, bias, 2)
        scale = self.put("output_scale", np.array(1 / PLAIN_SWING, np.float32))
        middle = self.put("output_middle", np.array(PLAIN_SWING, np.uint8))
        x = self.cast(x, TensorProto.FLOAT) if self.half else x
        self.write(self.add("QuantizeLinear", x, scale, middle), block=4)  # which rounds and cuts off, too

    def contrast(self) -> str:
        """:func:`normalise_contrast` of the frame, ``[N, 3, H, W]``; the statistics in float32."""
        ends = (self.integers(0, 0), self.integers(2**31, 2**31), self.integers(1, 2))
        sample = self.add("Slice", INPUT, *ends, self.integers(CONTRAST_STRIDE, CONTRAST_STRIDE))
        sample = self.cast(sample, TensorProto.FLOAT)
        axes = self.integers(1, 2, 3)
        mean = self.add("ReduceMean", sample, axes)
        difference = self.add("Sub", sample, mean)
        variance = self.add("ReduceMean", self.add("Mul", difference, difference), axes)
        floor = self.put("contrast_floor", np.array(CONTRAST_FLOOR * _INPUT_SCALE**2, np.float32))
        deviation = self.add("Sqrt", self.add("Add", variance, floor))
        if self.half:
            mean, deviation = self.cast(mean, self.real_type), self.cast(deviation, self.real_type)
        return self.add("Div", self.add("Sub", self.frame(), mean), deviation)

    def johnson(self, net: JohnsonNet) -> None:
        x = self.frame()
        for index, module in enumerate(net.stem):
            x = self.conv_norm(x, f"stem.{index}", _as(ConvNorm, module), takes_bytes=index == 0)
        x = self.blocks(x, net.body)
        for index, module in enumerate(net.up):
            x = self.up_norm(x, f"up.{index}", _as(UpNorm, module))
        x = self.pixels(self.conv(self.pad(x, 4), "last", net.last.weight, net.last.bias))
        self.add("Transpose", x, output=self.output, perm=[0, 2, 3, 1])

    def blocks(self, x: str, body: nn.Sequential) -> str:
        for index, module in enumerate(body):
            x = self.residual(x, f"body.{index}", _as(Residual, module))
        return x


def build_graph(network: StyleNet, half: bool = False) -> onnx.ModelProto:
    """The network as an ONNX model: uint8 RGB ``[N, H, W, 3]`` in and out, N, H and W free.

    Args:
        network: its weights are copied.
        half: weights and activations in float16, the norms in float32.
    """
    graph = _Graph("stylized", half)
    if isinstance(network, PlainNet):
        graph.plain(network)
    elif isinstance(network, LiveNet):
        graph.live(network)
    else:
        graph.johnson(network)
    return graph.model()


def read_weights(model: onnx.ModelProto, network: StyleNet) -> None:
    """Load a network's weights from a graph that :func:`build_graph` made, of either precision.

    Raises:
        ModelError: the graph is of another network or width.
    """
    stored = read_initialisers(model)
    try:
        state = _read_plain(stored, network) if isinstance(network, PlainNet) else _read_normed(stored, network)
    except KeyError as error:
        raise ModelError(f"it has no weights named {error}") from error
    for name, parameter in network.state_dict().items():
        if state[name].shape != parameter.shape:
            raise ModelError(
                f"its {name} has shape {tuple(state[name].shape)}, this network's {tuple(parameter.shape)}"
            )
    network.load_state_dict(state)


def _read_normed(stored: dict[str, Tensor], network: LiveNet | JohnsonNet) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name in network.state_dict():
        value = stored[name]
        owner = network.get_submodule(name.rpartition(".")[0])
        if isinstance(owner, UpConv):
            value = _read_up_conv(value, last=owner is network.last)
        elif isinstance(owner, InstanceNorm):
            value = value[:: owner.share]
        state[name] = value
    first = "stem.weight" if isinstance(network, LiveNet) else "stem.0.conv.weight"
    state[first] = state[first] * _INPUT_SCALE
    if isinstance(network, LiveNet):
        state["stem.bias"] = state["stem.bias"] + state[first].sum((1, 2, 3))
    return state


def _read_plain(stored: dict[str, Tensor], network: PlainNet) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, GainConv):
            kernels, bias = stored[f"{name}.weight"], stored[f"{name}.bias"]
            if name == "last":
                kernels, bias = _halves(kernels), bias[:12]
            if name in ("up", "last"):
                kernels, bias = (_read_up_conv(value, last=name == "last") for value in (kernels, bias))
            state[f"{name}.gain"] = kernels.flatten(1).norm(dim=1)
            state[f"{name}.weight"], state[f"{name}.bias"] = kernels, bias
    return state


def _take_bytes(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A convolution of x / 127.5 - 1 (:func:`scale_input`) as one of x: two passes over the full-size frame less."""
    return weight / _INPUT_SCALE, None if bias is None else bias - weight.sum((1, 2, 3))


def _read_up_conv(value: Tensor, last: bool) -> Tensor:
    if value.ndim == 1:
        return value[: len(value) // 4] if last else value[::4]
    return base_kernels(_channel_order(value) if last else value)


def _pixel_order(kernels: Tensor) -> Tensor:
    """Output channels from (RGB, row, column), as pixel_shuffle takes them, to (row, column, RGB)."""
    return kernels.reshape(3, 4, *kernels.shape[1:]).transpose(0, 1).flatten(0, 1)


def _channel_order(kernels: Tensor) -> Tensor:
    """The inverse of :func:`_pixel_order`."""
    return kernels.reshape(4, 3, *kernels.shape[1:]).transpose(0, 1).flatten(0, 1)


def _block_kernels(kernels: Tensor) -> Tensor:
    """A 3×3 convolution to ``(row, column, RGB)`` of 2×2 pixels as one of 4×4 with stride 2 to those of 4×4 pixels.

    They are four copies of its kernels, each where its 2×2 pixels lie. At a quarter of the resolution there are 48
    channels in place of 12, which fill a processor's vectors, and one pixel shuffle in place of two.
    """
    blocks = kernels.new_zeros(2, 2, 2, 2, 3, kernels.shape[1], 4, 4)  # row: of 2×2 pixels, in them; columns alike; RGB
    for row in range(2):
        for column in range(2):
            place = blocks[row, :, column, :, ..., row : row + 3, column : column + 3]
            place.copy_(kernels.reshape(2, 2, 3, *kernels.shape[1:]))
    return blocks.flatten(0, 4)


def _halves(blocks: Tensor) -> Tensor:
    """The inverse of :func:`_block_kernels`."""
    return blocks.reshape(2, 2, 2, 2, 3, *blocks.shape[1:])[0, :, 0, ..., :3, :3].flatten(0, 2)


def _as(kind: type[_M], module: nn.Module) -> _M:
    """The module, known to the type checker as what it is."""
    if not isinstance(module, kind):
        raise TypeError(f"{type(module).__name__} where a {kind.__name__} was expected")
    return module
