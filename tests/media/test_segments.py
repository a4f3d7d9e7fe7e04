import random
import sqlite3
import subprocess
import sys
import textwrap
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from clips import look_at, make_clip

from styletransfer.core.errors import OutputError
from styletransfer.media import segments
from styletransfer.media.codecs import CODECS, EncoderSettings, has_encoder
from styletransfer.media.encode import VideoWriter
from styletransfer.media.encoder import decoding_times
from styletransfer.media.journal import Journal, Kept, key_of
from styletransfer.media.video import Mark, VideoReader

UNEVEN = [0, 1, 2, 3, 7, 8, 9, 30, 31, 32, 50, 51, 52, 53, 54, 55, 56, 57, 58, 99]


def cut(source, folder, target, settings=EncoderSettings(), length=7, first=0, mark=None):
    """Write a clip as segments, from frame ``first`` on; the segments, and the reader's marks."""
    made = []
    with VideoReader(source, mark_every=length) as reader:
        reader.skip_to(first, mark)
        writer = segments.SegmentWriter(
            folder, target, reader.format, settings, first_frame=first, segment_frames=length, finished=made.append
        )
        with writer:
            for frame in reader:
                writer.write(frame)
        return made, reader


def join(source, target, parts, format, settings=EncoderSettings()):
    with VideoWriter(target, format, settings, copy_from=source) as writer:
        segments.join(parts, writer)


@pytest.mark.parametrize("codec", list(CODECS))
@pytest.mark.parametrize("size", [(64, 48), (65, 47)])
def test_joined_segments_are_the_clip(tmp_path, codec, size):
    if not has_encoder(CODECS[codec].encoder):
        pytest.skip(f"this build of PyAV has no {CODECS[codec].encoder}")
    lossless = {"codec": "ffv1", "pix_fmt": "yuv444p"}
    source = make_clip(tmp_path / "in.mkv", size, Fraction(30), UNEVEN, Fraction(1, 30), **lossless)
    settings = EncoderSettings(codec)
    target = tmp_path / ("out.mov" if codec == "prores" else "out.mp4")
    parts, reader = cut(source, tmp_path / "parts", target, settings)
    assert [(part.first_frame, part.frames) for part in parts] == [(0, 7), (7, 7), (14, 6)]
    join(source, target, parts, reader.format, settings)
    before, after = look_at(source), look_at(target)
    assert after.times == before.times, "across the cuts too, and with an uneven rate"
    assert after.sound == before.sound
    for was, now in zip(before.pictures, after.pictures, strict=True):
        assert np.abs(was.astype(int) - now).mean() < 6


