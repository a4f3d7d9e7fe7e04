"""Fixtures for every test: the tiny style, a photo without copyright, and the command line in-process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command import Outcome, run
from PIL import Image
from samples import make_photo

DATA = Path(__file__).parent / "data"


# A shell starts background jobs with Ctrl-C ignored, and what they start inherits it: the tests of Ctrl-C would hang.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def cli() -> Callable[..., Outcome]:
    """Run ``styletransfer ARGS`` in this process: ``cli("stylize", path, stdin=b"...")``."""
    return run


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """A style file of a few kilobytes that keeps the contract; see data/make_tiny.py."""
    return DATA / "tiny.onnx"


@pytest.fixture(scope="session")
def tiny_upscale2() -> Path:
    """A restoration file that doubles width and height; see data/make_tiny.py."""
    return DATA / "tiny_upscale2.onnx"


@pytest.fixture(scope="session")
def tiny_deblock() -> Path:
    """A restoration file that takes noise away, at the same size."""
    return DATA / "tiny_deblock.onnx"


@pytest.fixture
def photo() -> np.ndarray:
    """RGB uint8 ``[90, 120, 3]``: gradients, edges and texture in many colours."""
    return make_photo(90, 120)


@pytest.fixture
def photo_file(tmp_path: Path, photo: np.ndarray) -> Path:
    """The photo as a JPEG."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(photo).save(path, quality=90)
    return path
