"""A hundred damaged clips through `styletransfer video`: no crash, no hang, one clear line each.

    python benchmarks/damaged_clips.py [--count 100] [--seed 0] [--model starry_night_fast]

Every clip is stylized by a process of its own. It must end within 60 seconds, with status 0 and a file that
decodes (and a warning where something is missing), or with status 1, one line `error: ...` and no file.
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

from styletransfer.cli.machine import describe
from styletransfer.core.files import write_bytes

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from damage import damaged_clips

LIMIT_S = 60
RESULT = Path(__file__).parent / "results" / "damaged_clips.json"


def verdict(clip: Path, out: Path, model: str) -> tuple[str, float, str]:
    """Stylize one clip: ``kept``, ``refused`` or what went wrong; seconds; what it printed."""
    target = out / f"{clip.name}.mkv"
    command = [sys.executable, "-m", "styletransfer", "video", str(clip), "-o", str(target), "-m", model]
    started = time.perf_counter()
    try:
        done = subprocess.run([*command, "--provider", "cpu"], capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return "hangs", LIMIT_S, ""
    seconds = time.perf_counter() - started
    text = done.stderr.decode(errors="replace")
    lines = text.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    strays = [path.name for path in out.iterdir() if path != target and path.name.startswith(f".{target.stem[:40]}")]
    if done.returncode not in (0, 1):
        return f"crashes with {done.returncode}", seconds, text
    if "Traceback" in text or any(not line.startswith(("error: ", "warning: ")) for line in lines):
        return "says something else", seconds, text
    if strays:
        return "leaves a file behind", seconds, text
    if done.returncode == 1:
        return ("refused" if len(errors) == 1 and not target.exists() else "fails unclearly"), seconds, text
    try:
        with av.open(str(target)) as result:
            frames = sum(1 for _ in result.decode(video=0))
    except (OSError, av.error.FFmpegError) as error:
        return f"makes a file that cannot be read ({error})", seconds, text
    return ("kept" if frames and not errors else "makes an empty file"), seconds, text


def main() -> int:
    """Run, print, write the JSON, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="starry_night_fast")
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    tally: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out"
        out.mkdir()
        for clip in damaged_clips(Path(name) / "in", arguments.count, arguments.seed):
            what, seconds, text = verdict(clip, out, arguments.model)
            tally[what] += 1
            slowest = max(slowest, seconds)
            print(f"{clip.name:32} {what:10} {seconds:5.1f} s  {' | '.join(text.replace(name, '').split(chr(10)))}")
    bad = sum(tally.values()) - tally["kept"] - tally["refused"]
    print(f"{dict(tally)}, slowest {slowest:.1f} s")
    report = {"machine": describe(), "clips": sum(tally.values()), "verdicts": tally, "slowest_s": round(slowest, 1)}
    write_bytes(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
