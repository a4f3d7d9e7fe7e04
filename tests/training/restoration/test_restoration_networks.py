from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from styletransfer.core.errors import ModelError, SettingsError  # noqa: E402
from styletransfer.core.likeness import psnr_db  # noqa: E402
from styletransfer.training.restoration.compact import BranchConv, place_pixels, repeat_kernel  # noqa: E402
from styletransfer.training.restoration.graph import build_graph, read_weights  # noqa: E402
from styletransfer.training.restoration.networks import build_restorer  # noqa: E402

SMALL = [
    ("compact", 1, {"channels": 8, "layers": 2, "stem": 2}),
    ("compact", 2, {"channels": 8, "layers": 2}),
    ("compact", 4, {"channels": 8, "layers": 1, "stem": 2}),
    ("johnson", 4, {"channels": 8, "layers": 1}),
    ("johnson", 8, {"channels": 8, "layers": 1}),
    ("srresnet", 4, {"channels": 8, "layers": 2}),
    ("edsr", 2, {"channels": 8, "layers": 2}),
    ("edsr", 2, {"channels": 128, "layers": 1}),  # wide: its residuals are scaled
    ("dncnn", 1, {"channels": 8, "layers": 4}),
]


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def make(name, scale, size):
    """A network in evaluation whose weights and statistics are all random: nothing is 0 or 1 by luck."""
    torch.manual_seed(3)
    network = build_restorer(name, scale, **size)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
            elif isinstance(module, torch.nn.PReLU):
                module.weight.uniform_(0.1, 0.4)
            elif isinstance(module, torch.nn.Conv2d) and module.bias is not None:
                module.bias.normal_(0, 0.1)
    return network.eval()


def frames(batch=2, height=14, width=22):
    return np.random.default_rng(5).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)


def by_torch(network, frames_nhwc):
    with torch.no_grad():
        result = network(torch.from_numpy(frames_nhwc).permute(0, 3, 1, 2).float() / 255)
    return (result.clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy().astype(np.uint8)


def by_onnx(model, frames_nhwc):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"frame": frames_nhwc})[0]


# ---- as published ----


@pytest.mark.parametrize(
    ("name", "scale", "published", "ours"),
    [
        ("srresnet", 4, 1.54e6, 1_547_350),  # without the biases that its batch norms take away
        ("edsr", 2, 1.37e6, 1_369_859),
        ("edsr", 4, 1.52e6, 1_517_571),
        ("edsr-full", 4, 43.1e6, 43_089_923),
        ("dncnn", 1, 0.558e6, 558_400),  # 0.556 M of one channel
    ],
)
def test_published_networks_have_the_published_number_of_parameters(name, scale, published, ours):
    with torch.device("meta"):
        count = parameters(build_restorer(name, scale))
    assert count == ours and abs(count / published - 1) < 0.01


def test_johnsons_networks_have_a_step_up_for_each_factor_of_two():
    # 9×9×3×64, 8 residual convolutions, 2 or 3 steps up, all without biases but with norms, and 9×9×64×3 with biases
    for scale, steps in ((4, 2), (8, 3)):
        convolutions = 9 * 9 * 3 * 64 * 2 + 3 + (8 + steps) * 9 * 64 * 64
        assert parameters(build_restorer("johnson", scale)) == convolutions + (1 + 8 + steps) * 2 * 64


@pytest.mark.parametrize(
    ("name", "scale", "message"),
    [("edsr", 1, "allowed: 2, 4, 8"), ("dncnn", 2, "allowed: 1"), ("compact", 8, "allowed: 1, 2, 4"), ("x", 2, "edsr")],
)
def test_a_network_that_does_not_exist(name, scale, message):
    with pytest.raises(SettingsError, match=message):
        build_restorer(name, scale)


# ---- file and network are the same function ----


