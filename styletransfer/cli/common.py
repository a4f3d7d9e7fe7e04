"""What every command shares: consoles, error lines, progress bars and option types."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.core.zoo import DEFAULT_STYLE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PROVIDERS_HELP = "auto, cpu, cuda, tensorrt, openvino, coreml or directml"

ProviderOption = Annotated[str, typer.Option("--provider", help=f"Execution provider: {PROVIDERS_HELP}.")]
ModelOption = Annotated[
    str,
    typer.Option("--model", "-m", help="A shipped style's name (see `models`) or an .onnx file."),
]

ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        "--style",
        help=f"A shipped style's name (see `models`) or an .onnx file; several times for several results; "
        f"none with --before or --after restores only. Default: {DEFAULT_STYLE}.",
        show_default=False,
    ),
]


def stderr() -> Console:
    """The console for messages and progress; results go to stdout."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def fail(message: str) -> None:
    """Print one error line on stderr."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)


def warn(message: str) -> None:
    """Print one warning line on stderr."""
    typer.echo(f"warning: {' '.join(message.split())}", err=True)


def prints_to_terminal() -> bool:
    """Whether stdout is a terminal; False where there is none at all: daemons, ``>&-``, pythonw."""
    return sys.stdout is not None and sys.stdout.isatty()


def numbers(option: str, text: str) -> tuple[int, ...]:
    """``256,512`` as numbers.

    Raises:
        SettingsError: it is something else; the message names the option.
    """
    from styletransfer.core.errors import SettingsError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(f"{option} is {text!r}; allowed: whole numbers with commas between, as 256,512") from error


def progress() -> Progress:
    """A progress bar with rate and time left, on stderr; silent where stderr is no terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = stderr()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=prints_to_terminal(),  # what goes into a file or a pipe must not end on the terminal
    )
