"""Ray itself: nodes that are processes of this machine, one of them killed; addresses where there is no Ray."""

import socket
import subprocess
import sys
import time
from fractions import Fraction

import numpy as np
import pytest
from clips import look_at, make_clip
from command import one_error

SETTINGS = ("--preset", "ultrafast", "--provider", "cpu")


def test_without_ray_the_line_that_installs_it(cli, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    clip = make_clip(tmp_path / "clip.mp4")
    outcome = cli("video", "-m", tiny_model, clip, "-o", tmp_path / "out.mp4", "--ray", "local")
    assert one_error(outcome, "pip install 'styletransfer[cluster]'")


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "nonsense", "10.0.0.5:port"])
def test_an_address_where_nobody_answers_is_said_within_seconds(cli, tiny_model, tmp_path, address):
    pytest.importorskip("ray", reason="Ray is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = address.format(port=free.getsockname()[1])
    clip = make_clip(tmp_path / "clip.mp4")
    started = time.monotonic()
    outcome = cli("video", "-m", tiny_model, clip, "-o", tmp_path / "out.mp4", "--ray", address)
    assert one_error(outcome, "--ray", "10.0.0.5" if ":" not in address or "port" in address else address)
    assert time.monotonic() - started < 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]


@pytest.fixture(scope="module")
def cluster():
    """A head without cores for tasks, and two nodes of one core."""
    pytest.importorskip("ray", reason="Ray is not installed")
    utils = pytest.importorskip("ray.cluster_utils", reason="this Ray has no cluster of processes")
    cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def finished_segments(out):
    return len(list((out / ".styletransfer").glob("*/*.segment")))


def test_a_node_is_killed_and_nothing_is_missing(cluster, cli, tiny_model, tmp_path):
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "long.mp4", pts=range(2400), rate=Fraction(30))
    make_clip(tmp_path / "in" / "short.mp4", rate=Fraction(25))
    arguments = ["video", "-m", str(tiny_model), *SETTINGS, str(tmp_path / "in"), "-o"]
    assert cli(*arguments, tmp_path / "one").status == 0
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from styletransfer.cli.app import main; main()", *arguments, str(out)]
    command += ["--ray", cluster.address]

    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while driver.poll() is None and finished_segments(out) < 2:
        time.sleep(0.01)
    assert driver.poll() is None, driver.communicate()
    cluster.remove_node(list(cluster.worker_nodes)[-1], allow_graceful=False)
    said, err = driver.communicate(timeout=200)
    assert driver.returncode == 0, err
    assert "raylet" not in said + err, "what Ray's parts log is no message of ours"
    for name in ("long.mp4", "short.mp4"):
        before, after = look_at(tmp_path / "one" / name), look_at(out / name)
        assert after.times == before.times and after.sound == before.sound
        assert all(np.array_equal(a, b) for a, b in zip(before.pictures, after.pictures, strict=True))
