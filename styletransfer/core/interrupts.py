"""Ctrl-C at a safe moment.

A ``KeyboardInterrupt`` can strike between taking a lock and the block that would give it back; the threads that wait
for that lock then hang for ever. Who works with threads, or must not stop halfway, asks an event instead.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, `kill`, a closed terminal, as far as the system has them."""


@contextmanager
def interruption() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C (or what acts like it) sets; the second interrupts at once.

    Signals that are ignored or that somebody else handles are left alone, and so is everything outside the main
    thread, where Python delivers none.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    numbers = [number for number in SIGNALS if signal.getsignal(number) is signal.default_int_handler]

    def on_interrupt(number: int, _: object) -> None:
        event.set()
        signal.signal(number, signal.default_int_handler)

    for number in numbers:
        signal.signal(number, on_interrupt)
    try:
        yield event
    finally:
        for number in numbers:
            signal.signal(number, signal.default_int_handler)
