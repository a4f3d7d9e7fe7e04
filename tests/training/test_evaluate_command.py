"""``evaluate`` and ``compare`` as a user meets them."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest
from command import is_one_error_line
from PIL import Image
from samples import make_photo

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from styletransfer.core.artefacts import LIMITS  # noqa: E402


@pytest.fixture(autouse=True)
def thin_lossnet(monkeypatch, thin_vgg):
    monkeypatch.setattr("styletransfer.training.vgg.load_vgg", lambda path, on_progress: thin_vgg())


@pytest.fixture
def evaluate(cli, tiny_model, painting_file, photo_folder):
    """``evaluate("--count", 2)``: tiny.onnx on squares of 64 pixels; later arguments win."""

    def run(*args, models=(tiny_model,), painting=painting_file, photos=photo_folder):
        small = ("--sizes", 64, "--count", 2, "--iterations", 4, "--style-size", 32, "--provider", "cpu")
        return cli("evaluate", *models, "--painting", painting, "--photos", photos, *small, *args)

    return run


@pytest.fixture
def foreign(tmp_path):
    """A style file of somebody else: float32 [1, 3, H, W], 0..255, that makes negatives."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Sub", ["white", "x"], ["y"])],
        "negative",
        [helper.make_tensor_value_info("x", kind, [1, 3, "H", "W"])],
        [helper.make_tensor_value_info("y", kind, [1, 3, "H", "W"])],
        [onnx.numpy_helper.from_array(np.float32(255), "white")],
    )
    path = tmp_path / "negative.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def rows(text):
    """The lines of a table by their first two words."""
    return {tuple(line.split()[:2]): line for line in text.splitlines() if len(line.split()) > 1}


def test_table_json_and_plot(evaluate, tiny_model, foreign, tmp_path):
    report, plot = tmp_path / "deep" / "e.json", tmp_path / "e.png"
    done = evaluate("--json", report, "--plot", plot, "--sizes", "64,80", models=(tiny_model, foreign))
    assert done.status == 0, done.err
    assert "64 × 64, 2 photos" in done.out and "80 × 80, 2 photos" in done.out
    found = rows(done.out)
    assert "100.00%" in found["untouched", "photo"]
    assert [key[0] for key in found].count("tiny") >= 1 and "negative" in done.out
    assert "from noise, after 4" in done.out and "from photo, after 4" in done.out
    assert "extrapolated from fewer" in done.out and "~" in done.out
    assert all(name in done.out for name in LIMITS)
    assert "readability" in done.out and "its limit" in done.out  # tiny's noise is no painting
    assert "8 optimisations of 4 iterations, about" in done.err
    with Image.open(plot) as image:
        assert image.width > image.height

    saved = json.loads(report.read_text())
    assert saved["format"] == 1 and saved["painting"] == "stripes.png"
    assert saved["settings"]["sizes"] == [64, 80] and saved["settings"]["checkpoints"] == [4]
    assert saved["machine"]["cores"] >= 1 and saved["machine"]["objective_on"]
    assert [(entry["size"], sorted(entry["models"])) for entry in saved["results"]] == [
        (64, ["negative", "tiny"])] * 2 + [(80, ["negative", "tiny"])] * 2  # fmt: skip
    for figures in saved["summary"]:
        assert figures["photos"] == 2 and figures["untouched"]["content"] == 0
        assert set(figures["optimisation"]) == {"noise", "photo"}
        for model in figures["models"].values():
            assert model["total"] == pytest.approx(model["content"] + model["style"] + model["tv"], rel=1e-4)
            assert model["share"] == pytest.approx(model["total"] / figures["untouched"]["total"])
            assert model["seconds"] > 0 and set(model["artefacts"]) == set(LIMITS)
            assert {"median", "text", "photos", "times_faster"} == set(model["equals"]["noise"])
        assert figures["models"]["negative"]["artefacts"]["readability"]["mean"] == pytest.approx(1, abs=1e-3)


def test_without_optimisation_only_the_share_is_stated(evaluate):
    done = evaluate("--iterations", 0)
    assert done.status == 0, done.err
    assert "share" in done.out and "times" not in done.out and "from noise" not in done.out
    assert "optimisations" not in done.err


def test_json_alone_on_stdout(evaluate):
    done = evaluate("--iterations", 0, "--json", "-")
    assert done.status == 0, done.err
    assert len(json.loads(done.out)["results"]) == 2


