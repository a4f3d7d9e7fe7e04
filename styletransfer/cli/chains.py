"""What cleans a picture before the style and enlarges it after: options, files, names, loaded chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.core.errors import SettingsError
from styletransfer.core.zoo import DEFAULT_STYLE, resolve, resolve_restorer

if TYPE_CHECKING:
    from styletransfer.runtime.chain import Chain

NO_STYLE = "none"
"""What ``--model`` is told for restoration alone."""

_LARGEST_SCALE = 8

BeforeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--before",
        help="Restoration network for what the style is to see: a shipped one's name (see `models`) or an .onnx file; "
        "several times for one after the other.",
        show_default=False,
    ),
]
AfterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--after",
        help="Restoration network for the stylized picture, as upscale2, which doubles its width and height; "
        "several times for one after the other.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Restorers:
    """Which restoration networks stand around the style.

    Attributes:
        before: files of those that clean the picture, in order.
        after: files of those that work on the stylized one, in order.
        scale: the result's side as a multiple of the picture's.
    """

    before: tuple[Path, ...] = ()
    after: tuple[Path, ...] = ()
    scale: int = 1

    def load(self, style: Path | None, provider: str = "auto", threads: int | None = None) -> Chain:
        """A style, or none, between the restorers.

        Raises:
            ModelError: a file is missing, damaged, or of the other kind.
            ProviderError: the provider is not there or does not load.
        """
        from styletransfer.runtime.chain import load_chain

        return load_chain(style, self.before, self.after, provider, threads)

    def label(self, style: str) -> str:
        """What results are called: the names of all networks, joined by hyphens."""
        names = [path.stem for path in self.before], [style] if style else [], [path.stem for path in self.after]
        return "-".join(name for part in names for name in part)

    def fingerprint(self) -> list[list[dict[str, str]]]:
        """Names and SHA-256 of the files: results that other files made are not these."""
        from styletransfer.core.download import file_sha256

        parts = (self.before, self.after)
        return [[{"name": path.stem, "sha256": file_sha256(path)} for path in part] for part in parts]


def find_restorers(before: Sequence[str] | None, after: Sequence[str] | None) -> Restorers:
    """The files that the options name, each looked into for its scale.

    Raises:
        ModelError: one does not exist or is no restoration network.
        SettingsError: together they enlarge too much.
    """
    first, last = (tuple(resolve_restorer(name) for name in names or ()) for names in (before, after))
    if not first and not last:
        return Restorers()
    from styletransfer.runtime.chain import load_chain

    scale = load_chain(None, first, last, provider="cpu").scale
    if scale > _LARGEST_SCALE:
        raise SettingsError(
            f"the restoration networks together enlarge {scale} times; allowed: up to {_LARGEST_SCALE} times"
        )
    return Restorers(first, last, scale)


def find_styles(models: Sequence[str] | None, restorers: Restorers) -> list[Path | None]:
    """The files of the styles, or ``[None]`` where the user wants none.

    Raises:
        ModelError: one does not exist.
        SettingsError: no style and no restoration network either, or a style beside none.
    """
    names = list(models or [DEFAULT_STYLE])
    if NO_STYLE not in names:
        return list(dict.fromkeys(resolve(name) for name in names))
    if another := next((name for name in names if name != NO_STYLE), ""):
        raise SettingsError(f"--model {NO_STYLE} stands for no style; leave it away beside {another}")
    if not (restorers.before or restorers.after):
        raise SettingsError(f"--model {NO_STYLE} leaves nothing to do; add --before or --after, or name a style")
    return [None]


def chain_names(styles: Sequence[Path | None], restorers: Restorers) -> list[str]:
    """The names of the chains for file names, one a style."""
    from styletransfer.cli.targets import style_names

    if list(styles) == [None]:
        return [restorers.label("")]
    return [restorers.label(name) for name in style_names(path for path in styles if path is not None)]
