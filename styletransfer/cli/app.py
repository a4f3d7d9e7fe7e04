"""The ``styletransfer`` command: collects the commands and turns errors into one line and an exit status."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import typer

from styletransfer.cli import (
    bench,
    compare,
    doctor,
    evaluate,
    evaluate_restore,
    export,
    gatys,
    models,
    photos,
    quantise,
    restore,
    stability,
    study,
    study_scale,
    stylize,
    train,
    train_mdf,
    train_restore,
    video,
    webcam,
)
from styletransfer.cli.common import fail
from styletransfer.core.errors import StoppedError, StyleTransferError
from styletransfer.core.files import explain_os_error
from styletransfer.core.interrupts import SIGNALS
from styletransfer.core.memory import is_out_of_memory

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="styletransfer",
    help="One painting in, a live filter out: real-time neural style transfer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("stylize")(stylize.stylize)
app.command("restore")(restore.restore)
app.command("video")(video.video)
app.command("webcam")(webcam.webcam)
app.add_typer(models.app, name="models")
app.command("train")(train.train)
app.command("train-mdf")(train_mdf.train_mdf)
app.command("train-restore")(train_restore.train_restore)
app.command("gatys")(gatys.gatys)
app.command("evaluate")(evaluate.evaluate)
app.command("evaluate-restore")(evaluate_restore.evaluate_restore)
app.command("compare")(compare.compare)
app.command("photos")(photos.photos)
app.command("export")(export.export)
app.command("quantise")(quantise.quantise)
app.command("bench")(bench.bench)
app.command("stability")(stability.stability)
app.command("study")(study.study)
app.command("study-scale")(study_scale.study_scale)
app.command("doctor")(doctor.doctor)


def _version(value: bool) -> None:
    if value:
        from styletransfer import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 an input failed, 2 wrong usage, 130 Ctrl-C or a polite kill.

    ``STYLETRANSFER_DEBUG=1`` in the environment shows the traceback behind an error.
    """
    is_debugging = bool(os.environ.get("STYLETRANSFER_DEBUG"))
    _stop_politely()
    for stream in (sys.stdout, sys.stderr):  # file names need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Not typer's standalone mode: that draws a box of five lines around a mistyped option.
        status = app(args=None if argv is None else list(argv), standalone_mode=False)
    except StoppedError as error:
        fail(str(error))
        sys.exit(EXIT_INTERRUPTED)
    except StyleTransferError as error:
        if is_debugging:
            raise
        fail(str(error))
        status = EXIT_FAILED
    except BrokenPipeError:
        # The reader of our output is gone (`| head`): nothing more to say, and no flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = EXIT_FAILED
    except OSError as error:
        if is_debugging:
            raise
        from pathlib import Path

        fail(str(explain_os_error(error, Path(str(error.filename or "output")))))
        status = EXIT_FAILED
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
    except Exception as error:
        if is_out_of_memory(error) and not is_debugging:
            fail("not enough memory for this; use smaller pictures or a smaller batch, or close other programs")
            status = EXIT_FAILED
        elif hasattr(error, "format_message"):  # typer's usage errors; their class moves between its versions
            status = _wrong_usage(error)
        else:
            raise
    if status == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C, without a word
        fail("interrupted; finished files are kept")
    sys.exit(status or 0)


def _wrong_usage(error: Any) -> int:
    if type(error).__name__ != "NoArgsIsHelpError":  # which has printed the help, all that there is to say
        context = getattr(error, "ctx", None)
        hint = f"; see `{context.command_path} --help`" if context is not None else ""
        fail(f"{error.format_message().rstrip('. ')}{hint}")
    return EXIT_USAGE


def _stop_politely() -> None:
    """Let `kill`, `timeout` and a closed terminal end a run as Ctrl-C does: no half-written file stays."""
    for number in SIGNALS:
        with contextlib.suppress(ValueError):  # not in the main thread
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
