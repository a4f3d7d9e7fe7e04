"""The training of MDF's discriminators and ``train-mdf`` as a user meets it."""

from __future__ import annotations

import io
import itertools
import os
import signal

import numpy as np
import pytest
from command import one_error
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors import safe_open  # noqa: E402

from styletransfer.core.errors import CheckpointError, DivergedError, InputError, SettingsError  # noqa: E402
from styletransfer.core.settings_mdf import MDF_TASKS, MdfSettings  # noqa: E402
from styletransfer.training.losses.mdf import MDFLoss, read_discriminators  # noqa: E402
from styletransfer.training.mdf_training import PyramidTraining, distortion  # noqa: E402
from styletransfer.training.singan import Generator, gradient_penalty, pyramid_sizes  # noqa: E402

CPU = torch.device("cpu")


def training(iterations=1, task="jpeg", size=40, seed=0):
    return PyramidTraining(make_photo(60, 60), MdfSettings(task, iterations, size, seed), CPU)


def weights(networks):
    return [value for network in networks for value in network.state_dict().values()]


# ---- the parts ----


@pytest.mark.parametrize(
    ("size_hw", "largest", "count", "last"),
    [
        ((2000, 3000), 250, 8, (167, 250)),
        ((500, 500), 250, 8, None),  # ten scales in all: the two finest are left out
        ((40, 40), 250, 3, (40, 40)),  # never enlarged
        ((60, 240), 240, 5, (60, 240)),
    ],
)
def test_the_pyramid(size_hw, largest, count, last):
    sizes = pyramid_sizes(size_hw, largest)
    assert len(sizes) == count and min(sizes[0]) == 25
    assert last is None or sizes[-1] == last
    for small, big in itertools.pairwise(sizes):
        assert 0.73 < small[0] / big[0] < 0.82
        assert small[0] / small[1] == pytest.approx(size_hw[0] / size_hw[1], rel=0.04)


@pytest.mark.parametrize("size_hw", [(20, 20), (33, 200), (100, 2000)])
def test_too_small_a_picture_is_refused(size_hw):
    with pytest.raises(InputError, match="allowed: 34 or more"):
        pyramid_sizes(size_hw, 250)


def test_the_distortions():
    photo = make_photo(48, 48)
    target = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    random = torch.Generator().manual_seed(0)
    assert not distortion("sr", target, random).any()
    sigmas = [255 * distortion("noise", target, random).std().item() for _ in range(20)]
    assert 4 < min(sigmas) < 15 and 40 < max(sigmas) < 54
    made = []
    for quality in range(5, 51):
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, "JPEG", quality=quality)
        made.append(np.asarray(Image.open(buffer), float))
    for _ in range(5):
        found = (255 * (target + distortion("jpeg", target, random)))[0].permute(1, 2, 0).numpy()
        assert any(np.abs(found - jpeg).max() < 0.01 for jpeg in made)


def test_the_gradient_penalty_by_hand():
    real, fake = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    for slope, expected in ((3.0, 4.0), (1.0, 0.0), (0.0, 1.0)):
        penalty = gradient_penalty(lambda x, slope=slope: slope * x[:, :1], real, fake, torch.tensor(0.3))
        assert penalty.item() == pytest.approx(expected)


def test_a_generator_changes_the_picture_and_keeps_its_size():
    torch.manual_seed(0)
    previous, z = torch.rand(1, 3, 20, 30), torch.zeros(1, 3, 20, 30)
    generator = Generator(4).eval()
    made = generator(previous, z)
    assert made.shape == previous.shape and 0 < (made - previous).abs().max() <= 1
    assert not torch.equal(generator(previous, z + 0.1), made)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"task": "blur"}, "blur"),
        ({"iterations": 0}, "iterations is 0"),
        ({"size": 31}, "size is 31"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_are_checked(change, word):
    with pytest.raises(SettingsError, match=f"{word}.*allowed"):
        MdfSettings(**change)


# ---- the training ----


@pytest.mark.parametrize("task", MDF_TASKS)
def test_every_task_trains_all_scales(task):
    steps = []
    trained = training(2, task)
    assert trained.run(steps.append)
    assert [(step.scale, step.iteration, step.size_wh) for step in steps] == [
        (0, 1, (25, 25)), (0, 2, (25, 25)), (1, 1, (32, 32)), (1, 2, (32, 32)), (2, 1, (40, 40)), (2, 2, (40, 40)),
    ]  # fmt: skip
    assert len(trained.discriminators) == 3 and not any(part.training for part in trained.discriminators)
    assert all(torch.isfinite(value).all() for value in weights(trained.discriminators))


def test_the_discriminator_learns_and_so_does_the_generator():
    steps = []
    trained = training(15)
    trained.run(steps.append, should_stop=lambda: bool(trained.generators))
    first = [step.losses for step in steps]
    assert first[-1]["error"] < 0.7 * first[0]["error"]
    assert min(losses["critic"] for losses in first) < -0.05  # real scores higher than made


def test_what_was_trained_ranks_distortions(tmp_path):
    trained = training(5, size=34)
    trained.run()
    loss = MDFLoss(trained.discriminators)
    photo = make_photo(64, 64, seed=5)
    target = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255

    def jpeg(quality):
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, "JPEG", quality=quality)
        return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)[None].float() / 255

    values = [loss(jpeg(quality), target).item() for quality in (5, 20, 80)]
    assert values[0] > values[1] > values[2] > 0


