"""What ``webcam`` does with each frame: stylize it by the current keys, show it, count it, record it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer.cli.common import fail, stderr, warn
from styletransfer.core.errors import StyleTransferError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from styletransfer.core.frames import Frame
    from styletransfer.media.encode import VideoWriter
    from styletransfer.media.window import PreviewWindow, ViewState
    from styletransfer.runtime.stylizer import Stylizer


@dataclass(frozen=True)
class Result:
    """One stylized frame and the settings that made it."""

    camera: Frame
    stylized_hwc: NDArray[np.uint8]
    style: str


class LiveStage:
    """Stylizes frames by the current state; runs in the pipeline's thread, keys come from the window's.

    The state is one frozen object that is swapped as a whole, so the two threads need no lock.
    """

    def __init__(self, styles: list[Path], provider: str, state: ViewState, size: int | None, mirror: bool) -> None:
        self.state = state
        self.message = ""
        self._styles = styles
        self._provider = provider
        self._size = size
        self._mirror = mirror
        self._loaded: dict[int, Stylizer] = {}
        self._broken: set[int] = set()
        self._warm: set[tuple[Stylizer, int, int]] = set()
        self._current = state.style
        self._stylizer = self._load(state.style)

    @property
    def provider(self) -> str:
        """The provider that really runs."""
        return self._stylizer.provider

    def __call__(self, frame: Frame) -> Result:
        """Stylize one frame."""
        from styletransfer.core.pictures import fit_size, resize_frame

        state = self.state
        picture = frame.frame_hwc
        if self._mirror:
            picture = picture[:, ::-1].copy()
        if self._size is not None:
            fitted = fit_size((picture.shape[1], picture.shape[0]), self._size)
            picture = resize_frame(picture, fitted)
        stylizer = self._choose(state.style)
        self._warm_up(stylizer, *picture.shape[:2])
        stylized = stylizer(picture, strength=state.strength, keep_colors=state.keep_colors)
        return Result(frame.with_picture(picture), stylized, stylizer.name)

    def _choose(self, style: int) -> Stylizer:
        """The style asked for; one that does not load is reported once, and the old one stays."""
        if style != self._current and style not in self._broken:
            try:
                self._stylizer = self._load(style)
                self._current = style
                self.message = ""
            except StyleTransferError as error:
                self._broken.add(style)
                self.message = f"{self._styles[style].stem} does not load"
                warn(str(error))
        return self._stylizer

    def _warm_up(self, stylizer: Stylizer, height: int, width: int) -> None:
        """Prepare for the size, which only a frame tells; a CPU needs no preparation."""
        if stylizer.provider != "cpu" and (stylizer, height, width) not in self._warm:
            stylizer.warm_up(height, width)
            self._warm.add((stylizer, height, width))

    def _load(self, style: int) -> Stylizer:
        from styletransfer.runtime.stylizer import Stylizer

        if style not in self._loaded:
            self._loaded[style] = Stylizer(self._styles[style], provider=self._provider)
        return self._loaded[style]


class LiveView:
    """The sink: shows, counts, takes snapshots and records."""

    def __init__(
        self,
        stage: LiveStage,
        window: PreviewWindow | None,
        folder: Path,
        recorder: Recorder | None,
        limit: int | None,
    ) -> None:
        from styletransfer.runtime.timing import RollingStats

        self.shown = 0
        self._ages = RollingStats(window=100_000 if window is None else 120)
        self._stage = stage
        self._window = window
        self._folder = folder
        self._recorder = recorder
        self._limit = limit
        self._last: Result | None = None

    def __enter__(self) -> LiveView:
        return self

    def __exit__(self, *exception: Any) -> None:
        # A recording is kept however the run ended: what the camera saw cannot be seen again.
        self._stop_recording()

    def write(self, result: Result) -> None:
        """Show one result."""
        from styletransfer.runtime.pipeline import StopPipeline

        self._last = result
        if self._recorder is not None:
            self._record(self._recorder, result)
        if self._window is not None:
            self._draw(self._window, result)
            self._keys(self._window)
        self._ages.add(time.perf_counter() - result.camera.grabbed_s)
        self.shown += 1
        if self._limit is not None and self.shown >= self._limit:
            raise StopPipeline

    def poll(self) -> None:
        """Look after the keys while no frame comes."""
        if self._window is not None:
            self._keys(self._window)

    def summary(self, seconds: float, dropped: int) -> str:
        """One line of figures."""
        size = ""
        if self._last is not None:
            height, width = self._last.stylized_hwc.shape[:2]
            size = f", {self._last.style} {width}x{height}"
        rate = self._ages.per_second or self.shown / max(seconds, 1e-9)
        return (
            f"{self.shown} frames in {seconds:.1f} s: {rate:.1f} fps, age at display p50 "
            f"{self._ages.p50_ms:.0f} ms, p95 {self._ages.p95_ms:.0f} ms, {dropped} dropped, "
            f"{self._stage.provider}{size}"
        )

    def _draw(self, window: PreviewWindow, result: Result) -> None:
        from styletransfer.media.window import HELP, compose, draw_text

        state = self._stage.state
        lines = [f"{result.style}   {state.strength:.0%}{'   own colours' if state.keep_colors else ''}"]
        if self._ages.count > 1:
            lines.append(
                f"{self._ages.per_second:.1f} fps   {self._ages.p50_ms:.0f} / {self._ages.p95_ms:.0f} ms"
                f"   {self._stage.provider}"
            )
        if self._stage.message:
            lines.append(self._stage.message)
        lines += HELP if state.help else ["h: keys"] if self.shown < 100 else []
        picture = compose(result.camera.frame_hwc, result.stylized_hwc, state.split)
        window.show(draw_text(picture, lines, recording=self._recorder is not None))

    def _keys(self, window: PreviewWindow) -> None:
        from styletransfer.media.window import press
        from styletransfer.runtime.pipeline import StopPipeline

        for key in window.pressed_keys():
            before, state = self._stage.state, press(self._stage.state, key)
            self._stage.state = state
            try:
                if state.snapshots > before.snapshots:
                    self._snapshot()
                if state.recording != before.recording:
                    self._toggle_recording()
            except StyleTransferError as error:  # a full disk must not end the show
                fail(str(error))
            if state.quit:
                raise StopPipeline

    def _snapshot(self) -> None:
        from styletransfer.core.pictures import Picture, save_picture

        if self._last is not None:
            path = _free_name(self._folder, self._last.style, ".png")
            save_picture(Picture(self._last.stylized_hwc), path)
            stderr().print(f"snapshot: {path}", soft_wrap=True)

    def _toggle_recording(self) -> None:
        if self._recorder is None:
            style = self._last.style if self._last is not None else "webcam"
            self._recorder = Recorder(_free_name(self._folder, style, ".mp4"))
        else:
            self._stop_recording()

    def _record(self, recorder: Recorder, result: Result) -> None:
        try:
            recorder.write(result.camera, result.stylized_hwc)
        except StyleTransferError as error:
            self._recorder = None
            self._stage.state = replace(self._stage.state, recording=False)
            if self._window is None:
                raise
            fail(str(error))

    def _stop_recording(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()


class Recorder:
    """Writes what is shown, at the moments when the camera saw it, into a video file."""

    def __init__(self, path: Path) -> None:
        from styletransfer.media.codecs import EncoderSettings

        self.path = path
        self._settings = EncoderSettings(preset="ultrafast")
        self._settings.for_target(path)
        self._writer: VideoWriter | None = None
        self._started_s = 0.0

    def write(self, camera: Frame, stylized_hwc: NDArray[np.uint8]) -> None:
        """Add a frame. An odd last row or column is left out, for every player's sake."""
        from fractions import Fraction

        import numpy as np

        from styletransfer.core.frames import Frame
        from styletransfer.media.encode import VideoWriter
        from styletransfer.media.format import VideoFormat

        height, width = (side // 2 * 2 for side in stylized_hwc.shape[:2])
        if self._writer is None:
            self._started_s = camera.grabbed_s
            writer = VideoWriter(self.path, VideoFormat(width, height, rate=Fraction(30)), self._settings)
            self._writer = writer.__enter__()
        pts_s = Fraction(camera.grabbed_s - self._started_s).limit_denominator(90_000)
        try:
            self._writer.write(Frame(np.ascontiguousarray(stylized_hwc[:height, :width]), pts_s))
        except StyleTransferError as error:
            failed, self._writer = self._writer, None
            failed.__exit__(type(error), error, error.__traceback__)
            raise

    def close(self) -> None:
        """Finish the file; nothing is left where nothing was recorded."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.__exit__(None, None, None)
            stderr().print(f"recording: {self.path}, {writer.frames} frames", soft_wrap=True)


def _free_name(folder: Path, style: str, suffix: str) -> Path:
    """A name that no file has yet: style, date and time."""
    stem = f"{style}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = folder / f"{stem}{suffix}", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}{suffix}", number + 1
    return path
