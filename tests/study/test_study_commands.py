import http.client
import json
import os
import signal
import subprocess
import sys

import pytest
from command import one_error
from observers import simulated
from PIL import Image

HEADER = "observer,session,scene,condition_A,condition_B,is_A_selected\n"
SCORES = {"bicubic": 0.0, "pixel loss": 0.8, "feature loss": 1.6}


class Server:
    """``styletransfer study`` in a process of its own."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "styletransfer", "study", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.begin = self.process.stdout.readline(), self.process.stdout.readline()
        self.place = self.begin[1].split("/")[2] if self.begin[1] else None

    def ask(self, path, **body):
        connection = http.client.HTTPConnection(self.place, timeout=10)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())

    def end(self, number):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_kill_loses_no_vote_and_ctrl_c_ends_with_a_summary(folder, votes_file):
    server = Server(folder, "-o", votes_file)
    assert server.begin[0].strip() == f"2 scenes, 6 pairs; votes go to {votes_file}"
    assert server.place.startswith("127.0.0.1:")
    state = server.ask("/start", observer="anna")
    for _ in range(2):
        known = {"observer": "anna", "session": state["session"], "trial": state["trial"]["id"], "selected": "left"}
        state |= server.ask("/vote", **known)
    assert server.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert len(votes_file.read_text().splitlines()) == 3
    server = Server(folder, "-o", votes_file)
    assert server.ask("/start", observer="anna")["done"] == 2
    status, out, err = server.end(signal.SIGINT)
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == f"0 new answers; {votes_file} now has 2 votes of 1 observer"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_study_that_is_open_to_the_network_is_warned_of(folder, votes_file):
    server = Server(folder, "-o", votes_file, "--host", "0.0.0.0")
    status, _, err = server.end(signal.SIGINT)
    assert status == 0
    assert err.splitlines() == [
        "warning: served on 0.0.0.0: everybody who reaches this machine can vote; there is no password"
    ]


def test_what_cannot_be_begun_is_one_line(cli, folder, votes_file, tmp_path):
    assert one_error(cli("study", tmp_path / "none"), "no such folder", "SCENE/reference.png")
    assert one_error(cli("study", folder, "-o", tmp_path), "is a folder; name a .csv file")
    assert one_error(cli("study", folder, "-o", tmp_path / "votes.txt"), "votes are written as .csv")
    assert one_error(cli("study", folder, "-o", votes_file, "--question", " "), "question is empty")
    votes_file.write_text("a,b\n1,2\n")
    assert one_error(cli("study", folder, "-o", votes_file), "its columns are wrong")
    assert votes_file.read_text() == "a,b\n1,2\n"
    Image.new("RGB", (9, 9)).save(folder / "meadow" / "beta.png")
    assert one_error(cli("study", folder, "-o", tmp_path / "new.csv"), "9×9 pixels, its reference has 40×30")
    assert not (tmp_path / "new.csv").exists()


@pytest.fixture
def scipy():
    return pytest.importorskip("scipy", reason="needs scipy: it is in the extra `study`")


@pytest.fixture
def votes(votes_file):
    votes_file.write_text(simulated(SCORES, 12, 0, scenes=("harbour", "meadow")))
    return votes_file


def test_a_scale_is_printed_written_and_drawn(cli, scipy, votes, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib: it is in the extra `study`")
    target, plot = tmp_path / "scale.json", tmp_path / "scale.png"
    done = cli("study-scale", votes, "-o", target, "--plot", plot, "--anchor", "bicubic")
    assert (done.status, done.err) == (0, "")
    assert all(words in done.out for words in ("harbour: 36 votes", "all scenes: 72 votes", "95 % interval", "anchor"))
    report = json.loads(target.read_text())
    assert set(report["scenes"]) == {"harbour", "meadow"}
    for name, score in report["all"]["conditions"].items():
        assert score["low"] <= score["jnd"] <= score["high"]
        assert score["jnd"] == pytest.approx(SCORES[name], abs=0.6)
        assert f"{score['jnd']:+.2f}" in done.out
    assert report["all"]["conditions"]["bicubic"]["jnd"] == 0
    assert sum(score["won"] for score in report["all"]["conditions"].values()) == 72
    with Image.open(plot) as image:
        assert min(image.size) > 200


def test_catch_trials_do_not_count_and_who_fails_them_is_named_or_left_out(cli, scipy, votes, tmp_path):
    target = tmp_path / "scale.json"
    plain = cli("study-scale", votes, "-o", target)
    before = json.loads(target.read_text())
    catches = votes.with_name("votes.catch.csv")
    catches.write_text(
        HEADER
        + "o3,s,harbour,reference,spoilt reference,0\no3,s,meadow,spoilt reference,reference,1\n"
        + "o4,s,harbour,reference,spoilt reference,1\n"
    )
    marked = cli("study-scale", votes, "-o", target)
    after = json.loads(target.read_text())
    assert after["all"] == before["all"]
    assert "failed the catch trials" not in plain.out
    assert "observer 'o3' failed the catch trials (2 of 2 wrong)" in marked.out
    assert [name for name, observer in after["observers"].items() if observer["has_failed"]] == ["o3"]
    assert cli("study-scale", votes, "-o", target, "--without-failed").status == 0
    assert json.loads(target.read_text())["all"]["observers"] == 11


def test_scenes_without_a_scale_of_their_own_do_not_stop_the_rest(cli, scipy, votes):
    with votes.open("a") as file:
        file.write("o1,s,lake,bicubic,pixel loss,1\no1,s,lake,feature loss,extra,1\n")
    done = cli("study-scale", votes, "--samples", "0")
    assert done.status == 0
    assert "warning: scene 'lake' has no scale of its own: no comparisons join these groups" in done.err
    assert "extra" in done.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (HEADER, "no votes in it"),
        (HEADER + "o,s,m,x,y,nan\n", "line 2 has is_A_selected 'nan'"),
        (HEADER + "o,s,m,x,y,1\no,s,m,z,w,1\n", "no comparisons join these groups of conditions: w, z | x, y"),
        ("a,b\n", "its columns are wrong"),
    ],
)
def test_votes_that_give_no_scale_are_one_line(cli, scipy, votes_file, tmp_path, text, message):
    votes_file.write_text(text)
    target = tmp_path / "scale.json"
    assert one_error(cli("study-scale", votes_file, "-o", target), message)
    assert not target.exists()


def test_wrong_options_are_one_line(cli, scipy, votes, tmp_path):
    assert one_error(cli("study-scale", tmp_path / "none.csv"), "no such file of votes")
    assert one_error(cli("study-scale", votes, "--anchor", "best"), "'best' is none of the conditions: bicubic")
    assert one_error(cli("study-scale", votes, "--prior", "flat"), "no prior is called 'flat'")
    assert one_error(cli("study-scale", votes, "-o", tmp_path / "scale.txt"), "written as .json")
    assert one_error(cli("study-scale", votes, "--plot", tmp_path / "scale.gif"), "ends in .png, .svg or .pdf")
    assert one_error(cli("study-scale", votes, "-o", votes), "written as .json")


def test_one_observer_and_a_cut_line_are_warned_of(cli, scipy, votes_file):
    votes_file.write_text(HEADER + "o,s,m,x,y,1\no,s,m,x,y,0\no,s,m,")
    done = cli("study-scale", votes_file)
    assert done.status == 0
    assert "its last line was cut short and is left out" in done.err
    assert "the votes are of one observer: no confidence intervals" in done.err


@pytest.mark.parametrize(("package", "option"), [("scipy", []), ("matplotlib", ["--plot", "scale.png"])])
def test_a_missing_extra_is_told_with_its_pip_line(cli, scipy, votes, tmp_path, monkeypatch, package, option):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert one_error(cli("study-scale", votes, *option), package, "pip install 'styletransfer[study]'")
