"""The loss network for commands that compute an objective: where it runs, and its weights with a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.cli.fetch import bytes_bar
from styletransfer.core.errors import MissingExtraError, ProviderError, SettingsError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from styletransfer.training.vgg import VGGFeatures

DeviceOption = Annotated[str, typer.Option("--device", help="Where the objective is computed: auto, cpu or cuda.")]
VggOption = Annotated[
    Path | None,
    typer.Option("--vgg", help="VGG-16 weights (.safetensors or .pth); else STYLETRANSFER_VGG16 or a download."),
]


def device_for(name: str, why: str) -> torch.device:
    """The device that ``--device`` names, ready for work.

    Args:
        name: ``auto``, ``cpu`` or ``cuda``.
        why: what torch is needed for, as it completes "... is needed to ...".

    Raises:
        SettingsError: another name.
        ProviderError: no CUDA GPU is there.
        MissingExtraError: torch or safetensors is not installed.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"--device is {name!r}; allowed: auto, cpu, cuda")
    try:
        import safetensors  # noqa: F401
        import torch
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", why) from error
    from styletransfer.training.hardware import tune_allocator

    if name == "cuda" and not torch.cuda.is_available():
        raise ProviderError("--device cuda: torch finds no CUDA GPU here; use --device cpu, or a torch built for CUDA")
    tune_allocator()
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def load_lossnet(path: Path | None) -> VGGFeatures:
    """VGG-16 on the CPU; a download shows its progress."""
    from styletransfer.training.vgg import load_vgg

    with bytes_bar("VGG-16 weights") as advance:
        return load_vgg(path, on_progress=advance)


def fit_memory(
    network: VGGFeatures, size_wh: tuple[int, int], painting_hwc: NDArray[np.uint8], style_size: int, on: torch.device
) -> None:
    """Let the optimisation of a picture of this size compute feature maps twice where it would not fit otherwise.

    Raises:
        InputError: it does not fit even so; the message says what would.
    """
    import numpy as np

    from styletransfer.core.baseline import GatysSettings
    from styletransfer.training.gatys_plan import Commission, plan_memory

    settings = GatysSettings(sizes=(max(size_wh),), style_size=style_size)
    photo = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    _, network.saves_memory = plan_memory(Commission(photo, painting_hwc, settings), on)
