"""The clips of a batch on many machines: which segments go out, what comes back, and whether it fits together.

The segments of a clip are made at the same time, each by a reader that jumps to where the packets say that its first
frame is. Whether it got there, and with the right picture, shows as soon as the segment before is finished: that one's
last frame has to be what the reader of this one found there. Where it is not, the segment is made again from the exact
place; where the clip is damaged, so that no reader may jump, one worker makes the rest of it.
"""

# Over 300 lines: what is out, what came back and whether it fits are one state.

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer import __version__
from styletransfer.cli.clip import ClipOptions, ClipResult, Progress, Rest, check_target
from styletransfer.cli.pieces import Failed, Made, Networks, Order, Piece, make_file, make_segments
from styletransfer.core import errors
from styletransfer.core.cores import cores
from styletransfer.core.errors import ClusterError, StyleTransferError
from styletransfer.core.files import atomic_path, write_bytes

if TYPE_CHECKING:
    from styletransfer.cluster.files import SharedFile
    from styletransfer.cluster.session import Session
    from styletransfer.media.format import VideoFormat
    from styletransfer.media.journal import Entry, Journal, Kept
    from styletransfer.media.segments import Segment
    from styletransfer.media.video import Mark

_POLL_S = 0.2
_LOOK_S = 15.0  # without a result, until the cluster is looked after
_MOST_LOSSES = 5  # of one task: a cluster that loses it more often loses every one like it


class Farm:
    """A cluster at work on one run's clips. Safe to use from several threads.

    Args:
        session: the cluster.
        provider: execution provider of all tasks.
        options: what holds for every clip.
    """

    def __init__(self, session: Session, provider: str, options: ClipOptions) -> None:
        self.session = session
        self._provider = provider
        self._options = options
        self._mutex = threading.Lock()
        self._networks: dict[Path | None, Networks] = {}
        self._clips: dict[Path, SharedFile] = {}

    def stylize_clip(self, source: Path, target: Path, model: Path | None, progress: Progress) -> ClipResult:
        """Stylize a short clip as one task; as :func:`styletransfer.cli.clip.stylize_clip`."""
        started = time.perf_counter()
        with _Tasks(self, source) as tasks:
            tasks.add(make_file, self._order(source, target, model))
            _, made = tasks.next(lambda: progress(0))
        assert made.result is not None
        write_bytes(target, made.file)
        return replace(made.result, seconds=time.perf_counter() - started, warnings=made.warnings)

    def make_rest(
        self,
        source: Path,
        model: Path | None,
        journal: Journal,
        entry: Entry,
        progress: Progress,
        segments: list[Segment],
        mark: Mark | None,
    ) -> Rest:
        """Make the segments that are missing on the cluster; see :data:`styletransfer.cli.clip.RestMaker`."""
        from styletransfer.media.format import enlarged
        from styletransfer.media.video import VideoReader

        options = self._options
        with VideoReader(source, options.size) as reader:
            format = enlarged(reader.format, options.restorers.scale)
        check_target(source, entry.target, format, options)
        order = self._order(source, entry.target, model)
        with _Tasks(self, source) as tasks:
            return _Clip(order, tasks, journal, entry, progress).finish(segments, mark, format)

    def upload(self, source: Path) -> None:
        """Put the clip's content into the object store, for machines that do not see its path."""
        clip = self.known(source)
        if not clip.chunks:
            clip = clip.uploaded(self.session.put)  # outside the lock: a long clip takes its time
            with self._mutex:
                self._clips[source] = clip

    def known(self, source: Path) -> SharedFile:
        """The clip, with its content if that was uploaded."""
        from styletransfer.cluster.files import share

        with self._mutex:
            if source not in self._clips:
                self._clips[source] = share(source)
            return self._clips[source]

    def forget(self, source: Path) -> None:
        """Give a finished clip's place in the object store free; orders that are out still hold on to it."""
        with self._mutex:
            self._clips.pop(source, None)

    def _order(self, source: Path, target: Path, model: Path | None) -> Order:
        from styletransfer.cluster.files import share

        restorers = self._options.restorers
        clip = self.known(source)
        with self._mutex:
            if model not in self._networks:
                style, before, after = (
                    tuple(share(path).uploaded(self.session.put) for path in paths if path is not None)
                    for paths in ((model,), restorers.before, restorers.after)
                )
                # On the CPU, one core a task: many frames at once use the cores better than many cores on one frame.
                threads = None if self.session.uses_gpus else 1
                networks = Networks(style[0] if style else None, before, after, self._provider, threads)
                self._networks[model] = networks
            return Order(__version__, clip, str(source), target, self._networks[model], self._options)


