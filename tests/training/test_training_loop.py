from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")

from styletransfer.core.card import Painting  # noqa: E402
from styletransfer.core.errors import CheckpointError, DivergedError, InputError, OutputError  # noqa: E402
from styletransfer.training.checkpoint import build_network, find_checkpoint, load_checkpoint  # noqa: E402
from styletransfer.training.follow import StepLog  # noqa: E402
from styletransfer.training.loop import LOG_NAME, PREVIEW_NAME, Callbacks, Paths, rate_share, train  # noqa: E402
from styletransfer.training.losses import Objective  # noqa: E402
from styletransfer.training.report import save_contact_sheet, save_loss_curve  # noqa: E402
from styletransfer.training.vgg import load_vgg  # noqa: E402

STRIPES = Painting("Stripes")
QUIET = Callbacks(preview_every=0, checkpoint_every=0)


@pytest.fixture
def run(tmp_path, painting_file, photo_folder, thin_vgg):
    """Train into the folder ``work``: ``run("a", settings, ...)``."""

    def call(work, settings, callbacks=QUIET, vgg=None, **options):
        paths = Paths(options.pop("painting", painting_file), options.pop("photos", photo_folder), tmp_path / work)
        return train(settings, paths, vgg or thin_vgg(), STRIPES, callbacks=callbacks, **options)

    return call


def log(folder):
    """The lines of a training's log, without the time, which differs from run to run."""
    lines = [json.loads(line) for line in (folder / LOG_NAME).read_text().splitlines()]
    assert all(line.pop("seconds") >= 0 for line in lines)
    return lines


def assert_same_weights(first, second):
    assert first.state_dict().keys() == second.state_dict().keys()
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


def stop_after(step):
    """Callbacks that end a training as Ctrl-C does."""
    seen = []
    return dataclasses.replace(QUIET, on_step=lambda done, _: seen.append(done), stop=lambda: seen[-1] == step)


# ---- five steps ----


