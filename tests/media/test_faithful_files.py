"""What a clip is besides its frames: times, tags, tracks, depth, fields; kept, or its loss is told."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from clips import look_at, make_clip, picture
from PIL import Image

from styletransfer.media import hdr
from styletransfer.media.codecs import EncoderSettings
from styletransfer.media.encode import VideoWriter
from styletransfer.media.video import VideoReader

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "clips"
REAL = [
    "bigbuckbunny_720p_audio51",
    "cockatoo_720p_audio",
    "davis_blackswan_480p",
    "davis_car-roundabout_480p",
    "davis_drift-chicane_480p",
    "davis_parkour_480p",
    "intel_car_detection_432p_audio",
    "pexels-antoni-shkraba-8048492-540x960-25fps",
]


def copy(source, target, longer_side=None):
    """Read a clip and write it again, untouched; the reader's warnings and the writer's notes."""
    with VideoReader(source, longer_side) as reader:
        settings = EncoderSettings(preset="ultrafast")
        with VideoWriter(target, reader.format, settings, copy_from=source) as writer:
            for frame in reader:
                writer.write(frame)
        return reader.warnings + writer.notes


def timing(path):
    """Frame times and durations, and the durations that the file announces for its streams and itself, in seconds."""
    with av.open(str(path)) as clip:
        streams = [stream.duration * stream.time_base for stream in clip.streams]
        frames = [(frame.pts * frame.time_base, frame.duration * frame.time_base) for frame in clip.decode(video=0)]
        return frames, streams, clip.duration


@pytest.mark.parametrize("name", REAL)
def test_real_clips_keep_every_time_stamp_their_length_and_every_byte_of_sound(tmp_path, name):
    source, target = CLIPS / f"{name}.mp4", tmp_path / "out.mp4"
    if not source.exists():
        pytest.skip("the real clips are not here")
    copy(source, target, longer_side=64)
    (frames, streams, length), (frames_after, streams_after, length_after) = timing(source), timing(target)
    assert frames_after == frames
    assert streams_after == streams
    # Some of the clips give their whole length in milliseconds, rounded up; ours in ticks.
    assert abs(length_after - length) <= 1000
    before, after = look_at(source), look_at(target)
    assert after.rate == before.rate
    assert after.sound == before.sound


def test_all_colour_tags_are_kept(tmp_path):
    def tag(stream):
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = 1, 1, 13, 9

    source = make_clip(tmp_path / "in.mp4", setup=tag, sound=())
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as clip:
        context = clip.streams.video[0].codec_context
        tags = (context.colorspace, context.color_range, context.color_trc, context.color_primaries)
    assert tuple(map(int, tags)) == (1, 1, 13, 9)


def test_the_picture_s_own_metadata_is_kept(tmp_path):
    def describe(stream):
        stream.metadata.update({"language": "fra", "title": "Camera 2", "DURATION": "99:00:00", "BPS": "123"})

    source = make_clip(tmp_path / "in.mkv", setup=describe, rate=Fraction(25), sound=())
    copy(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as clip:
        found = clip.streams.video[0].metadata
    assert (found["language"], found["title"]) == ("fra", "Camera 2")
    assert "BPS" not in found and not found.get("DURATION", "").startswith("99"), "those were the old picture's"


def with_extras(path, plain):
    """A clip with its sound twice, the second time in another language; a cover (MP4) or a font (MKV) before all."""
    drawn = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(drawn, "JPEG")
    with av.open(str(plain)) as clip, av.open(str(path), "w") as out:
        if path.suffix == ".mp4":
            cover = out.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
            cover.disposition = Disposition.attached_pic
        else:
            out.add_attachment("font.ttf", "application/x-truetype-font", b"a font" * 100)
        shown = out.add_stream_from_template(clip.streams.video[0])
        sounds = [out.add_stream_from_template(clip.streams.audio[0]) for _ in range(2)]
        sounds[1].metadata["language"] = "deu"
        if path.suffix == ".mp4":
            packet = av.Packet(drawn.getvalue())
            packet.pts = packet.dts = 0
            packet.time_base, packet.is_keyframe, packet.stream = Fraction(1, 25), True, cover
            out.mux(packet)
        for packet in clip.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video":
                packet.stream = shown
                out.mux(packet)
                continue
            for sound in sounds:
                copied = av.Packet(bytes(packet))
                copied.pts, copied.dts, copied.time_base = packet.pts, packet.dts, packet.time_base
                copied.duration, copied.stream = packet.duration, sound
                out.mux(copied)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_every_sound_track_the_cover_and_fonts_are_kept(tmp_path, suffix):
    source = with_extras(tmp_path / f"in{suffix}", make_clip(tmp_path / "plain.mp4", rate=Fraction(25)))
    assert copy(source, tmp_path / f"out{suffix}") == []
    before, after = look_at(source), look_at(tmp_path / f"out{suffix}")
    assert after.size == (64, 48) and after.times == before.times, "the cover is not taken for the clip"
    assert len(after.sound) == 2
    assert [[data for _, data in track] for track in after.sound] == [
        [data for _, data in track] for track in before.sound
    ]
    with av.open(str(tmp_path / f"out{suffix}")) as clip:
        assert clip.streams.audio[1].metadata["language"] == "deu"
        if suffix == ".mp4":
            (cover,) = (s for s in clip.streams.video if Disposition.attached_pic & s.disposition)
            assert (cover.width, cover.height) == (32, 32)
        else:
            (font,) = (stream for stream in clip.streams if stream.type == "attachment")
            assert (font.name, bytes(font.data)) == ("font.ttf", b"a font" * 100)


def test_a_second_picture_stays_behind_with_a_word(tmp_path):
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("mpeg4", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height = 64, 48
        for index in range(5):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(picture(index, 64, 48), "rgb24")
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    (note,) = copy(path, tmp_path / "out.mkv")
    assert "more than one moving picture" in note
    assert len(look_at(tmp_path / "out.mkv").times) == 5


def ten_bit_clip(path, make_codes, tags=(1, 1, 1), width=128, height=64):
    """A lossless 10-bit clip whose luma is ``make_codes(x)`` (limited range), without colour."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_trc, context.color_primaries = tags
        context.color_range = 1
        for _ in range(3):
            frame = av.VideoFrame(width, height, "yuv420p10le")
            codes = np.broadcast_to(make_codes(np.arange(width)), (height, width)).astype("<u2")
            grey = np.full((height // 2, width // 2), 512, "<u2")
            for plane, values in zip(frame.planes, (codes, grey, grey), strict=True):
                rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
                rows[:, : plane.width] = values
                plane.update(rows.tobytes())
            frame.color_range, frame.colorspace = 1, tags[0]
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def first_row(path):
    with VideoReader(path) as reader:
        frames = list(reader)
        return frames[1].frame_hwc[10].astype(int), reader


def test_ten_bits_become_eight_and_that_is_told(tmp_path):
    source = ten_bit_clip(tmp_path / "in.mkv", lambda x: 64 + x * 876 // 127)
    row, reader = first_row(source)
    assert np.abs(row - (np.arange(128) * 255 / 127)[:, None]).max() <= 1.5, "each grey at its place"
    assert len(reader.warnings) == 1 and "10 bits" in reader.warnings[0]
    copy(source, tmp_path / "out.mp4")
    assert look_at(tmp_path / "out.mp4").pix_fmt == "yuv420p"


@pytest.mark.parametrize(("transfer", "name"), [(hdr.PQ, "PQ"), (hdr.HLG, "HLG")])
def test_hdr_is_tone_mapped_and_tagged_as_what_it_is_then(tmp_path, transfer, name):
    source = ten_bit_clip(tmp_path / "in.mkv", lambda x: 64 + x * 876 // 127, (9, transfer, 9))
    row, reader = first_row(source)
    assert len(reader.warnings) == 1 and f"HDR ({name})" in reader.warnings[0]
    assert np.ptp(row, axis=-1).max() <= 2, "grey stays grey"
    grey = row.mean(-1)
    assert grey[0] <= 1 and grey[-1] >= 253
    assert (np.diff(grey) >= -1).all()
    # HDR's reference white: 203 cd/m², 58 % of PQ's and 75 % of HLG's signal (BT.2408).
    white = grey[round(127 * (0.58 if transfer == hdr.PQ else 0.75))]
    assert 205 < white < 245, "bright, with room for the highlights above it"
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as clip:
        context = clip.streams.video[0].codec_context
        tags = (context.colorspace, context.color_trc, context.color_primaries)
    assert tuple(map(int, tags)) == (1, 1, 1)


def test_the_pq_curve_is_that_of_the_standard():
    assert hdr.nits_to_pq(np.array([100.0, 1000.0, 10_000.0])) == pytest.approx([0.5081, 0.7518, 1.0], abs=1e-4)
    nits = np.array([0.1, 5.0, 203.0, 4000.0])
    assert hdr.pq_to_nits(hdr.nits_to_pq(nits)) == pytest.approx(nits, rel=1e-6)


def interlaced_clip(path, count=12):
    """A bar that moves between the two half pictures of every frame."""

    def set_fields(stream):
        stream.codec_context.options = {"x264-params": "tff=1", "crf": "10"}

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        set_fields(stream)
        for index in range(count):
            frame_hwc = np.zeros((64, 128, 3), np.uint8)
            frame_hwc[0::2, 8 * index : 8 * index + 16] = 255
            frame_hwc[1::2, 8 * index + 8 : 8 * index + 24] = 255
            frame = av.VideoFrame.from_ndarray(frame_hwc, "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def combing(frame_hwc):
    """How much neighbouring rows differ, beyond rows of one field."""
    rows = frame_hwc.astype(int).mean(-1)
    return np.abs(rows[1:] - rows[:-1]).mean() / (1 + np.abs(rows[2:] - rows[:-2]).mean())


def test_interlaced_clips_become_whole_pictures_with_a_word(tmp_path):
    source = interlaced_clip(tmp_path / "in.mp4")
    before = look_at(source)
    warnings = copy(source, tmp_path / "out.mp4")
    assert len(warnings) == 1 and "interlaced" in warnings[0]
    after = look_at(tmp_path / "out.mp4")
    assert after.times == before.times
    assert combing(after.pictures[5]) < 0.3 * combing(before.pictures[5])


def test_a_cut_off_mp4_gives_what_is_there_and_says_so(tmp_path):
    def front(stream):
        stream.codec_context.options = {"bf": "0"}

    with av.open(str(tmp_path / "in.mp4"), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height = 128, 96
        front(stream)
        for index in range(100):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index, 128, 96), "rgb24")))
        out.mux(stream.encode(None))
    data = (tmp_path / "in.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    warnings = copy(tmp_path / "cut.mp4", tmp_path / "out.mp4")
    kept = len(look_at(tmp_path / "out.mp4").times)
    assert 20 < kept < 90
    assert len(warnings) == 1 and f"the {kept} readable frames were kept" in warnings[0]


def test_a_stream_without_a_clock_gets_one(tmp_path):
    whole = make_clip(tmp_path / "in.mp4", rate=Fraction(25), sound=())
    with av.open(str(whole)) as clip, av.open(str(tmp_path / "raw.h264"), "w", format="h264") as out:
        stream = out.add_stream_from_template(clip.streams.video[0])
        for packet in clip.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    (warning,) = copy(tmp_path / "raw.h264", tmp_path / "out.mp4")
    assert "without usable time stamp (11)" in warning
    times = look_at(tmp_path / "out.mp4").times
    assert [time - times[0] for time in times] == [Fraction(index, 25) for index in range(12)]
