"""``styletransfer bench``: how fast a style runs here."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from styletransfer.runtime.stylizer import Stylizer

_MAX_SIDE = 8192
_SETTLE_S = 0.1  # onnxruntime's threads spin for a while after a run and would take the next session's cores
_MIN_SIDE = 16


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Style names or .onnx files (default: the default style).", metavar="[MODEL]..."),
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option("--size", "-s", help="Frame size WxH; repeatable. [default: 640x480]")
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option("--provider", help="Execution provider; repeatable. [default: auto]"),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="Another style or .onnx file to compare with; repeatable."),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, help="Measure each for about so long, 5 frames at least.")
    ] = 3.0,
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, help="Measure so many frames each instead.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of the CPU provider. [default: all cores]")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the figures to this file too; - prints them alone."),
    ] = None,
) -> None:
    """Measure milliseconds and frames a second, whole calls: bytes in, bytes out.

    Models and providers take turns frame by frame, so that a machine that slows down or speeds up
    meanwhile does so for all of them. fps is 1 / mean time of a frame.
    """
    from styletransfer.cli.machine import describe
    from styletransfer.core import zoo
    from styletransfer.core.files import write_bytes

    sizes_wh = [parse_size(text) for text in size or ["640x480"]]
    names = list(dict.fromkeys((models or [zoo.DEFAULT_STYLE]) + (against or [])))
    paths = {name: zoo.resolve(name) for name in names}
    contenders = [
        (name, _load(path, asked, threads))
        for asked in dict.fromkeys(provider or ["auto"])
        for name, path in paths.items()
    ]
    rows = []
    for size_wh in sizes_wh:
        times = measure_interleaved([stylizer for _, stylizer in contenders], size_wh, seconds=seconds, repeats=repeats)
        rows += [
            _row(name, stylizer, size_wh, taken) for (name, stylizer), taken in zip(contenders, times, strict=True)
        ]
    if against:
        _compare(rows, against)
    report = {"machine": describe(), "threads": threads, "results": rows}
    text = json.dumps(report, indent=2) + "\n"
    if json_file is not None and str(json_file) == "-":
        typer.echo(text, nl=False)
        return
    _print_table(report)
    if json_file is not None:
        write_bytes(json_file, text.encode())


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of ``640x480``.

    Raises:
        SettingsError: not two numbers, or a side outside 16..8192.
    """
    from styletransfer.core.errors import SettingsError

    match = re.fullmatch(r"\s*(\d{1,6})\s*[x×X*]\s*(\d{1,6})\s*", text)
    if match is None:
        raise SettingsError(f"--size {text!r}: give width x height in pixels, such as 640x480")
    width, height = int(match[1]), int(match[2])
    if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in (width, height)):
        raise SettingsError(f"--size {text}: each side must be {_MIN_SIDE} to {_MAX_SIDE} pixels")
    return width, height


def measure_interleaved(
    stylizers: list[Stylizer], size_wh: tuple[int, int], *, seconds: float, repeats: int | None
) -> list[list[float]]:
    """Seconds of each frame for each stylizer; they take turns, and every round begins with another one.

    Args:
        stylizers: what to measure.
        size_wh: width and height of the frame in pixels.
        seconds: time to spend on each, at least 5 frames; without ``repeats``.
        repeats: number of frames each.
    """
    import numpy as np

    width, height = size_wh
    frame_hwc = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for stylizer in stylizers:
        stylizer.warm_up(height, width)
        stylizer(frame_hwc)
    times: list[list[float]] = [[] for _ in stylizers]
    deadline = time.perf_counter() + (seconds + _SETTLE_S * 5) * len(stylizers)
    rounds = 0
    while rounds < (repeats or 5) or (repeats is None and time.perf_counter() < deadline):
        for turn in range(len(stylizers)):
            index = (rounds + turn) % len(stylizers)
            if len(stylizers) > 1:
                time.sleep(_SETTLE_S)
            start = time.perf_counter()
            stylizers[index](frame_hwc)
            times[index].append(time.perf_counter() - start)
        rounds += 1
    return times


def _load(path: Path, provider: str, threads: int | None) -> Stylizer:
    from styletransfer.runtime.stylizer import Stylizer

    return Stylizer(path, provider=provider, threads=threads)


def _row(name: str, stylizer: Stylizer, size_wh: tuple[int, int], seconds: list[float]) -> dict[str, Any]:
    from styletransfer.runtime.timing import percentile

    return {
        "model": name,
        "provider": stylizer.provider,
        "width": size_wh[0],
        "height": size_wh[1],
        "frames": len(seconds),
        "p50_ms": round(1000 * percentile(seconds, 50), 3),
        "p95_ms": round(1000 * percentile(seconds, 95), 3),
        "fps": round(len(seconds) / sum(seconds), 2),
    }


def _compare(rows: list[dict[str, Any]], against: list[str]) -> None:
    """Add to each row how many times faster its median is than each compared model's."""
    for row in rows:
        same = ("provider", "width", "height")
        row["times_faster_than"] = {
            other["model"]: round(other["p50_ms"] / row["p50_ms"], 2)
            for other in rows
            if other["model"] in against
            and other["model"] != row["model"]
            and all(other[key] == row[key] for key in same)
        }


def _print_table(report: dict[str, Any]) -> None:
    machine = report["machine"]
    flags = f" ({', '.join(machine['flags'])})" if machine["flags"] else ""
    typer.echo(f"{machine['cpu']}, {machine['cores']} cores{flags}, {machine['onnxruntime']}")
    for gpu in machine["gpus"]:
        typer.echo(f"GPU: {gpu}")
    width = max(len(row["model"]) for row in report["results"])
    typer.echo(f"{'model':{width}}  {'size':>9}  {'provider':>9}  {'p50 ms':>8}  {'p95 ms':>8}  {'fps':>7}")
    for row in report["results"]:
        size = f"{row['width']}x{row['height']}"
        ratios = "".join(
            f"  {ratio:.2f}× as fast as {other}" for other, ratio in row.get("times_faster_than", {}).items()
        )
        typer.echo(
            f"{row['model']:{width}}  {size:>9}  {row['provider']:>9}  {row['p50_ms']:8.1f}  "
            f"{row['p95_ms']:8.1f}  {row['fps']:7.1f}{ratios}"
        )
