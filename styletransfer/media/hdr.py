"""HDR clips (PQ, HLG) brought to the range that styles and 8-bit files have.

The formulas are those of Recommendations ITU-R BT.2100 (the two curves), BT.2390 (the knee that compresses the
highlights, applied to the largest of the three colours so that hues stay) and BT.2087 (BT.2020 colours in BT.709).
They are put into one table of 33³ colours, which FFmpeg interpolates (`lut3d`).
"""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.filter.graph import Graph
from av.video.frame import VideoFrame
from numpy.typing import NDArray

PQ, HLG = 16, 18
"""Transfer characteristics, as FFmpeg numbers them."""

NAMES = {PQ: "PQ", HLG: "HLG"}

_PEAK_NITS = 1000.0  # what most films are mastered for, and HLG's nominal display; brighter is clipped
_WHITE_NITS = 203.0  # HDR's reference white (BT.2408), which becomes nearly the white of the result
_POINTS = 33
_TICK = Fraction(1, 1000)  # any: the frames carry no times here

Colours = NDArray[np.float64]


class ToneMap:
    """Frames of PQ or HLG → BT.709.

    Args:
        transfer: :data:`PQ` or :data:`HLG`.
    """

    def __init__(self, transfer: int) -> None:
        self._table = table(transfer)
        self._size: tuple[int, int] | None = None
        self._graph: Any = None

    def __call__(self, rgb48: VideoFrame) -> NDArray[np.uint8]:
        """RGB uint8 ``[H, W, 3]`` of a frame in ``rgb48le`` (full range, BT.2020 colours)."""
        size = (rgb48.width, rgb48.height)
        if size != self._size:
            self._graph, self._size = self._build(rgb48), size
        rgb48.pts = None
        self._graph.vpush(rgb48)
        mapped: NDArray[np.uint8] = self._graph.vpull().to_ndarray()
        return mapped

    def _build(self, template: VideoFrame) -> Graph:
        graph = Graph()
        handle, name = tempfile.mkstemp(suffix=".cube")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(f"LUT_3D_SIZE {_POINTS}\n")
                np.savetxt(file, self._table.reshape(-1, 3), fmt="%.6f")
            escaped = Path(name).as_posix().replace(":", "\\:").replace("'", "\\'")
            nodes = [
                graph.add_buffer(width=template.width, height=template.height, format=template.format, time_base=_TICK),
                graph.add("lut3d", f"file={escaped}:interp=tetrahedral"),
                graph.add("format", "rgb24"),
                graph.add("buffersink"),
            ]
            graph.link_nodes(*nodes).configure()
        finally:
            Path(name).unlink()
        return graph


def table(transfer: int) -> Colours:
    """BT.709 signal values for a grid of HDR signal values: ``[blue, green, red, 3]``, 0..1."""
    axis = np.linspace(0.0, 1.0, _POINTS)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    signal = np.stack([red, green, blue], -1)
    nits = pq_to_nits(signal) if transfer == PQ else _hlg_to_nits(signal)
    brightest = nits.max(-1, keepdims=True)
    scale = np.where(brightest > 0, _compress(brightest) / np.maximum(brightest, 1e-9), 0.0)
    linear = np.clip(nits * scale / _WHITE_NITS @ _BT2020_TO_BT709.T, 0.0, 1.0)
    result: Colours = linear ** (1 / 2.4)  # BT.1886
    return result


def pq_to_nits(signal: Colours) -> Colours:
    """Luminance in cd/m² of PQ signal values 0..1 (BT.2100, table 4)."""
    root = signal ** (1 / _M2)
    nits: Colours = 10_000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)
    return nits


def nits_to_pq(nits: Colours) -> Colours:
    """The inverse of :func:`pq_to_nits`."""
    power = (nits / 10_000) ** _M1
    signal: Colours = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return signal


def _hlg_to_nits(signal: Colours) -> Colours:
    """Luminance in cd/m² on HLG's nominal display (BT.2100, table 5; gamma 1.2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    nits: Colours = _PEAK_NITS * luminance[..., None] ** 0.2 * scene
    return nits


def _compress(nits: Colours) -> Colours:
    """The knee of BT.2390 (section 5.4.1): dark and middle tones stay, the peak becomes the white."""
    peak = nits_to_pq(np.array(_PEAK_NITS))
    signal = np.minimum(nits_to_pq(nits) / peak, 1.0)
    white = nits_to_pq(np.array(_WHITE_NITS)) / peak
    knee = 1.5 * white - 0.5
    t = (signal - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return pq_to_nits(np.where(signal < knee, signal, spline) * peak)


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_BT2020_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
