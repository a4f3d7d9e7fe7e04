"""Whether there is a display, asked before Qt is: where it finds none, it ends the whole program."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from styletransfer.core.errors import OutputError


def check_display() -> None:
    """Make sure that a window can open, because Qt ends the whole program where it cannot.

    Raises:
        OutputError: there is no display, or it does not answer.
    """
    if sys.platform != "linux":
        return
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise OutputError(
            "there is no display to open a window on (DISPLAY is not set); use --headless, with "
            "--record FILE to see the result"
        )
    if not _answers(display):
        raise OutputError(
            f"the display {display} does not answer; mend DISPLAY, or use --headless, with --record FILE "
            "to see the result"
        )


def _answers(display: str) -> bool:
    """Whether an X server listens at ``[host]:number[.screen]``."""
    host, _, rest = display.rpartition(":")
    number = rest.split(".")[0]
    if not number.isdecimal():
        return False
    addresses: list[tuple[int, Any]] = []
    if host in ("", "unix"):
        path = f"/tmp/.X11-unix/X{number}"
        addresses = [(socket.AF_UNIX, path), (socket.AF_UNIX, "\0" + path)]
    elif host.startswith("/"):
        addresses = [(socket.AF_UNIX, display)] if Path(display).exists() else [(socket.AF_UNIX, host)]
    addresses.append((socket.AF_INET, (host if host not in ("", "unix") else "127.0.0.1", 6000 + int(number))))
    for family, address in addresses:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(2)
            try:
                probe.connect(address)
            except (OSError, OverflowError):
                continue
            return True
    return False
