from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from styletransfer.core.errors import MissingExtraError, ModelError, ProviderError, SettingsError
from styletransfer.runtime import providers
from styletransfer.runtime.providers import PROVIDERS, available, create_session

onnxruntime = pytest.importorskip("onnxruntime")


class FakeRuntime:
    """An onnxruntime that offers what it is told and loads what it is told."""

    def __init__(self, offered, loads, broken=()):
        self.offered, self.loads, self.broken = offered, loads, broken
        self.__version__ = "9.9"
        self.asked: list[list[str]] = []
        self.registered: list[str] = []
        self.options: list[SimpleNamespace] = []
        self.preloaded = 0
        self.ExecutionMode = SimpleNamespace(ORT_SEQUENTIAL="sequential")

    def set_default_logger_severity(self, level):
        pass

    def get_available_providers(self):
        return [PROVIDERS[name] for name in self.offered]

    def preload_dlls(self):
        self.preloaded += 1
        print("Failed to load libcudnn.so.9")  # noqa: T201

    def SessionOptions(self):  # noqa: N802
        options = SimpleNamespace(devices=None, free={}, entries={})
        options.add_provider_for_devices = lambda devices, settings: setattr(options, "devices", (devices, settings))
        options.add_free_dimension_override_by_name = options.free.__setitem__
        options.add_session_config_entry = options.entries.__setitem__
        self.options.append(options)
        return options

    devices: tuple[str, ...] = ("GPU", "CPU")

    def get_ep_devices(self):
        if not self.registered:
            return []
        return [
            SimpleNamespace(ep_name=PROVIDERS["openvino"], ep_metadata={"ov_device": device}) for device in self.devices
        ]

    def register_execution_provider_library(self, name, path):
        assert not self.registered, "registered twice"
        self.registered.append(path)

    def InferenceSession(self, path, options, providers=None, enable_fallback=1):  # noqa: N802
        assert not enable_fallback
        if providers is None:
            names = [PROVIDERS["openvino"], PROVIDERS["cpu"]]
        else:
            names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
        self.asked.append(providers if providers is not None else names)
        short = next(key for key, value in PROVIDERS.items() if value == names[0])
        if short in self.broken:
            raise RuntimeError(f"[ONNXRuntimeError] : 1 : FAIL : {short} is broken\nmore lines")
        running = names if short in self.loads else names[-1:]
        return SimpleNamespace(get_providers=lambda: running)


@pytest.fixture
def fake(monkeypatch):
    def make(*offered, loads=("cpu",), broken=(), plugin=False):
        runtime = FakeRuntime(offered, loads, broken)
        monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
        monkeypatch.setattr(providers, "_openvino_plugin_installed", lambda: plugin)
        library = SimpleNamespace(get_library_path=lambda: "/lib/openvino.so")
        monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", library)
        return runtime

    return make


@pytest.mark.parametrize(
    ("offered", "provider", "is_cpu"),
    [
        (("cpu",), "auto", True),
        (("cuda", "cpu"), "auto", False),
        (("coreml", "cpu"), "auto", False),
        (("tensorrt", "cpu"), "auto", True),  # auto never takes TensorRT
        (("cuda", "cpu"), "cpu", True),
        (("cuda", "cpu"), "openvino", True),
        (("cuda", "cpu"), "cuda", False),
    ],
)
def test_it_is_known_beforehand_whether_a_processor_will_run_it(fake, offered, provider, is_cpu):
    runtime = fake(*offered)
    assert providers.means_cpu(provider) is is_cpu
    assert not runtime.asked, "no session was made for it"


def test_available_names_what_is_offered(fake):
    fake("cuda", "cpu")
    assert available() == ["cpu", "cuda"]
    fake("cpu", plugin=True)
    assert available() == ["cpu", "openvino"]


def test_the_real_runtime_runs_on_the_cpu(tiny_model):
    session, name = create_session(tiny_model, "cpu", threads=1)
    assert name == "cpu" and session.get_providers()[0] == PROVIDERS["cpu"]
    assert "cpu" in available()


@pytest.mark.parametrize(
    ("offered", "loads", "broken", "expected"),
    [
        (("tensorrt", "cuda", "cpu"), ("tensorrt", "cuda", "cpu"), (), "cuda"),
        (("cuda", "cpu"), ("cpu",), (), "cpu"),  # no GPU behind it: onnxruntime would only log that
        (("cuda", "cpu"), ("cpu",), ("cuda",), "cpu"),
        (("coreml", "cpu"), ("coreml", "cpu"), (), "coreml"),
        (("directml", "cpu"), ("directml", "cpu"), (), "directml"),
        (("cuda", "openvino", "cpu"), ("openvino", "cpu"), ("cuda",), "cpu"),  # measured against the CPU at warm_up
    ],
)
def test_auto_takes_the_best_that_really_loads(fake, tiny_model, offered, loads, broken, expected):
    fake(*offered, loads=loads, broken=broken)
    assert create_session(tiny_model, "auto")[1] == expected


