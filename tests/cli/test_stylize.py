from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

from styletransfer.core.pictures import load_picture
from styletransfer.runtime.stylizer import Stylizer

pytest.importorskip("onnxruntime")


@pytest.fixture
def stylize(cli, tiny_model):
    return lambda *args, **options: cli("stylize", "-m", tiny_model, "--provider", "cpu", *args, **options)


@pytest.fixture
def album(tmp_path, photo) -> Path:
    """A folder with pictures at two levels, one broken file, and files that are no pictures."""
    folder = tmp_path / "album"
    (folder / "sea").mkdir(parents=True)
    Image.fromarray(photo).save(folder / "a.jpg")
    Image.fromarray(photo).save(folder / "sea" / "a.png")
    Image.fromarray(photo).convert("P").save(folder / "sea" / "b.gif")
    (folder / "sea" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.jpg").write_bytes(b"thumbnail")
    return folder


def frame(path: Path) -> np.ndarray:
    return load_picture(path).frame_hwc


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- one picture ----


def test_the_result_lies_beside_the_photo_and_the_line_tells_provider_and_time(stylize, photo_file):
    outcome = stylize(photo_file)
    assert outcome.status == 0 and outcome.out == ""
    result = photo_file.with_name("photo-tiny.jpg")
    assert frame(result).shape == (90, 120, 3)
    assert "120×90" in outcome.err and "tiny on cpu" in outcome.err and str(result) in outcome.err


def test_the_pixels_are_those_of_the_stylizer(stylize, tmp_path, photo, tiny_model):
    Image.fromarray(photo).save(tmp_path / "in.png")
    assert stylize(tmp_path / "in.png", "-o", tmp_path / "out.png").status == 0
    np.testing.assert_array_equal(frame(tmp_path / "out.png"), Stylizer(tiny_model, "cpu")(photo))


def test_strength_colours_and_size(stylize, tmp_path, photo):
    source = tmp_path / "in.png"
    Image.fromarray(photo).save(source)

    def made(*options):
        assert stylize(source, "-o", tmp_path / "out.png", *options).status == 0
        return frame(tmp_path / "out.png")

    np.testing.assert_array_equal(made("--strength", "0"), photo)
    assert made("--size", "60").shape == (45, 60, 3)
    assert made("--size", "200").shape == (150, 200, 3)
    assert np.abs(made("--keep-colors").astype(int) - made()).mean() > 5


def test_an_output_folder_is_made_and_keeps_the_name(stylize, tmp_path, photo_file):
    assert stylize(photo_file, "-o", tmp_path / "new" / "deep").status == 0
    assert (tmp_path / "new" / "deep" / "photo.jpg").exists()


def test_several_styles_give_several_results(cli, photo_file, tiny_model, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_model.read_bytes())
    outcome = cli("stylize", photo_file, "-m", tiny_model, "-m", other, "-o", tmp_path / "out")
    assert outcome.status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["photo-other.jpg", "photo-tiny.jpg"]


def test_a_name_without_regard_to_the_content(stylize, tmp_path, photo):
    lying = tmp_path / "png.jpg"
    Image.fromarray(photo).save(lying, "PNG")
    assert stylize(lying).status == 0
    assert Image.open(tmp_path / "png-tiny.jpg").format == "JPEG"


def test_transparency_is_kept_in_png_and_laid_on_white_in_jpeg_with_a_warning(stylize, tmp_path, photo):
    image = Image.fromarray(photo)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "in.png")
    assert stylize(tmp_path / "in.png").status == 0
    back = Image.open(tmp_path / "in-tiny.png")
    np.testing.assert_array_equal(np.asarray(back)[..., 3], np.asarray(image)[..., 3])
    outcome = stylize(tmp_path / "in.png", "-o", tmp_path / "out.jpg")
    assert outcome.status == 0 and "warning: " in outcome.err and "on white" in outcome.err
    assert frame(tmp_path / "out.jpg")[0].min() > 240


def test_partial_transparency_is_lost_in_a_gif_with_a_warning(stylize, tmp_path, photo):
    image = Image.fromarray(photo)
    ramp = Image.linear_gradient("L").resize(image.size)
    for name, alpha, warns in (("ramp", ramp, True), ("cut", ramp.point(lambda level: 255 * (level > 99)), False)):
        image.putalpha(alpha)
        image.save(tmp_path / f"{name}.png")
        outcome = stylize(tmp_path / f"{name}.png", "-o", tmp_path / f"{name}.gif")
        assert outcome.status == 0 and ("no partial transparency" in outcome.err) == warns


