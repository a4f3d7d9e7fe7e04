from __future__ import annotations

import re

import numpy as np
import pytest
from samples import make_photo

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from styletransfer.core.card import Painting  # noqa: E402
from styletransfer.core.errors import ExportError, ModelError, OutputError  # noqa: E402
from styletransfer.core.settings import TrainSettings  # noqa: E402
from styletransfer.runtime.stylizer import Stylizer  # noqa: E402
from styletransfer.training import export  # noqa: E402
from styletransfer.training.blocks import GainConv, InstanceNorm  # noqa: E402
from styletransfer.training.checkpoint import Progress  # noqa: E402
from styletransfer.training.export import export_style, load_style, make_card  # noqa: E402
from styletransfer.training.network import NETWORKS  # noqa: E402
from styletransfer.training.style_file import read_card  # noqa: E402

networks = pytest.mark.parametrize("name", sorted(NETWORKS))
PAINTING = Painting("Die Brücke", "E. Munch", "1901", "public domain", "ab" * 32)


def build(name, channels=16):
    """A network with strong colours, in which every parameter matters."""
    torch.manual_seed(0)
    network = NETWORKS[name](channels)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, InstanceNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
            if isinstance(module, GainConv):
                module.bias.uniform_(-0.2, 0.2)
        (network.last.gain if name == "plain" else network.last.weight).mul_(5)
        network.last.bias.uniform_(-0.5, 0.5)
    return network


def make_bridge_card(name, channels=16):
    settings = TrainSettings(architecture=name, channels=channels, steps=500)
    progress = Progress(
        settings,
        PAINTING,
        step=400,
        seconds=61.25,
        init="the_scream",
        photos=2500,
        device="a CPU",
        losses={"style": 9.97},
    )
    return make_card("bridge", progress)


@pytest.fixture
def card():
    return make_bridge_card


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Style files by network and precision: the network, its file, and what the export said of their likeness."""
    made = {}

    def get(name, half=False):
        if (name, half) not in made:
            path = tmp_path_factory.mktemp("styles") / "bridge.onnx"
            network = build(name)
            made[name, half] = network, path, export_style(network, make_bridge_card(name), path, half)
        return made[name, half]

    return get


def psnr_db(result, wanted):
    error = np.mean(np.square(result.astype(float) - wanted.astype(float)))
    return 10 * np.log10(255**2 / max(error, 1e-9))


def by_torch(network, frames):
    """The network's own answer for uint8 ``[N, H, W, 3]`` whose sides are multiples of 4."""
    with torch.no_grad():
        result = network(torch.from_numpy(frames).permute(0, 3, 1, 2).float())
    return result.clamp(0, 255).round().permute(0, 2, 3, 1).to(torch.uint8).numpy()


# ---- the file does what the network does ----


@networks
@pytest.mark.parametrize(("half", "least"), [(False, 50), (True, 40)])
def test_the_runtime_shows_what_the_network_makes(exported, name, half, least):
    network, path, claimed_db = exported(name, half)
    assert claimed_db >= least
    stylizer = Stylizer(path, provider="cpu", threads=1)
    frames = np.stack([make_photo(52, 76, seed) for seed in range(3)])
    wanted = by_torch(network, frames)
    assert wanted.std() > 20  # not one flat colour, which any file would match
    assert psnr_db(stylizer.batch(frames), wanted) >= least
    assert psnr_db(stylizer(frames[1]), wanted[1]) >= least
    if not half:  # rounded like the network's output, not cut off: that alone would be 53 dB
        assert psnr_db(stylizer.batch(frames), wanted) >= 58


@networks
def test_odd_sizes_are_padded_and_cut_back(exported, name):
    network, path, _ = exported(name)
    stylizer = Stylizer(path, provider="cpu", threads=1)
    for height, width in ((51, 77), (17, 16), (30, 101)):
        photo = make_photo(height, width)
        result = stylizer(photo)
        padded = np.pad(photo, ((0, -height % 4), (0, -width % 4), (0, 0)), mode="reflect")
        assert result.shape == photo.shape and result.dtype == np.uint8
        assert psnr_db(result, by_torch(network, padded[None])[0, :height, :width]) >= 50


@networks
def test_the_file_keeps_the_contract(exported, name):
    _, path, _ = exported(name)
    model = onnx.load(path)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [18]
    for value, wanted in ((model.graph.input, "frame"), (model.graph.output, "stylized")):
        assert [entry.name for entry in value] == [wanted]
        kind = value[0].type.tensor_type
        assert kind.elem_type == onnx.TensorProto.UINT8
        assert [dim.dim_param or dim.dim_value for dim in kind.shape.dim] == ["N", "H", "W", 3]
    assert not any(entry.external_data for entry in model.graph.initializer)
    assert [entry.name for entry in path.parent.iterdir()] == ["bridge.onnx"]


def test_half_halves_the_file(exported):
    full, half = (exported("johnson", half)[1].stat().st_size for half in (False, True))
    assert half < 0.7 * full


def test_the_network_is_left_as_it_was(tmp_path, card):
    network = build("live")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    export_style(network.train(), card("live"), tmp_path / "bridge.onnx", half=True)
    assert network.training and all(torch.equal(before[key], value) for key, value in network.state_dict().items())


# ---- what differs is not written ----


@pytest.mark.parametrize("before", [None, b"the style of yesterday"])
def test_a_file_that_differs_from_the_network_is_not_written(tmp_path, card, monkeypatch, before):
    target = tmp_path / "bridge.onnx"
    if before:
        target.write_bytes(before)
    real = export.build_graph
    monkeypatch.setattr(export, "build_graph", lambda network, half: real(build("live").requires_grad_(False), half))
    other = build("live")
    with torch.no_grad():
        other.last.bias += 0.05
    with pytest.raises(ExportError, match=r"differs from the network \(\d+\.\d dB; at least 50 dB"):
        export_style(other, card("live"), target)
    assert (target.read_bytes() if before else None) == before
    assert len(list(tmp_path.iterdir())) == (1 if before else 0)


