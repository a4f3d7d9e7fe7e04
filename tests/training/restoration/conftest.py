"""What the tests of restoration share."""

from __future__ import annotations

import pytest

from styletransfer.core.settings_restore import RestoreSettings


@pytest.fixture
def tiny():
    """Settings of a training that takes a moment."""

    def make(**changes) -> RestoreSettings:
        small = {"scale": 2, "channels": 4, "layers": 1, "steps": 5, "batch": 2, "image_size": 32}
        return RestoreSettings(**{**small, **changes})

    return make
