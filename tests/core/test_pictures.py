from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from styletransfer.core.errors import InputError, OutputError
from styletransfer.core.picture_files import MAX_PIXELS
from styletransfer.core.pictures import Picture, fit_size, load_picture, resize_frame, save_picture


def stored(image: Image.Image, format: str = "PNG", **options) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    buffer.seek(0)
    return buffer


def profile(space: str = "sRGB") -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def relabelled(icc: bytes, space: bytes) -> bytes:
    """The profile with another colour space in its header, so that it is damaged for that space."""
    return icc[:16] + space + icc[20:]


# ---- modes ----


def test_a_photo_comes_in_as_contiguous_rgb_bytes(photo):
    picture = load_picture(stored(Image.fromarray(photo)))
    np.testing.assert_array_equal(picture.frame_hwc, photo)
    assert picture.frame_hwc.flags.c_contiguous and picture.frame_hwc.dtype == np.uint8
    assert picture.alpha_hw is None and picture.format == "PNG"


@pytest.mark.parametrize("mode", ["L", "1", "P", "YCbCr", "LAB"])
def test_other_modes_become_the_rgb_that_a_viewer_shows(photo, mode):
    format = {"YCbCr": "JPEG", "LAB": "TIFF"}.get(mode, "PNG")
    image = Image.fromarray(photo).convert(mode)
    picture = load_picture(stored(image, format, quality=95, subsampling=0))
    shown = np.asarray(image.convert("RGB"), dtype=int)
    assert np.abs(picture.frame_hwc - shown).mean() < 5


def test_16_bit_grey_is_scaled_not_clipped():
    levels = np.linspace(0, 65535, 256 * 4).reshape(4, 256).astype(np.uint16)
    for format in ("PNG", "TIFF"):
        picture = load_picture(stored(Image.fromarray(levels), format))
        np.testing.assert_allclose(picture.frame_hwc[..., 1], levels / 257, atol=0.51)


def tiff(planes: list[np.ndarray], photometric: int = 1, bits: int = 0, form: int = 1, order: str = "<") -> bytes:
    """A TIFF of one strip a plane, as Pillow does not write it: pixels ``[H, W]`` or ``[H, W, C]``, packed as given."""
    height, width, *packed = planes[0].shape
    channels = packed[0] if packed else len(planes)
    strips = [np.ascontiguousarray(plane).astype(plane.dtype.newbyteorder(order)).tobytes() for plane in planes]
    starts = [8 + sum(map(len, strips[:index])) for index in range(len(strips))]
    bits = bits or planes[0].dtype.itemsize * 8
    width = width * planes[0].dtype.itemsize * 8 // bits
    tags = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [bits] * channels), 259: ("H", [1]),
        262: ("H", [photometric]), 273: ("I", starts), 277: ("H", [channels]), 278: ("I", [height]),
        279: ("I", list(map(len, strips))), 284: ("H", [1 if len(planes) == 1 else 2]), 339: ("H", [form] * channels),
    }  # fmt: skip
    body = b"".join(strips)
    directory, more = struct.pack(order + "H", len(tags)), b""
    after = 8 + len(body) + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in tags.items():
        stored = struct.pack(f"{order}{len(values)}{kind}", *values)
        directory += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[kind], len(values))
        directory += stored.ljust(4, b"\0") if len(stored) <= 4 else struct.pack(order + "I", after + len(more))
        more += stored if len(stored) > 4 else b""
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "I", 8 + len(body)) + body + directory + b"\0" * 4 + more


def test_big_endian_16_bit_tiff_is_read_in_the_right_order():
    levels = np.array([[0, 257, 25700, 65535]], np.uint16)
    picture = load_picture(io.BytesIO(tiff([levels], order=">")))
    assert picture.frame_hwc[0, :, 0].tolist() == [0, 1, 100, 255]


def test_grey_tiffs_whose_white_is_zero_are_no_negatives():
    for levels in (np.array([[65535, 65278, 39835, 0]], np.uint16), np.array([[255, 254, 155, 0]], np.uint8)):
        picture = load_picture(io.BytesIO(tiff([levels], photometric=0)))
        assert picture.frame_hwc[0, :, 0].tolist() == [0, 1, 100, 255]


