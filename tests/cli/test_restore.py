"""``restore``, and the pictures' side of chains: what goes in, what comes out, what is kept."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from command import one_error
from PIL import Image
from samples import make_photo

from styletransfer.core import zoo
from styletransfer.core.pictures import load_picture

pytest.importorskip("onnxruntime")

from styletransfer.runtime.restorer import Restorer
from styletransfer.runtime.stylizer import Stylizer


@pytest.fixture
def restore(cli, tiny_upscale2):
    return lambda *args, **options: cli("restore", "-m", tiny_upscale2, "--provider", "cpu", *args, **options)


def frame(path):
    return load_picture(path).frame_hwc


# ---- restore ----


def test_a_picture_is_doubled_beside_itself_and_the_line_says_so(restore, photo_file, photo, tiny_upscale2):
    outcome = restore(photo_file)
    assert outcome.status == 0 and outcome.out == ""
    result = photo_file.with_name("photo-tiny_upscale2.jpg")
    assert frame(result).shape == (180, 240, 3)
    assert "240×180, tiny_upscale2 on cpu" in outcome.err and str(result) in outcome.err
    assert np.abs(frame(result).astype(int) - Restorer(tiny_upscale2, "cpu")(frame(photo_file))).mean() < 3


def test_several_networks_run_one_after_the_other(cli, tmp_path, photo, tiny_deblock, tiny_upscale2):
    Image.fromarray(photo).save(tmp_path / "in.png")
    assert cli("restore", tmp_path / "in.png", "-m", tiny_deblock, "-m", tiny_upscale2).status == 0
    wanted = Restorer(tiny_upscale2, "cpu")(Restorer(tiny_deblock, "cpu")(photo))
    np.testing.assert_array_equal(frame(tmp_path / "in-tiny_deblock-tiny_upscale2.png"), wanted)


def test_transparency_is_enlarged_along_and_laid_on_white_in_jpeg(restore, tmp_path, photo):
    image = Image.fromarray(photo)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "in.png")
    assert restore(tmp_path / "in.png", "-o", tmp_path / "out.png").status == 0
    back = Image.open(tmp_path / "out.png")
    assert back.mode == "RGBA" and back.size == (240, 180)
    alpha = np.asarray(back)[..., 3].astype(int)
    assert np.abs(alpha - np.asarray(image)[..., 3].repeat(2, 0).repeat(2, 1)).max() <= 4
    outcome = restore(tmp_path / "in.png", "-o", tmp_path / "out.jpg")
    assert outcome.status == 0 and "on white" in outcome.err


def test_profile_exif_and_orientation_are_kept(restore, tmp_path, photo):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at the sea"
    profile = b"\0" * 16 + b"RGB " + b"\0" * 108
    Image.fromarray(photo).save(tmp_path / "in.jpg", exif=exif, icc_profile=profile, quality=95)
    assert restore(tmp_path / "in.jpg", "-o", tmp_path / "out.jpg").status == 0
    back = Image.open(tmp_path / "out.jpg")
    assert back.size == (180, 240), "upright"
    assert (back.getexif().get(0x0112), back.getexif()[0x010E]) == (None, "at the sea")
    assert back.info["icc_profile"] == profile


@pytest.mark.parametrize(("quality", "is_kept"), [(95, True), (90, True), (80, False), (10, False)])
def test_a_jpegs_own_quality_is_kept_unless_it_would_bring_its_blocks_back(
    cli, tmp_path, photo, tiny_deblock, quality, is_kept
):
    Image.fromarray(photo).save(tmp_path / "in.jpg", quality=quality)
    assert cli("restore", tmp_path / "in.jpg", "-m", tiny_deblock, "-o", tmp_path / "out.jpg").status == 0
    before, after = (Image.open(tmp_path / name).quantization for name in ("in.jpg", "out.jpg"))
    assert (before == after) == is_kept
    assert np.mean(after[0]) <= np.mean(before[0])


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "CMYK", "1", "LA"])
def test_other_kinds_of_pixels_come_out_as_rgb(restore, tmp_path, mode):
    grey = make_photo(30, 40)[..., 0]
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    image.save(tmp_path / "in.tif")
    assert restore(tmp_path / "in.tif", "-o", tmp_path / "out.png").status == 0
    result = frame(tmp_path / "out.png")
    assert result.shape == (60, 80, 3)
    if mode != "1":
        assert np.abs(result[..., 0].astype(int) - grey.repeat(2, 0).repeat(2, 1)).mean() < 16


def test_a_folder_goes_on_past_what_is_broken(restore, tmp_path, photo):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray(photo).save(tmp_path / "in" / "a.jpg")
    Image.fromarray(photo).save(tmp_path / "in" / "deep" / "b.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n not")
    outcome = restore(tmp_path / "in")
    assert one_error(outcome, "bad.png") and "2 restored, 1 failed" in outcome.err
    results = tmp_path / "in-tiny_upscale2"
    assert sorted(str(path.relative_to(results)) for path in results.rglob("*.*")) == ["a.jpg", "deep/b.png"]
    assert frame(results / "deep" / "b.png").shape == (180, 240, 3)


def test_stdin_to_stdout(restore, photo):
    data = io.BytesIO()
    Image.fromarray(photo).save(data, "PNG")
    outcome = restore("-", "-o", "-", stdin=data.getvalue())
    assert outcome.status == 0
    assert Image.open(io.BytesIO(outcome.out_bytes)).size == (240, 180)


def test_size_is_that_before_the_network(restore, tmp_path, photo_file):
    assert restore(photo_file, "-o", tmp_path / "out.png", "--size", "40").status == 0
    assert frame(tmp_path / "out.png").shape == (60, 80, 3)


def test_a_picture_that_memory_cannot_hold_is_one_line_and_the_rest_goes_on(restore, tmp_path, monkeypatch):
    from styletransfer.runtime import memory

    for name, side in (("huge", 2000), ("small", 32)):
        Image.new("RGB", (side, side)).save(tmp_path / f"{name}.png")
    monkeypatch.setattr(memory, "free_bytes", lambda: 50_000_000)
    outcome = restore(tmp_path / "huge.png", tmp_path / "small.png", "-o", tmp_path / "out")
    assert one_error(outcome, "huge.png", "2000×2000 pixels become 4000×4000", "use --size")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-m", "nonsense"), ("nonsense: no such restoration network; shipped are upscale2",)),
        (("-m", "upscale"), ("did you mean upscale2?",)),
        (("-m", "nowhere/x.onnx"), ("no such restoration file",)),
        (("-m", "starry_night"), ("starry_night: is a style, no restoration network", "`stylize`")),
        ((), ("name a restoration network with -m (upscale2)",)),
        (("-m", "upscale2", "--size", "3"), ("--size is 3",)),
        (("-m", "upscale2", "--quality", "101"), ("--quality is 101",)),
    ],
)
def test_what_cannot_be_is_one_line(
    cli, photo_file, tmp_path, monkeypatch, tiny_model, tiny_upscale2, arguments, words
):
    (tmp_path / "shelf" / "restore").mkdir(parents=True)
    shutil.copy(tiny_model, tmp_path / "shelf" / "starry_night.onnx")
    shutil.copy(tiny_upscale2, tmp_path / "shelf" / "restore" / "upscale2.onnx")
    monkeypatch.setattr(zoo, "models_dir", lambda: tmp_path / "shelf")
    before = sorted(tmp_path.iterdir())
    assert one_error(cli("restore", photo_file, *arguments), *words)
    assert sorted(tmp_path.iterdir()) == before


def test_a_style_file_is_refused_by_its_content(cli, photo_file, tiny_model):
    assert one_error(cli("restore", photo_file, "-m", tiny_model), "tiny.onnx: is a style, no restoration network")


# ---- stylize with restorers ----


def test_stylize_cleans_before_and_enlarges_after(cli, tmp_path, photo, tiny_model, tiny_deblock, tiny_upscale2):
    Image.fromarray(photo).save(tmp_path / "in.png")
    outcome = cli(
        "stylize", tmp_path / "in.png", "--style", tiny_model, "--before", tiny_deblock, "--after", tiny_upscale2
    )
    assert outcome.status == 0
    clean = Restorer(tiny_deblock, "cpu")(photo)
    wanted = Restorer(tiny_upscale2, "cpu")(Stylizer(tiny_model, "cpu")(clean))
    np.testing.assert_array_equal(frame(tmp_path / "in-tiny_deblock-tiny-tiny_upscale2.png"), wanted)


def test_no_style_is_restoration_alone(cli, tmp_path, photo, tiny_upscale2):
    Image.fromarray(photo).save(tmp_path / "in.png")
    assert cli("stylize", tmp_path / "in.png", "-m", "none", "--after", tiny_upscale2).status == 0
    np.testing.assert_array_equal(frame(tmp_path / "in-tiny_upscale2.png"), Restorer(tiny_upscale2, "cpu")(photo))


def test_a_chain_that_cannot_be_is_one_line(cli, photo_file, tiny_model, tiny_upscale2):
    assert one_error(cli("stylize", photo_file, "-m", "none"), "--model none leaves nothing to do")
    outcome = cli("stylize", photo_file, "-m", "none", "-m", tiny_model, "--after", tiny_upscale2)
    assert one_error(outcome, "--model none stands for no style")
    assert one_error(cli("stylize", photo_file, "-m", tiny_upscale2), "is a restoration network (sr, ×2), no style")
    assert one_error(cli("stylize", photo_file, "--after", tiny_model), "is a style, no restoration network")
    four_times = ("--after", tiny_upscale2) * 4
    assert one_error(cli("stylize", photo_file, "-m", "none", *four_times), "together enlarge 16 times")
