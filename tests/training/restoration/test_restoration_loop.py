from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")

from styletransfer.core.errors import CheckpointError, DivergedError, InputError, SettingsError  # noqa: E402
from styletransfer.core.settings_restore import RestoreSettings  # noqa: E402
from styletransfer.core.work import LOG_NAME  # noqa: E402
from styletransfer.training.checkpoint import find_checkpoint  # noqa: E402
from styletransfer.training.checkpoint import save_checkpoint as save_style  # noqa: E402
from styletransfer.training.follow import PREVIEW_NAME, Callbacks  # noqa: E402
from styletransfer.training.losses.expression import build_loss  # noqa: E402
from styletransfer.training.restoration.loop import is_finished, learning_rate, train_restorer  # noqa: E402
from styletransfer.training.restoration.networks import build_restorer  # noqa: E402
from styletransfer.training.restoration.state import load_progress  # noqa: E402
from styletransfer.training.restoration.validate import mean_psnr_db  # noqa: E402

QUIET = Callbacks(preview_every=0, checkpoint_every=0)


@pytest.fixture
def run(tmp_path, photo_folder):
    """Train into the folder ``work``: ``run("a", settings, ...)``."""

    def call(work, settings, callbacks=QUIET, **options):
        photos, loss = options.pop("photos", [photo_folder]), options.pop("loss", None)
        torch.manual_seed(1)  # of a discriminator
        loss = loss or build_loss(settings.loss)
        return train_restorer(settings, photos, tmp_path / work, loss, callbacks=callbacks, **options)

    return call


def log(folder):
    """The lines of a training's log, without the time."""
    lines = [json.loads(line) for line in (folder / LOG_NAME).read_text().splitlines()]
    assert all(line.pop("seconds") >= 0 for line in lines)
    return lines


def same_weights(first, second):
    return all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


def stop_after(step):
    """Callbacks that end a training as Ctrl-C does."""
    seen = []
    return dataclasses.replace(QUIET, on_step=lambda done, _: seen.append(done), stop=lambda: seen[-1] == step)


