from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from styletransfer.core.errors import InputError  # noqa: E402
from styletransfer.training.vgg import ENVIRONMENT, LAYERS, MEAN_RGB, load_vgg  # noqa: E402


@pytest.fixture(autouse=True)
def no_weights_of_the_machine(monkeypatch, tmp_path):
    """Neither the environment's weights nor a download's: a test that reaches for them fails at once."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setenv("STYLETRANSFER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("styletransfer.training.vgg.download", lambda *_, **__: pytest.fail("a download"))


def assert_holds(vgg, state):
    prefix = "features." if "features.0.weight" in state else ""
    for index, conv in zip((0, 2, 5, 7, 10, 12, 14, 17, 19, 21), vgg.convolutions(), strict=True):
        assert torch.equal(conv.weight, state[f"{prefix}{index}.weight"])
        assert torch.equal(conv.bias, state[f"{prefix}{index}.bias"])


# ---- reading weights ----


def test_safetensors_with_torchvisions_names(random_vgg_file, random_vgg_state):
    assert_holds(load_vgg(random_vgg_file), random_vgg_state)


def test_pth_with_bare_numbers_and_deeper_layers(tmp_path, random_vgg_state):
    state = {key.removeprefix("features."): value for key, value in random_vgg_state.items()}
    deeper = {"24.weight": torch.zeros(8, 8, 3, 3), "24.bias": torch.zeros(8), "classifier.0.weight": torch.zeros(2)}
    torch.save({**deeper, **state}, tmp_path / "vgg.pth")
    assert_holds(load_vgg(tmp_path / "vgg.pth"), state)


def test_the_environment_names_the_file(random_vgg_file, random_vgg_state, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, str(random_vgg_file))
    assert_holds(load_vgg(), random_vgg_state)


def test_without_a_file_the_caffe_weights_are_downloaded_and_kept(random_vgg_state, monkeypatch):
    asked = []

    def download(url, target, *, sha256_prefix, on_progress):
        asked.append((url, sha256_prefix))
        target.parent.mkdir(parents=True)
        torch.save(random_vgg_state, target)

    monkeypatch.setattr("styletransfer.training.vgg.download", download)
    assert_holds(load_vgg(), random_vgg_state)
    assert_holds(load_vgg(), random_vgg_state)
    assert len(asked) == 1 and asked[0][0].endswith(f"{asked[0][1]}.pth")  # torchvision puts the hash into the name


def broken(folder, kind, state):
    path = folder / ("vgg.safetensors" if kind == "not safetensors" else "vgg.pth")
    if kind in ("text", "not safetensors"):
        path.write_text("no weights")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        torch.save(state, path)
    return path


@pytest.mark.parametrize(
    "kind", ["missing", "folder", "empty", "text", "not safetensors", "tensor", "numbers", "names"]
)
def test_a_file_that_holds_no_weights(tmp_path, kind):
    state = {"tensor": torch.zeros(3), "numbers": {0: torch.zeros(3)}, "names": {"a.weight": torch.zeros(3)}}.get(kind)
    path = broken(tmp_path, kind, state)
    with pytest.raises(InputError, match=r"vgg\.(pth|safetensors): ") as caught:
        load_vgg(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["a layer is missing", "a bias is missing", "another width", "VGG-19"])
def test_another_networks_weights(tmp_path, random_vgg_state, change):
    state = dict(random_vgg_state)
    if change == "a layer is missing":
        del state["features.21.weight"], state["features.21.bias"]
    elif change == "a bias is missing":
        del state["features.10.bias"]
    elif change == "another width":
        state["features.2.weight"] = torch.zeros(32, 64, 3, 3)
    else:  # a fourth convolution in the third stage
        state["features.16.weight"], state["features.16.bias"] = torch.zeros(256, 256, 3, 3), torch.zeros(256)
    torch.save(state, tmp_path / "vgg.pth")
    with pytest.raises(InputError, match="not VGG-16's weights"):
        load_vgg(tmp_path / "vgg.pth")


# ---- what it computes ----


def test_features_have_the_papers_scales(thin_vgg):
    features = thin_vgg()(torch.rand(2, 3, 48, 64) * 255)
    shapes = {name: tuple(value.shape) for name, value in features.items()}
    assert shapes == dict(zip(LAYERS, [(2, 4, 48, 64), (2, 4, 24, 32), (2, 8, 12, 16), (2, 8, 6, 8)], strict=True))
    assert all(value.min() == 0 and value.max() > 0 for value in features.values())  # after ReLU


def test_features_end_at_the_layer_asked_for(thin_vgg):
    vgg, photo = thin_vgg(), torch.rand(1, 3, 32, 32) * 255
    short, long = vgg(photo, last="relu2_2"), vgg(photo)
    assert list(short) == ["relu1_2", "relu2_2"]
    assert torch.equal(short["relu2_2"], long["relu2_2"])
    with pytest.raises(ValueError, match="relu9_9"):
        vgg(photo, last="relu9_9")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_imagenets_mean_colour_is_its_zero(thin_vgg, dtype):
    vgg = thin_vgg()
    for conv in vgg.convolutions():
        torch.nn.init.zeros_(conv.bias)
    vgg.stages.to(dtype)
    mean = torch.tensor(MEAN_RGB).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    for value in vgg(mean).values():
        assert value.dtype == dtype and value.abs().max() == 0


def test_training_leaves_it_alone(thin_vgg):
    assert not any(parameter.requires_grad for parameter in thin_vgg().parameters())


@pytest.mark.weights
def test_the_real_weights_are_caffes(real_vgg):
    first = load_vgg(real_vgg).convolutions()[0]
    red_green_blue = first.weight[0, :, 0, 0].tolist()
    assert red_green_blue == pytest.approx([0.48001, 0.55038, 0.42947], abs=1e-5)
