import json
import shutil
import time
from pathlib import Path

import pytest
from command import is_one_error_line, run

from styletransfer.cli.bench import measure_interleaved, parse_size
from styletransfer.core.errors import SettingsError

TINY = Path(__file__).parents[1] / "data" / "tiny.onnx"


def test_table_of_models_sizes_and_providers(tmp_path):
    other = shutil.copy(TINY, tmp_path / "other.onnx")
    done = run("bench", TINY, other, "--size", "64x48", "--size", "97x33", "--provider", "cpu", "--repeats", "2")
    assert done.status == 0, done.err
    rows = [line.split() for line in done.out.splitlines()[2:]]
    rows = [row for row in rows if row[0].endswith(".onnx")]
    assert [row[1] for row in rows] == ["64x48", "64x48", "97x33", "97x33"]
    assert all(row[2] == "cpu" for row in rows)
    assert all(float(row[5]) > 0 for row in rows)
    assert "cores" in done.out
    assert "onnxruntime" in done.out


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
        ([Path(__file__)], "test_bench.py"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    done = run("bench", *arguments, "--repeats", "1")
    assert done.status == 1
    assert is_one_error_line(done.err)
    assert said in done.err
    assert "p50" not in done.out
