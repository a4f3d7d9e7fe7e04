"""Which codec goes into which container, and how its quality and speed are set."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av.codec
import numpy as np
from av.codec.codec import UnknownCodecError

from styletransfer.core.errors import OutputError, SettingsError


@dataclass(frozen=True)
class Codec:
    """How one video codec is used here.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        suffixes: containers that hold it.
        crf: default quality (lower is better and larger); ``None`` where the codec has no such scale.
        crf_max: largest value of that scale.
        pix_fmt: pixel format.
        odd_pix_fmt: pixel format for an odd width or height.
    """

    encoder: str
    suffixes: frozenset[str]
    crf: int | None
    crf_max: int
    pix_fmt: str = "yuv420p"
    odd_pix_fmt: str = "yuv444p"


CODECS = {
    "h264": Codec("libx264", frozenset({".mp4", ".m4v", ".mov", ".mkv"}), 18, 51),
    "hevc": Codec("libx265", frozenset({".mp4", ".m4v", ".mov", ".mkv"}), 20, 51),
    "vp9": Codec("libvpx-vp9", frozenset({".mp4", ".mkv", ".webm"}), 24, 63, odd_pix_fmt="yuv420p"),
    "av1": Codec("libsvtav1", frozenset({".mp4", ".mkv", ".webm"}), 26, 63, odd_pix_fmt="yuv420p"),
    "prores": Codec("prores_ks", frozenset({".mov", ".mkv"}), None, 0, "yuv422p10le", "yuv444p10le"),
}
"""Codec names that ``--codec`` takes. H.264 and HEVC cut their pictures to even sizes unless the colours have
full resolution (4:4:4), hence the other pixel format for odd sizes."""

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Suffixes that can be written, with FFmpeg's name of the container."""

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


_BITS_A_PIXEL = 1.2  # of stylized video at the default quality: 0.9 to 1.7 where it was measured
_PRORES_BITS_A_PIXEL = 3.5  # its own rate for HQ
_DOUBLINGS = 8.5  # of the rate over the whole scale of quality: x264's doubles with every 6 of 51


@dataclass(frozen=True)
class EncoderSettings:
    """How frames are compressed.

    Attributes:
        codec: a key of :data:`CODECS`; empty chooses by the container (``vp9`` for WebM, else ``h264``).
        crf: constant quality, lower is better; ``None`` takes the codec's default.
        preset: one of :data:`PRESETS`: the slower, the smaller the file.
        hwaccel: device whose encoder is used where it has one that works; empty for none, ``auto`` for any.
    """

    codec: str = ""
    crf: int | None = None
    preset: str = "veryfast"
    hwaccel: str = ""

    def check(self) -> None:
        """Check everything that does not depend on the output's name.

        Raises:
            SettingsError: unknown codec or preset, or a quality outside the scale.
            OutputError: this build of PyAV lacks the codec.
        """
        if self.codec and self.codec not in CODECS:
            raise SettingsError(f"--codec is {self.codec!r}; it must be one of {', '.join(CODECS)}")
        if self.preset not in PRESETS:
            raise SettingsError(f"--preset is {self.preset!r}; it must be one of {', '.join(PRESETS)}")
        if self.codec:
            self._check_codec(self.codec)

    def fits(self, suffix: str) -> bool:
        """Whether a file with this suffix can hold the codec."""
        return suffix in CODECS[self.codec or _default_codec(suffix)].suffixes

    def for_target(self, target: Path) -> tuple[str, Codec]:
        """The codec's name and recipe for an output file.

        Raises:
            SettingsError: as :meth:`check`.
            OutputError: as :meth:`check`; a suffix that is no container here, or one that cannot hold the
                codec.
        """
        self.check()
        suffix = target.suffix.lower()
        if suffix not in MUXERS:
            what = f"a {suffix} file" if suffix else "a name without suffix"
            raise OutputError(f"{target}: {what} cannot be written; use one of {', '.join(MUXERS)}")
        name = self.codec or _default_codec(suffix)
        codec = CODECS[name]
        if suffix not in codec.suffixes:
            fits = [n for n, c in CODECS.items() if suffix in c.suffixes]
            raise OutputError(
                f"{target}: a {suffix} file cannot hold {name}; name the output "
                f"{' or '.join(sorted(codec.suffixes))}, or use --codec {' or '.join(fits)}"
            )
        self._check_codec(name)
        return name, codec

    def bits_a_pixel(self, target: Path) -> float:
        """About how many stylized video takes; an output that cannot be written counts as H.264."""
        codec = CODECS[self.codec or _default_codec(target.suffix.lower())]
        if codec.crf is None:
            return _PRORES_BITS_A_PIXEL
        finer = codec.crf - (codec.crf if self.crf is None else self.crf)
        return float(_BITS_A_PIXEL * 2 ** (finer * _DOUBLINGS / codec.crf_max))

    def _check_codec(self, name: str) -> None:
        codec = CODECS[name]
        if self.crf is not None and codec.crf is None:
            raise SettingsError(f"--crf does not apply to {name}, whose quality is fixed; leave it out")
        if self.crf is not None and not 0 <= self.crf <= codec.crf_max:
            raise SettingsError(f"--crf is {self.crf}; for {name} it must be 0 (best) to {codec.crf_max}")
        if not has_encoder(codec.encoder):
            offered = [n for n, c in CODECS.items() if has_encoder(c.encoder)]
            way_out = f"use --codec {' or '.join(offered)}" if offered else "install av from PyPI"
            raise OutputError(f"this build of PyAV has no {codec.encoder} for {name}; {way_out}")


