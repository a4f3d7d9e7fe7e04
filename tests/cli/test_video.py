import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import look_at, make_clip, picture
from PIL import Image


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "holiday.mp4", size=(96, 64))


@pytest.fixture
def video(cli, tiny_model):
    """Run ``styletransfer video -m tiny ARGS``."""
    return lambda *args: cli("video", "-m", tiny_model, *args)


def names(folder):
    """Every file in and below a folder but the journals of batches."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in files if ".styletransfer" not in path.parts)


def test_a_clip_gets_its_style_and_keeps_everything_else(video, clip, tmp_path):
    outcome = video(clip)
    assert outcome.status == 0
    assert outcome.err == ""
    before, after = look_at(clip), look_at(tmp_path / "holiday-tiny.mp4")
    assert (after.times, after.rate, after.sound) == (before.times, before.rate, before.sound)
    assert after.size == before.size
    assert re.fullmatch(r".*holiday-tiny\.mp4: 12 frames, [\d.]+ fps, \w+\n", outcome.out)
    # The tiny style exchanges red and blue; the clip has a red corner.
    corner = after.pictures[0][8:24, 24:40].mean(axis=(0, 1))
    assert corner[2] > corner[0] + 80


def test_strength_and_colours(video, clip, tmp_path):
    assert video(clip, "-o", tmp_path / "none.mp4", "--strength", "0").status == 0
    none = look_at(tmp_path / "none.mp4").pictures[0]
    assert np.abs(none.astype(int) - picture(0, 96, 64)).mean() < 5
    assert video(clip, "-o", tmp_path / "own.mp4", "--keep-colors").status == 0
    own = look_at(tmp_path / "own.mp4").pictures[0]
    corner = own[8:24, 24:40].mean(axis=(0, 1))
    assert corner[0] > corner[2] + 80, "the clip's red must stay red"
    assert np.abs(own.astype(int) - none).mean() > 2


def test_size_is_that_of_the_longer_side(video, clip, tmp_path):
    assert video(clip, "-o", tmp_path / "small.mp4", "--size", "48").status == 0
    assert look_at(tmp_path / "small.mp4").size == (48, 32)


def test_a_portrait_clip_from_a_phone_stays_portrait(video, tmp_path):
    source = make_clip(tmp_path / "phone.mov", size=(96, 64), setup=lambda stream: stream.set_display_rotation(-90))
    assert video(source, "--strength", "0").status == 0
    after = look_at(tmp_path / "phone-tiny.mov")
    assert after.size == (64, 96)
    assert after.rotation == 0
    assert np.abs(after.pictures[0].astype(int) - np.rot90(picture(0, 96, 64), -1)).mean() < 10


def test_an_odd_size_is_kept_and_the_catch_is_told(video, tmp_path):
    source = make_clip(tmp_path / "odd.mkv", size=(63, 47), codec="ffv1", pix_fmt="yuv444p")
    outcome = video(source, "-o", tmp_path / "odd.mp4")
    assert outcome.status == 0
    assert outcome.err.startswith("warning: ")
    assert len(outcome.err.splitlines()) == 1
    assert look_at(tmp_path / "odd.mp4").size == (63, 47)


def test_a_clip_smaller_than_the_network_likes(video, tmp_path):
    source = make_clip(tmp_path / "dot.mp4", size=(10, 6))
    assert video(source).status == 0
    assert look_at(tmp_path / "dot-tiny.mp4").size == (10, 6)


def test_a_batch_goes_on_after_bad_clips(video, clip, tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "words.mp4").write_text("no clip at all")
    second = make_clip(tmp_path / "second.mkv")
    out = tmp_path / "out"
    outcome = video(tmp_path / "empty.mp4", clip, tmp_path / "gone.mp4", tmp_path / "words.mp4", second, "-o", out)
    assert outcome.status == 1
    assert len(outcome.errors) == 3
    for name in ("empty.mp4", "gone.mp4", "words.mp4"):
        assert sum(name in line for line in outcome.errors) == 1
    assert "2 clips done, 3 failed" in outcome.err
    assert names(out) == ["holiday.mp4", "second.mkv"]


def test_a_folder_goes_into_a_folder_beside_it(video, tmp_path):
    folder = tmp_path / "trip"
    (folder / "day 2").mkdir(parents=True)
    make_clip(folder / "a.mp4")
    make_clip(folder / "day 2" / "b.mkv")
    (folder / "notes.txt").write_text("not a clip")
    (folder / ".hidden.mp4").write_text("thumbnail")
    outcome = video(folder)
    assert outcome.status == 0, outcome.err
    assert names(tmp_path / "trip-tiny") == ["a.mp4", "day 2/b.mkv"]
    assert names(folder) == [".hidden.mp4", "a.mp4", "day 2/b.mkv", "notes.txt"]


def test_an_empty_folder_is_an_error(video, tmp_path):
    (tmp_path / "none").mkdir()
    outcome = video(tmp_path / "none")
    assert outcome.status == 1
    assert "no video in this folder" in outcome.errors[0]


def test_two_clips_of_one_name_get_two_results(video, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make_clip(tmp_path / folder / "x.mp4", pts=range(2))
    assert video(tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4", "-o", tmp_path / "out").status == 0
    assert names(tmp_path / "out") == ["x-tiny.mp4", "x.mp4"]


@pytest.mark.parametrize("command", ["video", "stylize"])
def test_results_do_not_go_among_the_inputs(cli, tiny_model, tmp_path, monkeypatch, command):
    (tmp_path / "r").mkdir()
    make_clip(tmp_path / "r" / "a.mp4", pts=range(2))
    Image.fromarray(picture(0, 64, 48)).save(tmp_path / "r" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "r")
    monkeypatch.chdir(tmp_path / "r")
    for output in (tmp_path / "r", ".", tmp_path / "link"):
        outcome = cli(command, "-m", tiny_model, tmp_path / "r", "-o", output)
        assert outcome.status == 1
        assert len(outcome.errors) == 1 and "is the folder of the inputs" in outcome.errors[0]
        assert outcome.errors[0].endswith(f"leave it out for {tmp_path / 'r-tiny'}")
    assert names(tmp_path / "r") == ["a.mp4", "a.png"]


def test_an_input_is_never_overwritten(video, clip, tmp_path):
    data = clip.read_bytes()
    assert video(clip, "-o", clip).status == 1
    outcome = video(clip, "-o", tmp_path)
    assert outcome.status == 0
    assert clip.read_bytes() == data
    assert names(tmp_path) == ["holiday-tiny.mp4", "holiday.mp4"]


@pytest.mark.parametrize(
    ("name", "options", "result"),
    [
        ("old.avi", {"sound": ("mp2",)}, "old-tiny.mp4"),
        ("camera.avi", {"sound": ("pcm_u8",)}, "camera-tiny.mkv"),
        ("tv.ts", {"codec": "mpeg2video", "rate": Fraction(25), "sound": ("mp2",)}, "tv-tiny.mp4"),
        ("clip.mkv", {"sound": ("flac",)}, "clip-tiny.mkv"),
    ],
)
def test_the_container_is_one_that_keeps_the_sound(video, tmp_path, name, options, result):
    source = make_clip(tmp_path / name, **options)
    outcome = video(source)
    assert outcome.status == 0, outcome.err
    assert names(tmp_path) == sorted([name, result])
    before, after = look_at(source), look_at(tmp_path / result)
    assert [[data for _, data in track] for track in after.sound] == [
        [data for _, data in track] for track in before.sound
    ]


@pytest.mark.parametrize(("name", "codec"), [("a.wmv", "wmav2"), ("b.avi", "adpcm_ima_wav")])
def test_sound_that_no_container_takes_is_encoded_again_with_a_word(video, tmp_path, name, codec):
    source = make_clip(tmp_path / name, codec="mpeg4", sound=(codec,), pts=range(60), rate=Fraction(30))
    outcome = video(source)
    assert outcome.status == 0, outcome.err
    assert outcome.err.startswith("warning: ")
    assert codec in outcome.err
    (result,) = tmp_path.glob("*-tiny.mp4")
    before, after = loudness(source), loudness(result)
    assert after[0] == pytest.approx(before[0], abs=0.1), "as long as before"
    assert after[1] == pytest.approx(before[1], rel=0.2), "as loud as before"


def loudness(path):
    """Seconds and root mean square of a clip's sound."""
    with av.open(str(path)) as clip:
        resampler = av.AudioResampler("fltp", "mono", 48000)
        blocks = [b.to_ndarray() for f in clip.decode(audio=0) for b in resampler.resample(f)]
    samples = np.concatenate(blocks, axis=1)
    return samples.shape[1] / 48000, float(np.sqrt((samples**2).mean()))


