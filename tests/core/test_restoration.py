"""The damage that restorers are measured on, their figures and the CSV file of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

from styletransfer.core.bicubic import imresize
from styletransfer.core.damage import Restoring, load_photo, make_sample, measure, restore_baseline, restore_by
from styletransfer.core.errors import InputError, SettingsError
from styletransfer.core.fidelity import luma, psnr_rgb_db, psnr_y_db
from styletransfer.core.restoration import RestoreEvalSettings, is_training_loss, summarise
from styletransfer.core.restoration_csv import merge_rows, read_rows, write_rows


def row(photo, model, loss="", of_set="Set5", **figures):
    return {"set": of_set, "photo": photo, "model": model, "training_loss": loss, "degradation": "x4", **figures}


def test_enlarging_is_measured_on_what_the_scale_divides():
    photo = make_photo(70, 91)
    settings = RestoreEvalSettings(scale=4)
    sample = make_sample(photo, "a.png", settings)
    assert sample.target.shape == (68, 88, 3) and sample.damaged.shape == (17, 22, 3)
    enlarged = restore_baseline(sample.damaged, settings)
    assert (enlarged == imresize(sample.damaged, 4.0)).all()
    figures = measure(enlarged, sample.target, settings, {})
    assert figures["psnr_y"] == pytest.approx(psnr_y_db(enlarged, sample.target, 4), abs=1e-5)
    assert figures["psnr_rgb"] == pytest.approx(psnr_rgb_db(enlarged, sample.target, 4), abs=1e-5)


def test_noise_has_its_strength_and_is_the_same_every_time():
    photo = np.full((80, 90, 3), 128, np.uint8)
    settings = RestoreEvalSettings("denoise", 1, sigma=20)
    one = make_sample(photo, "a.png", settings).damaged
    assert one.dtype == np.uint8 and np.std(one.astype(float) - 128) == pytest.approx(20, rel=0.03)
    assert (make_sample(photo, "a.png", settings).damaged == one).all()
    for name, seed in (("b.png", 0), ("a.png", 1)):
        other = make_sample(photo, name, RestoreEvalSettings("denoise", 1, sigma=20, seed=seed)).damaged
        assert (other != one).mean() > 0.9


def test_grey_jpeg_is_of_rounded_y_and_coarser_means_worse():
    photo = make_photo(64, 64)
    psnr = []
    for quality in (10, 40, 90):
        settings = RestoreEvalSettings("deblock", 1, quality=quality, is_grey=True)
        sample = make_sample(photo, "a.png", settings)
        assert (sample.target == np.rint(luma(photo))).all()
        psnr.append(measure(sample.damaged, sample.target, settings, {})["psnr_y"])
    assert psnr == sorted(psnr) and psnr[0] < psnr[2] - 3


def test_a_grey_file_is_its_own_y(tmp_path):
    levels = make_photo(60, 60)[..., 1]
    Image.fromarray(levels).save(tmp_path / "grey.png")
    Image.fromarray(make_photo(60, 60)).save(tmp_path / "colour.png")
    assert load_photo(tmp_path / "colour.png")[1] is False
    photo, is_grey = load_photo(tmp_path / "grey.png")
    settings = RestoreEvalSettings("deblock", 1)
    sample = make_sample(photo, "grey.png", settings, is_grey=is_grey)
    assert (sample.target == levels).all()
    same = restore_by(Restoring(lambda frame: frame), sample.damaged)  # through RGB and back
    assert np.allclose(same, sample.damaged)


def test_the_webcam_damage_comes_from_outside():
    photo = make_photo(40, 40)
    seen = []

    def spoil(frame, rng):
        seen.append(rng.integers(1000))
        return 255 - frame

    settings = RestoreEvalSettings("clean", 1)
    for _ in range(2):
        assert (make_sample(photo, "a", settings, spoil=spoil).damaged == 255 - photo).all()
    assert seen[0] == seen[1]


def test_networks_measures_get_rgb_bytes_without_the_border():
    settings = RestoreEvalSettings(scale=2, metrics=("stlpips",))
    grey = make_sample(make_photo(50, 60), "a.png", settings, is_grey=True)
    shapes = []

    def distance(restored, target):
        shapes.append((restored.shape, restored.dtype, target.dtype))
        return 0.25

    assert measure(grey.target.astype(float) + 0.3, grey.target, settings, {"stlpips": distance}) == {"stlpips": 0.25}
    assert shapes == [((46, 56, 3), np.uint8, np.uint8)]


def test_a_result_of_another_size_is_refused():
    settings = RestoreEvalSettings(scale=2)
    sample = make_sample(make_photo(50, 60), "a.png", settings)
    with pytest.raises(SettingsError, match="made 30×25 pixels, not 60×50"):
        measure(sample.damaged, sample.target, settings, {})
    with pytest.raises(SettingsError, match="at least 36"):
        make_sample(make_photo(35, 60), "a.png", settings)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"task": "sharpen"}, "sr, denoise"),
        ({"scale": 1}, "2 to 8"),
        ({"task": "denoise", "scale": 4}, "default"),
        ({"sigma": -1.0}, "sigma"),
        ({"sigma": float("nan")}, "sigma"),
        ({"quality": 0}, "1 to 100"),
        ({"metrics": ("psnr",)}, "psnr_y"),
        ({"metrics": ()}, "psnr_y"),
        ({"seed": -1}, "seed"),
        ({"task": "clean", "scale": 1, "is_grey": True}, "webcam"),
    ],
)
def test_settings_are_checked(wrong, word):
    with pytest.raises(SettingsError, match=word):
        RestoreEvalSettings(**wrong)


def test_a_measure_that_was_the_training_loss_is_known_by_name():
    assert is_training_loss("stlpips", "l1 + 0.5*stlpips") and not is_training_loss("lpips", "l1 + 0.5*stlpips")
    assert is_training_loss("psnr_y", "l2") and not is_training_loss("psnr_y", "l1 + 0.01*vgg22")
    assert is_training_loss("ssim_y", "ms_ssim_l1") and not is_training_loss("jod", "l2 + ssim + lpips")


def test_means_are_over_the_photos_that_all_models_have():
    rows = [row("a", "x", psnr_y=30.0), row("b", "x", psnr_y=40.0), row("a", "y", psnr_y=31.0, jod=9.0)]
    rows += [row("a", "x", of_set="Set14", psnr_y=20.0)]
    five, fourteen = summarise(rows)
    assert five["photos"] == 1 and five["models"]["x"]["psnr_y"] == 30 and five["models"]["y"]["jod"] == 9
    assert "jod" not in five["models"]["x"]
    assert fourteen["set"] == "Set14" and fourteen["models"]["x"]["psnr_y"] == 20


def test_rows_come_back_from_the_file(tmp_path):
    rows = [row("a,b.png", "x", "l1 + 0.01*vgg22", psnr_y=30.123456, jod=8.5), row("c", "bicubic", psnr_y=28.0)]
    path = tmp_path / "deep" / "rows.csv"
    write_rows(rows, path)
    assert read_rows(path) == rows
    assert path.read_text().splitlines()[0] == "set,photo,model,training_loss,degradation,psnr_y,jod"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "is no file"),
        ("a,b\n1,2\n", "is no file"),
        ("set,photo,model,training_loss,degradation,psnr_y\n", "no rows"),
        ("set,photo,model,training_loss,degradation,psnr_y\ns,p,m,,x4,abc\n", "line 2"),
        ("set,photo,model,training_loss,degradation,psnr_y\ns,p,m,,x4,nan\n", "line 2"),
        ("\udcff", "cannot be read"),
    ],
)
def test_another_file_is_refused(tmp_path, text, word):
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=word):
        read_rows(path)
    with pytest.raises(InputError, match="no such file"):
        read_rows(tmp_path / "other.csv")


def test_files_are_merged_and_the_baseline_stays_once():
    one = [row("a", "bicubic", psnr_y=28.0), row("a", "net", "l1", psnr_y=30.0)]
    two = [row("a", "bicubic", psnr_y=28.0), row("a", "net", "l2", psnr_y=31.0), row("a", "other", psnr_y=29.0)]
    merged = merge_rows([("one", one), ("two", two)])
    assert [(found["model"], found["psnr_y"]) for found in merged] == [
        ("bicubic", 28.0), ("net", 30.0), ("net (two)", 31.0), ("other", 29.0)]  # fmt: skip
