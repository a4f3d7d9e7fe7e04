"""What the machine has left."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

KEEP_FREE = 0.1
"""Share of the free memory that stays free, for everything else."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in whatever words; torch has its own for a CPU and for a GPU."""
    is_named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_named or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


def free_bytes() -> int | None:
    """Memory that this process may still take, in bytes (a container's limit counts), or None if unknown."""
    amounts = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        amounts += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    with contextlib.suppress(OSError, ValueError, KeyError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())  # "max", where nothing limits it, is a ValueError
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        amounts.append(max(0, limit - used + int(stat["inactive_file"])))  # caches give way
    if not amounts:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # macOS: half of what is built in
            amounts.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    return min(amounts, default=None)