def test_an_animation_is_taken_by_its_first_frame_with_a_warning(stylize, tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "in.gif", save_all=True, append_images=[Image.fromarray(255 - photo)])
    outcome = stylize(tmp_path / "in.gif")
    assert outcome.status == 0 and "warning: " in outcome.err and "first one" in outcome.err
    assert Image.open(tmp_path / "in-tiny.png").mode == "RGB"


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_video_is_named_only_for_animations_that_it_takes(stylize, tmp_path, photo, suffix):
    source = tmp_path / f"in.{suffix}"
    Image.fromarray(photo).save(source, save_all=True, append_images=[Image.fromarray(255 - photo)])
    outcome = stylize(source)
    assert outcome.status == 0 and "first one" in outcome.err
    assert ("`video`" in outcome.err) == (suffix in ("gif", "png"))


@pytest.mark.parametrize("size", [(1, 1), (400, 15)])
def test_tiny_pictures_keep_their_size(stylize, tmp_path, size):
    Image.new("RGB", size, "orange").save(tmp_path / "in.png")
    assert stylize(tmp_path / "in.png").status == 0
    assert Image.open(tmp_path / "in-tiny.png").size == size


def test_names_with_brackets_colons_and_emoji_codes_are_left_alone(stylize, tmp_path, photo):
    source = tmp_path / "[bold] [x:smile:] 100% ü.png"
    Image.fromarray(photo).save(source)
    outcome = stylize(source)
    assert outcome.status == 0 and "[bold] [x:smile:] 100% ü-tiny.png: 120" in outcome.err


# ---- streams ----


def test_stdin_to_stdout_keeps_the_format(stylize, photo_file, photo):
    outcome = stylize("-", stdin=photo_file.read_bytes())
    assert outcome.status == 0
    made = Image.open(io.BytesIO(outcome.out_bytes))
    assert made.format == "JPEG" and made.size == (120, 90)
    assert made.quantization == Image.open(photo_file).quantization


def test_stdin_to_a_file_and_a_file_to_stdout(stylize, photo_file, tmp_path):
    assert stylize("-", "-o", tmp_path / "out.webp", stdin=photo_file.read_bytes()).status == 0
    assert Image.open(tmp_path / "out.webp").format == "WEBP"
    outcome = stylize(photo_file, "-o", "-")
    assert Image.open(io.BytesIO(outcome.out_bytes)).size == (120, 90)


def test_bad_stdin_is_one_line_and_nothing_on_stdout(stylize):
    for data, says in ((b"", "stdin: the file is empty"), (b"hello" * 99, "stdin: is no picture")):
        outcome = stylize("-", stdin=data)
        assert outcome.status == 1 and outcome.out_bytes == b""
        assert len(outcome.errors) == 1 and says in outcome.errors[0]


# ---- many pictures ----


def test_a_folder_keeps_its_tree_and_a_broken_file_stops_nothing(stylize, album, tmp_path):
    outcome = stylize(album, "-o", tmp_path / "out")
    assert outcome.status == 1
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["a.jpg", "sea/a.png", "sea/b.png"]
    assert len(outcome.errors) == 1 and "broken.jpg: " in outcome.errors[0]
    assert "3 stylized, 1 failed" in outcome.err


def test_a_folder_without_an_output_goes_beside_itself_again_and_again(stylize, album):
    (album / "sea" / "broken.jpg").unlink()
    for _ in range(2):
        assert stylize(album).status == 0
        made = sorted(path.name for path in album.with_name("album-tiny").rglob("*.*"))
        assert made == ["a.jpg", "a.png", "b.png"]


def test_an_output_folder_inside_the_input_is_not_searched(stylize, album):
    (album / "sea" / "broken.jpg").unlink()
    for _ in range(2):
        assert "3 stylized" in stylize(album, "-o", album / "styled").err