@contextlib.contextmanager
def connected(address: str, provider: str, options: ClipOptions) -> Iterator[Farm]:
    """A farm on a Ray cluster; see :func:`styletransfer.cluster.session.connect`."""
    from styletransfer.cluster.session import connect

    with connect(address, __version__, provider, cores()) as (session, chosen):
        yield Farm(session, chosen, options)


class _Tasks:
    """The tasks of one clip that are out; those that are left when the block ends are cancelled."""

    def __init__(self, farm: Farm, source: Path) -> None:
        self._farm = farm
        self._session = farm.session
        self._source = source
        self._out: dict[Any, tuple[Callable[[Order], Made | Failed], Order]] = {}
        self._losses: dict[int, int] = {}

    def __enter__(self) -> _Tasks:
        return self

    def __exit__(self, *exception: object) -> None:
        self.cancel(0)
        self._farm.forget(self._source)

    @property
    def numbers(self) -> set[int]:
        """First segments of what is out."""
        return {order.first for _, order in self._out.values()}

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""
        return self._session.slots

    def add(self, function: Callable[[Order], Made | Failed], order: Order) -> None:
        """Queue an order; its clip goes along where another machine has asked for it."""
        order = replace(order, clip=self._farm.known(self._source))
        self._out[self._session.submit(function, order)] = (function, order)

    def cancel(self, first: int) -> None:
        """Stop the tasks for segments from this number on."""
        stopped = [reference for reference, (_, order) in self._out.items() if order.first >= first]
        self._session.cancel(stopped)
        for reference in stopped:
            del self._out[reference]

    def next(self, tick: Callable[[], None]) -> tuple[Order, Made]:
        """Wait for a result; lost tasks are queued again.

        Args:
            tick: called often; raises to stop.

        Raises:
            StyleTransferError: the task's own error, or one of the cluster.
            MemoryError: a worker has not enough.
        """
        waited_since = time.monotonic()
        while True:
            tick()
            done = self._session.wait(list(self._out), _POLL_S)
            if not done:
                if time.monotonic() - waited_since > _LOOK_S:
                    self._session.look()
                    waited_since = time.monotonic()
                continue
            function, order = self._out.pop(done[0])
            found = self._received(done[0], function, order)
            if found is not None:
                return order, found

    def _received(self, reference: Any, function: Callable[[Order], Made | Failed], order: Order) -> Made | None:
        """What a task made; None where it was queued again."""
        from styletransfer.cluster.session import LostWorkerError

        try:
            made: Made | Failed = self._session.result(reference)
        except LostWorkerError as error:
            self._losses[order.first] = self._losses.get(order.first, 0) + 1
            if self._losses[order.first] >= _MOST_LOSSES:
                raise ClusterError(
                    f"{self._source}: {_MOST_LOSSES} Ray workers were lost over one piece of it ({error}); they may "
                    "have too little memory: a smaller --size needs less"
                ) from error
            self.add(function, order)
            return None
        if isinstance(made, Made):
            return made
        if made.kind == "NotHereError" and not order.clip.chunks:
            self._farm.upload(self._source)
            self.add(function, order)
            return None
        raise _error(made)


def _error(failed: Failed) -> Exception:
    if failed.kind == "MemoryError":
        return MemoryError()
    kind = getattr(errors, failed.kind, StyleTransferError)
    return StyleTransferError(failed.text) if kind is errors.MissingExtraError else kind(failed.text)


@dataclass(frozen=True)
class _Part:
    """One segment as it came back, not yet known to continue the one before.

    Attributes:
        kept: the segment; None behind the clip's end.
        found: the frame before it as its reader found it.
        end: where the clip ends here, what is to be said about it.
    """

    kept: Kept | None
    found: Mark | None
    end: tuple[str, ...] | None = None


