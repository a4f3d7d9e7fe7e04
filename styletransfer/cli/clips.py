"""Which clips a run means, what each result is called, and whether there is room for them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from styletransfer.cli.batch import Job
from styletransfer.cli.targets import STREAM, Found, Taken, find, means_folder, named
from styletransfer.core.errors import InputError, OutputError, StyleTransferError

if TYPE_CHECKING:
    from styletransfer.cli.clip import ClipOptions

_LONG_SEGMENTS = 20
"""From this many segments on a single clip is worth a journal, so that a killed run can go on."""

_MOST_GROWTH = 100
"""Brush strokes take more bytes than what they are painted over, and many times those of a recorded screen."""


@dataclass
class ClipPlan:
    """What to do, and what cannot be done.

    Attributes:
        jobs: one for each clip and style, those of one style together.
        failures: inputs that cannot be queued: name and reason.
        is_many: a folder, several inputs or several styles: a batch.
    """

    jobs: list[Job] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    is_many: bool = False


@dataclass(frozen=True)
class _Facts:
    """What a clip says about itself before it is decoded."""

    frames: int
    width: int
    height: int
    size_bytes: int
    suffix: str


def plan_clips(
    inputs: Sequence[str],
    output: str | None,
    models: Sequence[tuple[str, Path | None]],
    options: ClipOptions,
    splits: bool = False,
) -> ClipPlan:
    """Find the clips and name their results.

    Without ``output`` a clip's result lies beside it as ``<stem>-<style>``, and a folder's results lie in
    ``<folder>-<style>``. With several clips or styles ``output`` is a folder. ``splits`` makes a single clip in
    segments from the second on, as a batch does: several machines share its work.

    Raises:
        OutputError: ``output`` cannot serve: a file for many results, or no video format.
    """
    from styletransfer.media.video import VIDEO_SUFFIXES

    if output in ("", STREAM):
        raise OutputError("a clip cannot go to stdout or to an empty name; name a file or a folder with -o")
    plan = ClipPlan()

    def fail(name: str, error: InputError) -> None:
        plan.failures.append((name, str(error)))

    label = models[0][0] if len(models) == 1 else "styles"
    found: list[Found] = []
    for text in dict.fromkeys(inputs):
        try:
            found += find(text, Path(output) if output else None, label, VIDEO_SUFFIXES, "video", partial(fail, text))
        except InputError as error:
            fail(text, error)
    plan.is_many = len(inputs) > 1 or len(models) > 1 or any(clip.is_from_folder for clip in found)
    names = _Names(output, plan.is_many, len(models) == 1, options, found)
    facts: dict[Path, _Facts] = {}
    for clip in found:
        assert clip.source is not None
        try:
            facts[clip.source] = _look_at(clip.source, options)
        except StyleTransferError as error:
            plan.failures.append((str(clip.source), named(error, str(clip.source), [])))
    # Style by style: only one is loaded at a time.
    for style, model in models:
        for clip in found:
            known = facts.get(clip.source) if clip.source else None
            if known is not None:
                plan.jobs.append(_job(clip, style, model, known, names, plan.is_many, options, splits))
    return plan


def _job(
    clip: Found,
    style: str,
    model: Path | None,
    facts: _Facts,
    names: _Names,
    is_many: bool,
    options: ClipOptions,
    splits: bool,
) -> Job:
    assert clip.source is not None
    target, root = names.target(clip, style, facts.suffix)
    # A clip that does not say how long it is may be long.
    is_long = not 0 < facts.frames <= options.segment_frames
    is_journaled = is_many or (is_long and splits) or facts.frames >= _LONG_SEGMENTS * options.segment_frames
    job = Job(clip.source, style, model, target, root, facts.frames, is_journaled, is_long and is_journaled)
    scale = options.size / max(facts.width, facts.height, 1) if options.size is not None else 1.0
    scale *= options.restorers.scale
    expected = facts.frames * facts.width * facts.height * scale**2 * options.encoder.bits_a_pixel(target) / 8
    # A file can announce a length or a rate that it does not have: its own size is real.
    job.expected_bytes = int(min(expected, _MOST_GROWTH * facts.size_bytes * max(1.0, scale**2)))
    return job


def _look_at(clip: Path, options: ClipOptions) -> _Facts:
    """Open a clip, without decoding it.

    Raises:
        InputError: it is no clip.
    """
    from styletransfer.media.opening import announced_frames, first_video, open_container

    with open_container(clip) as container:
        stream = first_video(container, clip)
        frames, context = announced_frames(container, stream), stream.codec_context
        width, height, size_bytes = context.width, context.height, container.size
    return _Facts(frames, width, height, size_bytes, _suffix(clip, options))


def _suffix(clip: Path, options: ClipOptions) -> str:
    """The clip's own suffix where it can be written, else the first that holds picture and sound."""
    from styletransfer.media.codecs import MUXERS
    from styletransfer.media.copying import sound_fits

    encoder = options.encoder
    others: tuple[str, ...] = (".mov", ".mkv") if encoder.codec == "prores" else (".mp4", ".mkv", ".mov")
    for suffix in (clip.suffix.lower(), *others):
        if suffix not in MUXERS or not encoder.fits(suffix):
            continue
        if not options.audio or sound_fits(clip, suffix):
            return str(suffix)
    return ".mkv"


