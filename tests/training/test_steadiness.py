from __future__ import annotations

import json

import numpy as np
import pytest
from clips import make_clip

torch = pytest.importorskip("torch")

from styletransfer.core.card import Painting  # noqa: E402
from styletransfer.core.errors import CheckpointError  # noqa: E402
from styletransfer.core.frames import FramePair  # noqa: E402
from styletransfer.training.loop import LOG_NAME, Callbacks, Paths, train  # noqa: E402
from styletransfer.training.steadiness import PICTURES, ClipMotion, Disturbance, steadiness_loss  # noqa: E402

SIDE = 64


def photos(count=2, side=SIDE, seed=0):
    """Soft pictures, whole 0..255."""
    coarse = torch.rand(count, 3, side // 8, side // 8, generator=torch.Generator().manual_seed(seed)) * 255
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 255).round()


def shift(x, y, count=2):
    """Everything moves by (-x, -y) pixels: each pixel comes from (x, y) further on."""
    matrices = torch.eye(2, 3).repeat(count, 1, 1)
    matrices[:, :, 2] = torch.tensor([float(x), float(y)])
    return Disturbance(matrices, seed=0)


def loss_of(network, photo, disturbance, spoil=False):
    moved = disturbance.move(photo)
    moved = disturbance.spoil(moved) if spoil else moved
    return steadiness_loss(network(photo), network(moved), disturbance)


def blocky(photo):
    """What a network with strides does that no motion by fewer than 4 pixels follows: one colour a 4x4 block."""
    return torch.nn.functional.avg_pool2d(photo, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)


# ---- motion ----


def test_a_motion_by_whole_pixels_is_exact():
    photo = photos()
    moved = shift(5, -3).move(photo)
    torch.testing.assert_close(moved[:, :, 3:, :-5], photo[:, :, :-3, 5:], atol=1e-2, rtol=0)


def test_a_turn_about_the_centre_goes_where_it_should_on_a_picture_that_is_no_square():
    photo = torch.zeros(1, 3, 48, 80)
    photo[:, :, 23:25, 60:62] = 255  # at (+20.5, 0) from the centre, with 0.5 of pixel size
    quarter = Disturbance(torch.tensor([[[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]]), seed=0)  # comes from (y, -x)
    bright = (quarter.move(photo)[0, 0] > 100).nonzero().float().mean(0)
    assert bright.tolist() == pytest.approx([23.5 + 21 - 0.0, 39.5], abs=0.6)


@pytest.mark.parametrize("step", range(12))
def test_what_is_compared_shows_the_same_in_both_pictures(step):
    disturbance = Disturbance.sample(0, step, 2)
    photo = photos(side=128)
    beyond = torch.nn.functional.pad(photo[:, :, 5:-5, 5:-5], (5,) * 4)  # another border: it must not be looked at
    compared = disturbance.compared(photo)
    assert 0.4 < compared.mean() < 0.9
    torch.testing.assert_close(disturbance.move(photo) * compared, disturbance.move(beyond) * compared)


def test_a_disturbance_is_a_function_of_seed_and_step():
    def same(a, b):
        return torch.equal(a.matrices, b.matrices) and torch.equal(a.spoil(photos()), b.spoil(photos()))

    first = Disturbance.sample(3, 14, 2)
    assert same(first, Disturbance.sample(3, 14, 2))
    assert not same(first, Disturbance.sample(3, 15, 2)) and not same(first, Disturbance.sample(4, 14, 2))


def test_all_kinds_of_motion_come_and_none_goes_far():
    matrices = torch.cat([Disturbance.sample(0, step, 2).matrices for step in range(100)])
    shifts, turns = matrices[:, :, 2], matrices[:, :, :2] - torch.eye(2)
    still = (shifts.abs().amax(1) == 0) & (turns.abs().amax((1, 2)) == 0)
    whole = (shifts == shifts.round()).all(1) & ~still
    odd = whole & (shifts.remainder(4) != 0).any(1)
    turned = turns.abs().amax((1, 2)) > 0
    assert all(20 < kind.sum() < 130 for kind in (still, odd, turned))
    assert shifts.abs().max() <= 8 and turns.abs().max() < 0.1


def test_spoiled_photos_are_whole_bytes_near_the_photo():
    photo = photos(8)
    spoiled = Disturbance(torch.eye(2, 3).repeat(8, 1, 1), seed=5).spoil(photo)
    assert torch.equal(spoiled, spoiled.round()) and spoiled.min() >= 0 and spoiled.max() <= 255
    away = (spoiled - photo).square().mean((1, 2, 3)).sqrt()
    assert (away > 0.3).all() and (away < 30).all()


# ---- the loss ----


@pytest.mark.parametrize("place", [(1, 0), (3, -2), (0.5, 0.25), (0, 0)])
def test_it_is_zero_where_the_network_moves_with_the_photo(place):
    photo = photos()
    assert loss_of(lambda x: 255 - 0.5 * x, photo, shift(*place)) < 1e-4
    assert loss_of(lambda x: x[:, [2, 0, 1]], photo, Disturbance.sample(0, 3, 2)) < 1e-4


def test_it_finds_what_does_not_move_by_fewer_than_four_pixels():
    photo = photos()
    assert loss_of(blocky, photo, shift(4, 8)) < 1e-2
    assert all(loss_of(blocky, photo, shift(*place)) > 5 for place in ((1, 0), (0, 2), (3, 3), (0.5, 0)))


def test_it_finds_what_noise_does():
    photo, still = photos(), shift(0, 0)
    quiet, loud = (loss_of(lambda x, gain=gain: gain * x, photo, still, spoil=True) for gain in (1, 2))
    assert quiet > 0 and loud == pytest.approx(4 * quiet.item(), rel=1e-4)


def test_it_is_in_squared_grey_levels_and_does_not_count_the_border():
    photo, still = photos(), shift(0, 0)
    assert steadiness_loss(photo, photo + 3, still).item() == pytest.approx(9)
    other = photo.clone()
    other[:, :, :4] += 100
    assert steadiness_loss(photo, other, still) < 1e-6


def test_the_gradient_reaches_both_pictures_and_lowers_the_loss():
    photo = photos()
    network = torch.nn.Conv2d(3, 3, 4, stride=4)
    up = torch.nn.Upsample(scale_factor=4)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)

    def loss():
        return loss_of(lambda x: up(network(x)), photo, shift(1, 2))

    before = loss().item()
    for _ in range(30):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() < 0.5 * before
    first, second = photo.clone().requires_grad_(), (photo + 5).requires_grad_()
    steadiness_loss(first, second, shift(1, 2)).backward()
    assert first.grad.abs().sum() > 0 and second.grad.abs().sum() > 0


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        steadiness_loss(photos(), photos(side=32), shift(0, 0))


