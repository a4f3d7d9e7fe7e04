"""The yardstick's measurements, on a thin VGG and made-up styles."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")

from styletransfer.core.artefacts import LIMITS  # noqa: E402
from styletransfer.core.errors import ModelError  # noqa: E402
from styletransfer.core.yardstick import EvaluateSettings, summarise  # noqa: E402
from styletransfer.training.comparison import compare_one  # noqa: E402
from styletransfer.training.data import load_painting  # noqa: E402
from styletransfer.training.evaluate import (  # noqa: E402
    Contender,
    Follow,
    Ground,
    evaluate,
    make_objective,
    seconds_an_iteration,
)
from styletransfer.training.losses import STYLE_LAYERS, content_loss, gram_matrix, style_loss  # noqa: E402

SIDE = 64
FEW = {"sizes": (SIDE,), "checkpoints": (2, 6, 12), "style_size": 32}


@pytest.fixture
def ground(thin_vgg, painting_file):
    """Two photos of 64 pixels and a painting of 32."""
    painting = load_painting(painting_file, 32)
    photos = {f"{seed}.jpg": make_photo(SIDE, SIDE, seed) for seed in (1, 2)}
    return Ground(
        make_objective(thin_vgg(), painting, "training"),
        painting[0].permute(1, 2, 0).byte().numpy(),
        {SIDE: photos},
    )


def nothing(frame):
    return frame


def washed_out(frame):
    return frame // 2 + 64


def total(picture, photo, objective):
    with torch.no_grad():
        tensors = [torch.from_numpy(frame).permute(2, 0, 1)[None].float() for frame in (picture, photo)]
        return objective(*tensors).floats()["total"]


def test_entries_hold_what_the_table_needs(ground):
    settings = EvaluateSettings(**FEW)
    styles = {"nothing": Contender("1", nothing), "washed out": Contender("2", washed_out)}
    entries = evaluate(settings, ground, styles)
    assert [(entry["size"], entry["photo"]) for entry in entries] == [(SIDE, "1.jpg"), (SIDE, "2.jpg")]
    assert json.loads(json.dumps(entries)) == entries
    for entry in entries:
        photo = ground.photos[SIDE][entry["photo"]]
        assert entry["untouched"]["content"] == 0
        assert entry["untouched"]["total"] == pytest.approx(total(photo, photo, ground.objective), rel=1e-5)
        assert entry["models"]["nothing"]["total"] == entry["untouched"]["total"]
        expected = total(washed_out(photo), photo, ground.objective)
        assert entry["models"]["washed out"]["total"] == pytest.approx(expected, rel=1e-5)
        assert list(entry["models"]["nothing"]["artefacts"]) == list(LIMITS)
        assert entry["models"]["nothing"]["artefacts"]["readability"] == 1
        for start in ("noise", "photo"):
            run = entry["optimisation"][start]
            assert len(run["best"]) == run["iterations"] + 1 == 13
            assert all(after <= before for before, after in zip(run["best"], run["best"][1:], strict=False))
            assert run["best"][12] < 0.7 * run["best"][0]
            assert {"2", "6", "12"} <= run["at"].keys()
            assert all(run["at"][str(i)]["total"] == run["best"][i] for i in (2, 6, 12))
            assert run["seconds"] > 0 and not run["is_done"]
        assert entry["optimisation"]["photo"]["best"][0] == pytest.approx(entry["untouched"]["total"], rel=1e-5)
    (figures,) = summarise(entries, list(styles), settings)
    assert figures["models"]["nothing"]["share"] == 1
    assert figures["models"]["nothing"]["equals"]["photo"]["text"] == "< 1"


def test_a_style_that_is_the_optimisation_equals_its_iterations(ground):
    """What six iterations made, taken for a network's result, equals about six iterations: it is rounded to bytes."""
    objective = ground.objective
    photo = ground.photos[SIDE]["1.jpg"]
    made = compare_one(objective, photo, nothing, 6).optimised_hwc
    only = Ground(objective, ground.painting_hwc, {SIDE: {"1.jpg": photo}})
    settings = EvaluateSettings(**{**FEW, "starts": ("photo",)})
    entries = evaluate(settings, only, {"six": Contender("6", lambda frame: made)})
    (figures,) = summarise(entries, ["six"], settings)
    assert figures["models"]["six"]["equals"]["photo"]["median"] == pytest.approx(6, abs=0.5)


