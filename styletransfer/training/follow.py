"""How a caller follows a training, and the training's log."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from styletransfer.core.files import explain_os_error

PREVIEW_NAME = "preview.png"


@dataclass(frozen=True)
class Callbacks:
    """How a caller follows a training.

    Attributes:
        on_step: called after every step with the step's number and its losses.
        stop: asked after every step; true ends the training with a checkpoint.
        preview_every, checkpoint_every: steps; 0 for never (the last step always makes both).
    """

    on_step: Callable[[int, dict[str, float]], None] = lambda *_: None
    stop: Callable[[], bool] = lambda: False
    preview_every: int = 100
    checkpoint_every: int = 100


def is_due(step: int, every: int) -> bool:
    """Whether something that happens every so many steps (0: never) happens after this one."""
    return every > 0 and step % every == 0


class StepLog:
    """One JSON object a step; on resuming, lines after the checkpoint are dropped."""

    def __init__(self, path: Path, steps_done: int) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        known = self.read(path) if steps_done and path.exists() else []
        self._kept = [entry for entry in known if entry["step"] <= steps_done]
        self._stream = path.open("w", encoding="utf-8")
        self._stream.writelines(f"{json.dumps(entry)}\n" for entry in self._kept)

    def last(self, steps: int) -> list[dict[str, float]]:
        """The losses of the last steps before those that this run writes, so many at most."""
        return [
            {name: value for name, value in entry.items() if name not in ("step", "seconds")}
            for entry in self._kept[-steps:]
        ]

    def write(self, step: int, losses: dict[str, float], seconds: float) -> None:
        """Add a step.

        Raises:
            OutputError: it cannot be written (full disk).
        """
        entry = {"step": step, **losses, "seconds": round(seconds, 3)}
        try:
            self._stream.write(json.dumps(entry) + "\n")
            self._stream.flush()
        except OSError as error:
            raise explain_os_error(error, self._path) from error

    @staticmethod
    def read(path: Path) -> list[dict[str, float]]:
        """The steps of a log; lines that a crash or a full disk left damaged are left out."""
        entries: list[dict[str, float]] = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                is_step = isinstance(entry, dict) and "step" in entry
                if is_step and all(isinstance(value, int | float) for value in entry.values()):
                    entries.append(entry)
        return [entry for entry in entries if entry.keys() == entries[0].keys()]

    def __enter__(self) -> StepLog:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk was told by write
            self._stream.close()
