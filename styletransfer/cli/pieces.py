"""What a machine of a cluster does for a clip: some of its segments, or all of a short one. Runs in Ray's workers."""

from __future__ import annotations

import functools
import platform
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer.cli.clip import ClipOptions, ClipResult, stylize_clip
from styletransfer.cli.stages import SegmentedStage, stage_factory
from styletransfer.core.errors import StyleTransferError

if TYPE_CHECKING:
    from styletransfer.cluster.files import SharedFile
    from styletransfer.media.video import Mark
    from styletransfer.runtime.chain import Chain


@dataclass(frozen=True)
class Networks:
    """The files of a chain, and how they run.

    Attributes:
        style: the style; None for restoration alone.
        before: restorers that see the frame first.
        after: restorers that work on the stylized frame.
        provider: execution provider.
        threads: threads of a task; None for as many as the machine has cores.
    """

    style: SharedFile | None
    before: tuple[SharedFile, ...]
    after: tuple[SharedFile, ...]
    provider: str
    threads: int | None


@dataclass(frozen=True)
class Order:
    """What is to be made of a clip.

    Attributes:
        version: of the package that gave the order.
        clip: the clip.
        name: the clip's name in messages.
        target: the result's name.
        networks: what stylizes it.
        options: what holds for every clip of the run.
        first: number of the first segment.
        count: how many segments; None for all up to the clip's end.
        mark: the last frame before the first segment, or where it is thought to be.
    """

    version: str
    clip: SharedFile
    name: str
    target: Path
    networks: Networks
    options: ClipOptions
    first: int = 0
    count: int | None = None
    mark: Mark | None = None


@dataclass(frozen=True)
class Piece:
    """A segment: the content of its file, how many frames are in it, and its last frame where it is full."""

    data: bytes
    frames: int
    mark: Mark | None


@dataclass(frozen=True)
class Made:
    """What a worker made.

    Attributes:
        pieces: the segments, in order; none where the clip ends before the first.
        found: the frame before them, as the reader found it; see ``media.video.VideoReader.found``.
        is_at_end: whether the clip ends with them.
        warnings: about the clip, complete where it ends.
        provider: that stylized them.
        file: the content of the whole result, where that was ordered.
        result: what is to be said about the file.
    """

    pieces: tuple[Piece, ...] = ()
    found: Mark | None = None
    is_at_end: bool = False
    warnings: tuple[str, ...] = ()
    provider: str = ""
    file: bytes = b""
    result: ClipResult | None = None


@dataclass(frozen=True)
class Failed:
    """Why a worker made nothing, as a value: not every exception survives the way between two processes.

    Attributes:
        kind: the exception's class.
        text: what it says.
    """

    kind: str
    text: str


def make_segments(order: Order) -> Made | Failed:
    """Stylize some segments of a clip."""
    return _guarded(_segments, order)


def make_file(order: Order) -> Made | Failed:
    """Stylize a whole clip into one file."""
    return _guarded(_file, order)


def _guarded(work: Any, order: Order) -> Made | Failed:
    import styletransfer

    place = platform.node()
    if order.version != styletransfer.__version__:
        text = f"the Ray machine {place} has styletransfer {styletransfer.__version__}, not {order.version}"
        return Failed("ClusterError", f"{text}; there: pip install 'styletransfer[cpu,cluster]=={order.version}'")
    try:
        clip = order.clip.local()
        with tempfile.TemporaryDirectory(prefix="styletransfer-") as folder:
            target = Path(folder) / f"result{order.target.suffix}"
            try:
                made: Made = work(order, clip, target)
                warnings = tuple(_renamed(text, order, clip, target) for text in made.warnings)
                return replace(made, warnings=warnings)
            except StyleTransferError as error:
                return Failed(type(error).__name__, _renamed(str(error), order, clip, target))
    except StyleTransferError as error:
        return Failed(type(error).__name__, str(error))
    except MemoryError:
        return Failed("MemoryError", "")
    except OSError as error:
        return Failed("OSError", f"on the Ray machine {place}: {error.strerror or error}")


def _renamed(text: str, order: Order, clip: Path, target: Path) -> str:
    return text.replace(str(target), str(order.target)).replace(str(clip), order.name)


def _file(order: Order, clip: Path, target: Path) -> Made:
    result = stylize_clip(clip, target, _chain(order.networks), order.options, lambda _: None)
    return Made(file=target.read_bytes(), result=replace(result, warnings=()), warnings=result.warnings)


def _segments(order: Order, clip: Path, target: Path) -> Made:
    from styletransfer.cli.clip import warm_up
    from styletransfer.media.format import enlarged
    from styletransfer.media.hardware import decoder_for
    from styletransfer.media.segments import Segment, SegmentWriter
    from styletransfer.media.video import VideoReader
    from styletransfer.runtime import pipeline

    options, chain = order.options, _chain(order.networks)
    factory = stage_factory(chain, options.look)
    length = options.segment_frames
    first = order.first * length
    pieces: list[Piece] = []
    with VideoReader(clip, options.size, mark_every=length, hwaccel=decoder_for(clip, options.hwaccel)) as reader:
        reader.skip_to(max(0, first - factory.warm_up_frames), order.mark)
        if order.count is not None:
            reader.stop_before(first + order.count * length)
        warm_up(chain, reader)

        def finished(segment: Segment) -> None:
            pieces.append(Piece(segment.path.read_bytes(), segment.frames, reader.marks.get(segment.last_frame)))
            segment.path.unlink()

        writer = SegmentWriter(
            target.parent,
            target,
            enlarged(reader.format, options.restorers.scale),
            options.encoder,
            first_frame=first,
            segment_frames=length,
            finished=finished,
        )
        pipeline.run(reader, SegmentedStage(factory, length, first), writer)
        return Made(tuple(pieces), reader.found, reader.is_at_end, tuple(reader.warnings), chain.provider)


def _chain(networks: Networks) -> Chain:
    style = None if networks.style is None else networks.style.local()
    before, after = (tuple(file.local() for file in files) for files in (networks.before, networks.after))
    return _loaded(style, before, after, networks.provider, networks.threads)


@functools.lru_cache(maxsize=1)  # a worker does many tasks with one style
def _loaded(
    style: Path | None, before: tuple[Path, ...], after: tuple[Path, ...], provider: str, threads: int | None
) -> Chain:
    from styletransfer.runtime.chain import load_chain

    return load_chain(style, before, after, provider, threads)