def test_not_a_number_is_no_parity(tmp_path, card):
    network = build("live")
    with torch.no_grad():
        network.down.conv.weight[0] = float("nan")
    with pytest.raises(ExportError):
        export_style(network, card("live"), tmp_path / "bridge.onnx")


def test_a_folder_that_cannot_be(tmp_path, card):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        export_style(build("live"), card("live"), tmp_path / "file" / "bridge.onnx")


# ---- the card ----


def test_the_card_tells_the_training(exported):
    found = Stylizer(exported("live")[1], provider="cpu").card
    assert found.painting == PAINTING and found.name == "bridge"
    assert (found.architecture, found.channels, found.size_multiple) == ("live", 16, 4)
    assert (found.precision, found.losses) == ("float32", {"style": 10.0})
    wanted = {"steps": 500, "steps_done": 400, "seconds": 61.2, "init": "the_scream", "photos": 2500, "device": "a CPU"}
    assert {key: found.training[key] for key in wanted} == wanted
    assert found.training["style_weight"] == 5.0 and found.training["learning_rate"] == 3e-3


def test_the_card_of_a_half_file_says_so(exported):
    assert load_style(exported("live", True)[1])[1].precision == "float16"


# ---- back to a network ----


def effective_weights(network):
    """The state, with kernels for the directions of plain convolutions, whose length means nothing."""
    kernels = {f"{name}.weight": m.kernels() for name, m in network.named_modules() if isinstance(m, GainConv)}
    return network.state_dict() | kernels


@networks
@pytest.mark.parametrize("half", [False, True])
def test_a_style_file_gives_its_network_back(exported, name, half):
    network, path, _ = exported(name, half)
    loaded, found = load_style(path)
    assert type(loaded) is NETWORKS[name] and found.architecture == name
    rough = {"atol": 4e-3, "rtol": 4e-3} if half else {"atol": 1e-6, "rtol": 1e-5}
    wanted = effective_weights(network)
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for key, value in effective_weights(loaded).items():
        torch.testing.assert_close(value, wanted[key], **rough)
    frames = make_photo(64, 64)[None]
    assert psnr_db(by_torch(loaded, frames), by_torch(network, frames)) >= (35 if half else 60)


def test_a_plain_file_of_four_residual_blocks_is_refused(tmp_path, card, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("styletransfer.training.network.PLAIN_BLOCKS", range(4))
        export_style(build("plain"), card("plain"), tmp_path / "four.onnx")
    with pytest.raises(ModelError, match=r"four\.onnx: .*4 residual blocks; train it again"):
        load_style(tmp_path / "four.onnx")


def foreign(path):
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 64, 64]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "foreign", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("text", "not readable as an ONNX file"),
        ("foreign", "not made by styletransfer"),
        ("tiny", "cannot be read"),
        ("card", "card inside the file is damaged"),
        ("architecture", "'huge' is unknown"),
        ("channels", "cannot be read"),
        ("width", "cannot be read.*shape"),
    ],
)
def test_files_that_training_cannot_start_from(tmp_path, exported, tiny_model, kind, message):
    path = tmp_path / "other.onnx"
    if kind == "text":
        path.write_text("no onnx")
    elif kind == "foreign":
        foreign(path)
    elif kind == "tiny":
        path.write_bytes(tiny_model.read_bytes())
    elif kind != "missing":
        model = onnx.load(exported("live")[1])
        text = model.metadata_props[0].value
        changes = {
            "card": (text, "{"),
            "architecture": ('"architecture": "live"', '"architecture": "huge"'),
            "channels": ('"channels": 16', '"channels": "many"'),
            "width": ('"channels": 16', '"channels": 24'),
        }
        assert changes[kind][0] in text
        unsealed = re.sub('"seal": "[0-9a-f]*"', '"seal": ""', text.replace(*changes[kind]))
        model.metadata_props[0].value = unsealed
        onnx.save(model, path)
    with pytest.raises(ModelError, match=message) as caught:
        load_style(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_training_can_start_from_every_shipped_style():
    from styletransfer.core.zoo import shipped

    if not shipped():
        pytest.skip("no shipped styles in this tree")
    for name, path in shipped().items():
        if read_card(path).precision == "int8":
            with pytest.raises(ModelError, match="start from the float32 one"):
                load_style(path)
        else:
            network, found = load_style(path)
            assert network.body[0].first.out_channels == found.channels, name


@pytest.mark.parametrize(("network", "channels"), [("live", 64), ("live", 32), ("plain", 32)])
def test_the_shipped_styles_that_fit_are_what_auto_starts_from(network, channels):
    from styletransfer.cli.train import _starts
    from styletransfer.core.zoo import shipped

    if not shipped():
        pytest.skip("no shipped styles in this tree")
    starts = _starts("auto", TrainSettings(architecture=network, channels=channels))
    assert starts and not any(name.endswith("int8") for name in starts)
    assert all(start.body[0].first.out_channels == channels for start in starts.values())


def test_a_file_with_a_flipped_bit_in_its_weights_is_refused(exported, tmp_path):
    network, whole, _ = exported("live")
    data = bytearray(whole.read_bytes())
    place = data.find(network.body[0].first.weight.detach().numpy().tobytes()[:64])
    assert place > 0
    data[place + 3] ^= 0x40
    path = tmp_path / "flipped.onnx"
    path.write_bytes(data)
    for load in (Stylizer, load_style):
        load(whole)
        with pytest.raises(ModelError, match="damaged, or another program changed it"):
            load(path)
