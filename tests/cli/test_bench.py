import json
import shutil
import sys
import time
from pathlib import Path

import pytest
from command import is_one_error_line, run
from PIL import Image

from styletransfer.cli.bench import parse_size
from styletransfer.cli.measure import measure_interleaved
from styletransfer.core.errors import SettingsError

TINY = Path(__file__).parents[1] / "data" / "tiny.onnx"


def test_table_of_models_sizes_and_providers(tmp_path):
    other = shutil.copy(TINY, tmp_path / "other.onnx")
    done = run("bench", TINY, other, "--size", "64x48", "--size", "97x33", "--provider", "cpu", "--repeats", "2")
    assert done.status == 0, done.err
    table, _, notes = done.out.partition("peak: ")
    rows = [line.split() for line in table.splitlines()[2:]]
    assert [row[1] for row in rows] == ["64x48", "64x48", "97x33", "97x33"]
    assert all(row[2] == "cpu" for row in rows)
    assert all(float(row[5]) > 0 for row in rows)
    assert "cores" in done.out
    assert "onnxruntime" in done.out
    assert "GMAC/s" in notes and notes.count("call / session.run") == 4


def test_json_alone_on_stdout():
    done = run("bench", TINY, "--size", "64x64", "--repeats", "3", "--json", "-")
    report = json.loads(done.out)
    (row,) = report["results"]
    assert (row["width"], row["height"], row["frames"]) == (64, 64, 3)
    assert 0 < row["p50_ms"] <= row["p95_ms"]
    assert row["fps"] > 0
    assert report["machine"]["cores"] >= 1
    assert "onnxruntime" in report["machine"]["onnxruntime"]


def test_json_file_beside_the_table(tmp_path):
    done = run("bench", TINY, "--size", "64x64", "--repeats", "1", "--json", tmp_path / "new" / "b.json")
    assert "p50 ms" in done.out
    assert json.loads((tmp_path / "new" / "b.json").read_text())["results"][0]["model"] == str(TINY)


def test_against_another_file(tmp_path):
    other = shutil.copy(TINY, tmp_path / "other.onnx")
    done = run("bench", TINY, "--against", other, "--size", "64x64", "--repeats", "3", "--json", "-")
    first, second = json.loads(done.out)["results"]
    assert first["times_faster_than"][str(other)] == pytest.approx(second["p50_ms"] / first["p50_ms"], abs=0.01)
    assert second["times_faster_than"] == {}


def test_models_as_options_stages_and_shares():
    done = run("bench", "--model", TINY, "--size", "61x47", "--repeats", "2", "--provider", "cpu", "--json", "-")
    report = json.loads(done.out)
    (row,) = report["results"]
    assert row["model"] == str(TINY) and row["precision"] == "float32" and row["engine"].startswith("cpu")
    stages = row["stages_ms"]
    assert set(stages) == {"pad", "run", "crop", "blend", "call", "session.run"}
    assert all(stages.values()) and stages["run"] < stages["call"] * 2
    assert row["call_over_run"] == pytest.approx(stages["call"] / stages["session.run"], abs=0.01)
    assert row["gmac"] == pytest.approx(48 * 64 * (9 + 54 + 36 + 36 + 216) / 1e9, abs=1e-3)
    peak = report["matrix_product_gmac_per_s"]
    assert row["share_of_matrix_product"] == pytest.approx(row["gmac_per_s"] / peak, abs=0.01)


def test_one_thread_is_not_compared_with_all_cores(monkeypatch):
    monkeypatch.setattr("styletransfer.core.cores.cores", lambda: 4)
    done = run("bench", TINY, "--size", "64x64", "--repeats", "1", "--threads", "1", "--no-stages", "--json", "-")
    (row,) = json.loads(done.out)["results"]
    assert "share_of_matrix_product" not in row and "stages_ms" not in row and "gmac" in row


def test_tuning_threads_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLETRANSFER_CACHE", str(tmp_path))
    monkeypatch.setattr("styletransfer.core.cores.cores", lambda: 2)
    monkeypatch.setattr("styletransfer.runtime.tuning.least_seconds", lambda runs, rounds: {"2": 0.02, "1": 0.01})
    done = run("bench", TINY, "--size", "64x64", "--repeats", "1", "--tune", "--provider", "cpu")
    assert "threads: 2: 20.0 ms, 1: 10.0 ms (remembered)" in done.out
    assert "1 threads" in done.out


def test_a_plot(tmp_path):
    pytest.importorskip("matplotlib")
    done = run("bench", TINY, "--size", "64x64", "--repeats", "1", "--plot", tmp_path / "new" / "bars.png")
    assert done.status == 0, done.err
    with Image.open(tmp_path / "new" / "bars.png") as picture:
        assert picture.width > 500


def test_a_plot_without_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("bench", TINY, "--size", "64x64", "--repeats", "1", "--plot", tmp_path / "bars.png")
    assert done.status == 1 and "pip install 'styletransfer[train]'" in done.err
    assert "p50" not in done.out


class Pretended:
    """Stands in for a style: notes when it was called, and takes its time."""

    def __init__(self, name, seconds, order):
        self.name, self.seconds, self.order = name, seconds, order

    def warm_up(self, height, width):
        pass

    def __call__(self, frame):
        self.order.append(self.name)
        time.sleep(self.seconds)


def test_models_take_turns():
    order = []
    contenders = [Pretended("a", 0, order), Pretended("b", 0, order)]
    times = measure_interleaved(contenders, (16, 16), seconds=0, repeats=4)
    assert "".join(order) == "ab" + "abbaabba"  # each once to warm up, then in turn
    assert [len(t) for t in times] == [4, 4]


def test_seconds_bound_the_measurement():
    contenders = [Pretended("a", 0.01, []), Pretended("b", 0.01, [])]
    start = time.perf_counter()
    times = measure_interleaved(contenders, (16, 16), seconds=0.15, repeats=None)
    assert time.perf_counter() - start < 1.5
    assert 5 <= len(times[0]) == len(times[1]) <= 16
    assert all(0.01 <= t < 0.5 for t in times[0])


def test_parse_size():
    assert parse_size("640x480") == (640, 480)
    assert parse_size(" 1280 X 720 ") == (1280, 720)


@pytest.mark.parametrize("text", ["", "640", "640x", "axb", "-1x5", "15x100", "100x9000", "640x480x3"])
def test_no_size(text):
    with pytest.raises(SettingsError, match="--size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing_of_this_name"], "nothing_of_this_name"),
        ([TINY, "--provider", "coreml"], "coreml"),
        ([TINY, "--provider", "warp"], "warp"),
        ([TINY, "--size", "huge"], "640x480"),
        ([TINY, "--plot", "bars.txt"], ".png, .svg or .pdf"),
        ([TINY, "--json", "."], "is a folder"),
        ([TINY, "--json", TINY], "is an input or a result"),
        ([TINY, "--seconds", "inf"], "--seconds is inf"),
        ([Path(__file__)], "test_bench.py"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    done = run("bench", *arguments, "--repeats", "1")
    assert done.status == 1
    assert is_one_error_line(done.err)
    assert said in done.err
    assert "p50" not in done.out
