from __future__ import annotations

import signal
import threading

import pytest

from styletransfer.core.interrupts import interruption


def test_the_first_ctrl_c_sets_the_event_and_the_second_interrupts():
    with interruption() as interrupted:
        assert not interrupted.is_set()
        signal.raise_signal(signal.SIGINT)
        assert interrupted.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_closed_terminal_sets_the_event_too():
    before = signal.signal(signal.SIGHUP, signal.default_int_handler)  # as the command line does
    try:
        with interruption() as interrupted:
            signal.raise_signal(signal.SIGHUP)
            assert interrupted.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruption() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_is_touched():
    seen = []

    def work():
        with interruption() as interrupted:
            seen.append((interrupted.is_set(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, signal.default_int_handler)]
