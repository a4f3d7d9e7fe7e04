from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from styletransfer.cli import models as command
from styletransfer.core import zoo

pytest.importorskip("onnxruntime")


@pytest.fixture
def shelf(tmp_path, tiny_model, monkeypatch):
    for name in ("starry_night", "great_wave"):
        shutil.copy(tiny_model, tmp_path / f"{name}.onnx")
    monkeypatch.setattr(zoo, "models_dir", lambda: tmp_path)
    monkeypatch.setattr(command, "models_dir", lambda: tmp_path)
    return tmp_path


def test_the_list_names_painting_artist_year_network_and_size(cli, shelf):
    outcome = cli("models")
    assert outcome.status == 0
    head, *rows = outcome.out.splitlines()
    assert head.split() == ["name", "painting", "artist", "year", "network", "kB"]
    assert [row.split()[0] for row in rows] == ["great_wave", "starry_night"]
    assert rows[0].split() == ["great_wave", "Test", "pattern", "Nobody", "2025", "tiny", "8", "8"]


def test_the_list_as_json(cli, shelf):
    rows = json.loads(cli("models", "--json").out)
    assert rows[1] == {
        "name": "starry_night",
        "painting": "Test pattern",
        "artist": "Nobody",
        "year": "2025",
        "network": "tiny 8",
        "kB": 8,
    }


@pytest.fixture
def restorers(shelf, tiny_upscale2, tiny_deblock):
    (shelf / "restore").mkdir()
    shutil.copy(tiny_upscale2, shelf / "restore" / "upscale2.onnx")
    shutil.copy(tiny_deblock, shelf / "restore" / "clean.onnx")
    return shelf / "restore"


def test_restoration_networks_stand_in_a_second_table(cli, restorers):
    outcome = cli("models")
    assert outcome.status == 0
    styles, others = outcome.out.split("\n\n")
    assert len(styles.splitlines()) == 3
    title, head, *rows = others.splitlines()
    assert "restore" in title and "--after" in title
    assert head.split() == ["name", "task", "scale", "network", "kB"]
    assert [row.split() for row in rows] == [
        ["clean", "deblock", "×1", "tiny", "3", "1"],
        ["upscale2", "sr", "×2", "tiny", "3", "2"],
    ]
    assert json.loads(cli("models", "--json").out)[-1]["task"] == "sr"


@pytest.mark.parametrize("name", ["upscale2", "Upscale2"])
def test_info_shows_a_restoration_network_too(cli, restorers, name):
    outcome = cli("models", "info", name)
    assert outcome.status == 0
    for text in ("task: sr", "scale: 2", "frame uint8", "restored uint8"):
        assert text in outcome.out


def test_a_style_among_the_restoration_networks_is_named(cli, restorers, tiny_model):
    shutil.copy(tiny_model, restorers / "wrong.onnx")
    outcome = cli("models")
    assert outcome.status == 1 and len(outcome.errors) == 1
    assert "wrong.onnx: is no restoration network" in outcome.errors[0]
    assert "upscale2" in outcome.out


def test_a_damaged_file_is_named_and_the_others_are_listed(cli, shelf):
    (shelf / "broken.onnx").write_text("no model")
    outcome = cli("models")
    assert outcome.status == 1
    assert len(outcome.errors) == 1 and "broken.onnx" in outcome.errors[0]
    assert len(outcome.out.splitlines()) == 3


def test_an_empty_shelf_says_how_to_fill_it(cli, shelf):
    for path in shelf.glob("*.onnx"):
        path.unlink()
    outcome = cli("models")
    assert outcome.status == 0 and "styletransfer train" in outcome.err
    assert json.loads(cli("models", "--json").out) == []


@pytest.mark.parametrize("by_name", [True, False])
def test_info_shows_card_inputs_size_and_hash(cli, shelf, tiny_model, by_name):
    outcome = cli("models", "info", "starry_night" if by_name else tiny_model)
    assert outcome.status == 0
    digest = hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    for text in ("Test pattern", "size_multiple: 4", "frame uint8 ['N', 'H', 'W', 3]", digest, "bytes: 76"):
        assert text in outcome.out


def test_info_as_json_has_the_whole_card(cli, tiny_model):
    facts = json.loads(cli("models", "info", tiny_model, "--json").out)
    assert facts["card"]["painting"]["artist"] == "Nobody"
    assert facts["contract"] == "styletransfer"
    assert facts["outputs"] == [{"name": "stylized", "type": "uint8", "shape": ["N", "H", "W", 3]}]
    assert facts["bytes"] == tiny_model.stat().st_size


@pytest.mark.parametrize("model", ["nonsense", "missing.onnx"])
def test_info_of_nothing_is_one_line(cli, shelf, model):
    outcome = cli("models", "info", model)
    assert outcome.status == 1 and len(outcome.errors) == 1 and outcome.out == ""


def test_info_of_a_file_by_others_has_no_card(cli, tmp_path):
    onnx = pytest.importorskip("onnx")
    from data.make_tiny import build

    model = build()
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "plain.onnx")
    outcome = cli("models", "info", tmp_path / "plain.onnx")
    assert outcome.status == 0 and "card: none" in outcome.out
