"""``styletransfer stability``: how steady stylized clips are, beside how strong their style is."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.common import ProviderOption, fail, progress, stderr, warn
from styletransfer.core.errors import InputError, MissingExtraError, SettingsError, StyleTransferError
from styletransfer.core.zoo import DEFAULT_STYLE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from styletransfer.media.stability import StabilityMeter
    from styletransfer.runtime.stylizer import Stylizer

    StyleLoss = Callable[[NDArray[np.uint8]], float]

_UNTOUCHED = "untouched clip"
_STYLE_FRAMES = 4  # of a clip whose style loss is taken: VGG-16 takes longer than all the rest
_STYLE_SIDE = 512  # pixels; the middle of larger frames is looked at
_MIN_SIDE = 32


def stability(
    clips: Annotated[list[Path], typer.Argument(help="Video files.", show_default=False)],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A style to measure, a shipped name or an .onnx file; repeatable. The others are compared with the "
            f"first. Default: {DEFAULT_STYLE}.",
            show_default=False,
        ),
    ] = None,
    painting: Annotated[
        Path | None,
        typer.Option("--painting", help="The styles' painting: measure the style loss too (needs the train extra)."),
    ] = None,
    smooth: Annotated[
        float, typer.Option("--smooth", help="Measure `video --smooth` of this strength too, 0 to 1; 0: do not.")
    ] = 0.0,
    frames: Annotated[int, typer.Option("--frames", help="Measure so many frames of each clip; 0: all.")] = 60,
    size: Annotated[
        int | None, typer.Option("--size", help="Longer side in pixels. Default: as the clip.", show_default=False)
    ] = None,
    style_size: Annotated[
        int, typer.Option("--style-size", help="Longer side of the painting in training, pixels.")
    ] = 384,
    provider: ProviderOption = "auto",
    vgg: Annotated[
        Path | None,
        typer.Option("--vgg", help="VGG-16 weights (.safetensors or .pth); else STYLETRANSFER_VGG16 or a download."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file too; - prints them alone.")
    ] = None,
) -> None:
    """Measure how much stylized clips flicker.

    The warping error follows each pixel along the clip's own motion to the next frame and squares the difference
    (Lai et al. 2018); flicker is what changes where the clip stands still. A weak or blurred style is steady too:
    look at the style loss (lower is closer to the painting), or at contrast and detail, beside them.
    """
    from styletransfer.cli.extra_files import check_extra
    from styletransfer.core.files import write_bytes
    from styletransfer.core.zoo import resolve
    from styletransfer.runtime.stylizer import Stylizer

    if not 0.0 <= smooth <= 1.0:
        raise SettingsError(f"--smooth is {smooth:g}; it goes from 0 (not measured) to 1")
    if frames < 0 or frames == 1:
        raise SettingsError(f"--frames is {frames}; give 2 or more, or 0 for all")
    if size is not None and not _MIN_SIDE <= size <= 16_384:
        raise SettingsError(f"--size is {size}; it goes from {_MIN_SIDE} to 16384 pixels")
    paths = {name: resolve(name) for name in dict.fromkeys(model or [DEFAULT_STYLE])}
    check_extra(json_file, "--json", [*clips, *paths.values(), painting])
    style_loss = None if painting is None else _style_loss(painting, style_size, vgg)
    stylizers = {name: Stylizer(path, provider=provider) for name, path in paths.items()}
    report: list[dict[str, Any]] = []
    failed = 0
    for clip in dict.fromkeys(clips):
        try:
            report.append(_measure(clip, stylizers, smooth, frames, size, style_loss))
        except StyleTransferError as error:
            fail(str(error))
            failed += 1
    means = _means(report)
    what = {"frames": frames, "size": size, "smooth": smooth, "painting": painting and str(painting)}
    text = json.dumps({"settings": what, "clips": report, "mean": means}, indent=2) + "\n"
    if json_file is not None and str(json_file) != "-":
        write_bytes(json_file, text.encode())
    if json_file is not None and str(json_file) == "-":
        typer.echo(text, nl=False)
    elif report:
        _show(report, means)
    if failed:
        raise typer.Exit(1)


def _measure(
    clip: Path,
    stylizers: dict[str, Stylizer],
    smooth: float,
    limit: int,
    size: int | None,
    style_loss: StyleLoss | None,
) -> dict[str, Any]:
    """The figures of one clip."""
    from rich.markup import escape

    from styletransfer.media.stability import StabilityMeter
    from styletransfer.media.steady import Smoother
    from styletransfer.media.video import VideoReader

    meter = StabilityMeter()
    smoothers = {name: Smoother(smooth) for name in stylizers} if smooth else {}
    losses: dict[str, list[float]] = {}
    with VideoReader(clip, longer_side=size) as reader, progress() as bar:
        if min(reader.format.width, reader.format.height) < _MIN_SIDE:
            raise InputError(
                f"{clip}: its frames are {reader.format.width}x{reader.format.height}; "
                f"motion is measured from {_MIN_SIDE} pixels a side on"
            )
        total = min(limit or reader.frames, reader.frames or limit)
        every = max(1, math.ceil(total / _STYLE_FRAMES))
        task = bar.add_task(escape(clip.name), total=total or None, note="")
        for index, frame in enumerate(itertools.islice(reader, limit or None)):
            outputs = {_UNTOUCHED: frame.frame_hwc}
            for name, stylizer in stylizers.items():
                outputs[name] = stylizer(frame.frame_hwc)
                if name in smoothers:
                    outputs[_smoothed(name)] = smoothers[name](frame.frame_hwc, outputs[name])
            meter.add(frame.frame_hwc, outputs)
            # The last of each stretch, when a smoother has something to remember.
            if style_loss is not None and index % every == every - 1:
                for name, output in outputs.items():
                    losses.setdefault(name, []).append(style_loss(output))
            bar.update(task, completed=index + 1)
    for sentence in reader.warnings:
        warn(sentence)
    if meter.frames - meter.cuts < 2:
        raise InputError(
            f"{clip}: {meter.frames} frames and {meter.cuts} cuts in it; two frames of one scene are needed"
        )
    return _record(clip, meter, list(outputs), losses)


def _smoothed(name: str) -> str:
    return f"{name}, smoothed"


def _record(clip: Path, meter: StabilityMeter, names: list[str], losses: dict[str, list[float]]) -> dict[str, Any]:
    """One clip's part of the report; the first model is what the others are compared with."""
    outputs: dict[str, dict[str, float | None]] = {}
    for name in names:
        found = meter.result(name)
        outputs[name] = {
            "warping_error": None if math.isnan(found.warping_error) else found.warping_error,
            "flicker_levels": found.flicker_levels,
            "style_loss": sum(losses[name]) / len(losses[name]) if name in losses else None,
            "contrast_levels": found.contrast_levels,
            "detail_levels": found.detail_levels,
        }
    return {
        "clip": str(clip),
        "frames": meter.frames,
        "cuts": meter.cuts,
        "compared_share": meter.compared,
        "still_share": meter.still,
        "outputs": outputs,
    }


