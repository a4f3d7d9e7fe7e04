"""Snapshots and recordings of a live session."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer.core.errors import StyleTransferError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from styletransfer.media.encode import VideoWriter
    from styletransfer.runtime.background import BackgroundSink
    from styletransfer.runtime.timing import RollingStats

_QUEUED_BYTES = 64e6


@dataclass(frozen=True)
class Moment:
    """A picture and when the camera saw it.

    Attributes:
        picture_hwc: RGB uint8 ``[H, W, 3]``.
        grabbed_s: ``time.perf_counter()`` at the grab.
    """

    picture_hwc: NDArray[np.uint8]
    grabbed_s: float


class Recorder:
    """A sink that writes moments into a video file, at the times when the camera saw them; no file without one.

    Args:
        path: the file.

    Attributes:
        frames: how many were written.

    Raises:
        OutputError: no video has this suffix.
    """

    def __init__(self, path: Path) -> None:
        from styletransfer.media.codecs import EncoderSettings

        self.path = path
        self.frames = 0
        self._settings = EncoderSettings(preset="ultrafast")
        self._settings.for_target(path)
        self._writer: VideoWriter | None = None
        self._started_s = 0.0
        self._size_wh = (0, 0)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: Any) -> None:
        # A recording is kept however the run ended: what the camera saw cannot be seen again.
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.__exit__(None, None, None)

    def write(self, moment: Moment) -> None:
        """Add a picture. An odd last row or column is left out, for every player's sake.

        Raises:
            OutputError: the file cannot be written.
        """
        import numpy as np

        from styletransfer.core.frames import Frame
        from styletransfer.media.encode import VideoWriter
        from styletransfer.media.format import VideoFormat
        from styletransfer.media.opencv import resize

        picture = moment.picture_hwc
        if self._writer is None:
            width, height = (side // 2 * 2 for side in (picture.shape[1], picture.shape[0]))
            self._started_s, self._size_wh = moment.grabbed_s, (width, height)
            writer = VideoWriter(self.path, VideoFormat(width, height, rate=Fraction(30)), self._settings)
            self._writer = writer.__enter__()
        width, height = self._size_wh
        if not (0 <= picture.shape[1] - width < 2 and 0 <= picture.shape[0] - height < 2):
            picture = resize(picture, self._size_wh)  # a camera that came back with another size
        pts_s = Fraction(moment.grabbed_s - self._started_s).limit_denominator(90_000)
        try:
            self._writer.write(Frame(np.ascontiguousarray(picture[:height, :width]), pts_s))
            self.frames += 1
        except StyleTransferError as error:
            failed, self._writer = self._writer, None
            failed.__exit__(type(error), error, error.__traceback__)
            raise


class Recording:
    """A recording that runs in a thread of its own.

    Args:
        path: the file; its folder is made if need be.

    Attributes:
        started_s: when it began.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started_s = time.perf_counter()
        self._recorder = Recorder(path)
        self.sink: BackgroundSink[Moment] | None = None

    def write(self, moment: Moment) -> None:
        """Queue a picture."""
        from styletransfer.runtime.background import BackgroundSink

        if self.sink is None:
            room = max(4, int(_QUEUED_BYTES / moment.picture_hwc.nbytes))
            self.sink = BackgroundSink(self._recorder, size=min(room, 64), name="recording").__enter__()
        self.sink.write(moment)

    @property
    def times(self) -> RollingStats | None:
        """How long writing took for each frame; None before the first one."""
        return self.sink.times if self.sink is not None else None

    @property
    def error(self) -> BaseException | None:
        """What ended it early."""
        return self.sink.error if self.sink is not None else None

    def close(self) -> str:
        """Finish the file and say what became of it, nothing where nothing was recorded.

        Raises:
            StyleTransferError: the file could not be finished.
        """
        if self.sink is None:
            return ""
        is_done = self.sink.close()
        if self.sink.error is not None:
            raise self.sink.error
        if not is_done:
            return f"recording: {self.path} is still being written; the disk is very slow"
        lost = f", {self.sink.dropped} left out (the disk or the encoder is too slow)" if self.sink.dropped else ""
        return f"recording: {self.path}, {self._recorder.frames} frames{lost}"


def free_name(folder: Path, style: str, suffix: str) -> Path:
    """A name that no file has yet: style, date and time."""
    stem = f"{style}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = folder / f"{stem}{suffix}", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}{suffix}", number + 1
    return path
