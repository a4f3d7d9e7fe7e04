"""A network's ONNX graph, written node by node, and its weights read back out of one.

torch's own exporter would do, but not as well: here the free dimensions keep plain names, the initialisers keep the
network's own (which is what lets a training start from a shipped file), and a pixel shuffle is two plain
transpositions, several times faster in onnxruntime than DepthToSpace and a change of layout.

(Over 300 lines: what writes a layer and what reads it back belong side by side.)
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, from_numpy, nn

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

OPSET = 18
"""Later opsets had no Pad kernel on CUDA for a while."""

_IR_VERSION = 9  # what opset 18 came with: older onnxruntimes read the file too
_M = TypeVar("_M", bound=nn.Module)
_INPUT_SCALE = 127.5  # of scale_input
_INPUT, _OUTPUT = "frame", "stylized"


class _Graph:
    """Collects nodes and initialisers; each method adds to them and returns the name of its output."""

    def __init__(self, half: bool) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[str, onnx.TensorProto] = {}
        self.half = half
        self.real_type = TensorProto.FLOAT16 if half else TensorProto.FLOAT

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def put(self, name: str, value: NDArray[Any]) -> str:
        self.initialisers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def real(self, name: str, value: Tensor | float) -> str:
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        return self.put(name, array.astype(np.float16 if self.half else np.float32))

    def integers(self, *values: int) -> str:
        return self.put("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def cast(self, x: str, to: int) -> str:
        return self.add("Cast", x, to=to)

    def pad(self, x: str, pixels: int, mode: str = "reflect") -> str:
        return self.add("Pad", x, self.integers(0, 0, pixels, pixels, 0, 0, pixels, pixels), mode=mode)

    def conv(self, x: str, name: str, weight: Tensor, bias: Tensor | None, stride: int = 1, *, zeros: int = 0) -> str:
        inputs = [x, self.real(f"{name}.weight", weight)]
        if bias is not None:
            inputs.append(self.real(f"{name}.bias", bias))
        kernel = list(weight.shape[2:])
        return self.add("Conv", *inputs, strides=[stride, stride], kernel_shape=kernel, pads=[zeros] * 4)

    def gain_conv(self, x: str, name: str, module: GainConv) -> str:
        return self.conv(x, name, module.kernels(), module.bias, module.stride[0], zeros=1)

    def reshape(self, x: str, *parts: str) -> str:
        """Reshape to the parts in a row; 0 keeps a dimension, -1 is what is left over."""
        return self.add("Reshape", x, parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0))

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

    def shuffle(self, y: str, channels: int) -> str:
        """``pixel_shuffle`` by 2: columns interleave first, then rows."""
        height = self.add("Shape", y, start=2, end=3)
        y = self.reshape(y, self.integers(0, 2 * channels, 2, -1))
        y = self.add("Transpose", y, perm=[0, 1, 3, 2])
        y = self.reshape(y, self.integers(0, channels, 2), height, self.integers(-1))
        y = self.add("Transpose", y, perm=[0, 1, 3, 2, 4])
        double = self.add("Mul", height, self.integers(2))
        return self.reshape(y, self.integers(0, channels), double, self.integers(-1))

    def pixels(self, x: str) -> str:
        """Unbounded values to rounded uint8."""
        x = self.add("Mul", self.add("Tanh", x), self.real("output_swing", OUTPUT_SWING))
        # A cast cuts the fraction off, so half a level more rounds.
        x = self.add("Add", x, self.real("output_centre", OUTPUT_CENTRE + 0.5))
        x = self.add("Clip", x, self.real("black", 0.0), self.real("white", 255.0))
        return self.cast(x, TensorProto.UINT8)

    def frame(self) -> str:
        """The input as ``[N, 3, H, W]``, 0..255."""
        return self.cast(self.add("Transpose", _INPUT, perm=[0, 3, 1, 2]), self.real_type)

    def live(self, net: LiveNet) -> None:
        x = self.frame()
        weight, bias = _take_bytes(net.stem.weight, net.stem.bias)
        x = self.add("Relu", self.conv(self.pad(x, 1), "stem", weight, bias, 2))
        x = self.conv_norm(x, "down", net.down)
        x = self.blocks(x, net.body)
        x = self.pad(self.up_norm(x, "up", net.up), 1, "edge")
        self.write(self.pixels(self.last(x, net.last.weight, net.last.bias)))

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
        x = self.last(self.add("Slice", x, *inside, self.integers(2, 3)), net.last.kernels(), net.last.bias)
        scale = self.put("output_scale", np.array(1 / PLAIN_SWING, np.float32))
        middle = self.put("output_middle", np.array(PLAIN_SWING, np.uint8))
        x = self.cast(x, TensorProto.FLOAT) if self.half else x
        self.write(self.add("QuantizeLinear", x, scale, middle))  # which rounds and cuts off, too

    def contrast(self) -> str:
        """:func:`normalise_contrast` of the frame, ``[N, 3, H, W]``; the statistics in float32."""
        ends = (self.integers(0, 0), self.integers(2**31, 2**31), self.integers(1, 2))
        sample = self.add("Slice", _INPUT, *ends, self.integers(CONTRAST_STRIDE, CONTRAST_STRIDE))
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

    def last(self, x: str, weight: Tensor, bias: Tensor | None) -> str:
        """The last step up, of features with a margin of one pixel: ``[N, (row, column, RGB), h, w]``."""
        kernels = _pixel_order(phase_kernels(weight))
        return self.conv(x, "last", kernels, None if bias is None else bias.repeat(4))

    def write(self, x: str) -> None:
        """Bytes ``[N, (row, column, RGB), h, w]`` to the output ``[N, 2h, 2w, RGB]``."""
        height = self.add("Shape", x, start=2, end=3)
        x = self.reshape(x, self.integers(0, 2, 6, -1))
        x = self.add("Transpose", x, perm=[0, 1, 3, 2])
        x = self.reshape(x, self.integers(0, 2), height, self.integers(-1))
        x = self.add("Transpose", x, perm=[0, 2, 1, 3])
        double = self.add("Mul", height, self.integers(2))
        shape = self.add("Concat", self.integers(0), double, self.integers(-1, 3), axis=0)
        self.add("Reshape", x, shape, output=_OUTPUT)

    def johnson(self, net: JohnsonNet) -> None:
        x = self.frame()
        for index, module in enumerate(net.stem):
            x = self.conv_norm(x, f"stem.{index}", _as(ConvNorm, module), takes_bytes=index == 0)
        x = self.blocks(x, net.body)
        for index, module in enumerate(net.up):
            x = self.up_norm(x, f"up.{index}", _as(UpNorm, module))
        x = self.pixels(self.conv(self.pad(x, 4), "last", net.last.weight, net.last.bias))
        self.add("Transpose", x, output=_OUTPUT, perm=[0, 2, 3, 1])

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
    graph = _Graph(half)
    if isinstance(network, PlainNet):
        graph.plain(network)
    elif isinstance(network, LiveNet):
        graph.live(network)
    else:
        graph.johnson(network)
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, ["N", "H", "W", 3]) for name in (_INPUT, _OUTPUT)]
    proto = helper.make_graph(graph.nodes, "style", ends[:1], ends[1:], list(graph.initialisers.values()))
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
    model.producer_name = "styletransfer"
    onnx.checker.check_model(model, full_check=True)
    return model


def read_weights(model: onnx.ModelProto, network: StyleNet) -> None:
    """Load a network's weights from a graph that :func:`build_graph` made, of either precision.

    Raises:
        ModelError: the graph is of another network or width.
    """
    stored = {
        entry.name: from_numpy(numpy_helper.to_array(entry).astype(np.float32)) for entry in model.graph.initializer
    }
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


def _as(kind: type[_M], module: nn.Module) -> _M:
    """The module, known to the type checker as what it is."""
    if not isinstance(module, kind):
        raise TypeError(f"{type(module).__name__} where a {kind.__name__} was expected")
    return module
