"""Downloads that resume, are checked, and appear complete or not at all."""

# Longer than 300 lines: resuming has many ways to go wrong, and they are clearer side by side.

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from styletransfer.core.errors import DownloadError
from styletransfer.core.files import explain_os_error

CACHE_VARIABLE = "STYLETRANSFER_CACHE"
ATTEMPTS = 4
TIMEOUT_S = 30.0
FIRST_WAIT_S = 1.0
_BLOCK = 1 << 18
_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_WHAT_STATUS_MEANS = {
    401: "it wants a login",
    403: "access is denied",
    404: "there is no such file",
    410: "the file is gone",
}

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes there are and of all bytes (``None`` where the server does not say)."""


def cache_dir() -> Path:
    """Folder for downloaded files; it may not exist yet.

    ``STYLETRANSFER_CACHE`` if set, else ``styletransfer`` in the platform's cache folder:
    ``$XDG_CACHE_HOME`` or ``~/.cache`` (Linux), ``~/Library/Caches`` (macOS), ``%LOCALAPPDATA%``
    (Windows).
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(base) / "styletransfer" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "styletransfer"
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is invalid and to be ignored.
    base = Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".cache"
    return Path(base) / "styletransfer"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as lower-case hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    sha256_prefix: str | None = None,
    expected_size: int | None = None,
    on_progress: Progress | None = None,
    timeout_s: float = TIMEOUT_S,
    first_wait_s: float = FIRST_WAIT_S,
) -> Path:
    """Download ``url`` to ``target``, going on where an earlier attempt stopped.

    The bytes collect in ``<target>.part`` (with their origin in ``<target>.part.json``) and become
    ``target`` only when all have arrived and the hash is right. A cut connection is taken up again
    by an HTTP ``Range`` request, now or in a later call, provided that the server still has the same
    file (``If-Range``); a server without ranges starts afresh. A ``target`` that is there already is
    kept if its hash (without one its size, without that its existence) agrees, else replaced.

    Args:
        url: ``http`` or ``https`` address.
        target: the final name; missing folders are created.
        sha256: expected hash, 64 hex digits.
        sha256_prefix: its beginning, where no more is published (8 hex digits in torch's file names).
        expected_size: expected number of bytes.
        on_progress: called now and then with (bytes so far, bytes in all or ``None``).
        timeout_s: seconds without an answer or a byte before an attempt counts as failed.
        first_wait_s: seconds before the second attempt, doubled each time, up to ``ATTEMPTS`` in a
            row without a new byte.

    Returns:
        ``target``.

    Raises:
        DownloadError: no network, no such file, wrong size or hash (the wrong bytes are deleted).
        OutputError: the disk is full or the folder not writable.
    """
    _check_arguments(url, sha256)
    target = Path(target)
    wanted = (sha256 or sha256_prefix or "").lower()
    transfer = _Transfer(url, target, wanted, expected_size, on_progress, timeout_s)
    try:
        if target.is_dir():
            raise DownloadError(f"{target} is a folder; name a file to download to")
        if target.exists() and _agrees(transfer):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        _with_retries(transfer, first_wait_s)
        _check_arrived(transfer)
        transfer.part.replace(target)
        transfer.origin.unlink(missing_ok=True)
    except OSError as error:
        # Errors of the network became DownloadError further down: this one is of the disk.
        raise explain_os_error(error, target) from error
    return target


@dataclass(frozen=True)
class _Transfer:
    url: str
    target: Path
    sha256: str  # the expected hash or its beginning, in lower case; empty: any
    expected_size: int | None
    on_progress: Progress | None
    timeout_s: float

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def origin(self) -> Path:
        return self.target.with_name(self.target.name + ".part.json")

    def here(self) -> int:
        """Bytes already in the part file."""
        return self.part.stat().st_size if self.part.exists() else 0

    def discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.origin.unlink(missing_ok=True)


class _TryAgainError(Exception):
    """An attempt failed in a way that may pass; the argument says how."""


def _check_arguments(url: str, sha256: str | None) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii()
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        usable = False
    if not usable:
        raise DownloadError(
            f"{url}: not a web address; give one that begins with https:// or http:// (percent-encoded)"
        )
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise DownloadError(f"the SHA-256 {sha256!r} is not 64 hex digits; copy it again")


def _agrees(transfer: _Transfer) -> bool:
    """Whether the file under the final name is the one that is wanted."""
    if transfer.sha256:
        return file_sha256(transfer.target).startswith(transfer.sha256)
    return transfer.expected_size in (None, transfer.target.stat().st_size)


def _with_retries(transfer: _Transfer, first_wait_s: float) -> None:
    failures, furthest = 0, transfer.here()
    while True:
        try:
            _attempt(transfer)
            return
        except _TryAgainError as reason:
            # New bytes are progress: only attempts in a row that got no further count.
            failures = 1 if transfer.here() > furthest else failures + 1
            furthest = max(furthest, transfer.here())
            if failures >= ATTEMPTS:
                kept = transfer.here()
                if kept and (transfer.sha256 or _validator(transfer)):
                    advice = f"{kept:,} bytes are kept, run the command again to go on"
                elif kept:
                    advice = "the server cannot continue a file; run the command again to begin anew"
                else:
                    advice = "check the connection and the address, then run the command again"
                raise DownloadError(f"{transfer.url}: {reason}; {advice}") from reason
            time.sleep(first_wait_s * 2 ** (failures - 1))


