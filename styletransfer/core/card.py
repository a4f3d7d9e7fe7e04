"""The model card: what a style file is and where it comes from, kept inside the ONNX file itself."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from styletransfer.core.errors import ModelError

CARD_KEY = "styletransfer.card"
"""Key of the card's JSON in the ONNX file's ``metadata_props``."""

CARD_VERSION = 1

TASKS = ("style", "sr", "denoise", "deblock", "clean")
"""What a file's network does: paint, enlarge, remove noise, remove JPEG's blocks, or clean a webcam's frame of both."""

BLANK_SEAL = "0" * 64
"""What stands for the seal while it is computed."""


@dataclass(frozen=True)
class Painting:
    """The painting that a style was trained on.

    Attributes:
        title: title of the painting, or the file's name where nobody said; empty for a network that restores.
        artist: name of the artist, empty where unknown.
        year: year of the painting, empty where unknown.
        licence: licence of the reproduction, empty where unknown.
        sha256: hex digest of the painting's file.
    """

    title: str
    artist: str = ""
    year: str = ""
    licence: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class ModelCard:
    """What a style file says about itself.

    Attributes:
        name: short name of the style (the file's stem), as commands accept it.
        painting: the painting it was trained on.
        architecture: name of the network (``live``, ``plain``, ``johnson``; of a restorer ``compact``, ``edsr``, ...).
        channels: width of the network's residual blocks.
        size_multiple: height and width that the network takes are multiples of this many pixels.
        precision: ``float32``, ``float16`` or ``int8``, of the weights.
        task: one of :data:`TASKS`.
        scale: the output's side as a multiple of the input's; 1 for a style.
        training: settings and circumstances of the training (steps, seconds, hardware, ...).
        losses: last training losses (``content``, ``style``, ``tv``, ``total``).
        quantisation: of an int8 file: how near it comes to the float32 one (``psnr_db``, ``least_psnr_db``, over
            ``photos`` photos that it was not calibrated on, ``calibrated_on``).
        seal: hex SHA-256 of the whole file with this field as :data:`BLANK_SEAL`; empty where there is none.
        version: version of this card's format.
    """

    name: str
    painting: Painting
    architecture: str
    channels: int
    size_multiple: int
    precision: str = "float32"
    task: str = "style"
    scale: int = 1
    training: dict[str, Any] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    quantisation: dict[str, float] = field(default_factory=dict)
    seal: str = ""
    version: int = CARD_VERSION

    def to_json(self) -> str:
        """The card as JSON with sorted keys; what is no character, as in some file names, is a question mark."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)
        return text.encode(errors="replace").decode()

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card; unknown keys, as later versions may write them, are ignored.

        Raises:
            ModelError: the text is no card, or one of a later major version.
        """
        try:
            data = json.loads(text)
            if int(data.get("version", 0)) > CARD_VERSION:
                raise ModelError(
                    f"the model card has version {data['version']}, this program reads up to "
                    f"{CARD_VERSION}: upgrade styletransfer"
                )
            painting = Painting(**_known(Painting, data.pop("painting")))
            card = cls(painting=painting, **_known(cls, data))
            _check(card)
            return card
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelError(f"the model card inside the file is damaged ({error})") from error


def seal_file(data: bytes) -> bytes:
    """An ONNX file whose card has :data:`BLANK_SEAL`, with the seal filled in."""
    return data.replace(BLANK_SEAL.encode(), hashlib.sha256(data).hexdigest().encode(), 1)


def check_seal(data: bytes, card: ModelCard) -> None:
    """Compare a whole ONNX file with its card's seal: flipped bits in the weights would run, and look wrong.

    Raises:
        ModelError: the file is not as it was written.
    """
    if card.seal:
        blank = data.replace(card.seal.encode(), BLANK_SEAL.encode(), 1)
        if hashlib.sha256(blank).hexdigest() != card.seal:
            raise ModelError("the file is damaged, or another program changed it: its bytes do not match the seal")


def _check(card: ModelCard) -> None:
    if not isinstance(card.size_multiple, int) or not 1 <= card.size_multiple <= 256:
        raise ValueError(f"size_multiple is {card.size_multiple!r}, not 1..256")
    if card.task not in TASKS:
        raise ValueError(f"task is {card.task!r}, not one of {', '.join(TASKS)}")
    if card.scale not in (1, 2, 4, 8):
        raise ValueError(f"scale is {card.scale!r}, not 1, 2, 4 or 8")
    if not all(isinstance(part, dict) for part in (card.training, card.losses, card.quantisation)):
        raise TypeError("training, losses and quantisation must be objects")
    if not isinstance(card.seal, str):
        raise TypeError("seal must be text")


def _known(cls: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    names = {f.name for f in dataclasses.fields(cls)}
    return {key: value for key, value in data.items() if key in names}
