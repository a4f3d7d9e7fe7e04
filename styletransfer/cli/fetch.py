"""Downloads with a progress bar, for every command that needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from styletransfer.cli.common import stderr

if TYPE_CHECKING:
    from rich.progress import TaskID


def fetch(url: str, target: Path, *, sha256: str | None = None, expected_size: int | None = None) -> Path:
    """:func:`styletransfer.core.download.download` with a bar (bytes, rate, time left) on stderr.

    Where stderr is no terminal, one line says what is downloaded.
    """
    from styletransfer.core.download import download

    console = stderr()
    if not console.is_terminal:
        size = f" ({expected_size / 1e6:,.0f} MB)" if expected_size else ""
        console.print(f"downloading {url}{size}", markup=False, soft_wrap=True)
    with bytes_bar(target.name, announce=False) as update:
        return download(url, target, sha256=sha256, expected_size=expected_size, on_progress=update)


@contextmanager
def bytes_bar(title: str, announce: bool = True) -> Iterator[Callable[[int, int | None], None]]:
    """A bar in bytes that shows itself with the first call, which says what is done and what there is in all.

    Where stderr is no terminal, one line says what is downloaded, if ``announce``.
    """
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = stderr()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    task: TaskID | None = None
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:

        def update(done: int, total: int | None) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task(title, total=total)
                if bar.disable and announce:
                    console.print(f"downloading {title} ({(total or 0) / 1e6:.0f} MB)", markup=False)
            bar.update(task, completed=done, total=total)

        yield update
