"""A queue over many clips and styles: each result once, the rest done when one fails, and a killed run goes on."""

# Over 300 lines with the bars, which need the jobs' states.

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer.cli.clip import ClipOptions, ClipResult, stylize_clip, stylize_in_segments, stylize_rest
from styletransfer.cli.common import progress, warn
from styletransfer.cli.targets import named
from styletransfer.core.cores import cores
from styletransfer.core.errors import StoppedError, StyleTransferError
from styletransfer.core.files import real_path, remove_leftovers

if TYPE_CHECKING:
    from styletransfer.cli.clip import Rest
    from styletransfer.cli.farm import Farm
    from styletransfer.media.journal import Entry, Journal
    from styletransfer.media.segments import Segment
    from styletransfer.media.video import Mark
    from styletransfer.runtime.chain import Chain

DONE, SKIPPED, FAILED, OPEN = "done", "skipped", "failed", "open"
"""What became of a job: made, made by an earlier run, not to be made, not reached."""


@dataclass
class Job:
    """One clip with one style.

    Attributes:
        source: the clip.
        style: the style's name in messages.
        model: its file; None where the clip is restored only.
        target: the result.
        root: folder whose journal the result stands in.
        frames: that the clip announces; 0 where it does not say.
        is_journaled: whether a later run can go on with it.
        is_long: whether it is made in segments.
        expected_bytes: about how large the result will be; 0 where unknown.
        status: one of the constants above.
        error: why it failed, one line.
        result: what was made.
    """

    source: Path
    style: str
    model: Path | None
    target: Path
    root: Path
    frames: int
    is_journaled: bool
    is_long: bool
    expected_bytes: int = 0
    status: str = OPEN
    error: str = ""
    result: ClipResult | None = None


@dataclass(frozen=True)
class BatchSettings:
    """How the queue is worked off.

    Attributes:
        options: what holds for every clip.
        provider: execution provider that is asked for.
        workers: clips at the same time.
        overwrite: make results again that an earlier run made.
        key_parts: what results depend on besides the clip, the style and the target.
        is_many: whether the journal stays for later runs.
        ray: address of the Ray cluster that does the work; empty for this process.
    """

    options: ClipOptions
    provider: str
    workers: int
    overwrite: bool
    key_parts: dict[str, Any]
    is_many: bool
    ray: str = ""


_MOST_CLIPS_AT_ONCE = 64
"""That a cluster gets: each takes a thread here."""


class _Interrupted(Exception):  # noqa: N818 - Ctrl-C on its way out of a thread
    pass


