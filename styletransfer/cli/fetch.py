"""Downloads with a progress bar, for every command that needs one."""

from __future__ import annotations

from pathlib import Path

from styletransfer.cli.common import stderr


def fetch(url: str, target: Path, *, sha256: str | None = None, expected_size: int | None = None) -> Path:
    """:func:`styletransfer.core.download.download` with a bar (bytes, rate, time left) on stderr.

    Where stderr is no terminal, one line says what is downloaded.
    """
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from styletransfer.core.download import download

    console = stderr()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    if not console.is_terminal:
        size = f" ({expected_size / 1e6:,.0f} MB)" if expected_size else ""
        console.print(f"downloading {url}{size}", markup=False, soft_wrap=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(target.name, total=None)

        def update(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        return download(url, target, sha256=sha256, expected_size=expected_size, on_progress=update)
