import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import run

from styletransfer import __version__

TRAINING_ONLY = {"torch", "torchvision", "onnx", "onnxscript", "safetensors", "matplotlib"}
HEAVY = TRAINING_ONLY | {"cv2", "onnxruntime", "av", "numpy", "PIL", "rich.progress"}
COMMANDS = (
    "stylize",
    "video",
    "webcam",
    "models",
    "train",
    "train-mdf",
    "train-restore",
    "evaluate",
    "compare",
    "photos",
    "export",
    "bench",
    "restore",
    "stability",
    "study",
    "study-scale",
    "doctor",
)
HELP = [sys.executable, "-m", "styletransfer", "--help"]
TINY = Path(__file__).parents[1] / "data" / "tiny.onnx"
EXAMPLES = Path(__file__).parents[2] / "examples"


def modules_after(code, tmp_path):
    """Top-level modules that a fresh interpreter has loaded after running `code`."""
    code += "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True, timeout=120
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def running(*arguments):
    return (
        "from styletransfer.cli.app import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit as leaving: assert not leaving.code, leaving.code"
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join
)
def test_help_loads_nothing_heavy(arguments, tmp_path):
    assert not modules_after(running(*arguments), tmp_path).intersection(HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [
        ["stylize", EXAMPLES / "astronaut.jpg", "--size", "96", "-o", "out.png"],
        ["video", EXAMPLES / "clip.mp4", "--size", "64", "-o", "out.mp4"],
        ["webcam", EXAMPLES / "clip.mp4", "--headless", "--frames", "2"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_running_a_style_needs_no_torch(arguments, tmp_path):
    loaded = modules_after(running(*map(str, arguments), "--model", str(TINY)), tmp_path)
    assert "onnxruntime" in loaded  # it did run
    assert not loaded.intersection(TRAINING_ONLY)


@pytest.mark.flaky(reruns=2)
def test_help_is_quick(tmp_path):
    resource = pytest.importorskip("resource", reason="processor time of a child process")
    taken = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(HELP, stdout=subprocess.DEVNULL, cwd=tmp_path, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < 0.5, "seconds of processor time, which other programs take nothing of"


def test_help_names_every_command():
    done = run("--help")
    assert done.status == 0
    for command in COMMANDS:
        assert f" {command} " in done.out


def test_version():
    assert run("--version").out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["paint"], "No such command 'paint'"),
        (["--speed"], "--speed"),
        (["stylize"], "Missing argument"),
        (["stylize", "x.jpg", "--strength", "much"], "'--strength'"),
        (["video", "x.mp4", "--codec"], "--codec"),
        (["models", "info"], "Missing argument"),
        (["photos", "--limit", "0"], "'--limit'"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_with_2(arguments, says):
    done = run(*arguments)
    assert done.status == 2
    assert done.err.startswith("error: ") and done.err.count("\n") == 1 and says in done.err
    assert done.out == ""


def test_no_arguments_at_all_show_the_help():
    done = run()
    assert done.status == 2
    assert done.out.count("Usage: ") == 1 and not done.errors


def test_python_m_styletransfer(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "styletransfer", "models", "info", "no-such-style"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLETRANSFER_DEBUG", "1")
    done = subprocess.run(
        [sys.executable, "-m", "styletransfer", "models", "info", "no-such-style"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert "Traceback" in done.stderr
    assert "ModelError" in done.stderr


def test_reader_that_goes_away_is_no_traceback(tmp_path):
    """`styletransfer --help | head -0`."""
    process = subprocess.Popen(
        HELP,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait()
