from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from styletransfer.training import losses  # noqa: E402
from styletransfer.training.losses import (  # noqa: E402
    STYLE_LAYERS,
    Objective,
    content_loss,
    gram_matrix,
    smoothness_loss,
    style_loss,
    total_variation,
)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def picture(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 255


def plain_gram(features):
    """Equation 3 of the paper, letter by letter."""
    _, c, h, w = features.shape
    return torch.einsum("nahw,nbhw->nab", features, features) / (c * h * w)


def gradient(loss, at):
    at = at.clone().requires_grad_()
    return torch.autograd.grad(loss(at), at)[0]


def check_gradient(loss, at):
    """Against central differences, which are exact for a quadratic loss at any distance: float32 will do."""
    found, numeric = gradient(loss, at), torch.zeros_like(at)
    for index in range(at.numel()):
        step = torch.zeros_like(at)
        step.view(-1)[index] = 0.5
        numeric.view(-1)[index] = loss(at + step) - loss(at - step)
    torch.testing.assert_close(found, numeric, atol=1e-4, rtol=1e-3)


# ---- content ----


def test_content_loss_is_the_mean_squared_difference():
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert content_loss(features, torch.zeros_like(features)).item() == pytest.approx(7.5)  # (1 + 4 + 9 + 16) / 4


def test_content_loss_of_equal_features_is_a_float32_zero():
    features = noise(2, 3, 4, 5, dtype=torch.bfloat16)
    loss = content_loss(features, features)
    assert loss.shape == () and loss.dtype == torch.float32 and loss.item() == 0


def test_content_loss_refuses_features_of_another_shape():
    with pytest.raises(ValueError, match=r"\(1, 3, 4, 4\).*\(1, 3, 4, 5\)"):
        content_loss(noise(1, 3, 4, 4), noise(1, 3, 4, 5))


def test_content_loss_in_bfloat16_is_summed_up_in_float32():
    features = torch.full((1, 1, 256, 256), 0.1).bfloat16()
    loss, slope = content_loss(features, 0 * features), gradient(lambda x: content_loss(x, 0 * features), features)
    assert loss.item() == pytest.approx(features[0, 0, 0, 0].item() ** 2, rel=1e-4)
    assert slope.dtype == torch.bfloat16 and slope.float().sum().item() == pytest.approx(0.2, rel=0.01)


def test_content_loss_gradient():
    target = noise(2, 2, 3, 3, seed=1)
    check_gradient(lambda x: content_loss(x, target), noise(2, 2, 3, 3))


# ---- Gram matrix ----


def test_gram_matrix_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of two pixels; C·H·W = 4
    assert gram_matrix(features).tolist() == [[[5 / 4, 11 / 4], [11 / 4, 25 / 4]]]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gram_matrix_equals_the_papers_formula_in_any_memory_layout(layout):
    features = noise(3, 5, 7, 9).contiguous(memory_format=layout)
    gram = gram_matrix(features)
    assert gram.shape == (3, 5, 5) and gram.dtype == torch.float32
    torch.testing.assert_close(gram, plain_gram(features))


@pytest.mark.parametrize("shape", [(7, 9), (32, 32)])
def test_gram_gradient_equals_autograds(shape):
    features, target = noise(2, 5, *shape), noise(2, 5, 5, seed=1)
    ours = gradient(lambda x: (gram_matrix(x) * target).sum(), features)
    torch.testing.assert_close(ours, gradient(lambda x: (plain_gram(x) * target).sum(), features))


@pytest.mark.parametrize("size", [(64, 64), (37, 41)])
def test_gram_matrix_of_bfloat16_is_close_to_float32(size):
    features = noise(2, 16, *size).relu()
    exact = gram_matrix(features)
    rough = gram_matrix(features.bfloat16())
    assert rough.dtype == torch.float32
    assert ((rough - exact).abs().max() / exact.abs().max()).item() < 5e-3


def test_gram_gradient_in_bfloat16_is_close_to_float32():
    features, target = noise(2, 16, 64, 64).relu(), noise(2, 16, 16, seed=1)
    exact = gradient(lambda x: (gram_matrix(x) * target).sum(), features)
    rough = gradient(lambda x: (gram_matrix(x) * target).sum(), features.bfloat16())
    assert rough.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(rough.float().flatten(), exact.flatten(), dim=0) > 0.999


def test_gram_matrix_of_large_bfloat16_features_stays_finite():
    assert gram_matrix(torch.full((1, 4, 256, 256), 20_000.0, dtype=torch.bfloat16)).isfinite().all()


def test_gram_matrix_refuses_features_without_a_batch():
    with pytest.raises(ValueError, match="3 dimensions"):
        gram_matrix(noise(4, 8, 8))


# ---- style ----


def test_style_loss_by_hand():
    gram = torch.tensor([[[1.0, 2.0], [2.0, 5.0]]])
    assert style_loss(gram, torch.eye(2)).item() == (0 + 4 + 4 + 16) / 4


def test_style_loss_takes_one_target_for_the_whole_batch():
    grams, target = noise(3, 4, 4), noise(1, 4, 4, seed=1)
    each = [style_loss(gram[None], target[0]).item() for gram in grams]
    assert style_loss(grams, target).item() == pytest.approx(sum(each) / 3)


def test_style_loss_refuses_other_channels():
    with pytest.raises(ValueError, match="differ in channels"):
        style_loss(noise(1, 4, 4), noise(1, 5, 5))


def test_style_loss_gradient():
    target = noise(1, 3, 3, seed=1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: style_loss(x, target), (noise(2, 3, 3).double().requires_grad_(),))


# ---- total variation and smoothness ----


def test_total_variation_by_hand():
    steps = torch.tensor([[[[0.0, 1.0], [3.0, 7.0]]]])
    assert total_variation(steps).item() == (9 + 36) + (1 + 16)  # down, across


def test_total_variation_averages_over_the_batch_and_sums_over_the_picture():
    one = picture(1, 3, 8, 9)
    assert total_variation(one.expand(4, -1, -1, -1)).item() == pytest.approx(total_variation(one).item(), rel=1e-5)
    assert total_variation(one.repeat(1, 2, 1, 1)).item() == pytest.approx(2 * total_variation(one).item(), rel=1e-5)


def test_total_variation_of_one_colour_is_zero():
    assert total_variation(torch.full((2, 3, 8, 8), 77.0)).item() == 0


def test_total_variation_refuses_a_picture_without_a_batch():
    with pytest.raises(ValueError, match="3 dimensions"):
        total_variation(picture(3, 8, 8))


def test_total_variation_gradient():
    check_gradient(total_variation, noise(2, 2, 4, 3))


def test_smoothness_by_hand():
    steps = torch.tensor([[[[0.0, 1.0], [3.0, 7.0]]]])
    assert smoothness_loss(steps).item() == (9 + 36) / 2 + (1 + 16) / 2


def test_smoothness_does_not_grow_with_the_picture():
    ramp = torch.arange(64.0).expand(1, 3, 16, 64)
    assert smoothness_loss(ramp).item() == smoothness_loss(ramp[..., :16]).item() == 1


def test_smoothness_of_no_pictures_is_zero():
    loss = smoothness_loss(torch.zeros(0, 3, 8, 8))
    assert loss.shape == () and loss.item() == 0


def test_smoothness_gradient():
    check_gradient(smoothness_loss, noise(2, 2, 4, 3))


# ---- the objective ----


@pytest.fixture
def painting():
    return picture(1, 3, 40, 32, seed=9)


@pytest.fixture
def make_objective(thin_vgg, painting):
    return lambda **weights: Objective(thin_vgg(), painting, **weights)


def test_objective_terms_are_finite_scalars_whose_sum_is_the_total(make_objective):
    terms = make_objective()(picture(2, 3, 32, 32), picture(2, 3, 32, 32, seed=1), gradients=1)
    numbers = terms.floats()
    assert all(value > 0 for value in numbers.values())
    parts = sum(numbers[name] for name in ("content", "style", "tv", "smooth"))
    assert numbers["total"] == pytest.approx(parts, rel=1e-5)


def test_the_photo_itself_has_no_content_loss_and_the_painting_no_style_loss(make_objective, painting):
    objective, photo = make_objective(), picture(1, 3, 40, 32)
    assert objective(photo, photo).content.item() == 0
    same, other = objective(painting, photo).style.item(), objective(photo, photo).style.item()
    assert same < 1e-6 * other


@pytest.mark.parametrize("term", ["content", "style", "tv", "smooth"])
def test_each_weight_scales_its_own_term_alone(make_objective, term):
    pictures = picture(2, 3, 32, 32), picture(2, 3, 32, 32, seed=1), 1
    before = make_objective(content_weight=1, style_weight=1, tv_weight=1, smooth_weight=1)(*pictures).floats()
    weights = dict.fromkeys(("content_weight", "style_weight", "tv_weight", "smooth_weight"), 1.0)
    after = make_objective(**{**weights, f"{term}_weight": 3.0})(*pictures).floats()
    for name in ("content", "style", "tv", "smooth"):
        assert after[name] == pytest.approx(before[name] * (3 if name == term else 1), rel=1e-5)


def test_style_is_the_documented_sum(make_objective, thin_vgg, painting):
    photo = picture(1, 3, 32, 32)
    wanted, found = thin_vgg()(painting), thin_vgg()(photo)
    gram_of = {name: plain_gram(wanted[name]) for name in STYLE_LAYERS}
    own = {name: gram.square().mean().item() for name, gram in gram_of.items()}
    energy = sum(own.values())
    total = sum(
        (0.9 + 0.1 * energy / (4 * own[name])) * (plain_gram(found[name]) - gram_of[name]).square().mean().item()
        for name in STYLE_LAYERS
    )
    expected = 5 * (losses.STYLE_UNIT / energy) ** 0.7 * total
    assert make_objective()(photo, photo).style.item() == pytest.approx(expected, rel=1e-3)


def test_without_the_balances_the_style_is_the_papers(make_objective, thin_vgg, painting, monkeypatch):
    monkeypatch.setattr(losses.objective, "ENERGY_POWER", 0.0)
    monkeypatch.setattr(losses.objective, "LAYER_BALANCE", 0.0)
    photo = picture(1, 3, 32, 32)
    wanted, found = thin_vgg()(painting), thin_vgg()(photo)
    plain = sum((plain_gram(found[n]) - plain_gram(wanted[n])).square().mean().item() for n in STYLE_LAYERS)
    assert make_objective(style_weight=2.0)(photo, photo).style.item() == pytest.approx(2 * plain, rel=1e-3)


def test_a_faint_painting_counts_nearly_as_much_as_a_bold_one(thin_vgg, painting):
    """Its raw style loss falls with the fourth power of its contrast; the objective's hardly does."""
    mean = thin_vgg().mean
    grey = thin_vgg()(mean.expand(1, 3, 40, 32))
    faint = mean + (painting - mean) / 4
    bold_loss, faint_loss = (Objective(thin_vgg(), target).style(grey).item() for target in (painting, faint))
    assert 4**-2 < faint_loss / bold_loss < 1  # (4⁴)^0.3 = 5.3, not 256


def test_gradients_at_the_front_are_left_out_of_the_style(make_objective):
    objective = make_objective()
    pair, photos = picture(2, 3, 32, 32), picture(2, 3, 32, 32, seed=1)
    alone = objective(pair[1:], photos[1:]).style.item()
    terms = objective(pair, photos, gradients=1)
    assert terms.style.item() == pytest.approx(alone / 2, rel=1e-4)
    assert terms.smooth.item() == pytest.approx(10 / 2 * smoothness_loss(pair[:1]).item(), rel=1e-4)
    assert objective(pair, photos).smooth.item() == 0
    assert objective(pair, photos, gradients=2).style.item() == 0


def test_objective_sends_a_gradient_into_every_pixel_and_none_into_the_vgg(make_objective):
    objective = make_objective()
    stylized = picture(2, 3, 32, 32).requires_grad_()
    objective(stylized, picture(2, 3, 32, 32, seed=1), gradients=1).total().backward()
    assert stylized.grad.isfinite().all() and (stylized.grad != 0).float().mean() > 0.9
    assert all(parameter.grad is None for parameter in objective.vgg.parameters())


def test_objective_in_bfloat16_is_close_to_float32(make_objective):
    pictures = picture(2, 3, 64, 64), picture(2, 3, 64, 64, seed=1)
    exact = make_objective()(*pictures).floats()
    objective = make_objective()
    objective.vgg.stages.to(torch.bfloat16)
    rough = Objective(objective.vgg, picture(1, 3, 40, 32, seed=9))(*pictures).floats()
    for name in ("content", "style", "tv"):
        assert rough[name] == pytest.approx(exact[name], rel=0.05)