def test_a_list_of_iterations_and_one_start(evaluate, tmp_path):
    done = evaluate("--iterations", "1,3", "--start", "photo", "--json", tmp_path / "e.json", "--count", 1)
    assert done.status == 0, done.err
    assert "from photo, after 1" in done.out and "from photo, after 3" in done.out
    assert "from noise" not in done.out
    (entry,) = json.loads((tmp_path / "e.json").read_text())["results"]
    assert len(entry["optimisation"]["photo"]["best"]) == 4


def test_the_papers_objective(evaluate, tmp_path):
    totals = {}
    for name in ("training", "johnson"):
        path = tmp_path / f"{name}.json"
        assert evaluate("--iterations", 0, "--objective", name, "--json", path).status == 0
        totals[name] = json.loads(path.read_text())["summary"][0]["untouched"]
    assert totals["johnson"]["tv"] == totals["training"]["tv"]
    assert totals["johnson"]["style"] != totals["training"]["style"]


def test_resume_measures_only_what_is_missing(evaluate, tiny_model, foreign, tmp_path, monkeypatch):
    report = tmp_path / "e.json"
    assert evaluate("--json", report, "--count", 1).status == 0
    before = json.loads(report.read_text())["results"]
    refused = evaluate("--json", report)
    assert refused.status == 1 and "exists; go on with it with --resume" in refused.errors[0]
    assert json.loads(report.read_text())["results"] == before

    done = evaluate("--json", report, "--resume", models=(tiny_model, foreign))
    assert done.status == 0, done.err
    after = json.loads(report.read_text())["results"]
    assert len(after) == 2 and "2 optimisations" in done.err
    first = next(entry for entry in after if entry["photo"] == before[0]["photo"])
    assert first["optimisation"] == before[0]["optimisation"]
    assert first["models"]["tiny"] == before[0]["models"]["tiny"] and "negative" in first["models"]

    # A smaller run shows just what it asked for, and takes nothing away from the file.
    fewer = evaluate("--json", report, "--resume", "--count", 1)
    assert fewer.status == 0 and "64 × 64, 1 photo," in fewer.out
    assert len(json.loads(report.read_text())["results"]) == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--objective", "johnson"), "another objective"),
        (("--style-size", 48), "another style size"),
        (("--seed", 1), "another seed"),
    ],
)
def test_resume_refuses_another_yardstick(evaluate, tmp_path, args, said):
    report = tmp_path / "e.json"
    assert evaluate("--json", report, "--iterations", 0).status == 0
    text = report.read_text()
    done = evaluate("--json", report, "--iterations", 0, "--resume", *args)
    assert done.status == 1 and is_one_error_line(done.err) and said in done.errors[0]
    assert report.read_text() == text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": [1], "baseline": {}, "format": 1}', "\x00\xff"])
def test_resume_refuses_a_file_of_something_else(evaluate, tmp_path, text):
    report = tmp_path / "e.json"
    report.write_text(text)
    done = evaluate("--json", report, "--resume")
    assert done.status == 1 and is_one_error_line(done.err) and "evaluate" in done.errors[0]
    assert report.read_text() == text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda report: report.update(baseline=None),
        lambda report: report["results"][0]["models"]["tiny"].pop("total"),
        lambda report: report["results"][0]["models"]["tiny"].update(total="x"),
        lambda report: report["results"][0]["optimisation"]["photo"].pop("best"),
        lambda report: report["results"][0]["optimisation"]["photo"].update(best=[]),
        lambda report: report["results"][0].update(models=[]),
    ],
)
def test_resume_refuses_a_damaged_report(evaluate, tmp_path, spoil):
    report = tmp_path / "e.json"
    assert evaluate("--json", report, "--count", 1, "--start", "photo").status == 0
    content = json.loads(report.read_text())
    spoil(content)
    report.write_text(json.dumps(content))
    done = evaluate("--json", report, "--resume", "--count", 1, "--start", "photo")
    assert done.status == 1 and is_one_error_line(done.err) and "is no file that `evaluate` wrote" in done.errors[0]


