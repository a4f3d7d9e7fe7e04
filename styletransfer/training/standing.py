"""Where any training stands, and whether another one may go on from there."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Protocol

from styletransfer.core.errors import CheckpointError, SettingsError


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where any training stands, beside the weights.

    Attributes:
        step: steps done.
        seconds: time spent on them.
        init: name of the network that it started from, or ``none``.
        photos: number of photos in the folder.
        device: what it ran on, in words.
        losses: last losses, averaged over some steps.
    """

    step: int
    seconds: float = 0.0
    init: str = "none"
    photos: int = 0
    device: str = ""
    losses: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what a damaged record says."""
        numbers = (self.step, self.photos, self.seconds, *self.losses.values())
        if (
            not all(isinstance(number, int | float) for number in numbers)
            or not all(isinstance(count, int) and count >= 0 for count in (self.step, self.photos))
            or not (math.isfinite(self.seconds) and self.seconds >= 0)
            or not all(isinstance(text, str) for text in (self.init, self.device))
        ):
            raise SettingsError("steps, seconds, photos or losses are no such numbers")

    def told(self) -> dict[str, Any]:
        """What a model card says of it."""
        return {
            "seconds": round(self.seconds, 1),
            "device": self.device,
            "init": self.init,
            "photos": self.photos,
            "steps_done": self.step,
        }


class Resumable(Protocol):
    """A :class:`Standing` with its settings."""

    @property
    def settings(self) -> Any:
        """What the training was told, a dataclass."""

    @property
    def photos(self) -> int:
        """Number of photos in the folder."""


def check_same(wanted: Resumable, saved: Resumable) -> None:
    """Refuse to go on with a training under other conditions: it would not be the same training any more.

    Args:
        wanted: as it would begin now.
        saved: where the interrupted training stands.

    Raises:
        CheckpointError: a setting or the number of photos differs.
    """
    was, now = ({**dataclasses.asdict(one.settings), "photos": one.photos} for one in (saved, wanted))
    for name, theirs in was.items():
        if (ours := now[name]) != theirs:
            raise CheckpointError(
                f"the interrupted training had {name} {theirs}, now it is {ours}; "
                "give the same options, or leave --resume out to start anew"
            )
