"""What a model file takes and gives: our own contracts, or a foreign fast-neural-style network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from styletransfer.core.card import CARD_KEY, ModelCard, check_seal
from styletransfer.core.errors import InputError, ModelError
from styletransfer.runtime.providers import explain

STYLE_WEIGHTS = "style_weights"
RESTORED = "restored"

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_BYTES = "tensor(uint8)"
_EXPECTED = (
    "expected uint8 [N, H, W, 3] in and out (what `styletransfer train` writes) "
    "or float [1, 3, H, W] of 0..255 in and out (fast-neural-style)"
)
_BYTES_ORDER, _FLOATS_ORDER = (0, 1, 2, 3), (0, 2, 3, 1)  # which axes are N, H, W, C


@dataclass(frozen=True)
class Signature:
    """How a model is fed.

    Attributes:
        input: name of the picture's input.
        output: name of the picture's output.
        is_bytes: uint8 ``[N, H, W, 3]`` (our contract); else floats ``[N, 3, H, W]`` of 0..255.
        dtype: numpy type of the picture's input.
        height: fixed height, or None where it is free.
        width: fixed width, or None where it is free.
        batch: fixed number of frames in a call, or None where it is free.
        size_multiple: height and width are multiples of this many pixels.
        free_names: the model's names of its free dimensions N, H and W, as far as it names them.
        styles: length of the ``style_weights`` input, 0 where there is none.
        needs_style_weights: that input has no default inside the file.
    """

    input: str
    output: str
    is_bytes: bool
    dtype: type[Any]
    height: int | None
    width: int | None
    batch: int | None
    size_multiple: int
    free_names: tuple[str | None, str | None, str | None]
    styles: int = 0
    needs_style_weights: bool = False


def read_card(session: Any, path: Path) -> ModelCard | None:
    """The model card inside a loaded file, or None for a file made by others.

    Raises:
        ModelError: there is a card and it cannot be read, or the file does not match its seal.
    """
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        return None
    try:
        card = ModelCard.from_json(text)
        check_seal(path.read_bytes(), card)
        return card
    except ModelError as error:
        raise ModelError(f"{path}: {error}; train or export it again") from error


def refuse_restorer(session: Any, card: ModelCard | None, path: Path) -> None:
    """Let only style networks pass.

    Raises:
        ModelError: the file restores; the message says what it is for.
    """
    if card is not None and card.task != "style":
        what = f"restoration network ({card.task}{f', ×{card.scale}' if card.scale > 1 else ''})"
    elif card is None and any(value.name == RESTORED for value in session.get_outputs()):
        what = "restoration network"
    else:
        return
    raise ModelError(f"{path}: is a {what}, no style; use it with `restore`, or with --before or --after")


def read_restorer(session: Any, card: ModelCard | None, path: Path) -> tuple[ModelCard, Signature]:
    """Card and signature of a restoration network.

    Raises:
        ModelError: the file is a style, or no network of ours.
    """
    if card is not None and card.task == "style":
        raise ModelError(f"{path}: is a style, no restoration network; use it with `stylize`, `video` or `webcam`")
    names = [value.name for value in session.get_outputs()]
    inputs = [value.name for value in session.get_inputs()]
    if card is None or names != [RESTORED] or len(inputs) != 1:
        text = f"it takes {', '.join(inputs)[:60]} and gives {', '.join(names)[:60]}"
        without = "" if card is not None else ", without a model card"
        raise ModelError(
            f"{path}: is no restoration network: {text}{without}; expected uint8 [N, H, W, 3] in and "
            f"`{RESTORED}` [N, s H, s W, 3] out (what `styletransfer train-restore` writes)"
        )
    signature = read_signature(session, card, path)
    if not signature.is_bytes or signature.height or signature.width or signature.batch:
        raise ModelError(
            f"{path}: a restoration network must take uint8 frames of any size and number; export it again"
        )
    return card, signature


def read_signature(session: Any, card: ModelCard | None, path: Path) -> Signature:
    """How the model of a loaded session is fed.

    Raises:
        ModelError: inputs or outputs are not those of a style network.
    """
    inputs = {value.name: value for value in session.get_inputs()}
    optional = {value.name: value for value in session.get_overridable_initializers()}
    weights = inputs.pop(STYLE_WEIGHTS, None)
    needs_weights = weights is not None
    weights = weights or optional.get(STYLE_WEIGHTS)
    outputs = session.get_outputs()
    if len(inputs) != 1 or not outputs:
        _refuse(path, session)
    (picture,) = inputs.values()
    result = next((value for value in outputs if value.name == "stylized"), outputs[0])
    if len(picture.shape) != 4 or len(result.shape) not in (0, 4):  # () stands for an unknown shape
        _refuse(path, session)
    is_bytes = picture.type == _BYTES
    if is_bytes != (result.type == _BYTES) or not (is_bytes or {picture.type, result.type} <= set(_FLOATS)):
        _refuse(path, session)
    order = _BYTES_ORDER if is_bytes else _FLOATS_ORDER
    if any(_is_other_layout(shape, is_bytes) for shape in (picture.shape, result.shape)):
        _refuse_layout(path, picture, result, is_bytes)
    batch, height, width, channels = (picture.shape[axis] for axis in order)
    out_channels = result.shape[order[3]] if result.shape else 3
    if any(isinstance(count, int) and count != 3 for count in (channels, out_channels)):
        _refuse(path, session)
    return Signature(
        input=picture.name,
        output=result.name,
        is_bytes=is_bytes,
        dtype=np.uint8 if is_bytes else _FLOATS[picture.type],
        height=_fixed(height),
        width=_fixed(width),
        batch=_fixed(batch),
        size_multiple=card.size_multiple if card is not None else 4 if is_bytes else 16,
        free_names=(_name(batch), _name(height), _name(width)),
        styles=_style_count(weights, needs_weights, path),
        needs_style_weights=needs_weights,
    )


def _refuse(path: Path, session: Any) -> None:
    takes = ", ".join(f"{value.type[7:-1]} {value.shape}" for value in session.get_inputs())
    gives = ", ".join(f"{value.type[7:-1]} {value.shape}" for value in session.get_outputs())
    text = f"takes {takes[:120]} and gives {gives[:120]}"
    raise ModelError(f"{path}: is no style network: it {text}; {_EXPECTED}")


def _is_other_layout(shape: list[Any], is_bytes: bool) -> bool:
    """Whether the three channels stand where the other kind of file has them.

    A free size where the channels belong says nothing by itself: some files name no size at all.
    """
    if not shape:
        return False
    ours, others = (_BYTES_ORDER, _FLOATS_ORDER) if is_bytes else (_FLOATS_ORDER, _BYTES_ORDER)
    return not isinstance(shape[ours[3]], int) and shape[others[3]] == 3


def _refuse_layout(path: Path, picture: Any, result: Any, is_bytes: bool) -> NoReturn:
    kind, wanted, place = ("uint8", "[N, H, W, 3]", "first") if is_bytes else ("float", "[1, 3, H, W]", "last")
    raise ModelError(
        f"{path}: has its channels {place}: it takes {picture.shape} and gives {result.shape}; a {kind} network "
        f"must take and give {wanted}: export it in that order"
    )


def _fixed(size: Any) -> int | None:
    return size if isinstance(size, int) and size > 0 else None


def _name(size: Any) -> str | None:
    return size if isinstance(size, str) and size else None


def _style_count(weights: Any, needed: bool, path: Path) -> int:
    if weights is None:
        return 0
    count = weights.shape[0] if len(weights.shape) == 1 else None
    if weights.type == "tensor(float)" and isinstance(count, int):
        return count
    if needed:
        raise ModelError(f"{path}: its input {STYLE_WEIGHTS} must be float32 of one fixed size")
    return 0


_OUT_OF_MEMORY = ("allocate memory", "out of memory", "bad_alloc", "bad allocation", "failed to allocate")


def explain_failure(error: Exception, shape: tuple[int, ...], path: Path, provider: str) -> InputError | ModelError:
    """What a failed run on frames ``[N, H, W, 3]`` means: too little memory, or a network that does not run."""
    size = f"{shape[2]}×{shape[1]}"
    if isinstance(error, MemoryError) or any(text in str(error).lower() for text in _OUT_OF_MEMORY):
        return InputError(f"{size} pixels do not fit in the memory of {provider}; use --size")
    return ModelError(f"{path}: the network fails on {size} pixels ({explain(error)})")
