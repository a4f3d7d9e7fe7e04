"""What a training runs on, and how to make the most of it."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
import time

import torch
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

_PROBES = 5  # of which the fastest counts: anything else that runs only makes one slower


def loss_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware is fast at it (recent GPUs, AMX, AMD's AVX-512), else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if torch.cpu._is_amx_tile_supported():
        return torch.bfloat16
    is_faster = torch.cpu._is_avx512_bf16_supported() and _seconds(torch.bfloat16) < 0.8 * _seconds(torch.float32)
    return torch.bfloat16 if is_faster else torch.float32


@functools.cache
def _seconds(dtype: torch.dtype) -> float:
    """What a convolution takes.

    AVX-512's bfloat16 instructions without AMX make a training step 1.7 times slower on Intel's processors and 1.9
    times faster on AMD's (measured): a difference that no busy moment hides, so a resumed training gets the same type.
    """
    x = torch.ones(1, 64, 256, 256, dtype=dtype).contiguous(memory_format=torch.channels_last)
    kernels = torch.ones(64, 64, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
    best = float("inf")
    with torch.no_grad():
        for _ in range(_PROBES + 1):  # the first prepares the kernel
            start = time.perf_counter()
            F.conv2d(x, kernels, padding=1)
            best = min(best, time.perf_counter() - start)
    return best


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
