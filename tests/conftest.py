"""Fixtures for every test: the tiny style, a photo without copyright, and the command line in-process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out_bytes: bytes
    err: str

    @property
    def out(self) -> str:
        return self.out_bytes.decode()

    @property
    def errors(self) -> list[str]:
        """The error lines."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


Cli = Callable[..., Outcome]


class _Stream(io.TextIOWrapper):
    """A text stream over bytes that the test reads afterwards, even if the command closed it."""

    def __init__(self, data: bytes = b"") -> None:
        self.raw_bytes = io.BytesIO(data)
        super().__init__(self.raw_bytes, encoding="utf-8", write_through=True)

    def close(self) -> None:
        self.flush()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run ``styletransfer ARGS`` in this process: ``cli("stylize", path, stdin=b"...")``."""

    def run(*args: object, stdin: bytes = b"") -> Outcome:
        from styletransfer.cli.app import main

        stdout, stderr = _Stream(), _Stream()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", _Stream(stdin))
            patch.setattr(sys, "stdout", stdout)
            patch.setattr(sys, "stderr", stderr)
            try:
                main([str(arg) for arg in args])
                status = 0
            except SystemExit as stop:
                code = stop.code
                status = code if isinstance(code, int) else int(code is not None)
        err = stderr.raw_bytes.getvalue().decode()
        assert "Traceback" not in err, err
        return Outcome(status, stdout.raw_bytes.getvalue(), err)

    return run


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """A style file of a few kilobytes that keeps the contract; see data/make_tiny.py."""
    return DATA / "tiny.onnx"


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
