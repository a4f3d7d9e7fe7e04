"""How commands follow a training: a progress bar, or lines where there is no terminal, TensorBoard, and Ctrl-C."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styletransfer.cli.common import progress, stderr
from styletransfer.core.interrupts import interruption

if TYPE_CHECKING:
    from styletransfer.training.follow import Callbacks

_LINE_EVERY = 50  # steps, without a terminal


@contextmanager
def following(
    steps: int | None,
    every: tuple[int, int],
    tensorboard: Path | None,
    shown: Sequence[str] = (),
    form: str = ",.0f",
) -> Iterator[Callbacks]:
    """Callbacks that show a training; Ctrl-C ends it after the step that it is in.

    Args:
        steps: how many there will be, where that is known.
        every: steps between previews and between checkpoints.
        tensorboard: folder for TensorBoard's files, or none.
        shown: losses that are shown, in this order; all where none are named.
        form: how a loss is written.

    Raises:
        MissingExtraError: TensorBoard is asked for and not installed.
    """
    from styletransfer.training.follow import Callbacks

    console = stderr()
    writer = _tensorboard_writer(tensorboard)
    recent: deque[tuple[float, dict[str, float]]] = deque(maxlen=20)
    with progress() as bar, interruption() as interrupted:
        task = bar.add_task("training", total=steps, note="")

        def on_step(step: int, losses: dict[str, float]) -> None:
            recent.append((time.perf_counter(), losses))
            seconds = recent[-1][0] - recent[0][0]
            rate = (len(recent) - 1) / seconds if seconds else 0.0
            names = [name for name in shown or losses if name in losses]
            means = {name: sum(entry[name] for _, entry in recent) / len(recent) for name in names}
            note = "  ".join((f"{rate:.2f} steps/s", *(f"{name} {value:{form}}" for name, value in means.items())))
            bar.update(task, completed=step, note=note)
            if bar.disable and step % _LINE_EVERY == 0:
                place = f"{step}/{steps}" if steps else f"{step}"
                console.print(f"step {place}  {note}", markup=False, soft_wrap=True)
            if writer is not None:
                for name, value in losses.items():
                    writer.add_scalar(f"loss/{name}", value, step)

        try:
            yield Callbacks(on_step, interrupted.is_set, *every)
        finally:
            if writer is not None:
                writer.close()


def _tensorboard_writer(folder: Path | None) -> Any:
    from styletransfer.core.errors import MissingExtraError

    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "tensorboard", "write TensorBoard's files") from error
    return SummaryWriter(str(folder))
