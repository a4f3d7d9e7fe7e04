from __future__ import annotations

import pytest

from styletransfer.core.errors import ModelError
from styletransfer.runtime.roofline import count_macs, matrix_product_rate

pytest.importorskip("onnxruntime")


def test_the_arithmetic_of_a_file_is_counted_from_it(tiny_model):
    height, width = 48, 64
    full, half, quarter = height * width, height * width // 4, height * width // 16
    # 1x1 on the full size, two strided ones, one at a quarter, the last after the enlargement: make_tiny.py
    expected = full * 3 * 3 + half * 8 * 27 + quarter * 8 * 72 + quarter * 8 * 72 + full * 3 * 72
    assert count_macs(tiny_model, height, width) == expected
    assert count_macs(tiny_model, 2 * height, width) == 2 * expected


def test_a_file_that_does_not_run(tmp_path):
    path = tmp_path / "none.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"none.onnx: does not run on 64×48"):
        count_macs(path, 48, 64)


def test_the_machine_multiplies():
    assert matrix_product_rate(rounds=1) > 1e8