@pytest.mark.parametrize(("name", "scale", "size"), SMALL)
@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_the_graph_computes_what_the_network_computes(name, scale, size, half):
    network = make(name, scale, size)
    given = frames()
    expected = by_torch(network, given)
    assert expected.shape == (2, 14 * scale, 22 * scale, 3) and expected.std() > 5
    result = by_onnx(build_graph(network, half), given)
    assert result.dtype == np.uint8 and result.shape == expected.shape
    assert psnr_db(result, expected) > (45 if half else 60)


@pytest.mark.parametrize(("name", "scale", "size"), SMALL)
def test_weights_come_back_out_of_the_graph(name, scale, size):
    network = make(name, scale, size)
    torch.manual_seed(9)
    other = build_restorer(name, scale, **size).eval()
    assert psnr_db(by_torch(other, frames()), by_torch(network, frames())) < 50
    read_weights(build_graph(network), other)
    assert psnr_db(by_torch(other, frames()), by_torch(network, frames())) > 70


def test_weights_of_another_size_are_refused():
    model = build_graph(make("compact", 2, {"channels": 8, "layers": 2}))
    with pytest.raises(ModelError, match="has shape"):
        read_weights(model, build_restorer("compact", 2, 4, 2))
    with pytest.raises(ModelError, match=r"no weights named 'body\.2"):
        read_weights(model, build_restorer("compact", 2, 8, 3))


def test_a_graph_takes_any_size():
    network = make("compact", 2, {"channels": 8, "layers": 1})
    model = build_graph(network)
    for batch, height, width in ((1, 1, 1), (3, 5, 2)):
        given = frames(batch, height, width)
        assert np.array_equal(by_onnx(model, given), by_torch(network, given))


# ---- compact ----


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 6), (3, 6)])
def test_three_branches_become_one_convolution(inputs, outputs):
    torch.manual_seed(0)
    layer = BranchConv(inputs, outputs)
    x = torch.randn(2, inputs, 7, 9)
    branches = layer.square(x) + layer.point(x) + (x if inputs == outputs else 0)
    one = torch.nn.functional.conv2d(x, layer.kernel(), layer.square.bias, padding=1)
    assert torch.allclose(branches, one, atol=1e-5) and torch.allclose(layer(x), one, atol=1e-5)
    copy = BranchConv(inputs, outputs)
    copy.load_kernel(layer.kernel(), layer.square.bias)
    assert torch.allclose(copy(x), one, atol=1e-5)


def test_every_branch_learns():
    layer = BranchConv(4, 4)
    layer(torch.randn(1, 4, 5, 5)).square().sum().backward()
    assert layer.square.weight.grad.abs().sum() > 0 and layer.point.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(("scale", "stem"), [(1, 1), (2, 1), (4, 1), (1, 2), (2, 2), (4, 2)])
def test_without_its_convolutions_compact_repeats_the_pixels(scale, stem):
    network = build_restorer("compact", scale, 4, 1, stem)
    with torch.no_grad():
        network.last.load_kernel(torch.zeros_like(network.last.kernel()), torch.zeros(3 * network.block**2))
    photo = torch.rand(2, 3, 6, 8)
    wanted = photo.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    with torch.no_grad():
        assert torch.equal(network(photo), wanted)
        small = torch.nn.functional.conv2d(photo, repeat_kernel(scale, stem), stride=stem)
        assert torch.equal(place_pixels(small, scale * stem), wanted)


def test_a_compact_file_holds_single_convolutions_and_no_transposition_of_six_dimensions():
    model = build_graph(make("compact", 2, {"channels": 8, "layers": 3, "stem": 2}))
    kinds = [node.op_type for node in model.graph.node]
    # the first, three, the last, and the one that repeats the photo
    assert kinds.count("Conv") == 6 and kinds.count("Relu") == 4 and "Pad" not in kinds
    perms = [
        list(attribute.ints) for node in model.graph.node for attribute in node.attribute if node.op_type == "Transpose"
    ]
    assert perms and max(map(len, perms)) == 4
