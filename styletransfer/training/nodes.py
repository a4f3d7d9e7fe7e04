"""ONNX nodes one by one: what every graph that is written by hand is put together from.

torch's own exporter would do, but not as well: here the free dimensions keep plain names, the initialisers keep the
network's own (which is what lets a training start from a shipped file), and a pixel shuffle is two plain
transpositions, several times faster in onnxruntime than DepthToSpace and a change of layout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, from_numpy

OPSET = 18
"""Later opsets had no Pad kernel on CUDA for a while."""

INPUT = "frame"
"""Name of every graph's input, uint8 RGB ``[N, H, W, 3]``."""

_IR_VERSION = 9  # what opset 18 came with: older onnxruntimes read the file too


class GraphBuilder:
    """Collects nodes and initialisers; each method adds to them and returns the name of its output.

    Args:
        output: name of the graph's output, uint8 RGB ``[N, H, W, 3]`` of the input's size or a multiple of it.
        half: weights and activations in float16.
    """

    def __init__(self, output: str, half: bool = False) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[str, onnx.TensorProto] = {}
        self.output = output
        self.half = half
        self.real_type = TensorProto.FLOAT16 if half else TensorProto.FLOAT

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """A node; its first output, which nothing else is named like unless ``output`` says so."""
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def put(self, name: str, value: NDArray[Any]) -> str:
        """An initialiser: a constant, or weights under the network's own name."""
        self.initialisers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def real(self, name: str, value: Tensor | float) -> str:
        """An initialiser in the graph's floating-point type."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        return self.put(name, array.astype(np.float16 if self.half else np.float32))

    def integers(self, *values: int) -> str:
        """An int64 initialiser, shared by all that want the same numbers."""
        return self.put("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def cast(self, x: str, to: int) -> str:
        """The same values in another type, one of ``TensorProto``'s."""
        return self.add("Cast", x, to=to)

    def pad(self, x: str, pixels: int, mode: str = "reflect") -> str:
        """Rows and columns on all four sides."""
        return self.add("Pad", x, self.integers(0, 0, pixels, pixels, 0, 0, pixels, pixels), mode=mode)

    def conv(
        self,
        x: str,
        name: str,
        weight: Tensor,
        bias: Tensor | None,
        stride: int = 1,
        *,
        zeros: int | tuple[int, int, int, int] = 0,
    ) -> str:
        """A convolution, padded with ``zeros`` pixels of 0: on all sides, or (above, left, below, right)."""
        inputs = [x, self.real(f"{name}.weight", weight)]
        if bias is not None:
            inputs.append(self.real(f"{name}.bias", bias))
        kernel = list(weight.shape[2:])
        pads = [zeros] * 4 if isinstance(zeros, int) else list(zeros)
        return self.add("Conv", *inputs, strides=[stride, stride], kernel_shape=kernel, pads=pads)

    def reshape(self, x: str, *parts: str) -> str:
        """Reshape to the parts in a row; 0 keeps a dimension, -1 is what is left over."""
        return self.add("Reshape", x, parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0))

    def shuffle(self, y: str, channels: int) -> str:
        """``pixel_shuffle`` by 2: columns interleave first, then rows."""
        height = self.add("Shape", y, start=2, end=3)
        y = self.reshape(y, self.integers(0, 2 * channels, 2, -1))
        y = self.add("Transpose", y, perm=[0, 1, 3, 2])
        y = self.reshape(y, self.integers(0, channels, 2), height, self.integers(-1))
        y = self.add("Transpose", y, perm=[0, 1, 3, 2, 4])
        double = self.add("Mul", height, self.integers(2))
        return self.reshape(y, self.integers(0, channels), double, self.integers(-1))

    def inside(self, x: str) -> str:
        """``[N, C, H, W]`` without the outermost pixel."""
        return self.add("Slice", x, self.integers(1, 1), self.integers(-1, -1), self.integers(2, 3))

    def frame(self) -> str:
        """The input as ``[N, 3, H, W]``, 0..255."""
        return self.cast(self.add("Transpose", INPUT, perm=[0, 3, 1, 2]), self.real_type)

    def write(self, x: str, block: int, margin: int = 0, behind: int | None = None) -> None:
        """Bytes ``[N, (row, column, RGB), h, w]``, rows and columns 0..block - 1, to the output ``[N, b·h, b·w, RGB]``.

        It is a pixel shuffle on bytes, a quarter of the memory, which ends in the order of the output at once.

        Args:
            x: the bytes.
            block: rows and columns of a block.
            margin: pixels to leave out above and on the left.
            behind: below and on the right, where it is another number.
        """
        height = self.add("Shape", x, start=2, end=3)
        x = self.reshape(x, self.integers(0, block, 3 * block, -1))
        x = self.add("Transpose", x, perm=[0, 1, 3, 2])
        x = self.reshape(x, self.integers(0, block), height, self.integers(-1))
        x = self.add("Transpose", x, perm=[0, 2, 1, 3])
        whole = self.add("Mul", height, self.integers(block))
        shape = self.add("Concat", self.integers(0), whole, self.integers(-1, 3), axis=0)
        if not margin:
            self.add("Reshape", x, shape, output=self.output)
            return
        ends = self.integers(margin, margin), self.integers(*[-(margin if behind is None else behind)] * 2)
        self.add("Slice", self.add("Reshape", x, shape), *ends, self.integers(1, 2), output=self.output)

    def model(self, out_size: tuple[str, str] = ("H", "W")) -> onnx.ModelProto:
        """The finished, checked model.

        Args:
            out_size: names of the output's height and width; those of the input where they are the same.
        """
        sizes = {INPUT: ("H", "W"), self.output: out_size}
        ends = [
            helper.make_tensor_value_info(name, TensorProto.UINT8, ["N", *size_hw, 3])
            for name, size_hw in sizes.items()
        ]
        proto = helper.make_graph(self.nodes, "style", ends[:1], ends[1:], list(self.initialisers.values()))
        model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        model.producer_name = "styletransfer"
        onnx.checker.check_model(model, full_check=True)
        return model


def read_initialisers(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Every initialiser of a model by its name, in float32 whatever it is stored in."""
    return {
        entry.name: from_numpy(numpy_helper.to_array(entry).astype(np.float32)) for entry in model.graph.initializer
    }
