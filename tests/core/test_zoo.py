from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from styletransfer.core import zoo
from styletransfer.core.errors import ModelError


@pytest.fixture
def shelf(tmp_path, tiny_model, tiny_upscale2, monkeypatch) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in ("starry_night", "great_wave", "the_scream"):
        shutil.copy(tiny_model, folder / f"{name}.onnx")
    (folder / "restore").mkdir()
    for name in ("clean", "upscale2", "upscale4"):
        shutil.copy(tiny_upscale2, folder / "restore" / f"{name}.onnx")
    (folder / "CREDITS.md").write_text("credits")
    monkeypatch.setattr(zoo, "models_dir", lambda: folder)
    return folder


def test_shipped_lists_the_styles_in_order(shelf):
    assert list(zoo.shipped()) == ["great_wave", "starry_night", "the_scream"]
    assert zoo.shipped()["great_wave"] == shelf / "great_wave.onnx"


def test_a_live_view_on_a_cpu_begins_with_the_fastest_files(shelf, tiny_model):
    for name in ("starry_night_int8", "starry_night_fast", "great_wave_fast"):
        shutil.copy(tiny_model, shelf / f"{name}.onnx")
    fast, others = ["starry_night_int8", "starry_night_fast", "great_wave_fast"], ["great_wave", "the_scream"]
    assert [path.stem for path in zoo.shipped_for_live(on_cpu=True)] == [*fast, "starry_night", *others]
    assert zoo.shipped_for_live(on_cpu=False)[0].stem == "starry_night"
    assert sorted(zoo.shipped_for_live(on_cpu=False)) == sorted(zoo.shipped().values())


@pytest.mark.parametrize("name", ["starry_night", "Starry Night", "starry-night", "starry_night.onnx"])
def test_a_name_finds_its_style_however_it_is_written(shelf, name):
    assert zoo.resolve(name) == shelf / "starry_night.onnx"


def test_an_existing_file_is_taken_as_it_is(shelf, tiny_model):
    assert zoo.resolve(str(tiny_model)) == tiny_model
    assert zoo.resolve(tiny_model) == tiny_model


def test_a_folder_of_the_same_name_does_not_hide_a_style(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starry_night").mkdir()
    assert zoo.resolve("starry_night") == shelf / "starry_night.onnx"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("stary_nigth", "did you mean starry_night"),
        ("wave", "did you mean great_wave"),
        ("zzz", "shipped are great_wave, starry_night, the_scream"),
        ("nowhere/starry_night.onnx", "nowhere/starry_night.onnx: no such style file; did you mean starry"),
        ("", "shipped are"),
    ],
)
def test_an_unknown_name_says_what_there_is(shelf, name, says):
    with pytest.raises(ModelError, match=says):
        zoo.resolve(name)


def test_restoration_networks_have_a_list_of_their_own(shelf):
    assert list(zoo.shipped_restorers()) == ["clean", "upscale2", "upscale4"]
    assert not set(zoo.shipped()) & set(zoo.shipped_restorers())


@pytest.mark.parametrize("name", ["upscale2", "Upscale2", "upscale2.onnx"])
def test_a_name_finds_its_restoration_network(shelf, name, tiny_upscale2):
    assert zoo.resolve_restorer(name) == shelf / "restore" / "upscale2.onnx"
    assert zoo.resolve_restorer(str(tiny_upscale2)) == tiny_upscale2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("upscale3", "no such restoration network; did you mean upscale4 or upscale2|upscale2 or upscale4"),
        ("zzz", "shipped are clean, upscale2, upscale4"),
        ("nowhere/clean.onnx", "nowhere/clean.onnx: no such restoration file; did you mean clean"),
        ("Great Wave", "Great Wave: is a style, no restoration network; use it with `stylize`"),
        ("restore/", "no such restoration file"),
    ],
)
def test_an_unknown_restoration_network_says_what_there_is(shelf, name, says):
    with pytest.raises(ModelError, match=says):
        zoo.resolve_restorer(name)


def test_a_restoration_network_is_no_style(shelf):
    with pytest.raises(ModelError, match="upscale2: is a restoration network, no style; use it with `restore`"):
        zoo.resolve("upscale2")


def test_a_folder_is_no_style(shelf, tmp_path):
    with pytest.raises(ModelError, match="is a folder"):
        zoo.resolve(str(tmp_path))


def test_without_shipped_styles_a_file_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "models_dir", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"path of an \.onnx file"):
        zoo.resolve("starry_night")
    with pytest.raises(ModelError, match=r"no restoration networks are shipped .*`styletransfer train-restore`"):
        zoo.resolve_restorer("upscale2")


def test_the_default_style_is_shipped():
    styles = zoo.shipped()
    if not styles:
        pytest.skip("no styles in this source tree")
    assert zoo.DEFAULT_STYLE in styles
