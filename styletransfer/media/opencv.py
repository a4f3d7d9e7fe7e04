"""OpenCV, imported where a camera or a window needs it and nowhere else: it wants libraries of a desktop."""

from __future__ import annotations

import os
from typing import Any

from styletransfer.core.errors import CameraError


def import_cv2() -> Any:
    """OpenCV, silent.

    Raises:
        CameraError: it is not installed, or a system library that it needs is missing.
    """
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
