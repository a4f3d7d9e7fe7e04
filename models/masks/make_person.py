"""Make person.onnx: MediaPipe's selfie segmentation network, translated from TensorFlow Lite node by node.

    npm pack @mediapipe/selfie_segmentation@0.1.1675465747 && tar xzf mediapipe-selfie_segmentation-*.tgz
    pip install tflite onnx && python models/masks/make_person.py package/selfie_segmentation.tflite

Input ``picture``: float32 ``[1, 3, 256, 256]``, RGB, 0..1. Output ``person``: float32 ``[1, 1, 256, 256]``, the
probability that a pixel belongs to a person. The weights are the original float16 values; LICENSE says whose they are.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TARGET = Path(__file__).with_name("person.onnx")
OPS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}
SAME_KIND = {"RELU": "Relu", "ADD": "Add", "MUL": "Mul", "LOGISTIC": "Sigmoid", "HARD_SWISH": "HardSwish"}


class Translation:
    """One TFLite graph as ONNX nodes (NCHW) and initialisers."""

    def __init__(self, data: bytes) -> None:
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.nodes: list[Any] = []
        self.weights: dict[str, NDArray[Any]] = {"twice": np.float32([1, 1, 2, 2])}
        self.halves: dict[int, NDArray[Any]] = {}  # tensor number -> float16 weights that a DEQUANTIZE widens

    def run(self) -> onnx.ModelProto:
        """The whole model, checked."""
        graph = self.graph
        for number in range(graph.OperatorsLength()):
            self._translate(graph.Operators(number))
        (source,), (result,) = graph.InputsAsNumpy().tolist(), graph.OutputsAsNumpy().tolist()
        size = [1, 3, *graph.Tensors(source).ShapeAsNumpy().tolist()[1:3]]
        self.nodes.insert(0, helper.make_node("Identity", ["picture"], [f"t{source}"]))
        self.nodes.append(helper.make_node("Identity", [f"t{result}"], ["person"]))
        built = helper.make_graph(
            self.nodes,
            "selfie_segmentation",
            [helper.make_tensor_value_info("picture", TensorProto.FLOAT, size)],
            [helper.make_tensor_value_info("person", TensorProto.FLOAT, [1, 1, *size[2:]])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in self.weights.items()],
        )
        model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        helper.set_model_props(model, {"source": "MediaPipe Selfie Segmentation (general), Google, Apache-2.0"})
        onnx.checker.check_model(model, full_check=True)
        return model

    def _translate(self, op: Any) -> None:
        code = self.model.OperatorCodes(op.OpcodeIndex())
        name = OPS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs, (output,) = op.InputsAsNumpy().tolist(), op.OutputsAsNumpy().tolist()
        if name == "DEQUANTIZE":
            buffer = self.model.Buffers(self.graph.Tensors(inputs[0]).Buffer()).DataAsNumpy()
            shape = self.graph.Tensors(inputs[0]).ShapeAsNumpy()
            self.halves[output] = buffer.view(np.float16).reshape(shape)
        elif name in SAME_KIND:
            self._add(SAME_KIND[name], [f"t{i}" for i in inputs], output)
        elif name == "AVERAGE_POOL_2D":  # every one of them is global here
            assert self._shape(output)[1:3] == [1, 1]
            self._add("GlobalAveragePool", [f"t{inputs[0]}"], output)
        elif name == "RESIZE_BILINEAR":
            options = self._options(op, tflite.ResizeBilinearOptions())
            assert [2 * side for side in self._shape(inputs[0])[1:3]] == self._shape(output)[1:3]
            assert not options.AlignCorners()
            mode = "half_pixel" if options.HalfPixelCenters() else "asymmetric"
            self._add(
                "Resize", [f"t{inputs[0]}", "", "twice"], output, mode="linear", coordinate_transformation_mode=mode
            )
        else:
            self._convolution(name, op, inputs, output)

    def _convolution(self, name: str, op: Any, inputs: list[int], output: int) -> None:
        kernel, bias = self.halves[inputs[1]], self.halves[inputs[2]]
        if name == "CUSTOM":  # Convolution2DTransposeBias, stride 2: [out, kh, kw, in] -> [in, out, kh, kw]
            weights = [self._weight(output, "w", kernel.transpose(3, 0, 1, 2)), self._weight(output, "b", bias)]
            self._add("ConvTranspose", [f"t{inputs[0]}", *weights], output, strides=[2, 2])
            return
        is_depthwise = name == "DEPTHWISE_CONV_2D"
        options = self._options(op, tflite.DepthwiseConv2DOptions() if is_depthwise else tflite.Conv2DOptions())
        assert options.FusedActivationFunction() == tflite.ActivationFunctionType.NONE
        kernel = kernel.transpose((3, 0, 1, 2) if is_depthwise else (0, 3, 1, 2))
        self._add(
            "Conv",
            [f"t{inputs[0]}", self._weight(output, "w", kernel), self._weight(output, "b", bias)],
            output,
            strides=[options.StrideH(), options.StrideW()],
            auto_pad="SAME_UPPER" if options.Padding() == tflite.Padding.SAME else "VALID",
            group=kernel.shape[0] if is_depthwise else 1,
        )

    def _weight(self, output: int, kind: str, values: NDArray[Any]) -> str:
        name = f"{kind}{output}"
        self.weights[f"{name}_half"] = np.ascontiguousarray(values)
        self.nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
        return name

    def _add(self, kind: str, inputs: list[str], output: int, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [f"t{output}"], **attributes))

    def _shape(self, tensor: int) -> list[int]:
        shape: list[int] = self.graph.Tensors(tensor).ShapeAsNumpy().tolist()
        return shape

    @staticmethod
    def _options(op: Any, options: Any) -> Any:
        table = op.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options


if __name__ == "__main__":
    onnx.save(Translation(Path(sys.argv[1]).read_bytes()).run(), TARGET)
