"""A float32 style file as an int8 one: static, per channel, calibrated on photos. Needs onnx and onnxruntime only.

Weights are int8 with a scale for each output channel, activations uint8 with one range for each tensor (Jacob et al.
2018, *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*; here after the
training, without any more of it). Departures:

- The range of an activation is the mean of the photos' own smallest and largest values, not the extremes over all of
  them: the one photo with the largest value would make the steps coarse for all others (3 dB on a style of ours).
- What lies before the first convolution, that convolution, and what lies behind the last one stay float32: bytes in
  and out need no second rounding, and a first convolution of three channels is slower in int8.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from styletransfer.core.card import ModelCard
from styletransfer.core.errors import ExportError, InputError, ModelError, SettingsError
from styletransfer.core.files import write_bytes
from styletransfer.core.likeness import psnr_db
from styletransfer.core.photos import find_photos
from styletransfer.core.squares import load_squares
from styletransfer.training.style_file import read_sealed_card, read_style_file, sealed

LEAST_PSNR_DB = 30.0
"""Below this, in decibels against the float32 file, nothing is written: the differences would be seen."""

GOOD_PSNR_DB = 35.0
"""What is wanted; the last convolution stays float32 where that reaches it."""

_FEWEST_PHOTOS = 4
_WORTH_FLOAT_DB = 0.5  # that a last convolution in float32 must gain, since it costs time
_HELD_OUT = 0.25  # of the photos, which the quality is measured on
_QUANTISED = ("Conv", "Relu", "Add", "Transpose", "Reshape", "Slice", "Pad", "DepthToSpace", "Resize")
_ACTIVATIONS = ("Relu", "Clip", "LeakyRelu")

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Quality:
    """How near an int8 file comes to the float32 one it was made of.

    Attributes:
        psnr_db: mean over the held-out photos of the PSNR of their stylized bytes, decibels.
        least_psnr_db: the worst photo's.
        photos: how many were held out.
        calibrated_on: how many others the ranges were taken from.
        last_is_float: the last convolution was left in float32.
    """

    psnr_db: float
    least_psnr_db: float
    photos: int
    calibrated_on: int
    last_is_float: bool


def quantise(
    model: Path,
    folder: Path,
    target: Path,
    *,
    count: int = 40,
    side: int = 256,
    on_skipped: Callable[[str], None] = lambda _: None,
) -> Quality:
    """Write the int8 file of a float32 style.

    Args:
        model: a float32 style file of ours.
        folder: of photos; a quarter of those that are taken measures the quality, the others calibrate.
        target: the int8 style file.
        count: photos to take, spread evenly over the folder.
        side: of the squares that are cut out of them, pixels.
        on_skipped: called with the reason why a photo cannot be read.

    Raises:
        ModelError: no such file, not one of ours, or not float32.
        InputError: no photos, or fewer than 4 that can be read.
        SettingsError: ``count`` or ``side`` out of range.
        ExportError: the least PSNR is below 30 dB; nothing is written.
        OutputError: the file cannot be written.
    """
    if not 4 <= count <= 10_000 or not 64 <= side <= 2048:
        raise SettingsError(f"{count} photos of {side} pixels; allowed: 4 to 10000 photos of 64 to 2048 pixels")
    proto, card = _read(model)
    side = -(-side // card.size_multiple) * card.size_multiple
    squares = list(load_squares(find_photos(folder), folder, count, side, on_skipped).values())
    if len(squares) < _FEWEST_PHOTOS:
        raise InputError(f"{folder}: {len(squares)} photos that can be read; at least {_FEWEST_PHOTOS} are needed")
    spread = round(1 / _HELD_OUT)
    held_out = squares[spread - 1 :: spread]
    known = [square for index, square in enumerate(squares) if index % spread != spread - 1]
    wanted = _run(proto.SerializeToString(), held_out)
    best: tuple[Quality, onnx.ModelProto] | None = None
    for last_is_float in (False, True):
        made = _quantised(proto, known, last_is_float)
        psnrs_db = [psnr_db(*pair) for pair in zip(_run(made.SerializeToString(), held_out), wanted, strict=True)]
        mean_db = float(np.mean(psnrs_db))
        found = Quality(mean_db, min(psnrs_db), len(held_out), len(known), last_is_float)
        if best is None or found.least_psnr_db > best[0].least_psnr_db + _WORTH_FLOAT_DB:
            best = (found, made)
        if found.least_psnr_db >= GOOD_PSNR_DB:
            break
    assert best is not None  # the loop ran
    quality, made = best
    if not quality.least_psnr_db >= LEAST_PSNR_DB:
        raise ExportError(
            f"{target}: int8 would differ too much from {model} ({quality.least_psnr_db:.1f} dB on the worst of "
            f"{quality.photos} photos; at least {LEAST_PSNR_DB:.0f} dB expected); nothing was written. "
            "Use the float32 file, or calibrate on photos of more kinds"
        )
    write_bytes(target, _sealed(made, card, target.stem, quality))
    return quality


def _read(path: Path) -> tuple[onnx.ModelProto, ModelCard]:
    """A float32 style file of ours and its card."""
    proto, data = read_style_file(path, "only its own styles can be quantised")
    try:
        card = read_sealed_card(proto, data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    if card.task != "style":
        raise ModelError(f"{path}: is no style but a network that restores; only styles can be quantised")
    has_integers = any(node.op_type in ("QLinearConv", "DequantizeLinear") for node in proto.graph.node)
    if card.precision == "int8" or has_integers:
        raise ModelError(f"{path}: is an int8 file already; give the float32 one")
    if card.precision != "float32":
        raise ModelError(f"{path}: has {card.precision} weights; give the float32 file of this style")
    if not any(node.op_type == "Conv" for node in proto.graph.node):
        raise ModelError(f"{path}: has no convolution that could be quantised")
    return proto, card


def _quantised(proto: onnx.ModelProto, photos: Sequence[Frame], last_is_float: bool) -> onnx.ModelProto:
    """The network with its convolutions in int8, all but the first and, if asked, the last."""
    named = onnx.ModelProto()
    named.CopyFrom(proto)
    nodes = named.graph.node
    for node in nodes:
        node.name = node.name or node.output[0]
    convolutions = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    start, end = convolutions[0] + 1, convolutions[-1] + (not last_is_float)
    while start < end and nodes[start].op_type in _ACTIVATIONS:
        start += 1
    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "int8.onnx"
        quantize_static(
            named,
            target,
            _Photos(photos),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[node.name for node in (*nodes[:start], *nodes[end:])],
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},  # of one collection: the plain mean
        )
        made = onnx.load(str(target))
    _round_once(made)
    return made


def _round_once(made: onnx.ModelProto) -> None:
    """Let the last convolution write the picture's bytes, where they are what comes next: no rounding before that."""
    nodes = made.graph.node
    makers = {node.output[0]: node for node in nodes}
    for node in nodes:
        back = makers.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        there = makers.get(back.input[0]) if back is not None and back.op_type == "DequantizeLinear" else None
        if there is not None and there.op_type == "QuantizeLinear":
            node.input[0] = there.input[0]
    used = {name for node in nodes for name in node.input} | {value.name for value in made.graph.output}
    while unused := [node for node in nodes if not used.intersection(node.output)]:
        for node in unused:
            nodes.remove(node)
        used = {name for node in nodes for name in node.input} | {value.name for value in made.graph.output}


class _Photos(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Hands the photos to the calibration, one after the other."""

    def __init__(self, photos: Sequence[Frame]) -> None:
        self._left = iter(photos)

    def get_next(self) -> dict[str, Any] | None:
        frame = next(self._left, None)
        return None if frame is None else {"frame": frame[None]}


def _sealed(made: onnx.ModelProto, card: ModelCard, name: str, quality: Quality) -> bytes:
    """The file's bytes with a card that says what it is now."""
    figures = {key: round(value, 2) for key, value in dataclasses.asdict(quality).items()}
    card = dataclasses.replace(card, name=name, precision="int8", quantisation=figures)
    made.producer_name = "styletransfer"
    onnx.checker.check_model(made, full_check=True)
    return sealed(made, card)


def _run(data: bytes, frames: Sequence[Frame]) -> list[Frame]:
    """Each frame stylized by a style file's bytes, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return [session.run(["stylized"], {"frame": frame[None]})[0][0] for frame in frames]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser recommends a preprocessing, through the root logger, that does nothing for our graphs."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
