"""A style file that runs: pictures of any size in, stylized pictures of the same size out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from styletransfer.core.blending import blend
from styletransfer.core.card import ModelCard
from styletransfer.core.colour import rgb_profile, to_rgb
from styletransfer.core.errors import InputError, ModelError, SettingsError
from styletransfer.core.exif import turn_of
from styletransfer.runtime import foreign, memory
from styletransfer.runtime.engine import Engine
from styletransfer.runtime.padding import check_frames, crop, pad_reflect, padded_size
from styletransfer.runtime.roofline import count_macs
from styletransfer.runtime.signature import STYLE_WEIGHTS, explain_failure, read_card, read_signature, refuse_restorer

Frame = npt.NDArray[np.uint8]
PictureLike = TypeVar("PictureLike", Frame, Image.Image)


class Stylizer:
    """A loaded style; calling it stylizes a picture.

    It is for one thread at a time: several threads take one each, or a lock. (They gain nothing from sharing it, a
    single frame keeps every core busy.)

    Args:
        model: the ``.onnx`` file (``core.zoo.resolve`` finds it by a style's name).
        provider: ``auto`` or one of ``runtime.providers.PROVIDERS``.
        threads: threads within an operator; by default the cores that this process may use.

    Attributes:
        path: the file.
        name: the file's name without its suffix.
        card: the model card, None in files made by others.
        styles: how many styles the file holds, as its optional input ``style_weights`` says; else 1.

    Raises:
        ModelError: the file is missing, damaged or no style network.
        ProviderError: the provider is not there or does not load.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, model: Path, provider: str = "auto", threads: int | None = None) -> None:
        self.path = Path(model)
        self.name = self.path.stem
        self._engine = Engine(self.path, provider, threads)
        self.card: ModelCard | None = read_card(self._engine.session, self.path)
        refuse_restorer(self._engine.session, self.card, self.path)
        self._signature = read_signature(self._engine.session, self.card, self.path)
        if self._signature.is_bytes:
            self._engine.set_contract(self._signature.input, self._signature.output, self._signature.free_names)
        self.styles = max(1, self._signature.styles)
        self._margin = 0  # of a foreign network that loses its border, learnt from its first frame

    def __call__(
        self,
        picture: PictureLike,
        strength: float = 1.0,
        keep_colors: bool = False,
        style_weights: Sequence[float] | None = None,
    ) -> PictureLike:
        """Stylize a picture of any size.

        Args:
            picture: RGB uint8 ``[H, W, 3]``, or a ``PIL.Image`` of any mode.
            strength: 0 gives the picture itself, 1 the full style.
            keep_colors: take only the luminance from the style.
            style_weights: one weight a style, for a file that holds several.

        Returns:
            RGB uint8 ``[H, W, 3]``, or a ``PIL.Image`` (``RGB``; ``RGBA`` where the picture has an opacity), upright
            as its EXIF says, its RGB colour profile in ``info["icc_profile"]``. From there Pillow writes it into PNG,
            TIFF and AVIF; into JPEG and WebP it goes by ``save(..., icc_profile=...)``.

        Raises:
            InputError: no such array, or a picture too large for the memory that is free.
            ModelError: the network fails on it.
            SettingsError: ``strength`` or ``style_weights`` are out of range.
        """
        if isinstance(picture, Image.Image):
            planes = [plane for plane in to_rgb(picture) if plane is not None]
            if (turn := turn_of(picture)) is not None:
                planes = [plane.transpose(turn) for plane in planes]
            result = Image.fromarray(self(np.array(planes[0]), strength, keep_colors, style_weights))
            if planes[1:]:
                result.putalpha(planes[1])
            if (profile := rgb_profile(picture)) is not None:
                result.info["icc_profile"] = profile
            return result
        frame = check_frames(picture, dimensions=3)
        if not 0.0 <= strength <= 1.0:
            raise SettingsError(f"strength is {strength}; it must lie between 0 (the photo) and 1 (the style)")
        if strength == 0.0:
            return frame.copy()
        stylized = self._stylize(frame[None], self._feeds(style_weights))[0]
        return blend(frame, stylized, strength, keep_colors)

    def batch(self, frames_nhwc: Frame, style_weights: Sequence[float] | None = None) -> Frame:
        """Stylize RGB uint8 ``[N, H, W, 3]`` at full strength, in one run where the network allows it.

        Raises:
            InputError: no such array, or too large for the memory that is free.
            ModelError: the network fails on it.
        """
        frames = check_frames(frames_nhwc, dimensions=4)
        return self._stylize(frames, self._feeds(style_weights)) if len(frames) else frames.copy()

    def warm_up(self, height: int, width: int) -> None:
        """Prepare for frames of this size: the first run allocates, compiles or chooses algorithms.

        Worth its time before a video or a camera. Where providers and their settings leave a choice (OpenVINO beside
        the CPU, its precision, CUDA's graphs and layouts), the fastest is found by measurement, which may change
        ``provider`` if that was ``auto``; the last four sizes are kept.
        """
        signature = self._signature
        shape = (1, *self._padded(height, width), 3)
        if signature.is_bytes:
            self._engine.prepare(shape, self._feeds(None))
        frame = np.full((1, height, width, 3), 128, np.uint8)
        for _ in range(2):  # from the second on into bound buffers
            self.batch(frame)

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

    def stages(self, frame_hwc: Frame) -> dict[str, Callable[[], object]]:
        """What a call does with a frame of this size, one by one, for timing: ``pad``, ``run``, ``crop``, ``blend``.

        ``blend`` is that of half the strength; at full strength there is nothing to blend. ``session.run`` is the bare
        call of onnxruntime that all of them together are to be compared with.

        Raises:
            SettingsError: the file was made by others, whose stages are not these.
        """
        if not self._signature.is_bytes or self._signature.height or self._signature.width:
            raise SettingsError(f"{self.path}: only files that styletransfer wrote have these stages")
        frame = check_frames(frame_hwc, dimensions=3)
        height, width = frame.shape[:2]
        padded = pad_reflect(frame[None], *self._padded(height, width))
        feeds = self._feeds(None)
        result = self._run(padded, feeds)
        cropped = crop(result, height, width)
        return {
            "pad": lambda: pad_reflect(frame[None], *self._padded(height, width)),
            "run": lambda: self._run(padded, feeds),
            "crop": lambda: crop(result, height, width),
            "blend": lambda: blend(frame, cropped[0], 0.5),
            "session.run": self._engine.plain_call(padded.shape),
        }

    def count_macs(self, height: int, width: int) -> int:
        """Multiply-adds of the network for one frame of this size; see ``runtime.roofline``.

        Raises:
            ModelError: the network does not run at this size.
        """
        return count_macs(self.path, *self._padded(height, width))

    def _padded(self, height: int, width: int) -> tuple[int, int]:
        return padded_size(height, width, self._signature.size_multiple)

    def _feeds(self, style_weights: Sequence[float] | None) -> dict[str, npt.NDArray[np.float32]]:
        count = self._signature.styles
        if style_weights is None:
            return {STYLE_WEIGHTS: np.eye(1, count, dtype=np.float32)[0]} if self._needs_weights else {}
        weights = np.asarray(style_weights, dtype=np.float32)
        if weights.shape != (count,) or not np.isfinite(weights).all():
            holds = f"{count} numbers" if count else "none: the file holds a single style"
            raise SettingsError(f"style_weights are {list(style_weights)}; {self.path} takes {holds}")
        return {STYLE_WEIGHTS: weights}

    @property
    def _needs_weights(self) -> bool:
        return self._signature.needs_style_weights

    def _stylize(self, frames: Frame, feeds: dict[str, npt.NDArray[np.float32]]) -> Frame:
        signature = self._signature
        height, width = frames.shape[1:3]

        def network(padded: Frame) -> Frame:
            return self._run(padded, feeds)

        if signature.height or signature.width:
            size_hw = (signature.height, signature.width)
            multiple = signature.size_multiple
            return np.stack([foreign.run_fixed(frame, network, size_hw, multiple, self.path) for frame in frames])
        self._check_memory(len(frames), height, width)
        if signature.is_bytes:
            result = network(pad_reflect(frames, *self._padded(height, width)))
            return crop(result, height, width)
        results = []
        for frame in frames:
            result, self._margin = foreign.run_free(frame, network, signature.size_multiple, self._margin, self.path)
            results.append(result)
        return np.stack(results)

    def _run(self, padded: Frame, feeds: dict[str, npt.NDArray[np.float32]]) -> Frame:
        """Feed padded frames, in as many calls as the file's batch size asks for."""
        at_once = self._signature.batch or len(padded)
        parts = []
        for start in range(0, len(padded), at_once):
            part = padded[start : start + at_once]
            missing = at_once - len(part)
            filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            parts.append(self._run_once(filled, feeds)[: len(part)])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run_once(self, frames: Frame, feeds: dict[str, npt.NDArray[np.float32]]) -> Frame:
        signature, engine = self._signature, self._engine
        try:
            if signature.is_bytes:
                frames = np.ascontiguousarray(frames)
                result = engine.run_bytes(frames, feeds)
            else:
                pixels = foreign.to_floats(frames, signature.dtype)
                result = engine.run(signature.input, signature.output, pixels, feeds)
        except Exception as error:  # onnxruntime's own classes derive from Exception
            raise explain_failure(error, frames.shape, self.path, self.provider) from error
        if not signature.is_bytes:
            return foreign.to_bytes(result, frames, self.path)
        if result.shape != frames.shape:
            raise ModelError(f"{self.path}: made {list(result.shape)} of {list(frames.shape)}; a style keeps the shape")
        return result

    def _check_memory(self, count: int, height: int, width: int) -> None:
        if self.provider not in ("cpu", "openvino") or height * width <= memory.FREELY_ALLOWED_PIXELS:
            return
        free = memory.free_bytes()
        if free is None or memory.fits(count * height, width, self.card, free):
            return
        need = memory.bytes_needed(count * height, width, self.card) / 1e9
        side = memory.largest_side(height, width, self.card, free)
        raise InputError(
            f"{width}×{height} pixels need about {need:.1f} GB of memory and {free / 1e9:.1f} GB are free; "
            f"use --size {side}"
        )
