"""The shipped styles: where they lie, what they are called, and how a name becomes a file."""

from __future__ import annotations

import difflib
from pathlib import Path

from styletransfer.core.errors import ModelError

DEFAULT_STYLE = "starry_night"
"""The style that every command uses where ``--model`` names none."""

_PACKAGE = Path(__file__).resolve().parents[1]


def models_dir() -> Path:
    """The shipped styles' folder: ``styletransfer/_models`` of a wheel, else ``models`` of a source tree."""
    packaged = _PACKAGE / "_models"
    source = _PACKAGE.parent / "models"
    return packaged if packaged.is_dir() or not source.is_dir() else source


def shipped() -> dict[str, Path]:
    """The shipped styles, name to file, sorted by name; empty where none are shipped."""
    return {path.stem: path for path in sorted(models_dir().glob("*.onnx"))}


def resolve(model: str | Path) -> Path:
    """The file that ``model`` names: an existing file, or a shipped style by its name.

    Names are compared without regard to case, and spaces and hyphens stand for underscores. A path that
    has no folder part and names no file is looked up among the shipped styles too.

    Args:
        model: a shipped style's name (``starry_night``) or the path of an ``.onnx`` file.

    Raises:
        ModelError: neither a file nor a shipped style; the message names close matches.
    """
    text = str(model)
    path = Path(model).expanduser()
    styles = shipped()
    name = _plain(path.stem if path.suffix == ".onnx" else text)
    if isinstance(model, str) and text in styles:
        return styles[text]
    if path.is_file():
        return path
    if path.is_dir() and text:
        raise ModelError(f"{text}: is a folder; name the .onnx file inside it")
    is_bare = path.name == text
    if is_bare and name in styles:
        return styles[name]
    raise ModelError(f"{text or repr(text)}: no such {_kind(text, is_bare)}; {_suggest(name, styles)}")


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _kind(text: str, is_bare: bool) -> str:
    return "style" if is_bare and not text.endswith(".onnx") else "style file"


def _suggest(name: str, styles: dict[str, Path]) -> str:
    if not styles:
        return "no styles are shipped with this installation: give the path of an .onnx file"
    close = difflib.get_close_matches(name, styles, n=2, cutoff=0.6)
    close += [style for style in styles if len(name) > 2 and name in style and style not in close]
    if close:
        return f"did you mean {' or '.join(close[:2])}? (`styletransfer models` lists all)"
    return f"shipped are {', '.join(styles)}; or give the path of an .onnx file"
