"""The losses of restoration by their names: every one works, refuses what it cannot compare, and has a gradient."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402, N812

from styletransfer.core.errors import InputError, MissingExtraError, SettingsError  # noqa: E402
from styletransfer.training.losses import pixel  # noqa: E402
from styletransfer.training.losses.adversarial import AdversarialLoss, PatchDiscriminator  # noqa: E402
from styletransfer.training.losses.expression import LOSSES, LossResources, build_loss, parse_loss  # noqa: E402
from styletransfer.training.losses.features import contextual_distance, load_lpips  # noqa: E402
from styletransfer.training.losses.mdf import Discriminator, write_discriminators  # noqa: E402

HAND = {  # the loss of grey 0.5 against grey 0.3, by hand; no variance, so that SSIM is its luminance term
    "l1": 0.2,
    "l2": 0.04,
    "charbonnier": math.sqrt(0.04 + 1e-6),
    "pyramid": 0.2,
    "ssim": 1 - (2 * 0.15 + 1e-4) / (0.34 + 1e-4),
    "tv": 0.0,
}
SMALLEST = {"ssim": 11, "ms_ssim": 11, "ms_ssim_l1": 11, "vgg12": 1, "vgg22": 2, "vgg33": 4, "vgg43": 8, "style": 8}
SMALLEST |= {"pyramid": 16, "tv": 2, "contextual": 8, "lpips": 32, "stlpips": 32, "gan": 32}
SMALLEST |= dict.fromkeys(("mdf", "mdf_sisr", "mdf_jpeg"), 11)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def discriminators():
    torch.manual_seed(0)
    made = [Discriminator(4) for _ in range(3)]
    for one in made:
        for module in one.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
                torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return made


@pytest.fixture(scope="module")
def built():
    return {}


@pytest.fixture
def make(thin_vgg, discriminators, tmp_path, monkeypatch, built):
    """Build an expression's loss without the real weights."""

    for task in ("sisr", "jpeg"):
        write_discriminators(tmp_path / "mdf" / f"discriminators_{task}.safetensors", discriminators, "a test")
    monkeypatch.setenv("STYLETRANSFER_MDF", str(tmp_path / "mdf"))

    def build(text):
        torch.manual_seed(1)
        if "lpips" in text:
            pytest.importorskip("stlpips_pytorch" if "stlpips" in text else "lpips")
        if text == "lpips":
            pytest.importorskip("torchvision")
            write_alexnet(tmp_path, monkeypatch)
            # its package makes all of AlexNet, a second's work; nothing in it changes
            if "lpips" not in built:
                built["lpips"] = build_loss("lpips")
            return built["lpips"]
        return build_loss(text, LossResources(thin_vgg, tmp_path / "mdf" / "discriminators_sisr.safetensors"))

    return build