def test_the_papers_objective_by_hand(thin_vgg, painting_file):
    painting = load_painting(painting_file, 32)
    vgg = thin_vgg()
    photo = torch.from_numpy(make_photo(40, 40)).permute(2, 0, 1)[None].float()
    painted = photo.flip(1)
    grams = {name: gram_matrix(features) for name, features in vgg(painting).items()}
    features = vgg(painted)
    steps = ((painted.diff(dim=2) ** 2).sum() + (painted.diff(dim=3) ** 2).sum()) * 1e-6
    expected = content_loss(features["relu2_2"], vgg(photo)["relu2_2"]) + steps
    expected += sum(5 * style_loss(gram_matrix(features[name]), grams[name]) for name in STYLE_LAYERS)
    found = make_objective(vgg, painting, "johnson")(painted, photo)
    assert float(found.total()) == pytest.approx(float(expected), rel=1e-4)
    ours = make_objective(vgg, painting, "training")(painted, photo)
    assert float(ours.content) == pytest.approx(float(found.content)) and float(ours.style) != float(found.style)


def test_what_is_known_is_not_measured_again(ground):
    calls = []

    def counted(frame):
        calls.append(1)
        return washed_out(frame)

    settings = EvaluateSettings(**{**FEW, "starts": ("photo",)})
    entries = evaluate(settings, ground, {"a": Contender("1", counted)})
    known = json.loads(json.dumps(entries))
    calls.clear()
    iterations = []
    follow = Follow(on_iteration=lambda *where: iterations.append(where))
    assert evaluate(settings, ground, {"a": Contender("1", counted)}, known, follow) == entries
    assert not calls and not iterations

    # A second style is measured, the optimisation stands; a changed file is measured again.
    more = evaluate(settings, ground, {"a": Contender("1", counted), "b": Contender("2", nothing)}, known, follow)
    assert not calls and not iterations and all(set(entry["models"]) == {"a", "b"} for entry in more)
    evaluate(settings, ground, {"a": Contender("1 changed", counted)}, known, follow)
    assert calls and not iterations

    # Another photo of the same name is another photo; a second start is run beside the first.
    calls.clear()
    other = Ground(ground.objective, ground.painting_hwc, {SIDE: {"1.jpg": make_photo(SIDE, SIDE, 9)}})
    assert len(evaluate(settings, other, {"a": Contender("1", counted)}, known)) == 3 and calls
    evaluate(EvaluateSettings(**FEW), ground, {"a": Contender("1 changed", counted)}, known, follow)
    assert {start for _, _, start, _ in iterations} == {"noise"}


def test_an_optimisation_ends_where_it_has_passed_every_model(ground):
    settings = EvaluateSettings(**{**FEW, "starts": ("photo",)}, stop_when_passed=True)
    entries = evaluate(settings, ground, {"a": Contender("1", nothing)})
    assert [entry["optimisation"]["photo"]["iterations"] for entry in entries] == [2, 2]
    assert not entries[0]["optimisation"]["photo"]["is_done"]
    # A model that is never passed: all of the iterations.
    best = compare_one(ground.objective, ground.photos[SIDE]["1.jpg"], nothing, 60).optimised_hwc
    only = Ground(ground.objective, ground.painting_hwc, {SIDE: {"1.jpg": ground.photos[SIDE]["1.jpg"]}})
    (entry,) = evaluate(settings, only, {"a": Contender("2", lambda frame: best)}, entries[:1])
    assert entry["optimisation"]["photo"]["iterations"] == 12
    (figures,) = summarise([entry], ["a"], settings)
    assert figures["models"]["a"]["equals"]["photo"]["text"] == "> 12"


