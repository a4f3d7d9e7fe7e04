"""``styletransfer webcam``: a camera in, the style in a window; or, without a display, figures and a file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.chains import NO_STYLE, AfterOption, BeforeOption, find_restorers
from styletransfer.cli.common import ProviderOption
from styletransfer.cli.extra_files import check_extra
from styletransfer.core.errors import ModelError, SettingsError

if TYPE_CHECKING:
    from styletransfer.cli.live import LiveStage
    from styletransfer.cli.show import LiveView
    from styletransfer.media.live import LiveSource
    from styletransfer.media.view import ViewState
    from styletransfer.runtime.adaptive import SizeController
    from styletransfer.runtime.background import BackgroundSink
    from styletransfer.runtime.mask import PersonMask

_MIN_SIDE, _MAX_SIDE = 16, 16_384
_POLL_S = 1 / 60


def webcam(
    source: Annotated[
        str, typer.Argument(help="Camera number, URL (rtsp://, http://), or a video file as a stand-in.")
    ] = "0",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            "--style",
            help="Style to show: a shipped one's name or an .onnx file; repeat it for several; none begins without. "
            "Default: all shipped styles, on a CPU the fastest ones first.",
        ),
    ] = None,
    before: BeforeOption = None,
    after: AfterOption = None,
    width: Annotated[int | None, typer.Option(help="Width to ask the camera for, pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Height to ask the camera for, pixels.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Longer side of the stylized picture, pixels: smaller is faster.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frame rate to hold: the network works at a lower resolution where it must."),
    ] = None,
    strength: Annotated[float, typer.Option(help="0 (the camera itself) to 1 (the full style).")] = 1.0,
    stroke: Annotated[float, typer.Option(help="Size of the strokes, 0.5 to 3: 2 is twice as large, and fast.")] = 1.0,
    keep_colors: Annotated[bool, typer.Option("--keep-colors", help="Keep the camera's colours.")] = False,
    style_on: Annotated[str, typer.Option("--style-on", help="Where the style goes: person, background or both.")] = "",
    background_model: Annotated[
        str | None, typer.Option("--background-model", help="Another style behind the person.")
    ] = None,
    mask_model: Annotated[
        Path | None,
        typer.Option("--mask-model", help="An .onnx network that finds people, in place of the shipped one."),
    ] = None,
    provider: ProviderOption = "auto",
    mirror: Annotated[bool, typer.Option("--mirror", help="Flip left and right, as a mirror does.")] = False,
    full_screen: Annotated[bool, typer.Option("--full-screen", help="Fill the screen.")] = False,
    snapshots: Annotated[Path, typer.Option(help="Folder for snapshots and recordings made in the window.")] = Path(),
    headless: Annotated[bool, typer.Option("--headless", help="No window: print the figures at the end.")] = False,
    frames: Annotated[int | None, typer.Option(help="End after this many frames.")] = None,
    record: Annotated[Path | None, typer.Option(help="Record the result into this video file, without sound.")] = None,
    virtual_camera: Annotated[
        bool, typer.Option("--virtual-camera", help="Send the result to a virtual camera, for video calls.")
    ] = False,
    reconnect: Annotated[
        float, typer.Option(help="Seconds to wait for a camera that vanished to come back; 0 ends at once.")
    ] = 30.0,
) -> None:
    """Stylize a camera live.

    Keys in the window: 1-9 and n/p choose the style, +/- strength, ,/. stroke size, s split view, m mirror,
    c keep colours, b person or background, space snapshot, r record, f full screen, h all keys, q quit.
    """
    for name, value in (("--width", width), ("--height", height), ("--size", size)):
        if value is not None and not _MIN_SIDE <= value <= _MAX_SIDE:
            raise SettingsError(f"{name} is {value}; it goes from {_MIN_SIDE} to {_MAX_SIDE} pixels")
    if frames is not None and frames < 1:
        raise SettingsError(f"--frames is {frames}; it must be at least 1")
    if not 0 <= reconnect <= 86_400:  # also refuses NaN
        raise SettingsError(f"--reconnect is {reconnect:g}; allowed: 0 to 86400 seconds")
    restorers = find_restorers(before, after)
    if model and NO_STYLE in model:  # the keys still choose one
        model, strength = [name for name in model if name != NO_STYLE], 0.0
    styles = _styles(model, provider)
    check_extra(record, "--record", [Path(source), *styles, mask_model])
    state = _state(styles, background_model, style_on, strength, stroke)
    state = _with(state, keep_colors=keep_colors, mirror=mirror, full_screen=full_screen)
    controller = _controller(fps)
    with contextlib.ExitStack() as stack:
        from styletransfer.media.window import PreviewWindow

        # The window comes first: on Linux OpenCV's windows freeze when PyAV is imported before them.
        window = None if headless else stack.enter_context(PreviewWindow())
        from styletransfer.cli.live import LiveStage
        from styletransfer.cli.recording import Recording
        from styletransfer.cli.shelf import StyleShelf
        from styletransfer.cli.show import LiveView
        from styletransfer.media.camera import open_source

        recording = Recording(record) if record is not None else None
        virtual = stack.enter_context(_virtual_camera(fps)) if virtual_camera else None
        make_mask = _mask_maker(mask_model, state)
        loop = not headless or frames is not None or virtual_camera
        live = open_source(source, size_wh=(width, height), loop=loop, reconnect_s=reconnect)
        stack.enter_context(live)
        shelf = StyleShelf(styles, provider)
        chain = restorers.load(None, provider)
        stage = LiveStage(shelf, state, size=size, controller=controller, make_mask=make_mask, restorers=chain)
        if window is not None or state.background >= 0:
            stack.enter_context(shelf)
        view = LiveView(
            stage,
            shelf,
            window,
            folder=snapshots,
            recording=recording,
            virtual=virtual,
            limit=frames,
            trouble=lambda: live.message,
        )
        _run(live, stage, view, _POLL_S if window is not None else 0.05)


def _run(live: LiveSource, stage: LiveStage, view: LiveView, poll_s: float) -> None:
    from styletransfer.runtime import pipeline

    started = time.perf_counter()
    stats: pipeline.PipelineStats | None = None
    try:
        stats = pipeline.run(live, stage, view, newest_only=True, idle=view.poll, times=view.times, poll_s=poll_s)
    finally:
        seconds = stats.seconds if stats else time.perf_counter() - started
        if view.shown:
            typer.echo(view.summary(seconds, live.dropped + (stats.dropped if stats else 0)))


def _state(
    styles: list[Path], background_model: str | None, style_on: str, strength: float, stroke: float
) -> ViewState:
    """What is shown at first; a background style that is not among ``styles`` is added to them."""
    from styletransfer.core.zoo import resolve
    from styletransfer.media.view import STROKE_RANGE, STYLE_ON, ViewState

    if not 0.0 <= strength <= 1.0:
        raise SettingsError(f"--strength is {strength:g}; it goes from 0 (the camera) to 1 (the style)")
    low, high = STROKE_RANGE
    if not low <= stroke <= high:
        raise SettingsError(f"--stroke is {stroke:g}; it goes from {low:g} (fine) to {high:g} (broad)")
    if style_on and style_on not in STYLE_ON:
        raise SettingsError(f"--style-on is {style_on!r}; allowed: {', '.join(STYLE_ON)}")
    if background_model is not None and style_on not in ("", "both"):
        raise SettingsError(f"--background-model needs --style-on both; with {style_on} the rest is the camera's")
    background = -1
    if background_model is not None:
        path = resolve(background_model)
        if path not in styles:
            styles.append(path)
        background = styles.index(path)
    return ViewState(
        styles=len(styles),
        strength=strength,
        stroke=stroke,
        style_on=style_on or "both",
        background=background,
        awake_s=time.perf_counter() + 3,  # the first frame takes its time
        chosen_s=time.perf_counter() + 1,
    )


def _with(state: ViewState, **changes: Any) -> ViewState:
    from dataclasses import replace

    return replace(state, **changes)


def _controller(fps: float | None) -> SizeController | None:
    from styletransfer.runtime.adaptive import SizeController

    return None if fps is None else SizeController(fps)


def _virtual_camera(fps: float | None) -> BackgroundSink[Any]:
    from styletransfer.media.virtual import VirtualCamera
    from styletransfer.runtime.background import BackgroundSink

    camera = VirtualCamera(fps or 30.0)
    camera.open(640, 480)  # the first frame brings the real size; that there is no camera is said now
    return BackgroundSink(camera, name="virtual-camera", close_s=1.0)


def _mask_maker(model: Path | None, state: ViewState) -> Callable[[], PersonMask] | None:
    """What loads the mask network; it is loaded now where it is needed at once, so that a bad file ends here."""
    from styletransfer.runtime.mask import PersonMask, shipped_mask

    if model is not None or state.needs_mask:
        mask = PersonMask(model)
        return lambda: mask
    return PersonMask if shipped_mask() is not None else None


def _styles(models: list[str] | None, provider: str) -> list[Path]:
    """The files of the styles to cycle through, the first one shown first."""
    from styletransfer.core.zoo import resolve, shipped_for_live
    from styletransfer.runtime.providers import means_cpu

    if models:
        return [resolve(model) for model in models]
    there = shipped_for_live(means_cpu(provider))
    if not there:
        raise ModelError("no styles are shipped with this installation: give an .onnx file with --model")
    return there
