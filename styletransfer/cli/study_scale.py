"""``styletransfer study-scale``: the votes of a study as a scale in just noticeable differences."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from styletransfer.cli.common import prints_to_terminal, warn
from styletransfer.cli.extra_files import check_extra, check_plot
from styletransfer.core.errors import InputError, OutputError

if TYPE_CHECKING:
    from styletransfer.study.scaling import Scale, ScaleSettings
    from styletransfer.study.votes import Vote

FORMAT = 1
OUTLIER = 1.5  # where pwcmp advises to look at an observer
_WIDTH = 120


def study_scale(
    votes_file: Annotated[
        Path,
        typer.Argument(
            metavar="VOTES",
            help="A .csv file of `study`: observer,session,scene,condition_A,condition_B,is_A_selected.",
        ),
    ],
    json_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the scale to this .json file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the scale with error bars: .png, .svg or .pdf.")
    ] = None,
    anchor: Annotated[
        str, typer.Option("--anchor", help="The condition whose score is 0; `mean`: the mean of all is 0.")
    ] = "mean",
    prior: Annotated[
        str,
        typer.Option("--prior", help="unanimous (keeps unanimous votes finite), gaussian (pwcmp's, slow) or none."),
    ] = "unanimous",
    samples: Annotated[
        int, typer.Option("--samples", help="Bootstrap samples of observers for the intervals; 0: no intervals.")
    ] = 1000,
    level: Annotated[float, typer.Option("--level", help="Of the confidence intervals.")] = 0.95,
    without_failed: Annotated[
        bool, typer.Option("--without-failed", help="Leave out observers who failed the catch trials.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
) -> None:
    """Scale VOTES in just noticeable differences: 1 JND apart, 75 % choose the better one (Thurstone's Case V).

    For each scene and over all of them, with bootstrap intervals over observers. Observers whose votes do not fit the
    others', or who failed the catch trials of the study, are named.
    """
    from styletransfer.study.scaling import ScaleSettings

    settings = ScaleSettings(prior, None if anchor == "mean" else anchor, samples, level, seed)
    _check_outputs(votes_file, json_file, plot)
    votes, catches = _read(votes_file)
    observers = _observers(votes, catches, settings)
    if without_failed:
        votes = [vote for vote in votes if not observers[vote.observer]["has_failed"]]
        if not votes:
            raise InputError(f"{votes_file}: every observer failed the catch trials; no votes are left")
    scenes, overall = _scales(votes, settings)
    report = {
        "format": FORMAT,
        "unit": "JND: 1 apart, 75 % choose the better one",
        "settings": {**asdict(settings), "without_failed": without_failed},
        "all": _as_dict(overall, votes),
        "scenes": {
            name: _as_dict(made, [vote for vote in votes if vote.scene == name]) for name, made in scenes.items()
        },
        "observers": observers,
    }
    _print(report)
    if json_file is not None:
        import json

        from styletransfer.core.files import write_bytes

        write_bytes(json_file, (json.dumps(report, indent=2) + "\n").encode())
    if plot is not None:
        from styletransfer.study.plot import save_plot

        save_plot(overall, scenes, _caption(report), plot)


def _check_outputs(votes_file: Path, json_file: Path | None, plot: Path | None) -> None:
    if json_file is not None and json_file.suffix.lower() != ".json":
        raise OutputError(f"{json_file}: the scale is written as .json; end the name so")
    check_extra(json_file, "-o", [votes_file])
    check_plot(plot, [votes_file], extra="study")


def _read(votes_file: Path) -> tuple[list[Vote], list[Vote]]:
    """Votes, and those of the catch trials where their file is there."""
    from styletransfer.study.votes import catch_path, read_votes

    beside = catch_path(votes_file)
    both = []
    for path in [votes_file, *([beside] if beside.is_file() else [])]:
        votes, was_cut = read_votes(path)
        if was_cut:
            warn(f"{path}: its last line was cut short and is left out")
        both.append(votes)
    if not both[0]:
        raise InputError(f"{votes_file}: no votes in it")
    return both[0], both[1] if len(both) > 1 else []


def _scales(votes: Sequence[Vote], settings: ScaleSettings) -> tuple[dict[str, Scale], Scale]:
    """The scale of each scene that has one, and of all votes together."""
    from styletransfer.study.scaling import make_scale, tally

    conditions, observers = _conditions(votes), sorted({vote.observer for vote in votes})
    overall = make_scale(tally(votes, conditions, observers), conditions, settings)
    scenes = {}
    for name in sorted({vote.scene for vote in votes}):
        of_scene = [vote for vote in votes if vote.scene == name]
        names = _conditions(of_scene)
        try:
            table_onn = tally(of_scene, names, sorted({vote.observer for vote in of_scene}))
            scenes[name] = make_scale(table_onn, names, settings)
        except InputError as error:
            warn(f"scene {name!r} has no scale of its own: {error}")
    if len(observers) < 2 and settings.samples:
        warn("the votes are of one observer: no confidence intervals")
    elif settings.samples and not overall.samples:
        warn("most samples of observers leave conditions without comparisons: no confidence intervals")
    return scenes, overall


def _conditions(votes: Sequence[Vote]) -> list[str]:
    return sorted({name for vote in votes for name in (vote.condition_a, vote.condition_b)})


def _observers(votes: Sequence[Vote], catches: Sequence[Vote], settings: ScaleSettings) -> dict[str, dict[str, Any]]:
    """What is known of each observer: votes, fit to the others, catch trials."""
    from styletransfer.study.experiment import catch_results, has_failed
    from styletransfer.study.scaling import outlier_scores, tally

    names = sorted({vote.observer for vote in votes})
    tables = []
    for scene in sorted({vote.scene for vote in votes}):
        of_scene = [vote for vote in votes if vote.scene == scene]
        tables.append(tally(of_scene, _conditions(of_scene), names))
    likelihoods, distances = outlier_scores(tables, settings.prior)
    caught = catch_results(catches)
    report = {}
    for n, name in enumerate(names):
        shown, wrong = caught.get(name, (0, 0))
        report[name] = {
            "votes": sum(vote.observer == name for vote in votes),
            "log_likelihood_a_vote": None if likelihoods[n] != likelihoods[n] else float(likelihoods[n]),
            "outlier_score": float(distances[n]),
            "catch_trials": shown,
            "catch_trials_wrong": wrong,
            "has_failed": has_failed(shown, wrong),
        }
    return report


def _as_dict(made: Scale, votes: Sequence[Vote]) -> dict[str, Any]:
    numbers = [made.jnd_n, made.low_n, made.high_n]
    columns = [[None] * len(made.conditions) if column is None else column.tolist() for column in numbers]
    return {
        "votes": len(votes),
        "observers": len({vote.observer for vote in votes}),
        "samples": made.samples,
        "conditions": {
            name: {"jnd": jnd, "low": low, "high": high, "won": int(won), "lost": int(lost)}
            for name, jnd, low, high, won, lost in zip(
                made.conditions, *columns, made.wins_nn.sum(1), made.wins_nn.sum(0), strict=True
            )
        },
    }


def _caption(report: Mapping[str, Any]) -> str:
    count, settings = report["all"]["observers"], report["settings"]
    bars = f", bars: {100 * settings['level']:g} % intervals over observers" if report["all"]["samples"] else ""
    return f"{report['all']['votes']} votes, {count} observer{'s' * (count != 1)}{bars}"


def _print(report: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=sys.stdout, highlight=False, markup=False, width=None if prints_to_terminal() else _WIDTH)
    scenes = report["scenes"] if len(report["scenes"]) > 1 else {}
    for title, made in [*scenes.items(), ("all scenes" if scenes else next(iter(report["scenes"])), report["all"])]:
        table = Table(box=None, pad_edge=False, title=f"{title}: {made['votes']} votes", title_justify="left")
        table.add_column("condition", no_wrap=True)
        for column in ("JND", f"{100 * report['settings']['level']:g} % interval", "won", "lost"):
            table.add_column(column, justify="right", no_wrap=True)
        for name, score in sorted(made["conditions"].items(), key=lambda pair: -pair[1]["jnd"]):
            interval = "" if score["low"] is None else f"{score['low']:+.2f} to {score['high']:+.2f}"
            interval = "anchor" if name == report["settings"]["anchor"] else interval
            table.add_row(name, f"{score['jnd']:+.2f}", interval, str(score["won"]), str(score["lost"]))
        console.print(table)
        console.print()
    for name, observer in report["observers"].items():
        if observer["has_failed"]:
            shown, wrong = observer["catch_trials"], observer["catch_trials_wrong"]
            is_out = report["settings"]["without_failed"]
            console.print(
                f"observer {name!r} failed the catch trials ({wrong} of {shown} wrong): "
                f"{'left out' if is_out else 'counted all the same; --without-failed leaves such votes out'}"
            )
        if observer["outlier_score"] >= OUTLIER:
            console.print(
                f"observer {name!r} votes unlike the others (outlier score {observer['outlier_score']:.1f}, "
                f"{OUTLIER} is worth a look)"
            )