# ---- along the motion of a clip ----


def pair(seed=0, x=3, y=-2, side=32):
    """Everything in the second frame comes from (x, y) further on in the first."""
    world = photos(1, 2 * side, seed)[0].permute(1, 2, 0).byte().numpy()
    first, second = (world[top : top + side, left : left + side] for top, left in ((8, 8), (8 + y, 8 + x)))
    flow = np.tile(np.array([x, y], np.float32), (side, side, 1))
    return FramePair(first.copy(), second.copy(), flow, np.ones((side, side), bool))


def test_a_clips_motion_brings_the_first_frame_to_the_second():
    motion = ClipMotion(pair())
    first, second = motion.frames(torch.device("cpu")).split(1)
    inside = motion.compared(first)
    assert inside.shape == (1, 1, 32, 32) and 0.5 < inside.mean() < 0.8
    torch.testing.assert_close(motion.move(first) * inside, second * inside, atol=1e-2, rtol=0)
    assert steadiness_loss(first, second, motion) < 1e-3
    assert steadiness_loss(blocky(first), blocky(second), motion) > 1


def test_pixels_without_a_partner_do_not_count():
    known = pair()
    known.compared_hw[:, :20] = False
    known.second_hwc[:, :20] = 0
    motion = ClipMotion(known)
    assert steadiness_loss(*motion.frames(torch.device("cpu")).split(1), motion) < 1e-3


# ---- in a training ----


@pytest.fixture
def run(tmp_path, painting_file, photo_folder, thin_vgg):
    def call(work, settings, stop=lambda: False, resume=False, pairs=()):
        callbacks = Callbacks(stop=stop, preview_every=0, checkpoint_every=0)
        paths = Paths(painting_file, photo_folder, tmp_path / work)
        network, progress, _ = train(
            settings, paths, thin_vgg(), Painting("Stripes"), callbacks=callbacks, resume=resume, pairs=pairs
        )
        lines = [json.loads(line) for line in (tmp_path / work / LOG_NAME).read_text().splitlines()]
        return network, progress, [{key: line[key] for key in line if key != "seconds"} for line in lines]

    return call


def test_the_term_is_logged_weighted_and_in_the_total(run, quick):
    _, progress, lines = run("a", quick(steps=3, stability_weight=2.0))
    for line in lines:
        parts = sum(line[name] for name in ("content", "style", "tv", "smooth", "stability"))
        assert line["stability"] > 0 and line["total"] == pytest.approx(parts, rel=1e-5)
    assert progress.losses["stability"] == pytest.approx(np.mean([line["stability"] for line in lines]))


def test_without_a_weight_it_costs_nothing_and_is_not_logged(run, quick, monkeypatch):
    monkeypatch.setattr("styletransfer.training.loop.steadiness_loss", None)  # not to be called
    assert "stability" not in run("a", quick(steps=2))[2][0]


def test_a_batch_of_one_has_the_term_too(run, quick):
    assert PICTURES > 1
    assert run("a", quick(steps=2, batch=1, stability_weight=1.0))[2][-1]["stability"] > 0


