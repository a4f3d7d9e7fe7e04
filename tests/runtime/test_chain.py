"""Clean, stylize, enlarge: the order, the mixing, the sizes."""

from __future__ import annotations

import numpy as np
import pytest
from samples import make_photo

from styletransfer.core.errors import SettingsError

pytest.importorskip("onnxruntime")

from styletransfer.runtime.chain import Chain, load_chain
from styletransfer.runtime.restorer import Restorer
from styletransfer.runtime.stylizer import Stylizer


@pytest.fixture
def chain(tiny_model, tiny_deblock, tiny_upscale2):
    return load_chain(tiny_model, [tiny_deblock], [tiny_upscale2], "cpu")


def test_the_style_sees_the_clean_frame_and_its_picture_is_enlarged(chain, tiny_model, tiny_deblock, tiny_upscale2):
    photo = make_photo(37, 50)
    clean = Restorer(tiny_deblock, "cpu")(photo)
    stylized = Stylizer(tiny_model, "cpu")(clean)
    np.testing.assert_array_equal(chain(photo), Restorer(tiny_upscale2, "cpu")(stylized))
    assert (chain.scale, chain.name, chain.provider) == (2, "tiny_deblock-tiny-tiny_upscale2", "cpu")


def test_strength_mixes_with_the_clean_frame_before_it_is_enlarged(chain, tiny_deblock, tiny_upscale2):
    photo = make_photo(36, 48)
    unstyled = Chain(None, [Restorer(tiny_deblock, "cpu")], [Restorer(tiny_upscale2, "cpu")])
    np.testing.assert_array_equal(chain(photo, strength=0.0), unstyled(photo))
    half = chain(photo, strength=0.5).astype(int)
    between = (chain(photo).astype(int) + unstyled(photo)) / 2
    assert np.abs(half - between).max() <= 3
    assert np.abs(chain(photo, keep_colors=True).astype(int) - chain(photo)).mean() > 5


def test_scales_multiply(tiny_upscale2):
    chain = load_chain(None, [tiny_upscale2], [tiny_upscale2], "cpu")
    assert chain.scale == 4
    chain.warm_up(10, 14)
    assert chain(make_photo(10, 14)).shape == (40, 56, 3)


def test_an_empty_chain_gives_the_frame():
    photo = make_photo(5, 6)
    chain = Chain()
    assert chain(photo) is photo and (chain.scale, chain.name, chain.provider) == (1, "", "")
    chain.warm_up(5, 6)
    assert not chain.gains_from_warm_up


def test_a_strength_out_of_range_is_refused_without_a_style_too(tiny_deblock):
    with pytest.raises(SettingsError, match="strength is 2"):
        load_chain(None, [tiny_deblock])(make_photo(5, 6), strength=2)