def test_sound_that_does_not_fit_can_be_left_out(video, clip, tmp_path):
    outcome = video(clip, "-o", tmp_path / "web.webm")
    assert outcome.status == 1
    assert "--no-audio" in outcome.errors[0]
    assert not (tmp_path / "web.webm").exists()
    assert video(clip, "-o", tmp_path / "web.webm", "--no-audio").status == 0
    assert look_at(tmp_path / "web.webm").sound == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--strength", "1.5"], "0 .* to 1"),
        (["--strength", "nan"], "0 .* to 1"),
        (["--size", "3"], "from 16"),
        (["--crf", "99"], "0 .* to 51"),
        (["--codec", "divx"], "h264, hevc, vp9, av1, prores"),
        (["--preset", "warp"], "ultrafast"),
        (["--provider", "abacus"], "abacus"),
        (["-o", "result.xyz"], r"\.mp4"),
        (["-o", "result.webm", "--codec", "h264"], r"\.mkv"),
        (["-m", "starry_nigth_x.onnx"], "starry_nigth_x"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(cli, tiny_model, clip, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    style = [] if "-m" in arguments else ["-m", tiny_model]
    outcome = cli("video", clip, *style, *arguments)
    assert outcome.status == 1
    assert len(outcome.err.splitlines()) == 1
    assert re.search(says, outcome.errors[0])
    assert names(tmp_path) == ["holiday.mp4"]


def test_several_clips_need_a_folder(video, clip, tmp_path):
    outcome = video(clip, make_clip(tmp_path / "b.mp4"), "-o", tmp_path / "out.mp4")
    assert outcome.status == 1
    assert "folder" in outcome.errors[0]


@pytest.mark.flaky(reruns=2)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_leave_nothing_behind(tmp_path, tiny_model, number):
    source = make_clip(  # tens of seconds of work
        tmp_path / "long.mp4", size=(320, 240), codec="mpeg4", pts=range(400), rate=Fraction(30), sound=()
    )
    (tmp_path / "out").mkdir()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "styletransfer",
            "video",
            source,
            "-m",
            tiny_model,
            "-o",
            tmp_path / "out" / "x.mp4",
            *["--size", "1280"],
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any((tmp_path / "out").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    assert process.poll() is None, "ended before the signal"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.startswith("error: interrupted")
    assert len(err.splitlines()) == 1
    assert names(tmp_path / "out") == []


def test_neither_torch_nor_opencv_is_needed(tmp_path, clip, tiny_model):
    code = (
        "import sys; sys.modules['cv2'] = sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from styletransfer.cli.app import main; main(sys.argv[1:])"
    )
    for arguments in (["video", clip], ["webcam", clip, "--headless", "--frames", "5"]):
        result = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments), "-m", str(tiny_model)],
            capture_output=True,
            text=True,
            env={**os.environ, "DISPLAY": ""},
            check=False,
        )
        assert result.returncode == 0, result.stderr


