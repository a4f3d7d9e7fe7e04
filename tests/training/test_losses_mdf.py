"""The MDF loss against its formula, and the files of its discriminators."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from styletransfer.core.errors import InputError, SettingsError  # noqa: E402
from styletransfer.training.losses.expression import LossResources, build_loss  # noqa: E402
from styletransfer.training.losses.mdf import Discriminator, MDFLoss, read_discriminators, write_discriminators  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def formula(tensors, restored, target):
    """Mustafa et al. 2022 from the file's tensors alone."""

    def layer(x, index, name):
        at = {key: tensors[f"{index}.{name}.{key}"] for key in ("conv.weight", "conv.bias")}
        x = F.conv2d(x, at["conv.weight"], at["conv.bias"])
        mean, var, weight, bias = (
            tensors[f"{index}.{name}.norm.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return F.leaky_relu(F.batch_norm(x, mean, var, weight, bias, training=False, eps=1e-5), 0.2)

    def outputs(x, index):
        head = layer(x, index, "head")
        body = head
        for block in ("body.block1", "body.block2", "body.block3"):
            body = layer(body, index, block)
        return head, body, F.conv2d(body, tensors[f"{index}.tail.weight"], tensors[f"{index}.tail.bias"])

    total = 0.0
    for index in range(8):
        for found, wanted in zip(outputs(restored, index), outputs(target, index), strict=True):
            total += ((found - wanted) ** 2).mean().item()
    return total


@pytest.fixture
def released(monkeypatch):
    folder = Path(os.environ.get("STYLETRANSFER_MDF") or REPOSITORY.parent / "shared" / "data" / "restoration" / "mdf")
    if not (folder / "discriminators_sisr.safetensors").is_file():
        pytest.skip("no released MDF discriminators: set STYLETRANSFER_MDF to their folder")
    monkeypatch.setenv("STYLETRANSFER_MDF", str(folder))
    return folder


@pytest.fixture
def own_file(tmp_path):
    """A file of nine discriminators that nobody trained, with statistics as if somebody had."""
    torch.manual_seed(0)
    made = [Discriminator(4 if index < 4 else 8) for index in range(9)]
    for one in made:
        one(noise(1, 3, 32, 32))  # in training mode: batch norm remembers
    write_discriminators(tmp_path / "own.safetensors", made, "a test")
    return tmp_path / "own.safetensors"


@pytest.mark.weights
@pytest.mark.parametrize("task", ["sisr", "jpeg"])
def test_the_released_discriminators_give_the_formulas_value(released, task):
    target = F.interpolate(noise(2, 3, 12, 12), (40, 56), mode="bicubic")
    restored = target + 0.2 * (noise(2, 3, 40, 56, seed=1) - 0.5)
    path = released / f"discriminators_{task}.safetensors"
    expected = formula(load_file(path), restored, target)
    for text, resources in ((f"mdf_{task}", LossResources()), ("mdf", LossResources(mdf=path))):
        found = build_loss(text, resources)(restored, target)[0].item()
        assert found == pytest.approx(expected, rel=1e-4) and expected > 0.01


@pytest.mark.weights
def test_the_released_ones_rank_distortions_by_strength(released):
    target = F.interpolate(noise(1, 3, 24, 24), (48, 48), mode="bicubic").clamp(0, 1)

    def blurred(factor):
        return F.interpolate(F.avg_pool2d(target, factor), (48, 48), mode="bicubic")

    loss = build_loss("mdf_sisr")
    assert loss(blurred(4), target)[0] > loss(blurred(2), target)[0] > loss(target, target)[0] == 0


def test_own_discriminators_give_the_formulas_value_and_only_the_first_eight_count(own_file):
    restored, target = noise(2, 3, 24, 30), noise(2, 3, 24, 30, seed=1)
    tensors = load_file(own_file)
    assert any(key.startswith("8.") for key in tensors)
    loss = build_loss("mdf", LossResources(mdf=own_file)).train()  # which batch norm must not notice
    assert loss(restored, target)[0].item() == pytest.approx(formula(tensors, restored, target), rel=1e-4)
    again = {key: value.clone() for key, value in loss.networks["mdf"].state_dict().items()}
    assert all(torch.equal(again[f"discriminators.{key}"], tensors[key]) for key in tensors if not key.startswith("8."))


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (25, 19)])
def test_the_outputs_shrink_by_their_convolutions(size):
    height, width = size
    head, body, tail = Discriminator(4).features(noise(2, 3, *size))
    assert head.shape == (2, 4, height - 2, width - 2) and body.shape == (2, 4, height - 8, width - 8)
    assert tail.shape == (2, 1, height - 10, width - 10)


def test_too_small_a_picture_is_refused():
    with pytest.raises(SettingsError, match="mdf needs pictures of at least 11x11"):
        MDFLoss([Discriminator(4)])(noise(1, 3, 10, 20), noise(1, 3, 10, 20))


def test_the_gradient_is_the_formulas():
    torch.manual_seed(0)
    loss, target = MDFLoss([Discriminator(2)]).double(), noise(1, 3, 12, 12).double()
    assert torch.autograd.gradcheck(lambda x: loss(x, target), noise(1, 3, 12, 12, seed=1).double().requires_grad_())


def damage(kind, path):
    tensors = load_file(path)
    if kind == "missing":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "text":
        path.write_text("no weights")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "another model":
        save_file({"features.0.weight": torch.zeros(3)}, path)
    elif kind == "a layer lacks":
        save_file({key: value for key, value in tensors.items() if key != "3.tail.weight"}, path)
    elif kind == "the first lacks":
        save_file({key: value for key, value in tensors.items() if not key.startswith("0.")}, path)
    elif kind == "another shape":
        save_file({**tensors, "0.body.block1.conv.weight": torch.zeros(4, 4, 5, 5)}, path)
    elif kind == "no number":
        save_file({**tensors, "1.tail.bias": torch.tensor([float("nan")])}, path)


KINDS = [
    "missing",
    "cut",
    "text",
    "empty",
    "another model",
    "a layer lacks",
    "the first lacks",
    "another shape",
    "no number",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_holds_no_discriminators_is_named(own_file, kind):
    damage(kind, own_file)
    with pytest.raises(InputError, match=r"own\.safetensors: ") as caught:
        read_discriminators(own_file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["", "nowhere", "."])
def test_without_the_released_files_the_message_says_where_they_belong(monkeypatch, tmp_path, folder):
    monkeypatch.setenv("STYLETRANSFER_MDF", str(tmp_path / folder) if folder else "")
    with pytest.raises(
        InputError,
        match=r"STYLETRANSFER_MDF\b.*\bdiscriminators_jpeg\.safetensors|discriminators_jpeg\.safetensors.*STYLETRANSFER_MDF",
    ):
        build_loss("mdf_jpeg")


def test_without_a_file_mdf_says_which_option_gives_one():
    with pytest.raises(SettingsError, match="--mdf FILE"):
        build_loss("l1 + mdf")
