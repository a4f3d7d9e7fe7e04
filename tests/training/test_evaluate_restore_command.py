"""``evaluate-restore`` as a user meets it."""

from __future__ import annotations

import csv
import json
import shutil
import signal

import numpy as np
import pytest
from command import one_error
from PIL import Image
from samples import make_photo

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from styletransfer.core.bicubic import imresize, modcrop
from styletransfer.core.fidelity import psnr_y_db

CHEAP = ("--metrics", "psnr_y,ssim_y", "--provider", "cpu")


@pytest.fixture
def small_set(tmp_path):
    """Three photos of 60 to 80 pixels in a folder ``Small``; the last is a grey file."""
    folder = tmp_path / "Small"
    folder.mkdir()
    for index in range(2):
        Image.fromarray(make_photo(60 + 10 * index, 81, seed=index)).save(folder / f"{index}.png")
    Image.fromarray(make_photo(80, 64, seed=2)[..., 0]).save(folder / "2.png")
    return folder


@pytest.fixture
def evaluate(cli, tiny_upscale2, small_set):
    """``evaluate("--csv", path)``: the tiny ×2 file on the small set, PSNR and SSIM of Y; later arguments win."""

    def run(*args, models=(tiny_upscale2,), sets=(small_set,)):
        return cli("evaluate-restore", *models, *(part for of in sets for part in ("--photos", of)), *CHEAP, *args)

    return run


def test_table_csv_and_json(evaluate, small_set, tmp_path):
    table, report = tmp_path / "deep" / "rows.csv", tmp_path / "report.json"
    done = evaluate("--csv", table, "--json", report)
    assert done.status == 0, done.err
    assert "Small, x2, 3 photos (means)" in done.out and "PSNR Y, dB ↑" in done.out
    rows = list(csv.DictReader(table.open()))
    assert [(row["photo"], row["model"]) for row in rows] == [
        (f"{index}.png", model) for index in range(3) for model in ("bicubic", "tiny_upscale2")
    ]
    photo = modcrop(np.array(Image.open(small_set / "0.png")), 2)
    expected = psnr_y_db(imresize(imresize(photo, 0.5), 2.0), photo, 2)
    assert float(rows[0]["psnr_y"]) == pytest.approx(expected, abs=1e-4)
    saved = json.loads(report.read_text())
    assert saved["settings"]["scale"] == 2 and saved["machine"]["cores"] >= 1
    means = saved["summary"][0]["models"]["bicubic"]
    assert means["psnr_y"] == pytest.approx(np.mean([float(row["psnr_y"]) for row in rows[::2]]))
    assert f"{means['psnr_y']:.2f}" in done.out


