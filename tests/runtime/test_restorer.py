"""Restoration files at run time: sizes, tiles, memory, files that are none."""

from __future__ import annotations

import numpy as np
import pytest
from samples import make_photo

from styletransfer.core.errors import InputError, ModelError
from styletransfer.runtime import memory
from styletransfer.runtime import restorer as restorer_module

pytest.importorskip("onnxruntime")

from styletransfer.runtime.restorer import OVERLAP_PX, Restorer
from styletransfer.runtime.stylizer import Stylizer


def level_difference(one, other):
    return np.abs(one.astype(int) - other).max()


def enlarged(photo):
    """The photo with every pixel four times."""
    return photo.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("size_hw", [(90, 120), (61, 47), (1, 1), (5, 300)])
def test_a_picture_of_any_size_is_doubled(tiny_upscale2, size_hw):
    restorer = Restorer(tiny_upscale2, "cpu")
    photo = make_photo(*size_hw)
    result = restorer(photo)
    assert (restorer.scale, restorer.task) == (2, "sr")
    assert result.shape == (2 * size_hw[0], 2 * size_hw[1], 3) and result.dtype == np.uint8
    assert np.abs(result.astype(int) - enlarged(photo)).mean() < 12
    assert result.flags.c_contiguous


def test_noise_is_taken_away_at_the_same_size(tiny_deblock):
    clean = np.full((40, 50, 3), 128, np.uint8)
    noisy = (clean + np.random.default_rng(1).normal(0, 20, clean.shape)).clip(0, 255).astype(np.uint8)
    restorer = Restorer(tiny_deblock, "cpu")
    result = restorer(noisy)
    assert (restorer.scale, restorer.task) == (1, "deblock")
    assert result.std() < 0.5 * noisy.std()


def test_bound_buffers_give_what_the_first_run_gave_and_results_stay(tiny_upscale2):
    restorer = Restorer(tiny_upscale2, "cpu")
    photos = [make_photo(32, 48, seed) for seed in range(10)]  # past the run that makes a session for the size
    expected = [Restorer(tiny_upscale2, "cpu")(photo) for photo in photos]
    results = [restorer(photo) for photo in photos]
    assert "bound buffers" in restorer.describe(32, 48)
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("fixture", ["tiny_upscale2", "tiny_deblock"])
@pytest.mark.parametrize("size_hw", [(401, 530), (240, 900)])
def test_tiles_give_what_the_whole_picture_gives(request, fixture, size_hw, monkeypatch):
    model = request.getfixturevalue(fixture)
    photo = make_photo(*size_hw)
    whole = Restorer(model, "cpu")(photo)
    tiled = Restorer(model, "cpu")
    seen = []
    run = tiled._run
    monkeypatch.setattr(tiled, "_run", lambda padded: seen.append(padded.shape) or run(padded))
    monkeypatch.setattr(tiled, "_tile_px", lambda height, width: 64)
    assert level_difference(tiled(photo), whole) <= 1
    assert len(seen) > 10 and len(set(seen)) == 1, "tiles of one shape, so that one session serves them"
    assert seen[0][1] <= 64 + 2 * OVERLAP_PX


def test_scarce_memory_means_tiles_and_plenty_does_not(tiny_upscale2, monkeypatch):
    restorer = Restorer(tiny_upscale2, "cpu")
    each = restorer._bytes_per_pixel()
    height, width = 3000, 4000
    monkeypatch.setattr(memory, "free_bytes", lambda: int(3 * height * width * each))
    assert restorer._tile_px(height, width) is None
    monkeypatch.setattr(memory, "free_bytes", lambda: int(0.5 * height * width * each))
    side = restorer._tile_px(height, width)
    assert 64 <= side < 3000 and side % 2 == 0
    assert (side + 2 * OVERLAP_PX) ** 2 * each < 0.25 * height * width * each


def test_a_clip_is_done_alike_from_the_first_frame_to_the_last(tiny_upscale2, monkeypatch):
    restorer = Restorer(tiny_upscale2, "cpu")
    monkeypatch.setattr(restorer_module, "_DEVICE_BYTES", 1000)
    answers = iter([10**10, 10**6, 10**6])
    monkeypatch.setattr(memory, "free_bytes", lambda: next(answers))
    photo = make_photo(200, 300)
    assert len({restorer(photo).tobytes() for _ in range(3)}) == 1
    assert next(answers) == 10**6, "memory was looked at once"


