"""The command line inside the test's own process."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from unittest import mock


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out_bytes: bytes
    err: str

    @property
    def out(self) -> str:
        return self.out_bytes.decode()

    @property
    def errors(self) -> list[str]:
        """The error lines."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


class _Stream(io.TextIOWrapper):
    """A text stream over bytes that the test reads afterwards, even if the command closed it."""

    def __init__(self, data: bytes = b"") -> None:
        self.raw_bytes = io.BytesIO(data)
        super().__init__(self.raw_bytes, encoding="utf-8", write_through=True)

    def close(self) -> None:
        self.flush()


def run(*arguments: object, stdin: bytes = b"") -> Outcome:
    """Run ``styletransfer ARGUMENTS``; no test may see a traceback."""
    from styletransfer.cli.app import main

    out, err = _Stream(), _Stream()
    status = 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "stdin", _Stream(stdin)),
    ):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            code = leaving.code
            status = code if isinstance(code, int) else int(code is not None)
    text = err.raw_bytes.getvalue().decode()
    assert "Traceback" not in text, text
    return Outcome(status, out.raw_bytes.getvalue(), text)


def is_one_error_line(text: str) -> bool:
    """Whether nothing but progress lines and one last ``error: ...`` line stands in ``text``."""
    lines = [line for line in text.splitlines() if line]
    return bool(lines) and lines[-1].startswith("error: ") and "Traceback" not in text


def one_error(outcome: Outcome, *words: str) -> bool:
    """One ``error:`` line, exit status 1, and these words in it."""
    assert outcome.status == 1, (outcome.status, outcome.err)
    assert len(outcome.errors) == 1, outcome.err
    assert all(word in outcome.errors[0] for word in words), outcome.errors
    return True