def test_damaged_pictures_are_skipped_and_counted(evaluate, small_set):
    (small_set / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    Image.fromarray(make_photo(20, 90)).save(small_set / "low.png")
    done = evaluate()
    assert done.status == 0 and "3 photos, 2 left out" in done.out
    warnings = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    assert any("broken.jpg" in line for line in warnings) and any("low.png" in line for line in warnings)


def test_a_set_without_a_usable_picture_fails_and_the_others_are_measured(evaluate, small_set, tmp_path):
    empty = tmp_path / "Broken"
    empty.mkdir()
    (empty / "a.png").write_bytes(b"nothing")
    done = evaluate(sets=(empty, small_set))
    assert one_error(done, "Broken", "none of its 1")
    assert "Small, x2, 3 photos" in done.out


@pytest.mark.parametrize(
    "options", [("--task", "deblock"), ("--task", "denoise", "--grey", "--sigma", 10), ("--task", "clean")]
)
def test_the_other_tasks(evaluate, tiny_deblock, options):
    done = evaluate(*options, "--count", 2, models=(tiny_deblock,))
    assert done.status == 0, done.err
    assert "damaged" in done.out and "tiny_deblock" in done.out and "2 photos" in done.out


def test_task_and_scale_come_from_the_models_and_must_fit(evaluate, tiny_upscale2, tiny_deblock):
    assert "q 10, 3 photos" in evaluate(models=(tiny_deblock,)).out
    assert one_error(evaluate(models=(tiny_upscale2, tiny_deblock)), "tiny_deblock", "task")
    assert one_error(evaluate("--scale", 4), "tiny_upscale2", "scale 2, not 4")


def test_only_takes_the_named_photos(evaluate, tmp_path):
    names = tmp_path / "pair.txt"
    names.write_text("0.png\n2.png\n9.png\n")
    done = evaluate("--only", names)
    assert "pair, x2, 2 photos" in done.out and "2 of the 3 photos" in done.err
    assert one_error(evaluate("--only", tmp_path / "none.txt"), "none.txt")


def test_a_line_of_only_is_one_name(evaluate, small_set, tmp_path):
    (small_set / "0.png").rename(small_set / "my photo.png")
    (tmp_path / "one.txt").write_text("my photo.png\r\n\n")
    assert "one, x2, 1 photo " in evaluate("--only", tmp_path / "one.txt").out


def test_photos_of_one_name_in_two_folders_both_count(evaluate, small_set, tmp_path):
    for folder in ("a", "b"):
        (small_set / folder).mkdir()
        (small_set / f"{0 if folder == 'a' else 1}.png").rename(small_set / folder / "1.png")
    done = evaluate("--csv", tmp_path / "rows.csv")
    assert "Small, x2, 3 photos (means)" in done.out
    photos = {row["photo"] for row in csv.DictReader((tmp_path / "rows.csv").open())}
    assert photos == {"2.png", "a/1.png", "b/1.png"}


def test_figures_of_several_files_in_one_plot(evaluate, cli, tiny_upscale2, tmp_path):
    other = tmp_path / "twin.onnx"
    shutil.copy(tiny_upscale2, other)
    for name, model in (("one", tiny_upscale2), ("two", other)):
        assert evaluate("--csv", tmp_path / f"{name}.csv", models=(model,)).status == 0
    both = ("evaluate-restore", "--from", tmp_path / "one.csv", "--from", tmp_path / "two.csv")
    plot, merged = tmp_path / "plot.png", tmp_path / "both.csv"
    done = cli(*both, "--plot", plot, "--axes", "psnr_y,ssim_y", "--csv", merged)
    assert done.status == 0, done.err
    assert str(plot) in done.out and "twin" in done.out and done.out.count("bicubic") == 1
    with Image.open(plot) as image:
        assert np.ptp(np.array(image.convert("L"))) > 200
    assert len(merged.read_text().splitlines()) == 1 + 3 * 3
    assert one_error(cli(*both, "--plot", plot), "one of jod, stlpips, lpips")  # Y's two measures are no quality
    assert one_error(cli(*both, "--plot", plot, "--axes", "psnr_y,jod"), "psnr_y,jod", "ssim_y")


def test_a_measure_that_was_the_training_loss_is_marked(cli, tmp_path):
    table = tmp_path / "rows.csv"
    table.write_text(
        "set,photo,model,training_loss,degradation,psnr_y,stlpips\n"
        "Set5,a,l2net,l2,x4,30.5,0.2\nSet5,a,st,l1 + stlpips,x4,29.5,0.1\n"
    )
    done = cli("evaluate-restore", "--from", table)
    assert "30.50*" in done.out and "0.1000*" in done.out and "0.2000*" not in done.out
    assert "* the model was trained by this measure" in done.out


def test_one_line_for_every_wrong_request(cli, evaluate, tiny_upscale2, tiny_model, small_set, tmp_path):
    assert one_error(cli("evaluate-restore"), "MODEL", "--from")
    assert one_error(cli("evaluate-restore", tiny_upscale2), "--photos")
    assert one_error(evaluate(models=()), "MODEL")
    assert one_error(evaluate(models=(tmp_path / "none.onnx",)), "none.onnx")
    assert one_error(evaluate(models=(tiny_model,)), "style")
    assert one_error(evaluate(sets=(tmp_path / "nowhere",)), "nowhere")
    assert one_error(evaluate("--metrics", "psnr"), "psnr_y")
    assert one_error(evaluate("--plot", tmp_path / "plot.gif"), ".png")
    assert one_error(evaluate("--csv", tmp_path), "folder")
    none = evaluate("--plot", tmp_path / "plot.png")  # known before anything is measured
    assert one_error(none, "one of jod, stlpips, lpips") and "Small" not in none.out
    (tmp_path / "there.csv").write_text("mine")
    assert one_error(evaluate("--csv", tmp_path / "there.csv"), "exists", "--from")
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_a_missing_package_is_named_with_its_pip_line(evaluate, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycvvdp", None)
    assert one_error(evaluate("--metrics", "psnr_y,jod"), "pip install", "[restore]")
    done = evaluate("--metrics", "", "--count", 1)  # without a choice the rest is measured
    assert done.status == 0 and "(left out)" in done.err and "PSNR RGB" in done.out


def test_networks_measures(evaluate):
    pytest.importorskip("stlpips_pytorch")
    pytest.importorskip("pycvvdp")
    done = evaluate("--metrics", "psnr_y,stlpips,jod", "--count", 1, "--json", "-")
    assert done.status == 0, done.err
    report = json.loads(done.out)
    models = report["summary"][0]["models"]
    assert all(0 < model["stlpips"] < 1 and 3 < model["jod"] < 10 for model in models.values())


def test_ctrl_c_keeps_what_is_finished(evaluate, monkeypatch, tmp_path):
    from styletransfer.core import damage

    real, calls = damage.make_sample, []

    def make_sample(*args, **options):
        calls.append(args[1])
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(*args, **options)

    monkeypatch.setattr(damage, "make_sample", make_sample)
    done = evaluate("--csv", tmp_path / "rows.csv")
    assert done.status == 130 and "stopped before the end" in done.err
    assert "2 photos" in done.out and len((tmp_path / "rows.csv").read_text().splitlines()) == 5
