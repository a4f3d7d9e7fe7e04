"""OpenCV, imported where a camera or a window needs it and nowhere else: it wants libraries of a desktop."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.errors import CameraError
from styletransfer.core.pictures import resize_frame


def import_cv2() -> Any:
    """OpenCV, silent.

    Raises:
        CameraError: it is not installed, or a system library that it needs is missing.
    """
    loaded = sys.modules.get("cv2")
    if loaded is not None:  # many small drawings ask for it
        return loaded
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    try:
        import cv2
    except ImportError as error:
        raise CameraError(
            f"OpenCV cannot be loaded ({error}): on Debian and Ubuntu `apt install libgl1 libglib2.0-0` "
            "mends it, and without a display `pip install opencv-python-headless` in place of opencv-python; "
            "video files and URLs work with --headless as it is"
        ) from error
    return cv2


def resize(frame_hwc: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize RGB uint8 ``[H, W, 3]`` fast: by area where it shrinks, bilinear where it grows.

    The same size returns the array itself. Without OpenCV Pillow does it, ten times as slowly.
    """
    height, width = frame_hwc.shape[:2]
    if (width, height) == tuple(size_wh):
        return frame_hwc
    try:
        cv2 = import_cv2()
    except CameraError:
        return resize_frame(frame_hwc, size_wh)
    method = cv2.INTER_AREA if size_wh[0] < width else cv2.INTER_LINEAR
    resized: NDArray[np.uint8] = cv2.resize(frame_hwc, size_wh, interpolation=method)
    return resized
