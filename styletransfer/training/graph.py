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
        x = self.up_blocks(x, name, module)
        return self.shuffle(x, module.conv.weight.shape[0])

    def up_blocks(self, x: str, name: str, module: UpNorm) -> str:
        x = self.pad(x, 1, "edge") if module.conv.pad else x
        y = self.conv(x, f"{name}.conv", phase_kernels(module.conv.weight), None)
        return self.add("Relu", self.norm(y, f"{name}.norm", module.norm))

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
        x = self.up_blocks(x, "up", net.up)
        # Of the blocks that reach into the zeros only what does not see them lies inside.
        x = self.conv(x, "last", *_to_blocks(net.last.weight, net.last.bias), zeros=(0, 0, 1, 1))
        self.write(self.pixels(x), 4, margin=1, behind=3)

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
        x = self.add("Relu", self.conv(x, "up", kernels, bias))
        x = self.conv(x, "last", *_to_blocks(net.last.kernels(), net.last.bias))
        scale = self.put("output_scale", np.array(1 / PLAIN_SWING, np.float32))
        middle = self.put("output_middle", np.array(PLAIN_SWING, np.uint8))
        x = self.cast(x, TensorProto.FLOAT) if self.half else x
        left = PLAIN_PAD - 3
        self.write(self.add("QuantizeLinear", x, scale, middle), 4, left, left - 2)  # which rounds and cuts off, too

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
        x = self.pixels(self.conv(self.pad(self.inside(x), 4), "last", net.last.weight, net.last.bias))
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
    blocks = {name.split(".")[1] for name in stored if name.startswith("body.")}
    if len(blocks) > len(network.body):
        raise ModelError(f"an older version wrote it, with {len(blocks)} residual blocks; train it again")
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
            value = _of_blocks(value) if owner is network.last else _of_phases(value)
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
            if name in ("up", "last"):
                read = _of_phases if name == "up" else _of_blocks
                kernels, bias = read(kernels), read(bias)
            module.set_kernels(kernels)
            state |= {f"{name}.gain": module.gain, f"{name}.weight": module.weight, f"{name}.bias": bias}
    return state


def _take_bytes(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A convolution of x / 127.5 - 1 (:func:`scale_input`) as one of x: two passes over the full-size frame less."""
    return weight / _INPUT_SCALE, None if bias is None else bias - weight.sum((1, 2, 3))


def _of_phases(value: Tensor) -> Tensor:
    """Weights or bias of an up-step, from what its phases have."""
    return value[::4] if value.ndim == 1 else base_kernels(value)


def _to_blocks(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The last up-step as a 2×2 convolution from the blocks of the step before it to blocks of 4×4 pixels.

    The step before leaves blocks of 2×2 pixels as channels (channel, row, column); this one takes them as they are and
    leaves (row, column, RGB) of 4×4. Three in four of its products are with zero, and even so it is faster than two
    pixel shuffles and a convolution to 12 channels, which do not fill a processor's vectors, at twice the size.
    """
    kernels = phase_kernels(weight).reshape(3, 2, 2, -1, 2, 2)  # RGB, row, column
    channels = kernels.shape[3]
    blocks = weight.new_zeros(2, 2, 2, 2, 3, channels, 4, 4)  # row: of 2×2 pixels, in them; columns alike; RGB
    for row in range(2):
        for column in range(2):
            place = blocks[row, :, column, :, ..., row : row + 2, column : column + 2]
            place.copy_(kernels.permute(1, 2, 0, 3, 4, 5))
    taps = blocks.reshape(48, channels, 2, 2, 2, 2)  # row: block, in it; column alike
    kernels = taps.permute(0, 1, 3, 5, 2, 4).reshape(48, 4 * channels, 2, 2)
    return kernels, None if bias is None else bias.repeat(16)


def _of_blocks(value: Tensor) -> Tensor:
    """The inverse of :func:`_to_blocks` for weights or bias."""
    if value.ndim == 1:
        return value[:3]
    if value.shape[-1] != 2:
        return base_kernels(value)  # which says what is wrong
    taps = value.reshape(48, -1, 2, 2, 2, 2).permute(0, 1, 4, 2, 5, 3)
    blocks = taps.reshape(2, 2, 2, 2, 3, -1, 4, 4)
    kernels = blocks[0, :, 0, ..., :2, :2].permute(2, 0, 1, 3, 4, 5)
    return base_kernels(kernels.reshape(12, -1, 2, 2))


def _as(kind: type[_M], module: nn.Module) -> _M:
    """The module, known to the type checker as what it is."""
    if not isinstance(module, kind):
        raise TypeError(f"{type(module).__name__} where a {kind.__name__} was expected")
    return module
