from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from samples import make_photo

import styletransfer
from styletransfer.core.errors import InputError, ModelError, SettingsError
from styletransfer.runtime import memory
from styletransfer.runtime.padding import pad_reflect
from styletransfer.runtime.stylizer import Stylizer

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def tiny(tiny_model) -> Stylizer:
    return Stylizer(tiny_model, provider="cpu")


def test_it_tells_what_it_is(tiny, tiny_model):
    assert (tiny.name, tiny.provider, tiny.path, tiny.styles) == ("tiny", "cpu", tiny_model, 1)
    assert tiny.card is not None and tiny.card.painting.title == "Test pattern"


def test_three_lines_stylize_an_array(tiny_model, photo):
    stylize = styletransfer.load(tiny_model)
    result = stylize(photo)
    assert result.shape == photo.shape and result.dtype == np.uint8
    assert np.abs(result.astype(int) - photo).mean() > 10


def test_the_channel_order_is_rgb(tiny):
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    result = tiny(red)[16, 16].astype(int)
    assert result[2] > 150 > result[0]  # the tiny style exchanges red and blue


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (15, 400), (400, 3), (1, 1), (1, 50), (90, 119)])
def test_any_size_comes_back_at_that_size(tiny, size):
    result = tiny(make_photo(*size))
    assert result.shape == (*size, 3) and result.flags.c_contiguous


def test_padding_does_not_change_the_picture_inside(tiny):
    whole = make_photo(96, 128)
    cut = tiny(whole[:93, :121])
    np.testing.assert_array_equal(cut[:80, :110], tiny(whole)[:80, :110])


def test_a_pil_image_comes_back_as_one(tiny, photo):
    result = tiny(Image.fromarray(photo))
    assert isinstance(result, Image.Image) and result.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(result), tiny(photo))
    rgba = Image.fromarray(photo)
    rgba.putalpha(99)
    assert tiny(rgba).getchannel("A").getextrema() == (99, 99)
    assert tiny(Image.fromarray(photo).convert("L")).size == (120, 90)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_phones_photo_comes_back_upright_and_in_its_colours(tiny, photo, format):
    exif = Image.Exif()
    exif[0x0112] = 6
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file, out = io.BytesIO(), io.BytesIO()
    lying = Image.fromarray(photo)
    lying.putalpha(Image.linear_gradient("L").resize(lying.size))
    lying = lying.convert("RGB") if format == "JPEG" else lying
    lying.save(file, format, exif=exif, icc_profile=icc)
    upright = ImageOps.exif_transpose(Image.open(file))
    source = Image.open(file)
    result = tiny(source)
    np.testing.assert_array_equal(np.asarray(result), np.asarray(tiny(upright)))
    assert result.size == (90, 120) and result.mode == lying.mode
    assert source.getexif()[0x0112] == 6  # the caller's own picture stays as it was
    assert result.info["icc_profile"] == icc
    result.save(out, "PNG")
    assert Image.open(out).info["icc_profile"] == icc


def test_strength_and_colours(tiny, photo):
    full = tiny(photo)
    np.testing.assert_array_equal(tiny(photo, strength=0), photo)
    half = tiny(photo, strength=0.5)
    assert np.abs(half - (photo.astype(float) + full) / 2).max() <= 1.5
    kept = tiny(photo, keep_colors=True).astype(int)
    unclipped = ((kept > 0) & (kept < 255)).all(-1)
    chroma = (kept[..., 0] - kept[..., 2])[unclipped]
    np.testing.assert_array_equal(chroma, (photo.astype(int)[..., 0] - photo[..., 2])[unclipped])
    with pytest.raises(SettingsError):
        tiny(photo, strength=1.5)


def test_the_picture_given_is_not_changed(tiny, photo):
    before = photo.copy()
    tiny(photo)[:] = 0
    tiny(photo, strength=0)[:] = 0
    np.testing.assert_array_equal(photo, before)


def test_non_contiguous_frames_are_fine(tiny, photo):
    np.testing.assert_array_equal(tiny(photo[:, ::-1]), tiny(np.ascontiguousarray(photo[:, ::-1])))


