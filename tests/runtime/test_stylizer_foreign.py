"""Networks made by others, and files that are no style networks; all built here with onnx.helper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from samples import make_photo

from styletransfer.core.errors import ModelError, SettingsError
from styletransfer.runtime.stylizer import Stylizer

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

node = helper.make_node
FREE = [1, 3, "H", "W"]


@pytest.fixture
def model(tmp_path):
    """Write a model file: nodes from ``x`` to ``y``, their constants and the shapes."""

    def write(nodes, shape=FREE, out=FREE, kind="FLOAT", out_kind=None, opset=18, ir=8, more=(), **constants):
        graph = helper.make_graph(
            nodes,
            "foreign",
            [helper.make_tensor_value_info("x", getattr(TensorProto, kind), shape), *more],
            [helper.make_tensor_value_info("y", getattr(TensorProto, out_kind or kind), out)],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
        path = tmp_path / "foreign.onnx"
        onnx.save(made, path)
        return path

    return write


def inverting(dtype=np.float32):
    return [node("Sub", ["white", "x"], ["y"])], {"white": dtype(255)}


@pytest.mark.parametrize("shape", [FREE, ["N", 3, "H", "W"]])
@pytest.mark.parametrize(("kind", "dtype"), [("FLOAT", np.float32), ("FLOAT16", np.float16)])
def test_a_float_network_runs_at_any_size(model, shape, kind, dtype):
    nodes, constants = inverting(dtype)
    stylize = Stylizer(model(nodes, shape, shape, kind, **constants), "cpu")
    assert stylize.card is None and stylize.name == "foreign"
    for size in [(90, 121), (1, 1), (15, 400)]:
        photo = make_photo(*size)
        np.testing.assert_array_equal(stylize(photo), 255 - photo)
    frames = np.stack([make_photo(30, 40, seed) for seed in range(3)])
    np.testing.assert_array_equal(stylize.batch(frames), 255 - frames)


def test_an_old_file_runs(model):
    nodes, constants = inverting()
    stylize = Stylizer(model(nodes, opset=9, ir=4, **constants), "cpu")
    photo = make_photo(40, 50)
    np.testing.assert_array_equal(stylize(photo), 255 - photo)


@pytest.mark.parametrize("size", [(64, 96), (200, 100), (48, 480), (31, 17)])
def test_a_fixed_size_sees_the_whole_picture_in_its_proportions(model, size):
    nodes, constants = inverting()
    stylize = Stylizer(model(nodes, [1, 3, 64, 96], [1, 3, 64, 96], **constants), "cpu")
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    smooth = np.stack([255 * x / size[1], 255 * y / size[0], 0 * x + 90], -1).astype(np.uint8)
    result = stylize(smooth)
    assert result.shape == smooth.shape
    assert np.abs(result.astype(int) - (255 - smooth)).mean() < 6


def test_a_network_that_loses_its_border_still_covers_the_picture(model):
    middle = np.zeros((3, 3, 9, 9), np.float32)
    middle[range(3), range(3), 4, 4] = 1
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Conv", ["a", "w"], ["b"]),
        node("Sub", ["white", "b"], ["y"]),
    ]
    path = model(nodes, out=[1, 3, "h", "w"], w=middle, white=np.float32(255))
    stylize = Stylizer(path, "cpu")
    for _ in range(2):  # the second time with the margin that the first one learnt
        photo = make_photo(70, 101)
        np.testing.assert_array_equal(stylize(photo), 255 - photo)


def test_a_network_that_adds_a_border_is_cropped(model):
    nodes = [node("Pad", ["x", "pads"], ["a"], mode="reflect"), node("Sub", ["white", "a"], ["y"])]
    pads = np.array([0, 0, 4, 6, 0, 0, 4, 6])
    path = model(nodes, out=[1, 3, "h", "w"], pads=pads, white=np.float32(255))
    photo = make_photo(70, 101)
    np.testing.assert_array_equal(Stylizer(path, "cpu")(photo), 255 - photo)


def test_values_outside_are_clipped_and_rounded(model):
    nodes = [node("Mul", ["x", "two"], ["a"]), node("Sub", ["a", "some"], ["y"])]
    stylize = Stylizer(model(nodes, two=np.float32(2), some=np.float32(100.4)), "cpu")
    photo = make_photo(40, 40)
    expected = np.rint(np.clip(photo * 2.0 - 100.4, 0, 255)).astype(np.uint8)
    np.testing.assert_array_equal(stylize(photo), expected)


def test_a_uint8_file_of_one_frame_and_fixed_size_runs(model):
    nodes = [node("Sub", ["white", "x"], ["y"])]
    shape = [1, 48, 64, 3]
    path = model(nodes, shape, shape, "UINT8", opset=18, white=np.uint8(255))
    frames = np.stack([make_photo(48, 64, seed) for seed in range(3)])
    np.testing.assert_array_equal(Stylizer(path, "cpu").batch(frames), 255 - frames)


def test_optional_style_weights_have_their_default(tmp_path):
    from data.make_tiny import build

    path = tmp_path / "three.onnx"
    onnx.save(build(styles=3), path)
    stylize = Stylizer(path, "cpu")
    photo = make_photo(64, 64)
    assert stylize.styles == 3
    first = stylize(photo)
    np.testing.assert_array_equal(first, stylize(photo, style_weights=[1, 0, 0]))
    darker = stylize(photo, style_weights=[0, 0, 1])
    assert first.mean() - darker.mean() > 40
    for wrong in ([1, 0], [1, 0, float("nan")]):
        with pytest.raises(SettingsError, match="takes 3 numbers"):
            stylize(photo, style_weights=wrong)


def test_style_weights_without_a_default_choose_the_first_style(model):
    weights = helper.make_tensor_value_info("style_weights", TensorProto.FLOAT, [2])
    nodes = [
        node("Mul", ["style_weights", "levels"], ["a"]),
        node("ReduceSum", ["a"], ["b"], keepdims=0),
        node("Sub", ["b", "x"], ["y"]),
    ]
    path = model(nodes, more=[weights], levels=np.float32([255, 200]))
    photo = make_photo(40, 40)
    np.testing.assert_array_equal(Stylizer(path, "cpu")(photo), 255 - photo)


# ---- no style networks ----


def test_a_classifier_is_refused_and_told_what_was_expected(model):
    nodes = [node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)]
    path = model(nodes, [1, 3, 224, 224], [1, 3], axes=np.array([2, 3]))
    with pytest.raises(ModelError, match=r"takes float \[1, 3, 224, 224\] and gives float \[1, 3\]; expected"):
        Stylizer(path, "cpu")


def test_other_channels_types_and_inputs_are_refused(model):
    identity = [node("Identity", ["x"], ["y"])]
    for options in (
        {"shape": [1, 1, "H", "W"], "out": [1, 1, "H", "W"]},
        {"shape": ["N", "H", "W", 4], "out": ["N", "H", "W", 4], "kind": "UINT8"},
        {"kind": "INT64"},
    ):
        with pytest.raises(ModelError, match="is no style network"):
            Stylizer(model(identity, **options), "cpu")
    second = helper.make_tensor_value_info("style", TensorProto.FLOAT, FREE)
    with pytest.raises(ModelError, match="is no style network"):
        Stylizer(model([node("Add", ["x", "style"], ["y"])], more=[second]), "cpu")


@pytest.mark.parametrize(
    ("kind", "shape", "out", "says"),
    [
        ("FLOAT", [1, "H", "W", 3], [1, "H", "W", 3], r"channels last: .* must take and give \[1, 3, H, W\]"),
        ("FLOAT", FREE, [1, "H", "W", 3], r"channels last: .* must take and give \[1, 3, H, W\]"),
        ("FLOAT", [1, None, None, 3], [None] * 4, r"channels last: .* float network"),
        ("UINT8", [1, 3, "H", "W"], [1, 3, "H", "W"], r"channels first: .* uint8 network .* \[N, H, W, 3\]"),
    ],
)
def test_channels_on_the_other_side_are_refused_not_read_as_a_size(model, kind, shape, out, says):
    identity = [node("Identity", ["x"], ["y"])]
    if shape is FREE:
        identity = [node("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1])]
    with pytest.raises(ModelError, match=says) as caught:
        Stylizer(model(identity, shape, out, kind), "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [["N", "C", "H", "W"], [None] * 4, [1, 3, "H", 3], [1, 3, 64, "W"]])
def test_a_file_that_names_no_size_or_only_some_runs(model, shape):
    nodes, constants = inverting()
    photo = make_photo(64, 3 if shape[3] == 3 else 80)
    np.testing.assert_array_equal(Stylizer(model(nodes, shape, shape, **constants), "cpu")(photo), 255 - photo)


def test_a_network_that_pools_its_picture_is_refused(model):
    fixed = model([node("GlobalAveragePool", ["x"], ["y"])], [1, 3, 64, 96], [1, 3, 1, 1])
    with pytest.raises(ModelError, match="a style network keeps the size of its picture"):
        Stylizer(fixed, "cpu")(make_photo(48, 72))
    half = model([node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])], out=[1, 3, "h", "w"])
    for size in ((64, 96), (64, 64), (100, 100)):
        with pytest.raises(ModelError, match="a style network keeps the size of its picture"):
            Stylizer(half, "cpu")(make_photo(*size))


def test_an_enlarging_network_is_refused(model):
    nodes = [node("Resize", ["x", "", "scales"], ["y"], mode="nearest")]
    path = model(nodes, out=[1, 3, "h", "w"], scales=np.float32([1, 1, 2, 2]))
    with pytest.raises(ModelError, match="keeps the size of its picture"):
        Stylizer(path, "cpu")(make_photo(90, 120))


def test_nan_is_an_error_not_a_black_picture(model):
    nodes = [
        node("Sub", ["x", "x"], ["zero"]),
        node("Div", ["zero", "zero"], ["nan"]),
        node("Add", ["x", "nan"], ["y"]),
    ]
    with pytest.raises(ModelError, match="NaN or infinite"):
        Stylizer(model(nodes), "cpu")(make_photo(40, 40))


def test_half_precision_that_overflows_is_an_error(model):
    nodes = [node("Mul", ["x", "big"], ["a"]), node("Mul", ["a", "big"], ["y"])]
    path = model(nodes, kind="FLOAT16", big=np.float16(300))
    with pytest.raises(ModelError, match="NaN or infinite"):
        Stylizer(path, "cpu")(make_photo(40, 40))


def test_pixels_of_0_to_1_are_recognised(model):
    with pytest.raises(ModelError, match=r"only networks with pixels of 0\.\.255"):
        Stylizer(model([node("Sigmoid", ["x"], ["y"])]), "cpu")(make_photo(40, 40))


def test_a_failure_at_run_time_is_one_line(model):
    nodes = [node("Reshape", ["x", "target"], ["y"])]
    path = model(nodes, out=[1, 3, 8, 8], target=np.array([1, 3, 8, 8]))
    with pytest.raises(ModelError, match="fails on") as caught:
        Stylizer(path, "cpu")(make_photo(90, 120))
    assert "\n" not in str(caught.value)


def test_missing_external_data_is_named(model, tmp_path):
    big = np.zeros((3, 3, 9, 9), np.float32)
    path = model([node("Conv", ["x", "w"], ["y"], pads=[4] * 4)], w=big)
    apart = tmp_path / "apart.onnx"
    onnx.save(onnx.load(path), apart, save_as_external_data=True, location="apart.data", size_threshold=0)
    Stylizer(apart, "cpu")
    (tmp_path / "apart.data").unlink()
    with pytest.raises(ModelError, match=r"apart\.onnx.*apart\.data"):
        Stylizer(apart, "cpu")


def test_tiny_onnx_is_what_its_script_builds(tiny_model, tmp_path):
    from data.make_tiny import build

    onnx.save(build(), tmp_path / "again.onnx")
    photo = make_photo(64, 64)
    np.testing.assert_array_equal(
        Stylizer(tiny_model, "cpu")(photo), Stylizer(Path(tmp_path / "again.onnx"), "cpu")(photo)
    )
