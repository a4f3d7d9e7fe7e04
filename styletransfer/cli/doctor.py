"""``styletransfer doctor``: what works on this machine, and the line that mends what does not."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer


def doctor(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Style to try the providers with. [default: a shipped one]"),
    ] = None,
    camera: Annotated[int, typer.Option("--camera", min=0, help="Index of the camera to open.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Try everything that the other commands need, and say how to get what is missing.

    The exit status is 1 only if something is broken without which no command works.
    """
    from styletransfer.cli.probes import BROKEN, MISSING, all_checks
    from styletransfer.core.errors import StyleTransferError

    signs = {MISSING: "--", BROKEN: "!!"}
    checks = []
    section = ""
    for check in all_checks(model, camera):
        checks.append(check)
        if as_json:
            continue
        if check.section != section:
            section = check.section
            typer.echo(section)
        typer.echo(f"  {signs.get(check.status, 'ok')}  {check.name:<18} {check.detail}")
        if check.fix:
            typer.echo(f"      {'':<18} -> {check.fix}")
    broken = [check for check in checks if check.status == BROKEN]
    if as_json:
        report = {"ok": not broken, "checks": [dataclasses.asdict(check) for check in checks]}
        typer.echo(json.dumps(report, indent=2))
    if broken:
        names = ", ".join(check.name for check in broken)
        raise StyleTransferError(f"broken on this machine: {names}; see the lines marked !! of `styletransfer doctor`")
