from __future__ import annotations

import dataclasses
import json
import math

import pytest

torch = pytest.importorskip("torch")

from styletransfer.core.card import Painting  # noqa: E402
from styletransfer.core.errors import CheckpointError, DivergedError, OutputError  # noqa: E402
from styletransfer.training import checkpoint  # noqa: E402
from styletransfer.training.checkpoint import (  # noqa: E402
    Progress,
    build_network,
    find_checkpoint,
    load_checkpoint,
    load_optimiser,
    save_checkpoint,
)


@pytest.fixture
def trained(quick):
    """A network, its optimiser after one step, and where the training stands."""
    settings = quick(channels=12)
    network = build_network(settings)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    network(torch.rand(1, 3, 16, 16) * 255).mean().backward()
    optimiser.step()
    painting = Painting("Die Brücke", "E. Munch", "1901", "public domain", "ab" * 32)
    losses = {"content": 1.5, "style": 2.5}
    progress = Progress(
        settings, painting, step=3, seconds=12.5, init="the_scream", photos=77, device="a CPU", losses=losses
    )
    return network, optimiser, progress


BAD_STANDING = [
    ("step", "x"), ("step", -5), ("step", 2.5), ("seconds", "x"), ("seconds", -1), ("photos", None), ("init", 3),
    ("losses", {"style": "q"}), ("losses", [1]), ("painting", 7),
]  # fmt: skip


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_checkpoint_brings_everything_back(tmp_path, trained):
    network, optimiser, progress = trained
    path = save_checkpoint(tmp_path / "work", network, optimiser, progress)
    loaded, where = load_checkpoint(path)
    assert where == progress
    wanted = network.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())
    other = torch.optim.Adam(loaded.parameters(), lr=5.0)
    load_optimiser(path, other)
    before, after = optimiser.state_dict(), other.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for index, state in before["state"].items():
        assert all(torch.equal(value, after["state"][index][key]) for key, value in state.items())


def test_the_latest_checkpoint_is_kept_and_found(tmp_path, trained):
    network, optimiser, progress = trained
    for step in (3, 20, 1_000_000):
        save_checkpoint(tmp_path, network, optimiser, dataclasses.replace(progress, step=step))
        assert names(tmp_path) == [f"checkpoint-{step:06d}"]
    found = find_checkpoint(tmp_path)
    assert found.name == "checkpoint-1000000" and find_checkpoint(found) == found


def test_a_new_training_in_an_old_folder_replaces_the_old_ones_checkpoint(tmp_path, trained):
    network, optimiser, progress = trained
    save_checkpoint(tmp_path, network, optimiser, dataclasses.replace(progress, step=900))
    save_checkpoint(tmp_path, network, optimiser, progress)
    assert load_checkpoint(find_checkpoint(tmp_path))[1].step == 3


def test_saving_the_same_step_twice_keeps_the_second(tmp_path, trained):
    network, optimiser, progress = trained
    save_checkpoint(tmp_path, network, optimiser, progress)
    save_checkpoint(tmp_path, network, optimiser, dataclasses.replace(progress, seconds=99.0))
    assert load_checkpoint(find_checkpoint(tmp_path))[1].seconds == 99.0


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_where_there_is_no_checkpoint(tmp_path, kind):
    path = tmp_path / "work"
    if kind == "empty":
        (path / "checkpoint-000005").mkdir(parents=True)  # without a word in it
    elif kind == "file":
        path.write_text("a file")
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        find_checkpoint(path)


@pytest.mark.parametrize("file", ["network.safetensors", "settings.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "other"])
def test_a_damaged_checkpoint(tmp_path, trained, file, damage):
    path = save_checkpoint(tmp_path, *trained)
    data = (path / file).read_bytes()
    (path / file).write_bytes({"cut": data[: len(data) // 2], "other": b"[1, 2]"}.get(damage, b""))
    if damage == "missing":
        (path / file).unlink()
    with pytest.raises(CheckpointError, match="checkpoint-000003: damaged") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "another network's"])
def test_a_damaged_optimiser(tmp_path, trained, quick, damage):
    path = save_checkpoint(tmp_path, *trained)
    file = path / "optimiser.pt"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    if damage == "missing":
        file.unlink()
    elif damage == "another network's":
        torch.save(torch.optim.Adam([torch.zeros(2, requires_grad=True)]).state_dict(), file)
    with pytest.raises(CheckpointError, match=r"optimiser's state is damaged.*without --resume"):
        load_optimiser(path, trained[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "another version"),
        ({"settings": {"steps": -4}}, "settings are damaged.*steps is -4"),
        ({"settings": {"colour": "red"}}, "damaged"),
        *[({key: value}, "damaged") for key, value in BAD_STANDING],
    ],
)
def test_a_checkpoint_with_other_words_in_it(tmp_path, trained, change, message):
    path = save_checkpoint(tmp_path, *trained)
    record = json.loads((path / "settings.json").read_text())
    (path / "settings.json").write_text(json.dumps({**record, **change}))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_an_optimiser_file_cannot_run_code(tmp_path, trained):
    path = save_checkpoint(tmp_path, *trained)
    torch.save({"state": print}, path / "optimiser.pt")
    with pytest.raises(CheckpointError, match="damaged"):
        load_optimiser(path, trained[1])


def full_disk(how):
    from safetensors import SafetensorError

    def fail(*_, **__):
        raise {
            "system": OSError(28, "No space left on device"),
            "torch": RuntimeError("PytorchStreamWriter failed writing file"),
            "safetensors": SafetensorError("I/O error: No space left on device (os error 28)"),
        }[how]

    return fail


@pytest.mark.parametrize(
    ("function", "how"), [("save_file", "safetensors"), ("save_file", "system"), ("save", "torch")]
)
def test_a_failing_save_keeps_the_checkpoint_before_it(tmp_path, trained, monkeypatch, function, how):
    network, optimiser, progress = trained
    save_checkpoint(tmp_path, network, optimiser, progress)
    monkeypatch.setattr(checkpoint if function == "save_file" else torch, function, full_disk(how))
    with pytest.raises(OutputError, match="checkpoint-000004") as caught:
        save_checkpoint(tmp_path, network, optimiser, dataclasses.replace(progress, step=4))
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["checkpoint-000003"]
    assert load_checkpoint(find_checkpoint(tmp_path))[1] == progress


def test_weights_that_are_no_numbers_do_not_replace_good_ones(tmp_path, trained):
    network, optimiser, progress = trained
    save_checkpoint(tmp_path, network, optimiser, progress)
    with torch.no_grad():
        next(network.parameters())[0] = math.nan
    with pytest.raises(DivergedError, match="after 4 steps"):
        save_checkpoint(tmp_path, network, optimiser, dataclasses.replace(progress, step=4))
    assert names(tmp_path) == ["checkpoint-000003"]
