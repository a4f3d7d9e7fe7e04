"""``train`` and ``export`` as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command import one_error
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from styletransfer.cli.trainings import training_folder  # noqa: E402
from styletransfer.core.card import Painting  # noqa: E402
from styletransfer.core.errors import OutputError  # noqa: E402
from styletransfer.training.checkpoint import (  # noqa: E402
    Progress,
    build_network,
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from styletransfer.training.export import export_style, load_style, make_card  # noqa: E402

SMALL = ("--channels", 8, "--batch", 2, "--image-size", 32, "--style-size", 32)


@pytest.fixture
def train(cli, small_vgg, painting_file, photo_folder, tmp_path):
    """``train("--steps", 5)``: from scratch, into stripes.onnx; later arguments win."""

    def run(*args, painting=painting_file, photos=photo_folder, out=tmp_path / "out" / "stripes.onnx", init="none"):
        return cli("train", painting, "--photos", photos, "--out", out, "--init", init, *SMALL, *args)

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def make_style(quick, path, **changes):
    settings = quick(**changes)
    torch.manual_seed(5)
    network = build_network(settings)
    export_style(network, make_card(path.stem, Progress(settings, Painting("Made up"), step=1)), path)
    return network


# ---- the whole way ----


def test_from_a_painting_to_a_stylized_photo(train, cli, tmp_path, photo_folder, photo_file, full_size):
    (photo_folder / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    outcome = train("--steps", 5, "--title", "Stripes", "--artist", "A. Nobody", "--year", "2001")
    assert outcome.status == 0, outcome.err
    out = tmp_path / "out"
    assert names(out) == ["stripes-losses.png", "stripes-sheet.png", "stripes.onnx", "stripes.training"]
    assert "5 steps" in outcome.out and "start: none" in outcome.out and str(out / "stripes.onnx") in outcome.out
    assert "photos skipped: 1 damaged, 0 tiny, 0 grey" in outcome.err and not outcome.errors
    for picture in ("stripes-losses.png", "stripes-sheet.png", "stripes.training/preview.png"):
        with Image.open(out / picture) as shown:
            shown.load()
    assert len((out / "stripes.training" / "log.jsonl").read_text().splitlines()) == 5
    card = load_style(out / "stripes.onnx")[1]
    assert (card.name, card.painting.title, card.painting.artist, card.painting.year) == (
        "stripes", "Stripes", "A. Nobody", "2001",
    )  # fmt: skip
    assert card.training["steps_done"] == 5 and card.losses["total"] > 0

    stylized = cli("stylize", "-m", out / "stripes.onnx", photo_file, "-o", tmp_path / "result.png")
    assert stylized.status == 0, stylized.err
    with Image.open(tmp_path / "result.png") as result, Image.open(photo_file) as photo:
        assert result.size == photo.size
        assert np.abs(np.asarray(result, float) - np.asarray(photo, float)).mean() > 5

    exported = cli("export", out / "stripes.training")
    assert exported.status == 0, exported.err
    assert "step 5" in exported.out and "dB" in exported.out
    again = cli("export", find_checkpoint(out / "stripes.training"), "--half", "-o", tmp_path / "half.onnx")
    assert again.status == 0, again.err
    assert load_style(tmp_path / "half.onnx")[1].precision == "float16"


@pytest.mark.parametrize(
    "name", ["out/stripes-sheet.png", "out/stripes-losses.png", "out/stripes.training/preview.png"]
)
def test_the_pictures_of_a_training_never_replace_its_painting(train, tmp_path, painting_file, name):
    painting = tmp_path / name
    painting.parent.mkdir(parents=True)
    painting.write_bytes(painting_file.read_bytes())
    assert one_error(train("--steps", 1, painting=painting), painting.name, "is an input", "--out")
    assert painting.read_bytes() == painting_file.read_bytes() and not (tmp_path / "out" / "stripes.onnx").exists()


@pytest.mark.parametrize("name", ["stripes-sheet.png", "stripes-losses.png"])
def test_the_pictures_of_a_training_never_replace_a_photo(train, photo_folder, name):
    photo = photo_folder / name
    Image.fromarray(make_photo(64, 64)).save(photo)
    before, out = photo.read_bytes(), photo_folder / "stripes.onnx"
    assert one_error(train("--steps", 1, out=out), name, "is one of the photos", "--out")
    assert photo.read_bytes() == before
    photo.unlink()
    for _ in range(2):  # the second training replaces the pictures of the first
        outcome = train("--steps", 1, out=out)
        assert outcome.status == 0, outcome.err
    for name in ("stripes-sheet.png", "stripes-losses.png", "stripes.onnx"):  # as if it had been interrupted
        (photo_folder / name).unlink()
    outcome = train("--steps", 1, out=out)
    assert outcome.status == 0, outcome.err


def test_a_training_never_ends_an_unfinished_one(train, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("styletransfer.training.export.export_style", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train("--steps", 3)
    outcome = train("--steps", 2, "--seed", 1)
    aside = tmp_path / "out" / "stripes-unfinished.training"
    assert outcome.status == 0 and str(aside) in outcome.err and "stripes-unfinished.onnx continues it" in outcome.err
    assert len((aside / "log.jsonl").read_text().splitlines()) == 3
    assert load_checkpoint(find_checkpoint(aside))[1].step == 3
    assert train("--steps", 2).status == 0  # what has its file is replaced
    assert names(tmp_path / "out") == [
        "stripes-losses.png", "stripes-sheet.png", "stripes-unfinished.training", "stripes.onnx", "stripes.training",
    ]  # fmt: skip
    resumed = train("--steps", 3, "--resume", out=aside.with_suffix(".onnx"))
    assert resumed.status == 0, resumed.err


def test_a_training_that_was_exported_halfway_is_unfinished_work(train, cli, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("styletransfer.training.loop.save_checkpoint", save_three_steps_only)
        patch.setattr("styletransfer.training.export.export_style", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train("--steps", 6, "--checkpoint-every", 3)
    out = tmp_path / "out"
    assert cli("export", out / "stripes.training", "-o", out / "stripes.onnx").status == 0
    outcome = train("--steps", 2, "--seed", 1)
    assert outcome.status == 0 and "stripes-unfinished.onnx continues it" in outcome.err
    assert find_checkpoint(out / "stripes-unfinished.training").name == "checkpoint-000003"


def save_three_steps_only(folder, network, optimiser, progress):
    if progress.step in (0, 3):
        save_checkpoint(folder, network, optimiser, progress)


def test_two_trainings_of_one_name_do_not_run_at_once(train, tmp_path, monkeypatch):
    out = tmp_path / "out" / "stripes.onnx"
    with training_folder(out, resume=False):
        for more in ((), ("--resume",)):
            assert one_error(train("--steps", 1, *more), "stripes.training: another run is at work there", "--out")
    assert train("--steps", 1).status == 0
    assert not (tmp_path / "out" / "stripes.training" / "lock.sqlite").exists()


def test_nothing_to_resume_leaves_no_folder(train, tmp_path):
    assert one_error(train("--steps", 1, "--resume"), "stripes.training: no checkpoint there")
    assert not (tmp_path / "out" / "stripes.training").exists()


def test_a_style_is_whole_where_its_pictures_have_no_room(train, tmp_path, monkeypatch):
    def full(*_):
        raise OutputError("sheet.png: the disk is full; free some space and run the command again")

    monkeypatch.setattr("styletransfer.training.report.save_contact_sheet", full)
    outcome = train("--steps", 2)
    assert outcome.status == 1 and len(outcome.errors) == 1 and "sheet.png: the disk is full" in outcome.errors[0]
    assert "stripes.onnx: 2 steps" in outcome.out and load_style(tmp_path / "out" / "stripes.onnx")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]
)
def test_memory_that_runs_out_is_one_line(train, monkeypatch, error):
    def run_out(*_, **__):
        raise error

    monkeypatch.setattr("styletransfer.training.loop.train", run_out)
    assert one_error(train("--steps", 1), "not enough memory")


def test_the_title_is_the_files_name_where_nobody_said(train, tmp_path, painting_file):
    painting_file.rename(tmp_path / "great_wave.png")
    assert train("--steps", 1, "--half", painting=tmp_path / "great_wave.png").status == 0
    card = load_style(tmp_path / "out" / "stripes.onnx")[1]
    assert card.painting.title == "Great Wave" and card.precision == "float16"


def test_the_weights_file_is_handed_on(train, small_vgg, tmp_path):
    assert train("--steps", 1, "--vgg", tmp_path / "vgg.pth").status == 0
    assert small_vgg == [tmp_path / "vgg.pth"]


@pytest.mark.parametrize("kind", ["file", "checkpoint folder"])
def test_a_training_starts_from_a_style(train, tmp_path, quick, kind):
    start = tmp_path / "start.onnx"
    make_style(quick, start)
    if kind == "checkpoint folder":
        assert train("--steps", 1, out=start).status == 0
        start = start.with_suffix(".training")
    outcome = train("--steps", 2, init=start)
    assert outcome.status == 0, outcome.err
    assert "start: start;" in outcome.out
    assert load_style(tmp_path / "out" / "stripes.onnx")[1].training["init"] == "start"


def test_auto_starts_from_the_shipped_styles_of_the_same_network(train, tmp_path, quick, monkeypatch):
    make_style(quick, tmp_path / "same.onnx")
    make_style(quick, tmp_path / "wider.onnx", channels=12)
    shipped = {name: tmp_path / f"{name}.onnx" for name in ("same", "wider")}
    monkeypatch.setattr("styletransfer.core.zoo.shipped", lambda: shipped)
    assert "start: same;" in train("--steps", 1, init="auto").out
    monkeypatch.setattr("styletransfer.core.zoo.shipped", dict)
    assert "start: none;" in train("--steps", 1, init="auto").out


def test_a_plain_network_is_made_of_a_live_style(train, tmp_path, quick):
    make_style(quick, tmp_path / "start.onnx")
    outcome = train("--steps", 1, "--network", "plain", init=tmp_path / "start.onnx")
    assert outcome.status == 0, outcome.err
    card = load_style(tmp_path / "out" / "stripes.onnx")[1]
    assert (card.architecture, card.training["init"]) == ("plain", "start")


# ---- bad input ----


def test_a_painting_that_is_not_there(train, tmp_path):
    assert one_error(train(painting=tmp_path / "nowhere.jpg"), "nowhere.jpg", "no such painting")


def test_a_text_file_as_painting(train, tmp_path, small_vgg):
    (tmp_path / "notes.jpg").write_text("not a picture")
    assert one_error(train(painting=tmp_path / "notes.jpg"), "notes.jpg")
    assert small_vgg == []  # said before the weights are loaded, or downloaded


def test_a_folder_as_painting(train, tmp_path):
    assert one_error(train(painting=tmp_path), str(tmp_path))


def test_a_photo_folder_that_is_not_there(train, tmp_path, small_vgg):
    assert one_error(train(photos=tmp_path / "nowhere"), "nowhere", "no such folder", "styletransfer photos")
    assert small_vgg == []


def test_an_empty_photo_folder(train, tmp_path):
    (tmp_path / "empty").mkdir()
    assert one_error(train(photos=tmp_path / "empty"), "empty", "no picture in it")


def test_a_folder_of_damaged_photos(train, tmp_path):
    (tmp_path / "bad").mkdir()
    for index in range(3):
        (tmp_path / "bad" / f"{index}.jpg").write_bytes(b"\xff\xd8 not really")
    assert one_error(train(photos=tmp_path / "bad"), "none of the 3 photos", "3 damaged")


@pytest.mark.parametrize("name", ["stripes", "stripes.pth", "stripes.ONNX.bak"])
def test_an_output_without_onnx(train, tmp_path, name):
    assert one_error(train(out=tmp_path / name), name, ".onnx")


def test_a_folder_as_output(train, tmp_path):
    (tmp_path / "style.onnx").mkdir()
    assert one_error(train(out=tmp_path / "style.onnx"), "is a folder")


def test_a_file_where_the_outputs_folder_should_be(train, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert one_error(train("--steps", 1, out=tmp_path / "file" / "style.onnx"), "file")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--steps", "-1"), ("steps is -1", "allowed: 1 to")),
        (("--network", "resnet"), ("'resnet' is unknown", "live", "johnson")),
        (("--batch", "0"), ("batch is 0",)),
        (("--image-size", "100"), ("image_size is 100", "multiples of 8")),
        (("--channels", "30"), ("channels is 30", "multiples of 4")),
        (("--style-weight", "nan"), ("style_weight is nan",)),
        (("--learning-rate", "7"), ("learning_rate is 7", "allowed")),
        (("--seed", "-3"), ("seed is -3",)),
        (("--resume",), ("no checkpoint there",)),
    ],
)
def test_settings_out_of_range(train, tmp_path, args, words):
    assert one_error(train(*args), *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("args", [("--steps", "many"), ("--preview-every", "-1"), ("--colour", "red")])
def test_wrong_usage(train, args):
    outcome = train(*args)
    assert outcome.status == 2 and args[0] in outcome.err


def test_a_start_that_is_no_style(train, tmp_path, quick):
    assert one_error(train(init="stary_night_2"), "stary_night_2")
    (tmp_path / "text.onnx").write_text("no onnx")
    assert one_error(train(init=tmp_path / "text.onnx"), "text.onnx")
    (tmp_path / "folder").mkdir()
    assert one_error(train(init=tmp_path / "folder"), "no checkpoint there")


def test_a_start_of_another_make(train, tmp_path):
    from onnx import TensorProto, helper, save

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 64, 64]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "foreign", ends[:1], ends[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "foreign.onnx")
    assert one_error(train(init=tmp_path / "foreign.onnx"), "foreign.onnx", "not made by styletransfer")


def test_a_start_of_another_width_says_which_options_fit(train, tmp_path, quick):
    make_style(quick, tmp_path / "wide.onnx", channels=12)
    assert one_error(train(init=tmp_path / "wide.onnx"), "--network live --channels 12", "--init none")


def test_weights_that_are_none(cli, tmp_path, painting_file, photo_folder):
    (tmp_path / "vgg.pth").write_text("no weights")
    for name in ("vgg.pth", "nowhere.pth"):
        outcome = cli(
            "train", painting_file, "--photos", photo_folder, "-o", tmp_path / "a.onnx", "--init", "none",
            "--vgg", tmp_path / name, *SMALL,
        )  # fmt: skip
        assert one_error(outcome, name)


def test_tensorboard_writes_events_or_says_how_to_get_it(train, tmp_path):
    outcome = train("--steps", 2, "--tensorboard", tmp_path / "events")
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        assert one_error(outcome, "tensorboard", "pip install 'styletransfer[tensorboard]'")
    else:
        assert outcome.status == 0 and any((tmp_path / "events").iterdir())


def test_a_failed_training_leaves_the_old_style_alone(train, tmp_path, thin_vgg, monkeypatch):
    out = tmp_path / "style.onnx"
    out.write_bytes(b"the style of yesterday")
    vgg = thin_vgg()
    vgg.convolutions()[0].weight.fill_(float("nan"))
    monkeypatch.setattr("styletransfer.training.vgg.load_vgg", lambda *_, **__: vgg)
    assert one_error(train("--steps", 3, out=out), "diverged", "--learning-rate")
    assert out.read_bytes() == b"the style of yesterday"


@pytest.mark.parametrize("kind", ["missing", "empty folder", "text"])
def test_exporting_what_is_no_checkpoint(cli, tmp_path, kind):
    path = tmp_path / "work"
    if kind == "text":
        path.write_text("no checkpoint")
    elif kind == "empty folder":
        path.mkdir()
    assert one_error(cli("export", path), "work", "no checkpoint there")


def test_a_checkpoint_that_is_the_current_folder_has_its_trainings_name(train, cli, tmp_path, monkeypatch):
    assert train("--steps", 1).status == 0
    monkeypatch.chdir(find_checkpoint(tmp_path / "out" / "stripes.training"))
    (tmp_path / "out" / "stripes.onnx").unlink()
    outcome = cli("export", ".")
    assert outcome.status == 0 and (tmp_path / "out" / "stripes.onnx").exists(), outcome.err


def test_exporting_to_another_suffix(train, cli, tmp_path):
    assert train("--steps", 1).status == 0
    work = tmp_path / "out" / "stripes.training"
    assert one_error(cli("export", work, "-o", tmp_path / "a.pt"), "a.pt", ".onnx")
    (find_checkpoint(work) / "network.safetensors").write_bytes(b"damaged")
    assert one_error(cli("export", work), "checkpoint-000001", "damaged")


def test_without_torch_the_command_says_what_to_install(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert one_error(train("--steps", 1), "torch is needed to train a style", "pip install 'styletransfer[train]'")


# ---- Ctrl-C ----


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
@pytest.mark.timeout(240)
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, painting_file, random_vgg_file):
    photos, out = tmp_path / "some", tmp_path / "style.onnx"
    photos.mkdir()
    for index in range(3):
        Image.fromarray(make_photo(80, 100, index)).save(photos / f"{index}.png")
    command = [
        sys.executable, "-m", "styletransfer", "train", painting_file, "--photos", photos, "--out", out,
        "--init", "none", "--steps", 15, "--vgg", random_vgg_file, "--checkpoint-every", 0, *SMALL,
    ]  # fmt: skip
    command = [str(part) for part in command]
    log = tmp_path / "style.training" / "log.jsonl"
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=one_thread) as running:
        deadline = time.monotonic() + 120
        while not (log.exists() and log.read_text()) and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        err = running.communicate(timeout=60)[1]
    assert running.returncode == 130, err
    assert "Traceback" not in err and "--resume" in err
    step = load_checkpoint(find_checkpoint(log.parent))[1].step
    assert 0 < step < 15 and f"stopped after {step} of 15 steps" in err
    assert not out.exists()

    resumed = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False, env=one_thread)
    assert resumed.returncode == 0, resumed.stderr
    assert "15 steps" in resumed.stdout and load_style(out)[1].training["steps_done"] == 15
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(1, 16))
