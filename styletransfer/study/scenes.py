"""The folder of pictures that a study shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from styletransfer.core.errors import InputError
from styletransfer.core.pictures import load_picture
from styletransfer.study.votes import is_missing

REFERENCE = "reference"
SHOWN_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
"""Lower-case suffixes of what every browser shows; pictures go to it byte for byte."""

_LAYOUTS = (
    f"allowed: SCENE/{REFERENCE}.png beside SCENE/CONDITION.png, or {REFERENCE}/SCENE.png and CONDITION/SCENE.png"
)


@dataclass(frozen=True)
class Scene:
    """One scene of a study.

    Attributes:
        name: of its folder or file.
        reference: the picture that candidates are compared with.
        conditions: name of a condition to its picture, sorted by name; two or more.
        size_wh: width and height of all of them, pixels.
    """

    name: str
    reference: Path
    conditions: dict[str, Path]
    size_wh: tuple[int, int]


def find_scenes(folder: Path) -> list[Scene]:
    """The scenes of ``folder``, sorted by name, every picture decoded once to see that it is whole.

    Args:
        folder: ``SCENE/CONDITION.png`` with ``SCENE/reference.png``, or ``CONDITION/SCENE.png`` with
            ``reference/SCENE.png``; PNG, JPEG, WebP or BMP. What starts with a dot is not looked at.

    Raises:
        InputError: no such folder, neither layout, a reference or a second condition missing, a damaged picture, or
            pictures of a scene that differ in size: an experiment with holes is better not begun.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {_LAYOUTS}")
    table = _by_condition(folder) if _is_by_condition(folder) else _by_scene(folder)
    problems: list[str] = []
    scenes = [scene for name, found in sorted(table.items()) if (scene := _scene(folder, name, found, problems))]
    if problems:
        more = f" (and {len(problems) - 1} more such)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}")
    if not scenes:
        raise InputError(f"{folder}: no scene in it; {_LAYOUTS}")
    return scenes


def _is_by_condition(folder: Path) -> bool:
    references = folder / REFERENCE
    return references.is_dir() and not any(path.stem == REFERENCE for path in _pictures(references))


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in SHOWN_SUFFIXES and not path.name.startswith(".")
    )


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _by_scene(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    found = {scene.name: [(path.stem, path) for path in _pictures(scene)] for scene in _folders(folder)}
    return {name: pictures for name, pictures in found.items() if pictures}


def _by_condition(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    found: dict[str, list[tuple[str, Path]]] = {}
    for condition in _folders(folder):
        for path in _pictures(condition):
            found.setdefault(path.stem, []).append((condition.name, path))
    return found


def _scene(folder: Path, name: str, found: list[tuple[str, Path]], problems: list[str]) -> Scene | None:
    pictures = dict(found)
    where = f"{folder}: scene {name!r}"
    if len(pictures) < len(found):
        twice = next(condition for condition, path in found if pictures[condition] != path)
        problems.append(f"{where} has two pictures for {twice!r}; keep one of them")
    elif unfit := [text for text in (name, *pictures) if is_missing(text)]:
        problems.append(f"{where}: tables take the name {unfit[0]!r} for no value; rename it")
    elif REFERENCE not in pictures:
        problems.append(f"{where} has no {REFERENCE} picture; {_LAYOUTS}")
    elif len(pictures) < 3:
        count = len(pictures) - 1
        problems.append(f"{where} has {count} condition{'s' * (count != 1)}; two or more are compared")
    else:
        return _checked(name, pictures, problems)
    return None


def _checked(name: str, pictures: dict[str, Path], problems: list[str]) -> Scene | None:
    sizes: dict[str, tuple[int, int]] = {}
    for condition, path in pictures.items():
        try:
            height, width = load_picture(path).frame_hwc.shape[:2]
        except InputError as error:
            problems.append(str(error))
            return None
        sizes[condition] = (width, height)
    reference = pictures.pop(REFERENCE)
    wanted = sizes.pop(REFERENCE)
    for condition, size in sizes.items():
        if size != wanted:
            problems.append(
                f"{pictures[condition]}: {size[0]}×{size[1]} pixels, its reference has {wanted[0]}×{wanted[1]}; "
                "the pictures of a scene must have one size"
            )
            return None
    return Scene(name, reference, dict(sorted(pictures.items())), wanted)