def test_segments_that_were_begun_anew_are_the_same(tmp_path):
    source = make_clip(tmp_path / "in.mp4", (96, 64), pts=range(60))
    whole, reader = cut(source, tmp_path / "a", tmp_path / "x.mp4", length=10)
    for first in (0, 10, 50):
        mark = reader.marks.get(first - 1)
        rest, _ = cut(source, tmp_path / f"b{first}", tmp_path / "x.mp4", length=10, first=first, mark=mark)
        assert [part.number for part in rest] == [part.number for part in whole[first // 10 :]]
        for was, now in zip(whole[first // 10 :], rest, strict=True):
            assert now.path.read_bytes() == was.path.read_bytes()


@pytest.mark.parametrize("index", [1, 7, 30, 59, 60])
@pytest.mark.parametrize("earlier", [0, 3, 20])
@pytest.mark.parametrize("key_frames", [5, 250])
def test_reading_can_begin_at_any_frame(tmp_path, index, earlier, key_frames):
    source = make_clip(
        tmp_path / "in.mp4",
        pts=range(60),
        setup=lambda stream: stream.codec_context.options.update({"bf": "3", "g": str(key_frames)}),
    )
    with VideoReader(source, mark_every=1) as reader:
        whole = list(reader)
    begin = max(0, index - earlier)
    with VideoReader(source) as again:
        again.skip_to(begin, reader.marks[index - 1])
        rest = list(again)
        assert again.warnings == []
    assert [frame.index for frame in rest] == list(range(begin, 60))
    for was, now in zip(whole[begin:], rest, strict=True):
        assert (now.pts_s, now.duration_s) == (was.pts_s, was.duration_s)
        assert np.array_equal(now.frame_hwc, was.frame_hwc)


def test_reading_begins_near_its_place_where_it_can(tmp_path, monkeypatch):
    source = make_clip(
        tmp_path / "in.mp4",
        pts=range(60),
        setup=lambda stream: stream.codec_context.options.update({"g": "10"}),
    )
    with VideoReader(source, mark_every=10) as reader:
        list(reader)
    decoded = []
    stamp = VideoReader._stamp
    monkeypatch.setattr(VideoReader, "_stamp", lambda self, frame: decoded.append(1) or stamp(self, frame))
    with VideoReader(source) as again:
        again.skip_to(50, reader.marks[49])
        list(again)
    assert len(decoded) < 30, "not all of the 50 frames before are decoded again"


@pytest.mark.parametrize("kind", ["interlaced", "avi", "damaged"])
def test_reading_begins_exactly_where_it_should_in_difficult_clips(tmp_path, kind):
    options = {"interlaced": {"x264-params": "tff=1"}}.get(kind, {"bf": "3"})
    suffix = ".avi" if kind == "avi" else ".mkv"
    source = make_clip(
        tmp_path / f"in{suffix}",
        rate=Fraction(25),
        pts=range(60),
        sound=(),
        setup=lambda stream: stream.codec_context.options.update({**options, "g": "10"}),
    )
    if kind == "damaged":
        data = bytearray(source.read_bytes())
        for place in range(len(data) // 2, len(data) * 3 // 4, 200):
            data[place] ^= 0xFF
        source.write_bytes(data)
    with VideoReader(source, mark_every=1) as reader:
        whole = list(reader)
    assert len(whole) > 8
    for index in (len(whole) // 2, len(whole) - 3):
        with VideoReader(source) as again:
            again.skip_to(index, reader.marks[index - 1])
            rest = list(again)
            assert again.warnings == reader.warnings
        assert [frame.pts_s for frame in rest] == [frame.pts_s for frame in whole[index:]]
        assert all(np.array_equal(a.frame_hwc, b.frame_hwc) for a, b in zip(whole[index:], rest, strict=True))


def test_a_clip_that_changed_is_read_from_its_beginning(tmp_path):
    source = make_clip(tmp_path / "in.mp4", pts=range(60))
    with VideoReader(source, mark_every=10) as reader:
        list(reader)
    other = make_clip(tmp_path / "other.mp4", size=(32, 32), pts=range(60))
    with VideoReader(other) as again:
        again.skip_to(50, reader.marks[49])
        assert [frame.index for frame in again] == list(range(50, 60))


@pytest.mark.parametrize("spoil", ["cut", "bit", "gone", "empty", "longer"])
def test_a_spoiled_segment_is_noticed(tmp_path, spoil):
    source = make_clip(tmp_path / "in.mp4", pts=range(20))
    (part, _, _), _ = cut(source, tmp_path / "parts", tmp_path / "x.mp4")
    segments.check(part)
    data = bytearray(part.path.read_bytes())
    if spoil == "cut":
        part.path.write_bytes(data[:-9])
    elif spoil == "bit":
        for place in random.Random(0).sample(range(len(data)), 40):
            changed = bytearray(data)
            changed[place] ^= 4
            part.path.write_bytes(changed)
            with pytest.raises(segments.DamagedSegmentError):
                segments.check(part)
    elif spoil == "gone":
        part.path.unlink()
    elif spoil == "empty":
        part.path.write_bytes(b"")
    else:
        part = segments.Segment(0, 0, 8, part.path)
    with pytest.raises(segments.DamagedSegmentError):
        segments.check(part)


def test_a_segment_of_another_encoder_is_not_joined(tmp_path):
    source = make_clip(tmp_path / "in.mp4", pts=range(20))
    parts, reader = cut(source, tmp_path / "parts", tmp_path / "x.mp4", EncoderSettings(preset="slow"))
    with pytest.raises(segments.DamagedSegmentError, match="another version"):
        join(source, tmp_path / "x.mp4", parts, reader.format)
    assert not (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize(
    "pts",
    [[0, 4, 2, 1, 3, 8, 6, 5, 7], [0, 1, 2, 3], [5], [0, 100, 50, 25, 75, 101, 500, 300], [0, 2, 1, 3000, 5000, 4000]],
)
def test_decoding_times_grow_and_never_come_late(pts):
    dts = decoding_times(pts)
    assert all(a < b for a, b in pairwise(dts))
    assert all(decoded <= shown for decoded, shown in zip(dts, pts, strict=True))


def test_no_half_segment_stays(tmp_path):
    source = make_clip(tmp_path / "in.mp4", pts=range(20))
    with VideoReader(source) as reader, pytest.raises(KeyboardInterrupt):
        writer = segments.SegmentWriter(
            tmp_path / "parts", tmp_path / "x.mp4", reader.format, EncoderSettings(), segment_frames=7
        )
        with writer:
            for frame in reader:
                writer.write(frame)
                if frame.index == 10:
                    raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["000000.segment"]


def entry_of(journal, tmp_path, **settings):
    source = tmp_path / "in.mp4"
    if not source.exists():
        source.write_bytes(b"a clip")
    return journal.entry(tmp_path / "out" / "x.mp4", key_of(source, settings), source, "tiny")


def part_of(journal, entry, number):
    path = segments.segment_path(journal.segment_folder(entry.key), number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"packets")
    return segments.Segment(number, number * 7, 7, path)


def test_the_journal_remembers_segments_of_the_same_settings_only(tmp_path):
    with Journal(tmp_path / "out") as journal:
        entry = entry_of(journal, tmp_path, strength=1.0)
        for number in (0, 1):
            journal.add_segment(entry, Kept(part_of(journal, entry, number), None))
    with Journal(tmp_path / "out") as journal:
        again = entry_of(journal, tmp_path, strength=1.0)
        assert (again.key, again.status) == (entry.key, "open")
        assert [kept.segment.number for kept in journal.segments(entry.key)] == [0, 1]
        other = entry_of(journal, tmp_path, strength=0.5)
        assert other.key != entry.key
        assert journal.segments(other.key) == []
    assert not journal.segment_folder(entry.key).exists(), "nobody will ask for them again"


def test_a_clip_with_new_content_is_another_clip(tmp_path):
    with Journal(tmp_path / "out") as journal:
        before = entry_of(journal, tmp_path).key
        (tmp_path / "in.mp4").write_bytes(b"another clip")
        assert entry_of(journal, tmp_path).key != before


def test_a_result_that_is_gone_or_cut_off_is_made_again(tmp_path):
    with Journal(tmp_path / "out") as journal:
        entry = entry_of(journal, tmp_path)
        entry.target.write_bytes(b"the result")
        journal.done(entry, 20, ["a warning"])
        assert entry_of(journal, tmp_path).status == "done"
        entry.target.write_bytes(b"")
        assert entry_of(journal, tmp_path).status == "open"
        entry.target.write_bytes(b"the result")
        journal.done(entry, 20, [])
        entry.target.unlink()
        assert entry_of(journal, tmp_path).status == "open"


def test_two_runs_cannot_share_a_journal_and_a_dead_one_leaves_no_lock(tmp_path):
    code = f"""
        import sys, time
        sys.path.insert(0, {str(sys.path[0])!r})
        from pathlib import Path
        from styletransfer.media.journal import Journal
        journal = Journal(Path({str(tmp_path / "out")!r}))
        print("ready", flush=True)
        time.sleep(60)
    """
    run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    try:
        assert run.stdout.readline() == "ready\n"
        with pytest.raises(OutputError, match="another run is at work there"):
            Journal(tmp_path / "out")
    finally:
        run.kill()
        run.communicate()
    with Journal(tmp_path / "out") as journal:
        assert entry_of(journal, tmp_path).status == "open"


@pytest.mark.parametrize("name", ["journal.sqlite", "lock.sqlite"])
def test_a_damaged_journal_is_set_aside(tmp_path, name):
    with Journal(tmp_path / "out") as journal:
        entry_of(journal, tmp_path)
    (journal.folder / name).write_bytes(b"not a database" * 1000)
    with Journal(tmp_path / "out") as journal:
        assert entry_of(journal, tmp_path).status == "open"
        assert len(journal.notes) == (name == "journal.sqlite")


def test_a_change_that_fails_does_not_stop_the_ones_after_it(tmp_path):
    with Journal(tmp_path / "out") as journal:
        entry = entry_of(journal, tmp_path)
        journal._base.execute("pragma busy_timeout = 10")
        reader = sqlite3.connect(journal.folder / "journal.sqlite", isolation_level=None)
        reader.execute("begin")
        reader.execute("select * from result").fetchall()
        with pytest.raises(OutputError, match="locked"):
            journal.stylized(entry, 20, [])
        reader.close()
        journal.stylized(entry, 20, [])
        assert entry_of(journal, tmp_path).status == "stylized"


def test_a_full_disk_is_called_that(tmp_path):
    with Journal(tmp_path / "out") as journal:
        entry = entry_of(journal, tmp_path)
        pages = journal._base.execute("pragma page_count").fetchone()[0]
        journal._base.execute(f"pragma max_page_count = {pages}")
        with pytest.raises(OutputError, match="the disk is full"):
            journal.stylized(entry, 20, ["x" * 100_000])


def test_a_journal_of_another_version_is_replaced(tmp_path):
    with Journal(tmp_path / "out") as journal:
        entry_of(journal, tmp_path)
    base = sqlite3.connect(journal.folder / "journal.sqlite")
    base.executescript("drop table segment; pragma user_version = 77;")
    base.close()
    with Journal(tmp_path / "out") as journal:
        assert journal.segments(entry_of(journal, tmp_path).key) == []


def test_segments_that_were_made_out_of_order_count_from_where_they_fit_together(tmp_path):
    def mark(frame, checksum):
        return Mark(frame, Fraction(frame, 25), checksum, True)

    with Journal(tmp_path / "out") as journal:
        entry = entry_of(journal, tmp_path)

        def add(number, last, found):
            journal.add_segment(entry, Kept(part_of(journal, entry, number), last, found))

        add(2, mark(20, 222), mark(13, 111))
        assert journal.segments(entry.key) == []
        add(0, mark(6, 0), None)
        add(1, mark(13, 999), mark(6, 0))
        assert [kept.segment.number for kept in journal.segments(entry.key)] == [0, 1], "2 follows another picture"
        add(1, mark(13, 111), mark(6, 0))
        assert [kept.segment.number for kept in journal.segments(entry.key)] == [0, 1, 2]
        assert journal.all_segments(entry.key)[2] == Kept(part_of(journal, entry, 2), mark(20, 222), mark(13, 111))


def test_a_journal_for_one_clip_goes_when_the_clip_is_done(tmp_path):
    with Journal(tmp_path / "out", is_kept=False) as journal:
        entry = entry_of(journal, tmp_path)
        journal.add_segment(entry, Kept(part_of(journal, entry, 0), None))
    assert journal.segment_folder(entry.key).exists(), "work is under way"
    with Journal(tmp_path / "out", is_kept=False) as journal:
        entry = entry_of(journal, tmp_path)
        entry.target.write_bytes(b"the result")
        journal.done(entry, 20, [])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.mp4"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        Journal(tmp_path / "file")
