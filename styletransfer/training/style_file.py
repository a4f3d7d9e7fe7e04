"""A model file as ONNX data and its card, as exports write it and trainings and quantiser read it. Needs no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from styletransfer.core.card import BLANK_SEAL, CARD_KEY, ModelCard, check_seal, seal_file
from styletransfer.core.errors import ExportError, ModelError
from styletransfer.core.files import write_bytes
from styletransfer.core.likeness import psnr_db

MIN_PSNR_DB = 50.0
"""Least PSNR of a float32 file's bytes against the network's."""

MIN_PSNR_HALF_DB = 40.0
"""The same for a float16 file."""


def write_checked(
    model: onnx.ModelProto, card: ModelCard, target: Path, half: bool, least_psnr_db: Callable[[bytes], float]
) -> float:
    """Give a model its card and seal, compare it with its network, and only then write it.

    Args:
        model: without a card.
        card: what the file says of itself; its precision is set here.
        target: the ``.onnx`` file.
        half: the weights are float16.
        least_psnr_db: the likeness of what a file's bytes make of some pictures to what the network makes, decibels.

    Returns:
        That likeness.

    Raises:
        ExportError: it is below 50 dB (float16: 40 dB); nothing is written.
        OutputError: the file cannot be written.
    """
    data = sealed(model, dataclasses.replace(card, precision="float16" if half else "float32"))
    worst_db = least_psnr_db(data)
    least = MIN_PSNR_HALF_DB if half else MIN_PSNR_DB
    if not worst_db >= least:
        raise ExportError(
            f"{target}: the exported file differs from the network ({worst_db:.1f} dB; at least {least:.0f} dB "
            "expected); nothing was written. Please report this with the versions that `styletransfer doctor` prints"
        )
    write_bytes(target, data)
    return worst_db


def likeness_db(result: NDArray[np.uint8], wanted: NDArray[np.float32]) -> float:
    """PSNR of a file's bytes against what its network makes; 0 where the shapes differ or that is not finite."""
    if result.shape != wanted.shape or not np.isfinite(wanted).all():
        return 0.0
    return psnr_db(result, wanted)


def sealed(model: onnx.ModelProto, card: ModelCard) -> bytes:
    """The bytes of a model that has no metadata but ``card``, with the seal filled in; the model is changed."""
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, dataclasses.replace(card, seal=BLANK_SEAL).to_json()
    return seal_file(model.SerializeToString())


def read_style_file(path: Path, consequence: str) -> tuple[onnx.ModelProto, bytes]:
    """A file that has a model card, and its bytes.

    Args:
        path: the ``.onnx`` file.
        consequence: what cannot be done with a file of another program.

    Raises:
        ModelError: no such file, no ONNX file, or one of another program.
    """
    try:
        data = path.read_bytes()
        model = onnx.load_from_string(data)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file") from error
    except Exception as error:  # protobuf's errors have no common base that onnx exports
        raise ModelError(f"{path}: not readable as an ONNX file") from error
    if not any(entry.key == CARD_KEY for entry in model.metadata_props):
        raise ModelError(f"{path}: this ONNX file was not made by styletransfer; {consequence}")
    return model, data


def read_sealed_card(model: onnx.ModelProto, data: bytes) -> ModelCard:
    """The card of a file from :func:`read_style_file`, whose bytes are as they were written.

    Raises:
        ModelError: the card or the file is damaged; the message does not name the file.
    """
    cards = {entry.key: entry.value for entry in model.metadata_props}
    card = ModelCard.from_json(cards[CARD_KEY])
    check_seal(data, card)
    return card


def read_card(path: Path) -> ModelCard:
    """The card of a style file of ours.

    Raises:
        ModelError: no such file, damaged, or of another program.
    """
    model, data = read_style_file(path, "it has no card")
    try:
        return read_sealed_card(model, data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
