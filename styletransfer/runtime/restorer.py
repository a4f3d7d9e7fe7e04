"""A restoration file that runs: noisy, compressed or small pictures of any size in, restored pictures out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from styletransfer.core.card import ModelCard
from styletransfer.core.errors import InputError, ModelError
from styletransfer.core.match import match_histogram
from styletransfer.core.memory import KEEP_FREE
from styletransfer.runtime import memory
from styletransfer.runtime.engine import Engine
from styletransfer.runtime.padding import MIN_SIDE, check_frames, crop, pad_reflect, padded_size, round_up
from styletransfer.runtime.signature import explain_failure, read_card, read_restorer

Frame = npt.NDArray[np.uint8]

OVERLAP_PX = 72
"""How far a tile sees beyond the part of it that is kept. It covers the receptive fields of the networks here: DnCNN
17 to 20 pixels, EDSR-baseline and SRResNet 36 to 45, full EDSR 68. With it tiles give what the whole picture gives."""

_LEAST_TILE_PX = 64
_TILES_SHARE = 0.5  # of the free memory that one run may take
_DEVICE_BYTES = 2_000_000_000  # for one run on a device whose free memory nobody knows
_LEAST_CHANNELS = 16
_SIZES_REMEMBERED = 100
_MAPS = 3  # float32 maps of a network's width that live at once: what a layer reads, what it writes, what is added
_RESULT_COPIES = 3  # of the restored picture: the array, the encoder's, the file


class Restorer:
    """A loaded restoration network; calling it restores a frame.

    It is for one thread at a time, as :class:`~styletransfer.runtime.stylizer.Stylizer` is.

    Args:
        model: the ``.onnx`` file (``core.zoo.resolve_restorer`` finds it by name).
        provider: ``auto`` or one of ``runtime.providers.PROVIDERS``.
        threads: threads within an operator; by default the cores that this process may use.

    Attributes:
        path: the file.
        name: the file's name without its suffix.
        card: the model card.
        task: what it does: ``sr``, ``denoise``, ``deblock`` or ``clean``.
        scale: s, the result's side as a multiple of the frame's.

    Raises:
        ModelError: the file is missing, damaged or no restoration network.
        ProviderError: the provider is not there or does not load.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, model: Path, provider: str = "auto", threads: int | None = None) -> None:
        self.path = Path(model)
        self.name = self.path.stem
        self._engine = Engine(self.path, provider, threads)
        card = read_card(self._engine.session, self.path)
        self.card: ModelCard
        self.card, self._signature = read_restorer(self._engine.session, card, self.path)
        self.task, self.scale = self.card.task, self.card.scale
        self._matches_histogram = self.card.architecture == "johnson" and self.scale > 1
        names = self._signature
        self._engine.set_contract(names.input, names.output, names.free_names, self.scale)
        self._tiles: dict[tuple[int, int], int | None] = {}  # by height and width: frames of a clip are done alike

    def __call__(self, frame_hwc: Frame) -> Frame:
        """Restore RGB uint8 ``[H, W, 3]``, H and W of any size; the result is ``[s H, s W, 3]``.

        What Johnson's networks enlarge gets the small picture's histogram, as in their paper (section 4.2).

        What does not fit into half of the free memory is done in tiles that overlap by :data:`OVERLAP_PX`. The result
        is the same but for the rounding of single levels, unless the network looks farther than that.

        Raises:
            InputError: no such array, or a result too large for the memory that is free.
            ModelError: the network fails on it.
        """
        frame = check_frames(frame_hwc, dimensions=3)
        height, width = frame.shape[:2]
        padded = pad_reflect(frame[None], *self._padded(height, width))
        tile_px = self._remembered_tile_px(height, width)
        restored = self._run(padded) if tile_px is None else self._run_tiled(padded, tile_px)
        result: Frame = crop(restored, height * self.scale, width * self.scale)[0]
        return match_histogram(result, frame) if self._matches_histogram else result

    def warm_up(self, height: int, width: int) -> None:
        """Prepare for frames of this size, as ``Stylizer.warm_up`` does."""
        shape = (1, *self._padded(height, width), 3)
        if self._remembered_tile_px(height, width) is None:
            self._engine.prepare(shape, {})
        frame = np.full((height, width, 3), 128, np.uint8)
        for _ in range(2):  # from the second on into bound buffers
            self(frame)

    @property
    def provider(self) -> str:
        """Short name of the provider that really runs."""
        return self._engine.provider

    @property
    def gains_from_warm_up(self) -> bool:
        """Whether :meth:`warm_up` for a size may make frames of it faster for good, and so is worth a pause."""
        return self._engine.gains_from_preparing

    def describe(self, height: int, width: int) -> str:
        """How frames of this size run by now, in a few words: provider, variant, threads, buffers."""
        return self._engine.describe((1, *self._padded(height, width), 3))

    def _padded(self, height: int, width: int) -> tuple[int, int]:
        return padded_size(height, width, self._signature.size_multiple)

    def _run(self, padded: Frame) -> Frame:
        try:
            result = self._engine.run_bytes(np.ascontiguousarray(padded), {})
        except Exception as error:  # onnxruntime's own classes derive from Exception
            raise explain_failure(error, padded.shape, self.path, self.provider) from error
        count, height, width = padded.shape[:3]
        if result.shape != (count, height * self.scale, width * self.scale, 3):
            raise ModelError(
                f"{self.path}: made {list(result.shape)} of {list(padded.shape)}; its card says ×{self.scale}"
            )
        return result

    def _run_tiled(self, padded: Frame, tile_px: int) -> Frame:
        height, width = padded.shape[1:3]
        s = self.scale
        result = np.empty((1, height * s, width * s, 3), np.uint8)
        overlap = round_up(OVERLAP_PX, self._signature.size_multiple)
        for y in _parts(height, tile_px, overlap):
            for x in _parts(width, tile_px, overlap):
                tile = self._run(padded[:, y.seen_from : y.seen_to, x.seen_from : x.seen_to])
                top, left = (y.kept_from - y.seen_from) * s, (x.kept_from - x.seen_from) * s
                high, wide = (y.kept_to - y.kept_from) * s, (x.kept_to - x.kept_from) * s
                kept = tile[:, top : top + high, left : left + wide]
                result[:, y.kept_from * s : y.kept_to * s, x.kept_from * s : x.kept_to * s] = kept
        return result

    def _remembered_tile_px(self, height: int, width: int) -> int | None:
        """As it was decided for the first frame: what that took then is not free any more."""
        if (height, width) not in self._tiles:
            if len(self._tiles) >= _SIZES_REMEMBERED:
                self._tiles.clear()
            self._tiles[height, width] = self._tile_px(height, width)
        return self._tiles[height, width]

    def _tile_px(self, height: int, width: int) -> int | None:
        """Side of the tiles that fit into memory, without their overlap; None where the whole picture fits."""
        is_host = self.provider in ("cpu", "openvino")
        each = self._bytes_per_pixel()
        if height * width * each <= _DEVICE_BYTES / 4:  # every live frame is among them: nobody is asked
            return None
        free = memory.free_bytes()
        if free is not None:
            free = int(free * (1 - KEEP_FREE))
            self._check_result(height, width, free)
            free -= height * width * 3 * self.scale**2
        budget = _DEVICE_BYTES if free is None or not is_host else int(_TILES_SHARE * free)
        padded_height, padded_width = self._padded(height, width)
        if padded_height * padded_width * each <= budget:
            return None
        multiple = self._signature.size_multiple
        side = (math.isqrt(budget // each) - 2 * round_up(OVERLAP_PX, multiple)) // multiple * multiple
        if side < _LEAST_TILE_PX:
            need = (_LEAST_TILE_PX + 2 * OVERLAP_PX) ** 2 * each / _TILES_SHARE
            raise InputError(
                f"even the smallest tile needs about {need / 1e9:.1f} GB of memory beside a picture of "
                f"{width}×{height} pixels; use a smaller network, or --size"
            )
        return side

    def _check_result(self, height: int, width: int, free: int) -> None:
        need = _RESULT_COPIES * height * width * 3 * self.scale**2
        if need > free:
            side = int(max(height, width) * math.sqrt(free / need))
            raise InputError(
                f"{width}×{height} pixels become {width * self.scale}×{height * self.scale}, which take about "
                f"{need / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free; use --size {max(MIN_SIDE, side)}"
            )

    def _bytes_per_pixel(self) -> int:
        """Of the frame, at the peak of a run on the CPU: computed from the widths of the layers, not measured."""
        channels, grown = max(_LEAST_CHANNELS, self.card.channels), self.scale**2
        # `compact` ends at the low resolution, with 3 s² channels; the others carry their full width up.
        largest = max(channels, 3 * grown) if self.card.architecture == "compact" else channels * grown
        return 4 * _MAPS * largest


class _Part(NamedTuple):
    """One stretch of a row or a column of tiles: what is kept of it, and what the network sees."""

    kept_from: int
    kept_to: int
    seen_from: int
    seen_to: int


def _parts(length: int, tile_px: int, overlap_px: int) -> Iterator[_Part]:
    """Stretches that cover ``length`` and all see equally much, so that every tile has one shape."""
    seen = min(length, tile_px + 2 * overlap_px)
    for start in range(0, length, tile_px):
        first = min(max(0, start - overlap_px), length - seen)
        yield _Part(start, min(start + tile_px, length), first, first + seen)
