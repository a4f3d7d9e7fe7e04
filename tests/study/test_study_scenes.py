import shutil

import pytest
from PIL import Image

from styletransfer.core.errors import InputError
from styletransfer.study.scenes import find_scenes


def test_both_layouts_hold_the_same_study(folder, tmp_path):
    turned = tmp_path / "turned"
    for path in folder.rglob("*.png"):
        (turned / path.stem).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, turned / path.stem / f"{path.parent.name}.png")
    ours, theirs = find_scenes(folder), find_scenes(turned)
    assert [scene.name for scene in ours] == [scene.name for scene in theirs] == ["harbour", "meadow"]
    for one, other in zip(ours, theirs, strict=True):
        assert list(one.conditions) == list(other.conditions) == ["alpha", "beta", "gamma"]
        assert one.reference.read_bytes() == other.reference.read_bytes()
        assert one.size_wh == other.size_wh == (40, 30)


def test_what_is_no_picture_of_the_study_is_not_looked_at(folder):
    (folder / "readme.txt").write_text("x")
    (folder / "harbour" / "notes.txt").write_text("x")
    (folder / "harbour" / ".hidden.png").write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / "empty").mkdir()
    assert [list(scene.conditions) for scene in find_scenes(folder)] == [["alpha", "beta", "gamma"]] * 2


def spoil_reference(folder):
    (folder / "meadow" / "reference.png").unlink()


def spoil_picture(folder):
    data = (folder / "meadow" / "beta.png").read_bytes()
    (folder / "meadow" / "beta.png").write_bytes(data[: len(data) // 2])


def spoil_size(folder):
    Image.new("RGB", (41, 30)).save(folder / "meadow" / "beta.png")


def spoil_conditions(folder):
    for name in ("beta", "gamma"):
        (folder / "meadow" / f"{name}.png").unlink()


def spoil_names(folder):
    Image.new("RGB", (40, 30)).save(folder / "meadow" / "beta.jpg")


def spoil_name(folder):
    (folder / "meadow" / "beta.png").rename(folder / "meadow" / "NaN.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_name, r"tables take the name 'NaN' for no value; rename it"),
        (spoil_reference, r"'meadow' has no reference picture; allowed: SCENE/reference.png"),
        (spoil_picture, r"beta.png: the picture is damaged"),
        (spoil_size, r"beta.png: 41×30 pixels, its reference has 40×30"),
        (spoil_conditions, r"'meadow' has 1 condition; two or more"),
        (spoil_names, r"two pictures for 'beta'"),
        (shutil.rmtree, r"no such folder; allowed: SCENE/reference.png"),
    ],
)
def test_an_experiment_with_holes_is_not_begun(folder, spoil, message):
    spoil(folder)
    with pytest.raises(InputError, match=message):
        find_scenes(folder)


def test_an_empty_folder_is_told_the_layouts(tmp_path):
    with pytest.raises(InputError, match="no scene in it; allowed"):
        find_scenes(tmp_path)
