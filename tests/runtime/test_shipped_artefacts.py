"""The shipped styles keep within the limits of core.artefacts, on real photos where there are any."""

from pathlib import Path

import numpy as np
import pytest

from styletransfer.core import zoo
from styletransfer.core.artefacts import LIMITS, border_energy, colour_drift, grid_energy, measure, readability
from styletransfer.core.download import file_sha256
from styletransfer.core.grid import grid
from styletransfer.core.pictures import fit_size, load_picture, resize_frame
from styletransfer.core.squares import middle_square
from styletransfer.runtime.stylizer import Stylizer

pytest.importorskip("onnxruntime")

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared" / "data"
SIDE = 256


@pytest.fixture(scope="module")
def photos():
    """Twelve photos of a set that nothing was trained on, else those that the repository has."""
    folder = SHARED / "restoration" / "BSD100"
    if folder.is_dir():
        return [middle_square(load_picture(path).frame_hwc, SIDE) for path in sorted(folder.iterdir())[4::8]]
    sample = load_picture(REPOSITORY / "examples" / "astronaut.jpg").frame_hwc
    strip = load_picture(REPOSITORY / "docs" / "pictures" / "photos.jpg").frame_hwc  # a cup, a cat, a rocket, ...
    parts = [
        sample[:SIDE, SIDE:],
        sample[SIDE:, :SIDE],
        sample,
        *(strip[:, left : left + 312] for left in (0, 318, 636)),
    ]
    return [middle_square(np.ascontiguousarray(part), SIDE) for part in parts]


@pytest.fixture(scope="module")
def paintings():
    """SHA-256 to picture, of the paintings that are there."""
    return {file_sha256(path): path for path in (SHARED / "paintings").glob("*.jpg")}


@pytest.mark.parametrize("style", sorted(zoo.shipped()))
def test_a_shipped_style_keeps_within_every_limit(style, photos, paintings):
    stylize = Stylizer(zoo.resolve(style), provider="cpu")
    path = paintings.get(stylize.card.painting.sha256)
    # The paintings are no part of the repository: without them the colours cannot be compared with anything.
    painting = None if path is None else load_picture(path).frame_hwc
    if painting is not None:
        painting = resize_frame(painting, fit_size((painting.shape[1], painting.shape[0]), 384))
    results = [stylize(photo) for photo in photos]
    found = [
        measure(result, photo, photo if painting is None else painting)
        for result, photo in zip(results, photos, strict=True)
    ]
    means = {name: np.mean([figures[name] for figures in found]) for name in LIMITS}
    if painting is None:
        del means["colour"]
    # The limits are for ten photos or more; the mean of the repository's six strays further.
    slack = 1.0 if len(photos) >= 10 else 1.3
    beyond = {
        name: f"{mean:.2f} {LIMITS[name]}"
        for name, mean in means.items()
        if not LIMITS[name].holds(mean * slack if LIMITS[name].is_floor else mean / slack)
    }
    assert not beyond


@pytest.mark.parametrize("style", sorted(zoo.shipped()))
def test_a_flat_field_shows_no_grid(style):
    field = np.full((SIDE, SIDE, 3), 128, np.uint8)
    assert max(grid(Stylizer(zoo.resolve(style), provider="cpu")(field)).values()) < 1.5


def test_the_limits_do_tell_a_spoilt_style(photos):
    stylize = Stylizer(zoo.resolve(zoo.DEFAULT_STYLE), provider="cpu")
    wave = 3 * np.cos(np.pi * np.arange(SIDE) / 2)
    inwards = np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1])
    frame = 60 * (np.minimum(inwards[:, None], inwards) < 3)
    spoilt = {
        "grid4": (lambda made: made + (wave[:, None] * wave / 3)[..., None], lambda *bad: grid_energy(*bad)[4]),
        "border": (lambda made: made + frame[..., None], border_energy),
        "readability": (lambda made: made[::-1, ::-1], readability),
    }
    made = [stylize(photo) for photo in photos]
    for name, (spoil, measured) in spoilt.items():
        pictures = [np.rint(spoil(picture)).clip(0, 255).astype(np.uint8) for picture in made]
        mean = np.mean([measured(picture, photo) for picture, photo in zip(pictures, photos, strict=True)])
        assert not LIMITS[name].holds(mean), (name, mean)
    assert not LIMITS["colour"].holds(np.mean([colour_drift(picture[..., ::-1], picture) for picture in made]))
