"""A network's ONNX graph, written node by node, and its weights read back out of one.

torch's own exporter would do, but not as well: here the free dimensions keep plain names, the initialisers keep the
network's own (which is what lets a training start from a shipped file), and a pixel shuffle is two plain
transpositions, several times faster in onnxruntime than DepthToSpace and a change of layout.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, from_numpy, nn

from styletransfer.core.errors import ModelError
from styletransfer.training.network import (
    OUTPUT_CENTRE,
    OUTPUT_SWING,
    ConvNorm,
    InstanceNorm,
    JohnsonNet,
    LiveNet,
    Residual,
    UpConv,
    UpNorm,
    base_kernels,
    phase_kernels,
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

    def conv(self, x: str, name: str, weight: Tensor, bias: Tensor | None, stride: int = 1) -> str:
        inputs = [x, self.real(f"{name}.weight", weight)]
        if bias is not None:
            inputs.append(self.real(f"{name}.bias", bias))
        return self.add("Conv", *inputs, strides=[stride, stride], kernel_shape=list(weight.shape[2:]))

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
        """``pixel_shuffle``: columns interleave first, then rows."""
        kernels = phase_kernels(module.conv.weight)
        y = self.conv(self.pad(x, 1, "edge"), f"{name}.conv", kernels, None)
        y = self.add("Relu", self.norm(y, f"{name}.norm", module.norm))
        height = self.add("Shape", x, start=2, end=3)
        channels = kernels.shape[0] // 4
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

    def live(self, x: str, net: LiveNet) -> str:
        weight, bias = _take_bytes(net.stem.weight, net.stem.bias)
        x = self.add("Relu", self.conv(self.pad(x, 1), "stem", weight, bias, 2))
        x = self.conv_norm(x, "down", net.down)
        x = self.blocks(x, net.body)
        x = self.pad(self.up_norm(x, "up", net.up), 1, "edge")
        kernels, bias = _pixel_order(phase_kernels(net.last.weight)), net.last.bias
        height = self.add("Shape", x, start=2, end=3)  # of the padded features
        height = self.add("Sub", height, self.integers(2))
        x = self.pixels(self.conv(x, "last", kernels, None if bias is None else bias.repeat(4)))
        # [N, (row, column, RGB), h, w] to [N, 2h, 2w, RGB], on bytes.
        x = self.reshape(x, self.integers(0, 2, 6, -1))
        x = self.add("Transpose", x, perm=[0, 1, 3, 2])
        x = self.reshape(x, self.integers(0, 2), height, self.integers(-1))
        x = self.add("Transpose", x, perm=[0, 2, 1, 3])
        double = self.add("Mul", height, self.integers(2))
        shape = self.add("Concat", self.integers(0), double, self.integers(-1, 3), axis=0)
        return self.add("Reshape", x, shape, output=_OUTPUT)

    def johnson(self, x: str, net: JohnsonNet) -> str:
        for index, module in enumerate(net.stem):
            x = self.conv_norm(x, f"stem.{index}", _as(ConvNorm, module), takes_bytes=index == 0)
        x = self.blocks(x, net.body)
        for index, module in enumerate(net.up):
            x = self.up_norm(x, f"up.{index}", _as(UpNorm, module))
        x = self.pixels(self.conv(self.pad(x, 4), "last", net.last.weight, net.last.bias))
        return self.add("Transpose", x, output=_OUTPUT, perm=[0, 2, 3, 1])

    def blocks(self, x: str, body: nn.Sequential) -> str:
        for index, module in enumerate(body):
            x = self.residual(x, f"body.{index}", _as(Residual, module))
        return x


def build_graph(network: LiveNet | JohnsonNet, half: bool = False) -> onnx.ModelProto:
    """The network as an ONNX model: uint8 RGB ``[N, H, W, 3]`` in and out, N, H and W free.

    Args:
        network: its weights are copied.
        half: weights and activations in float16, the norms in float32.
    """
    graph = _Graph(half)
    x = graph.add("Transpose", _INPUT, perm=[0, 3, 1, 2])
    x = graph.cast(x, graph.real_type)
    if isinstance(network, LiveNet):
        graph.live(x, network)
    else:
        graph.johnson(x, network)
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, ["N", "H", "W", 3]) for name in (_INPUT, _OUTPUT)]
    proto = helper.make_graph(graph.nodes, "style", ends[:1], ends[1:], list(graph.initialisers.values()))
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
    model.producer_name = "styletransfer"
    onnx.checker.check_model(model, full_check=True)
    return model


def read_weights(model: onnx.ModelProto, network: LiveNet | JohnsonNet) -> None:
    """Load a network's weights from a graph that :func:`build_graph` made, of either precision.

    Raises:
        ModelError: the graph is of another network or width.
    """
    stored = {entry.name: numpy_helper.to_array(entry).astype(np.float32) for entry in model.graph.initializer}
    state: dict[str, Tensor] = {}
    try:
        for name, parameter in network.state_dict().items():
            value = from_numpy(stored[name])
            owner = network.get_submodule(name.rpartition(".")[0])
            if isinstance(owner, UpConv):
                value = _read_up_conv(value, last=owner is network.last)
            elif isinstance(owner, InstanceNorm):
                value = value[:: owner.share]
            if value.shape != parameter.shape:
                raise ModelError(f"its {name} has shape {tuple(value.shape)}, this network's {tuple(parameter.shape)}")
            state[name] = value
        first = "stem.weight" if isinstance(network, LiveNet) else "stem.0.conv.weight"
        state[first] = state[first] * _INPUT_SCALE
        if isinstance(network, LiveNet):
            state["stem.bias"] = state["stem.bias"] + state[first].sum((1, 2, 3))
    except KeyError as error:
        raise ModelError(f"it has no weights named {error}") from error
    network.load_state_dict(state)


def _take_bytes(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A convolution of x / 127.5 - 1 (:func:`scale_input`) as one of x: two passes over the full-size frame less."""
    return weight / _INPUT_SCALE, None if bias is None else bias - weight.sum((1, 2, 3))


def _read_up_conv(value: Tensor, last: bool) -> Tensor:
    if value.ndim == 1:
        return value[: len(value) // 4]
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