def test_a_training_leaves_a_network_a_log_a_preview_and_a_checkpoint(run, tmp_path, tiny):
    steps = []
    network, progress, sampler = run("a", tiny(scale=4), Callbacks(lambda *args: steps.append(args)))
    lines = log(tmp_path / "a")
    assert [step for step, _ in steps] == [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert all(set(losses) == {"total", "l1"} and losses["l1"] > 0 for _, losses in steps)
    assert (progress.step, progress.photos, progress.init, len(sampler.skipped)) == (5, 6, "none", 0)
    assert progress.losses["total"] == pytest.approx(np.mean([line["total"] for line in lines]))
    loaded, where = load_progress(find_checkpoint(tmp_path / "a"))
    assert same_weights(network, loaded) and where == progress and not network.training
    with Image.open(tmp_path / "a" / PREVIEW_NAME) as preview:
        assert preview.size == (3 * 32, 4 * 32)  # spoiled, restored, target; four patches


@pytest.mark.parametrize(
    "told",
    [
        {"loss": "l1 + 0.001*gan"},
        {"network": "dncnn", "task": "denoise", "scale": 1, "layers": 4, "loss": "l2"},
        {"network": "johnson"},
    ],
)
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(run, tmp_path, tiny, told):
    settings = tiny(**told)
    whole, _, _ = run("whole", settings)
    _, stopped, _ = run("cut", settings, stop_after(2))
    assert stopped.step == 2 and not is_finished(stopped)
    resumed, progress, _ = run("cut", settings, resume=True)
    assert progress.step == 5 and is_finished(progress)
    assert log(tmp_path / "cut") == log(tmp_path / "whole") and same_weights(resumed, whole)


def test_a_finished_training_resumed_does_nothing(run, tmp_path, tiny):
    network, before, _ = run("a", tiny())
    again, progress, _ = run("a", tiny(), resume=True)
    assert same_weights(network, again) and progress.step == 5 and progress.losses == before.losses
    assert len(log(tmp_path / "a")) == 5


def test_another_folder_of_photos_does_not_continue(run, photo_folder, tiny):
    run("a", tiny(), stop_after(2))
    next(photo_folder.iterdir()).unlink()
    with pytest.raises(CheckpointError, match="photos 6, now it is 5"):
        run("a", tiny(), resume=True)


def test_other_settings_do_not_continue(run, tiny):
    run("a", tiny(), stop_after(1))
    with pytest.raises(CheckpointError, match=r"had loss l1, now it is l2.*--resume"):
        run("a", tiny(loss="l2"), resume=True)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        run("b", tiny(), resume=True)


def test_a_styles_checkpoint_is_none_of_ours(tmp_path, quick):
    from styletransfer.core.card import Painting
    from styletransfer.training.checkpoint import Progress, build_network

    network = build_network(quick())
    path = save_style(
        tmp_path, network, torch.optim.Adam(network.parameters()), Progress(quick(), Painting("x"), step=1)
    )
    with pytest.raises(CheckpointError, match="checkpoint of a style"):
        load_progress(path)


def test_a_damaged_checkpoint(run, tmp_path, tiny):
    run("a", tiny(), stop_after(1))
    path = find_checkpoint(tmp_path / "a")
    (path / "optimiser.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="optimiser's state is damaged"):
        run("a", tiny(), resume=True)
    (path / "network.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="checkpoint-000001: damaged"):
        run("a", tiny(), resume=True)


def test_it_learns(run, tmp_path, tiny):
    """From one blurred stripe pattern to the sharp one: more than bicubic enlarging can do."""
    folder = tmp_path / "stripes"
    folder.mkdir()
    y, x = np.mgrid[0:64, 0:64]
    stripes = np.repeat((((x + y) // 5 % 2) * 200 + 20).astype(np.uint8)[..., None], 3, axis=2)
    Image.fromarray(stripes).save(folder / "a.png")
    settings = tiny(steps=150, channels=8, layers=2, learning_rate=5e-3, average=0.9)
    network, progress, _ = run("a", settings, photos=[folder])
    ours_db, bicubic_db = mean_psnr_db(network, settings, folder, pytest.fail)
    assert ours_db > bicubic_db + 2
    assert progress.losses["total"] < log(tmp_path / "a")[0]["total"] / 2


def test_a_training_by_time_ends_in_time_and_its_rate_falls(run, tiny, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("styletransfer.training.restoration.loop.time.perf_counter", lambda: float(next(clock)))
    rates = []
    monkeypatch.setattr(
        "styletransfer.training.restoration.loop.learning_rate",
        lambda share, peak: rates.append(learning_rate(share, peak)) or rates[-1],
    )
    _, progress, _ = run("a", tiny(steps=0, minutes=0.5))  # a second a step
    assert progress.step == 30 and progress.seconds == 30 and is_finished(progress)
    assert rates[1] > 0.9e-3 and rates[-1] < 0.05e-3 and rates[1:] == sorted(rates[1:], reverse=True)


def test_the_rate_rises_shortly_and_falls_to_a_hundredth():
    assert learning_rate(0.0, 1.0) == 0.01 and learning_rate(0.01, 1.0) == pytest.approx(0.5)
    assert learning_rate(0.02, 1.0) == pytest.approx(1) and learning_rate(0.51, 1.0) == pytest.approx(0.5)
    assert learning_rate(1.0, 1.0) == pytest.approx(0.01)


def test_another_network_is_a_start(run, tiny):
    settings = tiny(steps=1, learning_rate=1e-9)
    torch.manual_seed(8)
    start = build_restorer("compact", 2, 4, 1)
    network, progress, _ = run("a", settings, init=("other", start))
    assert progress.init == "other"
    for key, value in start.state_dict().items():
        assert torch.allclose(network.state_dict()[key], value, atol=1e-6)


def test_what_is_kept_is_the_mean_of_the_weights(run, tiny):
    kept = [run(name, tiny(average=decay))[0].last.square.weight for name, decay in (("a", 0.0), ("b", 0.999))]
    assert not torch.equal(*kept)


def test_a_loss_that_is_no_number_stops_the_training(run, tmp_path, tiny):
    loss, calls = build_loss("l1"), iter(range(9))
    l1 = loss.functions["l1"]
    loss.functions["l1"] = lambda *pair: l1(*pair) * (float("nan") if next(calls) == 3 else 1)
    with pytest.raises(DivergedError, match=r"nan at step 4: training diverged\. Try half.*--learning-rate 0\.0005"):
        run("a", tiny(), dataclasses.replace(QUIET, checkpoint_every=1), loss=loss)
    assert load_progress(find_checkpoint(tmp_path / "a"))[1].step == 3


def test_photos_too_small(run, tmp_path, tiny):
    folder = tmp_path / "small"
    folder.mkdir()
    Image.fromarray(make_photo(20, 20)).save(folder / "a.png")
    with pytest.raises(InputError, match=r"none of the 1 photos.*1 tiny"):
        run("a", tiny(), photos=[folder])


def test_measuring_knows_what_was_spoiled(tmp_path, photo_folder):
    """A network that changes nothing scores as the spoiled pictures do; noise of 25 levels is 20.2 dB."""
    network = build_restorer("compact", 1, 4, 1).eval()
    with torch.no_grad():
        network.last.load_kernel(torch.zeros_like(network.last.kernel()), torch.zeros(3))
    settings = RestoreSettings(task="denoise", sigma="20-30", grey=True)
    ours_db, before_db = mean_psnr_db(network, settings, photo_folder, pytest.fail)
    assert ours_db == before_db and 20 < before_db < 20.8


def test_what_cannot_be_measured_on_is_left_out(tmp_path, photo_folder):
    network = build_restorer("compact", 2, 4, 1).eval()
    settings = RestoreSettings(scale=2)
    whole = mean_psnr_db(network, settings, photo_folder, pytest.fail)
    (photo_folder / "damaged.jpg").write_bytes(b"\xff\xd8 not really")
    Image.fromarray(make_photo(6, 40)).save(photo_folder / "flat.png")
    told = []
    assert mean_psnr_db(network, settings, photo_folder, told.append) == whole
    assert "damaged.jpg" in told[0] and "flat.png: too small" in told[1] and len(told) == 2
    for path in filter(Path.is_file, photo_folder.rglob("*")):
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="no picture to measure on"):
        mean_psnr_db(network, settings, photo_folder, told.append)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"task": "paint"}, "task 'paint' is unknown; allowed: sr, denoise, deblock, clean"),
        ({"network": "vdsr"}, "network 'vdsr' is unknown"),
        ({"scale": 1}, "scale is 1 for the task sr; allowed: 2, 4, 8"),
        ({"task": "clean"}, "scale is 2 for the task clean; allowed: 1"),
        ({"scale": 3}, "not made for scale 3; allowed: 2, 4$"),
        ({"scale": 8}, "not made for scale 8; allowed: 2, 4$"),
        ({"network": "dncnn"}, "not made for the task sr; allowed: compact, johnson, srresnet, edsr, edsr-full"),
        ({"network": "edsr", "task": "clean", "scale": 1}, "not made for the task clean; allowed: compact, dncnn"),
        ({"network": "edsr", "stem": 2}, "edsr has none"),
        ({"sigma": "5-"}, "sigma is '5-'; allowed: one number or a range as 0-255"),
        ({"sigma": "50-5"}, "sigma is '50-5'"),
        ({"quality": "0-20"}, "quality is '0-20'"),
        ({"quality": "nan"}, "quality is 'nan'"),
        ({"image_size": 40, "scale": 4}, "multiples of 32"),
        ({"image_size": 20}, "image_size is 20"),
        ({"steps": 0}, "both 0"),
        ({"minutes": float("nan")}, "minutes is nan"),
    ],
)
def test_settings_out_of_range(told, message):
    with pytest.raises(SettingsError, match=message):
        RestoreSettings(**{"scale": 2, **told})
