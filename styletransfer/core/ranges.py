"""Fields of settings that know their range and their help."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any

from styletransfer.core.errors import SettingsError


def ranged(default: Any, help: str, low: float, high: float) -> Any:
    """A number of a frozen dataclass, ``low`` to ``high`` inclusive."""
    return field(default=default, metadata={"help": help, "low": low, "high": high})


def named(default: Any, help: str) -> Any:
    """A field of any other kind."""
    return field(default=default, metadata={"help": help})


def check_ranges(settings: Any) -> None:
    """Check every :func:`ranged` field.

    Raises:
        SettingsError: a value outside its range, named with what is allowed.
    """
    for entry in dataclasses.fields(settings):
        if "low" not in entry.metadata:
            continue
        value = getattr(settings, entry.name)
        low, high = entry.metadata["low"], entry.metadata["high"]
        if not low <= value <= high:  # false for NaN too
            raise SettingsError(f"{entry.name} is {value}; allowed: {low} to {high}")


def help_of(settings: type[Any], name: str) -> str:
    """The one-line explanation of a field."""
    text: str = settings.__dataclass_fields__[name].metadata["help"]
    return text
