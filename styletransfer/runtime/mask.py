"""Where the person is: a small segmentation network, steadied over time and with a soft edge.

Contract of a mask file (``--mask-model``): ONNX, one input, RGB, ``[1, 3, H, W]`` or ``[1, H, W, 3]``, float32 0..1 or
uint8, of fixed or free size; one output of the same height and width (any number of leading or trailing ones),
float32, the probability 0..1 that a pixel belongs to a person; with two channels the second one counts, and values
outside 0..1 are taken for logits. The shipped file is MediaPipe's selfie segmentation; MODNet and U²-Net exports
keep the contract too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from styletransfer.core import zoo
from styletransfer.core.errors import ModelError
from styletransfer.runtime.providers import create_session, explain

SHIPPED = "masks/person.onnx"
"""The mask network of this package, below ``core.zoo.models_dir()``."""

WHERE_FROM = (
    "give a file with --mask-model: an ONNX network that takes RGB [1, 3, H, W] 0..1 and gives [1, 1, H, W] 0..1, as "
    "exports of MediaPipe Selfie Segmentation, MODNet and U2-Net-p do"
)

_FREE_SIDE = 256  # for networks of free size
_MULTIPLE = 32
_CALM = 0.35  # share of a new mask where little changed: it steadies the edge
_ABRUPT = 0.35  # a change of probability beyond this is a movement and counts at once
_LOW, _HIGH = 0.25, 0.75  # probabilities that become 0 and 1
_FEATHER_PX = 1.2  # at the network's resolution


def shipped_mask() -> Path | None:
    """The mask network that comes with the package, None where it was left out."""
    path = zoo.models_dir() / SHIPPED
    return path if path.is_file() else None


class PersonMask:
    """Finds the person in a row of frames; calling it gives the mask of the next frame.

    Args:
        model: the mask network; by default the shipped one.
        provider: ``auto`` or one of ``runtime.providers.PROVIDERS``; the network is small and quick on a CPU.

    Raises:
        ModelError: there is no such file, or it is no mask network.
    """

    def __init__(self, model: Path | None = None, provider: str = "cpu") -> None:
        path = model or shipped_mask()
        if path is None:
            raise ModelError(f"this installation has no mask network; {WHERE_FROM}")
        self.path = Path(path)
        self._session, self.provider = create_session(self.path, provider, expected=WHERE_FROM)
        self._input, self._planar, self._size_hw, self._is_bytes = self._signature()
        self._before: NDArray[np.float32] | None = None
        self(np.zeros((64, 64, 3), np.uint8))  # a file that is no mask network is refused here, not in the show
        self.forget()

    def forget(self) -> None:
        """Start anew: the next frame has nothing to do with the last one."""
        self._before = None

    def __call__(self, frame_hwc: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The mask of a frame.

        Args:
            frame_hwc: RGB uint8 ``[H, W, 3]``.

        Returns:
            uint8 ``[H, W]``: 255 on the person, 0 on the background, soft at the edge.

        Raises:
            ModelError: the network fails, or gives something else.
        """
        height, width = frame_hwc.shape[:2]
        wide, high = self._size_hw[1], self._size_hw[0]
        small = Image.fromarray(frame_hwc).resize((wide, high), Image.Resampling.BILINEAR, reducing_gap=1.0)
        found = self._steadied(self._run(np.asarray(small)))
        sharp = np.clip((found - _LOW) * (255 / (_HIGH - _LOW)), 0, 255).astype(np.uint8)
        soft = Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(_FEATHER_PX))
        return np.asarray(soft.resize((width, height), Image.Resampling.BILINEAR))

    def _steadied(self, found: NDArray[np.float32]) -> NDArray[np.float32]:
        """An average over time that lets movements through."""
        if self._before is not None and self._before.shape == found.shape:
            change = found - self._before
            share = np.clip(_CALM + (1 - _CALM) * np.abs(change) / _ABRUPT, _CALM, 1.0)
            found = self._before + share * change
        self._before = found
        return found

    def _run(self, small_hwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels: Any = small_hwc if self._is_bytes else small_hwc.astype(np.float32) * np.float32(1 / 255)
        if self._planar:
            pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        try:
            result = np.asarray(self._session.run(None, {self._input: pixels[None]})[0], np.float32)
        except Exception as error:  # onnxruntime's own classes derive from Exception
            raise ModelError(f"{self.path}: the mask network fails ({explain(error)})") from error
        return self._to_probability(result)

    def _to_probability(self, result: NDArray[np.float32]) -> NDArray[np.float32]:
        high, wide = self._size_hw
        channels = result.size // (high * wide)
        if result.size != channels * high * wide or channels not in (1, 2):
            raise ModelError(f"{self.path}: made {list(result.shape)} of a {wide}×{high} picture; {WHERE_FROM}")
        last = result.ndim > 1 and result.shape[-1] == channels and result.shape[-2] == wide
        planes = result.reshape(high, wide, channels) if last else result.reshape(channels, high, wide)
        plane = planes[..., -1] if last else planes[-1]
        if not np.isfinite(plane).all():
            plane = np.nan_to_num(plane)
        if plane.min() < -0.01 or plane.max() > 1.01:  # logits
            plane = 1 / (1 + np.exp(-np.clip(plane, -30, 30)))
        return np.ascontiguousarray(plane, np.float32)

    def _signature(self) -> tuple[str, bool, tuple[int, int], bool]:
        """Name of the input, whether channels come first, height and width, and whether it takes bytes."""
        inputs = self._session.get_inputs()
        shape = list(inputs[0].shape) if inputs else []
        types = {"tensor(float)": False, "tensor(uint8)": True}
        if len(inputs) != 1 or len(shape) != 4 or inputs[0].type not in types or 3 not in (shape[1], shape[3]):
            raise ModelError(f"{self.path}: is no mask network (its input is {shape}); {WHERE_FROM}")
        planar = shape[1] == 3
        sides = shape[2:] if planar else shape[1:3]
        high, wide = (side if isinstance(side, int) and side > 0 else _FREE_SIDE for side in sides)
        if min(high, wide) < _MULTIPLE // 2 or max(high, wide) > 2048:
            raise ModelError(f"{self.path}: a mask network for {wide}×{high} pixels is not supported; {WHERE_FROM}")
        return inputs[0].name, planar, (high, wide), types[inputs[0].type]
