"""``styletransfer study``: a two-alternative forced-choice experiment in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.cli.common import fail, warn
from styletransfer.core.interrupts import interruption

if TYPE_CHECKING:
    from styletransfer.study.experiment import Experiment

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def study(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Pictures: SCENE/CONDITION.png with SCENE/reference.png, or CONDITION/SCENE.png with "
            "reference/SCENE.png (PNG, JPEG, WebP or BMP; one size within a scene).",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The .csv file of votes; one that exists is gone on with. Catch trials: *.catch.csv."
        ),
    ] = Path("votes.csv"),
    question: Annotated[
        str, typer.Option("--question", help="What the observers are asked.")
    ] = "Which of the two is closer to the reference?",
    per_observer: Annotated[
        int | None,
        typer.Option("--per-observer", min=1, help="Pairs for one observer, drawn at random. Default: all pairs."),
    ] = None,
    catch: Annotated[
        float,
        typer.Option(
            "--catch",
            min=0,
            max=0.5,
            help="Share of catch trials: the reference against a clearly worse picture. Who fails them is marked.",
        ),
    ] = 0.1,
    break_every: Annotated[
        int, typer.Option("--break-every", min=0, help="Pairs between two breaks; 0: no breaks.")
    ] = 40,
    seed: Annotated[int, typer.Option("--seed", help="Of orders, sides and draws.")] = 0,
    host: Annotated[
        str, typer.Option("--host", help="Interface to serve on; 0.0.0.0 opens it to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in this machine's browser.")] = False,
) -> None:
    """Ask observers which of two pictures is closer to a reference; every vote is a line in a CSV file.

    Serves a page on this machine until Ctrl-C. Votes are on the disk before the next pair is shown; the same command
    goes on where each observer stopped. `study-scale` makes a scale of the votes.
    """
    from styletransfer.study.design import Design
    from styletransfer.study.experiment import Experiment
    from styletransfer.study.scenes import find_scenes
    from styletransfer.study.server import serving
    from styletransfer.study.votes import VoteLog, catch_path, check_output

    design = Design(question, catch, per_observer, break_every, seed)
    check_output(out)
    scenes = find_scenes(folder)
    logs = [VoteLog(path) for path in (out, catch_path(out))]
    for log in logs:
        if log.was_cut:
            warn(f"{log.path}: its last line was cut short and is removed; that pair is shown again")
    before = sum(len(log.votes) for log in logs)
    experiment = Experiment(scenes, design, logs[0], logs[1], typer.echo)
    with interruption() as interrupted, serving(experiment, host, port, fail) as address:
        if host not in LOOPBACK:
            warn(f"served on {host}: everybody who reaches this machine can vote; there is no password")
        pairs = sum(len(scene.conditions) * (len(scene.conditions) - 1) // 2 for scene in scenes)
        typer.echo(f"{_count(len(scenes), 'scene')}, {_count(pairs, 'pair')}; votes go to {out}")
        typer.echo(f"{address}  (Ctrl-C ends)")
        if open_browser:
            import webbrowser

            if not webbrowser.open(address):
                warn("no browser could be opened; open the address yourself")
        while not interrupted.wait(0.2):
            pass
    typer.echo(_summary(experiment, before))


def _summary(experiment: Experiment, before: int) -> str:
    from styletransfer.study.experiment import catch_results, has_failed

    votes, catches = experiment.log.votes, experiment.catches.votes
    observers = {vote.observer for vote in votes}
    failed = sorted(name for name, result in catch_results(catches).items() if has_failed(*result))
    note = f"; failed the catch trials: {', '.join(failed)}" if failed else ""
    return (
        f"{_count(len(votes) + len(catches) - before, 'new answer')}; {experiment.log.path} now has "
        f"{_count(len(votes), 'vote')} of {_count(len(observers), 'observer')}{note}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
