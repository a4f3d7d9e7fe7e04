from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")

from styletransfer.core.errors import InputError  # noqa: E402
from styletransfer.core.photos import find_photos  # noqa: E402
from styletransfer.core.pictures import load_picture  # noqa: E402
from styletransfer.core.settings_restore import RestoreSettings  # noqa: E402
from styletransfer.training.restoration import patches  # noqa: E402
from styletransfer.training.restoration.degrade import shrink  # noqa: E402
from styletransfer.training.restoration.patches import PatchSampler, find_all_photos  # noqa: E402


def settings(**told):
    return RestoreSettings(**{"scale": 2, "batch": 3, "image_size": 32, **told})


def orientations(frame):
    turned = [np.rot90(frame, turns) for turns in range(4)]
    return [view for frame in turned for view in (frame, frame[:, ::-1])]


def is_part_of(patch, frame):
    """Whether the patch is somewhere in the frame."""
    height, width = patch.shape[:2]
    inside = frame[: len(frame) - height + 1, : frame.shape[1] - width + 1]
    places = np.argwhere((inside == patch[0, 0]).all(2))
    return any(np.array_equal(frame[y : y + height, x : x + width], patch) for y, x in places)


def test_clean_leaves_the_blur_of_the_optics(photo_folder, monkeypatch):
    monkeypatch.setattr(patches, "spoiler", lambda settings: lambda frame, rng: frame)
    paths = find_photos(photo_folder)
    sampler = PatchSampler(paths, settings(task="clean", scale=1))
    photos = [load_picture(path).frame_hwc for path in paths]
    soft = 0
    for position in range(12):
        spoiled, target = sampler.pair(position)
        assert np.array_equal(spoiled, target)
        soft += not any(is_part_of(view, photo) for view in orientations(target) for photo in photos)
    assert 0 < soft < 12


@pytest.mark.parametrize("told", [{"scale": 4}, {"task": "denoise", "scale": 1}, {"task": "clean", "scale": 1}])
def test_a_batch_is_a_function_of_seed_and_step(photo_folder, told):
    paths = find_photos(photo_folder)
    first, second = PatchSampler(paths, settings(**told)), PatchSampler(paths, settings(**told))
    second(0)
    assert torch.equal(first(7).spoiled, second(7).spoiled) and torch.equal(first(7).target, second(7).target)
    assert not torch.equal(first(7).target, first(8).target)
    assert not torch.equal(first(7).target, PatchSampler(paths, settings(**told, seed=1))(7).target)
    ahead = list(first.batches(6, 9, workers=2))
    assert len(ahead) == 3 and torch.equal(ahead[1].spoiled, second(7).spoiled)
    scale = told["scale"]
    assert first(0).target.shape == (3, 3, 32, 32) and first(0).spoiled.shape == (3, 3, 32 // scale, 32 // scale)


def test_both_patches_show_the_same_place_in_one_orientation(photo_folder):
    sampler = PatchSampler(find_photos(photo_folder), settings(scale=4))
    seen = set()
    for position in range(24):
        small, target = sampler.pair(position)
        inner = shrink(target, 4)[1][2:-2, 2:-2]  # the border of the patch is none of the photo
        assert np.abs(inner.astype(int) - small[2:-2, 2:-2]).max() <= 1
        photos = [load_picture(path).frame_hwc for path in sampler.paths]
        hits = [turn for turn, view in enumerate(orientations(target)) if any(is_part_of(view, p) for p in photos)]
        assert len(hits) == 1
        seen.add(hits[0])
    assert len(seen) > 4


def test_patches_begin_anywhere_in_jpegs_grid(tmp_path):
    Image.fromarray(make_photo(64, 64)).save(tmp_path / "a.png")
    sampler = PatchSampler([tmp_path / "a.png"], settings(task="deblock", scale=1, quality="5"))
    offsets = set()
    for position in range(40):
        spoiled = sampler.pair(position)[0].astype(float).sum(2)
        jumps = np.abs(np.diff(spoiled, axis=1)).sum(0)
        offsets.add(int(np.argmax([jumps[start::8].mean() for start in range(8)])))
    assert len(offsets) > 4


def test_grey_photos(photo_folder):
    batch = PatchSampler(find_photos(photo_folder), settings(task="denoise", scale=1, grey=True))(0)
    assert torch.equal(batch.target[:, 0], batch.target[:, 2]) and torch.equal(batch.spoiled[:, 0], batch.spoiled[:, 1])
    assert not torch.equal(batch.spoiled, batch.target)


def test_unusable_photos_are_skipped_and_counted(photo_folder):
    (photo_folder / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    Image.fromarray(make_photo(30, 90)).save(photo_folder / "tiny.png")
    sampler = PatchSampler(find_photos(photo_folder), settings(batch=8))
    for step in range(3):
        sampler(step)
    assert len(sampler.skipped) == 2 and str(sampler.skipped) == "1 damaged, 1 tiny"
    with pytest.raises(InputError, match=r"none of the 8 photos.*--image-size"):
        PatchSampler(find_photos(photo_folder), settings(image_size=256))(0)


def test_a_photo_as_large_as_a_patch_is_enough(tmp_path):
    Image.fromarray(make_photo(32, 32)).save(tmp_path / "a.png")
    for told in ({"scale": 4}, {"task": "deblock", "scale": 1}):
        batch = PatchSampler([tmp_path / "a.png"], settings(**told))(0)
        assert batch.target.shape == (3, 3, 32, 32)


def test_small_photos_keep_their_resolution_and_huge_ones_are_reduced(tmp_path, monkeypatch):
    monkeypatch.setattr(patches, "_LONGEST_PX", 100)
    Image.fromarray(make_photo(50, 100)).save(tmp_path / "a.png")
    Image.fromarray(make_photo(160, 400)).save(tmp_path / "b.png")
    sampler = PatchSampler(find_photos(tmp_path), settings())
    small, huge = (sampler._load(path) for path in sampler.paths)
    assert np.array_equal(small[0], make_photo(50, 100)) and huge[0].shape == (40, 100, 3)
    Image.fromarray(make_photo(40, 400)).save(tmp_path / "c.png")  # 10 pixels are left of its height
    assert sampler._load(tmp_path / "c.png") is None and len(sampler.skipped.tiny) == 1


def test_the_cache_forgets_what_does_not_fit(photo_folder, monkeypatch):
    monkeypatch.setattr(patches, "_CACHE_BYTES", 60_000)
    paths = find_photos(photo_folder)
    forgetful, other = PatchSampler(paths, settings()), PatchSampler(paths, settings())
    for step in range(4):
        batch = forgetful(step)
    assert torch.equal(batch.target, other(3).target) and forgetful._cache.used_bytes <= 60_000


def test_several_folders_are_one_list(photo_folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(make_photo(40, 40)).save(other / "x.png")
    both = find_all_photos([photo_folder, other, photo_folder])
    assert len(both) == 7 and both[-1] == other / "x.png"
    with pytest.raises(InputError, match="nowhere"):
        find_all_photos([photo_folder, tmp_path / "nowhere"])
