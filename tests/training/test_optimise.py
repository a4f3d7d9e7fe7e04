"""Minimising over pixels: it falls, it stays in 0..255, it goes on where it was interrupted."""

from __future__ import annotations

import io

import pytest

torch = pytest.importorskip("torch")

from samples import make_photo  # noqa: E402

from styletransfer.core.baseline import OPTIMISERS  # noqa: E402
from styletransfer.core.errors import DivergedError, SettingsError  # noqa: E402
from styletransfer.training.losses import LossTerms, Objective  # noqa: E402
from styletransfer.training.optimise import (  # noqa: E402
    Minimiser,
    minimise,
    photo_objective,
    starting_picture,
)


def as_bchw(frame):
    return torch.from_numpy(frame).permute(2, 0, 1)[None].float()


@pytest.fixture
def photo():
    return as_bchw(make_photo(40, 48))


@pytest.fixture
def objective(thin_vgg, photo):
    return photo_objective(Objective(thin_vgg(), as_bchw(make_photo(32, 32, seed=3))), photo)


def only(content):
    zero = torch.zeros(())
    return LossTerms(content, zero, zero, zero)


def stretched(target, scale=1.0):
    """A valley: the channels' curvatures differ by a factor of 100."""
    weights = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1) * scale
    return lambda x: only((weights * (x - target).square()).mean())


def totals_of(objective, start, iterations, **options):
    totals = []
    best = minimise(
        objective, start, iterations, on_iteration=lambda i, terms, x: totals.append(float(terms.total())), **options
    )
    return totals, best


def test_the_objective_of_a_photo_is_the_trainings(thin_vgg, photo):
    objective = Objective(thin_vgg(), as_bchw(make_photo(32, 32, seed=3)))
    picture = starting_picture(photo, "noise", 0)
    assert photo_objective(objective, photo)(picture).floats() == pytest.approx(objective(picture, photo).floats())


def test_the_photos_content_is_computed_once(thin_vgg, photo, monkeypatch):
    objective = Objective(thin_vgg(), photo)
    calls = []
    target = objective.content_target
    monkeypatch.setattr(objective, "content_target", lambda x: calls.append(1) or target(x))
    minimise(photo_objective(objective, photo), photo, 5)
    assert calls == [1]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_lbfgs_finds_the_bottom_of_a_valley_whatever_its_scale(scale):
    target = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    totals, best = totals_of(stretched(target, scale), torch.full_like(target, 128), 40)
    assert totals[-1] < 1e-6 * totals[0]
    torch.testing.assert_close(best, target, atol=0.5, rtol=0)


def test_lbfgs_holds_the_pixels_whose_minimum_lies_outside():
    target = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 600 - 150
    _, best = totals_of(stretched(target), torch.full_like(target, 128), 60)
    torch.testing.assert_close(best, target.clamp(0, 255), atol=0.5, rtol=0)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("start", ["noise", "photo"])
def test_the_loss_falls_and_the_best_picture_comes_back(objective, photo, optimiser, start):
    seen = []

    def on_iteration(index, terms, picture):
        assert index == len(seen) and float(picture.min()) >= 0 and float(picture.max()) <= 255
        assert float(terms.total()) == pytest.approx(float(objective(picture).total()), rel=1e-4)
        seen.append(float(terms.total()))

    begin = starting_picture(photo, start, 0)
    best = minimise(objective, begin, 40, optimiser=optimiser, on_iteration=on_iteration)
    assert len(seen) == 41 and min(seen) < 0.3 * seen[0]
    assert float(objective(best).total()) == pytest.approx(min(seen), rel=1e-4)
    assert torch.equal(begin, starting_picture(photo, start, 0))  # untouched


def test_more_iterations_are_better(objective, photo):
    few, many = (min(totals_of(objective, photo, n)[0]) for n in (10, 60))
    assert many < 0.9 * few


def test_a_caller_can_stop_it(objective, photo):
    seen = []
    minimise(objective, photo, 40, on_iteration=lambda i, *_: seen.append(i) or i == 3)
    assert seen == [0, 1, 2, 3]


def test_it_stops_where_there_is_nothing_to_gain(photo):
    totals, best = totals_of(lambda x: only((x - photo).square().mean()), photo, 50)
    assert totals == [0.0] and torch.equal(best, photo)


def test_no_iterations_evaluate_the_start(objective, photo):
    totals, best = totals_of(objective, photo, 0)
    assert len(totals) == 1 and torch.equal(best, photo)


def test_a_step_that_leaves_the_finite_numbers_is_taken_back():
    target = torch.full((1, 3, 8, 8), 100.0)
    cliff = lambda x: only(((x - target).square() / (x > 60).all()).mean())  # noqa: E731
    totals, best = totals_of(cliff, torch.full_like(target, 90), 30)
    assert float((best - target).abs().max()) < 1 and totals[-1] < totals[0]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_loss_that_is_no_number_at_the_start_is_said(photo, optimiser):
    with pytest.raises(DivergedError, match="nan at the start"):
        minimise(lambda x: only((x * float("nan")).mean()), photo, 5, optimiser=optimiser)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_saved_state_goes_on_exactly(objective, photo, optimiser):
    whole, whole_best = totals_of(objective, photo, 24, optimiser=optimiser)
    first = Minimiser(objective, photo, optimiser=optimiser)
    for _ in range(11):
        first.evaluate()
        first.advance()
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second = Minimiser(objective, torch.zeros_like(photo), optimiser=optimiser)
    second.restore(torch.load(file, weights_only=True))
    assert second.iteration == 11
    rest = [float(second.evaluate().total())]
    while second.iteration < 24 and second.advance():
        rest.append(float(second.evaluate().total()))
    assert rest == whole[11:] and torch.equal(second.best_bchw, whole_best)


def test_noise_is_the_seeds(photo):
    noise = starting_picture(photo, "noise", 1)
    assert torch.equal(noise, starting_picture(photo, "noise", 1))
    assert not torch.equal(noise, starting_picture(photo, "noise", 2))
    assert noise.shape == photo.shape and 0 <= noise.min() < 5 and 250 < noise.max() <= 255
    assert 120 < float(noise.mean()) < 135  # white, uniform


def test_what_is_not_known_is_refused(objective, photo):
    with pytest.raises(SettingsError, match="'sgd' is unknown; allowed: lbfgs, adam"):
        minimise(objective, photo, 5, optimiser="sgd")
    with pytest.raises(SettingsError, match="'grey'; allowed: photo, noise"):
        starting_picture(photo, "grey", 0)
