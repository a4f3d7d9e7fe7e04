"""The end of the live pipeline: the window, its keys and mouse, figures, snapshots, recordings, the virtual camera."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer.cli.common import fail, stderr, warn
from styletransfer.cli.live import LiveStage, Result
from styletransfer.cli.recording import Moment, Recording, free_name
from styletransfer.cli.screen import Screen
from styletransfer.cli.shelf import StyleShelf
from styletransfer.core.errors import StyleTransferError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from styletransfer.media.view import ViewState
    from styletransfer.media.window import PreviewWindow
    from styletransfer.runtime.background import BackgroundSink
    from styletransfer.runtime.timing import RollingStats

_FEWEST_FRAMES = 10


class LiveView:
    """The sink: shows, counts, takes snapshots and records.

    Args:
        stage: what stylizes; its state is changed by keys and mouse.
        shelf: the styles.
        window: where to show, None for nowhere.
        folder: where snapshots and recordings go.
        recording: a recording that runs from the beginning.
        virtual: a virtual camera that gets every picture.
        limit: stop after this many frames.
        trouble: what is wrong with the source at the moment, empty for nothing.

    Attributes:
        shown: frames so far.
        ages: from the grab to the end of showing.
    """

    def __init__(
        self,
        stage: LiveStage,
        shelf: StyleShelf,
        window: PreviewWindow | None = None,
        *,
        folder: Path = Path(),
        recording: Recording | None = None,
        virtual: BackgroundSink[NDArray[np.uint8]] | None = None,
        limit: int | None = None,
        trouble: Callable[[], str] = str,
    ) -> None:
        from styletransfer.runtime.pipeline import StageTimes
        from styletransfer.runtime.timing import RollingStats

        self.shown = 0
        self.ages = RollingStats(window=4096)
        self.times = StageTimes()
        self._recent = RollingStats(window=60)
        self._stage = stage
        self._shelf = shelf
        self._folder = folder
        self._recording = recording
        self._virtual = virtual
        self._limit = limit
        self._trouble = trouble
        self._last: Result | None = None
        self._reported = ""
        self._recorded: RollingStats | None = None  # what the last recording took a frame
        self._used: set[Path] = set()
        self._screen = Screen(window) if window is not None else None
        if recording is not None:
            stage.state = replace(stage.state, recording=True)

    def __enter__(self) -> LiveView:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._screen is not None:
            self._screen.close()
        self._stop_recording()

    def write(self, result: Result) -> None:
        """Show one result."""
        from styletransfer.runtime.pipeline import StopPipeline

        if self._last is None:
            self._shelf.show_on(result.camera.frame_hwc)
        self._last = result
        self._report(self._trouble())
        if self._virtual is not None:
            self._virtual.write(result.stylized_hwc)
        if self._recording is not None:
            self._recording.write(Moment(result.stylized_hwc, result.camera.grabbed_s))
            self._recorded = self._recording.times
        self._look_after_sinks()
        if self._screen is not None:
            self._screen.draw(self)
            self._obey(self._screen)
        age_s = time.perf_counter() - result.camera.grabbed_s
        self.ages.add(age_s)
        self._recent.add(age_s)
        self.shown += 1
        if self._limit is not None and self.shown >= self._limit:
            raise StopPipeline

    def poll(self) -> None:
        """Look after keys, mouse and fading controls while no frame comes."""
        self._report(self._trouble())
        self._look_after_sinks()
        if self._screen is not None:
            self._obey(self._screen)
            if self._screen.needs_drawing(self):
                self._screen.draw(self)

    def summary(self, seconds: float, dropped: int) -> str:
        """Two lines of figures: the whole, and each stage."""
        size = ""
        if self._last is not None:
            height, width = self._last.stylized_hwc.shape[:2]
            size = f", {self._last.style} {width}x{height}"
            if self._last.worked_wh != (width, height):
                size += f" (worked at {'{}x{}'.format(*self._last.worked_wh)})"
        # The rate of what was shown last leaves the start out, but says nothing of a handful of frames.
        rate = self.ages.per_second if self.shown >= _FEWEST_FRAMES else self.shown / max(seconds, 1e-9)
        return (
            f"{self.shown} frames in {seconds:.1f} s: {rate:.1f} fps, age at display p50 "
            f"{self.ages.p50_ms:.0f} ms, p95 {self.ages.p95_ms:.0f} ms, {dropped} dropped, "
            f"{self._stage.provider}{size}\n"
            f"stages, p50 / p95 ms: {', '.join(f'{name} {_ms(stats)}' for name, stats in self._stages())}"
        )

    def _stages(self) -> list[tuple[str, RollingStats]]:
        stages = [("wait", self._stage.waits), ("stylize", self.times.stage), ("show", self.times.sink)]
        if self._recorded is not None:
            stages.append(("record", self._recorded))
        if self._virtual is not None:
            stages.append(("virtual camera", self._virtual.times))
        return [(name, stats) for name, stats in stages if stats.count]

    def figures(self) -> tuple[str, ...]:
        """What the corner of the window shows."""
        if self._recent.count < 2 or self._last is None:
            return ()
        width, height = self._last.worked_wh
        return (
            f"{self._recent.per_second:.1f} fps · {self._recent.p50_ms:.0f} ms",
            f"age at display {_ms(self._recent)} ms",
            *(f"{name} {_ms(stats)} ms" for name, stats in self._stages()),
            f"{self._last.style} · {width} x {height} · {self._stage.provider}",
        )

    @property
    def state(self) -> ViewState:
        """What is shown and how."""
        return self._stage.state

    @property
    def last(self) -> Result | None:
        """The newest result."""
        return self._last

    def told(self) -> dict[str, Any]:
        """What the window is to say, as ``panel.Told`` takes it, but for figures and notes."""
        recorded_s = time.perf_counter() - self._recording.started_s if self._recording is not None else None
        return {
            "titles": self._shelf.titles,
            "subtitles": tuple(self._shelf.subtitles),
            "thumbnails": self._shelf.thumbnails,
            "trouble": self._trouble() or self._stage.message,
            "recorded_s": recorded_s,
            "can_mask": self._stage.can_mask,
        }

    def _report(self, trouble: str) -> None:
        """Say once that the source is in trouble, and once that it is back."""
        kind = trouble.partition(":")[0].rstrip("0123456789 s")
        if kind and kind != self._reported:
            warn(trouble)
        elif self._reported and not trouble:
            stderr().print("frames come again")
        self._reported = kind

    def _look_after_sinks(self) -> None:
        if self._recording is not None and self._recording.error is not None:
            self._stop_recording()
        virtual = self._virtual
        if virtual is not None and virtual.error is not None:
            self._virtual = None
            if not virtual.times.count or self._screen is None:  # it never worked, or nothing else is left to do
                raise virtual.error
            self._complain(virtual.error)

    def _obey(self, screen: Screen) -> None:
        from styletransfer.runtime.pipeline import StopPipeline

        for event in screen.events():
            before, state = self._stage.state, screen.react(self._stage.state, event)
            self._stage.state = state
            try:
                if state.snapshots > before.snapshots:
                    self._snapshot()
                if state.recording != before.recording:
                    self._toggle_recording()
            except StyleTransferError as error:  # a full disk must not end the show
                self._complain(error)
            if state.thumbnails > before.thumbnails and self._last is not None:
                self._shelf.show_on(self._last.camera.frame_hwc)
            if state.quit:
                raise StopPipeline

    def _snapshot(self) -> None:
        from styletransfer.core.pictures import Picture, save_picture

        if self._last is not None:
            path = free_name(self._folder, self._last.style, ".png")
            save_picture(Picture(self._last.stylized_hwc), path)
            if self._screen is not None:
                self._screen.flash()
            self._note(f"snapshot: {path}")

    def _toggle_recording(self) -> None:
        if self._recording is not None:
            self._stop_recording()
            return
        path = free_name(self._folder, self._last.style if self._last is not None else "webcam", ".mp4")
        while path in self._used:  # its file appears when it is finished
            path = path.with_stem(f"{path.stem}-2")
        self._used.add(path)
        self._recording = Recording(path)

    def _stop_recording(self) -> None:
        recording, self._recording = self._recording, None
        if recording is None:
            return
        self._stage.state = replace(self._stage.state, recording=False)
        try:
            if said := recording.close():
                self._note(said)
        except StyleTransferError as error:
            if self._screen is None:
                raise
            self._complain(error)

    def _note(self, text: str) -> None:
        stderr().print(text, soft_wrap=True)
        if self._screen is not None:
            self._screen.note(text)

    def _complain(self, error: BaseException) -> None:
        fail(str(error))
        if self._screen is not None:
            self._screen.note(str(error))


def _ms(stats: RollingStats) -> str:
    return f"{stats.p50_ms:.0f} / {stats.p95_ms:.0f}"
