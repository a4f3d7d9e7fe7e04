"""A study of two small scenes."""

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

from styletransfer.study.design import Design
from styletransfer.study.experiment import Experiment
from styletransfer.study.scenes import find_scenes
from styletransfer.study.votes import VoteLog, catch_path


@pytest.fixture
def folder(tmp_path):
    """SCENE/CONDITION.png: two scenes, three conditions, 40×30 pixels."""
    root = tmp_path / "pictures"
    for seed, scene in enumerate(("harbour", "meadow")):
        (root / scene).mkdir(parents=True)
        frame = make_photo(30, 40, seed)
        for shade, name in enumerate(("reference", "alpha", "beta", "gamma")):
            Image.fromarray((frame * (1 - 0.2 * shade)).astype(np.uint8)).save(root / scene / f"{name}.png")
    return root


@pytest.fixture
def votes_file(tmp_path):
    return tmp_path / "votes.csv"


@pytest.fixture
def make_experiment(folder, votes_file):
    """A server's experiment as it is when the server starts; the second one is a restart."""

    def make(**design):
        logs = VoteLog(votes_file), VoteLog(catch_path(votes_file))
        return Experiment(find_scenes(folder), Design(**design), *logs)

    return make
