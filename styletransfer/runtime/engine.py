"""Runs a model file on frames: one session for all sizes, faster ones for sizes that repeat, buffers that stay."""

from __future__ import annotations

import contextlib
import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from styletransfer.core.likeness import psnr_db
from styletransfer.runtime import memory, tuning
from styletransfer.runtime.buffers import DeviceBuffers, Feeds, Frame, HostBuffers, Shape
from styletransfer.runtime.options import GAIN_FROM_FIXED_SIZES, Variant, variants
from styletransfer.runtime.providers import available, create_session, has_bf16

_BIND_AFTER = 1  # runs of a shape after which its buffers are bound: a single picture never pays for them
_FIX_AFTER = 8  # runs of a shape after which it gets a session of its own, where one may be faster
_SIZES_KEPT = 4  # shapes whose session and buffers are kept, the last used ones
_SIZES_COUNTED = 1000
_LEAST_PSNR_DB = 30.0  # of a variant's picture against the CPU's: providers have been wrong

_ANY_SIZE = Variant("any size")
_chosen_before: dict[str, str] = {}  # in this process: ten styles of one webcam measure once


@dataclass(frozen=True)
class _Lane:
    """What runs frames of one shape."""

    provider: str
    variant: Variant
    session: Any
    buffers: HostBuffers | DeviceBuffers

    @property
    def name(self) -> str:
        return f"{self.provider}, {self.variant.name}"


