"""What this machine is: processor, cores, graphics card. For `doctor` and for benchmarks' reports."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from styletransfer.core.cores import cores

_TELLING_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
ONNXRUNTIME_PACKAGES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-rocm",
    "onnxruntime-silicon",
)


def output_of(command: list[str], timeout_s: float = 10.0) -> str:
    """What a program prints to stdout, stripped; empty where it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def cpu_name() -> str:
    """The processor's name as its maker writes it."""
    name = _cpuinfo().get("model name", "")
    if not name and platform.system() == "Darwin":
        name = output_of(["sysctl", "-n", "machdep.cpu.brand_string"])
    return name or platform.processor() or platform.machine()


def cpu_flags() -> list[str]:
    """Those instruction sets of the processor that matter here; empty where they cannot be read."""
    flags = set(_cpuinfo().get("flags", "").split())
    return [flag for flag in _TELLING_FLAGS if flag in flags]


def gpus() -> list[str]:
    """NVIDIA graphics cards with their drivers; empty where there are none or the driver is not installed."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return [line.strip() for line in output_of(query).splitlines() if line.strip()]


def onnxruntime_packages() -> dict[str, str]:
    """Installed packages that hold the import name `onnxruntime`, with their versions."""
    return {name: version for name in ONNXRUNTIME_PACKAGES if (version := package_version(name))}


def package_version(name: str) -> str | None:
    """Version of an installed package, without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def describe() -> dict[str, Any]:
    """The machine as benchmarks name it in their results."""
    packages = onnxruntime_packages()
    return {
        "cpu": cpu_name(),
        "cores": cores(),
        "flags": cpu_flags(),
        "gpus": gpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": " + ".join(f"{name} {version}" for name, version in packages.items()),
    }


def _cpuinfo() -> dict[str, str]:
    """First processor's entries of Linux's /proc/cpuinfo; empty elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