def test_names_that_clash_are_kept_apart(stylize, tmp_path, photo):
    for name in ("x/a.png", "y/a.png", "z/A.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(photo).save(tmp_path / name)
    outcome = stylize(*(tmp_path / name for name in ("x/a.png", "y/a.png", "z/A.png")), "-o", tmp_path / "out")
    assert outcome.status == 0
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_files_that_fail_do_not_stop_the_others(stylize, photo_file, tmp_path):
    empty = tmp_path / "empty.png"
    empty.touch()
    outcome = stylize(tmp_path / "gone.jpg", empty, photo_file)
    assert outcome.status == 1
    assert [line.split(": ")[2] for line in outcome.errors] == ["no such file or folder", "the file is empty"]
    assert photo_file.with_name("photo-tiny.jpg").exists()
    assert "1 stylized, 2 failed" in outcome.err


def test_a_folder_without_pictures_says_so(stylize, tmp_path):
    outcome = stylize(tmp_path)
    assert outcome.status == 1 and "no pictures in this folder" in outcome.errors[0]


# ---- what must not happen ----


def test_an_input_is_never_overwritten(stylize, photo_file, tmp_path):
    before = photo_file.read_bytes()
    outcome = stylize(photo_file, "-o", photo_file)
    assert outcome.status == 1 and "is the input itself" in outcome.errors[0]
    assert stylize(photo_file, "-o", tmp_path).status == 0  # the folder of the input: another name
    assert (tmp_path / "photo-tiny.jpg").exists()
    (tmp_path / "link.jpg").symlink_to(photo_file)
    assert stylize(photo_file, "-o", tmp_path / "link.jpg").status == 1
    assert photo_file.read_bytes() == before


def test_an_input_is_not_overwritten_by_the_result_of_another(stylize, tmp_path, photo):
    for name in ("a.png", "a-tiny.png"):
        Image.fromarray(photo).save(tmp_path / name)
    before = (tmp_path / "a-tiny.png").read_bytes()
    assert stylize(tmp_path / "a.png", tmp_path / "a-tiny.png").status == 0
    assert (tmp_path / "a-tiny.png").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} >= {"a-tiny-2.png", "a-tiny-tiny.png"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--strength", "1.5"), "--strength is 1.5; it goes from 0"),
        (("--strength", "nan"), "--strength is nan"),
        (("--size", "3"), "--size is 3; it goes from 16"),
        (("--quality", "0"), "--quality is 0; it goes from 1"),
        (("--provider", "gpu"), "unknown provider 'gpu'"),
        (("-o", "out.xyz"), "cannot write a .xyz picture"),
        (("-m", "no_such_style"), "no_such_style: no such style"),
    ],
)
def test_a_wrong_option_is_one_line_and_writes_nothing(stylize, photo_file, monkeypatch, options, says):
    monkeypatch.chdir(photo_file.parent)
    outcome = stylize(photo_file, *options)
    assert outcome.status == 1
    assert len(outcome.errors) == 1 and says in outcome.errors[0]
    assert names(photo_file.parent) == ["photo.jpg"]


def test_several_results_need_a_folder(stylize, photo_file, album):
    outcome = stylize(photo_file, album, "-o", photo_file.parent / "one.jpg")
    assert outcome.status == 1 and "need a folder" in outcome.errors[0]
    outcome = stylize(photo_file, album, "-o", "-")
    assert outcome.status == 1 and "only one result can go to stdout" in outcome.errors[0]


@pytest.mark.parametrize("name", ["text", "empty", "missing", "folder"])
def test_a_wrong_model_is_one_line(cli, photo_file, tmp_path, name):
    path = tmp_path / f"{name}.onnx"
    {"text": lambda: path.write_text("hello"), "empty": path.touch, "folder": path.mkdir}.get(name, str)()
    outcome = cli("stylize", photo_file, "-m", path)
    assert outcome.status == 1 and len(outcome.errors) == 1
    assert f"{name}.onnx" in outcome.errors[0]