def _means(report: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Every figure's mean over the clips that have it, and its ratio to the first model's mean."""
    if not report:
        return {}
    means: dict[str, dict[str, float | None]] = {}
    for name, figures in report[0]["outputs"].items():
        means[name] = {}
        for key in figures:
            values = [entry["outputs"][name][key] for entry in report if entry["outputs"][name][key] is not None]
            means[name][key] = sum(values) / len(values) if values else None
    first = means[list(means)[1]]
    for figures in means.values():
        figures |= {f"{key}_ratio": _ratio(figures[key], first[key]) for key in first if not key.endswith("_ratio")}
    return means


def _ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None


def _show(report: list[dict[str, Any]], means: dict[str, dict[str, float | None]]) -> None:
    """The table on stdout: a block a clip, and the means where there are several."""
    from rich.console import Console
    from rich.table import Table

    has_style = any(figures["style_loss"] is not None for figures in means.values())
    table = Table("clip", "output", box=None, pad_edge=False, header_style="bold")
    for heading in ("warping error ×10⁻³", "flicker", *(["style loss"] if has_style else []), "contrast", "detail"):
        table.add_column(heading, justify="right")
    blocks = [(Path(entry["clip"]).name, entry["outputs"]) for entry in report]
    for title, outputs in [*blocks, ("mean", means)] if len(blocks) > 1 else blocks:
        reference = list(outputs.values())[1]
        for index, (name, figures) in enumerate(outputs.items()):
            cells = [
                _cell(figures["warping_error"], reference["warping_error"], 1000),
                _cell(figures["flicker_levels"], reference["flicker_levels"]),
                *([_cell(figures["style_loss"], reference["style_loss"], digits=0)] if has_style else []),
                _cell(figures["contrast_levels"]),
                _cell(figures["detail_levels"]),
            ]
            table.add_row(title if index == 0 else "", name, *cells, end_section=index == len(outputs) - 1)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, 160)  # a pipe has no width: names are not to be cut off
    console.print(table)
    console.print("flicker, contrast and detail in grey levels; (×): against the first style")
    shares = ", ".join(f"{entry['compared_share']:.0%} of {entry['frames']} frames" for entry in report)
    stderr().print(f"pixels with a partner in the next frame: {shares}", markup=False, soft_wrap=True)


def _cell(value: float | None, reference: float | None = None, scale: float = 1, digits: int = 2) -> str:
    if value is None:
        return "–"
    ratio = _ratio(value, reference)
    return f"{value * scale:,.{digits}f}" + (f" ({ratio:.2f}×)" if ratio is not None else "")


def _style_loss(painting: Path, style_size: int, vgg_file: Path | None) -> StyleLoss:
    """The training's own style loss of a frame, with the default weight."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "train", "measure the style loss; leave --painting out") from error
    import numpy as np

    from styletransfer.cli.lossnet import load_lossnet
    from styletransfer.training.data import load_painting, to_bchw
    from styletransfer.training.losses import Objective

    painting_bchw = load_painting(painting, style_size)
    objective = Objective(load_lossnet(vgg_file), painting_bchw)

    def loss(frame_hwc: NDArray[np.uint8]) -> float:
        height, width = frame_hwc.shape[:2]
        top, left = max(0, height - _STYLE_SIDE) // 2, max(0, width - _STYLE_SIDE) // 2
        middle = np.ascontiguousarray(frame_hwc[top : top + _STYLE_SIDE, left : left + _STYLE_SIDE])
        with torch.no_grad():
            return float(objective.style(objective.vgg(to_bchw(middle))))

    return loss