def test_unsigned_32_bit_grey_is_not_read_as_signed():
    levels = np.array([[0, 257, 25700, 65535]], np.uint32) * 65537
    picture = load_picture(io.BytesIO(tiff([levels])))
    assert picture.frame_hwc[0, :, 0].tolist() == [0, 1, 100, 255]


def test_12_bit_grey_reaches_white():
    packed = np.array([[0x00, 0x0F, 0xFF, 0x80, 0x08, 0x00]], np.uint8)  # 0, 4095, 2048, 2048
    picture = load_picture(io.BytesIO(tiff([packed], bits=12)))
    assert picture.frame_hwc[0, :, 0].tolist() == [0, 255, 128, 128]


def test_a_tiff_of_an_unsupported_kind_is_called_that(photo):
    deep = photo.astype(np.uint16) * 257
    cases = {
        "3 × 16-bit, planes apart": [deep[..., channel] for channel in range(3)],
        "3 × 32-bit float": [photo.astype(np.float32)],
        "2 × 16-bit": [deep[..., :2]],
    }
    for kind, planes in cases.items():
        file = tiff(planes, 1 if kind[0] == "2" else 2, form=3 if "float" in kind else 1)
        with pytest.raises(InputError, match=rf"\({kind}\) is not supported; save it as PNG"):
            load_picture(io.BytesIO(file))
        with pytest.raises(InputError, match=r"damaged or cut short|is not supported"):
            load_picture(io.BytesIO(file[: len(file) // 2]))
    packed = load_picture(io.BytesIO(tiff([deep], 2)))
    apart = load_picture(io.BytesIO(tiff([photo[..., channel] for channel in range(3)], 2)))
    np.testing.assert_array_equal(packed.frame_hwc, photo)
    np.testing.assert_array_equal(apart.frame_hwc, photo)


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_tiff_is_scaled_and_its_nan_is_black(top):
    levels = np.linspace(0, top, 100, dtype=np.float32).reshape(10, 10)
    levels[0, 0] = np.nan
    picture = load_picture(stored(Image.fromarray(levels), "TIFF"))
    assert picture.frame_hwc[0, 0, 0] == 0 and picture.frame_hwc[-1, -1, 0] == 255
    assert abs(int(picture.frame_hwc[5, 0, 0]) - 129) <= 1


def test_alpha_is_kept_apart_and_written_back(photo):
    alpha = np.tile(np.arange(120, dtype=np.uint8), (90, 1))
    rgba = np.dstack([photo, alpha])
    picture = load_picture(stored(Image.fromarray(rgba)))
    np.testing.assert_array_equal(picture.alpha_hw, alpha)
    np.testing.assert_array_equal(picture.frame_hwc, photo)
    out = io.BytesIO()
    save_picture(picture, out, "PNG")
    np.testing.assert_array_equal(np.asarray(Image.open(out)), rgba)


def test_grey_with_alpha_and_palette_with_transparency_keep_it(photo):
    grey = Image.fromarray(photo).convert("L")
    grey.putalpha(Image.new("L", grey.size, 77))
    assert (load_picture(stored(grey)).alpha_hw == 77).all()
    palette = Image.fromarray(photo).quantize(16)
    index = int(np.asarray(palette)[0, 0])
    picture = load_picture(stored(palette, transparency=index))
    np.testing.assert_array_equal(picture.alpha_hw == 0, np.asarray(palette) == index)


def test_alpha_is_laid_on_white_in_a_jpeg():
    frame = np.zeros((16, 16, 3), np.uint8)
    picture = Picture(frame, alpha_hw=np.zeros((16, 16), np.uint8))
    out = io.BytesIO()
    save_picture(picture, out, "JPEG")
    assert np.asarray(Image.open(out)).min() > 250


def test_alpha_is_rounded_in_a_gif(photo):
    alpha = np.tile(np.linspace(0, 255, photo.shape[1]).astype(np.uint8), (photo.shape[0], 1))
    out = io.BytesIO()
    save_picture(Picture(photo, alpha_hw=alpha), out, "GIF")
    np.testing.assert_array_equal(load_picture(io.BytesIO(out.getvalue())).alpha_hw, (alpha >= 128) * 255)


def test_cmyk_becomes_rgb_and_its_profile_does_not_follow(photo):
    cmyk = Image.fromarray(photo).convert("CMYK")
    bad = relabelled(profile(), b"CMYK")  # a profile that lies: the plain conversion must take over
    for options in ({}, {"icc_profile": bad}):
        picture = load_picture(stored(cmyk, "JPEG", quality=95, **options))
        assert np.abs(picture.frame_hwc.astype(int) - photo).mean() < 6
        assert picture.icc_profile is None
        assert picture.jpeg_qtables is None


def test_an_rgb_profile_is_kept_and_one_of_another_space_dropped(photo):
    icc = profile()
    rgb = load_picture(stored(Image.fromarray(photo), icc_profile=icc))
    assert rgb.icc_profile == icc
    grey = Image.fromarray(photo).convert("L")
    assert load_picture(stored(grey, icc_profile=relabelled(icc, b"GRAY"))).icc_profile is None


# ---- orientation, animation, size ----


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_not_written_again(photo, orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that a camera did
    image = Image.fromarray(photo)
    if orientation != 1:
        image = image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    picture = load_picture(stored(image, "PNG", exif=exif))
    np.testing.assert_array_equal(picture.frame_hwc, photo)
    out = io.BytesIO()
    save_picture(picture, out, "JPEG")
    written = Image.open(out).getexif()
    assert 0x0112 not in written and written[0x010F] == "Maker"


def test_a_tag_of_an_odd_type_costs_neither_the_turn_nor_the_other_tags(photo):
    """YCbCrPositioning as a fraction, which Pillow reads but does not write."""
    maker = b"Maker\0"
    head = b"II*\0" + struct.pack("<IH", 8, 3)
    entries = struct.pack("<HHII", 0x010F, 2, len(maker), 50)
    entries += struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", 531, 5, 1, 56)
    exif = b"Exif\0\0" + head + entries + struct.pack("<I", 0) + maker + struct.pack("<II", 1, 2)
    picture = load_picture(stored(Image.fromarray(photo[:40, :60]), "PNG", exif=exif))
    assert picture.frame_hwc.shape[:2] == (60, 40)
    out = io.BytesIO()
    save_picture(picture, out, "JPEG")
    assert dict(Image.open(out).getexif()) == {0x010F: "Maker"}


def test_damaged_exif_does_not_cost_the_picture(photo):
    file = stored(Image.fromarray(photo), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    picture = load_picture(file)
    assert picture.frame_hwc.shape == photo.shape
    save_picture(picture, io.BytesIO(), "JPEG")


def test_an_animation_gives_its_first_frame_and_says_so(photo):
    frames = [Image.fromarray(photo), Image.fromarray(255 - photo)]
    picture = load_picture(stored(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert picture.has_more_frames
    assert np.abs(picture.frame_hwc.astype(int) - photo).mean() < 20
    assert not load_picture(stored(frames[0], "GIF")).has_more_frames


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("longest", [50, 240])
def test_longest_sets_the_longer_side_and_keeps_proportions(photo, format, longest):
    picture = load_picture(stored(Image.fromarray(photo), format, quality=95, subsampling=0), longest=longest)
    assert picture.frame_hwc.shape == (longest * 3 // 4 + (longest == 50), longest, 3)
    expected = np.asarray(Image.fromarray(photo).resize(picture.frame_hwc.shape[1::-1], 1), dtype=int)
    assert np.abs(picture.frame_hwc - expected).mean() < 4


def test_resizing_helpers():
    assert fit_size((4000, 3000), 1000) == (1000, 750)
    assert fit_size((10, 4000), 100) == (1, 100)
    frame = np.zeros((10, 20, 3), np.uint8)
    assert resize_frame(frame, (20, 10)) is frame
    assert resize_frame(frame, (7, 5)).shape == (5, 7, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (400, 15)])
def test_tiny_pictures_come_in(size):
    assert load_picture(stored(Image.new("RGB", size))).frame_hwc.shape == (size[1], size[0], 3)


# ---- bad files ----


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))


BAD = {
    "empty": (b"", "empty"),
    "text": (b"this is not a picture\n" * 50, "is no picture that can be read"),
    "zeros": (b"\0" * 5000, "is no picture that can be read"),
    "bomb": (png_header(60_000, 60_000), f"more than {MAX_PIXELS:,} pixels"),
    "no data": (png_header(64, 64), "damaged or cut short"),
    "png header only": (b"\x89PNG\r\n\x1a\n", "is no picture"),
    "jpeg header only": (b"\xff\xd8\xff\xe0\0\x10JFIF", "is no picture"),
    "heic": (b"\0\0\0\x18ftypheic" + b"\0" * 200, "HEIC pictures cannot be read"),
    "video": (b"\0\0\0\x18ftypisom" + b"\0" * 200, "styletransfer video"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_clear_line(tmp_path, case):
    data, says = BAD[case]
    path = tmp_path / "bad.jpg"
    path.write_bytes(data)
    with pytest.raises(InputError, match=says) as caught:
        load_picture(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_a_cut_short_file_is_refused_whatever_is_missing(tmp_path, photo, format):
    whole = stored(Image.fromarray(photo), format).getvalue()
    for part in (0.02, 0.5, 0.9):
        path = tmp_path / f"{part}.bin"
        path.write_bytes(whole[: max(4, int(len(whole) * part))])
        with pytest.raises(InputError, match=r"damaged or cut short|is no picture") as caught:
            load_picture(path)
        assert "video" not in str(caught.value)


def test_a_png_whose_pixels_fail_their_checksum_is_damaged(photo):
    whole = bytearray(stored(Image.fromarray(photo)).getvalue())
    whole[-13] ^= 255  # of the checksum before the end mark
    with pytest.raises(InputError, match=r"damaged .the checksum"):
        load_picture(io.BytesIO(whole))
    behind = stored(Image.fromarray(photo)).getvalue() + b"what some programs leave behind the end"
    np.testing.assert_array_equal(load_picture(io.BytesIO(behind)).frame_hwc, photo)


def test_random_damage_never_escapes_as_another_error(photo):
    rng = np.random.default_rng(1)
    for format in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "TGA", "PPM", "JPEG2000"):
        whole = np.frombuffer(stored(Image.fromarray(photo[:40, :40]), format).getvalue(), np.uint8)
        for _ in range(25):
            damaged = whole.copy()
            places = rng.integers(0, min(len(whole), 400), 6)
            damaged[places] = rng.integers(0, 256, 6)
            try:
                picture = load_picture(io.BytesIO(damaged.tobytes()))
            except InputError:
                continue
            assert picture.frame_hwc.ndim == 3


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_picture(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="is a folder"):
        load_picture(tmp_path)


@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="no such device here")
def test_an_endless_device_is_refused():
    with pytest.raises(InputError, match="is a device"):
        load_picture(Path("/dev/zero"))


def test_a_file_too_large_to_be_a_picture_is_not_read(tmp_path):
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(InputError, match="is larger than"):
        load_picture(path)


def test_a_name_that_lies_is_read_by_its_content(tmp_path, photo):
    path = tmp_path / "really_a_png.jpg"
    Image.fromarray(photo).save(path, "PNG")
    picture = load_picture(path)
    assert picture.format == "PNG"
    np.testing.assert_array_equal(picture.frame_hwc, photo)


# ---- writing ----


def test_jpeg_quality_subsampling_profile_and_dpi_survive(tmp_path, photo):
    for quality, subsampling in ((35, 2), (97, 0)):
        source = stored(
            Image.fromarray(photo), "JPEG", quality=quality, subsampling=subsampling, dpi=(240, 240),
            icc_profile=profile(),
        )  # fmt: skip
        picture = load_picture(source)
        target = tmp_path / f"{quality}.jpg"
        save_picture(picture, target)
        before, after = Image.open(source), Image.open(target)
        assert after.quantization == before.quantization
        assert picture.jpeg_subsampling == load_picture(target).jpeg_subsampling == subsampling
        assert after.info["icc_profile"] == profile()
        assert after.info["dpi"] == (240, 240)


def test_quality_overrides_the_source(tmp_path, photo):
    picture = load_picture(stored(Image.fromarray(photo), "JPEG", quality=95))
    save_picture(picture, tmp_path / "own.jpg")
    save_picture(picture, tmp_path / "small.jpg", quality=20)
    assert (tmp_path / "small.jpg").stat().st_size < (tmp_path / "own.jpg").stat().st_size / 2


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "webp", "tiff", "bmp", "gif", "avif", "jp2", "ppm", "tga"])
def test_every_suffix_is_written_in_its_format(tmp_path, photo, suffix):
    codec = {"avif": "avif", "jp2": "jpg_2000"}.get(suffix)
    if codec and not features.check(codec):
        pytest.skip("this Pillow was built without it")
    target = tmp_path / f"out.{suffix}"
    save_picture(Picture(photo, exif=Image.Exif().tobytes(), icc_profile=profile()), target)
    back = load_picture(target)
    assert back.format is not None and back.format[:2] == suffix[:2].upper()
    assert np.abs(back.frame_hwc.astype(int) - photo).mean() < 12


def test_noise_at_the_highest_quality_can_be_written():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    picture = load_picture(stored(Image.fromarray(noise), "JPEG", quality=100, subsampling=0))
    save_picture(picture, io.BytesIO(), "JPEG")


def test_what_a_format_cannot_hold_is_one_line_and_leaves_nothing(tmp_path, capfd):
    wide = Picture(np.zeros((2, 70_000, 3), np.uint8))
    for name in ("wide.jpg", "wide.webp"):
        with pytest.raises(OutputError, match="cannot be written as"):
            save_picture(wide, tmp_path / name)
    for name in ("out.xyz", "out"):
        with pytest.raises(OutputError, match="end the name in"):
            save_picture(wide, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""  # libjpeg prints lines of its own


def camera_exif(source: str) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    if source != "TIFF":
        exif[0x0100], exif[0x0103] = 4000, 6  # a camera's own width and compression, which are not the result's
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    exif.get_ifd(0x8769)[0x927C] = b"\1\2\3" * 50  # MakerNote
    exif.get_ifd(0x8769)[0xA005] = {1: "R98"}
    exif.get_ifd(0x8825)[2] = (47.0, 22.0, 8.5)
    return exif.tobytes()


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_cameras_exif_goes_into_every_format_that_holds_it(photo, source, format, capfd):
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without it")
    picture = load_picture(stored(Image.fromarray(photo), source, exif=camera_exif(source)))
    out = io.BytesIO()
    save_picture(picture, out, format)
    out.seek(0)
    written = Image.open(out)
    kept = written.getexif()
    assert kept[0x010F] == "Maker"
    assert kept.get_ifd(0x8769)[0x9003] == "2020:01:01 00:00:00"
    assert kept.get_ifd(0x8825)[2] == (47.0, 22.0, 8.5)
    assert kept.get_ifd(0xA005) == {1: "R98"} or source == "TIFF"  # where Pillow, as used above, loses it
    assert np.abs(np.asarray(written, dtype=int) - picture.frame_hwc).mean() < 8
    assert capfd.readouterr().err == ""  # libtiff prints lines of its own


def test_exif_that_is_too_long_is_dropped_and_nothing_else(photo):
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    source = stored(Image.fromarray(photo), "JPEG", quality=35, dpi=(240, 240), icc_profile=profile())
    picture = replace(load_picture(source), exif=exif.tobytes())
    out = io.BytesIO()
    save_picture(picture, out, "JPEG")
    written = Image.open(out)
    assert not written.getexif()
    assert written.info["icc_profile"] == profile() and written.info["dpi"] == (240, 240)
    assert written.quantization == Image.open(source).quantization


def test_a_failed_write_keeps_the_older_file(tmp_path, photo, monkeypatch):
    target = tmp_path / "out.png"
    save_picture(Picture(photo), target)
    before = target.read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        save_picture(replace(Picture(photo), frame_hwc=255 - photo), target)
    monkeypatch.undo()
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("mode", ["I;16", "F", "LAB", "1"])
@pytest.mark.parametrize("format", ["TIFF", "JPEG", "PNG"])
def test_what_a_tiff_says_of_its_own_pixels_is_not_written_again(photo, mode, format):
    image = Image.fromarray(photo)
    image = image.convert("L").convert("F") if mode == "F" else image.convert(mode)
    picture = load_picture(stored(image, "TIFF", compression="tiff_lzw", tiffinfo={0x010F: "Maker", 0x013B: "Artist"}))
    out = io.BytesIO()
    save_picture(picture, out, format)
    written = Image.open(out)
    assert written.mode == "RGB"
    difference = np.abs(np.asarray(written, dtype=int) - picture.frame_hwc)
    assert difference.mean() < (8 if format == "JPEG" else 1e-9)
    exif = written.getexif()
    assert (exif[0x010F], exif[0x013B]) == ("Maker", "Artist")
    assert format == "TIFF" or set(exif) == {0x010F, 0x013B}
