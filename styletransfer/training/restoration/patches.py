"""Pairs of patches for training, spoiled and as they should be; every batch a function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from styletransfer.core.errors import InputError
from styletransfer.core.photos import find_photos
from styletransfer.core.pictures import fit_size, load_picture, resize_frame
from styletransfer.core.settings_restore import RestoreSettings
from styletransfer.training.data import EpochOrder, SizedCache, prepare_ahead
from styletransfer.training.restoration.degrade import Frame, shrink, spoiler, through_optics, to_grey

_LONGEST_PX = 2048  # larger photos are made smaller: their pixels hold little that smaller ones do not
_CACHE_BYTES = 2 << 30
_GRID_PX = 8  # of JPEG: patches begin anywhere in it
_GRID_TASKS = ("deblock", "clean")


@dataclass
class Unusable:
    """Photos that were left out, by reason; a file counts once."""

    damaged: set[Path] = field(default_factory=set)
    tiny: set[Path] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.damaged) + len(self.tiny)

    def __str__(self) -> str:
        return f"{len(self.damaged)} damaged, {len(self.tiny)} tiny"


@dataclass(frozen=True)
class Patches:
    """One step's training pictures, uint8 RGB, channels_last memory.

    Attributes:
        spoiled: ``[N, 3, H, W]``.
        target: ``[N, 3, scale · H, scale · W]``.
    """

    spoiled: Tensor
    target: Tensor


class PatchSampler:
    """Batches of random patches in all eight orientations, each determined by ``(seed, step)``.

    Photos are drawn without replacement, epoch by epoch. A damaged one, or one smaller than a patch, is replaced by
    the next in its epoch and counted in :attr:`skipped`.

    Args:
        paths: the photos.
        settings: task, sizes and seed.
    """

    def __init__(self, paths: list[Path], settings: RestoreSettings) -> None:
        self.paths = paths
        self.skipped = Unusable()
        self._settings = settings
        self._spoil = spoiler(settings)
        self._cache: SizedCache[Path, tuple[Frame, Frame]] = SizedCache(_CACHE_BYTES)
        self._order = EpochOrder(len(paths), settings.seed)

    def __call__(self, step: int) -> Patches:
        """Batch number ``step``.

        Raises:
            InputError: no usable photo is left.
        """
        count = self._settings.batch
        pairs = [self.pair(step * count + index) for index in range(count)]
        spoiled, target = (torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2) for part in zip(*pairs, strict=True))
        return Patches(spoiled, target)

    def batches(self, first: int, last: int, workers: int) -> Iterator[Patches]:
        """Batches ``first`` … ``last - 1`` in order, prepared ahead by ``workers`` threads."""
        return prepare_ahead(self, first, last, workers)

    def pair(self, position: int) -> tuple[Frame, Frame]:
        """The patch at ``position`` of the endless sequence, spoiled and as it should be, RGB uint8 ``[H, W, 3]``."""
        rng = np.random.default_rng([self._settings.seed, position])
        target, small = self._photo(position)
        scale, side = self._settings.scale, self._settings.side // self._settings.scale
        grid = self._settings.task in _GRID_TASKS
        margins = [min(_GRID_PX - 1 if grid else 0, length - side) for length in small.shape[:2]]
        top, left = (int(rng.integers(n - side - m + 1)) for n, m in zip(small.shape[:2], margins, strict=True))
        spoiled = small[top : top + side + margins[0], left : left + side + margins[1]]
        wanted = target[top * scale :, left * scale :]
        if self._settings.task == "clean":
            spoiled = wanted = through_optics(spoiled, rng)
        spoiled = self._spoil(spoiled, rng)
        down, right = (int(rng.integers(margin + 1)) for margin in margins)
        spoiled = spoiled[down : down + side, right : right + side]
        wanted = wanted[down * scale :, right * scale :][: side * scale, : side * scale]
        turns, is_mirrored = int(rng.integers(4)), rng.random() < 0.5
        patches = [np.rot90(patch, turns) for patch in (spoiled, wanted)]
        first, second = (np.ascontiguousarray(patch[:, ::-1] if is_mirrored else patch) for patch in patches)
        return first, second

    def _photo(self, position: int) -> tuple[Frame, Frame]:
        """The usable photo at ``position`` of the endless sequence of epochs: as it should be, and shrunk for sr."""
        for index in self._order.candidates(position):
            photo = self._load(self.paths[index])
            if photo is not None:
                return photo
        raise InputError(
            f"none of the {len(self.paths)} photos can be used for training ({self.skipped}; a photo has at least "
            f"{self._settings.side} pixels a side, or give a smaller --image-size)"
        )

    def _load(self, path: Path) -> tuple[Frame, Frame] | None:
        if path in self.skipped.damaged or path in self.skipped.tiny:
            return None
        known = self._cache.get(path)
        if known is not None:
            return known
        try:
            frame = load_picture(path).frame_hwc
        except InputError:
            self.skipped.damaged.add(path)
            return None
        if max(frame.shape[:2]) > _LONGEST_PX:
            frame = resize_frame(frame, fit_size((frame.shape[1], frame.shape[0]), _LONGEST_PX))
        if min(frame.shape[:2]) < self._settings.side:
            self.skipped.tiny.add(path)
            return None
        frame = to_grey(frame, self._settings.task) if self._settings.grey else frame
        photo = shrink(frame, self._settings.scale) if self._settings.scale > 1 else (frame, frame)
        target, small = photo
        self._cache.put(path, photo, target.nbytes + (small.nbytes if small is not target else 0))
        return photo


def find_all_photos(folders: list[Path]) -> list[Path]:
    """Every picture under several folders, each once.

    Raises:
        InputError: one of the folders does not exist or holds no picture.
    """
    return list(dict.fromkeys(path for folder in folders for path in find_photos(folder)))
