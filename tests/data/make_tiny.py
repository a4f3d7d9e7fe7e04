"""Build tests/data/tiny*.onnx: model files that keep the whole contract, in a few kilobytes each.

    python tests/data/make_tiny.py

tiny.onnx is a style. Its weights are seeded, not trained: the picture keeps its shapes, gets its red and blue
exchanged (so that a wrong channel order shows) and a coarse texture from two strided convolutions. Height and width
must be multiples of four, like the real networks', so that a caller who forgets to pad gets an error from onnxruntime.

tiny_upscale2.onnx repeats every pixel and softens the steps between them; it takes even sizes only. tiny_deblock.onnx
is a box of 3×3 pixels, which takes noise away: what a test can see. Both cards are sealed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from styletransfer.core.card import BLANK_SEAL, CARD_KEY, seal_file

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


def build_restorer(task: str = "sr", scale: int = 2, says: int | None = None, architecture: str = "tiny") -> bytes:
    """A sealed restoration file.

    Args:
        task: of the card.
        scale: output side / input side; 1 gives the box, which mirrors the border.
        says: the scale that the card states, where it is to be wrong.
        architecture: that the card states.
    """
    name = f"tiny_upscale{scale}" if scale > 1 else f"tiny_{task}"
    multiple = 2 if scale > 1 else 1
    card = {**CARD, "name": name, "task": task, "scale": says or scale, "size_multiple": multiple, "seal": BLANK_SEAL}
    card |= {"painting": {"title": ""}, "channels": 3, "architecture": architecture}
    eye = np.eye(3, dtype=np.float32)
    box = np.full((3, 3), 1 / 9, np.float32)
    centre = np.zeros((3, 3), np.float32)
    centre[1, 1] = 1
    weights = {
        "pads": np.int64([0, 0, 1, 1, 0, 0, 1, 1]),
        "w_box": np.einsum("oi,hw->oihw", eye, box if scale == 1 else (box + centre) / 2),
        "w_half": np.einsum("oi,hw->oihw", eye, np.full((2, 2), 0.25, np.float32)),
        "twice": np.float32([1, 1, 2, 2]),
        "larger": np.float32([1, 1, scale, scale]),
        "detail": np.float32(0.1),
        "byte": np.float32(255),
        "low": np.float32(0),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["frame"], ["f"], to=TensorProto.FLOAT),
        node("Transpose", ["f"], ["x"], perm=[0, 3, 1, 2]),
    ]
    last = "x"
    if scale > 1:  # x + 0.1 (x - its means of 2×2 pixels), which an odd size has not
        nodes += [
            node("Conv", ["x", "w_half"], ["half"], strides=[2, 2]),
            node("Resize", ["half", "", "twice"], ["coarse"], mode="nearest"),
            node("Sub", ["x", "coarse"], ["fine"]),
            node("Mul", ["fine", "detail"], ["more"]),
            node("Add", ["x", "more"], ["sharp"]),
            node("Resize", ["sharp", "", "larger"], ["large"], mode="nearest"),
        ]
        last = "large"
    nodes += [
        node("Pad", [last, "pads"], ["padded"], mode="reflect"),
        node("Conv", ["padded", "w_box"], ["y"]),
        node("Transpose", ["y"], ["y_hwc"], perm=[0, 2, 3, 1]),
        node("Clip", ["y_hwc", "low", "byte"], ["clipped"]),
        node("Round", ["clipped"], ["rounded"]),
        node("Cast", ["rounded"], ["restored"], to=TensorProto.UINT8),
    ]
    sides = ["N", "H", "W", 3] if scale == 1 else ["N", "H_out", "W_out", 3]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("restored", TensorProto.UINT8, sides)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {CARD_KEY: json.dumps(card, sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    return seal_file(model.SerializeToString())


if __name__ == "__main__":
    folder = Path(__file__).parent
    files = {
        "tiny": build().SerializeToString(),
        "tiny_upscale2": build_restorer(),
        "tiny_deblock": build_restorer("deblock", 1),
    }
    for file, data in files.items():
        target = folder / f"{file}.onnx"
        target.write_bytes(data)
        print(f"{target}: {len(data)} bytes")  # noqa: T201
