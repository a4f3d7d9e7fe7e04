"""``gatys`` as a user meets it, and what it minimises."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from command import one_error
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")

from styletransfer.core.baseline import GatysSettings, Weights  # noqa: E402
from styletransfer.core.errors import CheckpointError, InputError  # noqa: E402
from styletransfer.core.match import match_colors  # noqa: E402
from styletransfer.core.pictures import load_picture, resize_frame  # noqa: E402
from styletransfer.training.gatys import Follow, paint  # noqa: E402
from styletransfer.training.gatys_objective import GatysObjective  # noqa: E402
from styletransfer.training.gatys_plan import Commission, plan_memory  # noqa: E402
from styletransfer.training.losses import Objective, gram_matrix  # noqa: E402
from styletransfer.training.optimise import photo_objective  # noqa: E402
from styletransfer.training.vgg import load_vgg  # noqa: E402


@pytest.fixture
def gatys(cli, small_vgg, photo_file, painting_file, tmp_path):
    """``gatys("--start", "noise")``: 8 iterations at 48 pixels into result.png; later arguments win."""

    def run(*args, photo=photo_file, painting=painting_file, out=tmp_path / "result.png"):
        small = ("--iterations", 8, "--style-size", 32, *(() if "--sizes" in args else ("--size", 48)))
        return cli("gatys", photo, painting, "-o", out, *small, *args)

    return run


@pytest.fixture
def commission(photo):
    def make(**settings):
        small = {"sizes": (40,), "iterations": (12,), "style_size": 32}
        return Commission(photo, make_photo(48, 40, seed=3), GatysSettings(**{**small, **settings}))

    return make


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), float)


# ---- the whole way ----


def test_a_photo_is_painted(gatys, tmp_path, photo_file):
    outcome = gatys()
    assert outcome.status == 0, outcome.err
    assert "48×36" in outcome.out and "training objective" in outcome.out and "result.png" in outcome.out
    assert "48 pixels × 8 iterations" in outcome.err and "GB of memory" in outcome.err
    result = pixels(tmp_path / "result.png")
    shrunk = np.asarray(Image.open(photo_file).resize((48, 36), Image.Resampling.LANCZOS), float)
    assert result.shape == (36, 48, 3) and np.abs(result - shrunk).mean() > 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.jpg", "result.png", "stripes.png"]


@pytest.mark.parametrize("objective", ["training", "gatys"])
@pytest.mark.parametrize("start", ["photo", "noise"])
@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
def test_every_way_lowers_the_loss(thin_vgg, commission, objective, start, optimiser):
    best, totals = [], []

    def on_iteration(moment):
        best.append(moment.best)
        totals.append(moment.losses["total"])

    made = paint(
        commission(objective=objective, start=start, optimiser=optimiser), thin_vgg(), follow=Follow(on_iteration)
    )
    assert made.is_finished and len(best) == 13
    assert best == [min(totals[: i + 1]) for i in range(13)]  # the best so far only falls
    assert best[-1] < 0.8 * best[0]


def test_each_scale_starts_from_the_one_before(thin_vgg, commission):
    moments = []
    made = paint(
        commission(sizes=(32, 64, 96), iterations=(20, 3)), thin_vgg(), follow=Follow(moments.append, preview_every=0)
    )
    assert made.frame_hwc.shape == (72, 96, 3)
    assert [(m.size_wh, m.iterations) for m in moments if m.iteration == 0] == [
        ((32, 24), 20), ((64, 48), 3), ((96, 72), 2),
    ]  # fmt: skip
    # The second scale's first losses are those of the first one's result, enlarged.
    small = paint(commission(sizes=(32,), iterations=(20,)), thin_vgg()).frame_hwc
    photo, painting, small = (
        torch.tensor(frame).permute(2, 0, 1)[None].float()
        for frame in (
            resize_frame(commission().photo_hwc, (64, 48)),
            resize_frame(commission().painting_hwc, (40, 48)),  # it is not enlarged beyond itself
            small,
        )
    )
    start = torch.nn.functional.interpolate(small, (48, 64), mode="bicubic").clamp(0, 255)
    expected = photo_objective(Objective(thin_vgg(), painting), photo)(start).floats()["total"]
    assert next(m for m in moments if m.scale == 1).losses["total"] == pytest.approx(expected, rel=0.02)


def test_scales_on_the_command_line(gatys, tmp_path):
    outcome = gatys("--sizes", "32,48", "--iterations", "4,2", "--preview-every", 3)
    assert outcome.status == 0, outcome.err
    assert "32 pixels × 4, 48 pixels × 2 iterations" in outcome.err
    assert pixels(tmp_path / "result.png").shape == (36, 48, 3)
    assert pixels(tmp_path / "result-preview.png").shape == (24, 32, 3)  # of iteration 3 at the first scale


def test_the_painting_grows_with_the_scales_but_not_beyond_itself():
    frame, painting = make_photo(600, 800), make_photo(1000, 500)
    settings = GatysSettings(sizes=(256, 512, 1024), style_size=384)
    commission = Commission(frame, painting, settings)
    assert [commission.painting_size(scale) for scale in range(3)] == [(192, 384), (384, 768), (500, 1000)]


def test_the_same_seed_paints_the_same_and_another_differs(gatys, tmp_path):
    names = {"a.png": 0, "b.png": 0, "c.png": 1}
    for name, seed in names.items():
        assert gatys("--start", "noise", "--seed", seed, out=tmp_path / name).status == 0
    a, b, c = (pixels(tmp_path / name) for name in names)
    assert np.array_equal(a, b) and np.abs(a - c).mean() > 1


def test_kept_colours_are_the_photos(gatys, tmp_path, photo_file):
    assert gatys("--keep-colors").status == 0
    result = Image.open(tmp_path / "result.png").convert("YCbCr")
    photo = Image.open(photo_file).resize((48, 36), Image.Resampling.LANCZOS).convert("YCbCr")
    luma, *chroma = np.abs(np.asarray(result, float) - np.asarray(photo, float)).mean((0, 1))
    assert luma > 2 and max(chroma) < 4


def test_matched_colours_are_given_to_the_painting_first(gatys, thin_vgg, commission):
    wanted = commission(match_colors=True)
    by_hand = Commission(wanted.photo_hwc, match_colors(wanted.painting_hwc, wanted.photo_hwc), commission().settings)
    assert np.array_equal(paint(wanted, thin_vgg()).frame_hwc, paint(by_hand, thin_vgg()).frame_hwc)
    assert gatys("--match-colors").status == 0


def test_transparency_turning_and_profile_are_kept(gatys, tmp_path):
    frame = np.dstack([make_photo(40, 60), np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))])
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    profile = b"\0" * 16 + b"RGB " + b"\0" * 108
    Image.fromarray(frame).save(tmp_path / "turned.png", exif=exif, icc_profile=profile)
    assert gatys(photo=tmp_path / "turned.png").status == 0
    kept = load_picture(tmp_path / "result.png")
    assert kept.frame_hwc.shape == (48, 32, 3) and kept.icc_profile == profile
    assert kept.alpha_hw[0].mean() < 30 and kept.alpha_hw[-1].mean() > 225
    outcome = gatys(photo=tmp_path / "turned.png", out=tmp_path / "result.jpg")
    assert outcome.status == 0 and "laid on white" in outcome.err


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "1", "CMYK"])
def test_photos_of_every_mode(gatys, tmp_path, mode):
    frame = make_photo(40, 50)
    if mode == "I;16":
        image = Image.fromarray(frame[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(frame).convert(mode)
    path = tmp_path / ("odd.tif" if mode == "CMYK" else "odd.png")
    image.save(path)
    assert gatys("--iterations", 1, photo=path, painting=path).status == 0
    assert pixels(tmp_path / "result.png").std() > 10


def test_an_old_result_is_replaced(gatys, tmp_path):
    (tmp_path / "result.png").write_text("of yesterday")
    assert gatys("--iterations", 1).status == 0
    assert pixels(tmp_path / "result.png").shape == (36, 48, 3)


# ---- what it minimises ----


def test_the_papers_objective_by_hand(thin_vgg):
    """Every term again, from features that are truly normalised, layer by layer."""
    vgg = thin_vgg()
    photo, painting, picture = (
        torch.from_numpy(make_photo(32, 40, seed)).permute(2, 0, 1)[None].float() for seed in (1, 2, 3)
    )
    objective = GatysObjective(vgg, photo, painting, Weights(2.0, 3.0, 0.5))
    assert objective.style_layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1")

    def features(x):
        x, found = x - vgg.mean, {}
        for number, stage in enumerate(vgg.stages, 1):
            x = torch.nn.functional.avg_pool2d(x, 2) if number > 1 else x
            for index in range(len(stage) // 2):
                x = torch.relu(torch.nn.functional.conv2d(x, stage[2 * index].weight, stage[2 * index].bias, padding=1))
                found[f"relu{number}_{index + 1}"] = x
        return found

    of = [features(x) for x in (photo, painting, picture)]
    style = content = 0.0
    for name in (*objective.style_layers, "relu4_2"):
        mean = (of[0][name].mean((0, 2, 3)) + of[1][name].mean((0, 2, 3))) / 2
        scale = 1 / mean.clamp(min=0.1 * float(mean.mean())).view(1, -1, 1, 1)
        if name == "relu4_2":
            content = ((of[2][name] - of[0][name]) * scale).square().mean()
        else:
            style += (gram_matrix(of[2][name] * scale) - gram_matrix(of[1][name] * scale)).square().mean()
    terms = objective(picture).floats()
    assert terms["content"] == pytest.approx(2 * float(content), rel=1e-4)
    assert terms["style"] == pytest.approx(3 * float(style), rel=1e-4)
    assert terms["tv"] > 0 and terms["smooth"] == 0
    assert objective(photo).floats()["content"] == 0


def test_conv5_1_joins_where_the_weights_hold_it(tmp_path, random_vgg_state):
    deeper = {"features.24.weight": torch.full((512, 512, 3, 3), 0.01), "features.24.bias": torch.zeros(512)}
    torch.save({**random_vgg_state, **deeper}, tmp_path / "vgg.pth")
    photo = torch.from_numpy(make_photo(32, 32)).permute(2, 0, 1)[None].float()
    objective = GatysObjective(load_vgg(tmp_path / "vgg.pth"), photo, photo, Weights(1.0, 1.0, 0.0))
    assert objective.style_layers[-1] == "relu5_1"
    assert objective(photo).floats()["total"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("objective", ["training", "gatys"])
@pytest.mark.parametrize("rows", [2, 6, 10, 128])  # of 31: whole strips, a last one of a single row, one strip
def test_saving_memory_changes_nothing(thin_vgg, commission, monkeypatch, objective, rows):
    thrifty = thin_vgg()
    thrifty.saves_memory = True
    monkeypatch.setattr("styletransfer.training.strips._ROWS", rows)
    plain, saved = [], []
    for vgg, moments in ((thin_vgg(), plain), (thrifty, saved)):
        wanted = commission(objective=objective, sizes=(41,), iterations=(8,))
        paint(wanted, vgg, follow=Follow(moments.append))
    for one, other in zip(plain, saved, strict=True):
        assert other.losses == pytest.approx(one.losses, rel=2e-3, abs=1e-6)  # content begins at 0
    assert saved[0].losses == pytest.approx(plain[0].losses, rel=1e-5, abs=1e-6)
    assert saved[1].losses == pytest.approx(plain[1].losses, rel=1e-5)  # the first step: the gradient is the same


# ---- interrupted ----


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
@pytest.mark.parametrize("at", [(0, 5), (1, 4), (1, 0)])
def test_a_resumed_run_equals_an_uninterrupted_one(thin_vgg, commission, tmp_path, optimiser, at):
    asked_for = commission(sizes=(32, 48), iterations=(10, 8), start="noise", optimiser=optimiser)
    whole = paint(asked_for, thin_vgg())
    reached = []
    stopped = paint(
        asked_for,
        thin_vgg(),
        work=tmp_path,
        follow=Follow(reached.append, stop=lambda: (reached[-1].scale, reached[-1].iteration) == at),
    )
    assert not stopped.is_finished and (stopped.moment.scale, stopped.moment.iteration) == at
    rest = []
    resumed = paint(asked_for, thin_vgg(), work=tmp_path, resume=True, follow=Follow(rest.append))
    assert (rest[0].scale, rest[0].iteration) == at and rest[0].best == stopped.moment.best
    assert np.array_equal(resumed.frame_hwc, whole.frame_hwc) and resumed.moment == whole.moment


def test_a_killed_run_goes_on_from_its_last_save(thin_vgg, commission, tmp_path):
    class KilledError(Exception):
        pass

    def on_iteration(moment):
        if moment.iteration == 9:
            raise KilledError

    with pytest.raises(KilledError):
        paint(commission(), thin_vgg(), work=tmp_path, follow=Follow(on_iteration, save_every=4))
    rest = []
    resumed = paint(commission(), thin_vgg(), work=tmp_path, resume=True, follow=Follow(rest.append))
    assert rest[0].iteration == 8
    assert np.array_equal(resumed.frame_hwc, paint(commission(), thin_vgg()).frame_hwc)


def test_more_iterations_can_be_asked_for_when_resuming(thin_vgg, commission, tmp_path):
    paint(commission(), thin_vgg(), work=tmp_path, follow=Follow(save_every=12))
    resumed = paint(commission(iterations=(20,)), thin_vgg(), work=tmp_path, resume=True)
    assert np.array_equal(resumed.frame_hwc, paint(commission(iterations=(20,)), thin_vgg()).frame_hwc)


@pytest.mark.parametrize("change", ["settings", "photo", "damaged", "none"])
def test_a_state_that_does_not_fit(thin_vgg, commission, tmp_path, change):
    if change != "none":
        paint(commission(), thin_vgg(), work=tmp_path, follow=Follow(save_every=6))
    wanted, words = commission(), "nothing to resume"
    if change == "settings":
        wanted, words = commission(start="noise"), "had start photo, now it is noise"
    elif change == "photo":
        wanted, words = Commission(make_photo(50, 60), wanted.painting_hwc, wanted.settings), "another photo"
    elif change == "damaged":
        data = (tmp_path / "state.pt").read_bytes()
        (tmp_path / "state.pt").write_bytes(data[: len(data) // 2])
        words = "damaged"
    with pytest.raises(CheckpointError, match=words):
        paint(wanted, thin_vgg(), work=tmp_path, resume=True)


def test_resuming_nothing_is_said_before_the_weights_are_loaded(gatys, small_vgg):
    assert one_error(gatys("--resume"), "result.png.gatys", "nothing to resume") and small_vgg == []


def test_a_run_that_begins_anew_puts_an_unfinished_one_aside(gatys, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("styletransfer.cli.gatys.interruption", interrupted_at_once)
        assert gatys("--iterations", 30).status == 130
    state = tmp_path / "result.png.gatys" / "state.pt"
    before = state.read_bytes()
    assert gatys(out=tmp_path / "result.jpg").status == 0
    assert state.read_bytes() == before, "another suffix is another picture"
    again = gatys("--iterations", 2)
    aside = tmp_path / "result-unfinished.png.gatys"
    assert again.status == 0 and str(aside) in again.err
    assert (aside / "state.pt").read_bytes() == before
    assert gatys("--iterations", 30, "--resume", out=tmp_path / "result-unfinished.png").status == 0


@contextlib.contextmanager
def interrupted_at_once():
    yield SimpleNamespace(is_set=lambda: True)


def test_a_state_that_lacks_something_is_damaged(gatys, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("styletransfer.cli.gatys.interruption", interrupted_at_once)
        assert gatys("--iterations", 30).status == 130
    path = tmp_path / "result.png.gatys" / "state.pt"
    state = torch.load(path, weights_only=True)
    state["minimiser"].pop("best_loss")
    torch.save(state, path)
    assert one_error(gatys("--iterations", 30, "--resume"), "state.pt", "damaged")


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
@pytest.mark.timeout(240)
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, photo_file, painting_file, random_vgg_file):
    out = tmp_path / "result.png"
    command = [
        sys.executable, "-m", "styletransfer", "gatys", photo_file, painting_file, "-o", out, "--size", 32,
        "--style-size", 32, "--iterations", 15, "--vgg", random_vgg_file, "--preview-every", 1, "--save-every", 0,
        "--device", "cpu",
    ]  # fmt: skip
    command = [str(part) for part in command]
    preview, state = tmp_path / "result-preview.png", tmp_path / "result.png.gatys" / "state.pt"
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=one_thread) as running:
        deadline = time.monotonic() + 120
        while not preview.exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        err = running.communicate(timeout=60)[1]
    assert running.returncode == 130, err
    assert "Traceback" not in err and "--resume continues" in err
    done = int(re.search(r"stopped after (\d+) of 15 iterations", err)[1])
    assert 0 < done < 15 and state.exists() and not out.exists()

    resumed = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False, env=one_thread)
    assert resumed.returncode == 0, resumed.stderr
    assert pixels(out).shape == (24, 32, 3) and not state.parent.exists()
    assert "iteration 0/15" in err and "iteration 0/15" not in resumed.stderr


# ---- bad input ----


@pytest.mark.parametrize("which", ["photo", "painting"])
@pytest.mark.parametrize("kind", ["missing", "empty", "text", "cut", "folder"])
def test_pictures_that_cannot_be_used(gatys, small_vgg, tmp_path, photo_file, which, kind):
    path = tmp_path / "bad.jpg"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not a picture")
    elif kind == "cut":
        path.write_bytes(photo_file.read_bytes()[:700])
    elif kind == "folder":
        path.mkdir()
    assert one_error(gatys(**{which: path}), "bad.jpg")
    assert small_vgg == []  # said before the weights are loaded, or downloaded
    assert not (tmp_path / "result.png").exists() and not (tmp_path / "result.png.gatys").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("result", "suffixless"), ("result.txt", ".txt"), ("result.onnx", ".onnx"), ("folder.png", "is a folder"),
        ("photo.jpg", "is the input itself"), ("stripes.png", "is the input itself"), ("file/result.png", "file"),
    ],
)  # fmt: skip
def test_outputs_that_cannot_be_written(gatys, small_vgg, tmp_path, name, words):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("in the way")
    before = (tmp_path / "stripes.png").read_bytes()
    assert one_error(gatys(out=tmp_path / name), words)
    assert small_vgg == [] and (tmp_path / "stripes.png").read_bytes() == before


def test_a_preview_never_replaces_an_input(gatys, tmp_path, painting_file):
    painting_file.rename(tmp_path / "result-preview.png")
    assert one_error(gatys(painting=tmp_path / "result-preview.png"), "is the input itself")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--size", "8"), ("size is 8", "allowed: 16 to 8192")),
        (("--sizes", "256;512"), ("--sizes is '256;512'", "256,512")),
        (("--sizes", ""), ("--sizes is ''",)),
        (("--sizes", "64,32"), ("sizes are 64,32", "larger than the one before")),
        (("--sizes", "32,32"), ("larger than the one before",)),
        (("--sizes", "32,99999"), ("size is 99999",)),
        (("--sizes", "32,64", "--size", "64"), ("--size and --sizes",)),
        (("--iterations", "0"), ("iterations is 0",)),
        (("--iterations", "ten"), ("--iterations is 'ten'",)),
        (("--iterations", "5,5"), ("iterations are 5,5 for 1 sizes",)),
        (("--objective", "best"), ("objective 'best'", "training, gatys")),
        (("--start", "grey"), ("start 'grey'", "photo, noise")),
        (("--optimiser", "sgd"), ("optimiser 'sgd'", "lbfgs, adam")),
        (("--style-size", "9"), ("style_size is 9",)),
        (("--style-weight", "nan"), ("style_weight is nan",)),
        (("--content-weight", "-1"), ("content_weight is -1",)),
        (("--seed", "-1"), ("seed is -1",)),
        (("--quality", "101"), ("--quality is 101",)),
        (("--device", "tpu"), ("--device is 'tpu'", "auto, cpu, cuda")),
    ],
)
def test_settings_out_of_range(gatys, small_vgg, args, words):
    assert one_error(gatys(*args), *words) and small_vgg == []


@pytest.mark.parametrize("args", [("--size", "big"), ("--preview-every", "-1"), ("--colour", "red")])
def test_wrong_usage(gatys, args):
    outcome = gatys(*args)
    assert outcome.status == 2 and args[0] in outcome.err


def test_a_photo_too_long_and_thin(gatys, small_vgg, tmp_path):
    Image.fromarray(make_photo(10, 400)).save(tmp_path / "thin.png")
    assert one_error(gatys(photo=tmp_path / "thin.png"), "48×1 pixels", "at least 16") and small_vgg == []


def test_without_a_gpu_cuda_is_refused(gatys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert one_error(gatys("--device", "cuda"), "finds no CUDA GPU", "--device cpu")


def test_without_torch_the_command_says_what_to_install(gatys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert one_error(gatys(), "torch is needed to paint by optimisation", "pip install 'styletransfer[train]'")


def test_weights_that_are_none(cli, tmp_path, photo_file, painting_file):
    (tmp_path / "vgg.pth").write_text("no weights")
    for name in ("vgg.pth", "nowhere.pth"):
        outcome = cli("gatys", photo_file, painting_file, "-o", tmp_path / "a.png", "--vgg", tmp_path / name)
        assert one_error(outcome, name) and not (tmp_path / "a.png.gatys").exists()


def test_weights_that_are_damaged(gatys, thin_vgg, monkeypatch, tmp_path):
    vgg = thin_vgg()
    vgg.convolutions()[0].weight.fill_(float("nan"))
    monkeypatch.setattr("styletransfer.training.vgg.load_vgg", lambda *_, **__: vgg)
    assert one_error(gatys(), "the loss is nan at the start") and not (tmp_path / "result.png").exists()


# ---- memory ----


def test_what_does_not_fit_is_refused_with_a_size_that_does(gatys, small_vgg, monkeypatch):
    monkeypatch.setattr("styletransfer.training.gatys_plan.free_bytes", lambda: 4_000_000_000)
    outcome = gatys("--sizes", "32,4096")
    assert one_error(outcome, "4096 pixels need about", "has 4.0 GB free") and small_vgg == []
    fitting = int(re.search(r"try (\d+) pixels", outcome.errors[0])[1])
    assert 256 < fitting < 4096
    for size, fits in ((fitting, True), (fitting + 64, False)):
        wanted = Commission(make_photo(90, 120), make_photo(32, 32), GatysSettings(sizes=(32, size), style_size=32))
        if fits:
            assert plan_memory(wanted, torch.device("cpu"))[1]
        else:
            with pytest.raises(InputError):
                plan_memory(wanted, torch.device("cpu"))


def test_where_it_is_tight_feature_maps_are_computed_twice(gatys, monkeypatch):
    needed = Commission(make_photo(90, 120), make_photo(32, 32), GatysSettings(sizes=(48,), style_size=32))
    between = (needed.bytes_needed(saves_memory=False) + needed.bytes_needed(saves_memory=True)) / 2
    monkeypatch.setattr("styletransfer.training.gatys_plan.free_bytes", lambda: int(between / 0.9))
    outcome = gatys()
    assert outcome.status == 0 and "computed twice to fit" in outcome.err


@pytest.mark.parametrize("objective", ["training", "gatys"])
def test_2048_pixels_fit_24_gb_of_ram_and_a_gpu_of_12(objective):
    square = Commission(
        np.zeros((2048, 2048, 3), np.uint8),
        np.zeros((3000, 3000, 3), np.uint8),
        GatysSettings(sizes=(512, 1024, 2048), objective=objective),
    )
    assert square.bytes_needed(saves_memory=True) < 0.9 * 11.5e9
    assert square.bytes_needed(saves_memory=False) < 0.9 * 22e9


def test_running_out_of_memory_after_all_is_one_line(gatys, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("styletransfer.training.gatys.paint", full)
    assert one_error(gatys(), "not enough memory for 48 pixels", "smaller --size")


# ---- with the real network ----


@pytest.mark.weights
def test_the_real_network_paints(real_vgg, shared_data):
    photo = load_picture(next((shared_data / "photos").rglob("*.jpg")), 96).frame_hwc
    painting = load_picture(next((shared_data / "paintings").glob("*starry*"))).frame_hwc
    for objective, factor in (("training", 0.2), ("gatys", 0.7)):
        moments = []
        settings = GatysSettings(sizes=(96,), iterations=(15,), style_size=96, objective=objective)
        paint(Commission(photo, painting, settings), load_vgg(real_vgg), follow=Follow(moments.append))
        assert moments[-1].best < factor * moments[0].best
