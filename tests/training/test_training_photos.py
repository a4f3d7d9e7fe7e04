from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")

from styletransfer.core.errors import InputError  # noqa: E402
from styletransfer.core.photos import find_photos  # noqa: E402
from styletransfer.training.data import PhotoSampler, load_painting  # noqa: E402


def sampler(folder, batch=2, size=32, seed=0):
    return PhotoSampler(find_photos(folder), batch, size, seed)


def colours(count):
    """Clearly different colours, none of them grey."""
    return [(40 + 200 * i // count, 230 - 200 * i // count, 10 + 90 * (i % 3)) for i in range(count)]


@pytest.fixture
def palette_folder(tmp_path):
    """Eight photos of one colour each."""
    folder = tmp_path / "palette"
    folder.mkdir()
    for index, colour in enumerate(colours(8)):
        Image.new("RGB", (80, 70), colour).save(folder / f"{index}.png")
    return folder


def spoil(folder):
    """Seven files that cannot be used, by reason: five damaged, one tiny, one grey."""
    good = folder / "0.jpg"
    (folder / "cut.jpg").write_bytes(good.read_bytes()[:900])
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "zeros.webp").write_bytes(bytes(5000))
    (folder / "more" / "header.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    Image.fromarray(make_photo(63, 200)).save(folder / "tiny.png")
    Image.fromarray(make_photo(90, 90)).convert("L").save(folder / "more" / "grey.jpg")


# ---- finding them ----


def test_photos_are_found_at_every_level_in_a_fixed_order(photo_folder):
    (photo_folder / "notes.txt").write_text("no photo")
    (photo_folder / ".thumbnail.jpg").write_bytes(b"")
    (photo_folder / "0.jpg").rename(photo_folder / "0.JPG")
    names = [path.relative_to(photo_folder).as_posix() for path in find_photos(photo_folder)]
    assert names == ["0.JPG", "2.jpg", "4.jpg", "more/1.jpg", "more/3.jpg", "more/5.jpg"]


def test_a_missing_folder_says_how_to_get_photos(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder.*styletransfer photos"):
        find_photos(tmp_path / "nowhere")


def test_a_folder_without_photos_says_so(tmp_path):
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(InputError, match="no picture in it"):
        find_photos(tmp_path)


# ---- skipping what cannot be used ----


def test_unusable_files_are_skipped_and_counted_once(photo_folder):
    spoil(photo_folder)
    draw = sampler(photo_folder, batch=4)
    batches = [draw(step) for step in range(8)]  # more than two epochs of 13 files
    assert all(batch.photos.shape == (4, 3, 32, 32) for batch in batches)
    skipped = draw.skipped
    assert (len(skipped.damaged), len(skipped.tiny), len(skipped.grey)) == (5, 1, 1)
    assert len(skipped) == 7 and str(skipped) == "5 damaged, 1 tiny, 1 grey"


def test_a_photo_with_the_wrong_suffix_is_used(tmp_path):
    Image.new("RGB", (80, 80), (200, 30, 10)).save(tmp_path / "really-a.jpg", format="PNG")
    draw = sampler(tmp_path)
    assert draw.photo_crop(0)[0, 0].tolist() == [200, 30, 10] and not len(draw.skipped)


def test_no_usable_photo_is_an_error_that_counts_them(photo_folder):
    spoil(photo_folder)
    for path in [*photo_folder.glob("?.jpg"), *photo_folder.glob("more/?.jpg")]:
        path.unlink()
    with pytest.raises(InputError, match=r"none of the 7 photos.*5 damaged, 1 tiny, 1 grey"):
        sampler(photo_folder)(0)
    with pytest.raises(InputError, match="none of the 7 photos"):
        list(sampler(photo_folder).batches(0, 4, workers=2))


# ---- what a batch is ----


def test_a_batch_is_bytes_in_channels_last(photo_folder):
    photos = sampler(photo_folder, batch=3, size=48)(0).photos
    assert photos.shape == (3, 3, 48, 48) and photos.dtype == torch.uint8
    assert photos.is_contiguous(memory_format=torch.channels_last)


def test_a_small_photo_is_enlarged_to_the_crop(photo_folder):
    assert sampler(photo_folder, size=128)(0).photos.shape == (2, 3, 128, 128)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photos_are_upright_whatever_the_camera_held(tmp_path, orientation):
    upright = Image.new("RGB", (128, 128), (220, 20, 20))
    upright.paste((20, 20, 220), (0, 64, 128, 128))  # red above blue
    turned = {1: upright, 3: upright.rotate(180), 6: upright.rotate(90), 8: upright.rotate(270)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned.save(tmp_path / "photo.png", exif=exif)
    draw = sampler(tmp_path)
    for position in range(6):
        crop = draw.photo_crop(position)
        assert crop[0, :, 0].min() > 200 and crop[-1, :, 2].min() > 200


def test_an_epoch_shows_every_photo_once_and_the_next_in_another_order(palette_folder):
    draw = sampler(palette_folder)
    seen = [tuple(draw.photo_crop(position)[16, 16].tolist()) for position in range(16)]
    assert sorted(seen[:8]) == sorted(seen[8:]) == sorted(colours(8))
    assert seen[:8] != seen[8:]


def test_crops_of_one_photo_differ(photo_folder, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    (photo_folder / "0.jpg").rename(folder / "0.jpg")
    draw = sampler(folder)
    assert len({draw.photo_crop(position).tobytes() for position in range(8)}) == 8


def test_a_few_crops_are_smooth_gradients_at_the_front_of_the_batch(palette_folder):
    draw = sampler(palette_folder, batch=4)
    batches = [draw(step) for step in range(200)]
    with_gradient = [batch for batch in batches if batch.gradients]
    assert 8 <= len(with_gradient) <= 45  # 12 % of 200, give or take three sigmas
    for batch in with_gradient:
        assert batch.gradients == 1
        slopes = batch.photos[0].float().diff(dim=-1)
        assert slopes.diff(dim=-1).abs().max() <= 2  # straight, up to rounding; no noise


# ---- the same every time ----


def test_a_batch_depends_on_seed_and_step_alone(photo_folder):
    spoil(photo_folder)
    in_order = [batch.photos for batch in sampler(photo_folder).batches(0, 8, workers=1)]
    by_threads = [batch.photos for batch in sampler(photo_folder).batches(0, 8, workers=4)]
    late = [batch.photos for batch in sampler(photo_folder).batches(5, 8, workers=2)]
    assert all(torch.equal(a, b) for a, b in zip(in_order, by_threads, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(in_order[5:], late, strict=True))
    assert not torch.equal(in_order[0], sampler(photo_folder, seed=1)(0).photos)


def test_leaving_early_ends_the_threads(photo_folder):
    import threading

    batches = sampler(photo_folder).batches(0, 10_000, workers=2)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("photos")]


# ---- the painting ----


def test_the_painting_is_scaled_to_its_longer_side(tmp_path):
    wide = Image.new("RGBA", (200, 100), (10, 200, 30, 255))
    wide.paste((250, 0, 0, 255), (100, 0, 200, 100))
    wide.save(tmp_path / "wide.png")
    painting = load_painting(tmp_path / "wide.png", 64)
    assert painting.shape == (1, 3, 32, 64) and painting.dtype == torch.float32
    assert painting[0, :, 5, 5].tolist() == [10, 200, 30]


def test_a_very_long_painting_keeps_sixteen_pixels(tmp_path):
    Image.linear_gradient("L").resize((2000, 20)).convert("RGB").save(tmp_path / "frieze.png")
    assert load_painting(tmp_path / "frieze.png", 64).shape == (1, 3, 16, 64)


def test_a_grey_painting_is_a_painting(tmp_path):
    Image.fromarray(np.full((50, 50), 128, np.uint8) - np.eye(50, dtype=np.uint8) * 100).save(tmp_path / "etching.png")
    painting = load_painting(tmp_path / "etching.png", 32)
    assert torch.equal(painting[:, 0], painting[:, 2]) and painting[0, 0, 0, -1] == 128


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 30)])
def test_what_is_all_of_one_colour_is_no_painting(tmp_path, colour):
    Image.new("RGB", (60, 40), colour).save(tmp_path / "flat.png")
    with pytest.raises(InputError, match=r"flat\.png: is all of one colour"):
        load_painting(tmp_path / "flat.png", 32)


def test_what_trainings_made_among_the_photos_is_no_photo(photo_folder):
    before = find_photos(photo_folder)
    work = photo_folder / "mine.training"
    work.mkdir()
    for path in (work / "preview.png", photo_folder / "mine-sheet.png", photo_folder / "mine-losses.png"):
        path.write_bytes(before[0].read_bytes())
    (photo_folder / "other-sheet.png").write_bytes(before[0].read_bytes())
    assert len(find_photos(photo_folder)) == len(before) + 4, "nothing says that these are a training's"
    (work / "log.jsonl").touch()
    assert [path.name for path in find_photos(photo_folder) if path not in before] == ["other-sheet.png"]


def test_a_text_file_is_no_painting(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(InputError, match=r"a\.png"):
        load_painting(tmp_path / "a.png", 64)
