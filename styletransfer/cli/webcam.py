"""``styletransfer webcam``: a camera in, the style in a window; or, without a display, figures and a file."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.cli.common import ProviderOption
from styletransfer.cli.live import LiveStage, LiveView, Recorder
from styletransfer.core.errors import ModelError, SettingsError
from styletransfer.core.zoo import DEFAULT_STYLE

if TYPE_CHECKING:
    from styletransfer.media.camera import LiveSource
    from styletransfer.runtime.pipeline import PipelineStats

_MIN_SIDE = 16


def webcam(
    source: Annotated[
        str, typer.Argument(help="Camera number, URL (rtsp://, http://), or a video file as a stand-in.")
    ] = "0",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Style to show: a shipped one's name or an .onnx file; repeat it for several. "
            "Default: all shipped styles.",
        ),
    ] = None,
    width: Annotated[int | None, typer.Option(help="Width to ask the camera for, pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Height to ask the camera for, pixels.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Longer side of the stylized picture, pixels: smaller is faster.")
    ] = None,
    strength: Annotated[float, typer.Option(help="0 (the camera itself) to 1 (the full style).")] = 1.0,
    keep_colors: Annotated[bool, typer.Option("--keep-colors", help="Keep the camera's colours.")] = False,
    provider: ProviderOption = "auto",
    mirror: Annotated[bool, typer.Option("--mirror", help="Flip left and right, as a mirror does.")] = False,
    snapshots: Annotated[Path, typer.Option(help="Folder for snapshots and recordings made in the window.")] = Path(),
    headless: Annotated[bool, typer.Option("--headless", help="No window: print the figures at the end.")] = False,
    frames: Annotated[int | None, typer.Option(help="End after this many frames.")] = None,
    record: Annotated[Path | None, typer.Option(help="Record the result into this video file, without sound.")] = None,
) -> None:
    """Stylize a camera live.

    Keys in the window: n/p next/previous style, +/- strength, c keep colours, s split view, space snapshot,
    r record, h help, q quit.
    """
    for name, value in (("--width", width), ("--height", height), ("--size", size)):
        if value is not None and value < _MIN_SIDE:
            raise SettingsError(f"{name} is {value}; it must be at least {_MIN_SIDE} pixels")
    if not 0.0 <= strength <= 1.0:
        raise SettingsError(f"--strength is {strength:g}; it goes from 0 (the camera) to 1 (the style)")
    if frames is not None and frames < 1:
        raise SettingsError(f"--frames is {frames}; it must be at least 1")
    from styletransfer.media.window import PreviewWindow, ViewState

    styles = _styles(model)
    state = ViewState(styles=len(styles), strength=strength, keep_colors=keep_colors)
    with contextlib.ExitStack() as stack:
        # The window comes first: on Linux OpenCV's windows freeze when PyAV is imported before them.
        window = None if headless else stack.enter_context(PreviewWindow())
        from styletransfer.media.camera import open_source

        recorder = Recorder(record) if record is not None else None
        loop = not headless or frames is not None
        live = stack.enter_context(open_source(source, size_wh=(width, height), loop=loop))
        stage = LiveStage(styles, provider, state, size, mirror)
        _run(live, stage, LiveView(stage, window, snapshots, recorder, frames))


def _run(live: LiveSource, stage: LiveStage, sink: LiveView) -> None:
    from styletransfer.runtime import pipeline

    started = time.perf_counter()
    stats: PipelineStats | None = None
    try:
        stats = pipeline.run(live, stage, sink, newest_only=True, idle=sink.poll)
    finally:
        seconds = stats.seconds if stats else time.perf_counter() - started
        if sink.shown:
            typer.echo(sink.summary(seconds, live.dropped + (stats.dropped if stats else 0)))


def _styles(models: list[str] | None) -> list[Path]:
    """The files of the styles to cycle through, the first one shown first."""
    from styletransfer.core.zoo import resolve, shipped

    if models:
        return [resolve(model) for model in models]
    there = shipped()
    if not there:
        raise ModelError("no styles are shipped with this installation: give an .onnx file with --model")
    first = DEFAULT_STYLE if DEFAULT_STYLE in there else next(iter(there))
    return [there[first]] + [path for name, path in there.items() if name != first]
