"""What only an installed wheel can show; `make wheel-test` runs this with the runtime's tests."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import styletransfer
from styletransfer.core import zoo

pytestmark = pytest.mark.skipif(
    not os.environ.get("STYLETRANSFER_TEST_WHEEL"), reason="for the installed wheel: make wheel-test"
)


def test_it_is_the_wheel_that_is_tested():
    assert "site-packages" in styletransfer.__file__


def test_there_is_no_torch_and_no_onnx_to_lean_on():
    assert importlib.util.find_spec("torch") is None
    assert importlib.util.find_spec("onnx") is None


def test_styles_come_with_the_wheel():
    styles = zoo.shipped()
    assert zoo.DEFAULT_STYLE in styles
    assert all("site-packages" in str(path) for path in styles.values())


def test_three_lines_stylize_an_array():
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    stylize = styletransfer.load(zoo.DEFAULT_STYLE)
    result = stylize(picture)
    assert result.shape == picture.shape
    assert result.dtype == np.uint8
    assert (result != picture).mean() > 0.5


def test_the_command_is_installed(tmp_path):
    command = Path(sys.executable).with_name("styletransfer")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == styletransfer.__version__


def test_types_are_shipped():
    assert (Path(styletransfer.__file__).parent / "py.typed").exists()