def test_a_result_that_memory_cannot_hold_is_refused_with_a_size_that_fits(tiny_upscale2, monkeypatch):
    restorer = Restorer(tiny_upscale2, "cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda: 200_000_000)
    with pytest.raises(InputError, match=r"4000×3000 pixels become 8000×6000, .* use --size (\d+)$") as caught:
        restorer._tile_px(3000, 4000)
    size = int(str(caught.value).rsplit(" ", 1)[1])
    restorer._tile_px(size * 3 // 4, size)  # that one goes


def test_the_two_kinds_of_files_are_told_apart_in_one_line(tiny_model, tiny_upscale2, tiny_deblock, tmp_path):
    with pytest.raises(ModelError, match=r"restoration network \(sr, ×2\), no style; use it with `restore`, or"):
        Stylizer(tiny_upscale2, "cpu")
    with pytest.raises(ModelError, match=r"restoration network \(deblock\), no style"):
        Stylizer(tiny_deblock, "cpu")
    with pytest.raises(ModelError, match="is a style, no restoration network"):
        Restorer(tiny_model, "cpu")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match="cannot load it"):
        Restorer(tmp_path / "text.onnx", "cpu")
    with pytest.raises(ModelError, match="no such"):
        Restorer(tmp_path / "missing.onnx", "cpu")


def test_a_flipped_bit_in_the_weights_is_noticed(tiny_upscale2, tmp_path):
    data = bytearray(tiny_upscale2.read_bytes())
    place = data.index(b"w_half") - 20
    data[place] ^= 1
    spoiled = tmp_path / "spoiled.onnx"
    spoiled.write_bytes(data)
    with pytest.raises(ModelError):
        Restorer(spoiled, "cpu")


def test_a_card_that_lies_about_the_scale_is_an_error(tmp_path):
    pytest.importorskip("onnx")
    from data.make_tiny import build_restorer

    (tmp_path / "lying.onnx").write_bytes(build_restorer(says=4))
    restorer = Restorer(tmp_path / "lying.onnx", "cpu")
    with pytest.raises(ModelError, match="its card says ×4"):
        restorer(make_photo(20, 20))


def test_johnsons_networks_get_the_small_pictures_histogram(tmp_path, tiny_upscale2):
    pytest.importorskip("onnx")
    from data.make_tiny import build_restorer

    (tmp_path / "paper.onnx").write_bytes(build_restorer(architecture="johnson"))
    photo = make_photo(60, 80)
    matched, plain = Restorer(tmp_path / "paper.onnx", "cpu")(photo), Restorer(tiny_upscale2, "cpu")(photo)

    def distance(result):
        levels = range(257)
        small, large = (np.histogram(frame, levels, density=True)[0].cumsum() for frame in (photo, result))
        return np.abs(small - large).max()

    assert distance(matched) < 0.6 * distance(plain)


def test_a_file_by_others_is_refused_by_both_where_it_restores(tmp_path):
    onnx = pytest.importorskip("onnx")
    from data.make_tiny import build, build_restorer

    bare = onnx.load_from_string(build_restorer())
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    with pytest.raises(ModelError, match="without a model card; expected uint8"):
        Restorer(tmp_path / "bare.onnx", "cpu")
    with pytest.raises(ModelError, match="is a restoration network, no style"):
        Stylizer(tmp_path / "bare.onnx", "cpu")
    style = build()
    del style.metadata_props[:]
    onnx.save(style, tmp_path / "style.onnx")
    with pytest.raises(ModelError, match="is no restoration network: it takes frame and gives stylized"):
        Restorer(tmp_path / "style.onnx", "cpu")


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), "photo.jpg"])
def test_other_arrays_are_refused(tiny_upscale2, wrong):
    with pytest.raises(InputError, match="expected RGB"):
        Restorer(tiny_upscale2, "cpu")(wrong)


@pytest.mark.usefixtures("openvino")
def test_openvino_where_it_is_installed_doubles_too(tiny_upscale2):
    restorer = Restorer(tiny_upscale2, "openvino")
    photo = make_photo(45, 64)
    restorer.warm_up(45, 64)
    assert restorer.provider == "openvino" and restorer.gains_from_warm_up
    assert level_difference(restorer(photo), Restorer(tiny_upscale2, "cpu")(photo)) <= 2