def _default_codec(suffix: str) -> str:
    return "vp9" if suffix == ".webm" else "h264"


def has_encoder(name: str) -> bool:
    """Whether this build of PyAV can encode with FFmpeg's encoder ``name``."""
    try:
        av.codec.Codec(name, "w")
    except UnknownCodecError:
        return False
    return True


_HARDWARE_OPTIONS = {
    "nvenc": {"rc": "vbr", "cq": "{crf}", "preset": "p4"},
    "qsv": {"global_quality": "{crf}", "preset": "medium"},
    "amf": {"rc": "cqp", "qp_i": "{crf}", "qp_p": "{crf}"},
    "videotoolbox": {"constant_bit_rate": "0", "b:v": "20M"},
}
"""Their scales of quality resemble x264's; VideoToolbox has none that every Mac knows."""


def encoder_options(codec: Codec, settings: EncoderSettings) -> dict[str, str]:
    """The codec's own words for quality and preset."""
    speed = PRESETS.index(settings.preset)  # 0 fast .. 8 slow
    crf = str(settings.crf if settings.crf is not None else codec.crf)
    if codec.encoder == "libvpx-vp9":
        return {"crf": crf, "b": "0", "deadline": "good", "cpu-used": str(8 - speed), "row-mt": "1"}
    if codec.encoder == "libsvtav1":
        return {"crf": crf, "preset": str(12 - speed)}
    if codec.encoder == "prores_ks":
        return {"profile": "hq"}
    if (hardware := codec.encoder.rpartition("_")[2]) in _HARDWARE_OPTIONS:
        return {key: value.format(crf=crf) for key, value in _HARDWARE_OPTIONS[hardware].items()}
    options = {"crf": crf, "preset": settings.preset}
    if codec.encoder == "libx265":
        options["x265-params"] = "log-level=none"
    elif _has_avx512():
        # x264's AVX-512 code reads memory that nobody wrote: the same frames give other files from run to run (small
        # sizes, 854x480 among them), and a resumed run would differ from an undisturbed one. AVX2 is as fast.
        options["x264-params"] = "asm=avx2,bmi2,lzcnt"
    return options


@functools.cache
def _has_avx512() -> bool:
    """Whether the processor has AVX-512, and so AVX2, BMI2 and LZCNT too."""
    config: dict[str, Any] = np.show_config(mode="dicts") or {}  # type: ignore[assignment]
    found = config.get("SIMD Extensions", {}).get("found", [])
    return any(name.startswith(("AVX512", "X86_V4")) for name in found)