def test_a_video_is_pointed_to_its_command(stylize, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(300))
    outcome = stylize(tmp_path / "clip.mp4")
    assert outcome.status == 1 and "styletransfer video" in outcome.errors[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_line(stylize, photo_file, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    outcome = stylize(photo_file, "-o", locked)
    assert outcome.status == 1 and "no permission" in outcome.errors[0]


def test_an_output_below_a_file_is_one_line(stylize, photo_file):
    outcome = stylize(photo_file, "-o", photo_file / "below" / "out.png")
    assert outcome.status == 1 and len(outcome.errors) == 1 and "cannot be written" in outcome.errors[0]


def test_a_full_disk_is_one_line_and_the_rest_goes_on(stylize, photo_file, tmp_path, monkeypatch):
    real = Path.write_bytes

    def full(self, data):
        if "first" in self.name:
            raise OSError(28, "No space left on device", str(self))
        return real(self, data)

    (tmp_path / "first.jpg").write_bytes(photo_file.read_bytes())
    monkeypatch.setattr(Path, "write_bytes", full)
    outcome = stylize(tmp_path / "first.jpg", photo_file)
    assert outcome.status == 1
    assert len(outcome.errors) == 1 and "disk is full" in outcome.errors[0]
    assert names(tmp_path) == ["first.jpg", "photo-tiny.jpg", "photo.jpg"]


@pytest.mark.flaky(reruns=2)
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_exits_130_and_leaves_whole_files_only(tmp_path, tiny_model):
    album = tmp_path / "album"
    album.mkdir()
    picture = Image.fromarray(make_photo(600, 800))
    for number in range(50):
        picture.save(album / f"{number:02}.png", compress_level=0)
    command = [sys.executable, "-m", "styletransfer", "stylize", "album", "-o", "out", "-m", tiny_model]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("[!.]*.png")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "error: interrupted" in err
    made = list((tmp_path / "out").iterdir())
    assert 0 < len(made) < 50
    for path in made:
        assert load_picture(path).frame_hwc.shape == (600, 800, 3)


def test_without_onnxruntime_the_extra_is_named(stylize, photo_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    outcome = stylize(photo_file)
    assert outcome.status == 1 and "pip install 'styletransfer[cpu]'" in outcome.errors[0]


def deny(monkeypatch, folder):
    """A folder that may not be looked into, for root, too."""
    scandir, stat = os.scandir, os.stat

    def closed(path, *args, function, **kwargs):
        if isinstance(path, str | os.PathLike) and (
            (Path(path) == folder and function is scandir) or folder in Path(path).parents
        ):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return function(path, *args, **kwargs)

    monkeypatch.setattr(os, "scandir", partial(closed, function=scandir))
    monkeypatch.setattr(os, "stat", partial(closed, function=stat))


def test_a_closed_folder_below_is_named_and_the_rest_goes_on(stylize, photo_file, tmp_path, monkeypatch):
    album = tmp_path / "album"
    (album / "closed").mkdir(parents=True)
    for place in (album, album / "closed"):
        (place / "a.jpg").write_bytes(photo_file.read_bytes())
    deny(monkeypatch, album / "closed")
    outcome = stylize(album, "-o", tmp_path / "out")
    assert outcome.status == 1 and names(tmp_path / "out") == ["a.jpg"]
    assert any("closed: the folder cannot be read (Permission denied)" in line for line in outcome.errors)


def test_a_photo_in_a_closed_folder_does_not_stop_the_others(stylize, photo_file, tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "a.jpg").write_bytes(photo_file.read_bytes())
    deny(monkeypatch, tmp_path / "closed")
    outcome = stylize(tmp_path / "closed" / "a.jpg", photo_file, "-o", tmp_path / "out")
    assert outcome.status == 1 and names(tmp_path / "out") == ["photo.jpg"]
    assert "a.jpg: cannot be read (Permission denied)" in outcome.errors[0]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_in_a_circle_are_one_line(stylize, photo_file, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    (album / "a.jpg").write_bytes(photo_file.read_bytes())
    (album / "b.jpg").symlink_to(album / "c.jpg")
    (album / "c.jpg").symlink_to(album / "b.jpg")
    outcome = stylize(album, "-o", tmp_path / "out")
    assert outcome.status == 1 and names(tmp_path / "out") == ["a.jpg"] and len(outcome.errors) >= 2


def test_an_empty_output_is_not_the_current_folder(stylize, photo_file, monkeypatch):
    monkeypatch.chdir(photo_file.parent)
    outcome = stylize(photo_file, "-o", "")
    assert outcome.status == 1 and "-o is an empty name" in outcome.errors[0]
    assert names(photo_file.parent) == ["photo.jpg"]


def test_an_empty_name_is_not_the_current_folder(stylize, photo_file, monkeypatch):
    monkeypatch.chdir(photo_file.parent)
    outcome = stylize("", "-o", "out")
    assert outcome.status == 1 and "empty name" in outcome.errors[0]
    assert names(photo_file.parent) == ["photo.jpg"]


def test_a_closed_stdout_is_one_line(photo_file, tiny_model):
    command = '"$0" -m styletransfer stylize "$1" -m "$2" -o - >&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, photo_file, tiny_model], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: stdout: is closed; name a file with -o\n"


@pytest.mark.skipif(os.name == "nt", reason="the shell's >&-")
def test_a_file_is_written_without_a_stdout(photo_file, tiny_model, tmp_path):
    command = '"$0" -m styletransfer stylize "$1" -m "$2" --provider cpu -o "$3" >&-'
    words = ["sh", "-c", command, sys.executable, photo_file, tiny_model, tmp_path / "out.png"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "tiny on cpu" in done.stderr and len(done.stderr.splitlines()) == 1
    assert frame(tmp_path / "out.png").shape == (90, 120, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_a_pipe_in_a_folder_is_passed_over(tmp_path, stylize, photo_file):
    os.mkfifo(photo_file.parent / "camera.png")
    outcome = stylize(photo_file.parent, "-o", tmp_path / "out")
    assert outcome.status == 0 and [path.name for path in (tmp_path / "out").iterdir()] == ["photo.jpg"]