def test_ctrl_c_keeps_what_was_finished(evaluate, tmp_path, monkeypatch):
    from styletransfer.cli import evaluate as module

    load, calls = module._load, []

    def loaded(path, provider):
        stylize = load(path, provider)

        def interrupted(frame):
            calls.append(1)
            if len(calls) == 5:  # at the second photo
                signal.raise_signal(signal.SIGINT)
            return stylize(frame)

        return interrupted

    report = tmp_path / "e.json"
    monkeypatch.setattr(module, "_load", loaded)
    done = evaluate("--json", report)
    assert done.status == 130
    assert done.errors == [
        "error: stopped before the end; the figures are of what was finished, the same command with --resume goes on"
    ]
    entries = json.loads(report.read_text())["results"]
    assert len(entries[0]["optimisation"]) == 2 and not entries[1]["optimisation"]
    assert "tiny" in done.out
    again = evaluate("--json", report, "--resume")
    assert again.status == 0, again.err
    assert json.loads(report.read_text())["results"][0] == entries[0]


def test_a_damaged_photo_is_named_and_left_out(evaluate, photo_folder):
    (photo_folder / "0.jpg").write_bytes(b"\xff\xd8 not really")
    done = evaluate("--iterations", 0, "--count", 50)
    assert done.status == 0, done.err
    assert "warning: " in done.err and "0.jpg" in done.err and "5 photos of 50" in done.err
    assert "64 × 64, 5 photos" in done.out


def test_a_model_that_fails_does_not_stop_the_others(evaluate, tiny_model, tmp_path, monkeypatch):
    from styletransfer.cli import evaluate as module
    from styletransfer.core.errors import ModelError

    other, load = shutil.copy(tiny_model, tmp_path / "other.onnx"), module._load

    def loaded(path, provider):
        def fails(frame):
            raise ModelError(f"{path}: the network fails")

        return fails if path.stem == "other" else load(path, provider)

    monkeypatch.setattr(module, "_load", loaded)
    done = evaluate("--iterations", 0, models=(tiny_model, other))
    assert done.status == 1 and len(done.errors) == 1 and "the network fails" in done.errors[0]
    assert "tiny" in done.out and "other" not in done.out
    alone = evaluate("--iterations", 0, models=(other,))
    assert alone.status == 1 and "none of the models" in alone.errors[-1]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--sizes", "32"), "--sizes: 32 is outside 64 to 4096"),
        (("--sizes", "64,big"), "--sizes is '64,big'"),
        (("--iterations", "-5"), "--iterations"),
        (("--iterations", "5,2"), "larger than the one before"),
        (("--iterations", "many"), "--iterations is 'many'"),
        (("--count", "0"), "--count: 0"),
        (("--count", "1,2,3"), "--count has 3 numbers for 1 sizes"),
        (("--start", "sky"), "--start is 'sky'"),
        (("--objective", "mine"), "--objective is 'mine'"),
        (("--plot", "curve.txt"), "curve.txt: a plot's name ends in .png, .svg or .pdf"),
        (("--resume",), "--resume goes on with a file"),
        (("--resume", "--json", "no.json"), "no.json: no such file"),
        (("--json", "."), "is a folder"),
        (("--device", "abacus"), "--device is 'abacus'"),
        (("--provider", "warp"), "warp"),
    ],
)
def test_bad_options_are_one_line(evaluate, tmp_path, monkeypatch, args, said):
    monkeypatch.chdir(tmp_path)
    done = evaluate(*args)
    assert done.status == 1 and is_one_error_line(done.err), done.err
    assert said in done.errors[0] and done.out == ""


def test_a_plot_never_replaces_an_input(evaluate, painting_file, photo_folder, tiny_model):
    photo = photo_folder / "another.png"
    photo.write_bytes(painting_file.read_bytes())
    for target in (painting_file, photo):
        before = target.read_bytes()
        done = evaluate("--plot", target)
        assert done.status == 1 and f"{target}: is an input or a result of this run" in done.errors[0]
        assert target.read_bytes() == before
    done = evaluate("--json", tiny_model, "--resume")
    assert done.status == 1 and "is an input" in done.errors[0]


def test_bad_inputs_are_one_line(evaluate, tmp_path, photo_file):
    empty, text = tmp_path / "empty", tmp_path / "text.onnx"
    empty.mkdir()
    text.write_text("no network")
    for changes, said in [
        ({"models": ("no_such_style",)}, "no_such_style: no such style"),
        ({"models": (text,)}, "text.onnx"),
        ({"painting": tmp_path / "none.jpg"}, "none.jpg: no such painting"),
        ({"painting": text}, "text.onnx"),
        ({"photos": tmp_path / "nowhere"}, "nowhere: no such folder of photos"),
        ({"photos": empty}, "empty: no picture in it"),
        ({"photos": photo_file}, "photo.jpg: no such folder"),
    ]:
        done = evaluate(**changes)
        assert done.status == 1 and is_one_error_line(done.err) and said in done.errors[0], done.err
        assert done.out == ""


