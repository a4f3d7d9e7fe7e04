from __future__ import annotations

import pytest

from styletransfer.core.baseline import OBJECTIVES, GatysSettings, Weights
from styletransfer.core.errors import SettingsError


def test_further_scales_take_half_the_iterations():
    assert GatysSettings(sizes=(256, 512, 1024, 2048), iterations=(300,)).iterations_by_scale == (300, 150, 75, 38)
    assert GatysSettings(sizes=(256, 512, 1024), iterations=(300, 10)).iterations_by_scale == (300, 10, 5)
    assert GatysSettings(sizes=(256, 512), iterations=(1,)).iterations_by_scale == (1, 1)


def test_the_objectives_have_their_own_weights():
    assert GatysSettings().weights == OBJECTIVES["training"] == Weights(1.0, 5.0, 1e-6)
    assert GatysSettings(objective="gatys", content_weight=0.0).weights == Weights(0.0, OBJECTIVES["gatys"].style, 0.0)


def test_the_painting_grows_along_but_not_beyond_itself():
    settings = GatysSettings(sizes=(256, 512, 1024), style_size=384)
    assert [settings.style_side(scale, 1000) for scale in range(3)] == [384, 768, 1000]
    assert [settings.style_side(scale, 200) for scale in range(3)] == [384, 384, 384]


@pytest.mark.parametrize(
    "change",
    [
        {"sizes": ()}, {"sizes": (8,)}, {"sizes": (512, 256)}, {"iterations": ()}, {"iterations": (1, 1)},
        {"iterations": (0,)}, {"objective": "x"}, {"start": "x"}, {"optimiser": "x"}, {"style_size": 0},
        {"tv_weight": float("nan")}, {"seed": -1},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(SettingsError, match=next(iter(change)).removesuffix("s")):
        GatysSettings(**change)
