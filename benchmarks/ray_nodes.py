"""Stylize a folder on three Ray nodes, kill one in the middle, compare the results with those of one process.

    python benchmarks/ray_nodes.py CLIPS_DIR [--size 320] [--models starry_night_fast] [--after 4]

The three nodes are processes of this machine, with one core each. Two runs of `styletransfer video CLIPS_DIR -o ...`:
one without Ray, one with `--ray` the head's address. As soon as the second has finished a few segments, every process
of one node gets a SIGKILL. All results of the two must hold the same decoded frames and times, the same packets of
the video and the same packets of the sound.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
from kill_resume import results

from styletransfer.cli.machine import describe
from styletransfer.core.files import write_bytes

RESULT = Path(__file__).parent / "results" / "ray_nodes.json"
COMMAND = [sys.executable, "-c", "from styletransfer.cli.app import main; main()", "video"]


def packets(folder: Path) -> dict[str, str]:
    """A hash of every result's video packets and their times."""
    hashes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and ".styletransfer" not in path.parts):
        state = hashlib.sha256()
        with av.open(str(path)) as clip:
            for packet in clip.demux(video=0):
                if packet.size:
                    state.update(f"{packet.pts} {packet.dts} {packet.duration}".encode() + bytes(packet))
        hashes[str(path.relative_to(folder))] = state.hexdigest()
    return hashes


def start_nodes() -> tuple[Any, list[Any]]:
    """A cluster whose head has no cores for tasks and whose three other nodes have one each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
    cluster.wait_for_nodes()
    return cluster, nodes


def main() -> int:
    """Run, print, write the JSON, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--models", nargs="+", default=["starry_night_fast"])
    parser.add_argument("--after", type=int, default=4, help="segments that are finished when the node is killed")
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    chosen = [text for model in arguments.models for text in ("-m", model)]
    options = [str(arguments.clips), "--size", str(arguments.size), "--provider", "cpu", *chosen]
    with tempfile.TemporaryDirectory() as name:
        one, three = Path(name, "one"), Path(name, "three")
        subprocess.run([*COMMAND, *options, "-o", str(one)], check=True, capture_output=True)
        cluster, nodes = start_nodes()
        try:
            command = [*COMMAND, *options, "-o", str(three), "--ray", cluster.address]
            run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            while len(list((three / ".styletransfer").glob("*/*.segment"))) < arguments.after and run.poll() is None:
                time.sleep(0.01)
            killed_in_the_middle = run.poll() is None
            started = time.perf_counter()
            cluster.remove_node(nodes[-1], allow_graceful=False)  # SIGKILL
            said = run.communicate(timeout=1200)[0]
            seconds_after = time.perf_counter() - started
        finally:
            cluster.shutdown()
        whole, shared = results(one), results(three)
        same, same_packets = whole == shared, packets(one) == packets(three)
    lost = re.search(r"given to another: (\d+) times", said)
    print(said.rstrip())
    print(f"{len(whole)} results; status {run.returncode}; killed in the middle: {killed_in_the_middle}")
    print(f"tasks lost with the node: {lost[1] if lost else 0}; {seconds_after:.1f} s from the kill to the end")
    print(f"same decoded frames, times and sound as one process: {same}; same video packets: {same_packets}")
    report = {
        "machine": describe(),
        "nodes": 3,
        "killed": 1,
        "killed_in_the_middle": killed_in_the_middle,
        "tasks_lost": int(lost[1]) if lost else 0,
        "size": arguments.size,
        "results": len(whole),
        "all_clips_done": run.returncode == 0 and len(shared) == len(whole),
        "identical_frames_times_and_sound": same,
        "identical_video_packets": same_packets,
    }
    write_bytes(arguments.json, (json.dumps(report, indent=2) + os.linesep).encode())
    return int(not (run.returncode == 0 and killed_in_the_middle and lost and same and same_packets))


if __name__ == "__main__":
    sys.exit(main())
