"""``styletransfer bench``: how fast a style runs here."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.measure import measure_interleaved

if TYPE_CHECKING:
    from styletransfer.runtime.stylizer import Stylizer

_MIN_SIDE, _MAX_SIDE = 16, 8192


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Style names or .onnx files (default: the default style).", metavar="[MODEL]..."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="The same, as an option; repeatable.")
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
        int | None,
        typer.Option(
            "--threads",
            min=1,
            max=256,
            help="Threads of the CPU provider. [default: what --tune found, else all cores]",
        ),
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages/--no-stages", help="Also time pad, run, crop and blend, one by one.")
    ] = True,
    tune: Annotated[
        bool, typer.Option("--tune", help="Measure numbers of threads first; the fastest is used from now on.")
    ] = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the medians as bars: .png, .svg or .pdf.")] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the figures to this file too; - prints them alone."),
    ] = None,
) -> None:
    """Measure milliseconds and frames a second, whole calls: bytes in, bytes out.

    Models and providers take turns frame by frame, so that a machine that slows down or speeds up
    meanwhile does so for all of them. fps is 1 / mean time of a frame. The last column is the rate of
    the network's multiply-adds as a share of what numpy's matrix product reaches in the same run.
    """
    from styletransfer.cli.extra_files import check_extra, check_plot
    from styletransfer.cli.machine import describe
    from styletransfer.cli.measure import tune_threads
    from styletransfer.core import zoo
    from styletransfer.core.cores import cores
    from styletransfer.core.errors import SettingsError
    from styletransfer.core.files import write_bytes
    from styletransfer.runtime.roofline import matrix_product_rate

    sizes_wh = [parse_size(text) for text in size or ["640x480"]]
    if not math.isfinite(seconds):
        raise SettingsError(f"--seconds is {seconds:g}; give a number of seconds")
    names = list(dict.fromkeys([*(models or []), *(model or [])] or [zoo.DEFAULT_STYLE]))
    names = list(dict.fromkeys(names + (against or [])))
    paths = {name: zoo.resolve(name) for name in names}
    check_extra(json_file, "--json", paths.values())
    check_plot(plot, paths.values())
    report: dict[str, Any] = {"machine": describe(), "threads": threads}
    if tune:
        report["threads_ms"] = tune_threads(paths[names[0]], sizes_wh[0], cores())
    contenders = [
        (name, _load(path, asked, threads))
        for asked in dict.fromkeys(provider or ["auto"])
        for name, path in paths.items()
    ]
    rows: list[dict[str, Any]] = []
    for size_wh in sizes_wh:
        before = matrix_product_rate()
        times = measure_interleaved([stylizer for _, stylizer in contenders], size_wh, seconds=seconds, repeats=repeats)
        rate = max(before, matrix_product_rate())
        report["matrix_product_gmac_per_s"] = round(max(rate / 1e9, report.get("matrix_product_gmac_per_s", 0)), 1)
        rows += [_row(*pair, size_wh, taken) for pair, taken in zip(contenders, times, strict=True)]
    stylizers = [stylizer for _, stylizer in contenders]
    _add_shares(rows, stylizers, report["matrix_product_gmac_per_s"], threads in (None, cores()))
    if stages:
        _add_stages(rows, stylizers)
    if against:
        _compare(rows, against)
    report["results"] = rows
    text = json.dumps(report, indent=2) + "\n"
    if str(json_file) == "-":
        typer.echo(text, nl=False)
    else:
        _print_table(report)
        if json_file is not None:
            write_bytes(json_file, text.encode())
    if plot is not None:
        _draw(rows, report["machine"], plot)


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


def _load(path: Path, provider: str, threads: int | None) -> Stylizer:
    from styletransfer.runtime.stylizer import Stylizer

    return Stylizer(path, provider=provider, threads=threads)


def _row(name: str, stylizer: Stylizer, size_wh: tuple[int, int], seconds: list[float]) -> dict[str, Any]:
    from styletransfer.runtime.timing import percentile

    return {
        "model": name,
        "precision": stylizer.card.precision if stylizer.card is not None else "",
        "provider": stylizer.provider,
        "engine": stylizer.describe(size_wh[1], size_wh[0]),
        "width": size_wh[0],
        "height": size_wh[1],
        "frames": len(seconds),
        "p50_ms": round(1000 * percentile(seconds, 50), 3),
        "p95_ms": round(1000 * percentile(seconds, 95), 3),
        "fps": round(len(seconds) / sum(seconds), 2),
    }


def _add_shares(rows: list[dict[str, Any]], stylizers: list[Stylizer], peak: float, is_comparable: bool) -> None:
    """Add each row's arithmetic, and its rate as a share of the matrix product's, in units of 1e9 multiply-adds.

    Args:
        rows: to add to.
        stylizers: what each of the rows of one size was measured with.
        peak: the matrix product's rate on all cores.
        is_comparable: the rows ran on all cores, too.
    """
    from styletransfer.cli.measure import gmacs

    known: dict[tuple[str, int, int], float | None] = {}
    for place, row in enumerate(rows):
        key = (row["model"], row["width"], row["height"])
        if key not in known:
            known[key] = gmacs(stylizers[place % len(stylizers)], key[1:])
        work = known[key]
        if work is not None:
            rate = 1000 * work / row["p50_ms"]
            row |= {"gmac": round(work, 3), "gmac_per_s": round(rate, 1)}
            if is_comparable and row["provider"] in ("cpu", "openvino"):
                row["share_of_matrix_product"] = round(rate / peak, 3)


def _add_stages(rows: list[dict[str, Any]], stylizers: list[Stylizer]) -> None:
    from styletransfer.cli.measure import stage_times

    for place, row in enumerate(rows):
        found = stage_times(stylizers[place % len(stylizers)], (row["width"], row["height"]))
        if found:
            row["stages_ms"] = found
            row["call_over_run"] = round(found["call"] / found["session.run"], 3)


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
    rows = report["results"]
    width = max(len(row["model"]) for row in rows)
    typer.echo(
        f"{'model':{width}}  {'size':>9}  {'provider':>9}  {'p50 ms':>8}  {'p95 ms':>8}  {'fps':>7}  "
        f"{'precision':>9}  {'GMAC':>6}  {'of peak':>7}"
    )
    for row in rows:
        size = f"{row['width']}x{row['height']}"
        work = f"{row['gmac']:.2f}" if "gmac" in row else "-"
        share = f"{row['share_of_matrix_product']:.0%}" if "share_of_matrix_product" in row else "-"
        ratios = "".join(
            f"  {ratio:.2f}× as fast as {other}" for other, ratio in row.get("times_faster_than", {}).items()
        )
        typer.echo(
            f"{row['model']:{width}}  {size:>9}  {row['provider']:>9}  {row['p50_ms']:8.1f}  {row['p95_ms']:8.1f}  "
            f"{row['fps']:7.1f}  {row['precision'] or '-':>9}  {work:>6}  {share:>7}{ratios}"
        )
    _print_notes(report, width)


def _print_notes(report: dict[str, Any], width: int) -> None:
    """Below the table: how each row ran and where its time went."""
    peak = report["matrix_product_gmac_per_s"]
    typer.echo(f"peak: numpy's float32 matrix product in the same run, all cores: {peak:.1f} GMAC/s")
    if "threads_ms" in report:
        found = ", ".join(f"{threads}: {ms:.1f} ms" for threads, ms in report["threads_ms"].items())
        typer.echo(f"threads: {found} (remembered)")
    for row in report["results"]:
        line = f"{row['model']:{width}}  {row['width']}x{row['height']}: {row['engine']}"
        stages = row.get("stages_ms")
        if stages:
            parts = ", ".join(f"{name} {stages[name]:.2f}" for name in ("pad", "run", "crop", "blend"))
            line += f"; ms: {parts}; call / session.run {row['call_over_run']:.3f}"
        typer.echo(line)


def _draw(rows: list[dict[str, Any]], machine: dict[str, Any], path: Path) -> None:
    """Bars of the medians, one a row, shorter is faster."""
    from matplotlib.figure import Figure

    from styletransfer.core.files import atomic_path

    labels = [f"{row['model']}\n{row['width']}x{row['height']}, {row['provider']} {row['precision']}" for row in rows]
    figure = Figure(figsize=(8, 1.2 + 0.6 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(range(len(rows)), [row["p50_ms"] for row in rows])
    axes.bar_label(bars, [f"{row['p50_ms']:.1f} ms, {row['fps']:.0f} fps" for row in rows], padding=3)
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel("milliseconds a frame, median")
    axes.set_title(f"{machine['cpu']}, {machine['cores']} cores", fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150)
