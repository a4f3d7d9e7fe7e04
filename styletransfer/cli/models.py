"""``styletransfer models``: the shipped networks, and everything that a file says about itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.common import fail
from styletransfer.core.errors import ModelError
from styletransfer.core.zoo import models_dir, resolve, resolve_restorer, shipped, shipped_restorers

if TYPE_CHECKING:
    from pathlib import Path

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app = typer.Typer(help="List the shipped networks; `models info` shows one in full.", add_completion=False)

_COLUMNS = ("name", "painting", "artist", "year", "network", "kB")
_RESTORER_COLUMNS = ("name", "task", "scale", "network", "kB")


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the shipped styles and restoration networks; `models info NAME` shows one in full."""
    if context.invoked_subcommand is not None:
        return
    styles, bad_styles = _rows(shipped().values(), _style_row)
    restorers, bad_restorers = _rows(shipped_restorers().values(), _restorer_row)
    if as_json:
        typer.echo(json.dumps(styles + restorers, indent=2, ensure_ascii=False))
    elif styles:
        _print_table(styles, _COLUMNS)
    elif not bad_styles:
        typer.echo(f"no styles in {models_dir()}; `styletransfer train` makes one", err=True)
    if restorers and not as_json:
        typer.echo("\nfor `restore`, --before and --after:")
        _print_table(restorers, _RESTORER_COLUMNS)
    if bad_styles or bad_restorers:
        raise typer.Exit(1)


@app.command("info")
def info(
    model: Annotated[str, typer.Argument(help="A shipped network's name or an .onnx file.")],
    as_json: JsonOption = False,
) -> None:
    """Show a file in full: its card, inputs and outputs, size and hash."""
    facts = _facts(_file(model))
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for line in _lines(facts):
        typer.echo(line)


def _file(model: str) -> Path:
    """The file of a network of either kind."""
    try:
        return resolve(model)
    except ModelError:
        with contextlib.suppress(ModelError):
            return resolve_restorer(model)
        raise


def _rows(paths: Iterable[Path], row: Callable[[Path], dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """A row for every file that can be read, and whether there are others, which are named."""
    rows, broken = [], False
    for path in paths:
        try:
            rows.append(row(path))
        except ModelError as error:
            fail(str(error))
            broken = True
    return rows, broken


def _style_row(path: Path) -> dict[str, Any]:
    card = _facts(path, with_hash=False)["card"] or {}
    painting = card.get("painting", {})
    network = f"{card['architecture']} {card['channels']}" if card else "made by others"
    return {
        "name": path.stem,
        "painting": painting.get("title", ""),
        "artist": painting.get("artist", ""),
        "year": painting.get("year", ""),
        "network": network,
        "kB": round(path.stat().st_size / 1000),
    }


def _restorer_row(path: Path) -> dict[str, Any]:
    card = _facts(path, with_hash=False)["card"] or {}
    if card.get("task", "style") == "style":
        raise ModelError(f"{path}: is no restoration network; styles lie in {path.parent.parent}")
    return {
        "name": path.stem,
        "task": card["task"],
        "scale": f"×{card['scale']}",
        "network": f"{card['architecture']} {card['channels']}",
        "kB": round(path.stat().st_size / 1000),
    }


def _facts(path: Path, with_hash: bool = True) -> dict[str, Any]:
    import dataclasses
    import hashlib

    from styletransfer.runtime.providers import create_session
    from styletransfer.runtime.signature import read_card, read_signature

    session, _ = create_session(path, "cpu")
    card = read_card(session, path)
    signature = read_signature(session, card, path)  # refuses what is no network of ours
    facts: dict[str, Any] = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "contract": "styletransfer" if signature.is_bytes else "fast-neural-style",
        "inputs": [_value(value) for value in session.get_inputs()],
        "optional_inputs": [_value(value) for value in session.get_overridable_initializers()],
        "outputs": [_value(value) for value in session.get_outputs()],
        "card": None if card is None else dataclasses.asdict(card),
    }
    if with_hash:
        with path.open("rb") as file:
            facts["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return facts


def _value(value: Any) -> dict[str, Any]:
    return {"name": value.name, "type": value.type[len("tensor(") : -1], "shape": value.shape}


def _print_table(rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    lines = [dict(zip(columns, columns, strict=True)), *rows]
    widths = {column: max(len(str(line[column])) for line in lines) for column in columns}
    for line in lines:
        cells = [
            str(line[column]).rjust(widths[column]) if column == "kB" else str(line[column]).ljust(widths[column])
            for column in columns
        ]
        typer.echo("  ".join(cells).rstrip())


def _lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    """Nested facts as indented lines, ``key: value``."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            listed = [f"{item['name']} {item['type']} {item['shape']}" for item in value]
            lines.append(f"{indent}{key}: {'; '.join(listed)}")
        else:
            empty = value in (None, "", {}, [])
            lines.append(f"{indent}{key}: {'none' if empty else value}")
    return lines
