import errno
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest
from loopback import Loopback

from styletransfer.core import download as module
from styletransfer.core.download import cache_dir, download
from styletransfer.core.errors import DownloadError, OutputError

BODY = bytes(range(256)) * 4000  # 1,024,000 bytes
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server():
    with Loopback() as loopback:
        loopback.files["/file.bin"] = BODY
        yield loopback


def fetch(server, target, path="/file.bin", **options):
    return download(server.url(path), target, first_wait_s=0.001, timeout_s=5, **options)


def leftovers(folder):
    return sorted(p.name for p in folder.iterdir())


def test_arrives_whole_with_progress(server, tmp_path):
    calls = []
    target = tmp_path / "new" / "file.bin"
    assert fetch(server, target, sha256=SHA256.upper(), on_progress=lambda *a: calls.append(a)) == target
    assert target.read_bytes() == BODY
    assert leftovers(target.parent) == ["file.bin"]
    assert calls[0] == (0, len(BODY))
    assert calls[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_goes_on_where_the_connection_was_cut(server, tmp_path):
    server.cut_after = [300_000, 200_000]
    fetch(server, tmp_path / "f", sha256=SHA256)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.seen == [None, "bytes=300000-", "bytes=500000-"]


def test_goes_on_in_a_later_call(server, tmp_path):
    server.cut_after = [300_000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match="300,000 bytes are kept, run the command again"):
        fetch(server, tmp_path / "f", sha256=SHA256)
    assert not (tmp_path / "f").exists()
    server.cut_after, server.seen = [], []
    fetch(server, tmp_path / "f", sha256=SHA256)
    assert server.seen == ["bytes=300000-"]
    assert (tmp_path / "f").read_bytes() == BODY
    assert leftovers(tmp_path) == ["f"]


def test_server_without_ranges_starts_afresh(server, tmp_path):
    server.ranges, server.cut_after = False, [300_000]
    fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY
    assert len(server.seen) == 2


def test_file_changed_on_the_server_meanwhile(server, tmp_path):
    server.cut_after = [300_000, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "f")
    changed = BODY[::-1]
    server.cut_after, server.etag, server.files["/file.bin"] = [], '"2"', changed
    fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == changed


def test_without_etag_or_hash_nothing_is_glued_together(server, tmp_path):
    server.etag, server.cut_after = "", [300_000]
    fetch(server, tmp_path / "f")
    assert server.seen == [None, None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_part_of_another_address_is_not_used(server, tmp_path):
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.part.json").write_text(json.dumps({"url": "http://elsewhere/", "validator": '"1"'}))
    fetch(server, tmp_path / "f")
    assert server.seen == [None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_part_that_was_complete_already(server, tmp_path):
    (tmp_path / "f.part").write_bytes(BODY)
    note = {"url": server.url("/file.bin"), "validator": '"1"'}
    (tmp_path / "f.part.json").write_text(json.dumps(note))
    fetch(server, tmp_path / "f", sha256=SHA256)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.seen == [f"bytes={len(BODY)}-"]


def test_cut_answer_without_length_is_noticed(server, tmp_path):
    server.chunked, server.cut_after = True, [300_000]
    fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_nothing_is_promised_of_a_server_that_cannot_go_on(server, tmp_path):
    server.etag, server.ranges, server.cut_after = "", False, [1000] * 50
    with pytest.raises(DownloadError, match="the server cannot continue a file; run the command again to begin anew"):
        fetch(server, tmp_path / "f")


def test_server_that_always_cuts_does_not_hold_us_for_ever(server, tmp_path):
    server.ranges, server.cut_after = False, [1000] * 50
    with pytest.raises(DownloadError, match="cut after 1,000 of 1,024,000 bytes"):
        fetch(server, tmp_path / "f")
    assert len(server.seen) <= 5


def test_wrong_hash_leaves_nothing_and_keeps_an_older_file(server, tmp_path):
    (tmp_path / "f").write_bytes(b"older")
    with pytest.raises(DownloadError, match=r"SHA-256 is .* what arrived was deleted"):
        fetch(server, tmp_path / "f", sha256="0" * 64)
    assert leftovers(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"older"


def test_beginning_of_the_hash_is_checked_too(server, tmp_path):
    fetch(server, tmp_path / "f", sha256_prefix=SHA256[:8].upper())
    with pytest.raises(DownloadError, match=r"00000000\.\.\. is expected"):
        fetch(server, tmp_path / "g", sha256_prefix="0" * 8)
    assert leftovers(tmp_path) == ["f"]


def test_wrong_size_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match="1,024,000 bytes, 5 are expected"):
        fetch(server, tmp_path / "f", expected_size=5)
    assert leftovers(tmp_path) == []


def test_not_found_is_not_tried_again(server, tmp_path):
    with pytest.raises(DownloadError, match=r"404, there is no such file; check the address"):
        fetch(server, tmp_path / "f", path="/nothing")
    assert len(server.seen) == 1
    assert leftovers(tmp_path) == []


def test_busy_server_is_tried_again(server, tmp_path):
    server.statuses = [503, 429]
    fetch(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_server_that_stays_broken(server, tmp_path):
    server.statuses = [500] * 20
    with pytest.raises(DownloadError, match="answered 500"):
        fetch(server, tmp_path / "f")


def test_nobody_listens(tmp_path):
    with Loopback() as gone:
        url = gone.url("/f")
    with pytest.raises(DownloadError, match=r"refused\); check the connection"):
        download(url, tmp_path / "f", first_wait_s=0.001)


def test_unknown_host_fails_at_once(tmp_path):
    with pytest.raises(DownloadError, match=r"no network, or no host named nowhere\.invalid"):
        download("http://nowhere.invalid/f", tmp_path / "f", first_wait_s=60)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "photos.zip",
        "ftp://host/f",
        "file:///etc/passwd",
        "http://",
        "http://[",
        "http://a:b/",
        "http://h/ä b",
        "http://a..b/photos.zip",
    ],
)
def test_no_web_address(url, tmp_path):
    with pytest.raises(DownloadError, match="not a web address"):
        download(url, tmp_path / "f", first_wait_s=60)


def test_hash_that_is_none(tmp_path):
    with pytest.raises(DownloadError, match="64 hex digits"):
        download("http://nowhere.invalid/f", tmp_path / "f", sha256="abc")


def test_good_file_is_not_fetched_again(server, tmp_path):
    (tmp_path / "f").write_bytes(BODY)
    fetch(server, tmp_path / "f", sha256=SHA256)
    fetch(server, tmp_path / "f", expected_size=len(BODY))
    fetch(server, tmp_path / "f")
    assert server.seen == []


def test_damaged_file_is_replaced(server, tmp_path):
    (tmp_path / "f").write_bytes(BODY[:-1] + b"!")
    fetch(server, tmp_path / "f", sha256=SHA256)
    assert (tmp_path / "f").read_bytes() == BODY


def test_folder_as_target(server, tmp_path):
    with pytest.raises(DownloadError, match="is a folder"):
        fetch(server, tmp_path)


def test_full_disk(server, tmp_path, monkeypatch):
    real_open = Path.open

    class Full:
        def __init__(self, stream):
            self._stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            self._stream.close()

        def write(self, block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open_on_full_disk(self, *arguments, **options):
        stream = real_open(self, *arguments, **options)
        return Full(stream) if self.suffix == ".part" else stream

    monkeypatch.setattr(module.Path, "open", open_on_full_disk)
    with pytest.raises(OutputError, match="the disk is full"):
        fetch(server, tmp_path / "f")
    assert not (tmp_path / "f").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="folders of Linux")
def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STYLETRANSFER_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir() == tmp_path / ".cache" / "styletransfer"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_dir() == tmp_path / ".cache" / "styletransfer"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache_dir() == Path("/var/cache/styletransfer")
    monkeypatch.setenv("STYLETRANSFER_CACHE", "~/elsewhere")
    assert cache_dir() == tmp_path / "elsewhere"
