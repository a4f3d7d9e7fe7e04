from __future__ import annotations

import json

import pytest

from styletransfer.runtime.options import (
    GAIN_FROM_FIXED_SIZES,
    cuda_options,
    openvino_options,
    tensorrt_options,
    variants,
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLETRANSFER_CACHE", str(tmp_path))
    return tmp_path


def test_cuda_never_searches_the_slow_way():
    assert cuda_options() == {"cudnn_conv_algo_search": "HEURISTIC"}
    assert all(v.options["cudnn_conv_algo_search"] == "EXHAUSTIVE" for v in variants("cuda"))


def test_cuda_tries_layout_and_graph_alone_and_together():
    tried = {(v.options.get("prefer_nhwc"), v.options.get("enable_cuda_graph")) for v in variants("cuda")}
    assert tried == {(None, None), ("1", None), (None, "1"), ("1", "1")}


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_recorded_graph_has_its_frames_on_the_device(provider):
    for variant in variants(provider):
        is_graph = any("graph" in key for key in variant.options)
        assert variant.on_device == is_graph


def test_tensorrt_keeps_what_took_minutes(cache):
    for variant in variants("tensorrt"):
        assert variant.options["trt_engine_cache_enable"] == "1"
        assert variant.options["trt_engine_cache_path"] == str(cache / "tensorrt")
    assert tensorrt_options(graph=True)["trt_cuda_graph_enable"] == "1"


def test_openvino_is_told_its_precision():
    told = json.loads(openvino_options("bf16", threads=3)["load_config"])
    assert told == {"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}
    assert openvino_options("bf16", threads=3)["num_of_threads"] == "3"
    assert "num_of_threads" not in openvino_options()


def test_bf16_is_tried_where_the_processor_has_it_only():
    assert [v.name for v in variants("openvino", has_bf16=True)] == ["f32", "bf16"]
    assert [v.name for v in variants("openvino", has_bf16=False)] == ["f32"]


def test_every_provider_that_gains_has_variants_and_no_other():
    assert all(variants(name) for name in GAIN_FROM_FIXED_SIZES)
    assert not any(variants(name) for name in ("cpu", "coreml", "directml"))