class Batch:
    """Works off the jobs of one run.

    Args:
        jobs: in the order in which they are to be done; those of one style should stand together.
        settings: how.
    """

    def __init__(self, jobs: list[Job], settings: BatchSettings) -> None:
        self._jobs = jobs
        self._settings = settings
        self._journals: dict[Path, Journal] = {}
        self._model_hashes: dict[Path | None, str] = {None: "none"}
        self._of_thread = threading.local()  # its loaded chain
        self._stop = threading.Event()
        self._bars = _Bars(jobs, settings.is_many)
        self._farm: Farm | None = None

    def run(self) -> None:
        """Do every job; what became of each stands in it.

        Raises:
            OutputError: another run is at work in the folder of the results.
            StoppedError: Ctrl-C; the message says how to go on.
        """
        from styletransfer.core.interrupts import interruption

        with interruption() as self._stop, contextlib.ExitStack() as stack:
            for model in reversed(dict.fromkeys(job.model for job in self._jobs)):
                self._chain(model)  # a style that does not load is better said before the work
            self._open_journals(stack)
            workers = self._settings.workers
            if self._settings.ray:
                from styletransfer.cli.farm import connected

                self._of_thread.chain = None  # its memory is for those who work
                self._farm = stack.enter_context(
                    connected(self._settings.ray, self._settings.provider, self._settings.options)
                )
                workers = min(self._farm.session.slots + 1, len(self._jobs), _MOST_CLIPS_AT_ONCE)
            stack.enter_context(self._bars)
            if workers == 1:
                for job in self._jobs:
                    self._do(job)
                    if self._stop.is_set():
                        break
            else:
                self._run_in_threads(workers)
            self._say_what_was_lost()
        if self._stop.is_set() and any(job.status == OPEN for job in self._jobs):
            self._say_how_to_go_on()

    def _open_journals(self, stack: contextlib.ExitStack) -> None:
        from styletransfer.media.journal import Journal

        for root in dict.fromkeys(job.root for job in self._jobs if job.is_journaled):
            journal = stack.enter_context(Journal(root, is_kept=self._settings.is_many))
            self._journals[root] = journal
            for sentence in journal.notes:
                warn(sentence)
        # Now, while no thread is at work: a temporary name does not say whose it is.
        remove_leftovers(job.target for job in self._jobs if job.is_journaled)

    def _say_what_was_lost(self) -> None:
        if self._farm is not None and self._farm.session.lost:
            warn(f"work lost with its Ray worker and given to another: {self._farm.session.lost} times")

    def _run_in_threads(self, workers: int) -> None:
        with ThreadPoolExecutor(workers, thread_name_prefix="clip") as pool:
            jobs = iter(self._jobs)
            # A few at a time: waiting looks at every one of them.
            waiting: set[Future[None]] = {pool.submit(self._do, job) for job in itertools.islice(jobs, 2 * workers)}
            while waiting:
                # With a time limit, because Windows delivers Ctrl-C between two waits only.
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                waiting |= {pool.submit(self._do, job) for job in itertools.islice(jobs, len(finished))}

    def _do(self, job: Job) -> None:
        if self._stop.is_set():
            return
        try:
            entry = self._entry(job)
            if entry is not None and entry.status == "done":
                job.status = SKIPPED
            else:
                job.result = self._stylize(job, entry)
                job.status = DONE
        except _Interrupted:
            return
        except StyleTransferError as error:
            self._failed(job, named(error, str(job.source), [job.target]))
        except MemoryError:
            self._failed(job, f"{job.source}: not enough memory for its frames; a smaller --size needs less")
        except OSError as error:
            self._failed(job, f"{job.source}: {error.strerror or error}")
        except Exception as error:  # a mistake of ours: the other clips go on
            self._failed(job, f"{job.source}: {type(error).__name__}: {error}; please report this")
        self._bars.finished(job)

    def _entry(self, job: Job) -> Entry | None:
        from styletransfer.core.download import file_sha256
        from styletransfer.media.journal import key_of

        if not job.is_journaled:
            return None
        if job.model is not None and job.model not in self._model_hashes:
            self._model_hashes[job.model] = file_sha256(job.model)
        model = self._model_hashes[job.model]
        parts = {**self._settings.key_parts, "model": model, "target": str(real_path(job.target))}
        key = key_of(job.source, parts)
        journal = self._journals[job.root]
        return journal.entry(job.target, key, job.source, job.style, is_fresh=self._settings.overwrite)

    def _stylize(self, job: Job, entry: Entry | None) -> ClipResult:
        options = self._settings.options
        with self._bars.clip(job) as advance:

            def tick(frames: int) -> None:
                if self._stop.is_set():
                    raise _Interrupted
                advance(frames)

            tick(0)
            if entry is None or not job.is_long:
                if self._farm is not None:
                    result = self._farm.stylize_clip(job.source, job.target, job.model, tick)
                else:
                    result = stylize_clip(job.source, job.target, self._chain(job.model), options, tick)
                if entry is not None:
                    self._journals[job.root].done(entry, result.frames, list(result.warnings))
                return result
            journal = self._journals[job.root]

            def make_rest(segments: list[Segment], mark: Mark | None) -> Rest:
                if self._farm is not None:
                    return self._farm.make_rest(job.source, job.model, journal, entry, tick, segments, mark)
                chain = self._chain(job.model)
                return stylize_rest(job.source, chain, options, journal, entry, tick, segments, mark)

            return stylize_in_segments(job.source, make_rest, options, journal, entry, tick)

    def _chain(self, model: Path | None) -> Chain:
        """A style between its restorers, loaded by this thread and kept until it needs another."""
        loaded: tuple[Path | None, Chain] | None = getattr(self._of_thread, "chain", None)
        if loaded is None or loaded[0] != model:
            self._of_thread.chain = loaded = None  # frees its memory first
            workers = self._settings.workers
            threads = max(1, cores() // workers) if workers > 1 else None
            provider = "cpu" if self._settings.ray else self._settings.provider  # there only to see that it loads
            chain = self._settings.options.restorers.load(model, provider, threads)
            self._of_thread.chain = loaded = (model, chain)
        return loaded[1]

    def _failed(self, job: Job, reason: str) -> None:
        job.status, job.error = FAILED, " ".join(reason.split())
        journal = self._journals.get(job.root)
        if journal is not None and job.is_journaled:
            with contextlib.suppress(StyleTransferError):
                journal.failed(job.target, job.error)

    def _say_how_to_go_on(self) -> None:
        journaled = any(job.is_journaled for job in self._jobs)
        if not journaled:
            raise KeyboardInterrupt
        finished = sum(job.status in (DONE, SKIPPED) for job in self._jobs)
        raise StoppedError(
            f"interrupted; {finished} of {len(self._jobs)} clips are finished and what was begun is kept: "
            "run the same command again to go on"
        )


class _Bars:
    """One bar for each clip in work, and one for all of them where there are many."""

    def __init__(self, jobs: list[Job], is_many: bool) -> None:
        self._jobs = jobs
        self._is_many = is_many
        self._progress = progress()
        self._mutex = threading.Lock()
        self._failed = 0
        self._overall: Any = None

    def __enter__(self) -> None:
        self._progress.start()
        if self._is_many:
            self._overall = self._progress.add_task("all clips", total=len(self._jobs), note="")

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    @contextlib.contextmanager
    def clip(self, job: Job) -> Iterator[Callable[[int], None]]:
        """A bar that is there while the clip is worked on; its value is called with the frames that are done."""
        from rich.markup import escape

        name = f"{escape(job.source.name)} {escape(job.style)}" if self._is_many else escape(job.source.name)
        task = self._progress.add_task(name, total=job.frames or None, note="")
        started = time.perf_counter()
        begun_at: int | None = None

        def advance(frames: int) -> None:
            nonlocal begun_at, started
            if frames and begun_at is None:
                begun_at, started = frames, time.perf_counter()
            rate = (frames - (begun_at or 0)) / max(time.perf_counter() - started, 1e-6)
            self._progress.update(task, completed=frames, note=f"{rate:.1f} fps")

        try:
            yield advance
        finally:
            self._progress.remove_task(task)

    def finished(self, job: Job) -> None:
        """Count a job and say what became of it."""
        import typer

        with self._mutex:
            self._failed += job.status == FAILED
            if self._overall is not None:
                self._progress.update(self._overall, advance=1, note=f"{self._failed} failed" if self._failed else "")
            if job.status == SKIPPED:
                typer.echo(f"{job.target}: finished by an earlier run")
            if job.result is None:
                return
            for sentence in job.result.warnings:
                warn(sentence)
            result = job.result
            rate = result.stylized / result.seconds if result.seconds else 0.0
            earlier = result.frames - result.stylized
            resumed = f" ({earlier} of them by an earlier run)" if earlier else ""
            provider = f", {result.provider}" if result.provider else ""
            typer.echo(f"{job.target}: {result.frames} frames{resumed}, {rate:.1f} fps{provider}")
