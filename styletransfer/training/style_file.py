"""A style file as ONNX data and its card, as export, training and the quantiser read it. Needs no torch."""

from __future__ import annotations

from pathlib import Path

import onnx

from styletransfer.core.card import CARD_KEY, ModelCard, check_seal
from styletransfer.core.errors import ModelError


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
        raise ModelError(f"{path}: no such style file") from error
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
