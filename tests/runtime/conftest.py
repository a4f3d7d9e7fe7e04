"""Fixtures for the runtime's tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import onnxruntime
import pytest

from styletransfer.runtime import providers


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Every thread that a test starts is over at its end."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not left, f"threads still running: {left}"


@pytest.fixture
def openvino() -> None:
    """Skips where there is no OpenVINO plug-in, or a processor that it does not take."""
    pytest.importorskip("onnxruntime_ep_openvino")
    if not providers._registered_openvino_devices(onnxruntime):
        pytest.skip("OpenVINO's plug-in takes Intel's processors only")
