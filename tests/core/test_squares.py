import numpy as np
import pytest
from PIL import Image
from samples import make_photo

from styletransfer.core.errors import InputError
from styletransfer.core.squares import load_squares, middle_square


def test_the_middle_is_cut_out_at_the_shorter_sides_scale():
    frame = np.zeros((100, 300, 3), np.uint8)
    frame[:, 100:200] = 200  # the middle third
    square = middle_square(frame, 50)
    assert square.shape == (50, 50, 3) and (square[:, 3:-3] == 200).all()
    turned = middle_square(np.ascontiguousarray(frame.swapaxes(0, 1)), 50)
    assert np.array_equal(turned, square.swapaxes(0, 1))


@pytest.mark.parametrize("shape", [(64, 64), (64, 65), (333, 65), (1, 9)])
def test_every_shape_gives_the_size_asked_for(shape):
    assert middle_square(make_photo(*shape), 64).shape == (64, 64, 3)


@pytest.fixture
def folder(tmp_path):
    for index in range(8):
        Image.fromarray(make_photo(40, 50, index)).save(tmp_path / f"{index}.png")
    return tmp_path


def test_photos_are_spread_over_the_folder(folder):
    paths = sorted(folder.iterdir())
    assert list(load_squares(paths, folder, 4, 32, pytest.fail)) == ["0.png", "2.png", "4.png", "6.png"]
    assert len(load_squares(paths, folder, 50, 32, pytest.fail)) == 8


def test_a_damaged_photo_is_named_and_replaced(folder):
    (folder / "2.png").write_bytes(b"\x89PNG no more")
    said = []
    found = load_squares(sorted(folder.iterdir()), folder, 4, 32, said.append)
    assert len(found) == 4 and "2.png" not in found
    assert len(said) == 1 and "2.png" in said[0]
    assert len(load_squares(sorted(folder.iterdir()), folder, 8, 32, said.append)) == 7


def test_no_readable_photo_is_an_error(folder):
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of its 8 pictures can be read"):
        load_squares(sorted(folder.iterdir()), folder, 4, 32, lambda reason: None)
