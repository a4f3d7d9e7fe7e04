"""The shipped networks: where they lie, what they are called, and how a name becomes a file."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from styletransfer.core.errors import ModelError

DEFAULT_STYLE = "starry_night"
"""The style that every command uses where ``--model`` names none."""

FAST_SUFFIXES = ("_int8", "_fast")
"""End the names of styles that a CPU is fast at, the fastest first: in 8-bit integers, and with half the width."""

_PACKAGE = Path(__file__).resolve().parents[1]


def models_dir() -> Path:
    """The shipped networks' folder: ``styletransfer/_models`` of a wheel, else ``models`` of a source tree."""
    packaged = _PACKAGE / "_models"
    source = _PACKAGE.parent / "models"
    return packaged if packaged.is_dir() or not source.is_dir() else source


def shipped() -> dict[str, Path]:
    """The shipped styles, name to file, sorted by name; empty where none are shipped."""
    return {path.stem: path for path in sorted(models_dir().glob("*.onnx"))}


def shipped_for_live(on_cpu: bool) -> list[Path]:
    """The shipped styles in the order in which a live view offers them, the default painting first.

    Args:
        on_cpu: the styles run on a CPU: those that it is fast at come first.
    """
    endings = (*FAST_SUFFIXES, "") if on_cpu else ("",)

    def place(path: Path) -> tuple[int, bool]:
        rank = next(rank for rank, ending in enumerate(endings) if path.stem.endswith(ending))
        return rank, path.stem != DEFAULT_STYLE + endings[rank]

    return sorted(shipped().values(), key=place)


def shipped_restorers() -> dict[str, Path]:
    """The shipped restoration networks, name to file, sorted by name; empty where none are shipped."""
    return {path.stem: path for path in sorted((models_dir() / "restore").glob("*.onnx"))}


def resolve(model: str | Path) -> Path:
    """The file that ``model`` names: an existing file, or a shipped style by its name.

    Names are compared without regard to case, and spaces and hyphens stand for underscores. A path that
    has no folder part and names no file is looked up among the shipped styles too.

    Args:
        model: a shipped style's name (``starry_night``) or the path of an ``.onnx`` file.

    Raises:
        ModelError: neither a file nor a shipped style; the message names close matches.
    """
    return _resolve(model, shipped(), _STYLES, shipped_restorers())


def resolve_restorer(model: str | Path) -> Path:
    """The file that ``model`` names: an existing file, or a shipped restoration network by its name.

    As :func:`resolve`, of ``upscale2`` and the like.

    Raises:
        ModelError: neither a file nor a shipped restoration network; the message names what there is.
    """
    return _resolve(model, shipped_restorers(), _RESTORERS, shipped())


@dataclass(frozen=True)
class _Kind:
    """How messages speak of one kind of networks."""

    one: str
    many: str
    file: str
    use: str
    maker: str


_STYLES = _Kind("style", "styles", "style file", "`stylize`, `video` or `webcam`", "train")
_RESTORERS = _Kind(
    "restoration network", "restoration networks", "restoration file", "`restore`, --before or --after", "train-restore"
)


def _resolve(model: str | Path, there: dict[str, Path], kind: _Kind, others: dict[str, Path]) -> Path:
    text = str(model)
    path = Path(model).expanduser()
    name = _plain(path.stem if path.suffix == ".onnx" else text)
    if isinstance(model, str) and text in there:
        return there[text]
    if path.is_file():
        return path
    if path.is_dir() and text:
        raise ModelError(f"{text}: is a folder; name the .onnx file inside it")
    is_bare = path.name == text
    if is_bare and name in there:
        return there[name]
    if is_bare and name in others:
        other = _RESTORERS if kind is _STYLES else _STYLES
        raise ModelError(f"{text}: is a {other.one}, no {kind.one}; use it with {other.use}")
    what = kind.one if is_bare and not text.endswith(".onnx") else kind.file
    raise ModelError(f"{text or repr(text)}: no such {what}; {_suggest(name, there, kind)}")


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _suggest(name: str, there: dict[str, Path], kind: _Kind) -> str:
    if not there:
        return (
            f"no {kind.many} are shipped with this installation: give the path of an .onnx file "
            f"(`styletransfer {kind.maker}` makes one)"
        )
    close = difflib.get_close_matches(name, there, n=2, cutoff=0.6)
    close += [known for known in there if len(name) > 2 and name in known and known not in close]
    if close:
        return f"did you mean {' or '.join(close[:2])}? (`styletransfer models` lists all)"
    return f"shipped are {', '.join(there)}; or give the path of an .onnx file"
