"""What a batch has done: a table for people, a JSON file for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer.cli.batch import DONE, FAILED, OPEN, SKIPPED, Job
from styletransfer.cli.common import stderr

if TYPE_CHECKING:
    from styletransfer.cli.clips import ClipPlan

_WORDS = {DONE: "done", SKIPPED: "done before", FAILED: "failed", OPEN: "not reached"}


def show_table(plan: ClipPlan) -> None:
    """Print one line a job on stderr."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("clip", "style", "frames", "fps", "seconds", "result"):
        table.add_column(name, justify="right" if name in ("frames", "fps", "seconds") else "left")
    for job in plan.jobs:
        result = job.result
        figures = ["", "", ""]
        if result is not None:
            rate = result.stylized / result.seconds if result.seconds else 0.0
            figures = [str(result.frames), f"{rate:.1f}", f"{result.seconds:.1f}"]
        table.add_row(escape(job.source.name), escape(job.style), *figures, _WORDS[job.status])
    for name, _ in plan.failures:
        table.add_row(escape(Path(name).name), "", "", "", "", _WORDS[FAILED])
    stderr().print(table)


def counts(plan: ClipPlan) -> str:
    """How many of each, as a sentence."""
    by_status = {status: sum(job.status == status for job in plan.jobs) for status in _WORDS}
    text = f"{by_status[DONE]} clips done"
    if by_status[SKIPPED]:
        text += f", {by_status[SKIPPED]} done before"
    if by_status[OPEN]:
        text += f", {by_status[OPEN]} not reached"
    return f"{text}, {by_status[FAILED] + len(plan.failures)} failed"


def write_report(path: Path, plan: ClipPlan, settings: dict[str, Any], seconds: float) -> None:
    """Write the report.

    Raises:
        OutputError: the file cannot be written.
    """
    from styletransfer import __version__
    from styletransfer.core.files import write_bytes

    report = {
        "styletransfer": __version__,
        "settings": settings,
        "seconds": round(seconds, 3),
        "results": [_described(job) for job in plan.jobs],
        "failed_inputs": [{"source": name, "error": reason} for name, reason in plan.failures],
    }
    write_bytes(path, (json.dumps(report, indent=2) + "\n").encode())


def _described(job: Job) -> dict[str, Any]:
    described: dict[str, Any] = {
        "source": str(job.source),
        "style": job.style,
        "model": "none" if job.model is None else str(job.model),
        "target": str(job.target),
        "status": {OPEN: "not reached", SKIPPED: "done before"}.get(job.status, job.status),
    }
    if job.result is not None:
        described |= {
            "frames": job.result.frames,
            "frames_stylized_in_this_run": job.result.stylized,
            "seconds": round(job.result.seconds, 3),
            "provider": job.result.provider,
            "warnings": list(job.result.warnings),
        }
    if job.error:
        described["error"] = job.error
    return described


def failures(plan: ClipPlan) -> Sequence[str]:
    """The reason of every failure."""
    return [reason for _, reason in plan.failures] + [job.error for job in plan.jobs if job.status == FAILED]
