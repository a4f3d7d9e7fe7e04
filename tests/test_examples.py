"""What a stranger meets first: the samples, `make demo`, and make on a machine with an old Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TINY = ROOT / "tests" / "data" / "tiny.onnx"
PROGRAMS = Path(sys.executable).parent

needs_shell = pytest.mark.skipif(
    shutil.which("sh") is None or not (PROGRAMS / "styletransfer").exists(),
    reason="needs a shell and an installed styletransfer command",
)


def test_samples_are_small_and_credited():
    samples = [path for path in EXAMPLES.iterdir() if path.suffix in {".jpg", ".png", ".mp4"}]
    assert len(samples) >= 2
    assert sum(path.stat().st_size for path in samples) < 3_000_000
    credits_text = (EXAMPLES / "CREDITS.md").read_text(encoding="utf-8")
    assert all(f"`{path.name}`" in credits_text for path in samples)


def test_sample_clip_has_sound_and_a_few_seconds():
    with av.open(str(EXAMPLES / "clip.mp4")) as clip:
        assert len(clip.streams.audio) == 1
        assert 3 <= clip.duration / av.time_base <= 6


@needs_shell
def test_demo_says_where_and_how_fast(tmp_path):
    environment = os.environ | {"BIN": str(PROGRAMS), "STYLE": str(TINY)}
    done = subprocess.run(
        ["sh", str(EXAMPLES / "demo.sh")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    photo, clip = tmp_path / "demo-output/astronaut_tiny.jpg", tmp_path / "demo-output/clip_tiny.mp4"
    with Image.open(photo) as result, Image.open(EXAMPLES / "astronaut.jpg") as original:
        assert result.size == original.size
    with av.open(str(clip)) as result:
        assert sum(1 for _ in result.decode(video=0)) == 96
        assert len(result.streams.audio) == 1
    assert str(tmp_path / "demo-output") in done.stdout
    assert "96 frames" in done.stdout
    assert "fps, " in done.stdout


@needs_shell
def test_demo_that_fails_says_so(tmp_path):
    environment = os.environ | {"BIN": str(PROGRAMS), "STYLE": "no_such_style"}
    done = subprocess.run(
        ["sh", str(EXAMPLES / "demo.sh")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "The results lie in" not in done.stdout
    assert done.stderr.startswith("error: no_such_style")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_make_without_a_new_enough_python_says_what_is_needed(python):
    done = subprocess.run(
        ["make", "-C", str(ROOT), "python-is-new-enough", f"PYTHON={python}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("error: Python 3.11 or newer is needed")
