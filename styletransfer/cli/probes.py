"""The checks behind `styletransfer doctor`: each really tries what it reports on."""

# Longer than 300 lines: a list of independent checks, one below the other.

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from styletransfer.cli import machine
from styletransfer.core.cores import cores

OK, MISSING, BROKEN = "ok", "missing", "broken"
FRAME_SIZE_WH = (640, 480)
_PROVIDER_TIMEOUT_S = 240.0  # TensorRT builds its engine first
_CAMERA_TIMEOUT_S = 10.0
_ENCODERS_TIMEOUT_S = 30.0

# Import name, the packages one of which holds it, and whether nothing works without it.
_PACKAGES = (
    ("numpy", ("numpy",), True),
    ("PIL", ("pillow",), True),
    ("av", ("av",), True),
    ("cv2", ("opencv-python", "opencv-python-headless", "opencv-contrib-python"), False),
    ("typer", ("typer",), True),
    ("rich", ("rich",), True),
)
_TRAINING = ("torch", "torchvision", "onnx", "onnxscript", "safetensors", "matplotlib")
# FFmpeg's encoder, what for, whether `video` needs it.
_ENCODERS = (
    ("libx264", "H.264, the default", True),
    ("aac", "sound", True),
    ("libx265", "HEVC", False),
    ("libvpx-vp9", "VP9", False),
    ("libsvtav1", "AV1", False),
    ("h264_nvenc", "H.264 on NVIDIA cards (not on A100, H100)", False),
    ("h264_videotoolbox", "H.264 on Macs", False),
)


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        section: heading it stands under.
        name: what was tried.
        status: ``ok``, ``missing`` (something optional) or ``broken`` (nothing works without it).
        detail: what was found.
        fix: the line that mends it, empty where nothing is to be done.
        data: figures for ``--json``.
    """

    section: str
    name: str
    status: str
    detail: str
    fix: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def all_checks(model: str | None, camera: int) -> Iterator[Check]:
    """Every check, in the order of the report.

    Args:
        model: style for trying the providers; ``None``: the default style, else any shipped one.
        camera: index of the camera to open.
    """
    yield from software()
    yield from processor()
    yield from providers(model)
    yield from encoders()
    yield camera_opens(camera)
    yield display()
    yield from training()


def software() -> Iterator[Check]:
    """Python and the packages that come with this one; each is really imported."""
    from styletransfer import __version__

    section = "software"
    where = Path(__file__).resolve().parents[1]
    yield Check(section, "styletransfer", OK, f"{__version__} in {where}", data={"version": __version__})
    yield Check(section, "python", OK, f"{platform.python_version()} ({sys.executable})")
    for import_name, packages, is_essential in _PACKAGES:
        yield _import_check(import_name, packages, is_essential)
    yield _onnxruntime_check()


def _import_check(import_name: str, packages: tuple[str, ...], is_essential: bool) -> Check:
    found = {name: version for name in packages if (version := machine.package_version(name))}
    detail = " + ".join(f"{name} {version}" for name, version in found.items())
    line = f"pip install --force-reinstall {next(iter(found), packages[0])}"
    try:
        importlib.import_module(import_name)
    except Exception as error:  # a broken binary can raise anything
        if import_name == "cv2" and ".so" in str(error):
            line = "apt-get install libgl1 libglib2.0-0 (only cameras and windows need it)"
        detail = f"{detail or packages[0]} does not import: {_first_line(error)}"
        return Check("software", packages[0], BROKEN if is_essential else MISSING, detail, line)
    return Check("software", packages[0], OK, detail or "imported")


def _onnxruntime_check() -> Check:
    packages = machine.onnxruntime_packages()
    detail = " + ".join(f"{name} {version}" for name, version in packages.items())
    has_gpu = bool(machine.gpus())
    extra = "gpu" if has_gpu else "cpu"
    if len(packages) > 1:
        # They install the same files: the one installed last wins, and removing one breaks the other.
        line = f"pip uninstall -y {' '.join(packages)} && pip install 'styletransfer[{extra}]'"
        return Check("software", "onnxruntime", BROKEN, f"{detail} overwrite each other", line)
    try:
        importlib.import_module("onnxruntime")
    except Exception as error:
        what = f"{detail} does not import: {_first_line(error)}" if detail else "not installed"
        return Check("software", "onnxruntime", BROKEN, what, f"pip install 'styletransfer[{extra}]'")
    return Check("software", "onnxruntime", OK, detail or "imported")


def processor() -> Iterator[Check]:
    """Processor, cores and graphics cards."""
    section = "machine"
    usable, flags = cores(), machine.cpu_flags()
    yield Check(section, "system", OK, platform.platform())
    detail = f"{machine.cpu_name()}, {usable} cores" + (f" ({', '.join(flags)})" if flags else "")
    yield Check(section, "processor", OK, detail, data={"cores": usable, "flags": flags})
    gpus = machine.gpus()
    for gpu in gpus:
        yield Check(section, "graphics", OK, gpu)
    if not gpus and platform.system() != "Darwin":
        yield Check(section, "graphics", MISSING, "no NVIDIA card, or nvidia-smi does not answer")


def providers(model: str | None) -> Iterator[Check]:
    """Each execution provider that onnxruntime offers, tried on one frame in a process of its own.

    Raises:
        ModelError: ``model`` was named and is no style.
    """
    from styletransfer.core import zoo
    from styletransfer.core.errors import ModelError, StyleTransferError
    from styletransfer.runtime.providers import available

    section = "providers"
    styles = zoo.shipped()
    if model is None and not styles:
        line = "pip install --force-reinstall styletransfer"
        yield Check(section, "styles", BROKEN, f"no style file in {zoo.models_dir()}", line)
        return
    name = model or (zoo.DEFAULT_STYLE if zoo.DEFAULT_STYLE in styles else next(iter(styles)))
    try:
        path = zoo.resolve(name)
        offered = available()
    except ModelError:
        raise
    except StyleTransferError as error:
        yield Check(section, "onnxruntime", BROKEN, str(error))
        return
    for provider in offered:
        found = provider_in_own_process(provider, path)
        if "ms" in found:
            width, height = FRAME_SIZE_WH
            detail = f"{found['ms']:.1f} ms for a {width}x{height} frame of {name} ({1000 / found['ms']:.0f} fps)"
            detail += f"; {found['engine']}"
            yield Check(section, provider, OK, detail, data=found)
        elif model is not None and found.get("is_model_error") and provider == "cpu":
            raise ModelError(found["error"])  # the file that was named is at fault, not the machine
        else:
            status = BROKEN if provider == "cpu" else MISSING
            what, _, line = found["error"].rpartition("; ")
            yield Check(section, provider, status, what or line, line if what else "", data=found)
    if machine.gpus() and "cuda" not in offered:
        packages = " ".join(machine.onnxruntime_packages()) or "onnxruntime"
        line = f"pip uninstall -y {packages} && pip install 'styletransfer[gpu]'"
        yield Check(section, "cuda", MISSING, "there is an NVIDIA card, this onnxruntime cannot use it", line)
    if "openvino" not in offered and "Intel" in machine.cpu_name():
        line = "pip install 'styletransfer[openvino]'"
        yield Check(section, "openvino", MISSING, "often faster on Intel processors", line)


def provider_in_own_process(provider: str, model: Path) -> dict[str, Any]:
    """:func:`try_provider` in a child process: a crash, a hang and library noise stay there."""
    try:
        return _in_own_process("try_provider", provider, str(model), timeout_s=_PROVIDER_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return {"error": f"no frame after {_PROVIDER_TIMEOUT_S:.0f} seconds"}


def try_provider(provider: str, model: str) -> dict[str, Any]:
    """Median milliseconds of one frame as ``ms`` and how it ran as ``engine``, or ``error`` and ``is_model_error``."""
    import numpy as np

    from styletransfer.core.errors import ModelError, StyleTransferError
    from styletransfer.runtime.stylizer import Stylizer
    from styletransfer.runtime.timing import percentile, time_calls

    width, height = FRAME_SIZE_WH
    frame_hwc = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    try:
        stylizer = Stylizer(Path(model), provider=provider)
        stylizer.warm_up(height, width)
        seconds = time_calls(lambda: stylizer(frame_hwc), repeats=5, warmup=2)
    except StyleTransferError as error:
        return {"error": str(error), "is_model_error": isinstance(error, ModelError)}
    return {"ms": round(1000 * percentile(seconds, 50), 2), "engine": stylizer.describe(height, width)}


def encoders() -> Iterator[Check]:
    """Encoders of this PyAV build, each really opened, in a child process: x265 and SVT-AV1 are talkative."""
    names = [name for name, _, _ in _ENCODERS]
    try:
        problems = _in_own_process("open_encoders", *names, timeout_s=_ENCODERS_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        problems = {"error": f"no answer after {_ENCODERS_TIMEOUT_S:.0f} seconds"}
    for name, purpose, is_needed in _ENCODERS:
        problem = problems.get(name, problems.get("error", ""))
        if not problem:
            yield Check("encoders", name, OK, purpose)
        elif is_needed:
            line = "pip install --force-reinstall av"
            yield Check("encoders", name, BROKEN, f"{purpose}: {problem}", line)
        else:
            yield Check("encoders", name, MISSING, f"{purpose}: {problem}")


def open_encoders(*names: str) -> dict[str, str]:
    """FFmpeg's encoders, each with why it cannot be opened, or nothing."""
    return {name: _open_encoder(name) for name in names}


