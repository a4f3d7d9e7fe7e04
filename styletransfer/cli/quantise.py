"""``styletransfer quantise``: a style as an int8 file, for processors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SIZE_WH = (640, 480)
_FRAMES = 12


def quantise(
    model: Annotated[str, typer.Argument(help="A shipped style's name or a float32 .onnx file of ours.")],
    photos: Annotated[
        Path, typer.Option("--photos", help="Folder of photos to calibrate on, such as you will stylize.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The int8 file; default: the style's name, _int8.onnx, here.")
    ] = None,
    count: Annotated[int, typer.Option("--count", help="Photos to take; a quarter measures the quality.")] = 40,
    side: Annotated[int, typer.Option("--side", help="Side of the squares cut out of them, pixels.")] = 256,
) -> None:
    """Write MODEL with 8-bit convolutions: two to three times as fast on processors, and a quarter of the size.

    It is for networks without norms (`train --network plain`); with norms 8 bits show, and gain little.
    How near its pictures come to the float32 file's is measured on photos that it was not calibrated on, printed,
    and kept on the card inside the file; below 30 dB nothing is written.
    """
    from styletransfer.cli.common import warn
    from styletransfer.core import zoo
    from styletransfer.core.errors import MissingExtraError, OutputError
    from styletransfer.core.files import real_path

    try:
        from styletransfer.training.quantise import GOOD_PSNR_DB
        from styletransfer.training.quantise import quantise as write_int8
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "train", "quantise a style") from error

    path = zoo.resolve(model)
    target = out or Path(f"{path.stem}_int8.onnx")
    if target.suffix != ".onnx" or target.is_dir():
        raise OutputError(f"{target}: name a file that ends in .onnx with --out")
    if real_path(target) == real_path(path):
        raise OutputError(f"{target}: is the float32 file itself; name another one with --out")
    quality = write_int8(path, photos, target, count=count, side=side, on_skipped=lambda why: warn(f"{why} (left out)"))
    typer.echo(
        f"{target}: {target.stat().st_size / 1000:,.0f} kB ({path.stat().st_size / 1000:,.0f} kB in float32), "
        f"{quality.psnr_db:.1f} dB from float32 on {quality.photos} photos, the worst {quality.least_psnr_db:.1f} dB"
        + ("; the last convolution stayed float32" if quality.last_is_float else "")
    )
    if quality.least_psnr_db < GOOD_PSNR_DB:
        warn(f"{target}: {quality.least_psnr_db:.1f} dB can be seen beside the float32 file; look before you ship it")
    times = _times_as_fast(path, target)
    line = f"{times:.1f}× as fast as float32 here, on the CPU at {_SIZE_WH[0]}x{_SIZE_WH[1]}"
    if times > 1.05:
        typer.echo(line)
    else:
        warn(f"{target}: {line}: this processor lacks fast 8-bit arithmetic; keep the float32 file for it")


def _times_as_fast(path: Path, target: Path) -> float:
    """The least time of a frame of the float32 file over that of the int8 file, in turn."""
    from styletransfer.cli.measure import measure_interleaved
    from styletransfer.runtime.stylizer import Stylizer

    stylizers = [Stylizer(file, "cpu") for file in (path, target)]
    slow, fast = measure_interleaved(stylizers, _SIZE_WH, seconds=0, repeats=_FRAMES)
    return min(slow) / min(fast)