class _Names:
    """Chooses the output names of one run."""

    def __init__(
        self, output: str | None, is_many: bool, is_one_style: bool, options: ClipOptions, clips: list[Found]
    ) -> None:
        from styletransfer.media.video import VIDEO_SUFFIXES

        self._taken = Taken(clip.source for clip in clips)
        self._is_one_style = is_one_style
        target = None if output is None else Path(output)
        is_folder = output is not None and means_folder(output, is_many, VIDEO_SUFFIXES)
        self._folder = target if is_folder else None
        self._file = None if is_folder else target
        if self._file is not None:
            options.encoder.for_target(self._file)  # better said before the work
            self._taken.check(self._file)

    def target(self, clip: Found, style: str, suffix: str) -> tuple[Path, Path]:
        """Where the result of a clip goes, and the folder whose journal it stands in."""
        if self._file is not None:
            return self._file, self._file.parent
        root = self._folder or clip.default_folder
        is_plain = self._is_one_style and (self._folder is not None or clip.is_from_folder)
        folder = root / clip.relative.parent
        return self._taken.free_name(folder, clip.relative.stem, style, suffix, is_plain), root


_LEAST_FREE = 50_000_000  # bytes, where nobody knows how long a clip is
_SMALL = 200_000  # containers and the journal


def check_space(jobs: Sequence[Job]) -> None:
    """Compare what the results will need, about, with what the disks have.

    Raises:
        OutputError: a disk has not half as much, or, for short clips, not some room to work in.
    """
    for root in dict.fromkeys(job.root for job in jobs):
        # What stands there already is finished, or gives its place to its successor.
        mine = [job for job in jobs if job.root == root and not job.target.exists()]
        if not mine:
            continue
        # Once for the results, and for a moment the longest one's segments beside it.
        need = sum(job.expected_bytes for job in mine) + max(job.expected_bytes for job in mine)
        there = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.is_dir())
        if not os.access(there, os.W_OK):  # which is said better when the result is begun
            continue
        free = shutil.disk_usage(there).free
        is_known = all(job.expected_bytes for job in mine)
        least = min(_LEAST_FREE, 2 * need + _SMALL) if is_known else _LEAST_FREE
        if free < max(need / 2, least):
            raise OutputError(
                f"{root}: the results need about {_size(max(need, least))} and {_size(free)} are free; free some "
                "space, choose another disk with -o, or make them smaller with --size or --crf"
            )


def _size(count: float) -> str:
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