def _open_encoder(name: str) -> str:
    try:
        import av
        import av.codec

        if name not in av.codec.codecs_available:
            return "not in this build of PyAV"
        context: Any = av.codec.CodecContext.create(name, "w")
        if context.type == "video":
            context.width, context.height, context.pix_fmt = 256, 144, "yuv420p"
            context.time_base = Fraction(1, 25)
        else:
            context.sample_rate, context.format, context.layout = 48000, "fltp", "stereo"
        context.open()
    except Exception as error:  # FFmpeg's errors are of many kinds
        return f"does not open ({getattr(error, 'strerror', None) or _first_line(error)})"
    return ""


def camera_opens(index: int) -> Check:
    """Open the camera and read one frame, in a child process that may hang or complain."""
    code = (
        "import sys, cv2; camera = cv2.VideoCapture(int(sys.argv[1])); ok, frame = camera.read(); "
        "print(*frame.shape[1::-1], sep='x') if ok else sys.exit(1)"
    )
    line = "plug one in, allow this program to use it, or try another: doctor --camera 1"
    if platform.system() == "Linux" and not list(Path("/dev").glob("video*")):
        return Check("camera", f"camera {index}", MISSING, "no /dev/video*", line)
    try:
        done = _python(code, str(index), timeout_s=_CAMERA_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        detail = f"no frame after {_CAMERA_TIMEOUT_S:.0f} seconds; another program may hold it"
        return Check("camera", f"camera {index}", MISSING, detail, line)
    if done.returncode != 0:
        return Check("camera", f"camera {index}", MISSING, "does not open, or gives no frame", line)
    return Check("camera", f"camera {index}", OK, f"opens, {done.stdout.strip()}")


def display() -> Check:
    """Whether a preview window can open: a display, and an OpenCV with windows."""
    from styletransfer.core.errors import StyleTransferError
    from styletransfer.media.window import check_display

    section, name = "display", "window"
    try:
        check_display()
    except StyleTransferError as error:
        return Check(section, name, MISSING, str(error))
    try:
        import cv2

        lines = cv2.getBuildInformation().splitlines()
    except Exception as error:
        return Check(section, name, MISSING, f"OpenCV does not import: {_first_line(error)}")
    gui = next((line.partition(":")[2].strip() for line in lines if line.strip().startswith("GUI:")), "")
    if gui == "NONE":
        line = "pip uninstall -y opencv-python-headless && pip install --force-reinstall opencv-python"
        return Check(section, name, MISSING, "this OpenCV is built without windows", line)
    return Check(section, name, OK, gui or "there is a display")


def training() -> Iterator[Check]:
    """What training needs: its packages (not imported: torch takes seconds) and the VGG-16 weights."""
    from styletransfer.core.download import cache_dir

    section = "training"
    missing = [name for name in _TRAINING if machine.package_version(name) is None]
    there = [f"{name} {version}" for name in _TRAINING if (version := machine.package_version(name))]
    if missing:
        detail = f"not installed: {', '.join(missing)}"
        yield Check(section, "packages", MISSING, detail, "pip install 'styletransfer[train]'")
    else:
        yield Check(section, "packages", OK, ", ".join(there))
    chosen = os.environ.get("STYLETRANSFER_VGG16")
    if chosen and not Path(chosen).is_file():
        line = "unset STYLETRANSFER_VGG16, or name the file there"
        yield Check(section, "VGG-16 weights", MISSING, f"STYLETRANSFER_VGG16={chosen}: no such file", line)
        return
    cached = sorted(cache_dir().glob("vgg16*.pth"))
    path = chosen or next(map(str, cached), "")
    if path:
        yield Check(section, "VGG-16 weights", OK, path)
    else:
        line = "`styletransfer train` downloads them (528 MB, once), or takes a file with --vgg"
        yield Check(section, "VGG-16 weights", MISSING, f"not in {cache_dir()}", line)


def _in_own_process(function: str, *arguments: str, timeout_s: float) -> dict[str, Any]:
    """What a function of this module returns, or ``error``; ``subprocess.TimeoutExpired`` passes."""
    code = (
        f"import json, sys; from styletransfer.cli import probes; print(json.dumps(probes.{function}(*sys.argv[1:])))"
    )
    done = _python(code, *arguments, timeout_s=timeout_s)
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return {"error": f"the process that tried it ended with {done.returncode}"}
    return found


def _python(code: str, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