def write_alexnet(folder, monkeypatch):
    """A file of AlexNet's features as torchvision names them, random, where torch's hub would keep it."""
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    generator = torch.Generator().manual_seed(3)
    state = {"classifier.1.weight": torch.zeros(1)}
    for index, (outputs, inputs, side) in shapes.items():
        scale = (2 / (inputs * side * side)) ** 0.5
        state[f"features.{index}.weight"] = scale * torch.randn(outputs, inputs, side, side, generator=generator)
        state[f"features.{index}.bias"] = torch.zeros(outputs)
    (folder / "checkpoints").mkdir(exist_ok=True)
    torch.save(state, folder / "checkpoints" / "alexnet-owt-7be5be79.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    return state


# ---- every loss ----


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_a_scalar_with_a_gradient_that_goes_down(make, name):
    loss = make(name)
    target = F.interpolate(noise(2, 3, 12, 12), (48, 48), mode="bilinear")
    restored = (target + 0.2 * (noise(2, 3, 48, 48, seed=1) - 0.5)).requires_grad_()
    total, parts = loss(restored, target)
    assert total.shape == () and total.dtype == torch.float32 and math.isfinite(total.item()) and total.item() > 0
    assert set(parts) == {name} and parts[name].item() == pytest.approx(total.item())
    (gradient,) = torch.autograd.grad(total, restored)
    assert gradient.shape == restored.shape and torch.isfinite(gradient).all() and gradient.abs().max() > 0
    step = 0.02 * total.detach() / gradient.square().sum()
    after = loss(restored.detach() - step * gradient, target)[0].item()
    assert after == pytest.approx(0.98 * total.item(), rel=0.01)  # the gradient's own promise


@pytest.mark.parametrize("name", LOSSES)
def test_equal_pictures_and_less_noise_lose_less(make, name):
    target = F.interpolate(noise(1, 3, 12, 12), (48, 48), mode="bilinear")
    values = [
        make(name)(target + strength * (noise(1, 3, 48, 48, seed=1) - 0.5), target)[0].item()
        for strength in (0, 0.1, 0.4)
    ]
    if name != "gan":  # an untrained discriminator knows nothing
        assert values[0] < values[1] < values[2]
    least = {"charbonnier": 1e-3, "gan": values[0], "tv": values[0], "contextual": values[0]}
    assert values[0] == pytest.approx(least.get(name, 0), abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_over_the_batch(make, name):
    loss, target, restored = make(name), noise(2, 3, 48, 48), noise(2, 3, 48, 48, seed=1)
    alone = [loss(restored[i : i + 1], target[i : i + 1])[0].item() for i in range(2)]
    assert loss(restored, target)[0].item() == pytest.approx(np.mean(alone), rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_what_cannot_be_compared_is_refused(make, name):
    loss, good = make(name), noise(1, 3, 48, 48)
    for bad in (noise(1, 3, 48, 40), noise(1, 1, 48, 48), noise(3, 48, 48)):
        with pytest.raises(ValueError, match=r"\[N, 3, H, W\]"):
            loss(bad, bad if bad.shape != (1, 3, 48, 40) else good)
    smallest = SMALLEST.get(name, 1)
    assert math.isfinite(loss(noise(2, 3, smallest, 40), noise(2, 3, smallest, 40, seed=1))[0].item())
    if smallest > 1:
        with pytest.raises(SettingsError, match=f"at least {smallest}x{smallest} pixels"):
            loss(noise(1, 3, 40, smallest - 1), noise(1, 3, 40, smallest - 1))


@pytest.mark.parametrize("name", HAND)
def test_two_greys_by_hand(make, name):
    grey = torch.ones(2, 3, 24, 32)
    assert make(name)(0.5 * grey, 0.3 * grey)[0].item() == pytest.approx(HAND[name], rel=1e-4, abs=1e-6)


# ---- the values of single losses ----


def test_the_pyramid_sees_what_stays_in_flat_areas_and_no_grain():
    target = torch.full((1, 3, 64, 64), 0.5)
    grain = 0.1 * (-1.0) ** (torch.arange(64)[:, None] + torch.arange(64))
    blotches = 0.1 * (-1.0) ** (torch.arange(64)[:, None] // 32 + torch.arange(64) // 32)
    assert pixel.pyramid(target + grain, target) < 1e-6
    assert pixel.pyramid(target + blotches, target) > 0.07


@pytest.mark.parametrize("size", [(40, 56), (176, 192)])
def test_ssim_is_the_well_known_packages(size):
    package = pytest.importorskip("pytorch_msssim")
    target = F.interpolate(noise(2, 3, 12, 12), size, mode="bicubic")
    restored = target + 0.3 * (noise(2, 3, *size, seed=1) - 0.5)
    assert 1 - pixel.ssim(restored, target) == pytest.approx(
        package.ssim(restored, target, data_range=1).item(), abs=1e-5
    )
    if min(size) > 160:
        theirs = package.ms_ssim(restored, target, data_range=1).item()
        assert 1 - pixel.ms_ssim(restored, target).item() == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(("side", "levels"), [(11, 1), (21, 1), (22, 2), (96, 4), (175, 4), (176, 5), (1000, 5)])
def test_ms_ssim_has_the_levels_that_fit(side, levels):
    assert pixel.ms_ssim_levels(side, 1000) == pixel.ms_ssim_levels(1000, side) == levels
    if levels == 1:
        target = noise(1, 3, side, 30)
        pair = target + 0.3 * noise(1, 3, side, 30, seed=1), target
        assert pixel.ms_ssim(*pair).item() == pytest.approx(pixel.ssim(*pair).item(), rel=1e-5)


def test_ms_ssim_of_opposites_has_a_gradient_that_is_a_number():
    target = noise(1, 3, 64, 64)
    restored = (1 - target).requires_grad_()  # every contrast term is negative
    pixel.ms_ssim(restored, target).backward()
    assert torch.isfinite(restored.grad).all()


def test_the_mixture_is_084_to_016():
    pair = noise(1, 3, 48, 48), noise(1, 3, 48, 48, seed=1)
    expected = 0.84 * pixel.ms_ssim(*pair) + 0.16 * (pair[0] - pair[1]).abs().mean()
    assert pixel.ms_ssim_l1(*pair).item() == pytest.approx(expected.item())


def test_the_feature_losses_by_the_formula(make, thin_vgg):
    restored, target = noise(1, 3, 32, 32), noise(1, 3, 32, 32, seed=1)
    found, wanted = thin_vgg()(restored * 255), thin_vgg()(target * 255)
    for name, layer in (("vgg12", "relu1_2"), ("vgg22", "relu2_2"), ("vgg33", "relu3_3"), ("vgg43", "relu4_3")):
        expected = ((found[layer] - wanted[layer]) / 255).square().mean().item()
        assert make(name)(restored, target)[0].item() == pytest.approx(expected, rel=1e-4)

    def gram(x):
        rows = (x / 255).flatten(2)[0]
        return rows @ rows.T / rows.numel()

    expected = sum((gram(found[layer]) - gram(wanted[layer])).square().mean().item() for layer in found)
    assert make("style")(restored, target)[0].item() == pytest.approx(expected, rel=1e-4)


def test_the_contextual_loss_by_the_formula():
    found, wanted = noise(1, 5, 6, seed=2).double(), noise(1, 5, 4, seed=3).double()
    x, y = (t[0].T.numpy() - wanted[0].T.numpy().mean(0) for t in (found, wanted))
    cx = np.empty((6, 4))
    for i in range(6):
        d = [1 - x[i] @ y[j] / np.linalg.norm(x[i]) / np.linalg.norm(y[j]) for j in range(4)]
        w = [math.exp((1 - d[j] / (min(d) + 1e-5)) / 0.5) for j in range(4)]
        cx[i] = np.array(w) / sum(w)
    assert contextual_distance(found, wanted).item() == pytest.approx(-math.log(cx.max(0).mean()), rel=1e-6)


def test_a_large_picture_is_compared_at_a_grid_of_positions(make):
    loss, target = make("contextual"), noise(1, 3, 160, 136)
    assert loss(target, target)[0].item() < loss(noise(1, 3, 160, 136, seed=1), target)[0].item()


def test_total_variation_by_hand(make):
    stripes = torch.zeros(1, 3, 8, 8)
    stripes[..., ::2] = 0.5
    assert make("tv")(stripes, 0 * stripes)[0].item() == pytest.approx(0.25)


def test_lpips_by_the_formula(make, tmp_path, monkeypatch):
    loss = make("lpips")
    state = write_alexnet(tmp_path, monkeypatch)
    restored, target = noise(1, 3, 64, 64), noise(1, 3, 64, 64, seed=1)
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
    lins = [loss.networks["lpips"].metric.lins[i].model[-1].weight for i in range(5)]

    def normed(x):
        x, outs = (2 * x - 1 - shift) / scale, []
        for index, (stride, padding, pool) in {
            0: (4, 2, 0),
            3: (1, 2, 1),
            6: (1, 1, 1),
            8: (1, 1, 0),
            10: (1, 1, 0),
        }.items():
            x = F.max_pool2d(x, 3, 2) if pool else x
            x = F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], stride, padding).relu()
            outs.append(F.normalize(x, dim=1))
        return outs

    pairs = zip(normed(restored), normed(target), lins, strict=True)
    expected = sum(F.conv2d((a - b).square(), lin).mean().item() for a, b, lin in pairs)
    assert loss(restored, target)[0].item() == pytest.approx(expected, rel=1e-3)


def test_lpips_without_its_trunk_or_with_a_damaged_one_says_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("lpips")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match=r"alexnet-owt-7be5be79.pth.* or use stlpips"):
        load_lpips()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").write_bytes(b"no weights")
    with pytest.raises(InputError, match="not readable as torchvision's weights"):
        load_lpips()


@pytest.mark.parametrize(("name", "package"), [("lpips", "lpips"), ("stlpips", "stlpips_pytorch")])
def test_a_missing_package_names_the_extra(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"styletransfer\[restore\]"):
        build_loss(name)


def test_st_lpips_leaves_no_empty_modules_behind(make):
    make("stlpips")
    assert all(name not in sys.modules or sys.modules[name].__spec__ for name in ("IPython", "torchsummary"))


def test_st_lpips_is_not_moved_by_a_shift_as_noise_moves_it(make):
    loss = make("stlpips")
    big = F.interpolate(noise(1, 3, 16, 16), (72, 72), mode="bicubic").clamp(0, 1)
    target, moved = big[..., 4:68, 4:68], big[..., 4:68, 5:69]
    noisy = target + (moved - target).std() * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    assert loss(moved, target)[0] < 0.5 * loss(noisy, target)[0]


# ---- adversarial ----


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_the_discriminator_gives_a_map_of_scores(size):
    logits = PatchDiscriminator(8)(noise(2, 3, *size))
    assert logits.shape == (2, 1, size[0] // 8 - 2, size[1] // 8 - 2)


def test_a_trained_discriminator_tells_blur_from_sharp_and_punishes_it():
    torch.manual_seed(0)
    loss = AdversarialLoss(1e-3, channels=8)
    sharp = noise(4, 3, 32, 32)
    blurred = F.avg_pool2d(sharp, 5, 1, 2)
    before = loss(blurred, sharp).item()
    assert before == pytest.approx(math.log(2), abs=0.2)  # it knows nothing: 0.5 for everything
    steps = [loss.discriminator_step(blurred, sharp) for _ in range(20)]
    assert steps[-1] < 0.5 * steps[0]
    assert loss(blurred, sharp).item() > 2 * before and loss(sharp, sharp).item() < 0.5 * before


def test_the_generators_loss_leaves_the_discriminator_alone():
    torch.manual_seed(0)
    loss = AdversarialLoss(channels=8)
    restored = noise(1, 3, 32, 32).requires_grad_()
    loss(restored, noise(1, 3, 32, 32)).backward()
    assert restored.grad is not None and all(p.grad is None for p in loss.discriminator.parameters())
    leaning = noise(1, 3, 32, 32).requires_grad_()
    loss.discriminator_step(leaning, noise(1, 3, 32, 32))
    assert leaning.grad is None


def test_a_resumed_discriminator_goes_on_as_it_would_have(make):
    restored, target = noise(1, 3, 32, 32), noise(1, 3, 32, 32, seed=1)
    one, other = make("l1 + 0.001*gan"), make("l1 + 0.001*gan")
    one.discriminator_step(restored, target)
    other.load_learned_state(one.learned_state())
    steps = [loss.discriminator_step(restored, target) for loss in (one, other)]
    assert steps[0] == steps[1] and set(steps[0]) == {"gan_discriminator"}
    assert one(restored, target)[0].item() == other(restored, target)[0].item()
    assert make("l1").discriminator_step(restored, target) == {} == make("l1").learned_state()


# ---- expressions ----


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("l1", [(1.0, "l1")]),
        (" l1+0.01 * vgg22 ", [(1.0, "l1"), (0.01, "vgg22")]),
        ("0.84*ms_ssim + 1.6e-1*l1", [(0.84, "ms_ssim"), (0.16, "l1")]),
        ("1e+2*l2+3.e+1*tv+.5*ssim", [(100.0, "l2"), (30.0, "tv"), (0.5, "ssim")]),
    ],
)
def test_a_sum_is_read(text, terms):
    assert parse_loss(text) == terms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "terms like"),
        ("l1 +", "terms like"),
        ("0.5", "terms like"),
        ("l1 - l2", "terms like"),
        ("l1*2", "terms like"),
        ("2*0.1*l1", "weight '2\\*0.1'|terms like"),
        ("l1; import os", "terms like"),
        ("l7", "'l7' is unknown; allowed: l1, l2"),
        ("l1 + 2*l1", "l1 twice"),
        ("0*l1", "number above 0"),
        ("-1*l1", "number above 0"),
        ("nan*l1", "number above 0"),
        ("inf*l1", "number above 0"),
        ("x*l1", "number above 0"),
    ],
)
def test_what_is_no_sum_is_refused(text, words):
    with pytest.raises(SettingsError, match=words):
        parse_loss(text)


