import hashlib
import io
import zipfile

import pytest
from command import is_one_error_line, run
from loopback import Loopback
from PIL import Image


def picture(value):
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (value, 100, 200)).save(stream, "JPEG")
    return stream.getvalue()


def zip_of(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


ARCHIVE = zip_of({f"val/{i:03}.jpg": picture(i) for i in range(20)})
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLETRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with Loopback() as loopback:
        loopback.files["/photos.zip"] = ARCHIVE
        yield loopback


def photos(server, tmp_path, *options, path="/photos.zip"):
    return run("photos", "--out", tmp_path / "out", "--url", server.url(path), *options)


def test_downloads_unpacks_and_says_what_comes_next(server, tmp_path):
    done = photos(server, tmp_path, "--sha256", SHA256)
    assert done.status == 0, done.err
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 20
    assert Image.open(tmp_path / "out/val/007.jpg").size == (64, 48)
    assert f"styletransfer train PAINTING.jpg --photos {tmp_path / 'out'}" in done.out
    assert list((tmp_path / "cache").iterdir()) == []  # 816 MB would be a pity


def test_again_downloads_nothing(server, tmp_path):
    photos(server, tmp_path)
    server.seen.clear()
    done = photos(server, tmp_path)
    assert done.status == 0
    assert "20 photos are in" in done.out
    assert server.seen == []


def test_deleted_photos_come_back_and_others_stay(server, tmp_path):
    photos(server, tmp_path)
    (tmp_path / "out/val/003.jpg").unlink()
    (tmp_path / "out/val/004.jpg").write_bytes(b"mine")
    done = photos(server, tmp_path)
    assert "1 photos unpacked" in done.out
    assert (tmp_path / "out/val/003.jpg").read_bytes() == picture(3)
    assert (tmp_path / "out/val/004.jpg").read_bytes() == b"mine"


def test_limit_keeps_the_archive_for_the_rest(server, tmp_path):
    done = photos(server, tmp_path, "--limit", "5")
    assert done.status == 0
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 5
    server.seen.clear()
    done = photos(server, tmp_path)
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 20
    assert server.seen == []


def test_cut_connection_is_taken_up_again(server, tmp_path):
    server.cut_after = [5000, 0, 0, 0, 0]
    first = photos(server, tmp_path, "--sha256", SHA256)
    assert first.status == 1
    assert is_one_error_line(first.err)
    assert "5,000 bytes are kept, run the command again" in first.err
    assert not (tmp_path / "out").exists()
    server.cut_after, server.seen = [], []
    second = photos(server, tmp_path, "--sha256", SHA256)
    assert second.status == 0
    assert server.seen == ["bytes=5000-"]
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 20


def test_wrong_hash(server, tmp_path):
    done = photos(server, tmp_path, "--sha256", "0" * 64)
    assert done.status == 1
    assert is_one_error_line(done.err)
    assert SHA256 in done.err
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>sign in</html>", "no zip archive"),
        (ARCHIVE[:5000], "no zip archive, or a damaged one"),
        (zip_of({"notes.txt": b"x"}), "no picture"),
    ],
)
def test_bad_archive_is_one_line_and_is_not_kept(server, tmp_path, content, said):
    server.files["/photos.zip"] = content
    done = photos(server, tmp_path)
    assert done.status == 1
    assert is_one_error_line(done.err)
    assert said in done.err
    assert server.url("/photos.zip") in done.err
    assert list((tmp_path / "cache").iterdir()) == []


def test_damaged_picture_in_the_archive(server, tmp_path):
    damaged = bytearray(ARCHIVE)
    damaged[ARCHIVE.index(picture(7)) + 300] ^= 1
    server.files["/photos.zip"] = bytes(damaged)
    done = photos(server, tmp_path)
    assert done.status == 1
    assert "1 of 20 pictures in the archive are damaged" in done.err
    assert "val/007.jpg" in done.err
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 19
    server.files["/photos.zip"] = ARCHIVE
    assert photos(server, tmp_path).status == 0
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 20


def test_not_found(server, tmp_path):
    done = photos(server, tmp_path, path="/nothing.zip")
    assert done.status == 1
    assert is_one_error_line(done.err)
    assert "404" in done.err


def test_out_is_a_file(server, tmp_path):
    (tmp_path / "out").write_text("a file")
    done = photos(server, tmp_path)
    assert done.status == 1
    assert "is a file" in done.err
    assert (tmp_path / "out").read_text() == "a file"


def test_no_address(tmp_path):
    done = run("photos", "--out", tmp_path / "out", "--url", "http://[")
    assert done.status == 1
    assert "not a web address" in done.err
