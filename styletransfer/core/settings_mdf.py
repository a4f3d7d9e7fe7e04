"""What the training of MDF's discriminators can be told; as :mod:`styletransfer.core.settings`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from styletransfer.core.errors import SettingsError

MDF_TASKS = {
    "sr": "enlarged pictures",
    "noise": "Gaussian noise of σ 5 to 50",
    "jpeg": "JPEG of quality 5 to 50",
}
"""What discriminators are trained against, by name."""


def _setting(default: Any, help: str, low: float, high: float) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True)
class MdfSettings:
    """Settings of one training of discriminators, checked on construction; the defaults are the paper's.

    Raises:
        SettingsError: a value outside its range, named with what is allowed.
    """

    task: str = field(default="sr", metadata={"help": f"Trained against: {', '.join(MDF_TASKS)}."})
    iterations: int = _setting(2000, "Iterations a scale.", 1, 1_000_000)
    size: int = _setting(250, "Longer side of the picture at the largest scale, pixels.", 32, 1024)
    seed: int = _setting(0, "Seed of every random choice.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        if self.task not in MDF_TASKS:
            raise SettingsError(f"the task {self.task!r} is unknown; allowed: {', '.join(MDF_TASKS)}")
        for entry in dataclasses.fields(self):
            low, high = entry.metadata.get("low"), entry.metadata.get("high")
            value = getattr(self, entry.name)
            if low is not None and not low <= value <= high:
                raise SettingsError(f"{entry.name} is {value}; allowed: {low} to {high}")

    @staticmethod
    def help(name: str) -> str:
        """The one-line explanation of a setting."""
        text: str = MdfSettings.__dataclass_fields__[name].metadata["help"]
        return text
