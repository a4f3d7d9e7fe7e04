"""Photos for training: any folder, damaged files skipped, every batch a function of (seed, step) alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageStat
from torch import Tensor

from styletransfer.core.errors import InputError
from styletransfer.core.pictures import load_picture

Crop = NDArray[np.uint8]
"""RGB uint8 ``[H, W, 3]``."""

_B = TypeVar("_B")
_K = TypeVar("_K")
_V = TypeVar("_V")

MIN_SIDE = 64
"""Photos with a shorter side than this, in pixels, are skipped: enlarged they would teach blur."""

_ONE_COLOUR = 2.0
"""Standard deviation, in grey levels, of which a painting has more in one channel at least."""

_SCALE_RANGE = (0.7, 1.0)
"""A crop's side as a share of the photo's shorter side."""

_NOISE_LEVELS = 4.0
"""Largest standard deviation, in grey levels, of the noise added to a crop, as cameras add it."""

_GRADIENT_SHARE = 0.03
"""Share of the crops that are synthetic colour gradients instead of photos."""

_AHEAD = 3
"""Batches that are prepared while the network works on one."""

_CACHE_BYTES = 1 << 30
"""Decoded photos kept in memory, so that a second pass over a small folder decodes nothing."""


@dataclass
class Skipped:
    """Photos that were left out, by reason; a file counts once."""

    damaged: set[Path] = field(default_factory=set)
    tiny: set[Path] = field(default_factory=set)
    grey: set[Path] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.damaged) + len(self.tiny) + len(self.grey)

    def __str__(self) -> str:
        return f"{len(self.damaged)} damaged, {len(self.tiny)} tiny, {len(self.grey)} grey"


def load_painting(path: Path, longer_side: int) -> Tensor:
    """The painting as float32 RGB ``[1, 3, H, W]`` in 0..255, its longer side at ``longer_side`` pixels.

    Raises:
        InputError: the file is missing, no picture, or all of one colour, which a network would paint everything in.
    """
    image = Image.fromarray(load_picture(path).frame_hwc)
    if max(ImageStat.Stat(image).stddev) < _ONE_COLOUR:
        raise InputError(f"{path}: is all of one colour, there is nothing to learn from it; give a painting's picture")
    scale = longer_side / max(image.size)
    width, height = (max(16, round(side * scale)) for side in image.size)
    resized = image.resize((width, height), Image.Resampling.LANCZOS)
    return to_bchw(np.asarray(resized))


def to_bchw(frame_hwc: NDArray[np.uint8], device: torch.device | None = None) -> Tensor:
    """RGB uint8 ``[H, W, 3]`` as float32 ``[1, 3, H, W]``, 0..255, in channels_last memory, on the CPU by default."""
    return torch.from_numpy(np.array(frame_hwc)).to(device).permute(2, 0, 1)[None].float()


@dataclass(frozen=True)
class Batch:
    """One step's training pictures.

    Attributes:
        photos: uint8 RGB ``[N, 3, H, W]``, channels_last memory.
        gradients: how many of them, at the front, are synthetic colour gradients.
    """

    photos: Tensor
    gradients: int


class PhotoSampler:
    """Batches of random crops, each determined by ``(seed, step)``: resuming needs no saved state.

    Photos are drawn without replacement, epoch by epoch. A damaged, tiny or grey one is replaced by the next in its
    epoch and counted in :attr:`skipped`.

    Args:
        paths: the photos.
        batch: crops a batch.
        size: height and width of a crop, pixels.
        seed: of every random choice.
    """

    def __init__(self, paths: list[Path], batch: int, size: int, seed: int) -> None:
        self.paths = paths
        self.batch = batch
        self.size = size
        self.seed = seed
        self.skipped = Skipped()
        self._cache: SizedCache[Path, Image.Image] = SizedCache(_CACHE_BYTES)
        self._order = EpochOrder(len(paths), seed)

    def __call__(self, step: int) -> Batch:
        """Batch number ``step``.

        Raises:
            InputError: no usable photo is left.
        """
        rng = np.random.default_rng([self.seed, step, 2])
        crops = [self._crop(step * self.batch + index) for index in range(self.batch)]
        gradients = int(rng.random() < _GRADIENT_SHARE * self.batch)
        if gradients:
            crops[0] = _gradient(rng, self.size)
        return Batch(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2), gradients)

    def batches(self, first: int, last: int, workers: int) -> Iterator[Batch]:
        """Batches ``first`` … ``last - 1`` in order, prepared ahead by ``workers`` threads."""
        return prepare_ahead(self, first, last, workers)

    def photo_crop(self, position: int) -> Crop:
        """The crop at ``position`` of the endless sequence, without the noise: RGB uint8 ``[size, size, 3]``."""
        return self._cut(position, np.random.default_rng([self.seed, position]))

    def _crop(self, position: int) -> Crop:
        rng = np.random.default_rng([self.seed, position])
        crop = self._cut(position, rng)
        noise = rng.standard_normal(crop.shape, dtype=np.float32) * np.float32(rng.uniform(0, _NOISE_LEVELS))
        return np.clip(np.rint(crop + noise), 0, 255).astype(np.uint8)

    def _cut(self, position: int, rng: np.random.Generator) -> Crop:
        image = self._photo(position)
        shorter = min(image.size)
        side = min(shorter, max(self.size, round(shorter * rng.uniform(*_SCALE_RANGE))))
        left = int(rng.integers(image.width - side + 1))
        top = int(rng.integers(image.height - side + 1))
        box = (left, top, left + side, top + side)
        crop = np.asarray(image.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box))
        return crop[:, ::-1] if rng.random() < 0.5 else crop

    def _photo(self, position: int) -> Image.Image:
        """The usable photo at ``position`` of the endless sequence of epochs."""
        for index in self._order.candidates(position):
            image = self._load(self.paths[index])
            if image is not None:
                return image
        raise InputError(f"none of the {len(self.paths)} photos can be used for training ({self.skipped})")

    def _load(self, path: Path) -> Image.Image | None:
        """The photo, reduced to what a crop needs; ``None`` and counted where it is unusable."""
        if path in self.skipped.damaged or path in self.skipped.tiny or path in self.skipped.grey:
            return None
        known = self._cache.get(path)
        if known is not None:
            return known
        image, reason = _decode(path, self.size)
        if image is None:
            getattr(self.skipped, reason).add(path)
        else:
            self._cache.put(path, image, image.width * image.height * 3)
        return image


class EpochOrder:
    """Items in random order without replacement, epoch by epoch, each place determined by the seed alone.

    Args:
        count: items.
        seed: of the order.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self._known: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def candidates(self, position: int) -> Iterator[int]:
        """The item at ``position`` of the endless sequence, then those after it in its epoch, for where it is unfit."""
        epoch, index = divmod(position, self._count)
        known, order = self._known
        if known != epoch:
            order = np.random.default_rng([self._seed, epoch, 1]).permutation(self._count)
            self._known = (epoch, order)
        return (int(order[(index + offset) % self._count]) for offset in range(self._count))


