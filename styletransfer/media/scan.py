"""Where the frames of a clip lie in time, read from its packets without decoding any."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av.error

from styletransfer.media.holes import find_holes
from styletransfer.media.opening import first_video, open_container
from styletransfer.media.video import Mark

_TICK_PACKETS = 1000


def frame_times(path: Path, tick: Callable[[], None] = lambda: None) -> list[Fraction]:
    """Presentation times of all frames, in seconds, if a packet is a frame and says when it is shown.

    That holds for most clips, not for all: a damaged packet gives no frame, two may hold one picture's halves. Marks
    that are made of these times are places to look at; what is found there has to be compared.

    Args:
        path: the clip.
        tick: called now and then; raises to stop.

    Returns:
        Growing times; empty where the packets do not tell.

    Raises:
        InputError: the clip cannot be opened.
    """
    stamps: list[int] = []
    with open_container(path) as container:
        if container.format.name == "avi":  # stores no presentation times
            return []
        is_matroska = "matroska" in container.format.name
        stream = first_video(container, path)
        try:
            for count, packet in enumerate(container.demux(stream)):
                if not count % _TICK_PACKETS:
                    tick()
                if not packet.size:
                    continue
                if packet.pts is None or packet.is_corrupt:
                    return []
                if not packet.is_discard:
                    stamps.append(packet.pts)
        except (av.error.FFmpegError, OSError, IndexError):
            return []
        base = stream.time_base
    if base is None or len(set(stamps)) != len(stamps):
        return []
    times_s = [stamp * base for stamp in sorted(stamps)]
    return [] if is_matroska and find_holes(times_s) else times_s  # one reader says what is missing, pieces do not


def guessed_marks(times_s: list[Fraction], every: int) -> dict[int, Mark]:
    """A mark without a checksum at the last of every so many frames, by its index."""
    return {index: Mark(index, times_s[index], None, True) for index in range(every - 1, len(times_s), every)}