@pytest.mark.parametrize("name", ["live", "johnson"])
def test_five_steps_leave_a_network_a_log_a_preview_and_a_checkpoint(
    run, tmp_path, painting_file, full_size, quick, name
):
    steps = []
    network, progress, sampler = run("a", quick(architecture=name), Callbacks(lambda *args: steps.append(args)))
    lines = log(tmp_path / "a")
    assert [done for done, _ in steps] == [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert [losses for _, losses in steps] == [{key: line[key] for key in line if key != "step"} for line in lines]
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    assert (progress.step, progress.photos, progress.init, len(sampler.skipped)) == (5, 6, "none", 0)
    assert progress.losses["total"] == pytest.approx(np.mean([line["total"] for line in lines]))
    assert progress.painting == Painting("Stripes", sha256=hashlib.sha256(painting_file.read_bytes()).hexdigest())
    assert_same_weights(network, load_checkpoint(find_checkpoint(tmp_path / "a"))[0])
    with Image.open(tmp_path / "a" / PREVIEW_NAME) as preview:
        assert preview.size == (3 * 256, 4 * 256)  # photo, stylized, painting; four photos

    sheet, curve = tmp_path / "sheet.png", tmp_path / "curve.png"
    save_contact_sheet(network, sampler, painting_file, sheet)
    save_loss_curve(tmp_path / "a" / LOG_NAME, curve)
    with Image.open(sheet) as shown:
        assert shown.size == (6 * 256, 6 * 256 + 4 * 256)  # the square painting above six pairs, twice
    Image.open(painting_file).resize((40, 60)).save(painting_file)
    save_contact_sheet(network, sampler, painting_file, sheet)
    with Image.open(sheet) as shown:
        assert shown.size == (4 * 256 + 4 * 256, 6 * 256)  # a tall one beside four pairs, three times
    with Image.open(curve) as shown:
        assert min(shown.size) > 400 and len(shown.convert("RGB").getcolors(1 << 20)) > 10


def test_a_lost_log_still_gives_a_picture(tmp_path):
    (tmp_path / LOG_NAME).write_text("")
    save_loss_curve(tmp_path / LOG_NAME, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as shown:
        shown.load()


def test_the_seed_decides_everything(run, tmp_path, quick):
    first, second, other = run("a", quick())[0], run("b", quick())[0], run("c", quick(seed=1))[0]
    assert log(tmp_path / "a") == log(tmp_path / "b") != log(tmp_path / "c")
    assert_same_weights(first, second)
    assert not torch.equal(first.stem.weight, other.stem.weight)


def test_checkpoints_and_previews_come_when_they_are_due(run, tmp_path, quick):
    seen = {}

    def look(done, _):
        folder = tmp_path / "a"
        seen[done] = (sorted(path.name for path in folder.glob("checkpoint-*")), (folder / PREVIEW_NAME).exists())

    run("a", quick(), Callbacks(look, preview_every=3, checkpoint_every=2))
    start, second, fourth = ["checkpoint-000000"], ["checkpoint-000002"], ["checkpoint-000004"]
    assert [names for names, _ in seen.values()] == [start, start, second, second, fourth]
    assert [shown for _, shown in seen.values()] == [False, False, False, True, True]
    assert find_checkpoint(tmp_path / "a").name == "checkpoint-000005"


def test_damaged_photos_are_counted_and_do_not_end_the_training(run, photo_folder, quick):
    (photo_folder / "broken.jpg").write_bytes(b"\xff\xd8 not really")
    assert len(run("a", quick(steps=8))[2].skipped.damaged) == 1


@pytest.mark.parametrize("missing", ["painting", "photos"])
def test_without_painting_or_photos_nothing_is_made(run, tmp_path, quick, missing):
    with pytest.raises(InputError, match="nowhere"):
        run("a", quick(), **{missing: tmp_path / "nowhere"})
    assert not (tmp_path / "a").exists()


# ---- stopping and resuming ----


def test_a_stopped_and_resumed_training_equals_an_uninterrupted_one(run, tmp_path, quick):
    settings = quick(steps=6)
    whole, before, _ = run("whole", settings)
    _, stopped, _ = run("parts", settings, stop_after(2))
    assert stopped.step == 2 and find_checkpoint(tmp_path / "parts").name == "checkpoint-000002"
    _, stopped, _ = run("parts", settings, stop_after(5), resume=True)
    assert stopped.step == 5
    resumed, progress, _ = run("parts", settings, resume=True)
    assert progress.step == 6 and progress.seconds >= stopped.seconds
    assert log(tmp_path / "parts") == log(tmp_path / "whole")
    assert progress.losses == before.losses, "the card's losses are means over steps before the interruption, too"
    assert_same_weights(resumed, whole)


def test_a_crash_between_two_checkpoints_costs_the_steps_since_the_last(run, tmp_path, quick):
    def crash(done, _):
        if done == 5:
            raise MemoryError

    settings = quick(steps=6)
    whole, _, _ = run("whole", settings)
    with pytest.raises(MemoryError):
        run("parts", settings, Callbacks(crash, preview_every=0, checkpoint_every=2))
    assert find_checkpoint(tmp_path / "parts").name == "checkpoint-000004" and len(log(tmp_path / "parts")) == 5
    resumed, _, _ = run("parts", settings, resume=True)
    assert log(tmp_path / "parts") == log(tmp_path / "whole")
    assert_same_weights(resumed, whole)


def test_what_is_killed_before_its_first_checkpoint_is_not_taken_for_the_training_before_it(run, tmp_path, quick):
    def crash(done, _):
        if done == 2:
            raise MemoryError

    run("a", quick(steps=4))
    with pytest.raises(MemoryError):
        run("a", quick(steps=4, seed=1), Callbacks(crash, preview_every=0, checkpoint_every=0))
    resumed, _, _ = run("a", quick(steps=4, seed=1), resume=True)
    whole, _, _ = run("whole", quick(steps=4, seed=1))
    assert log(tmp_path / "a") == log(tmp_path / "whole")
    assert_same_weights(resumed, whole)


def test_a_log_that_the_disk_has_no_room_for_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with StepLog(tmp_path / LOG_NAME, 0) as lines:
        monkeypatch.setattr(lines, "_stream", SimpleNamespace(write=full, close=lines._stream.close))
        with pytest.raises(OutputError, match=f"{LOG_NAME}: the disk is full"):
            lines.write(1, {"total": 1.0}, 0.1)


def test_resuming_a_training_from_a_style_keeps_its_schedule(run, tmp_path, quick):
    settings = quick(steps=6, learning_rate=1e-2)
    start = {"stripes": build_network(settings)}
    whole, _, _ = run("whole", settings, init=start)
    run("parts", settings, stop_after(3), init=start)
    resumed, progress, _ = run("parts", settings, resume=True)
    assert progress.init == "stripes"
    assert log(tmp_path / "parts") == log(tmp_path / "whole")
    assert_same_weights(resumed, whole)


def test_resuming_a_finished_training_changes_nothing(run, tmp_path, quick):
    whole, before, _ = run("a", quick())
    lines = log(tmp_path / "a")
    again, after, _ = run("a", quick(), resume=True)
    assert_same_weights(again, whole)
    assert after.losses == before.losses and log(tmp_path / "a") == lines


def test_there_is_nothing_to_resume(run, quick):
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        run("a", quick(), resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"style_weight": 7.0}, r"style_weight 5\.0, now it is 7\.0"), ({"steps": 9}, "steps 5, now it is 9")],
)
def test_other_settings_cannot_be_resumed_with(run, tmp_path, quick, change, message):
    run("a", quick(), stop_after(2))
    with pytest.raises(CheckpointError, match=message):
        run("a", quick(**change), resume=True)
    assert find_checkpoint(tmp_path / "a").name == "checkpoint-000002" and len(log(tmp_path / "a")) == 2


