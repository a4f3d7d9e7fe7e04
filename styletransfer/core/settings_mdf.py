"""What the training of MDF's discriminators can be told; as :mod:`styletransfer.core.settings`."""

from __future__ import annotations

from dataclasses import dataclass

from styletransfer.core.errors import SettingsError
from styletransfer.core.ranges import check_ranges, named, ranged

MDF_TASKS = {
    "sr": "enlarged pictures",
    "noise": "Gaussian noise of σ 5 to 50",
    "jpeg": "JPEG of quality 5 to 50",
}
"""What discriminators are trained against, by name."""


@dataclass(frozen=True)
class MdfSettings:
    """Settings of one training of discriminators, checked on construction; the defaults are the paper's.

    Raises:
        SettingsError: a value outside its range, named with what is allowed.
    """

    task: str = named("sr", f"Trained against: {', '.join(MDF_TASKS)}.")
    iterations: int = ranged(2000, "Iterations a scale.", 1, 1_000_000)
    size: int = ranged(250, "Longer side of the picture at the largest scale, pixels.", 32, 1024)
    seed: int = ranged(0, "Seed of every random choice.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        if self.task not in MDF_TASKS:
            raise SettingsError(f"the task {self.task!r} is unknown; allowed: {', '.join(MDF_TASKS)}")
        check_ranges(self)
