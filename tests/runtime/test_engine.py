from __future__ import annotations

import numpy as np
import pytest
from samples import make_photo

from styletransfer.runtime import engine as module
from styletransfer.runtime.buffers import DeviceBuffers, HostBuffers
from styletransfer.runtime.engine import Engine
from styletransfer.runtime.options import Variant
from styletransfer.runtime.providers import create_session
from styletransfer.runtime.stylizer import Stylizer

pytest.importorskip("onnxruntime")

SHAPE = (1, 64, 96, 3)
NAMES = ("frame", "stylized")


@pytest.fixture
def make(tiny_model, monkeypatch, tmp_path):
    """An engine on the CPU for the tiny style, nothing remembered."""
    monkeypatch.setenv("STYLETRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_chosen_before", {})

    def build(provider="cpu", threads=1):
        engine = Engine(tiny_model, provider, threads)
        engine.set_contract(*NAMES, ("N", "H", "W"))
        return engine

    return build


@pytest.fixture
def choosing(monkeypatch):
    """Let the CPU have variants, as other providers have: their names, and the seconds that each measures."""

    def choose(seconds, **on_device):
        monkeypatch.setattr(module, "GAIN_FROM_FIXED_SIZES", ("cpu",))
        monkeypatch.setattr(module, "has_bf16", lambda: True)
        made = [Variant(name, on_device=on_device.get(name, False)) for name in seconds]
        monkeypatch.setattr(module, "variants", lambda *_: made)
        measured = []

        def least_seconds(runs):
            measured.append(list(runs))
            for call in runs.values():
                call()
            return {name: seconds[name.partition(", ")[2]] for name in runs}

        monkeypatch.setattr(module.tuning, "least_seconds", least_seconds)
        return measured

    return choose


def frames(seed, shape=SHAPE):
    return np.ascontiguousarray(make_photo(*shape[1:3], seed)[None])


def test_results_that_the_caller_holds_stay_as_they_are(make):
    engine, plain = make(), make()
    held = [engine.run_bytes(frames(seed), {}) for seed in range(12)]
    part = engine.run_bytes(frames(50), {})[0, 5:9]  # a part keeps the whole
    for seed in range(60, 70):
        engine.run_bytes(frames(seed), {})
    for seed, result in enumerate(held):
        np.testing.assert_array_equal(result, plain.run(*NAMES, frames(seed), {}))
    np.testing.assert_array_equal(part, plain.run(*NAMES, frames(50), {})[0, 5:9])


def test_memory_of_a_result_that_nobody_holds_is_used_again(make):
    engine = make()
    engine.run_bytes(frames(0), {})
    places = {engine.run_bytes(frames(seed), {}).ctypes.data for seed in range(20)}
    assert len(places) <= 2
    assert len({id(result) for result in [engine.run_bytes(frames(seed), {}) for seed in range(20)]}) == 20


def test_only_the_last_sizes_are_kept(make):
    engine = make()
    for width in range(32, 132, 4):
        for _ in range(3):
            engine.run_bytes(frames(0, (1, 32, width, 3)), {})
    assert len(engine._lanes) == module._SIZES_KEPT
    assert "bound buffers" in engine.describe((1, 32, 128, 3))
    assert "bound buffers" not in engine.describe((1, 32, 32, 3))


def test_a_size_that_comes_once_binds_nothing(make):
    engine = make()
    engine.run_bytes(frames(0), {})
    assert "bound buffers" not in engine.describe(SHAPE)


def test_the_fastest_variant_is_taken(make, choosing):
    choosing({"plain": 0.010, "graph": 0.004, "layout": 0.007})
    engine = make()
    engine.prepare(SHAPE, {})
    assert engine.describe(SHAPE) == "cpu, graph, 1 threads, bound buffers"
    np.testing.assert_array_equal(engine.run_bytes(frames(1), {}), engine.run(*NAMES, frames(1), {}))


def test_a_hardly_faster_variant_is_not_worth_it(make, choosing):
    choosing({"plain": 0.0100, "graph": 0.0099})
    engine = make()
    engine.prepare(SHAPE, {})
    assert "plain" in engine.describe(SHAPE)


def test_a_variant_that_paints_something_else_never_wins(make, choosing, monkeypatch):
    measured = choosing({"plain": 0.010, "wrong": 0.001, "other": 0.009})
    real = Engine._open

    def open_lane(self, provider, variant, shape):
        lane = real(self, provider, variant, shape)
        if variant.name == "wrong":
            lane.buffers.__class__ = type("Wrong", (HostBuffers,), {"__call__": lambda *_: np.zeros(shape, np.uint8)})
        return lane

    monkeypatch.setattr(Engine, "_open", open_lane)
    engine = make()
    engine.prepare(SHAPE, {})
    assert measured == [["cpu, plain", "cpu, other"]]
    assert "other" in engine.describe(SHAPE)


