"""``styletransfer photos``: photos to train on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from styletransfer.cli.common import progress, warn
from styletransfer.cli.fetch import fetch

if TYPE_CHECKING:
    from styletransfer.core.archive import Unpacked

COCO_URL = "http://images.cocodataset.org/zips/val2017.zip"
COCO_SHA256 = "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05"
COCO_SIZE = 815_585_330
_NOTE = ".styletransfer-photos.json"


def photos(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the photos; those already there are kept.")
    ] = Path("photos"),
    url: Annotated[
        str,
        typer.Option("--url", help="A zip archive of pictures (default: COCO val2017, 5,000 photos, 816 MB)."),
    ] = COCO_URL,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="Expected SHA-256 of the archive, 64 hex digits.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Unpack only the first N photos by name.")] = None,
) -> None:
    """Download photos to train on: COCO val2017, or any zip archive of pictures.

    An interrupted download goes on where it stopped when the command is run again.
    """
    from styletransfer.core.archive import unpack_pictures
    from styletransfer.core.download import cache_dir
    from styletransfer.core.errors import InputError, OutputError
    from styletransfer.core.pictures import PICTURE_SUFFIXES

    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; choose a folder with --out")
    there = _already_there(out, url, limit)
    if there is not None:
        typer.echo(f"{there:,} photos are in {out} already")
        _say_next(out)
        return
    size = COCO_SIZE if url == COCO_URL else None
    if url == COCO_URL and sha256 is None:
        sha256 = COCO_SHA256
    archive = fetch(url, cache_dir() / _archive_name(url), sha256=sha256, expected_size=size)
    with progress() as bar:
        task = bar.add_task("unpacking", total=None, note="")
        try:
            result = unpack_pictures(
                archive,
                out,
                PICTURE_SUFFIXES,
                limit,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        except InputError as error:
            archive.unlink(missing_ok=True)  # or the next run would meet the same bytes again
            raise InputError(f"{url}: {str(error).removeprefix(f'{archive}: ')}") from error
    _report(out, url, archive, result)


def _archive_name(url: str) -> str:
    """A file name that belongs to this address alone."""
    import hashlib
    import re
    from urllib.parse import urlsplit

    try:
        name = urlsplit(url).path.rsplit("/", 1)[-1]
    except ValueError:  # no address at all: the download says so
        name = ""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-60:].removesuffix(".zip").lstrip(".") or "photos"
    return f"{stem}-{hashlib.sha256(url.encode()).hexdigest()[:8]}.zip"


def _already_there(out: Path, url: str, limit: int | None) -> int | None:
    """Number of photos where an earlier run unpacked them all, else nothing."""
    try:
        note = json.loads((out / _NOTE).read_text(encoding="utf-8"))
        names = note["pictures"]
        enough = note["complete"] or (limit is not None and len(names) >= limit)
        if note["url"] == url and enough and all((out / name).exists() for name in names[:limit]):
            return len(names[:limit])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _report(out: Path, url: str, archive: Path, result: Unpacked) -> None:
    from styletransfer.core.errors import DownloadError
    from styletransfer.core.files import write_bytes

    if result.refused:
        warn(
            f"{len(result.refused)} members of the archive were left out for safety (outside the folder, "
            f"a link, or too large), the first is {result.refused[0]!r}"
        )
    there = f", {result.present:,} were there already" if result.present else ""
    typer.echo(f"{result.written:,} photos unpacked to {out}{there}")
    if result.damaged:
        archive.unlink(missing_ok=True)
        raise DownloadError(
            f"{url}: {len(result.damaged)} of {len(result.pictures):,} pictures in the archive are damaged "
            f"(the first is {result.damaged[0]!r}); the others are in {out}; run the command again to "
            "download the archive anew"
        )
    complete = not result.beyond_limit
    note = {"url": url, "complete": complete, "pictures": result.pictures}
    write_bytes(out / _NOTE, json.dumps(note).encode())
    if complete:
        archive.unlink(missing_ok=True)
    else:
        typer.echo(f"the archive, with {result.beyond_limit:,} more, stays in {archive}")
    _say_next(out)


def _say_next(out: Path) -> None:
    typer.echo(f"next: styletransfer train PAINTING.jpg --photos {shlex.quote(str(out))} --out my_style.onnx")
