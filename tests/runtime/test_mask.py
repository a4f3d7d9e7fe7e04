"""Masks of a tiny network made on the spot (a mask is where it is red), and the shipped one on a photo of a person."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styletransfer.core.blending import overlay
from styletransfer.core.errors import ModelError
from styletransfer.runtime.mask import PersonMask, shipped_mask

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def scene(left=40, width=40):
    frame = np.full((96, 128, 3), 30, np.uint8)
    frame[24:, left : left + width, 0] = 230
    return frame


def make_mask_model(path, *, size=(48, 64), planar=True, channels=1, logits=False, bytes_in=False, rank3=False):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node
    height, width = size
    shape = [1, 3, height, width] if planar else [1, height, width, 3]
    nodes = [node("Cast", ["picture"], ["f"], to=TensorProto.FLOAT)]
    nodes += [node("Identity", ["f"], ["x"]) if planar else node("Transpose", ["f"], ["x"], perm=[0, 3, 1, 2])]
    gain = 40.0 / (255 if bytes_in else 1)
    weights = np.zeros((channels, 3, 1, 1), np.float32)
    weights[-1, 0] = gain
    bias = np.zeros(channels, np.float32)
    bias[-1] = -20.0
    if channels == 2:
        weights[0, 0], bias[0] = -gain, 20.0
    nodes.append(node("Conv", ["x", "w", "b"], ["logits"]))
    last = "logits"
    if not logits:
        nodes.append(node("Sigmoid", ["logits"], ["p"]))
        last = "p"
    out_shape = [1, channels, height, width]
    if rank3:
        nodes.append(node("Reshape", [last, "flat"], ["person"]))
        out_shape = [1, height, width]
    else:
        nodes.append(node("Identity", [last], ["person"]))
    initialisers = {"w": weights, "b": bias} | ({"flat": np.int64([1, height or -1, width or -1])} if rank3 else {})
    graph = helper.make_graph(
        nodes,
        "mask",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8 if bytes_in else TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("person", TensorProto.FLOAT, out_shape)],
        [numpy_helper.from_array(value, name) for name, value in initialisers.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": ("h", "w")},
        {"planar": False},
        {"channels": 2},
        {"channels": 2, "logits": True},
        {"logits": True},
        {"bytes_in": True},
        {"bytes_in": True, "planar": False},
        {"rank3": True},
    ],
    ids=str,
)
def test_every_kind_of_file_finds_what_is_there(tmp_path, options):
    mask = PersonMask(make_mask_model(tmp_path / "m.onnx", **options))(scene())
    assert mask.shape == (96, 128)
    assert mask.dtype == np.uint8
    assert (mask[32:, 46:74] > 250).all()
    assert (mask[:, :30] < 5).all()
    assert (mask[:16] < 5).all()


def test_the_edge_is_soft(tmp_path):
    row = PersonMask(make_mask_model(tmp_path / "m.onnx"))(scene())[70].astype(int)
    edge = row[30:50]
    assert (np.diff(edge) >= 0).all()
    assert ((edge > 10) & (edge < 245)).sum() >= 3


def test_flicker_is_calmed_and_movement_is_not(tmp_path):
    find = PersonMask(make_mask_model(tmp_path / "m.onnx"))
    # A probability that trembles about the middle: the camera's noise at the edge of a person.
    levels = []
    for number in range(12):
        frame = scene()
        frame[40:60, 90:110, 0] = 128 + (2 if number % 2 else -2)
        levels.append(float(find(frame)[45:55, 95:105].mean()))
    alone = []
    for number in range(2):
        frame = scene()
        frame[40:60, 90:110, 0] = 128 + (2 if number % 2 else -2)
        find.forget()
        alone.append(float(find(frame)[45:55, 95:105].mean()))
    assert np.ptp(levels[4:]) < 0.7 * np.ptp(alone)
    find(scene(left=20))
    moved = find(scene(left=80))
    assert (moved[40:, 90:110] > 200).all()
    assert (moved[40:, 25:50] < 60).all()


def test_what_is_no_mask_network_is_one_clear_line(tmp_path, tiny_model):
    words = tmp_path / "words.onnx"
    words.write_text("no network")
    for path in (tmp_path / "nowhere.onnx", words, tiny_model):
        with pytest.raises(ModelError) as caught:
            PersonMask(path)
        assert str(path) in str(caught.value) and "--mask-model" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_network_of_another_size_or_count_is_refused(tmp_path):
    with pytest.raises(ModelError, match="--mask-model"):
        PersonMask(make_mask_model(tmp_path / "m.onnx", channels=5))
    with pytest.raises(ModelError, match="not supported"):
        PersonMask(make_mask_model(tmp_path / "m.onnx", size=(4, 4)))


def test_an_installation_without_a_mask_says_where_to_get_one(monkeypatch):
    monkeypatch.setattr("styletransfer.runtime.mask.SHIPPED", "masks/nowhere.onnx")
    assert shipped_mask() is None
    with pytest.raises(ModelError, match=r"--mask-model.*MODNet"):
        PersonMask()


@pytest.mark.skipif(not ASTRONAUT.is_file() or shipped_mask() is None, reason="only in the source tree")
def test_the_shipped_network_finds_a_person():
    photo = np.asarray(Image.open(ASTRONAUT).convert("RGB"))
    mask = PersonMask()(photo)
    height, width = mask.shape
    assert mask[height // 4, int(width * 0.43)] > 250, "the face"
    assert mask[height * 3 // 4, width // 3] > 250, "the suit"
    assert mask[20, 20] < 5, "the flag"
    assert mask[60, int(width * 0.9)] < 5, "the wall"


def test_overlay_takes_each_pixel_from_where_the_mask_says(photo):
    other = 255 - photo
    mask = np.zeros(photo.shape[:2], np.uint8)
    mask[:, 40:], mask[:, 60:] = 128, 255
    mixed = overlay(photo, other, mask)
    assert (mixed[:, :40] == photo[:, :40]).all()
    assert (mixed[:, 60:] == other[:, 60:]).all()
    assert np.abs(mixed[:, 40:60].astype(int) - 127).max() <= 2
    with pytest.raises(ValueError, match="differ"):
        overlay(photo, other, mask[:-1])
