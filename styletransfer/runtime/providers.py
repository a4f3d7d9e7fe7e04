"""Execution providers: which this onnxruntime offers, and a session that says which one really runs."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from styletransfer.core.cores import cores
from styletransfer.core.errors import MissingExtraError, ModelError, ProviderError, SettingsError
from styletransfer.runtime.options import cuda_options, openvino_options, tensorrt_options

PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
"""Our short names to onnxruntime's. ``auto`` stands for the first of ``AUTO_ORDER`` that loads."""

AUTO_ORDER = ("cuda", "coreml", "directml", "cpu")
"""TensorRT is not among them: it builds its engine for minutes before the first frame. OpenVINO neither: it is faster
or slower than the CPU's own kernels by network, precision and processor, so ``Stylizer.warm_up`` measures it."""

_OPENVINO_PLUGIN = "onnxruntime_ep_openvino"
_GPU_LINE = "pip uninstall -y onnxruntime && pip install 'styletransfer[gpu]'"
_CUDA_LIBRARIES = "see that nvidia-smi works, then: pip install 'onnxruntime-gpu[cuda,cudnn]'"
_INSTALL = {
    "cuda": _GPU_LINE,
    "tensorrt": f"{_GPU_LINE} 'tensorrt-cu13<11'",
    "openvino": "pip install 'styletransfer[openvino]'",
    "coreml": "it comes with onnxruntime on macOS only",
    "directml": "on Windows: pip uninstall -y onnxruntime && pip install onnxruntime-directml",
}
_MEND = {
    "cuda": _CUDA_LIBRARIES,
    "tensorrt": f"{_CUDA_LIBRARIES} 'tensorrt-cu13<11'",
    "openvino": "pip install --upgrade onnxruntime onnxruntime-ep-openvino",
}
_registering = threading.Lock()
_STYLE_EXPECTED = "a style that `styletransfer train` wrote or a fast-neural-style .onnx file is expected"


@dataclass(frozen=True)
class _Settings:
    threads: int | None
    dimensions: Mapping[str, int] = field(default_factory=dict)
    arena: bool = True
    options: Mapping[str, str] | None = None


def available() -> list[str]:
    """Short names of the providers that this onnxruntime offers; whether one loads, a session shows.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    offered = set(_onnxruntime().get_available_providers())
    if _openvino_plugin_installed():
        offered.add(PROVIDERS["openvino"])
    return [name for name, provider in PROVIDERS.items() if provider in offered]


def means_cpu(provider: str) -> bool:
    """Whether a provider, or what ``auto`` stands for here, computes on the processor; nothing is loaded for it."""
    if provider != "auto":
        return provider in ("cpu", "openvino")
    return not set(available()).intersection(AUTO_ORDER[: AUTO_ORDER.index("cpu")])


def create_session(
    path: Path,
    provider: str = "auto",
    threads: int | None = None,
    dimensions: Mapping[str, int] | None = None,
    *,
    arena: bool = True,
    options: Mapping[str, str] | None = None,
    expected: str = _STYLE_EXPECTED,
) -> tuple[Any, str]:
    """Load a model on a provider and make sure that this provider is the one that runs it.

    Args:
        path: the ``.onnx`` file.
        provider: a key of ``PROVIDERS``, or ``auto`` for the best one that loads.
        threads: threads within an operator; by default the cores that this process may use.
        dimensions: sizes for free dimensions of the model by their names, which OpenVINO is faster for.
        arena: keep the CPU's memory from run to run, which is fast for frames of one size; without it a
            single huge picture takes half the memory, and gives it back.
        options: of the provider, in place of the ones that suit frames of any size.
        expected: what messages say that the file should be.

    Returns:
        The ``onnxruntime.InferenceSession`` and the short name of the provider that runs.

    Raises:
        ModelError: the file is missing, damaged or no ONNX model.
        ProviderError: the provider is unknown, not installed, or does not load.
        SettingsError: ``threads`` is below 1.
        MissingExtraError: onnxruntime is not installed.
    """
    ort = _onnxruntime()
    settings = _Settings(threads, dimensions or {}, arena, options)
    if threads is not None and threads < 1:
        raise SettingsError(f"threads is {threads}; it must be 1 or more")
    _check_file(path, expected)
    offered = available()
    if provider == "auto":
        for name in AUTO_ORDER:
            if name in offered and name != "cpu":
                with contextlib.suppress(Exception):  # the next best one is what auto means
                    return _load(ort, path, name, settings), name
        return _load_on_cpu(ort, path, settings, expected), "cpu"
    if provider not in PROVIDERS:
        raise ProviderError(
            f"unknown provider {provider!r}; choose auto or one of {', '.join(PROVIDERS)} (here: {', '.join(offered)})"
        )
    if provider not in offered:
        raise ProviderError(f"provider {provider} is not installed (here: {', '.join(offered)}); {_INSTALL[provider]}")
    if provider == "cpu":
        return _load_on_cpu(ort, path, settings, expected), "cpu"
    try:
        return _load(ort, path, provider, settings), provider
    except Exception as error:
        _load_on_cpu(ort, path, settings, expected)  # a broken file is a ModelError, not the provider's fault
        hint = _MEND.get(provider, "--provider auto chooses one that loads")
        raise ProviderError(f"provider {provider} is installed but does not load ({explain(error)}); {hint}") from error


def has_bf16() -> bool:
    """Whether OpenVINO's CPU device says that it can calculate in bfloat16."""
    if not _openvino_plugin_installed():
        return False
    devices = _registered_openvino_devices(_onnxruntime())
    return any("BF16" in device.ep_metadata.get("OPTIMIZATION_CAPABILITIES", "").split() for device in devices)


