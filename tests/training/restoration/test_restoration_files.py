from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from styletransfer.core.card import CARD_KEY, ModelCard, check_seal  # noqa: E402
from styletransfer.core.errors import CheckpointError, ExportError, ModelError  # noqa: E402
from styletransfer.training.restoration import export  # noqa: E402
from styletransfer.training.restoration.export import export_restorer, load_restorer, make_card  # noqa: E402
from styletransfer.training.restoration.networks import build_restorer  # noqa: E402
from styletransfer.training.restoration.state import RestoreProgress, build_from  # noqa: E402


@pytest.fixture
def made(tmp_path, tiny):
    """Write a file: ``made(network="edsr")`` gives the network and the file."""

    def make(half=False, **told):
        settings = tiny(**told)
        torch.manual_seed(4)
        network = build_from(settings).eval()
        progress = RestoreProgress(
            settings,
            step=7,
            seconds=12.34,
            photos=399,
            device="a CPU",
            losses={"total": 0.0123456, "l1": 0.0123456},
        )
        path = tmp_path / "made.onnx"
        export_restorer(network, make_card("made", progress, network.size_multiple), path, half)
        return network, path

    return make


def card_of(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return ModelCard.from_json(session.get_modelmeta().custom_metadata_map[CARD_KEY])


def test_the_card_says_what_the_file_is(made):
    _, path = made(scale=4, stem=2, image_size=64, loss="l1 + 0.1*ssim")
    card = card_of(path)
    check_seal(path.read_bytes(), card)
    assert (card.task, card.scale, card.size_multiple, card.architecture, card.channels) == ("sr", 4, 2, "compact", 4)
    assert card.painting.title == "" and card.losses == {"total": 0.01235, "l1": 0.01235}
    told = {"layers": 1, "stem": 2, "loss": "l1 + 0.1*ssim", "image_size": 64, "steps_done": 7, "photos": 399}
    assert told.items() <= card.training.items() and card.training["learning_rate"] == 1e-3
    assert "sigma" not in card.training and "quality" not in card.training


def test_the_card_names_the_strength_that_was_trained(made):
    assert card_of(made(task="denoise", scale=1, sigma="0-50")[1]).training["sigma"] == "0-50"
    card = card_of(made(task="deblock", scale=1, quality="10")[1])
    assert card.training["quality"] == "10" and "sigma" not in card.training


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    "told",
    [
        {"stem": 2},
        {"network": "dncnn", "task": "denoise", "scale": 1, "layers": 4},
        {"network": "edsr-full", "channels": 8, "layers": 2},
        {"network": "srresnet", "scale": 4},
    ],
)
def test_a_file_comes_back_as_the_network(made, told, half):
    network, path = made(half, **told)
    loaded = load_restorer(path)
    photo = torch.rand(1, 3, 12, 18)
    with torch.no_grad():
        assert torch.allclose(loaded(photo), network(photo), atol=5e-3 if half else 1e-5)
    assert type(loaded) is type(network) and loaded.scale == network.scale and not loaded.training


def test_a_file_that_differs_from_its_network_is_not_written(made, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "build_graph", lambda *_: build_graph(build_restorer("compact", 2, 4, 1)))
    from styletransfer.training.restoration.graph import build_graph

    with pytest.raises(ExportError, match="nothing was written"):
        made()
    assert not (tmp_path / "made.onnx").exists()


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "style", "foreign", "folder"])
def test_files_that_are_none(made, tmp_path, tiny_model, damage):
    _, path = made()
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "style":
        path.write_bytes(tiny_model.read_bytes())
    elif damage == "foreign":
        path.write_bytes(data.replace(CARD_KEY.encode(), b"x" * len(CARD_KEY)))
    else:
        middle = len(data) // 2
        path.write_bytes(data[:middle] + (b"" if damage == "cut" else bytes([data[middle] ^ 1]) + data[middle + 1 :]))
    with pytest.raises(CheckpointError if damage == "folder" else ModelError, match=r"made\.onnx") as caught:
        load_restorer(path)
    assert "\n" not in str(caught.value)


def test_a_card_keeps_task_and_scale():
    text = make_card_text(task="denoise", scale=1)
    assert ModelCard.from_json(text).task == "denoise"
    for change in ({"task": "cook"}, {"scale": 3}, {"scale": "2"}):
        with pytest.raises(ModelError, match="damaged"):
            ModelCard.from_json(make_card_text(**change))
    old = json.loads(text)
    del old["scale"], old["task"]
    assert (ModelCard.from_json(json.dumps(old)).scale, ModelCard.from_json(json.dumps(old)).task) == (1, "style")


def make_card_text(**change):
    card = {"name": "x", "painting": {"title": ""}, "architecture": "compact", "channels": 4, "size_multiple": 1}
    return json.dumps({**card, "task": "sr", "scale": 2, "version": 1, **change})


def test_batches_of_odd_sizes_run(made):
    path = made(stem=2)[1]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    frames = np.random.default_rng(0).integers(0, 256, (3, 10, 14, 3), dtype=np.uint8)
    result = session.run(["restored"], {"frame": frames})[0]
    assert result.shape == (3, 20, 28, 3)
    alone = session.run(["restored"], {"frame": frames[1:2]})[0]
    assert np.abs(alone[0].astype(int) - result[1]).max() <= 1
