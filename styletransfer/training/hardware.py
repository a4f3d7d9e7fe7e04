"""What a training runs on, and how to make the most of it."""

from __future__ import annotations

import ctypes
import platform
import sys

import torch


def loss_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware has matrix units for it (recent GPUs, AMX), else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    # AVX-512's bfloat16 instructions alone are slower than float32 (1.7 times, measured); AMX is several times faster.
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32


def describe_device(device: torch.device) -> str:
    """What the training runs on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads"


def tune_allocator() -> None:
    """Let glibc keep large blocks instead of returning each to the system: several times faster steps on a CPU."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl has neither the problem nor the function
        return
    m_trim_threshold, m_mmap_threshold = -1, -3
    for option in (m_mmap_threshold, m_trim_threshold):
        mallopt(option, 2**31 - 1)