def test_a_batch_equals_its_frames(tiny, photo):
    frames = np.stack([photo, photo[::-1], 255 - photo])
    results = tiny.batch(frames)
    for frame, result in zip(frames, results, strict=True):
        np.testing.assert_array_equal(result, tiny(frame))
    assert tiny.batch(frames[:0]).shape == (0, 90, 120, 3)


def test_warming_up_changes_no_result(tiny, photo):
    before = tiny(photo)
    tiny.warm_up(90, 120)
    np.testing.assert_array_equal(tiny(photo), before)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((20, 20, 3), np.float32),
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 4), np.uint8),
        np.zeros((0, 20, 3), np.uint8),
        np.zeros((1, 20, 20, 3), np.uint8),
        "photo.jpg",
        None,
    ],
)
def test_what_is_no_frame_is_refused(tiny, wrong):
    with pytest.raises(InputError, match="expected RGB"):
        tiny(wrong)


def test_style_weights_are_refused_by_a_file_with_one_style(tiny, photo):
    with pytest.raises(SettingsError, match="single style"):
        tiny(photo, style_weights=[1.0])


def test_a_picture_too_large_for_the_memory_is_refused_with_a_size_that_fits(tiny, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 10_000_000)
    monkeypatch.setattr(memory, "FREELY_ALLOWED_PIXELS", 1000)
    with pytest.raises(InputError, match=r"400×300 pixels need about .* use --size \d+") as caught:
        tiny(make_photo(300, 400))
    side = int(str(caught.value).rsplit(" ", 1)[1])
    assert 16 <= side < 400
    assert tiny(make_photo(side * 3 // 4, side)).shape[1] == side


def test_a_huge_picture_is_stylized_like_a_small_one(tiny, photo, monkeypatch):
    expected = tiny(photo)
    monkeypatch.setattr(memory, "FREELY_ALLOWED_PIXELS", 1000)
    np.testing.assert_array_equal(tiny(photo), expected)
    assert memory.bytes_needed(9000, 12000, None) > 50e9


def test_free_memory_is_known_here():
    free = memory.free_bytes()
    assert free is None or 2**20 < free < 2**50


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 3), (5, 7)])
@pytest.mark.parametrize("place", [(0, 0), (2, 3), (9, 1)])
def test_reflection_is_the_one_of_numpy(size, place):
    frames = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    (height, width), (top, left) = size, place
    around = ((0, 0), (top, 20 - top - height), (left, 24 - left - width), (0, 0))
    expected = np.pad(frames, around, mode="reflect")
    np.testing.assert_array_equal(pad_reflect(frames, 20, 24, top, left), expected)


@pytest.mark.usefixtures("openvino")
def test_openvino_agrees_with_the_cpu_before_and_after_warming_up(tiny, tiny_model, photo):
    stylize = Stylizer(tiny_model, provider="openvino")
    assert stylize.provider == "openvino"
    expected = tiny(photo).astype(int)
    for _ in range(2):
        assert np.abs(stylize(photo) - expected).mean() < 2  # it computes in bfloat16 where it can
        stylize.warm_up(90, 120)


# ---- wrong files ----


def bad_files(tmp_path, tiny_model):
    whole = tiny_model.read_bytes()
    (tmp_path / "folder.onnx").mkdir()
    files = {
        "empty": b"",
        "text": b"not a model\n" * 40,
        "truncated": whole[: len(whole) // 2],
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "card": whole.replace(b'"version": 1', b'"version": {'),
        "newer": whole.replace(b'"version": 1', b'"version": 9'),
    }
    for name, data in files.items():
        (tmp_path / f"{name}.onnx").write_bytes(data)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty", "the file is empty"),
        ("text", "cannot load it"),
        ("truncated", "cannot load it"),
        ("picture", "cannot load it"),
        ("folder", "is a folder"),
        ("missing", "no such file; a style that"),
        ("card", "card inside the file is damaged"),
        ("newer", "upgrade styletransfer"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, tiny_model, name, says):
    bad_files(tmp_path, tiny_model)
    with pytest.raises(ModelError, match=says) as caught:
        Stylizer(tmp_path / f"{name}.onnx", provider="cpu")
    assert f"{name}.onnx" in str(caught.value) and "\n" not in str(caught.value)
