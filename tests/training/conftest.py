"""What the training's tests share: a VGG that is thin enough for a test, a painting of 32 pixels, a few photos."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import make_photo

from styletransfer.core.settings import TrainSettings

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """On pictures of 32 pixels threads wait for each other more than they work: on a busy machine, ten times more."""
    if not importlib.util.find_spec("torch"):
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def full_size():
    """Ask for it where previews and contact sheets shall have the size that users get."""


@pytest.fixture(autouse=True)
def small_pictures(request, monkeypatch):
    """Previews and contact sheets of 32-pixel pictures: they would cost more than the trainings."""
    if importlib.util.find_spec("torch") and "full_size" not in request.fixturenames:
        monkeypatch.setattr("styletransfer.training.loop._PREVIEW_SIDE", 32)
        monkeypatch.setattr("styletransfer.training.report._SIDE", 32)


@pytest.fixture
def thin_vgg():
    """Make a VGG of few channels with weights that keep the signal's size, the same every time."""
    import torch

    from styletransfer.training.vgg import VGGFeatures

    def make():
        generator = torch.Generator().manual_seed(1)
        vgg = VGGFeatures(widths=(4, 4, 8, 8))
        for conv in vgg.convolutions():
            torch.nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
            torch.nn.init.normal_(conv.bias, std=0.1, generator=generator)
        return vgg

    return make


@pytest.fixture
def small_vgg(monkeypatch, thin_vgg):
    """The command's loss network, thin; every path it was asked for."""
    asked = []

    def load(path, on_progress):
        asked.append(path)
        return thin_vgg()

    monkeypatch.setattr("styletransfer.training.vgg.load_vgg", load)
    return asked


@pytest.fixture
def painting_file(tmp_path) -> Path:
    """A painting of 32×32 pixels: diagonal stripes in three colours."""
    y, x = np.mgrid[0:32, 0:32]
    palette = np.array([[200, 40, 30], [240, 210, 60], [20, 40, 120]], np.uint8)
    path = tmp_path / "stripes.png"
    Image.fromarray(palette[(x + y) // 3 % 3]).save(path)
    return path


@pytest.fixture
def photo_folder(tmp_path) -> Path:
    """Six photos, at two levels."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for index in range(6):
        photo = Image.fromarray(make_photo(72 + 8 * index, 96, seed=index))
        photo.save((folder / "more" if index % 2 else folder) / f"{index}.jpg", quality=90)
    return folder


@pytest.fixture
def quick():
    """Settings of a training that takes a second."""

    def make(**changes) -> TrainSettings:
        small = {"channels": 8, "steps": 5, "batch": 2, "image_size": 32, "style_size": 32}
        return TrainSettings(**{**small, **changes})

    return make


@pytest.fixture(scope="session")
def random_vgg_state():
    """VGG-16's tensors by torchvision's names, true in shape, random in value (30 MB), seeded."""
    import torch

    generator = torch.Generator().manual_seed(0)
    shapes = [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (256, 256)]
    shapes += [(512, 256), (512, 512), (512, 512)]
    state = {}
    for index, (outputs, inputs) in zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21), shapes, strict=True):
        scale = (2 / (9 * inputs)) ** 0.5
        state[f"features.{index}.weight"] = scale * torch.randn(outputs, inputs, 3, 3, generator=generator)
        state[f"features.{index}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    return state


@pytest.fixture(scope="session")
def random_vgg_file(random_vgg_state, tmp_path_factory) -> Path:
    """Those tensors as a .safetensors file."""
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    save_file(random_vgg_state, path)
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real photos beside the repository."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not (folder / "photos").is_dir():
        pytest.skip("no folder of real photos beside the repository")
    return folder


@pytest.fixture(scope="session")
def real_vgg() -> Path:
    """The file of the real VGG-16 weights."""
    beside = REPOSITORY.parent / "shared" / "data" / "vgg16_features_to_relu4_3.safetensors"
    path = Path(os.environ.get("STYLETRANSFER_VGG16") or beside)
    if not path.is_file():
        pytest.skip("no VGG-16 weights: set STYLETRANSFER_VGG16 to their file")
    return path
