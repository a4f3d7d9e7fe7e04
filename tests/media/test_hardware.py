"""Decoding and encoding on a device: tried first; the processor takes over, or one line says that it cannot be."""

import av
import pytest
from clips import look_at, make_clip

from styletransfer.core.errors import InputError, ProviderError
from styletransfer.media import hardware
from styletransfer.media.codecs import CODECS, EncoderSettings, encoder_options
from styletransfer.media.encode import VideoWriter
from styletransfer.media.video import VideoReader


@pytest.fixture(autouse=True)
def no_device(monkeypatch):
    """A build of PyAV that knows CUDA, on a machine where nothing answers."""
    monkeypatch.setattr(hardware, "devices", lambda: ["cuda"])
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["cuda"])
    hardware._works.cache_clear()


def test_without_a_device_auto_means_the_processor(tmp_path):
    clip = make_clip(tmp_path / "in.mp4")
    if hardware.decoder_for(clip, "cuda" if has_cuda() else "auto"):
        pytest.skip("a device answers here")
    assert hardware.decoder_for(clip, "") == ""
    assert hardware.encoder_for("h264", CODECS["h264"], "auto", (64, 48)) == CODECS["h264"]
    assert hardware.encoder_for("h264", CODECS["h264"], "", (64, 48)) == CODECS["h264"]


def has_cuda():
    return hardware._works("h264_nvenc", (256, 256))


def test_a_device_that_was_asked_for_and_is_not_there_is_an_error(tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "in.mp4")
    real = av.open

    def nothing_answers(*args, hwaccel=None, **options):
        if hwaccel is not None:
            raise av.error.PermissionError(1, "Operation not permitted")
        return real(*args, **options)

    monkeypatch.setattr(av, "open", nothing_answers)
    with pytest.raises(ProviderError, match="cuda cannot decode it on this machine; leave --hwaccel out"):
        hardware.decoder_for(clip, "cuda")
    assert hardware.decoder_for(clip, "auto") == ""
    (tmp_path / "words.mp4").write_text("no clip")
    with pytest.raises(InputError, match="no video"):
        hardware.decoder_for(tmp_path / "words.mp4", "cuda")


def test_an_unknown_device_is_named_with_those_that_are_known(cli, tiny_model, tmp_path):
    clip = make_clip(tmp_path / "in.mp4")
    outcome = cli("video", clip, "-m", tiny_model, "--hwaccel", "abacus")
    assert outcome.status == 1
    assert len(outcome.errors) == 1 and "auto, cuda" in outcome.errors[0]


def test_an_encoder_that_works_is_used(tmp_path, monkeypatch):
    """libx264rgb's sibling stands in for a card's encoder: another name, the same codec."""
    monkeypatch.setitem(hardware._ENCODERS, "cuda", {"h264": "libx264"})
    asked = []
    monkeypatch.setattr(hardware, "_works", lambda encoder, size_wh: asked.append((encoder, size_wh)) or True)
    source = make_clip(tmp_path / "in.mp4")
    with (
        VideoReader(source) as reader,
        VideoWriter(tmp_path / "out.mp4", reader.format, EncoderSettings(hwaccel="auto")) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    assert asked == [("libx264", (64, 48))]
    assert look_at(tmp_path / "out.mp4").times == look_at(source).times


@pytest.mark.parametrize("encoder", ["h264_nvenc", "hevc_qsv", "av1_amf", "h264_videotoolbox"])
def test_quality_is_told_in_the_encoder_s_own_words(encoder):
    from dataclasses import replace

    options = encoder_options(replace(CODECS["h264"], encoder=encoder), EncoderSettings(crf=23))
    assert "crf" not in options and options
    if not encoder.endswith("videotoolbox"):
        assert "23" in options.values()
