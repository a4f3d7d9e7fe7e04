"""The JSON file of ``styletransfer evaluate``: see :mod:`styletransfer.core.yardstick` for what an entry holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer.core.errors import InputError, SettingsError
from styletransfer.core.yardstick import TERMS, Entry, EvaluateSettings, summarise

if TYPE_CHECKING:
    import torch

FORMAT = 1
"""Version of the file."""


def as_json(header: dict[str, Any], entries: Sequence[Entry], names: Sequence[str], settings: EvaluateSettings) -> str:
    """The whole file.

    Args:
        header: what was measured, and on what.
        entries: all of them, also those that this run did not ask for.
        names: the models of the summary.
        settings: of this run.
    """
    report = {**header, "summary": summarise(entries, names, settings), "results": list(entries)}
    return json.dumps(report) + "\n"


def fingerprint(weight: torch.Tensor) -> str:
    """By which a later run knows that the loss network is the same."""
    return hashlib.sha256(weight.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def read_entries(path: Path, header: dict[str, Any]) -> list[Entry]:
    """The entries of an earlier run.

    Raises:
        InputError: no such file, or one of something else.
        SettingsError: it was of another painting or objective.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file to go on with; leave --resume out")
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        entries: list[Entry] = report["results"]
        known, version = report["baseline"], report["format"]
        if not isinstance(known, dict) or not all(_is_entry(entry) for entry in entries):
            raise KeyError("results")
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise InputError(f"{path}: is no file that `evaluate` wrote; name another one with --json") from error
    if version != FORMAT:
        raise InputError(f"{path}: is of another version of `evaluate` ({version}); name another file with --json")
    differing = sorted(key for key, value in header["baseline"].items() if known.get(key) != value)
    if differing:
        raise SettingsError(
            f"{path}: was measured with another {', '.join(differing).replace('_', ' ')}; name another file with --json"
        )
    return entries


def _is_entry(entry: Any) -> bool:
    """Whether all that is read of an entry is there, in the types that it is read as.

    Raises:
        KeyError, TypeError, AttributeError: it is not, either.
    """
    models, optimisation = entry["models"].values(), entry["optimisation"].values()
    measured = [entry["untouched"]] if "untouched" in entry else []
    measured += [*models, *(terms for run in optimisation for terms in run["at"].values())]
    numbers = [terms[name] for terms in measured for name in TERMS]
    numbers += [one["seconds"] for one in (*models, *optimisation)]
    numbers += [value for model in models for value in model["artefacts"].values()]
    numbers += [entry["size"], *(value for run in optimisation for value in (*run["best"], run["iterations"]))]
    texts = [entry["photo"], entry["pixels"], *(model["file"] for model in models)]
    return (
        all(isinstance(value, int | float) for value in numbers)
        and all(isinstance(value, str) for value in texts)
        and all(run["best"] and isinstance(run["is_done"], bool) for run in optimisation)
    )