def test_sizes_that_do_not_fit_are_refused_before_the_work(evaluate, monkeypatch):
    monkeypatch.setattr("styletransfer.training.gatys_plan.free_on", lambda device: 2_000_000_000)
    done = evaluate("--sizes", "64,2048")
    assert done.status == 1 and is_one_error_line(done.err)
    assert "2048 pixels need about" in done.errors[0] and "try" in done.errors[0] and done.out == ""


# ---- compare ----


@pytest.fixture
def compare(cli, tiny_model, painting_file, photo_file):
    def run(*args, photo=photo_file, painting=painting_file, model=tiny_model):
        small = ("--model", model, "--iterations", 4, "--size", 96, "--style-size", 32, "--provider", "cpu")
        return cli("compare", photo, painting, *small, *args)

    return run


def test_one_picture_of_all_four(compare, tmp_path, photo_file, painting_file):
    done = compare("-o", tmp_path / "four.png")
    assert done.status == 0, done.err
    assert "times faster" in done.out and "four.png" in done.out and "tiny" in done.out
    with Image.open(tmp_path / "four.png") as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    height, width = 72, 96  # the photo of 120×90 at 96 pixels, three times, and the painting, which is a square
    assert sheet.shape[0] > height + 50 and sheet.shape[1] > 3 * width + height
    # The photo stands there as it is, and the painting in its own colours.
    with Image.open(photo_file) as image:
        photo = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS)).astype(int)
    flat = [(sheet[y : y + height, 4 : 4 + width], y) for y in range(sheet.shape[0] - height)]
    assert min(np.abs(part - photo).mean() for part, _ in flat) < 3
    red = (np.abs(sheet - (200, 40, 30)).sum(-1) < 40).any(0)
    assert red[width + 8 : width + 16 + height].any()


def test_the_default_name_lies_beside_the_photo(compare, photo_file):
    assert compare().status == 0
    assert (photo_file.parent / "photo-tiny-compare.png").is_file()


def test_compare_runs_a_foreign_file(compare, foreign, tmp_path):
    done = compare("-o", tmp_path / "c.jpg", "--start", "noise", "--objective", "johnson", model=foreign)
    assert done.status == 0, done.err
    assert "negative" in done.out and (tmp_path / "c.jpg").is_file()


def test_ctrl_c_writes_nothing(compare, tmp_path, monkeypatch):
    from styletransfer.training import comparison

    run = comparison.minimise

    def minimise(*args, on_iteration, **more):
        def interrupting(iteration, terms, picture):
            if iteration == 2:
                signal.raise_signal(signal.SIGINT)
            return on_iteration(iteration, terms, picture)

        return run(*args, on_iteration=interrupting, **more)

    monkeypatch.setattr(comparison, "minimise", minimise)
    done = compare("-o", tmp_path / "c.png")
    assert done.status == 130 and "stopped after 2 of 4 iterations" in done.errors[0]
    assert not list(tmp_path.glob("*c.png*"))


def test_compare_says_what_is_wrong_in_one_line(compare, tmp_path, photo_file):
    narrow = tmp_path / "narrow.png"
    Image.fromarray(make_photo(20, 300)).save(narrow)
    for args, changes, said in [
        ((), {"photo": tmp_path / "none.jpg"}, "none.jpg: no such file"),
        ((), {"painting": tmp_path / "none.jpg"}, "none.jpg: no such painting"),
        ((), {"model": "no_such_style"}, "no_such_style"),
        ((), {"photo": narrow}, "narrow.png: its shorter side"),
        (("-o", photo_file), {}, "is the input itself"),
        (("-o", tmp_path), {}, "is a folder"),
        (("-o", tmp_path / "c.xyz"), {}, "cannot write a .xyz"),
        (("--start", "sky"), {}, "--start is 'sky'"),
        (("--size", 8), {}, "--size is 8; allowed: 64 to 4096"),
        (("--objective", "mine"), {}, "--objective is 'mine'"),
    ]:
        done = compare(*args, **changes)
        assert done.status == 1 and is_one_error_line(done.err) and said in done.errors[0], (said, done.err)