def _attempt(transfer: _Transfer) -> None:
    """One request; returns when every byte is in the part file."""
    validator = _validator(transfer)
    start = transfer.here()
    if not validator and not transfer.sha256:
        start = 0  # nothing would tell that the server has another file by now
    headers = {"User-Agent": "styletransfer", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    request = urllib.request.Request(transfer.url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=transfer.timeout_s)
    except urllib.error.HTTPError as error:
        _explain_status(transfer, error, start)
        return
    except urllib.error.URLError as error:
        raise _network_error(transfer, error.reason, start) from error
    except (http.client.InvalidURL, ValueError) as error:  # also of a redirect; UnicodeError is a ValueError
        raise DownloadError(f"{transfer.url}: not a web address ({error})") from error
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _TryAgainError(f"the connection failed ({_words(error)})") from error
    with contextlib.closing(response):
        _receive(transfer, response, start)


def _validator(transfer: _Transfer) -> str:
    """ETag or date of the part file's bytes, or nothing; drops a part file of another address."""
    try:
        origin = json.loads(transfer.origin.read_text(encoding="utf-8"))
        if origin["url"] == transfer.url:
            return str(origin["validator"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    transfer.discard()
    return ""


def _explain_status(transfer: _Transfer, error: urllib.error.HTTPError, start: int) -> None:
    with contextlib.closing(error):
        if error.code == 416 and start:
            if error.headers.get("Content-Range") == f"bytes */{start}":
                return  # every byte is here: an earlier run was killed just before the renaming
            transfer.discard()
            raise _TryAgainError("the file on the server has changed") from error
        if error.code in _RETRIED_STATUS:
            raise _TryAgainError(f"the server answered {error.code} ({error.reason})") from error
        meaning = _WHAT_STATUS_MEANS.get(error.code, str(error.reason).lower())
        raise DownloadError(
            f"{transfer.url}: the server answered {error.code}, {meaning}; check the address"
        ) from error


def _network_error(transfer: _Transfer, reason: Any, start: int) -> Exception:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError(
            f"{transfer.url}: the server's certificate is not trusted ({reason.verify_message}); "
            "check the clock and the certificates of this machine"
        )
    if isinstance(reason, socket.gaierror):
        unknown = f"no network, or no host named {urlsplit(transfer.url).hostname}"
        if not start:  # nobody wants to wait for several attempts at a misspelt address
            return DownloadError(f"{transfer.url}: {unknown}; check the connection and the address")
        return _TryAgainError(unknown)
    return _TryAgainError(f"the connection failed ({_words(reason)})")


def _words(reason: Any) -> str:
    if isinstance(reason, TimeoutError):
        return "timed out"
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__).lower()


def _receive(transfer: _Transfer, response: Any, start: int) -> None:
    total: int | None
    if response.status == 206:
        first, total = _content_range(response.headers.get("Content-Range", ""))
        if first != start:
            transfer.discard()
            raise _TryAgainError("the server sent another part of the file than was asked for")
    else:  # the whole file: the server knows no ranges, or has another file now
        start, total = 0, _number(response.headers.get("Content-Length", ""))
        tag = response.headers.get("ETag", "W/")  # weak tags are of no use to If-Range
        validator = response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag
        transfer.part.unlink(missing_ok=True)
        note = json.dumps({"url": transfer.url, "validator": validator})
        transfer.origin.write_text(note, encoding="utf-8")
    if total is not None and transfer.expected_size not in (None, total):
        transfer.discard()
        raise DownloadError(
            f"{transfer.url}: the server has {total:,} bytes, {transfer.expected_size:,} are expected; "
            "the file there has changed, or the address is another one"
        )
    done = start
    with transfer.part.open("ab") as stream:
        while True:
            if transfer.on_progress is not None:
                transfer.on_progress(done, total if total is not None else transfer.expected_size)
            block = _read(response)
            if not block:
                break
            done += stream.write(block)
    if total is not None and done < total:
        raise _TryAgainError(f"the connection was cut after {done:,} of {total:,} bytes")
    if transfer.here() != done:
        transfer.discard()
        raise DownloadError(f"{transfer.part}: another program writes to it; wait for it, then run again")


def _read(response: Any) -> bytes:
    try:
        block: bytes = response.read1(_BLOCK)  # what has arrived: a cut connection loses nothing
        return block
    except (http.client.HTTPException, OSError) as error:
        raise _TryAgainError(f"the connection was cut ({_words(error)})") from error


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _content_range(text: str) -> tuple[int | None, int | None]:
    """(first byte, bytes in all) of ``bytes 100-199/1000``; ``None`` for what is not said."""
    span, _, total = text.removeprefix("bytes ").partition("/")
    return _number(span.partition("-")[0]), _number(total)


def _check_arrived(transfer: _Transfer) -> None:
    size = transfer.here()
    if transfer.expected_size not in (None, size):
        transfer.discard()
        raise DownloadError(
            f"{transfer.url}: {size:,} bytes arrived, {transfer.expected_size:,} are expected; "
            "they were deleted, run the command again"
        )
    if transfer.sha256 and not (found := file_sha256(transfer.part)).startswith(transfer.sha256):
        transfer.discard()
        expected = f"{transfer.sha256}{'' if len(transfer.sha256) == 64 else '...'}"
        raise DownloadError(
            f"{transfer.url}: the SHA-256 is {found}, {expected} is expected; what arrived was deleted, "
            "run the command again, or check the address and the hash"
        )
