import numpy as np
import pytest
from observers import simulated

from styletransfer.core.errors import InputError, SettingsError

pytest.importorskip("scipy", reason="needs scipy: it is in the extra `study`")
from scipy.stats import norm

from styletransfer.study.scaling import ScaleSettings, make_scale, outlier_scores, tally
from styletransfer.study.thurstone import PRIORS, SIGMA_JND, scale, scale_many
from styletransfer.study.votes import read_votes

# How often the row was chosen over the column.
README = [[0, 25, 0], [75, 0, 25], [0, 75, 0]]  # pwcmp's example: 75 % each step
UNANIMOUS = [[0, 7, 9, 10], [3, 0, 6, 9], [1, 4, 0, 8], [0, 1, 2, 0]]
CIRCLE = [[0, 8, 6], [4, 0, 9], [6, 3, 0]]

# What pwcmp's objective gives, minimised by GNU Octave's fminunc.
PWCMP = [
    (README, "none", [-1, 0, 1]),
    (README, "gaussian", [-1, 0, 1]),
    (UNANIMOUS, "none", [1.4384, 0.3753, -0.2266, -1.5871]),
    (UNANIMOUS, "gaussian", [1.3265, 0.3649, -0.2198, -1.4716]),
    (CIRCLE, "none", [0.2072, 0.1068, -0.3141]),
    (CIRCLE, "gaussian", [0.2076, 0.1069, -0.3145]),
]


def table(rows):
    return np.array(rows, float)


def names(count):
    return [f"c{n}" for n in range(count)]


@pytest.mark.parametrize(("wins", "prior", "wanted"), PWCMP)
def test_the_scale_is_pwcmps(wins, prior, wanted):
    assert scale(table(wins), names(len(wins)), prior) == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("prior", PRIORS)
def test_three_of_four_are_one_jnd_exactly(prior):
    assert scale(table(README), names(3), prior) == pytest.approx([-1, 0, 1], abs=1e-4)


def test_it_is_choix_probit_scale_of_sensible_votes(tmp_path):
    choix = pytest.importorskip("choix", reason="needs choix")
    scores = {name: step * 0.5 for step, name in enumerate("abcdef")}
    path = tmp_path / "v.csv"
    path.write_text(simulated(scores, 60, seed=3))
    wins_nn = tally(read_votes(path)[0], list(scores), [f"o{n}" for n in range(60)]).sum(0)
    data = [(i, j) for i in range(6) for j in range(6) for _ in range(int(wins_nn[i, j]))]
    theirs = choix.ep_pairwise(6, data, alpha=0.01, model="probit")[0] * SIGMA_JND
    assert np.abs(scale(wins_nn, list(scores)) - (theirs - theirs.mean())).max() < 0.03


def test_ten_simulated_votes_a_pair_give_the_scale_to_a_quarter_of_a_jnd():
    rng, true = np.random.default_rng(0), np.arange(6) * 0.5 - 1.25
    prefer_nn = norm.cdf((true[:, None] - true) / SIGMA_JND)
    wins_bnn = np.triu(rng.binomial(10, np.broadcast_to(prefer_nn, (500, 6, 6))), 1).astype(float)
    wins_bnn += np.tril((10 - wins_bnn).swapaxes(1, 2), -1)
    rmse_b = np.sqrt(np.mean((scale_many(wins_bnn) - true) ** 2, axis=1))
    assert 0.1 < rmse_b.mean() <= 0.25


def test_unanimous_votes_stay_finite_and_more_of_them_mean_more():
    few, many = (scale(table([[0, n], [0, 0]]), names(2)) for n in (3, 1000))
    assert 0.5 < few[0] - few[1] < many[0] - many[1] < 10
    everything = scale(table(np.triu(np.full((8, 8), 100.0), 1)), names(8))
    assert np.isfinite(everything).all()
    assert (np.diff(everything) < 0).all()