def test_an_empty_name_is_not_the_current_folder(video, clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    outcome = video("")
    assert outcome.status == 1 and "empty name" in outcome.errors[0]
    assert names(clip.parent) == ["holiday.mp4"]


def test_a_size_that_the_encoder_refuses_is_not_blamed_on_the_sound(video, tmp_path):
    silent = make_clip(tmp_path / "silent.mp4", size=(96, 64), sound=())
    outcome = video(silent, "--codec", "hevc", "--size", "16", "-o", tmp_path / "out.mkv")
    assert outcome.status == 1
    assert "choose another --size or --codec" in outcome.errors[0]
    assert names(tmp_path) == ["silent.mp4"]


def test_an_error_names_the_clip_that_it_is_about(video, clip, monkeypatch):
    monkeypatch.setattr("styletransfer.runtime.memory.FREELY_ALLOWED_PIXELS", 100)
    monkeypatch.setattr("styletransfer.runtime.memory.free_bytes", lambda: 1_000)
    outcome = video(clip)
    assert outcome.status == 1
    assert outcome.errors[0].startswith(f"error: {clip}: 96×64 pixels need about")


@pytest.mark.parametrize("command", ["video", "webcam"])
def test_a_provider_that_compiles_is_told_the_size_before_the_first_frame(cli, clip, tiny_model, monkeypatch, command):
    from styletransfer.runtime import engine

    create, fixed = engine.create_session, []

    def compiling(path, provider, threads=None, dimensions=None, **options):
        fixed.extend([dimensions] if dimensions else [])
        return create(path, "cpu", threads, dimensions)[0], "cpu" if provider == "cpu" else "openvino"

    monkeypatch.setattr(engine, "create_session", compiling)
    options = ["--headless", "--frames", "4"] if command == "webcam" else []
    assert cli(command, clip, "-m", tiny_model, *options).status == 0
    assert {tuple(sorted(sizes.values())) for sizes in fixed} == {(1, 64, 96)}