@dataclass
class _Clip:
    """The segments of one clip until all are there and fit together."""

    order: Order
    tasks: _Tasks
    journal: Journal
    entry: Entry
    progress: Progress
    parts: dict[int, _Part] = field(default_factory=dict)
    verified: list[Kept] = field(default_factory=list)
    mark: Mark | None = None  # behind what is verified
    stylized: int = 0
    provider: str = ""

    def finish(self, segments: list[Segment], mark: Mark | None, format: VideoFormat) -> Rest:
        """All segments, those of earlier runs among them."""
        from styletransfer.media.journal import Kept

        self.verified = [Kept(segment, None) for segment in segments]
        self.mark = mark
        self._take_over()
        guesses, planned = self._plan()
        while (end := self._verify()) is None:
            self._order_next(guesses, planned)
            order, made = self.tasks.next(self._tick)
            self._accept(order, made)
        self.tasks.cancel(0)
        self.journal.drop_segments(self.entry.key, len(self.verified))
        return Rest([kept.segment for kept in self.verified], self.stylized, self.provider, format, list(end))

    def _tick(self) -> None:
        kept = [*self.verified, *(part.kept for part in self.parts.values() if part.kept)]
        self.progress(sum(one.segment.frames for one in kept))

    def _take_over(self) -> None:
        """Take what an earlier run made, out of its order too, behind what follows from the clip's beginning."""
        from styletransfer.media.segments import DamagedSegmentError, check

        length = self.order.options.segment_frames
        for kept in self.journal.all_segments(self.entry.key):
            number = kept.segment.number
            # Of a shorter one it is not known whether the clip ends there.
            if number < len(self.verified) or kept.segment.frames != length:
                continue
            self._tick()
            with contextlib.suppress(DamagedSegmentError):
                check(kept.segment)
                self.parts[number] = _Part(kept, kept.found)

    def _plan(self) -> tuple[dict[int, Mark], int]:
        """Where the segments seem to begin, and how many there seem to be; nothing where the packets do not tell."""
        from styletransfer.media.scan import frame_times, guessed_marks

        times_s = frame_times(self.order.clip.path, self._tick)
        length = self.order.options.segment_frames
        return guessed_marks(times_s, length), -(-len(times_s) // length)

    def _order_next(self, guesses: dict[int, Mark], planned: int) -> None:
        """Order the segment that is next, from its exact place, and as many behind it as the cluster can do."""
        length = self.order.options.segment_frames
        out, place = self.tasks.numbers, len(self.verified)
        if place not in out:
            is_whole = self.mark is None or self.mark.is_clean
            self._add(place, self.mark, None if not is_whole or 0 < planned <= place + 1 else 1)
            if not is_whole:
                self.tasks.cancel(place + 1)
        if self.mark is not None and not self.mark.is_clean:
            return
        for number in range(place + 1, planned):
            if len(self.tasks.numbers) >= 2 * self.tasks.slots:  # so that none waits for this process
                return
            if number not in out and number not in self.parts:
                self._add(number, guesses[number * length - 1], None if number + 1 == planned else 1)

    def _add(self, number: int, mark: Mark | None, count: int | None) -> None:
        self.tasks.add(make_segments, replace(self.order, first=number, count=count, mark=mark))

    def _accept(self, order: Order, made: Made) -> None:
        """Keep what came back, in the journal too."""
        self.provider = made.provider
        end = made.warnings if made.is_at_end else None
        last = order.first + len(made.pieces) - 1
        if not made.pieces:
            self.parts[order.first] = _Part(None, made.found, end)
        for number, piece in enumerate(made.pieces, order.first):
            found = made.found if number == order.first else None
            kept = self._store(number, piece, found)
            self.journal.add_segment(self.entry, kept)
            self.parts[number] = _Part(kept, found, end if number == last else None)
            self.stylized += piece.frames

    def _store(self, number: int, piece: Piece, found: Mark | None) -> Kept:
        from styletransfer.media.journal import Kept
        from styletransfer.media.segments import Segment, segment_path

        path = segment_path(self.journal.segment_folder(self.entry.key), number)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(piece.data)
            file.flush()
            os.fsync(file.fileno())
        segment = Segment(number, number * self.order.options.segment_frames, piece.frames, path)
        return Kept(segment, piece.mark, found)

    def _verify(self) -> tuple[str, ...] | None:
        """Append the segments that continue what is verified; where the clip ends with them, what is said about it."""
        from styletransfer.media.journal import is_same_frame

        while (part := self.parts.pop(len(self.verified), None)) is not None:
            if self.verified and not is_same_frame(self.mark, part.found):
                return None  # to be made again
            if part.kept is not None:
                self.verified.append(part.kept)
                self.mark = part.kept.mark
            if part.end is not None:
                return part.end
        return None