def test_a_resumed_training_equals_an_uninterrupted_one(run, quick):
    settings = quick(steps=5, stability_weight=10.0)
    whole, _, expected = run("whole", settings)
    asked = iter(range(1, 100))
    assert run("parts", settings, stop=lambda: next(asked) == 2)[1].step == 2
    resumed, _, lines = run("parts", settings, resume=True)
    assert lines == expected
    state = whole.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in resumed.state_dict().items())


def test_training_with_it_makes_a_steadier_network(run, quick):
    def unsteady(network):
        photo = photos(4, 64, seed=9)
        with torch.no_grad():
            return np.mean([loss_of(network, photo, shift(x, y, 4)).item() for x, y in ((1, 0), (2, 3), (0.5, 2.5))])

    plain, steady = (run(f"w{weight}", quick(steps=40, stability_weight=weight))[0] for weight in (0.0, 1000.0))
    assert unsteady(steady) < 0.7 * unsteady(plain)


def test_training_with_clips_makes_a_network_that_is_steady_along_their_motion(run, quick):
    pairs = [pair(seed, x, y) for seed, (x, y) in enumerate([(1, 0), (2, 3), (-3, 1), (0, -1)])]

    def unsteady(network):
        motions = [ClipMotion(one) for one in pairs]
        with torch.no_grad():
            painted = [network(motion.frames(torch.device("cpu"))) for motion in motions]
        losses = [steadiness_loss(both[:1], both[1:], motion) for both, motion in zip(painted, motions, strict=True)]
        return float(sum(losses))

    plain = run("plain", quick(steps=40))[0]
    steady = run("steady", quick(steps=40, stability_weight=1000.0, clip_pairs=4), pairs=pairs)[0]
    assert unsteady(steady) < 0.7 * unsteady(plain)


def test_a_training_with_clips_resumes_exactly_and_not_without_them(run, quick):
    settings, pairs = quick(steps=5, stability_weight=10.0, clip_pairs=2), [pair(0), pair(1)]
    expected = run("whole", settings, pairs=pairs)[2]
    asked = iter(range(1, 100))
    run("parts", settings, stop=lambda: next(asked) == 2, pairs=pairs)
    with pytest.raises(CheckpointError, match="clip_pairs 2, now it is 0"):
        run("parts", quick(steps=5, stability_weight=10.0), resume=True)
    assert run("parts", settings, resume=True, pairs=pairs)[2] == expected


def test_the_command_takes_clips_and_leaves_broken_ones_out(
    cli, tmp_path, painting_file, photo_folder, random_vgg_file
):
    clips, out = tmp_path / "clips", tmp_path / "steady.onnx"
    clips.mkdir()
    make_clip(clips / "good.mp4", size=(96, 72), pts=range(10))
    (clips / "broken.mp4").write_bytes(b"no clip")
    sizes = ("--channels", "8", "--batch", "2", "--image-size", "32", "--style-size", "32", "--init", "none")
    train = ("train", painting_file, "--photos", photo_folder, "--out", out, "--vgg", random_vgg_file, *sizes)
    outcome = cli(*train, "--steps", "3", "--stability", "50", "--clips", clips)
    assert outcome.status == 0, outcome.err
    assert "broken.mp4" in outcome.err
    from styletransfer.runtime.stylizer import Stylizer

    assert Stylizer(out, provider="cpu").card.training["clip_pairs"] == 4


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--clips", "nowhere", "--stability", "50"), "nowhere: no such file or folder"),
        (("--clips", "."), "add --stability 100"),
        (("--clips", "empty", "--stability", "50"), "no video in this folder"),
    ],
)
def test_clips_that_cannot_serve_are_one_line(
    cli, tmp_path, monkeypatch, painting_file, photo_folder, random_vgg_file, options, line
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    known = ("train", painting_file, "--photos", photo_folder, "--vgg", random_vgg_file, "--init", "none")
    outcome = cli(*known, "--out", tmp_path / "x.onnx", *options)
    assert outcome.status == 1 and len(outcome.errors) == 1 and line in outcome.errors[0]


def test_the_command_trains_with_it_and_reports_it(cli, tmp_path, painting_file, photo_folder, random_vgg_file):
    sizes = ("--channels", "8", "--batch", "2", "--image-size", "32", "--style-size", "32", "--init", "none")
    out = tmp_path / "steady.onnx"
    outcome = cli(
        *("train", painting_file, "--photos", photo_folder, "--out", out, "--vgg", random_vgg_file, *sizes),
        *("--steps", "2", "--stability", "50", "--preview-every", "0"),
    )
    assert outcome.status == 0 and ", stability " in outcome.out
    from styletransfer.runtime.stylizer import Stylizer

    card = Stylizer(out, provider="cpu").card
    assert card.training["stability_weight"] == 50 and card.losses["stability"] > 0


@pytest.mark.parametrize("value", ["-1", "nan"])
def test_a_weight_out_of_range_is_one_line(cli, tmp_path, painting_file, photo_folder, value):
    outcome = cli("train", painting_file, "--photos", photo_folder, "--out", tmp_path / "x.onnx", "--stability", value)
    assert outcome.status == 1 and len(outcome.errors) == 1 and "stability_weight is" in outcome.errors[0]