def test_no_iterations_no_optimisation(ground):
    settings = EvaluateSettings(sizes=(SIDE,), checkpoints=())
    entries = evaluate(settings, ground, {"a": Contender("1", nothing)})
    assert all(entry["models"] and not entry["optimisation"] for entry in entries)
    assert summarise(entries, ["a"], settings)[0]["optimisation"] == {}


def test_a_model_that_fails_is_left_out_and_the_others_go_on(ground):
    def fails(frame):
        raise ModelError("x.onnx: the network fails")

    said = []
    follow = Follow(on_failed=lambda name, error: said.append((name, str(error))))
    settings = EvaluateSettings(sizes=(SIDE,), checkpoints=())
    styles = {"bad": Contender("1", fails), "good": Contender("2", nothing)}
    entries = evaluate(settings, ground, styles, follow=follow)
    assert said == [("bad", "x.onnx: the network fails")]
    assert [list(entry["models"]) for entry in entries] == [["good"], ["good"]]


def test_a_stop_keeps_what_was_finished(ground):
    saved = []
    state = {"iterations": 0}

    def count(*where):
        state["iterations"] += 1

    follow = Follow(
        on_entry=lambda entries: saved.append(json.dumps(entries)),
        on_iteration=count,
        stop=lambda: state["iterations"] > 20,  # within the second optimisation of the first photo
    )
    settings = EvaluateSettings(**FEW)
    styles = {"a": Contender("1", nothing)}
    entries = evaluate(settings, ground, styles, follow=follow)
    assert len(entries) == 1 and list(entries[0]["optimisation"]) == ["noise"] and entries[0]["models"]
    assert json.loads(saved[-1]) == entries
    resumed = evaluate(settings, ground, styles, json.loads(saved[-1]))
    assert [set(entry["optimisation"]) for entry in resumed] == [{"noise", "photo"}] * 2
    assert resumed[0]["optimisation"]["noise"] == entries[0]["optimisation"]["noise"]


def test_both_ways_are_compared_by_their_bytes(ground):
    photo = ground.photos[SIDE]["2.jpg"]
    seen = []

    def follow(iteration, best):
        seen.append((iteration, best))
        return False

    result = compare_one(ground.objective, photo, washed_out, 10, start="noise", seed=3, on_iteration=follow)
    assert result.optimised_hwc.dtype == np.uint8 and result.optimised_hwc.shape == photo.shape
    assert np.array_equal(result.network_hwc, washed_out(photo))
    assert result.optimised["total"] == pytest.approx(total(result.optimised_hwc, photo, ground.objective), rel=1e-4)
    assert result.network["total"] == pytest.approx(total(washed_out(photo), photo, ground.objective), rel=1e-4)
    assert [iteration for iteration, _ in seen] == list(range(11)) and result.best == [best for _, best in seen]
    assert seen[-1][1] == pytest.approx(result.optimised["total"], rel=0.02)
    assert result.seconds > 0 and result.network_seconds > 0
    assert compare_one(ground.objective, photo, nothing, 10, on_iteration=lambda i, best: i == 3).best[4:] == []


def test_the_time_of_an_iteration_is_measured(ground):
    assert 0 < seconds_an_iteration(ground.objective, 32) < 5


def test_the_plot_is_drawn(ground, tmp_path):
    from styletransfer.training.curves import save_curves

    settings = EvaluateSettings(**FEW)
    styles = {"nothing": Contender("1", nothing), "washed out": Contender("2", washed_out)}
    entries = evaluate(settings, ground, styles)
    entries[0]["optimisation"]["noise"] |= {"best": entries[0]["optimisation"]["noise"]["best"][:5], "is_done": True}
    summary = summarise(entries, list(styles), settings)
    save_curves(entries, summary, "stripes", tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.width > 600 and len(image.convert("RGB").getcolors(1 << 20)) > 50
    save_curves(entries, summary, "stripes", tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert "<svg" in drawn
