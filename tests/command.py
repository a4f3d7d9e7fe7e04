"""The command line inside the test's own process."""

import contextlib
import io
from dataclasses import dataclass


@dataclass
class Finished:
    status: int
    out: str
    err: str


def run(*arguments):
    """Run `styletransfer ARGUMENTS`; the exit status, what went to stdout and what to stderr."""
    from styletransfer.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(a) for a in arguments])
        except SystemExit as leaving:
            status = leaving.code or 0
    return Finished(status, out.getvalue(), err.getvalue())


def is_one_error_line(text):
    lines = [line for line in text.splitlines() if line]
    return bool(lines) and lines[-1].startswith("error: ") and "Traceback" not in text
