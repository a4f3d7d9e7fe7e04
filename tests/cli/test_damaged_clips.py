"""A short version of benchmarks/damaged_clips.py, as one batch."""

import json

import av
from damage import damaged_clips


def test_a_batch_of_damaged_clips_ends_with_a_word_on_each(cli, tiny_model, tmp_path):
    clips = damaged_clips(tmp_path / "in", 30, seed=1)
    report = tmp_path / "report.json"
    # Through --provider cpu and a small size: extreme clips are large when they are decoded.
    options = ("--provider", "cpu", "--size", "64", "--preset", "ultrafast", "--report", report)
    outcome = cli("video", *clips, "-o", tmp_path / "out", "-m", tiny_model, *options)
    assert outcome.status == 1
    told = json.loads(report.read_text())
    failed = {r["source"] for r in told["failed_inputs"]} | {
        r["source"] for r in told["results"] if r["status"] == "failed"
    }
    done = [r for r in told["results"] if r["status"] == "done"]
    assert len(outcome.errors) == len(failed)
    assert len(failed) + len(done) == len(clips), "each is either done or refused"
    assert all(sum(f"{name}:" in line for line in outcome.errors) == 1 for name in failed)
    for result in done:
        with av.open(result["target"]) as clip:
            assert sum(1 for _ in clip.decode(video=0)) == result["frames"] > 0
    left = [path.name for path in (tmp_path / "out").rglob("*") if ".part" in path.name]
    assert left == []


def test_clips_with_times_that_jump_back_keep_all_their_frames_and_sound(cli, tiny_model, tmp_path):
    """Recordings that were stuck together: the clock begins anew in the middle."""
    clips = {path.name.partition("-")[2]: path for path in damaged_clips(tmp_path / "in", 74, seed=0)}
    for name in ("twice.ts", "twice.mkv"):
        outcome = cli("video", clips[name], "-o", tmp_path / f"{name}.mkv", "-m", tiny_model, "--provider", "cpu")
        assert outcome.status == 0, outcome.err
        assert "no usable time" in outcome.err
        with av.open(str(clips[name])) as before, av.open(str(tmp_path / f"{name}.mkv")) as after:
            counts = []
            for clip in (before, after):
                packets = [packet for packet in clip.demux() if packet.size]
                counts.append([sum(p.stream.type == kind for p in packets) for kind in ("video", "audio")])
        assert counts[0] == counts[1]
        assert counts[0][0] >= 60, "both halves were read"
