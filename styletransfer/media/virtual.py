"""A virtual camera: what is stylized here, other programs take for a webcam."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.core.errors import MissingExtraError, OutputError

_MEND = {
    "linux": "`sudo apt install v4l2loopback-dkms && sudo modprobe v4l2loopback exclusive_caps=1` makes one",
    "darwin": "install OBS Studio (30 or newer), start its virtual camera once and stop it again",
    "win32": "install OBS Studio, which brings one, and close it if its own virtual camera runs",
}


class VirtualCamera:
    """A sink that sends frames to the first virtual camera of the machine; it opens with the first frame.

    Args:
        frames_per_s: the rate that other programs are told.

    Attributes:
        device: name of the camera, empty until it is open.

    Raises:
        MissingExtraError: pyvirtualcam is not installed.
    """

    def __init__(self, frames_per_s: float = 30.0) -> None:
        self.device = ""
        self._pyvirtualcam = _import()
        self._frames_per_s = frames_per_s
        self._camera: Any = None
        self._size_wh = (0, 0)

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def write(self, frame_hwc: NDArray[np.uint8]) -> None:
        """Send one RGB picture, uint8 ``[H, W, 3]``; another size than before opens the camera anew.

        Raises:
            OutputError: there is no virtual camera, or it is gone.
        """
        # Even sides: the formats that cameras speak have half as many colours as pixels in both directions.
        height, width = (side // 2 * 2 for side in frame_hwc.shape[:2])
        if self._camera is None or self._size_wh != (width, height):
            self.open(width, height)
        try:
            self._camera.send(np.ascontiguousarray(frame_hwc[:height, :width]))
        except Exception as error:  # each platform's driver has its own
            raise OutputError(f"the virtual camera {self.device} takes no frames any more ({error})") from error

    def open(self, width: int, height: int) -> None:
        """Open the camera for frames of this size.

        Raises:
            OutputError: there is no virtual camera.
        """
        self._close()
        try:
            self._camera = self._pyvirtualcam.Camera(width=width, height=height, fps=self._frames_per_s)
        except Exception as error:  # RuntimeError as documented, OSError from drivers
            reason = " ".join(str(error).split())
            mend = _MEND.get(sys.platform, "pyvirtualcam's documentation lists what it supports")
            raise OutputError(f"there is no virtual camera ({reason}); {mend}") from error
        self.device, self._size_wh = str(self._camera.device), (width, height)

    def _close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


def _import() -> Any:
    try:
        import pyvirtualcam
    except ImportError as error:
        raise MissingExtraError("pyvirtualcam", "virtual-camera", "send frames to a virtual camera") from error
    return pyvirtualcam