def test_a_sum_is_the_sum_of_its_parts(make):
    restored, target = noise(1, 3, 32, 32), noise(1, 3, 32, 32, seed=1)
    total, parts = make("l1 + 0.01*vgg22 + 5*tv")(restored, target)
    alone = {name: make(name)(restored, target)[0].item() for name in ("l1", "vgg22", "tv")}
    expected = {"l1": alone["l1"], "vgg22": 0.01 * alone["vgg22"], "tv": 5 * alone["tv"]}
    assert {name: part.item() for name, part in parts.items()} == pytest.approx(expected)
    assert total.item() == pytest.approx(sum(expected.values()))
    assert not any(part.requires_grad for part in parts.values())


def test_the_loss_network_is_loaded_once_and_only_where_it_is_needed(thin_vgg):
    asked = []

    def load():
        asked.append(1)
        return thin_vgg()

    build_loss("l1 + ssim", LossResources(load))
    assert asked == []
    build_loss("vgg22 + style + contextual", LossResources(load))
    assert asked == [1]


def test_the_modules_around_do_not_put_the_metrics_into_training_mode(make):
    loss = make("stlpips + mdf").train()
    assert not any(module.training for part in loss.networks.values() for module in part.modules())
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_every_loss_has_a_line_of_help():
    assert all(entry.help and "\n" not in entry.help for entry in LOSSES.values())