def test_a_stopped_training_goes_on_as_if_nothing_had_happened(tmp_path):
    path = tmp_path / "work.safetensors"
    whole, stopped = training(2), training(2)
    whole.run()
    assert not stopped.run(should_stop=lambda: len(stopped.generators) == 1, on_scale=lambda: stopped.save(path))
    resumed = training(2)
    resumed.resume(path)
    assert len(resumed.discriminators) == 1 and resumed.run()
    for one, other in ((whole.discriminators, resumed.discriminators), (whole.generators, resumed.generators)):
        assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))
    other = training(2, seed=1)
    other.run()
    assert not torch.equal(weights(whole.discriminators)[0], weights(other.discriminators)[0])


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "work.safetensors"
    one = training(1)
    one.save(path)
    with pytest.raises(CheckpointError, match="other settings"):
        training(2).resume(path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(CheckpointError, match="damaged"):
        training(1).resume(path)


def test_a_loss_that_is_no_number_is_said_so(monkeypatch):
    monkeypatch.setattr("styletransfer.training.mdf_training.generator_steps", lambda *_: float("nan"))
    with pytest.raises(DivergedError, match=r"scale 1 .* iteration 1"):
        training().run()


# ---- the command ----


@pytest.fixture
def train(cli, tmp_path):
    """``train(photo, "--task", "jpeg")``: small and short; later arguments win."""
    photo = tmp_path / "photo.png"
    Image.fromarray(make_photo(60, 80)).save(photo)

    def run(*args, image=photo, out=tmp_path / "out" / "own.safetensors"):
        return cli("train-mdf", image, "-o", out, "--iterations", 1, "--size", 48, "--device", "cpu", *args)

    return run


def test_from_a_picture_to_a_loss(train, tmp_path):
    outcome = train("--task", "noise")
    assert outcome.status == 0, outcome.err
    out = tmp_path / "out" / "own.safetensors"
    assert [path.name for path in out.parent.iterdir()] == ["own.safetensors"]
    assert "Gaussian noise" in outcome.out and f"--mdf {out}" in outcome.out and "48x36" in outcome.out
    made = read_discriminators(out)
    assert f"{len(made)} discriminators" in outcome.out
    with safe_open(out, "pt") as file:
        assert all(word in file.metadata()["source"] for word in ("task noise", "1 iterations", "photo.png"))
    assert MDFLoss(made)(torch.zeros(1, 3, 24, 24), torch.ones(1, 3, 24, 24)) > 0


def test_ctrl_c_keeps_the_scales_that_are_done_and_resume_ends_the_training(train, tmp_path, monkeypatch):
    out, save = tmp_path / "out" / "own.safetensors", PyramidTraining.save

    def save_and_interrupt(self, path):
        save(self, path)
        if self.generators:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(PyramidTraining, "save", save_and_interrupt)
        stopped = train()
    assert stopped.status == 130 and len(stopped.errors) == 1
    assert "stopped in scale 2 of 3" in stopped.errors[0] and "--resume" in stopped.errors[0]
    assert [path.name for path in out.parent.iterdir()] == ["own.training.safetensors"]
    assert one_error(train("--resume", "--seed", 3), "other settings")
    resumed = train("--resume")
    assert resumed.status == 0, resumed.err
    assert [path.name for path in out.parent.iterdir()] == ["own.safetensors"]
    whole = tmp_path / "whole.safetensors"
    assert train(out=whole).status == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_training_never_ends_an_unfinished_one(train, tmp_path, monkeypatch):
    out, run = tmp_path / "out" / "own.safetensors", PyramidTraining.run

    def stop_after_one_scale(self, on_step, stop, save):
        run(self, on_step, lambda: bool(self.generators), save)

    with monkeypatch.context() as patched:
        patched.setattr(PyramidTraining, "run", stop_after_one_scale)
        assert train().status == 130
    again = train("--seed", 1)
    assert again.status == 0 and "own-unfinished.training.safetensors" in again.err
    assert [path.name for path in sorted(out.parent.iterdir())] == [
        "own-unfinished.training.safetensors", "own.safetensors",
    ]  # fmt: skip
    assert train("--resume", out=out.with_name("own-unfinished.safetensors")).status == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--task", "blur"), ("'blur'", "sr, noise, jpeg")),
        (("--iterations", 0), ("iterations is 0", "allowed")),
        (("--size", 5000), ("size is 5000", "allowed")),
        (("--device", "tpu"), ("--device", "allowed")),
        (("--resume",), ("own.training.safetensors", "no training to continue")),
    ],
)
def test_a_wrong_option_is_one_line(train, args, words, tmp_path):
    assert one_error(train(*args), *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "small", "elongated"])
def test_a_wrong_picture_is_one_line(train, tmp_path, kind):
    image = tmp_path / "bad.png"
    if kind == "folder":
        image.mkdir()
    elif kind == "text":
        image.write_text("no picture")
    elif kind != "missing":
        Image.fromarray(make_photo(20, 20) if kind == "small" else make_photo(40, 400)).save(image)
    assert one_error(train(image=image), "bad.png")
    assert not (tmp_path / "out").exists()


def test_a_result_that_cannot_be_written_is_said_before_the_training(train, tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(PyramidTraining, "run", never)
    assert one_error(train(out=tmp_path / "photo.png" / "own.safetensors"), "photo.png")


def test_ctrl_c_in_the_first_scale_leaves_nothing_behind(train, tmp_path, monkeypatch):
    monkeypatch.setattr(PyramidTraining, "run", lambda *_: False)
    outcome = train()
    assert outcome.status == 130 and "nothing was there to save" in outcome.errors[0]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["own.pth", "folder.safetensors"])
def test_a_wrong_name_of_the_result_is_one_line(train, tmp_path, name):
    (tmp_path / "folder.safetensors").mkdir()
    assert one_error(train(out=tmp_path / name), name, "--out")
