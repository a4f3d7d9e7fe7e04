from collections import Counter
from itertools import combinations

import pytest

from styletransfer.core.errors import SettingsError
from styletransfer.study.design import SPOILT, Design, plan
from styletransfer.study.scenes import REFERENCE, Scene, find_scenes


@pytest.fixture
def scenes(folder):
    return find_scenes(folder)


def pairs_of(trials):
    return [(trial.scene, frozenset((trial.left, trial.right))) for trial in trials if trial.catch_round is None]


def test_every_pair_of_every_scene_is_seen_once(scenes):
    seen = pairs_of(plan(scenes, "anna", Design()))
    wanted = {(scene.name, frozenset(pair)) for scene in scenes for pair in combinations(scene.conditions, 2)}
    assert len(seen) == len(wanted) == 6
    assert set(seen) == wanted


def test_sides_and_order_are_up_to_chance_and_differ_between_observers(scenes):
    plans = [plan(scenes, f"observer {n}", Design(catch_share=0)) for n in range(200)]
    first = Counter((trial.scene, frozenset((trial.left, trial.right))) for trial, *_ in plans)
    assert len(first) == 6
    assert max(first.values()) < 60  # 33 expected of 200
    is_sorted_left = [trial.left < trial.right for trials in plans for trial in trials]
    assert 0.45 < sum(is_sorted_left) / len(is_sorted_left) < 0.55


def test_a_subset_differs_between_observers_and_covers_all_pairs_together(scenes):
    subsets = [frozenset(pairs_of(plan(scenes, f"observer {n}", Design(per_observer=2)))) for n in range(40)]
    assert all(len(subset) == 2 for subset in subsets)
    assert len(set(subsets)) > 5
    assert len(frozenset.union(*subsets)) == 6


def test_catch_trials_show_the_reference_and_are_spread(scenes, tmp_path):
    path = tmp_path / "x.png"
    many = [Scene(f"{n}", path, {f"c{m}": path for m in range(5)}, (8, 8)) for n in range(4)]
    trials = plan(many, "anna", Design(catch_share=0.1))
    places = [place for place, trial in enumerate(trials) if trial.catch_round is not None]
    assert len(trials) == 44
    assert len(places) == 4
    assert {frozenset((trials[place].left, trials[place].right)) for place in places} == {
        frozenset((REFERENCE, SPOILT))
    }
    gaps = [after - before for before, after in zip([0, *places], [*places, 43], strict=True)]
    assert min(gaps) >= 5  # never first, never last, never side by side
    assert len({trials[place].scene for place in places}) == 4


def test_few_trials_have_a_catch_trial_too_and_none_only_when_asked(scenes):
    assert sum(trial.catch_round is not None for trial in plan(scenes, "anna", Design(per_observer=1))) == 1
    assert sum(trial.catch_round is not None for trial in plan(scenes, "anna", Design(catch_share=0))) == 0


def test_ids_say_nothing_and_stay_when_the_study_grows(scenes):
    before = {(t.scene, t.left, t.right): t.id for t in plan(scenes[:1], "anna", Design())}
    after = {(t.scene, t.left, t.right): t.id for t in plan(scenes, "anna", Design())}
    assert all(after[key] == trial_id for key, trial_id in before.items())
    assert len(set(after.values())) == len(after)
    assert all(len(trial_id) == 16 for trial_id in after.values())


@pytest.mark.parametrize(
    "settings",
    [{"catch_share": 0.6}, {"catch_share": float("nan")}, {"per_observer": 0}, {"break_every": -1}, {"question": " "}],
)
def test_settings_outside_their_ranges_are_refused(settings):
    with pytest.raises(SettingsError):
        Design(**settings)
