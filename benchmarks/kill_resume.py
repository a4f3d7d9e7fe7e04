"""Kill a batch at random moments (kill -9), resume it each time, compare its results with an uninterrupted run's.

    python benchmarks/kill_resume.py CLIPS_DIR [--kills 10] [--size 320] [--models starry_night starry_night_fast]

Two runs of `styletransfer video CLIPS_DIR -o ... --model A --model B`: one undisturbed, one killed again and again at
moments drawn from a seed. Every result of the two must hold the same decoded frames, times and sound. Each call of
the network leaves a byte in a file, so that work that was done twice can be counted: stylized frames, beyond those
that the clips have, for each kill.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

from styletransfer.cli.machine import describe
from styletransfer.core.files import write_bytes
from styletransfer.media.segments import SEGMENT_FRAMES

RESULT = Path(__file__).parent / "results" / "kill_resume.json"
IN_FLIGHT = 6  # frames that are stylized and wait for the encoder, or are just being stylized
CHILD = """
import os, sys
from styletransfer.runtime.stylizer import Stylizer
calls = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
stylize = Stylizer.__call__
def counted(self, *args, **options):
    os.write(calls, b".")
    return stylize(self, *args, **options)
Stylizer.__call__ = counted
from styletransfer.cli.app import main
main(sys.argv[1:])
"""


def start(arguments: list[str], calls: Path) -> subprocess.Popen[bytes]:
    """Start the command; every frame that it stylizes adds a byte to ``calls``."""
    command = [sys.executable, "-c", CHILD, str(calls), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def digest(path: Path) -> str:
    """Hash of every decoded frame with its time, and of every packet of the other streams with its time."""
    state = hashlib.sha256()
    with av.open(str(path)) as clip:
        for frame in clip.decode(video=0):
            state.update(f"{frame.pts} {frame.time_base} {frame.width} {frame.height}".encode())
            for plane in frame.planes:
                state.update(bytes(plane))
    with av.open(str(path)) as clip:
        for packet in clip.demux():
            if packet.stream.type != "video" and packet.size:
                state.update(f"{packet.stream_index} {packet.pts}".encode() + bytes(packet))
    return state.hexdigest()


def results(folder: Path) -> dict[str, str]:
    """The finished results of a run, each with its digest."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".styletransfer" not in path.parts]
    return {str(path.relative_to(folder)): digest(path) for path in sorted(paths)}


def frames_in_journal(folder: Path) -> int:
    """Frames that a resumed run need not make again."""
    journal = folder / ".styletransfer" / "journal.sqlite"
    if not journal.exists():
        return 0
    # Not read-only: a transaction that the kill cut in two has to be rolled back first.
    with contextlib.closing(sqlite3.connect(journal, timeout=10)) as base:
        finished = base.execute("select total(frames) from result where status = 'done'").fetchone()[0]
        begun = base.execute("select total(frames) from segment").fetchone()[0]
    return int(finished + begun)


def main() -> int:
    """Run, print, write the JSON, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--models", nargs="+", default=["starry_night", "starry_night_fast"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    chosen = [text for model in arguments.models for text in ("-m", model)]
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def command(out: str) -> list[str]:
            options = ["--size", str(arguments.size), "--provider", "cpu", *chosen]
            return ["video", str(arguments.clips), "-o", str(folder / out), *options]

        if start(command("whole"), folder / "whole.calls").wait():
            print("error: the undisturbed run failed", file=sys.stderr)
            return 1
        frames = (folder / "whole.calls").stat().st_size

        calls, redone = folder / "killed.calls", []
        calls.touch()
        done_before = 0
        for kill in range(arguments.kills):
            before = calls.stat().st_size
            run = start(command("killed"), calls)
            # Spread over the work that is left: after a number of frames, and then anywhere within a quarter second.
            share = 2 * (frames - done_before) // (arguments.kills - kill + 1)
            moment = before + rng.randint(1, max(1, share))
            while calls.stat().st_size < moment and run.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.25))
            if run.poll() is not None:
                break
            run.kill()
            run.wait()
            kept = frames_in_journal(folder / "killed")
            lost = done_before + calls.stat().st_size - before - kept
            redone.append(lost)
            done_before = kept
            print(f"killed at {kept + lost} frames, {kept} of them kept, {lost} to be done again", flush=True)
        status = start(command("killed"), calls).wait()
        whole, killed = results(folder / "whole"), results(folder / "killed")
        left = [
            path.name for path in (folder / "killed").rglob("*") if path.suffix == ".segment" or ".part" in path.name
        ]
    total = sum(redone)
    most = max(redone, default=0)
    same = status == 0 and whole == killed and not left
    bar = SEGMENT_FRAMES + IN_FLIGHT
    print(f"{len(whole)} results, {frames} frames, {len(redone)} kills; results identical: {same}")
    print(f"done again: {most} frames at most for one kill (bar {bar}), {total} in all")
    report = {
        "machine": describe(),
        "size": arguments.size,
        "results": len(whole),
        "frames": frames,
        "kills": len(redone),
        "identical": same,
        "frames_done_again": redone,
        "segment_frames": SEGMENT_FRAMES,
    }
    write_bytes(arguments.json, (json.dumps(report, indent=2) + os.linesep).encode())
    return int(not (same and most <= bar))


if __name__ == "__main__":
    sys.exit(main())
