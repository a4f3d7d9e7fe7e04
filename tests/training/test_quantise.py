from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from command import is_one_error_line, run
from PIL import Image
from samples import make_photo

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from styletransfer.core.card import BLANK_SEAL, CARD_KEY, ModelCard, Painting, seal_file  # noqa: E402
from styletransfer.core.errors import ExportError, InputError, ModelError, SettingsError  # noqa: E402
from styletransfer.core.zoo import shipped_restorers  # noqa: E402
from styletransfer.runtime.stylizer import Stylizer  # noqa: E402
from styletransfer.training import quantise as module  # noqa: E402
from styletransfer.training.quantise import quantise  # noqa: E402

NAMES = ("stem", "first", "second", "last")


def build(card=True, precision="float32", convolutions=True, extra=()):
    """A small network as ours are: a stem of stride 2, a residual block, a step up, bytes at both ends."""
    rng = np.random.default_rng(3)
    shapes = {"stem": (8, 3, 3, 3), "first": (8, 8, 3, 3), "second": (8, 8, 3, 3), "last": (12, 8, 3, 3)}
    weights = {
        f"{name}.weight": rng.normal(0, (1.5 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    weights["stem.weight"] /= 80
    node = helper.make_node

    def conv(x, name, y, stride=1):
        return node("Conv", [x, f"{name}.weight"], [y], pads=[1] * 4, strides=[stride, stride])

    nodes = [
        node("Transpose", ["frame"], ["t"], perm=[0, 3, 1, 2]),
        node("Cast", ["t"], ["f"], to=TensorProto.FLOAT),
        conv("f", "stem", "s", 2),
        node("Relu", ["s"], ["sr"]),
        conv("sr", "first", "a"),
        node("Relu", ["a"], ["ar"]),
        conv("ar", "second", "b"),
        node("Add", ["sr", "b"], ["sum"]),
        conv("sum", "last", "l"),
        node("DepthToSpace", ["l"], ["up"], blocksize=2),
        node("Tanh", ["up"], ["tanh"]),
        node("QuantizeLinear", ["tanh", "scale", "middle"], ["q"]),
        node("Transpose", ["q"], ["stylized"], perm=[0, 2, 3, 1]),
    ]
    if not convolutions:
        nodes = [node("Identity", ["frame"], ["stylized"])]
    weights |= {"scale": np.float32(1 / 128), "middle": np.uint8(128)}
    ends = [helper.make_tensor_value_info(n, TensorProto.UINT8, ["N", "H", "W", 3]) for n in ("frame", "stylized")]
    arrays = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    proto = helper.make_model(
        helper.make_graph([*nodes, *extra], "style", ends[:1], ends[1:], arrays),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    if not card:
        return proto.SerializeToString()
    about = ModelCard("plain", Painting("The Scream", "E. Munch"), "plain", 8, 4, precision, seal=BLANK_SEAL)
    helper.set_model_props(proto, {CARD_KEY: about.to_json()})
    return seal_file(proto.SerializeToString())


@pytest.fixture
def style(tmp_path):
    path = tmp_path / "plain.onnx"
    path.write_bytes(build())
    return path


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(8):
        Image.fromarray(make_photo(80, 100, seed)).save(folder / f"{seed}.png")
    return folder


def test_the_int8_file_is_near_and_says_how_near(style, photos, tmp_path):
    target = tmp_path / "new" / "small.onnx"
    quality = quantise(style, photos, target, side=64)
    assert quality.least_psnr_db >= 30 and quality.photos == 2 and quality.calibrated_on == 6
    small, full = Stylizer(target, "cpu"), Stylizer(style, "cpu")  # which checks the seal
    assert small.card.precision == "int8" and small.card.name == "small"
    assert small.card.painting == full.card.painting
    assert small.card.quantisation["psnr_db"] == pytest.approx(quality.psnr_db, abs=0.01)
    photo = make_photo(91, 77, 99)  # of another size than those of the calibration
    error = np.mean((small(photo).astype(float) - full(photo)) ** 2)
    assert 10 * np.log10(255**2 / error) > 28
    assert full(photo).std() > 10  # not near because both are grey


def test_all_convolutions_but_the_first_are_in_int8(style, photos, tmp_path):
    target = tmp_path / "int8.onnx"
    quality = quantise(style, photos, target, side=64)
    stored = {entry.name: entry for entry in onnx.load(str(target)).graph.initializer}
    kinds = {name: stored.get(f"{name}.weight_quantized", stored.get(f"{name}.weight")).data_type for name in NAMES}
    last = TensorProto.FLOAT if quality.last_is_float else TensorProto.INT8
    assert kinds == {"stem": TensorProto.FLOAT, "first": TensorProto.INT8, "second": TensorProto.INT8, "last": last}
    assert numpy_helper.to_array(stored["first.weight_scale"]).shape == (8,)  # one for each output channel


def test_the_same_photos_give_the_same_file(style, photos, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        quantise(style, photos, tmp_path / name / "small.onnx", side=64)
    assert (tmp_path / "one" / "small.onnx").read_bytes() == (tmp_path / "two" / "small.onnx").read_bytes()


def test_below_the_floor_nothing_is_written(style, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LEAST_PSNR_DB", 99.0)
    with pytest.raises(ExportError, match=r"int8 would differ too much .* dB on the worst of 2 photos"):
        quantise(style, photos, tmp_path / "small.onnx", side=64)
    assert not (tmp_path / "small.onnx").exists()


def test_the_last_convolution_stays_float_where_int8_is_not_good(style, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GOOD_PSNR_DB", 99.0)
    tried = []
    real = module._quantised
    monkeypatch.setattr(module, "_quantised", lambda *given: tried.append(given[-1]) or real(*given))
    quantise(style, photos, tmp_path / "small.onnx", side=64)
    assert tried == [False, True]


def test_an_unreadable_photo_is_left_out_and_named(style, photos, tmp_path):
    (photos / "0.png").write_bytes(b"no picture")
    said = []
    quantise(style, photos, tmp_path / "small.onnx", side=64, on_skipped=said.append)
    assert len(said) == 1 and "0.png" in said[0]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no model", "not readable as an ONNX file"),
        (build(card=False), "was not made by styletransfer"),
        (build(precision="int8"), "is an int8 file already"),
        (build(precision="float16"), "has float16 weights; give the float32 file"),
        (build(convolutions=False), "has no convolution"),
        (build()[:-9] + b"\0" * 9, "not readable|damaged|do not match"),
    ],
)
def test_a_file_that_cannot_be_quantised(data, said, photos, tmp_path):
    path = tmp_path / "other.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=said):
        quantise(path, photos, tmp_path / "small.onnx", side=64)
    assert not (tmp_path / "small.onnx").exists()


def test_an_int8_file_is_not_quantised_again(style, photos, tmp_path):
    quantise(style, photos, tmp_path / "small.onnx", side=64)
    with pytest.raises(ModelError, match="is an int8 file already"):
        quantise(tmp_path / "small.onnx", photos, tmp_path / "smaller.onnx", side=64)


def test_too_few_photos(style, photos, tmp_path):
    for seed in range(3, 8):
        (photos / f"{seed}.png").unlink()
    with pytest.raises(InputError, match="3 photos that can be read; at least 4"):
        quantise(style, photos, tmp_path / "small.onnx", side=64)
    with pytest.raises(InputError, match="no such folder of photos"):
        quantise(style, tmp_path / "nowhere", tmp_path / "small.onnx")
    with pytest.raises(SettingsError, match="allowed: 4 to 10000 photos"):
        quantise(style, photos, tmp_path / "small.onnx", count=1)


def test_the_command(style, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("styletransfer.cli.quantise._SIZE_WH", (64, 64))
    target = tmp_path / "small.onnx"
    done = run("quantise", style, "--photos", photos, "-o", target, "--side", 64)
    assert done.status == 0, done.err
    assert "dB from float32 on 2 photos" in done.out and target.exists()
    assert "as fast as float32 here" in done.out + done.err
    assert run("stylize", photos / "1.png", "-m", target, "-o", tmp_path / "x.png").status == 0


@pytest.mark.parametrize(
    ("out", "said"),
    [("plain.onnx", "is the float32 file itself"), ("x.bin", "ends in .onnx"), ("photos", "ends in .onnx")],
)
def test_the_command_refuses_an_output(style, photos, tmp_path, out, said):
    before = style.read_bytes()
    done = run("quantise", style, "--photos", photos, "-o", tmp_path / out)
    assert done.status == 1 and is_one_error_line(done.err) and said in done.err
    assert style.read_bytes() == before


def test_it_needs_no_torch(style, photos, tmp_path):
    code = (
        "import sys; from pathlib import Path; from styletransfer.training.quantise import quantise; "
        "quantise(*map(Path, sys.argv[1:]), side=64); sys.exit('torch' in sys.modules)"
    )
    target = tmp_path / "small.onnx"
    assert subprocess.run([sys.executable, "-c", code, style, photos, target], check=False).returncode == 0
    assert target.exists()


def test_without_onnx_the_extra_is_named(style, photos, monkeypatch):
    monkeypatch.delitem(sys.modules, "styletransfer.training.quantise")
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = run("quantise", style, "--photos", photos)
    assert done.status == 1 and "pip install 'styletransfer[train]'" in done.err


def test_a_network_that_restores_is_not_quantised(photos, tmp_path):
    done = run("quantise", shipped_restorers()["clean"], "--photos", photos, "-o", tmp_path / "x.onnx")
    assert done.status == 1 and is_one_error_line(done.err) and "network that restores" in done.err
