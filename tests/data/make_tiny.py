"""Build tests/data/tiny.onnx: a style file that keeps the whole contract, in a few kilobytes.

    python tests/data/make_tiny.py

The weights are seeded, not trained: the picture keeps its shapes, gets its red and blue exchanged (so
that a wrong channel order shows) and a coarse texture from two strided convolutions. Height and width
must be multiples of four, like the real networks', so that a caller who forgets to pad gets an error
from onnxruntime.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CARD = {
    "version": 1,
    "name": "tiny",
    "task": "style",
    "painting": {
        "title": "Test pattern",
        "artist": "Nobody",
        "year": "2025",
        "licence": "CC0-1.0",
        "sha256": "0" * 64,
    },
    "architecture": "tiny",
    "channels": 8,
    "size_multiple": 4,
    "precision": "float32",
    "training": {"steps": 0},
    "losses": {},
}


def build(styles: int = 0, card: str | None = None) -> onnx.ModelProto:
    """The model; with ``styles`` > 0 it has the optional input ``style_weights`` with a default.

    Style ``k`` darkens its picture by ``40 * k`` grey levels; the default weights choose style 0.
    """
    rng = np.random.default_rng(7)
    mix = np.float32([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]])[..., None, None]
    weights = {
        "scale": np.float32(1 / 255),
        "w_mix": mix,
        "w_down1": rng.normal(0, 0.45, (8, 3, 3, 3)).astype(np.float32),
        "w_down2": rng.normal(0, 0.3, (8, 8, 3, 3)).astype(np.float32),
        "w_block": rng.normal(0, 0.2, (8, 8, 3, 3)).astype(np.float32),
        "w_out": rng.normal(0, 0.02, (3, 8, 3, 3)).astype(np.float32),
        "scales": np.float32([1, 1, 4, 4]),
        "byte": np.float32(255),
        "low": np.float32(0),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["frame"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "scale"], ["s"]),
        node("Transpose", ["s"], ["x"], perm=[0, 3, 1, 2]),
        node("Conv", ["x", "w_mix"], ["mixed"]),
        node("Conv", ["x", "w_down1"], ["d1"], pads=[1] * 4, strides=[2, 2]),
        node("Relu", ["d1"], ["r1"]),
        node("Conv", ["r1", "w_down2"], ["d2"], pads=[1] * 4, strides=[2, 2]),
        node("Relu", ["d2"], ["r2"]),
        node("Conv", ["r2", "w_block"], ["b"], pads=[1] * 4),
        node("Add", ["b", "r2"], ["res"]),
        node("Resize", ["res", "", "scales"], ["up"], mode="nearest"),
        node("Conv", ["up", "w_out"], ["texture"], pads=[1] * 4),
        node("Add", ["mixed", "texture"], ["y"]),
        node("Transpose", ["y"], ["y_hwc"], perm=[0, 2, 3, 1]),
        node("Mul", ["y_hwc", "byte"], ["levels"]),
    ]
    last = "levels"
    inputs = [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", "H", "W", 3])]
    if styles:
        weights["style_weights"] = np.eye(1, styles, dtype=np.float32)[0]
        weights["levels_off"] = 40 * np.arange(styles, dtype=np.float32)
        inputs.append(helper.make_tensor_value_info("style_weights", TensorProto.FLOAT, [styles]))
        nodes += [
            node("Mul", ["style_weights", "levels_off"], ["off_s"]),
            node("ReduceSum", ["off_s"], ["off"], keepdims=0),
            node("Sub", ["levels", "off"], ["levels_s"]),
        ]
        last = "levels_s"
    nodes += [
        node("Clip", [last, "low", "byte"], ["clipped"]),
        node("Round", ["clipped"], ["rounded"]),
        node("Cast", ["rounded"], ["stylized"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [helper.make_tensor_value_info("stylized", TensorProto.UINT8, ["N", "H", "W", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    text = json.dumps(CARD, sort_keys=True) if card is None else card
    helper.set_model_props(model, {"styletransfer.card": text})
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    target = Path(__file__).with_name("tiny.onnx")
    onnx.save(build(), target)
    print(f"{target}: {target.stat().st_size} bytes")  # noqa: T201