def explain(error: Exception) -> str:
    """The first line of an onnxruntime exception without its codes and source positions."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip())
    text = re.sub(r"(Error: )?\S+\.(cc|h|cpp|cu):\d+ \S+ ", "", text)
    line = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    return line[:300].strip()


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "cpu", "run styles") from error
    onnxruntime.set_default_logger_severity(4)  # what matters comes back as an exception
    return onnxruntime


def _check_file(path: Path, expected: str) -> None:
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; {expected}")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; {expected}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    if is_empty:
        raise ModelError(f"{path}: the file is empty; {expected}")


def _load_on_cpu(ort: Any, path: Path, settings: _Settings, expected: str) -> Any:
    try:
        return _load(ort, path, "cpu", settings)
    except Exception as error:
        raise ModelError(
            f"{path}: onnxruntime {ort.__version__} cannot load it ({explain(error)}); {expected}"
        ) from error


def _load(ort: Any, path: Path, name: str, settings: _Settings) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = settings.threads or _default_threads()
    options.enable_cpu_mem_arena = settings.arena
    # Threads that wait for the next frame by spinning take the cores from the other networks of a chain.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    for dimension, size in settings.dimensions.items():
        options.add_free_dimension_override_by_name(dimension, size)
    providers = _configure(ort, options, name, settings)
    # Without enable_fallback=0 onnxruntime prints to stdout and goes on with the CPU.
    session = ort.InferenceSession(_source(path), options, providers=providers, enable_fallback=0)
    running = session.get_providers()
    if not running or running[0] != PROVIDERS[name]:
        raise ProviderError(f"onnxruntime chose {running[0] if running else 'nothing'} instead")
    return session


def _configure(ort: Any, options: Any, name: str, settings: _Settings) -> list[Any] | None:
    """The providers for a session, best first, after setting in ``options`` what ``name`` needs."""
    cpu, wanted = PROVIDERS["cpu"], PROVIDERS[name]
    if name in ("cuda", "tensorrt"):
        if hasattr(ort, "preload_dlls"):
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it cannot find
                ort.preload_dlls()
        if name == "cuda":
            return [(wanted, dict(settings.options or cuda_options())), cpu]
        return [(wanted, dict(settings.options or tensorrt_options())), (PROVIDERS["cuda"], cuda_options()), cpu]
    if name == "directml":
        options.enable_mem_pattern = False  # both are DirectML's documented conditions
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    if name == "openvino" and _openvino_plugin_installed():
        _add_openvino_plugin(ort, options, settings.options or openvino_options(threads=settings.threads))
        return None
    return [wanted] if name == "cpu" else [wanted, cpu]


def _openvino_plugin_installed() -> bool:
    return importlib.util.find_spec(_OPENVINO_PLUGIN) is not None


def _add_openvino_plugin(ort: Any, options: Any, settings: Mapping[str, str]) -> None:
    devices = _registered_openvino_devices(ort)
    if not devices:
        raise ProviderError("OpenVINO finds no CPU device: its plug-in takes Intel's processors only")
    options.add_provider_for_devices(devices[:1], dict(settings))


def _registered_openvino_devices(ort: Any) -> list[Any]:
    with _registering:
        if not _openvino_devices(ort):
            _register_openvino(ort)
    return _openvino_devices(ort)


@functools.cache
def _register_openvino(ort: Any) -> None:
    """Once a process: twice is an error, and that there is no device does not tell that it was not done."""
    plugin = importlib.import_module(_OPENVINO_PLUGIN)
    ort.register_execution_provider_library("styletransfer.openvino", plugin.get_library_path())


def _openvino_devices(ort: Any) -> list[Any]:
    return [
        device
        for device in ort.get_ep_devices()
        if device.ep_name == PROVIDERS["openvino"] and device.ep_metadata.get("ov_device") == "CPU"
    ]


def _default_threads() -> int:
    """Cores that this process may use; 0, which leaves the choice to onnxruntime, where nothing limits it.

    onnxruntime counts the machine's cores, and in a container with fewer its threads then fight each other.
    """
    allowed = cores()
    return 0 if allowed >= (os.cpu_count() or 1) else allowed


def _source(path: Path) -> str | bytes:
    """The path, or the content where the name is no text that onnxruntime could take."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.read_bytes()
    return str(path)