class SizedCache(Generic[_K, _V]):
    """What was used last, as far as it fits; for several threads.

    Args:
        limit_bytes: of all values together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[_K, tuple[_V, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.used_bytes = 0

    def get(self, key: _K) -> _V | None:
        """The value, which counts as used now; ``None`` where it is not, or no longer, there."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: _K, value: _V, size_bytes: int) -> None:
        """Keep a value, and forget others where there is no room."""
        with self._lock:
            if key not in self._entries:
                self._entries[key] = (value, size_bytes)
                self.used_bytes += size_bytes
            while self.used_bytes > self._limit_bytes:
                self.used_bytes -= self._entries.popitem(last=False)[1][1]


def prepare_ahead(make: Callable[[int], _B], first: int, last: int, workers: int) -> Iterator[_B]:
    """``make(first)`` … ``make(last - 1)`` in order, made ahead by ``workers`` threads."""
    with ThreadPoolExecutor(workers, thread_name_prefix="photos") as pool:
        ahead: list[Future[_B]] = []
        try:
            for step in range(first, last):
                while len(ahead) < _AHEAD + workers and step + len(ahead) < last:
                    ahead.append(pool.submit(make, step + len(ahead)))
                yield ahead.pop(0).result()
        finally:
            for future in ahead:
                future.cancel()


def _gradient(rng: np.random.Generator, size: int) -> Crop:
    """A smooth blend of four random colours, one a corner."""
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    image = Image.fromarray(corners).resize((size, size), Image.Resampling.BILINEAR, box=(0.5, 0.5, 1.5, 1.5))
    return np.asarray(image)


def _decode(path: Path, size: int) -> tuple[Image.Image | None, str]:
    """A photo whose shorter side is at most 1.5 crops long, or ``None`` and the reason."""
    try:
        frame = load_picture(path).frame_hwc
    except InputError:
        return None, "damaged"
    if min(frame.shape[:2]) < MIN_SIDE:
        return None, "tiny"
    if (frame[::8, ::8, 0] == frame[::8, ::8, 1]).all() and (frame[::8, ::8, 1] == frame[::8, ::8, 2]).all():
        return None, "grey"
    image = Image.fromarray(frame)
    wanted = max(size, min(*image.size, size * 3 // 2))
    scale = wanted / min(image.size)
    if scale != 1.0:
        new_size = (max(wanted, round(image.width * scale)), max(wanted, round(image.height * scale)))
        image = image.resize(new_size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return image, ""
