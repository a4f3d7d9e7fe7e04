import numpy as np
import pytest
from samples import make_photo

from styletransfer.core import artefacts
from styletransfer.core.artefacts import LIMITS, border_energy, colour_drift, grid_energy, measure, readability
from styletransfer.core.colour import to_lab
from styletransfer.core.errors import InputError

SIDE = 128
NAMES = ["grid2", "grid4", "grid8", "border", "colour", "readability"]


def flat(level=120, side=SIDE):
    return np.full((side, side, 3), level, np.uint8)


def distance_from_edge(side=SIDE):
    inwards = np.minimum(np.arange(side), np.arange(side)[::-1])
    return np.minimum(inwards[:, None], inwards[None, :])


def strokes(side=SIDE, seed=0):
    """A picture of blurred noise in colour: structure everywhere, a frame nowhere."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.fft2(rng.normal(0, 1, (side, side, 3)), axes=(0, 1))
    f = np.fft.fftfreq(side)
    field = np.fft.ifft2(spectrum * np.exp(-300 * (f[:, None] ** 2 + f[None] ** 2))[..., None], axes=(0, 1)).real
    return (128 + 45 * field / field.std()).clip(0, 255).astype(np.uint8)


def with_levels(frame, field_hw):
    return np.rint(frame + np.asarray(field_hw)[..., None]).clip(0, 255).astype(np.uint8)


# ---- the colour space ----


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_known_colours_in_lab(rgb, lab):
    assert to_lab(np.array(rgb, np.uint8)) == pytest.approx(lab, abs=0.02)


# ---- grid ----


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_known_grid_shows_at_its_period_alone(period):
    photo = strokes()
    wave = np.cos(2 * np.pi * np.arange(SIDE) / period)
    found = grid_energy(with_levels(photo, 5 * wave[:, None] * wave[None, :]), photo)
    assert found.pop(period) == pytest.approx(5, abs=0.6)
    assert max(found.values()) < 0.6


def test_the_photos_own_grid_is_not_held_against_the_style():
    fence = with_levels(flat(), 20 * np.cos(2 * np.pi * np.arange(SIDE) / 4)[None, :] * np.ones((SIDE, 1)))
    assert grid_energy(fence, flat())[4] == pytest.approx(20, abs=0.5)
    assert grid_energy(fence, fence)[4] == 0


# ---- border ----


@pytest.mark.parametrize("width", [1, 3, 8])
def test_a_frame_on_a_flat_picture_measures_its_step(width):
    framed = flat(120)
    framed[distance_from_edge() < width] = 150
    step = np.linalg.norm(to_lab(framed[0, 0]) - to_lab(framed[64, 64]))
    # A side's mean is a little less: its ends lie in the frames of the neighbouring sides.
    assert 0.85 * step < border_energy(framed, flat(120)) <= step


def test_a_frame_stands_out_of_strokes_and_strokes_alone_do_not():
    photo, painted = strokes(seed=1), strokes(seed=2)
    clean = border_energy(painted, photo)
    assert clean < 1.7
    assert border_energy(with_levels(painted, 40 * (distance_from_edge() < 3)), photo) > max(
        LIMITS["border"].bound, 2 * clean
    )
    noisy = painted // 4 + 90
    noisy[distance_from_edge() < 12] += np.random.default_rng(0).integers(0, 90, (SIDE, SIDE, 3), np.uint8)[
        distance_from_edge() < 12
    ]
    assert border_energy(noisy, photo) > LIMITS["border"].bound


def test_a_photo_with_a_busy_border_is_no_artefact():
    busy = with_levels(strokes(), 50 * (distance_from_edge() < 4))
    assert border_energy(busy, strokes()) > 1.5
    assert border_energy(busy, busy) <= 1.0


def test_the_same_frame_measures_the_same_at_another_size():
    small, large = (
        border_energy(with_levels(strokes(side, 3), 40 * (distance_from_edge(side) < 3)), flat(side=side))
        for side in (128, 512)
    )
    assert large == pytest.approx(small, rel=0.3)


# ---- colours ----


def test_a_colour_shift_measures_its_length():
    assert colour_drift(flat(50), flat(50)) == 0
    dark, light = to_lab(np.uint8([50] * 3)), to_lab(np.uint8([180] * 3))
    assert colour_drift(flat(180), flat(50)) == pytest.approx(light[0] - dark[0], rel=0.02)
    red, blue = (
        np.broadcast_to(np.uint8([200, 40, 30]), (64, 64, 3)),
        np.broadcast_to(np.uint8([30, 40, 200]), (90, 70, 3)),
    )
    between = np.linalg.norm(to_lab(red[0, 0]) - to_lab(blue[0, 0]))
    assert colour_drift(red, blue) == pytest.approx(between, rel=0.05)


def test_only_the_distribution_of_colours_counts():
    painting = make_photo(150, 90)
    shuffled = np.random.default_rng(0).permutation(painting.reshape(-1, 3)).reshape(90, 150, 3)
    assert colour_drift(shuffled, painting) < 0.7
    assert colour_drift(painting[..., ::-1], painting) > LIMITS["colour"].bound


# ---- readability ----


def test_content_is_read_in_the_negative_and_not_in_another_photo():
    photo = make_photo(SIDE, SIDE)
    assert readability(photo, photo) == pytest.approx(1)
    assert readability(255 - photo, photo) == pytest.approx(1)
    assert abs(readability(strokes(seed=5), strokes(seed=6))) < 0.15


def test_fine_strokes_leave_content_readable_and_its_loss_shows():
    photo = strokes()
    y, x = np.mgrid[:SIDE, :SIDE]
    hatched = with_levels(photo, 40 * np.sign(np.sin(2 * np.pi * (x + y) / 5)))
    assert readability(hatched, photo) > 0.85
    drowned = (0.15 * photo + 0.85 * strokes(seed=7)).astype(np.uint8)
    assert readability(drowned, photo) < LIMITS["readability"].bound
    tiles = photo.reshape(8, 16, 8, 16, 3)[::-1, :, ::-1].reshape(SIDE, SIDE, 3)  # every colour, in another place
    assert readability(tiles, photo) < 0.3


def test_a_photo_without_structure_has_none_to_lose():
    assert readability(strokes(), flat()) == 1.0
    assert readability(flat(), strokes()) == 0.0


# ---- all of them ----


def test_every_measure_has_a_limit_and_the_good_are_within():
    photo = strokes()
    found = measure(photo, photo, photo)
    assert list(found) == list(LIMITS) == NAMES
    assert all(LIMITS[name].holds(value) for name, value in found.items())
    assert all(limit.origin and not limit.holds(float("nan")) for limit in LIMITS.values())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_spoiled_is_outside_its_limit_alone(name):
    photo = strokes(256)
    side = np.arange(256)
    spoilt = {
        "border": lambda: with_levels(photo, 60 * (distance_from_edge(256) < 2)),
        "colour": lambda: np.ascontiguousarray(photo // 4),
        "readability": lambda: strokes(256, seed=9),
    }
    for period, levels in ((2, 1), (4, 2), (8, 3)):
        wave = np.cos(2 * np.pi * side / period)
        spoilt[f"grid{period}"] = lambda wave=wave, levels=levels: with_levels(
            photo, levels * wave[None, :] + 0 * photo[..., 0]
        )
    found = measure(spoilt[name](), photo, photo)
    assert [key for key, value in found.items() if not LIMITS[key].holds(value)] == [name]


def test_limits_say_what_they_allow():
    assert str(LIMITS["grid4"]) == "≤ 1 levels"
    assert str(LIMITS["readability"]) == "≥ 0.65"
    assert LIMITS["readability"].holds(0.7) and not LIMITS["readability"].holds(0.6)


@pytest.mark.parametrize("function", [grid_energy, border_energy, readability])
def test_refuses_pictures_that_differ_or_are_too_small(function):
    with pytest.raises(InputError, match="of one size"):
        function(flat(), flat(side=100))
    with pytest.raises(InputError, match="at least 64"):
        function(flat(side=63), flat(side=63))


def test_no_measure_changes_its_pictures():
    photo = strokes()
    copy = photo.copy()
    artefacts.measure(photo, photo, photo)
    assert np.array_equal(copy, photo)
