"""How much arithmetic a network is, and how fast this machine does arithmetic at its best."""

from __future__ import annotations

import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from styletransfer.core.errors import ModelError
from styletransfer.runtime.providers import explain

_SIDE = 1024  # of the matrices: their product is 1.07 G multiply-adds and does not fit into the nearest caches


def count_macs(path: Path, height: int, width: int) -> int:
    """Multiply-adds of the convolutions and matrix products of a style file, for one frame of this size.

    Counted from onnxruntime's own record of a run without optimisations, so that neither onnx nor a list of
    architectures is needed. Everything else in a network (activations, additions, shuffles) counts as nothing.

    Raises:
        ModelError: it does not run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "macs")
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            session.run(None, _feeds(session, height, width))
        except Exception as error:  # of many kinds
            raise ModelError(f"{path}: does not run on {width}×{height} pixels ({explain(error)})") from error
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return sum(_macs(event.get("args", {})) for event in events if event.get("cat") == "Node")


def matrix_product_rate(rounds: int = 3) -> float:
    """Multiply-adds a second of numpy's float32 matrix product (its BLAS, all cores): what is left to gain."""
    matrix = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)
    result = np.empty_like(matrix)
    best = math.inf
    for _ in range(rounds + 1):  # the first starts the threads
        start = time.perf_counter()
        np.matmul(matrix, matrix, out=result)
        best = min(best, time.perf_counter() - start)
    return _SIDE**3 / best


def _feeds(session: Any, height: int, width: int) -> dict[str, Any]:
    feeds: dict[str, Any] = {}
    for value in session.get_inputs():
        if len(value.shape) != 4:
            feeds[value.name] = np.ones([size if isinstance(size, int) else 1 for size in value.shape], np.float32)
            continue
        is_bytes = value.type == "tensor(uint8)"
        wanted = (1, height, width, 3) if is_bytes else (1, 3, height, width)
        shape = [size if isinstance(size, int) else want for size, want in zip(value.shape, wanted, strict=True)]
        dtype = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16}.get(value.type, np.float32)
        feeds[value.name] = np.full(shape, 99, dtype)
    return feeds


def _macs(node: dict[str, Any]) -> int:
    """Multiply-adds of one executed node, from the shapes that went in and came out."""
    if "output_type_shape" not in node or node.get("op_name") not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return 0
    out = _first(node["output_type_shape"][0])
    picture, weight = (_first(entry) for entry in node["input_type_shape"][:2])
    if node["op_name"] == "Conv":
        return math.prod(out) * math.prod(weight[1:])
    if node["op_name"] == "ConvTranspose":
        return math.prod(picture) * math.prod(weight[1:])
    return math.prod(out) * picture[-1]


def _first(entry: dict[str, list[int]]) -> list[int]:
    """The shape in an entry such as ``{"float": [1, 3, 480, 640]}``."""
    return next(iter(entry.values()))
