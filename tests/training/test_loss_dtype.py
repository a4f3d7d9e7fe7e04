from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from styletransfer.training import hardware  # noqa: E402  (needs torch)

CPU = torch.device("cpu")


@pytest.fixture
def processor(monkeypatch):
    """A processor with these instructions, on which a bfloat16 convolution takes so much of float32's time."""

    def make(amx, bf16, share):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
        monkeypatch.setattr(hardware, "_seconds", lambda dtype: share if dtype == torch.bfloat16 else 1.0)

    return make


@pytest.mark.parametrize(
    ("amx", "bf16", "share", "dtype"),
    [
        (True, True, 1.7, torch.bfloat16),  # AMX needs no measuring
        (False, True, 0.5, torch.bfloat16),  # AMD
        (False, True, 1.7, torch.float32),  # Intel without AMX
        (False, True, 0.95, torch.float32),  # nothing that noise could not turn round
        (False, False, 0.5, torch.float32),  # emulated: slow elsewhere
    ],
)
def test_losses_are_computed_in_what_the_processor_is_fast_at(processor, amx, bf16, share, dtype):
    processor(amx, bf16, share)
    assert hardware.loss_dtype(CPU) is dtype


def test_the_measurement_is_one_of_this_processor():
    hardware._seconds.cache_clear()
    seconds = hardware._seconds(torch.float32)
    assert 1e-4 < seconds < 10, "4.8 billion operations"
    assert hardware._seconds(torch.float32) == seconds, "the whole process keeps to one answer"
