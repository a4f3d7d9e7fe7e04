import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import is_one_error_line, run

from styletransfer.cli import machine, probes

TINY = Path(__file__).parents[1] / "data" / "tiny.onnx"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """No camera of the machine is switched on by a test, and no weights of the user's are found."""
    monkeypatch.setenv("STYLETRANSFER_CACHE", str(tmp_path))
    monkeypatch.delenv("STYLETRANSFER_VGG16", raising=False)
    monkeypatch.setattr(probes, "camera_opens", lambda index: probes.Check("camera", f"camera {index}", "missing", ""))


def checks(*options):
    done = run("doctor", "--model", TINY, "--json", *options)
    report = json.loads(done.out)
    return done, {(c["section"], c["name"]): c for c in report["checks"]}


def test_report_on_a_machine_that_works():
    done, found = checks()
    assert done.status == 0, done.err
    assert found["software", "python"]["status"] == "ok"
    assert found["software", "onnxruntime"]["status"] == "ok"
    assert found["providers", "cpu"]["status"] == "ok"
    assert 0 < found["providers", "cpu"]["data"]["ms"] < 5000
    assert found["encoders", "libx264"]["status"] == "ok"
    assert found["machine", "processor"]["data"]["cores"] >= 1


def test_table_names_everything_and_no_library_talks_to_stderr(capfd):
    done = run("doctor", "--model", TINY)
    assert capfd.readouterr() == ("", "")
    assert done.status == 0
    assert done.err == ""
    for word in ("onnxruntime", "pillow", "av ", "libx264", "cpu", "VGG-16", "camera 0", "window"):
        assert word in done.out


def test_missing_weights_say_how_to_get_them(monkeypatch, tmp_path):
    _, found = checks()
    assert found["training", "VGG-16 weights"]["status"] == "missing"
    assert "--vgg" in found["training", "VGG-16 weights"]["fix"]
    weights = tmp_path / "vgg.safetensors"
    monkeypatch.setenv("STYLETRANSFER_VGG16", str(weights))
    assert checks()[1]["training", "VGG-16 weights"]["status"] == "missing"
    weights.write_bytes(b"x")
    assert checks()[1]["training", "VGG-16 weights"]["status"] == "ok"


def test_missing_training_packages_are_no_failure(monkeypatch):
    real = machine.package_version
    monkeypatch.setattr(machine, "package_version", lambda name: None if name == "torch" else real(name))
    done, found = checks()
    assert done.status == 0
    assert found["training", "packages"]["status"] == "missing"
    assert found["training", "packages"]["fix"] == "pip install 'styletransfer[train]'"


def test_two_onnxruntimes_are_broken(monkeypatch):
    both = {"onnxruntime": "1.20", "onnxruntime-gpu": "1.20"}
    monkeypatch.setattr(machine, "onnxruntime_packages", lambda: both)
    done, found = checks()
    assert done.status == 1
    assert is_one_error_line(done.err)
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in found["software", "onnxruntime"]["fix"]


def test_package_that_does_not_import(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    done, found = checks()
    assert done.status == 1
    assert found["software", "av"]["status"] == "broken"
    assert "pip install --force-reinstall av" in found["software", "av"]["fix"]
    assert found["providers", "cpu"]["status"] == "ok"  # the rest of the report goes on


def test_provider_that_crashes_its_process(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\necho noise\nkill -SEGV $$\n")
    (tmp_path / "python").chmod(0o755)
    found = probes.provider_in_own_process("cpu", TINY)
    assert "ended with -11" in found["error"]


def test_encoders_that_crash_are_broken_not_fatal(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    (tmp_path / "no-python").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "no-python").chmod(0o755)
    found = {check.name: check for check in probes.encoders()}
    assert found["libx264"].status == "broken"
    assert found["libx265"].status == "missing"
    assert "ended with 3" in found["libx264"].detail


def test_provider_that_is_not_there():
    assert "ms" not in probes.try_provider("coreml", str(TINY))
    assert "coreml" in probes.try_provider("coreml", str(TINY))["error"]


def test_model_that_is_none(tmp_path):
    done = run("doctor", "--model", tmp_path / "nothing.onnx")
    assert done.status == 1
    assert is_one_error_line(done.err)
    assert "nothing.onnx" in done.err


def test_model_that_is_broken_is_not_the_machine_s_fault(tmp_path):
    (tmp_path / "text.onnx").write_text("just some words")
    done = run("doctor", "--model", tmp_path / "text.onnx")
    assert done.status == 1
    assert is_one_error_line(done.err)
    assert "text.onnx: " in done.err and "broken on this machine" not in done.err


def test_camera_that_does_not_open_makes_no_noise(monkeypatch, capfd):
    monkeypatch.undo()
    check = probes.camera_opens(77)
    assert check.status == "missing"
    assert check.fix
    assert capfd.readouterr().err == ""


def test_camera_that_hangs(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(probes.platform, "system", lambda: "Windows")  # past the look into /dev

    def hang(*arguments, **options):
        raise subprocess.TimeoutExpired("python", 10)

    monkeypatch.setattr(probes.subprocess, "run", hang)
    assert "another program may hold it" in probes.camera_opens(0).detail


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_window_needs_a_display(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    assert probes.display().status == "missing"
    assert "--headless" in probes.display().detail


def test_machine_is_described():
    described = machine.describe()
    assert described["cpu"]
    assert described["cores"] >= 1
    assert "onnxruntime" in described["onnxruntime"]
    assert machine.output_of(["no-such-program-anywhere"]) == ""