def test_variants_that_do_not_load_are_left_out(make, choosing, monkeypatch):
    choosing({"plain": 0.01, "broken": 0.001})
    real = module.create_session

    def create(path, provider, threads, dimensions=None, options=None):
        if not create.loads:
            raise RuntimeError("no engine")
        create.loads -= 1
        return real(path, provider, threads, dimensions, options=options)

    engine = make()
    create.loads = 1
    monkeypatch.setattr(module, "create_session", create)
    engine.prepare(SHAPE, {})
    assert "plain" in engine.describe(SHAPE)
    engine.prepare((1, 32, 32, 3), {})  # none loads: the session for every size goes on
    np.testing.assert_array_equal(
        engine.run_bytes(frames(1, (1, 32, 32, 3)), {}), engine.run(*NAMES, frames(1, (1, 32, 32, 3)), {})
    )


def test_a_choice_holds_for_other_files_of_the_network(make, choosing):
    measured = choosing({"plain": 0.010, "graph": 0.004})
    make().prepare(SHAPE, {})
    again = make()
    again.prepare(SHAPE, {})
    assert len(measured) == 1 and "graph" in again.describe(SHAPE)


def test_a_size_that_repeats_is_prepared_by_itself(make, choosing):
    choosing({"plain": 0.010, "graph": 0.004})
    engine = make()
    for seed in range(module._FIX_AFTER):
        result = engine.run_bytes(frames(seed), {})
    assert "graph" in engine.describe(SHAPE)
    np.testing.assert_array_equal(result, engine.run(*NAMES, frames(module._FIX_AFTER - 1), {}))


def test_buffers_on_a_device_give_the_same(make, choosing):
    choosing({"graph": 0.001}, graph=True)
    engine = make()

    def device_buffers(session, *given):
        return DeviceBuffers(session, *given, device="cpu")

    session, _ = create_session(engine._path, "cpu", 1)
    buffers = device_buffers(session, *NAMES, SHAPE, SHAPE)
    first, second = buffers(frames(1), {}), buffers(frames(2), {})
    np.testing.assert_array_equal(first, engine.run(*NAMES, frames(1), {}))
    np.testing.assert_array_equal(second, engine.run(*NAMES, frames(2), {}))


class Rival:
    """Stands in for OpenVINO: opens on the CPU under another name."""

    def __init__(self, monkeypatch, seconds):
        self.opened = []
        monkeypatch.setattr(module, "available", lambda: ["cpu", "openvino"])
        monkeypatch.setattr(module, "has_bf16", lambda: True)
        real = module.create_session

        def create(path, provider, threads, dimensions=None, **more):
            self.opened.append(provider)
            session, _ = real(path, "cpu" if provider == "openvino" else provider, threads, dimensions)
            return session, "cpu" if provider == "auto" else provider

        monkeypatch.setattr(module, "create_session", create)
        monkeypatch.setattr(module.tuning, "least_seconds", lambda runs: {name: seconds[name] for name in runs})


def test_auto_takes_openvino_where_it_measures_faster(make, monkeypatch):
    Rival(monkeypatch, {"cpu, any size": 0.010, "openvino, f32": 0.008, "openvino, bf16": 0.004})
    engine = make("auto")
    assert engine.provider == "cpu" and engine.gains_from_preparing
    engine.prepare(SHAPE, {})
    assert engine.provider == "openvino" and engine.describe(SHAPE).startswith("openvino, bf16")


def test_auto_stays_on_the_cpu_where_that_is_faster(make, monkeypatch):
    rival = Rival(monkeypatch, {"cpu, any size": 0.010, "openvino, f32": 0.012, "openvino, bf16": 0.020})
    engine = make("auto")
    engine.prepare(SHAPE, {})
    assert engine.provider == "cpu" and engine.describe(SHAPE).startswith("cpu, any size")
    assert rival.opened == ["auto", "openvino", "openvino"]


def test_a_cpu_that_was_asked_for_has_no_rival(make, monkeypatch):
    monkeypatch.setattr(module, "available", lambda: ["cpu", "openvino"])
    assert not make("cpu").gains_from_preparing


def test_openvino_runs_no_frame_with_free_sizes(make, monkeypatch):
    rival = Rival(monkeypatch, {})
    engine = make("openvino")
    monkeypatch.setattr(engine.session, "run", lambda *_: pytest.fail("free sizes"), raising=False)
    result = engine.run_bytes(frames(1), {})
    assert rival.opened == ["openvino", "openvino"] and "f32" in engine.describe(SHAPE)
    assert result.shape == SHAPE


def test_a_stylizer_says_how_it_runs(tiny_model):
    stylizer = Stylizer(tiny_model, provider="cpu", threads=1)
    stylizer.warm_up(61, 90)
    assert stylizer.describe(61, 90) == "cpu, any size, 1 threads, bound buffers"
    assert not stylizer.gains_from_warm_up
    stages = stylizer.stages(make_photo(61, 90))
    assert list(stages) == ["pad", "run", "crop", "blend", "session.run"]
    assert stages["pad"]().shape == (1, 64, 92, 3) and stages["crop"]().shape == (1, 61, 90, 3)
    assert stages["session.run"]()[0].shape == (1, 64, 92, 3)
