"""One painting in, a live filter out: real-time neural style transfer (Johnson et al. 2016).

Three lines stylize a picture (an RGB ``uint8`` array ``[H, W, 3]`` or a ``PIL.Image``)::

    import styletransfer

    stylize = styletransfer.load("starry_night")
    result = stylize(picture)

``styletransfer --help`` lists the commands.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from styletransfer.runtime.stylizer import Stylizer

# onnxruntime sends what it runs to its maker, and looks once, when it is loaded first, whether it may not.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

try:
    __version__ = version("styletransfer")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__", "load"]


def load(model: str | Path, provider: str = "auto") -> Stylizer:
    """Load a style by its shipped name (``styletransfer models``) or from an ``.onnx`` file.

    Args:
        model: name of a shipped style, or path of a style file.
        provider: ``auto``, ``cpu``, ``cuda``, ``tensorrt``, ``openvino``, ``coreml`` or ``directml``.

    Returns:
        A callable: RGB uint8 ``[H, W, 3]`` (or ``PIL.Image``) to the same kind and size.

    Raises:
        ModelError: no such style, or the file is no style model.
        ProviderError: the provider was asked for and does not load.
    """
    from styletransfer.core.zoo import resolve
    from styletransfer.runtime.stylizer import Stylizer

    return Stylizer(resolve(model), provider=provider)
