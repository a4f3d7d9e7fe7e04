import math

import pytest

from styletransfer.core.errors import SettingsError
from styletransfer.core.yardstick import (
    EvaluateSettings,
    checkpoints_to,
    describe_equal,
    equal_iterations,
    is_enough,
    summarise,
)


def terms(total):
    return {"content": total / 4, "style": total / 2, "tv": total / 4, "total": total}


def run(best, is_done=False, seconds=1.0, at=()):
    figures = {str(i): terms(best[i]) for i in at}
    return {"best": best, "at": figures, "iterations": len(best) - 1, "seconds": seconds, "is_done": is_done}


def model(total, seconds=0.01, grid=0.1):
    return {"file": "f", **terms(total), "seconds": seconds, "artefacts": {"grid4": grid}}


def entry(photo, total, best, size=256, untouched=1000.0):
    return {
        "size": size,
        "photo": photo,
        "pixels": photo,
        "untouched": terms(untouched),
        "models": {"a": model(total)},
        "optimisation": {"photo": run(best, at=(1, 2))},
    }


@pytest.mark.parametrize(
    ("value", "iterations"),
    [
        (100, 0),  # no better than the start
        (120, 0),
        (90, 0.5),  # half of the way from 100 to 80
        (80, 1),
        (50, 2.5),  # 60 after two, 40 after four, and nothing gained by the third: half of the way to the fourth
        (40, 4),
        (39, math.inf),
    ],
)
def test_iterations_are_interpolated_on_the_best_so_far(value, iterations):
    best = [100, 80, 60, 60, 40]
    expected = 3.5 if value == 50 else iterations
    assert equal_iterations(best, value) == pytest.approx(expected)


def test_a_median_that_is_never_reached_says_so():
    assert describe_equal([12, 63.4, 200], 300) == "63"
    assert describe_equal([0, 0.4, 200], 300) == "< 1"
    assert describe_equal([12, math.inf, math.inf], 300) == "> 300"
    assert describe_equal([10, math.inf], 300) == "> 300"


def test_checkpoints_are_the_usual_ones_up_to_the_number_asked_for():
    assert checkpoints_to(500) == (10, 25, 50, 100, 200, 300, 500)
    assert checkpoints_to(60) == (10, 25, 50, 60)
    assert checkpoints_to(0) == ()


def test_summary_by_hand():
    settings = EvaluateSettings(checkpoints=(1, 2, 4), starts=("photo",))
    entries = [entry("p", 300, [1000, 400, 200]), entry("q", 500, [1000, 800, 100])]
    entries[0]["models"]["a"]["artefacts"]["grid4"] = 0.5
    (figures,) = summarise(entries, ["a"], settings)
    assert (figures["size"], figures["photos"], figures["untouched"]) == (256, 2, terms(1000))
    found = figures["models"]["a"]
    assert (found["content"], found["total"], found["share"], found["seconds"]) == (100, 400, 0.4, 0.01)
    # 300 lies half-way from 400 to 200, 500 three sevenths of the way from 800 to 100.
    assert found["equals"]["photo"]["photos"] == [1.5, pytest.approx(1 + 3 / 7, abs=0.01)]
    assert found["equals"]["photo"]["median"] == pytest.approx((1.5 + 1 + 3 / 7) / 2, abs=0.01)
    # Two iterations took a second: 300 would take 150, which the network does in 0.01.
    assert figures["optimisation"]["photo"]["is_extrapolated"]
    assert found["equals"]["photo"]["times_faster"] == pytest.approx(15000)
    assert figures["optimisation"]["photo"]["at"] == {
        "1": {**terms(600), "photos": 2},
        "2": {**terms(150), "photos": 2},
    }
    assert found["artefacts"]["grid4"] == {"mean": pytest.approx(0.3), "lowest": 0.1, "highest": 0.5}


def test_summary_leaves_out_what_was_not_finished():
    settings = EvaluateSettings(sizes=(256, 512), counts=(2, 1))
    half = {"size": 256, "photo": "r", "pixels": "r", "models": {}, "optimisation": {}}
    (figures,) = summarise([entry("p", 300, [1000, 400, 200]), half], ["a"], settings)
    assert figures["photos"] == 1
    assert "noise" not in figures["optimisation"]
    assert summarise([half], ["a"], settings) == []


def test_an_optimisation_is_run_again_only_where_it_says_too_little():
    settings = EvaluateSettings(checkpoints=(1, 2))
    longer = EvaluateSettings(checkpoints=(1, 2, 3))
    known = run([100, 50, 20], at=(1, 2))
    assert not is_enough(None, settings, [30])
    assert is_enough(known, settings, [30])
    assert not is_enough(known, longer, [30])
    assert is_enough({**known, "is_done": True}, longer, [30])
    assert not is_enough(run([100, 50, 20], at=(2,)), settings, [30])  # what it was after one is not known
    passed = EvaluateSettings(checkpoints=(1, 2, 3), stop_when_passed=True)
    assert is_enough(known, passed, [30, 40])
    assert not is_enough(known, passed, [30, 10])  # a better model has come


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sizes": (32,)}, "--sizes: 32 is outside 64 to 4096"),
        ({"sizes": (256, 256)}, "twice"),
        ({"sizes": ()}, "empty"),
        ({"sizes": (256, 512), "counts": (1, 2, 3)}, "--count has 3 numbers for 2 sizes"),
        ({"counts": (0,)}, "--count: 0 is outside"),
        ({"checkpoints": (50, 10)}, "larger than the one before"),
        ({"checkpoints": (-1,)}, "--iterations: -1 is outside"),
        ({"starts": ("painting",)}, "--start is 'painting'; allowed: noise, photo"),
        ({"starts": ()}, "--start"),
        ({"starts": ("photo", "photo")}, "--start"),
        ({"objective": "l2"}, "--objective is 'l2'; allowed: training, johnson"),
        ({"style_size": 8}, "--style-size: 8"),
        ({"seed": -1}, "--seed: -1"),
    ],
)
def test_settings_outside_their_range(changes, said):
    with pytest.raises(SettingsError, match=said):
        EvaluateSettings(**changes)


def test_one_count_stands_for_all_sizes():
    assert [EvaluateSettings(sizes=(64, 128), counts=(7,)).count(size) for size in (64, 128)] == [7, 7]
    assert [EvaluateSettings(sizes=(64, 128), counts=(7, 2)).count(size) for size in (64, 128)] == [7, 2]
