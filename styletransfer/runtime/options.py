"""What the execution providers are told, and the variants of it among which a measurement decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from styletransfer.core.download import cache_dir

OPENVINO_PRECISIONS = ("f32", "bf16")

GAIN_FROM_FIXED_SIZES = ("cuda", "tensorrt", "openvino")
"""Providers that get a session for each size. The CPU is none of them, by measurement: its kernels are chosen by the
number of channels, and the arithmetic on shapes that a fixed size saves takes microseconds."""


@dataclass(frozen=True)
class Variant:
    """One way to run a network on a provider at a fixed size.

    Attributes:
        name: what ``doctor`` and ``bench`` call it.
        options: the provider's options.
        on_device: the frame and the result keep one place in the device's memory, run after run, which is what a
            recorded CUDA graph replays from.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    on_device: bool = False


def variants(provider: str, threads: int | None = None, has_bf16: bool = True) -> list[Variant]:
    """What is tried at a fixed size, the plainest first.

    Args:
        provider: short name, one of ``GAIN_FROM_FIXED_SIZES``; none for the others.
        threads: threads within an operator.
        has_bf16: the processor has bfloat16 instructions; without AMX they are slower than float32 all the same,
            which is why the precision is measured and not left to OpenVINO.
    """
    if provider == "openvino":
        names = OPENVINO_PRECISIONS if has_bf16 else OPENVINO_PRECISIONS[:1]
        return [Variant(name, openvino_options(name, threads)) for name in names]
    if provider == "cuda":
        return [
            Variant("exhaustive", cuda_options("EXHAUSTIVE")),
            Variant("exhaustive, NHWC", cuda_options("EXHAUSTIVE", nhwc=True)),
            Variant("exhaustive, graph", cuda_options("EXHAUSTIVE", graph=True), on_device=True),
            Variant("exhaustive, NHWC, graph", cuda_options("EXHAUSTIVE", nhwc=True, graph=True), on_device=True),
        ]
    if provider == "tensorrt":
        return [
            Variant("fp16 engine", tensorrt_options()),
            Variant("fp16 engine, graph", tensorrt_options(graph=True), on_device=True),
        ]
    return []


def cuda_options(search: str = "HEURISTIC", *, nhwc: bool = False, graph: bool = False) -> dict[str, str]:
    """Options of the CUDA provider.

    Args:
        search: how cuDNN's algorithms are chosen. The provider's own DEFAULT is 20 to 50 times slower; EXHAUSTIVE
            measures them all again for every new size, so it is for fixed ones.
        nhwc: convolutions in the layout that tensor cores take.
        graph: record the launches of one run and replay them; wants fixed sizes and fixed addresses.
    """
    options = {"cudnn_conv_algo_search": search}
    if search == "EXHAUSTIVE":
        options["cudnn_conv_use_max_workspace"] = "1"
    if nhwc:
        options["prefer_nhwc"] = "1"
    if graph:
        options["enable_cuda_graph"] = "1"
    return options


def tensorrt_options(*, graph: bool = False) -> dict[str, str]:
    """Options of the TensorRT provider: float16 kernels, and engines kept on disk, for they take minutes to build."""
    cache = cache_dir() / "tensorrt"
    cache.mkdir(parents=True, exist_ok=True)
    options = {
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
    }
    return options | ({"trt_cuda_graph_enable": "1"} if graph else {})


def openvino_options(precision: str = "f32", threads: int | None = None) -> dict[str, str]:
    """Options of the OpenVINO plug-in.

    Args:
        precision: of the arithmetic, ``f32`` or ``bf16``. OpenVINO by itself takes bf16 wherever the processor can,
            which is twice as slow as f32 on one without AMX.
        threads: threads within an operator.
    """
    options = {"load_config": json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": precision}})}
    return options if threads is None else options | {"num_of_threads": str(threads)}
