from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402, N812

from styletransfer.training.blocks import InstanceNorm  # noqa: E402
from styletransfer.training.folding import fold_norms  # noqa: E402
from styletransfer.training.network import PLAIN_BLOCKS, LiveNet, normalise_contrast  # noqa: E402

BORDER = 48  # pixels that zero padding reaches


def live_network():
    torch.manual_seed(0)
    live = LiveNet(8)
    with torch.no_grad():
        for module in live.modules():
            if isinstance(module, InstanceNorm):
                module.weight.uniform_(-1.5, 1.5)  # a scale may be negative
                module.bias.uniform_(-0.5, 0.5)
        # A swing where the tanh is all but straight, and as many live channels at the end as a plain network has.
        live.last.weight[:, 2:] = 0
    return live


def photo(seed, batch=1):
    coarse = torch.rand(batch, 3, 20, 20, generator=torch.Generator().manual_seed(seed)) * 255
    return F.interpolate(coarse, scale_factor=8, mode="bilinear")


def inside(picture):
    return picture[:, :, BORDER:-BORDER, BORDER:-BORDER]


def test_on_the_photo_that_gave_the_statistics_the_folded_network_is_the_live_one():
    live, x = live_network(), photo(1)
    for index in {*range(len(live.body))} - {*PLAIN_BLOCKS}:  # what is left out does nothing here
        torch.nn.init.zeros_(live.body[index].second_norm.weight)
        torch.nn.init.zeros_(live.body[index].second_norm.bias)
    with torch.no_grad():
        wanted = live((normalise_contrast(x) + 1) * 127.5)
        result = fold_norms(live, [x])(x)
    assert inside(wanted).std() > 1
    # Each padding of its own kind changes the statistics a little.
    assert (inside(result) - inside(wanted)).abs().mean() < 0.1 * inside(wanted).std()


def test_the_statistics_are_the_mean_over_all_photos():
    live, batches = live_network(), [photo(1, 2), photo(2, 1)]
    together = fold_norms(live, [torch.cat(batches)]).state_dict()
    for name, value in fold_norms(live, batches).state_dict().items():
        torch.testing.assert_close(value, together[name], atol=1e-4, rtol=1e-4)


def test_the_live_network_is_left_as_it_was():
    live = live_network()
    before = {name: value.clone() for name, value in live.state_dict().items()}
    fold_norms(live, [photo(1)])
    assert all(torch.equal(value, before[name]) for name, value in live.state_dict().items())
    assert not any(module._forward_pre_hooks for module in live.modules())


def test_contrast_and_brightness_of_the_photo_do_not_matter_to_a_plain_network():
    x = photo(3)
    faint = x * 0.6 + 30
    torch.testing.assert_close(normalise_contrast(faint), normalise_contrast(x), atol=0.15, rtol=0)
    spread = normalise_contrast(x)
    assert spread.mean().abs() < 0.05 and 0.8 < spread.std() < 1.1
    assert normalise_contrast(torch.full((1, 3, 32, 32), 7.0)).abs().max() < 1e-3  # and an even one is no noise