@pytest.mark.parametrize("name", ["cuda", "tensorrt", "openvino", "coreml", "directml"])
def test_one_that_is_not_installed_is_an_error_with_the_line_that_mends_it(fake, tiny_model, name):
    fake("cpu")
    with pytest.raises(ProviderError, match=f"provider {name} is not installed .here: cpu.; ") as caught:
        create_session(tiny_model, name)
    assert "pip install" in str(caught.value) or "macOS" in str(caught.value)


def test_one_that_does_not_load_is_an_error_not_the_cpu(fake, tiny_model, capfd):
    runtime = fake("cuda", "cpu", loads=("cpu",))
    with pytest.raises(ProviderError, match=r"cuda is installed but does not load .*onnxruntime-gpu\[cuda,cudnn\]"):
        create_session(tiny_model, "cuda")
    assert runtime.preloaded == 1
    assert capfd.readouterr().out == ""


def test_a_broken_file_is_not_blamed_on_the_provider(fake, tiny_model):
    fake("cuda", "cpu", broken=("cuda", "cpu"))
    with pytest.raises(ModelError, match=r"cannot load it \(cpu is broken\)"):
        create_session(tiny_model, "cuda")


def test_threads_do_not_spin_on_the_next_networks_cores(fake, tiny_model):
    runtime = fake("cpu", loads=("cpu",))
    create_session(tiny_model, "cpu")
    assert runtime.options[-1].entries == {"session.force_spinning_stop": "1"}


def test_cuda_searches_its_algorithms_the_fast_way(fake, tiny_model):
    runtime = fake("cuda", "tensorrt", "cpu", loads=("cuda", "tensorrt", "cpu"))
    create_session(tiny_model, "cuda")
    assert runtime.asked[0][0][1] == {"cudnn_conv_algo_search": "HEURISTIC"}


def test_tensorrt_keeps_its_engines_and_can_fall_to_cuda(fake, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runtime = fake("cuda", "tensorrt", "cpu", loads=("cuda", "tensorrt", "cpu"))
    assert create_session(tiny_model, "tensorrt")[1] == "tensorrt"
    (name, settings), (second, _), last = runtime.asked[0]
    assert (name, second, last) == tuple(PROVIDERS[key] for key in ("tensorrt", "cuda", "cpu"))
    assert settings["trt_engine_cache_path"].startswith(str(tmp_path))


def test_an_openvino_plugin_without_a_device_is_told_again_and_again(fake, tiny_model):
    runtime = fake("cpu", loads=("cpu", "openvino"), plugin=True)
    runtime.devices = ()
    for _ in range(2):
        assert not providers.has_bf16()
        with pytest.raises(ProviderError, match="OpenVINO finds no CPU device"):
            create_session(tiny_model, "openvino", dimensions={"H": 480})


def test_the_openvino_plugin_is_registered_once_and_its_cpu_taken(fake, tiny_model):
    runtime = fake("cpu", loads=("cpu", "openvino"), plugin=True)
    for _ in range(2):
        assert create_session(tiny_model, "openvino", dimensions={"H": 480})[1] == "openvino"
    assert runtime.registered == ["/lib/openvino.so"]
    (device,), _ = runtime.options[-1].devices
    assert device.ep_metadata["ov_device"] == "CPU"
    assert runtime.options[-1].free == {"H": 480}


def test_directml_gets_its_conditions(fake, tiny_model):
    runtime = fake("directml", "cpu", loads=("directml", "cpu"))
    create_session(tiny_model, "directml")
    assert runtime.options[0].enable_mem_pattern is False
    assert runtime.options[0].execution_mode == "sequential"


def test_an_unknown_name_lists_the_known_ones(tiny_model):
    with pytest.raises(ProviderError, match="unknown provider 'gpu'; choose auto or one of cpu, cuda"):
        create_session(tiny_model, "gpu")


def test_threads_below_one_are_refused(tiny_model):
    with pytest.raises(SettingsError, match="threads is 0"):
        create_session(tiny_model, "cpu", threads=0)


def test_without_onnxruntime_the_extra_is_named(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'styletransfer\[cpu\]'"):
        create_session(tiny_model, "auto")


def test_onnxruntime_leaves_no_device_id(tmp_path, tiny_model):
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = "import sys, styletransfer; styletransfer.load(sys.argv[1], provider='cpu')"
    subprocess.run([sys.executable, "-c", code, tiny_model], env=environment, check=True)
    assert not list(tmp_path.rglob("deviceid"))