class Engine:
    """A model file on a provider, for one thread at a time.

    Args:
        path: the ``.onnx`` file.
        provider: ``auto`` or one of ``runtime.providers.PROVIDERS``. ``auto`` begins with the CPU where there is no
            graphics card, and measures OpenVINO against it, if it is installed, in :meth:`prepare`.
        threads: threads within an operator; by default what ``bench --tune`` remembered, else the cores that this
            process may use.

    Attributes:
        session: the session for every size.
        provider: short name of the provider that really runs; :meth:`prepare` may change it under ``auto``.
        threads: threads as asked for or remembered; None where onnxruntime chooses.

    Raises:
        ModelError, ProviderError, MissingExtraError, SettingsError: as ``create_session``.
    """

    def __init__(self, path: Path, provider: str = "auto", threads: int | None = None) -> None:
        self._path = path
        offered = available()
        if threads is None and provider in ("auto", "cpu"):
            threads = remembered_threads()
        self.session, self.provider = create_session(path, provider, threads)
        self.threads = threads
        self._base = self.provider  # of self.session
        self._may_change = provider == "auto" and self.provider == "cpu" and "openvino" in offered
        self._inputs = {value.name for value in self.session.get_inputs()}
        self._names = ("", "")
        self._scale = 1
        self._free_names: tuple[str | None, ...] = ()
        self._frugal: Any = None  # the session for huge pictures
        self._seen: Counter[Shape] = Counter()
        self._lanes: OrderedDict[Shape, _Lane] = OrderedDict()

    def set_contract(
        self, input_name: str, output_name: str, free_names: tuple[str | None, ...], scale: int = 1
    ) -> None:
        """Say that the file keeps our contract, and how it calls its picture, its result and its free dimensions.

        Args:
            input_name: of the picture, uint8 ``[N, H, W, 3]``.
            output_name: of the result, uint8 ``[N, s H, s W, 3]``.
            free_names: of N, H and W.
            scale: s.
        """
        self._names, self._free_names, self._scale = (input_name, output_name), free_names, scale

    def run(self, input_name: str, output_name: str, pixels: npt.NDArray[Any], feeds: Feeds) -> npt.NDArray[Any]:
        """One run, of whatever dtype and layout the file takes, without buffers. Errors are onnxruntime's own."""
        session = self.session
        # Without the channels, wherever they stand: 3 of a picture's four dimensions.
        if self._base == "cpu" and math.prod(pixels.shape) > 3 * memory.FREELY_ALLOWED_PIXELS:
            if self._frugal is None:
                self._frugal, _ = create_session(self._path, "cpu", self.threads, arena=False)
            session = self._frugal
        result: npt.NDArray[Any] = session.run([output_name], {input_name: pixels, **feeds})[0]
        return result

    def run_bytes(self, frames: Frame, feeds: Feeds) -> Frame:
        """One run of a file that keeps our contract, C-contiguous uint8 ``[N, H, W, 3]`` in, ``[N, s H, s W, 3]`` out.

        From the second run of a shape on, onnxruntime writes straight into the array that is returned. Its memory is
        used again for a later result as soon as the caller, and whoever holds a part of it, has let go of it.

        Errors are onnxruntime's own; a result of another shape is one of them from the second run on.
        """
        shape = frames.shape
        self._seen[shape] += 1
        if self._seen[shape] == _FIX_AFTER:
            self.prepare(shape, feeds)
        lane = self._lane(shape) if self._inputs.issuperset(feeds) else None  # a default in the file cannot be bound
        if lane is not None:
            return lane.buffers(frames, feeds)
        if len(self._seen) > _SIZES_COUNTED:  # a folder of pictures
            self._seen.clear()
        return self.run(*self._names, frames, feeds)

    @property
    def gains_from_preparing(self) -> bool:
        """Whether a session for exactly one size may be faster here; the file must name its free dimensions."""
        may_gain = self._base in GAIN_FROM_FIXED_SIZES or self._may_change
        return may_gain and len(self._free_names) == 3 and all(self._free_names)

    def prepare(self, shape: Shape, feeds: Feeds) -> None:
        """Give a shape a session of its own, of the variant that measures fastest; nothing where there is no choice.

        A variant that does not load, or whose picture is not the CPU's, is left out.
        """
        lane = self._lanes.get(shape)
        if not self.gains_from_preparing or (lane is not None and lane.variant is not _ANY_SIZE):
            return
        frame = _test_picture(shape)
        session = self.session if self._base == "cpu" else create_session(self._path, "cpu", self.threads)[0]
        wanted = session.run([self._names[1]], {self._names[0]: frame, **feeds})[0]
        found: dict[str, _Lane] = {}
        for provider, variant in self._candidates(shape):
            with contextlib.suppress(Exception):  # of many kinds: the session for every size still runs
                lane = self._open(provider, variant, shape)
                if _likeness_db(lane.buffers(frame, feeds), wanted) >= _LEAST_PSNR_DB:
                    found[lane.name] = lane
        if not found:
            return
        name = next(iter(found))
        if len(found) > 1:
            runs = {key: _runner(lane, frame, feeds) for key, lane in found.items()}
            name = tuning.choose(tuning.least_seconds(runs))
            _chosen_before[self._key(shape)] = name
            if self._base in ("cuda", "tensorrt"):  # whose variants take long to try
                tuning.remember(self._key(shape), name)
        self._keep(shape, found[name])
        self.provider = found[name].provider

    def plain_call(self, shape: Shape) -> Callable[[], object]:
        """A bare ``session.run`` on a picture of this shape, with the session that runs it by now: a yardstick."""
        lane = self._lanes.get(shape)
        session = lane.session if lane is not None else self.session
        feeds = {self._names[0]: _test_picture(shape)}
        return lambda: session.run([self._names[1]], feeds)

    def describe(self, shape: Shape) -> str:
        """How frames of a shape run by now, in a few words: provider, variant, threads, buffers."""
        lane = self._lanes.get(shape)
        parts = [lane.name if lane is not None else f"{self._base}, {_ANY_SIZE.name}"]
        parts.append("all cores" if self.threads is None else f"{self.threads} threads")
        return ", ".join([*parts, "bound buffers"] if lane is not None else parts)

    def _lane(self, shape: Shape) -> _Lane | None:
        """What runs this shape; None where it came once only, or is huge."""
        lane = self._lanes.get(shape)
        if lane is not None:
            self._lanes.move_to_end(shape)
            return lane
        if self._base == "openvino" and all(self._free_names):
            # Never with free sizes: that is slower, and onnxruntime-ep-openvino 1.8.1 then gets a convolution in
            # front of QuantizeLinear wrong.
            candidates = self._candidates(shape)
            lane = self._open(*candidates[0], shape)
        elif self._seen[shape] > _BIND_AFTER and math.prod(shape[:3]) <= memory.FREELY_ALLOWED_PIXELS:
            lane = self._open(self._base, _ANY_SIZE, shape)
        else:
            return None
        self._keep(shape, lane)
        return lane

    def _candidates(self, shape: Shape) -> list[tuple[str, Variant]]:
        """Providers and variants to measure, the plainest first: what won before on this machine, or all."""
        every = [(self._base, variant) for variant in variants(self._base, self.threads, has_bf16())]
        if self._may_change:
            every = [("cpu", _ANY_SIZE)]
            every += [("openvino", variant) for variant in variants("openvino", self.threads, has_bf16())]
        key = self._key(shape)
        known = _chosen_before.get(key) or (tuning.recall(key) if self._base in ("cuda", "tensorrt") else None)
        return [(provider, variant) for provider, variant in every if f"{provider}, {variant.name}" == known] or every

    def _key(self, shape: Shape) -> str:
        """What a choice holds for: networks of one architecture have files of nearly the same size."""
        size = "x".join(map(str, shape[:3]))
        return f"{self._base}, {self._path.stat().st_size >> 12} pages, {size}, {self.threads} threads"

    def _open(self, provider: str, variant: Variant, shape: Shape) -> _Lane:
        session = self.session
        if variant is not _ANY_SIZE:
            dimensions = {str(name): size for name, size in zip(self._free_names, shape[:3], strict=True)}
            session, _ = create_session(self._path, provider, self.threads, dimensions, options=variant.options)
        kind = DeviceBuffers if variant.on_device else HostBuffers
        result_shape = (shape[0], shape[1] * self._scale, shape[2] * self._scale, shape[3])
        return _Lane(provider, variant, session, kind(session, *self._names, shape, result_shape))

    def _keep(self, shape: Shape, lane: _Lane) -> None:
        self._lanes[shape] = lane
        self._lanes.move_to_end(shape)
        while len(self._lanes) > _SIZES_KEPT:
            self._lanes.popitem(last=False)


def remembered_threads() -> int | None:
    """The number of threads that ``bench --tune`` found fastest on this machine, or None."""
    threads = tuning.recall("threads")
    return threads if isinstance(threads, int) and threads >= 1 else None


def _runner(lane: _Lane, frame: Frame, feeds: Feeds) -> Callable[[], Frame]:
    return lambda: lane.buffers(frame, feeds)


def _test_picture(shape: Shape) -> Frame:
    """Smooth colours with some noise: a kernel that is wrong shows on it, as on a photo."""
    rng = np.random.default_rng(0)
    y, x = np.linspace(0, 200, shape[1])[:, None], np.linspace(0, 200, shape[2])[None]
    levels = np.stack([np.broadcast_to(part, shape[1:3]) for part in (x, y, (x + y) / 2)], axis=-1)
    noise: Frame = rng.integers(0, 50, shape, np.uint8)
    return noise + np.broadcast_to(levels, shape).astype(np.uint8)


def _likeness_db(result: Frame, wanted: Frame) -> float:
    return psnr_db(result, wanted) if result.shape == wanted.shape else -math.inf
