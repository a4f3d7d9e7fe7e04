"""Arrays that onnxruntime reads from and writes to in place, run after run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]
Feeds = Mapping[str, npt.NDArray[np.float32]]
Shape = tuple[int, ...]

_POOL = 6  # results that the caller may hold before another one costs fresh memory


class HostBuffers:
    """Runs with the result written straight into an array of ours, for providers that work in the host's memory.

    Args:
        session: the loaded file.
        input_name: of the frames.
        output_name: of the result.
        shape: of the frames, ``[N, H, W, 3]``.
        result_shape: of the result, ``[N, s H, s W, 3]``.
    """

    def __init__(self, session: Any, input_name: str, output_name: str, shape: Shape, result_shape: Shape) -> None:
        self._session, self._names = session, (input_name, output_name)
        self._shape, self._result_shape = shape, result_shape
        self._binding = session.io_binding()
        self._pool: list[Frame] = []

    def __call__(self, frames: Frame, feeds: Feeds) -> Frame:
        """uint8 ``[N, H, W, 3]``, C-contiguous, of the shape that was bound, to a result that is the caller's."""
        result = self._unused()
        binding = self._binding
        for name, value in feeds.items():
            binding.bind_cpu_input(name, value)
        binding.bind_input(self._names[0], "cpu", 0, np.uint8, self._shape, frames.ctypes.data)
        binding.bind_output(self._names[1], "cpu", 0, np.uint8, self._result_shape, result.ctypes.data)
        self._session.run_with_iobinding(binding)
        return result

    def _unused(self) -> Frame:
        """An array that nobody else holds: fresh memory of a frame's size costs a page fault every 4 kB."""
        for place in range(len(self._pool)):
            if _holders(self._pool, place) == _IDLE:
                return self._pool[place]
        fresh = np.empty(self._result_shape, np.uint8)
        if len(self._pool) < _POOL:
            self._pool.append(fresh)
        return fresh


class DeviceBuffers:
    """Runs with frame and result at fixed places in a device's memory, as a recorded CUDA graph needs them.

    Args: as :class:`HostBuffers`, and the device's name.
    """

    def __init__(
        self,
        session: Any,
        input_name: str,
        output_name: str,
        shape: Shape,
        result_shape: Shape,
        *,
        device: str = "cuda",
    ) -> None:
        import onnxruntime

        self._session = session
        self._frames, self._result = (
            onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(sides), np.uint8, device, 0)
            for sides in (shape, result_shape)
        )
        self._feeds: dict[str, Any] = {}
        self._device = device
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(input_name, self._frames)
        self._binding.bind_ortvalue_output(output_name, self._result)

    def __call__(self, frames: Frame, feeds: Feeds) -> Frame:
        """As :class:`HostBuffers`."""
        import onnxruntime

        for name, value in feeds.items():
            if name in self._feeds:
                self._feeds[name].update_inplace(value)
            else:
                self._feeds[name] = onnxruntime.OrtValue.ortvalue_from_numpy(value, self._device, 0)
                self._binding.bind_ortvalue_input(name, self._feeds[name])
        self._frames.update_inplace(frames)
        self._session.run_with_iobinding(self._binding)
        result: Frame = self._result.numpy()
        return result.copy() if self._device == "cpu" else result  # of the host's memory that is no copy yet


def _holders(pool: list[Any], place: int) -> int:
    return sys.getrefcount(pool[place])


_IDLE = _holders([object()], 0)  # where the list alone holds it; how that counts is the interpreter's business
