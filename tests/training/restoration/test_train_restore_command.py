"""``train-restore`` as a user meets it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command import one_error
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from styletransfer.training.restoration.export import load_restorer  # noqa: E402

SMALL = ("--channels", 4, "--layers", 1, "--batch", 2, "--image-size", 32)


@pytest.fixture
def train(cli, photo_folder, tmp_path):
    """``train("--steps", 5)``: compact ×2 into net.onnx; later arguments win."""

    def run(*args, photos=photo_folder, out=tmp_path / "out" / "net.onnx"):
        return cli("train-restore", "--photos", photos, "--out", out, *SMALL, *args)

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_from_photos_to_a_file(train, cli, tmp_path, photo_folder):
    (photo_folder / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    more = tmp_path / "more"
    more.mkdir()
    Image.fromarray(make_photo(48, 48)).save(more / "x.png")
    outcome = train("--steps", 4, "--scale", 4, "--photos", more, "--val", more, "--loss", "l1 + 0.1*ssim")
    assert outcome.status == 0, outcome.err
    out = tmp_path / "out"
    assert names(out) == ["net-losses.png", "net.onnx", "net.training"]
    assert "4 steps" in outcome.out and "ssim" in outcome.out and "start: none" in outcome.out
    assert "PSNR on Y" in outcome.out and "without the network" in outcome.out
    assert "photos skipped: 1 damaged, 0 tiny" in outcome.err and not outcome.errors
    for picture in ("net-losses.png", "net.training/preview.png"):
        with Image.open(out / picture) as shown:
            shown.load()
    assert len((out / "net.training" / "log.jsonl").read_text().splitlines()) == 4
    session = onnxruntime.InferenceSession(out / "net.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"frame": make_photo(9, 7)[None]})[0].shape == (1, 36, 28, 3)

    exported = cli("export", out / "net.training", "--half", "-o", tmp_path / "half.onnx")
    assert exported.status == 0 and "step 4" in exported.out, exported.err
    photo = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(
            load_restorer(tmp_path / "half.onnx")(photo), load_restorer(out / "net.onnx")(photo), atol=1e-2
        )


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_training_starts_from_another(train, tmp_path, kind):
    first = tmp_path / "first.onnx"
    assert train("--steps", 1, out=first).status == 0
    start = first if kind == "file" else first.with_suffix(".training")
    outcome = train("--steps", 1, "--init", start, "--learning-rate", 1e-9, "--loss", "charbonnier")
    assert outcome.status == 0 and "start: first;" in outcome.out, outcome.err
    photo = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        same = load_restorer(first)(photo), load_restorer(tmp_path / "out" / "net.onnx")(photo)
    assert torch.allclose(*same, atol=1e-5)


def test_starts_that_do_not_fit(train, tmp_path, tiny_model):
    first = tmp_path / "first.onnx"
    assert train("--steps", 1, out=first).status == 0
    assert one_error(train("--init", first, "--scale", 4), "first.onnx", "scale 2", "scale 4", "--scale")
    assert one_error(train("--init", first, "--channels", 8), "4 channels", "8 channels", "--channels")
    assert one_error(train("--init", tmp_path / "none.onnx"), "none.onnx", "no such")
    assert one_error(train("--init", tiny_model), "tiny.onnx")
    assert one_error(train("--init", "udnie"), "udnie", "is a style")
    assert one_error(train("--init", "upscale4"), "upscale4", "scale 4", "--scale")
    dncnn = ("--net", "dncnn", "--task", "denoise", "--layers", 3, "--steps", 1)
    assert train(*dncnn, out=first).status == 0
    assert one_error(train(*dncnn, "--init", first), "batch norms", "first.training")
    assert train(*dncnn, "--init", first.with_suffix(".training")).status == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--out", "x.pt"), ("x.pt", ".onnx")),
        (("--task", "paint"), ("paint", "sr, denoise, deblock, clean")),
        (("--scale", 3), ("scale 3", "allowed: 2, 4")),
        (("--task", "clean", "--scale", 2), ("task clean", "allowed: 1")),
        (("--net", "unet"), ("unet", "compact, johnson, srresnet, edsr, edsr-full, dncnn")),
        (("--loss", "l3"), ("l3", "charbonnier")),
        (("--loss", "l1 +"), ("l1 +", "weighted sum")),
        (("--loss", "mdf"), ("--mdf",)),
        (("--sigma", "lots", "--task", "denoise"), ("lots", "0-255")),
        (("--steps", 3, "--minutes", 1), ("--steps 3", "--minutes 1", "one of them")),
        (("--photos", "nowhere"), ("nowhere", "no such folder")),
        (("--val", "nowhere"), ("nowhere", "no such folder")),
        (("--image-size", 512), ("none of the 6 photos", "--image-size")),
        (("--resume",), ("no checkpoint",)),
    ],
)
def test_wrong_arguments_are_one_line(train, tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    assert one_error(train(*args), *words)
    assert not list(tmp_path.rglob("*.onnx"))


def test_the_curves_of_a_training_never_replace_a_photo(train, photo_folder):
    photo = photo_folder / "net-losses.png"
    Image.fromarray(make_photo(64, 64)).save(photo)
    before = photo.read_bytes()
    assert one_error(train("--steps", 1, out=photo_folder / "net.onnx"), photo.name, "is one of the photos", "--out")
    assert photo.read_bytes() == before


def test_a_training_never_ends_an_unfinished_one(train, tmp_path):
    assert train("--steps", 2).status == 0
    (tmp_path / "out" / "net.onnx").unlink()
    outcome = train("--steps", 1)
    assert outcome.status == 0 and "net-unfinished.training" in outcome.err
    resumed = train("--steps", 2, "--resume", out=tmp_path / "out" / "net-unfinished.onnx")
    assert resumed.status == 0, resumed.err


def test_ctrl_c_saves_and_resume_goes_on(photo_folder, tmp_path, cli):
    out = tmp_path / "net.onnx"
    command = ["train-restore", "--photos", photo_folder, "-o", out, *SMALL, "--steps", 100_000]
    command = [str(part) for part in command]
    code = f"from styletransfer.cli.app import main; main({command!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    log = out.with_suffix(".training") / "log.jsonl"
    deadline = time.monotonic() + 100
    while not (log.exists() and log.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    last = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(last) == 1 and "--resume continues" in last[0] and "Traceback" not in err
    assert not out.exists() and list(out.with_suffix(".training").glob("checkpoint-*"))
    exported = cli("export", out.with_suffix(".training"))
    assert exported.status == 0 and load_restorer(out).scale == 2


def test_time_instead_of_steps(train, tmp_path):
    outcome = train("--minutes", 0.01)
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "out" / "net.onnx").exists()


def test_match_histogram_gives_one_picture_the_others_levels():
    from styletransfer.core.match import match_histogram

    photo = make_photo(40, 40)
    darker = (photo // 2).astype(np.uint8)
    matched = match_histogram(darker, photo)
    assert np.abs(matched.astype(int) - photo).max() <= 2  # two levels became one
    assert np.array_equal(match_histogram(photo, photo), photo)
    flat = np.full((4, 4, 3), 90, np.uint8)
    assert (match_histogram(photo, flat) == 90).all()