def test_another_painting_cannot_be_resumed_with(run, tmp_path, quick):
    run("a", quick(), stop_after(2))
    Image.fromarray(make_photo(32, 32)).save(tmp_path / "other.png")
    with pytest.raises(CheckpointError, match="another painting"):
        run("a", quick(), resume=True, painting=tmp_path / "other.png")


def test_another_folder_of_photos_cannot_be_resumed_with(run, tmp_path, photo_folder, quick):
    run("a", quick(), stop_after(2))
    next(photo_folder.iterdir()).unlink()
    with pytest.raises(CheckpointError, match="photos 6, now it is 5"):
        run("a", quick(), resume=True)


def test_a_new_training_starts_anew_in_an_old_folder(run, tmp_path, quick):
    run("a", quick(steps=6))
    run("a", quick(steps=6, seed=1), stop_after(2))
    assert len(log(tmp_path / "a")) == 2
    assert run("a", quick(steps=6, seed=1), resume=True)[1].step == 6
    run("b", quick(steps=6, seed=1))
    assert log(tmp_path / "a") == log(tmp_path / "b")


def test_a_damaged_log_is_read_as_far_as_it_can_be(run, tmp_path, quick):
    run("a", quick(), stop_after(3))
    path = tmp_path / "a" / "log.jsonl"
    path.write_bytes(path.read_bytes() + b'{"step": 4, "total": 1.0}\n{"step": 5, "to\xff\n[1]\n{"step": "x"}\n')
    assert [entry["step"] for entry in StepLog.read(path)] == [1, 2, 3]
    save_loss_curve(path, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as shown:
        shown.load()
    path.write_bytes(b"\xff\xfe\n" + path.read_bytes())
    assert run("a", quick(), resume=True)[1].step == quick().steps


# ---- going wrong ----


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_checkpoint(run, tmp_path, quick, thin_vgg):
    vgg = thin_vgg()

    def poison(done, _):
        if done == 3:
            vgg.convolutions()[0].weight.fill_(float("nan"))

    with pytest.raises(DivergedError, match=r"at step 4.*--learning-rate 0\.0015") as caught:
        run("a", quick(), Callbacks(poison, preview_every=0, checkpoint_every=1), vgg=vgg)
    assert "\n" not in str(caught.value)
    network, progress = load_checkpoint(find_checkpoint(tmp_path / "a"))
    assert progress.step == 3 and all(value.isfinite().all() for value in network.state_dict().values())


# ---- where it starts ----


def test_of_several_styles_the_closest_is_taken(run, tmp_path, quick):
    settings = quick(steps=1)
    torch.manual_seed(3)
    starts = {name: build_network(settings) for name in ("calm", "loud", "louder")}
    with torch.no_grad():
        starts["loud"].last.weight.mul_(30)
        starts["louder"].last.weight.mul_(300)
    losses = {}
    for name, network in starts.items():
        run(name, settings, init={name: network})
        losses[name] = log(tmp_path / name)[0]["total"]
    best = min(losses, key=losses.__getitem__)
    assert len(set(losses.values())) == 3
    for names in (list(starts), list(reversed(starts))):
        assert run("best", settings, init={name: starts[name] for name in names})[1].init == best
        assert log(tmp_path / "best")[0]["total"] == losses[best]


def test_training_lowers_the_loss_and_another_starts_from_there(run, tmp_path, quick):
    trained, _, _ = run("cold", quick(steps=25, learning_rate=1e-2))
    run("warm", quick(steps=2), init={"cold": trained})
    cold, warm = ([line["total"] for line in log(tmp_path / work)] for work in ("cold", "warm"))
    assert np.mean(cold[-5:]) < 0.8 * np.mean(cold[:2])
    assert np.mean(warm) < 0.8 * np.mean(cold[:2])


def test_the_losses_of_a_plain_network_see_a_window_that_wanders_over_larger_photos(run, quick, monkeypatch):
    seen, places = [], []
    score = Objective.__call__

    def watch(objective, stylized, photo, *rest):
        assert stylized.shape == photo.shape
        seen.append(tuple(photo.shape[2:]))
        places.append(photo.storage_offset())
        return score(objective, stylized, photo, *rest)

    monkeypatch.setattr(Objective, "__call__", watch)
    settings = quick(steps=6, architecture="plain")
    run("a", settings)
    assert settings.crop_size > settings.image_size and set(seen) == {(settings.image_size, settings.image_size)}
    assert len(set(places)) > 3
    seen.clear()
    run("b", quick(steps=1))
    assert set(seen) == {(settings.image_size, settings.image_size)}


def test_a_plain_network_starts_from_a_live_one(run, tmp_path, quick):
    live, _, _ = run("live", quick(steps=60, learning_rate=1e-2))
    for start in ("none", "live"):
        settings = quick(steps=2, architecture="plain", learning_rate=1e-4)
        plain, progress, _ = run(start, settings, init={} if start == "none" else {"live": live})
        assert (type(plain).__name__, progress.init) == ("PlainNet", start)
    cold, warm = ([line["total"] for line in log(tmp_path / work)] for work in ("none", "live"))
    assert np.mean(warm) < 0.8 * np.mean(cold)


# ---- the learning rate ----


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 10, 1000])
def test_the_rate_rises_to_the_peak_and_falls_away(warm, steps):
    shares = [rate_share(step, steps, warm) for step in range(steps)]
    top = shares.index(max(shares))
    assert max(shares) == pytest.approx(1)
    assert shares[: top + 1] == sorted(shares[: top + 1]) and shares[top:] == sorted(shares[top:], reverse=True)
    assert min(shares) > 0
    if steps == 1000:
        assert top == pytest.approx(50 if warm else 300, abs=1)
        assert shares[0] < 0.05 and shares[-1] < 0.005
        middle = (1 + shares[-1]) / 2
        assert shares[(top + 999) // 2] == pytest.approx(middle, rel=0.01)


def test_zero_means_the_networks_own_rates(quick):
    peaks = {name: quick(architecture=name, learning_rate=0).peak_rate for name in ("live", "johnson")}
    assert peaks == {"live": 3e-3, "johnson": 1e-3}
    own, faster = (quick(architecture="live", learning_rate=rate).peak_muon_rate for rate in (0, 6e-3))
    assert faster == pytest.approx(2 * own) and own > 0


# ---- with the real loss network ----


@pytest.mark.weights
def test_thirty_steps_with_the_real_vgg_lower_the_losses(real_vgg, shared_data, tmp_path, quick):
    paintings = sorted((shared_data / "paintings").glob("*.jpg"))
    if not paintings:
        pytest.skip("no painting beside the photos")
    settings = quick(channels=32, steps=30, image_size=64, style_size=96)
    paths = Paths(paintings[0], Path(shared_data / "photos"), tmp_path / "work")
    train(settings, paths, load_vgg(real_vgg), STRIPES, callbacks=QUIET)
    lines = log(tmp_path / "work")
    first, last = (
        {key: np.mean([line[key] for line in part]) for key in ("style", "total")} for part in (lines[:5], lines[-5:])
    )
    assert last["style"] < 0.5 * first["style"] and last["total"] < 0.5 * first["total"]
