import numpy as np
import pytest

from styletransfer.core.colour import luminance
from styletransfer.core.errors import InputError
from styletransfer.core.grid import grid, grid_amplitudes

SIDE = 384


def wave(period, phase=0.0, size=SIDE):
    return np.cos(2 * np.pi * np.arange(size) / period + phase)


def test_flat_field_has_no_grid():
    assert max(grid_amplitudes(np.full((SIDE, SIDE), 128.0)).values()) < 1e-9


@pytest.mark.parametrize("period", [4, 8])
@pytest.mark.parametrize("phase", [0.0, 1.1, 2.5])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_known_amplitude_along_one_axis(period, phase, axis):
    line = 3.0 * wave(period, phase)
    field = np.full((SIDE, SIDE), 90.0) + (line[None, :] if axis == "x" else line[:, None])
    amplitudes = grid_amplitudes(field)
    assert amplitudes.pop(f"{axis}{period}") == pytest.approx(3.0, abs=1e-6)
    assert max(amplitudes.values()) < 1e-6


def test_alternating_columns_are_period_two():
    field = 100.0 + 5.0 * wave(2)[None, :] * np.ones((SIDE, 1))  # 105, 95, 105, ...
    amplitudes = grid_amplitudes(field)
    assert amplitudes["x2"] == pytest.approx(5.0)
    assert amplitudes["y2"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_lattice_of_dots_is_both(period):
    field = 100.0 + 4.0 * wave(period)[:, None] * wave(period)[None, :]
    amplitudes = grid_amplitudes(field)
    assert amplitudes.pop(f"xy{period}") == pytest.approx(4.0)
    assert max(amplitudes.values()) < 1e-6


def test_one_diagonal_is_both():
    y, x = np.mgrid[:SIDE, :SIDE]
    field = 100.0 + 2.0 * np.cos(2 * np.pi * (x - y) / 4)
    assert grid_amplitudes(field)["xy4"] == pytest.approx(2.0)


def test_texture_does_not_count_but_a_grid_in_it_does():
    noise = np.random.default_rng(1).normal(0, 20, (SIDE, SIDE))
    assert max(grid_amplitudes(128 + noise).values()) < 0.7
    with_grid = grid_amplitudes(128 + noise + 3.0 * wave(4)[None, :])
    assert with_grid["x4"] == pytest.approx(3.0, abs=0.5)


def test_a_smooth_ramp_is_no_grid():
    ramp = np.linspace(20, 235, SIDE)[:, None] * np.ones((1, SIDE))
    assert max(grid_amplitudes(ramp).values()) < 0.02


def test_sides_that_are_no_multiple_of_eight():
    field = 100.0 + 3.0 * wave(8, size=397)[None, :] * np.ones((203, 1))
    assert grid_amplitudes(field)["x8"] == pytest.approx(3.0)


def test_grid_takes_rgb_frames():
    frame = np.full((128, 128, 3), 100, np.uint8)
    frame[:, ::2, 1] = 110  # green only: ±5 in green, ±5·0.587 in luminance
    assert grid(frame)["x2"] == pytest.approx(5 * 0.587)
    assert luminance(np.full((2, 2, 3), 255, np.uint8)) == pytest.approx(np.full((2, 2), 255.0))


@pytest.mark.parametrize("shape", [(63, 128), (128, 63), (128, 128, 3)])
def test_refuses_what_it_cannot_measure(shape):
    with pytest.raises(InputError, match="is needed"):
        grid_amplitudes(np.zeros(shape))
