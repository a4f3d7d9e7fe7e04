"""Measures of restored pictures that come from networks or from a model of vision; the others need numpy alone.

ColorVideoVDP: Mantiuk, Hanji, Ashraf, Asano, Chapiro: ColorVideoVDP: A visual difference predictor for image, video and
display distortions. SIGGRAPH 2024. ST-LPIPS and LPIPS are the training losses of these names.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray

from styletransfer.core.damage import Measure
from styletransfer.core.errors import MissingExtraError
from styletransfer.core.restoration import METRICS
from styletransfer.training.data import to_bchw
from styletransfer.training.losses.features import load_lpips, load_stlpips

_DISPLAY = "standard_fhd"  # a 24-inch Full HD monitor of 200 cd/m² in an office, seen from twice its height


def build_measure(metric: str, device: torch.device) -> Measure:
    """The function behind a key of :data:`styletransfer.core.restoration.METRICS` that names a package.

    It takes (restored, target), both RGB uint8 ``[H, W, 3]``. ColorVideoVDP looks at them on a Full HD monitor of 24
    inches, one pixel on one of the display, from twice its height; 10 JOD are no difference to be seen, one JOD less is
    seen by 75 % of observers.

    Args:
        metric: ``stlpips``, ``lpips`` or ``jod``.
        device: to compute on.

    Raises:
        MissingExtraError: the package is not installed; the message has the line that installs it.
        StyleTransferError: the weights are not there.
    """
    with _silent_imports():
        return _jod(device) if metric == "jod" else _network_distance(metric, device)


def _network_distance(metric: str, device: torch.device) -> Measure:
    network = {"stlpips": load_stlpips, "lpips": load_lpips}[metric]().to(device).eval()

    def distance(restored_hwc: NDArray[Any], target_hwc: NDArray[Any]) -> float:
        with torch.inference_mode():
            return float(network(to_bchw(restored_hwc, device) / 255, to_bchw(target_hwc, device) / 255))

    return distance


def _jod(device: torch.device) -> Measure:
    try:
        import pycvvdp
    except ImportError as error:
        raise MissingExtraError(error.name or "pycvvdp", "restore", f"measure {METRICS['jod'].title}") from error
    metric = pycvvdp.cvvdp(display_name=_DISPLAY, quiet=True, device=device)

    def predicted(restored_hwc: NDArray[Any], target_hwc: NDArray[Any]) -> float:
        with torch.inference_mode():
            quality, _ = metric.predict(restored_hwc, target_hwc, dim_order="HWC")
        return float(quality)

    return predicted


@contextlib.contextmanager
def _silent_imports() -> Iterator[None]:
    """The builder of torch's extensions, which ColorVideoVDP's imports reach, reports a missing CUDA to stderr."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
