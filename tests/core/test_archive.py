import shutil
import stat
import zipfile
from collections import namedtuple

import pytest

from styletransfer.core.archive import unpack_pictures
from styletransfer.core.errors import InputError, OutputError

SUFFIXES = frozenset({".jpg", ".png"})


def make_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def files_below(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_only_pictures_come_out(tmp_path):
    archive = make_zip(
        tmp_path / "a.zip",
        [
            ("val/2.JPG", b"two"),
            ("val/1.png", b"one"),
            ("val/notes.txt", b"text"),
            ("run.sh", b"#!/bin/sh"),
            ("__MACOSX/val/._1.png", b"resource fork"),
            ("val/.hidden.png", b"hidden"),
        ],
    )
    result = unpack_pictures(archive, tmp_path / "out", SUFFIXES)
    assert files_below(tmp_path / "out") == ["val/1.png", "val/2.JPG"]
    assert (tmp_path / "out/val/2.JPG").read_bytes() == b"two"
    assert (result.written, result.present, result.damaged, result.refused) == (2, 0, [], [])


def test_nothing_leaves_the_folder(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    names = [
        "../slip.png",
        "a/../../slip2.png",
        "/abs.png",
        "..\\slip3.png",
        "C:\\win.png",
        link,
        "x" * 300 + ".png",
    ]
    archive = make_zip(tmp_path / "a.zip", [*((n, b"x") for n in names), ("good.png", b"x")])
    result = unpack_pictures(archive, tmp_path / "in" / "out", SUFFIXES)
    assert len(result.refused) == len(names)
    assert files_below(tmp_path) == ["a.zip", "in/out/good.png"]


def test_files_that_exist_are_kept(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("1.png", b"new"), ("2.png", b"new")])
    (tmp_path / "1.png").write_bytes(b"mine")
    result = unpack_pictures(archive, tmp_path, SUFFIXES)
    assert (result.written, result.present) == (1, 1)
    assert (tmp_path / "1.png").read_bytes() == b"mine"


def test_limit_takes_the_first_by_name(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [(f"{i}.png", b"x") for i in (3, 1, 2)])
    result = unpack_pictures(archive, tmp_path / "out", SUFFIXES, limit=2)
    assert files_below(tmp_path / "out") == ["1.png", "2.png"]
    assert result.beyond_limit == 1


def test_damaged_member_is_left_out_and_the_rest_goes_on(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("1.png", b"a" * 1000), ("2.png", b"b" * 1000)])
    data = bytearray(archive.read_bytes())
    data[data.index(b"a" * 1000) + 500] ^= 1
    archive.write_bytes(data)
    result = unpack_pictures(archive, tmp_path / "out", SUFFIXES)
    assert result.damaged == ["1.png"]
    assert files_below(tmp_path / "out") == ["2.png"]


def test_names_that_no_disk_takes_are_refused_and_the_rest_goes_on(tmp_path):
    deep = "/".join(["d" * 100] * 50) + "/deep.png"
    members = [("a.png", b"a"), ("a.png/b.png", b"b"), (deep, b"c"), ("e.png", b"e")]
    result = unpack_pictures(make_zip(tmp_path / "a.zip", members), tmp_path / "out", SUFFIXES)
    assert sorted(result.refused) == ["a.png/b.png", deep] and files_below(tmp_path / "out") == ["a.png", "e.png"]
    later = make_zip(tmp_path / "b.zip", [("a.png/c.png", b"c"), ("f.png", b"f")])
    result = unpack_pictures(later, tmp_path / "out", SUFFIXES)
    assert result.damaged == ["a.png/c.png"] and files_below(tmp_path / "out") == ["a.png", "e.png", "f.png"]


def test_size_bombs_are_not_written(tmp_path):
    bomb = bytes(130 * 1024**2)
    members = [("bomb.png", bomb), ("good.png", b"x")]
    archive = make_zip(tmp_path / "a.zip", members, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
    assert archive.stat().st_size < 1e6
    result = unpack_pictures(archive, tmp_path / "out", SUFFIXES)
    assert result.refused == ["bomb.png"]
    assert files_below(tmp_path / "out") == ["good.png"]


def test_disk_too_small(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    archive = make_zip(tmp_path / "a.zip", [("1.png", b"x" * 5000)])
    with pytest.raises(OutputError, match="free some space"):
        unpack_pictures(archive, tmp_path / "out", SUFFIXES)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>", b"PK\x03\x04 cut short"])
def test_no_zip(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="no zip archive, or a damaged one"):
        unpack_pictures(tmp_path / "a.zip", tmp_path / "out", SUFFIXES)


def test_zip_of_a_later_format(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("1.png", b"x")])
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 99
    archive.write_bytes(data)
    with pytest.raises(InputError, match="no zip archive, or a damaged one"):
        unpack_pictures(archive, tmp_path / "out", SUFFIXES)


def test_zip_without_pictures(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("notes.txt", b"x")])
    with pytest.raises(InputError, match="no picture"):
        unpack_pictures(archive, tmp_path / "out", SUFFIXES)


def test_encrypted_zip(tmp_path):
    archive = make_zip(tmp_path / "a.zip", [("1.png", b"x")])
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    archive.write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        unpack_pictures(archive, tmp_path / "out", SUFFIXES)