def test_equal_votes_are_no_difference():
    assert scale(table([[0, 5, 9], [5, 0, 9], [9, 9, 0]]), names(3)) == pytest.approx([0, 0, 0], abs=1e-9)


def test_what_has_no_scale_is_said():
    with pytest.raises(InputError, match=r"groups of conditions: a, b \| c, d"):
        scale(table([[0, 3, 0, 0], [2, 0, 0, 0], [0, 0, 0, 4], [0, 0, 4, 0]]), list("abcd"))
    with pytest.raises(InputError, match="a alone; a scale needs two"):
        scale(table([[0]]), ["a"])
    with pytest.raises(InputError, match="use the prior unanimous"):
        scale(table([[0, 3], [0, 0]]), ["a", "b"], "none")
    with pytest.raises(SettingsError, match="no prior is called 'flat'; allowed: unanimous, gaussian, none"):
        scale(table(README), names(3), "flat")


def tables(path, seed, observers=20, **options):
    path.write_text(simulated(dict(zip("abc", (0.0, 0.7, 1.6), strict=True)), observers, seed, **options))
    return tally(read_votes(path)[0], list("abc"), [f"o{n}" for n in range(observers)])


def test_intervals_hold_the_truth_about_as_often_as_they_say(tmp_path):
    held = []
    for seed in range(40):
        made = make_scale(tables(tmp_path / "v.csv", seed), list("abc"), ScaleSettings(anchor="a", samples=200))
        held += [
            low <= true <= high for low, true, high in zip(made.low_n[1:], (0.7, 1.6), made.high_n[1:], strict=True)
        ]
    assert 0.85 <= np.mean(held) <= 0.99


def test_the_anchor_is_zero_and_moves_nothing_else(tmp_path):
    wins_onn = tables(tmp_path / "v.csv", 1)
    mean, anchored = (make_scale(wins_onn, list("abc"), ScaleSettings(anchor=anchor)) for anchor in (None, "b"))
    assert mean.jnd_n.mean() == pytest.approx(0)
    assert anchored.jnd_n[1] == anchored.low_n[1] == anchored.high_n[1] == 0
    assert np.diff(anchored.jnd_n) == pytest.approx(np.diff(mean.jnd_n))
    with pytest.raises(InputError, match="'d' is none of the conditions: a, b, c"):
        make_scale(wins_onn, list("abc"), ScaleSettings(anchor="d"))


def test_one_observer_has_no_intervals_and_samples_repeat_with_their_seed(tmp_path):
    wins_onn = tables(tmp_path / "v.csv", 1)
    assert make_scale(wins_onn[:1], list("abc"), ScaleSettings()).low_n is None
    lows = [make_scale(wins_onn, list("abc"), ScaleSettings(seed=seed)).low_n.tolist() for seed in (0, 0, 1)]
    assert lows[0] == lows[1] != lows[2]


def test_a_negative_seed_is_refused():
    with pytest.raises(SettingsError, match="the seed is -1"):
        ScaleSettings(seed=-1)


def test_who_votes_against_all_others_stands_out(tmp_path):
    scenes = [f"s{n}" for n in range(8)]
    path = tmp_path / "v.csv"
    path.write_text(simulated(dict(zip("abc", (0, 1, 2.5), strict=True)), 12, 0, scenes, careless={4}))
    votes, observers = read_votes(path)[0], [f"o{n}" for n in range(12)]
    per_scene = [tally([vote for vote in votes if vote.scene == scene], list("abc"), observers) for scene in scenes]
    likelihoods, distances = outlier_scores(per_scene)
    assert distances.argmax() == likelihoods.argmin() == 4
    assert distances[4] > 1.5
    assert not outlier_scores([scene[:3] for scene in per_scene])[1].any()  # too few to say


@pytest.mark.parametrize("settings", [{"samples": 50}, {"samples": -1}, {"level": 1.0}, {"prior": "flat"}])
def test_settings_outside_their_ranges_are_refused(settings):
    with pytest.raises(SettingsError):
        ScaleSettings(**settings)
