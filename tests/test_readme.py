"""What the README and the credits show is what the program does."""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import clips
import numpy as np
import pytest
import typer
from command import run
from PIL import Image

from styletransfer.cli.app import app
from styletransfer.core import zoo

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "design.md", ROOT / "models" / "CREDITS.md"]
README = PAGES[0].read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shown_commands():
    """Every `styletransfer ...` of the code blocks and of the text, as arguments after the program's name."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"`(styletransfer [^`]*)`", README)
    found = []
    for line in lines:
        for part in re.split(r"[|>]|&&", line):
            words = shlex.split(part, comments=True)
            if words[:1] == ["styletransfer"]:
                found.append(words[1:])
    return found


def options_of(command):
    return {name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts]}


COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("arguments", shown_commands(), ids=" ".join)
def test_shown_command_and_its_options_exist(arguments):
    command = COMMANDS[arguments[0]]
    rest = arguments[1:]
    if rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    named = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert named <= options_of(command)


def test_shown_option_belongs_to_a_command():
    known = set().union(*(options_of(command) for command in COMMANDS.values()))
    named = set(re.findall(r"`(--[a-z-]+)", README))
    assert len(named) > 10
    assert named - {"--help"} <= known


def test_table_of_commands_is_complete():
    for name in COMMANDS:
        assert f"| `styletransfer {name}`" in README


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with what the README's examples name."""
    Image.open(ROOT / "examples" / "astronaut.jpg").resize((131, 130)).save(tmp_path / "photo.jpg")
    (tmp_path / "holiday").mkdir()
    shutil.copy(tmp_path / "photo.jpg", tmp_path / "holiday" / "beach.jpg")
    clips.make_clip(tmp_path / "clip.mp4")
    (tmp_path / "trip").mkdir()
    shutil.copy(tmp_path / "clip.mp4", tmp_path / "trip" / "boat.mp4")
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
def test_python_example_paints_the_photo(code, desk):
    exec(compile(code, "README.md", "exec"), {})
    photo, painted = (np.asarray(Image.open(desk / name), dtype=float) for name in ("photo.jpg", "painted.png"))
    height, width = painted.shape[:2]
    assert (height, width) in {photo.shape[:2], (128, 128)}
    assert np.abs(painted - photo[:height, :width]).mean() > 20


def test_quick_start_runs(desk):
    quick_start = README.partition("## Quick start")[2].partition("\n## ")[0]
    shown = re.search(r"```sh\n(.*?)```", quick_start, re.DOTALL)[1].splitlines()
    plain = [line for line in shown if line.startswith("styletransfer") and "webcam" not in line]
    plain += [line for line in shown if "--headless" in line]
    assert len(plain) >= 8
    for line in plain:
        finished = run(*shlex.split(line, comments=True)[1:])
        assert finished.status == 0, (line, finished.err)
    assert (desk / "photo-starry_night.jpg").exists()
    assert (desk / "photo-the_scream.jpg").exists()
    assert (desk / "photo-udnie.jpg").exists()
    assert list((desk / "painted").iterdir())
    assert (desk / "painted.mp4").exists()
    assert len(list((desk / "out").glob("*.mp4"))) == 2


def test_restoration_runs(desk):
    section = README.partition("## Enlarge, repair")[2].partition("\n## ")[0]
    shown = re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1].splitlines()
    shutil.copy(desk / "photo.jpg", desk / "old.jpg")
    for line in shown:
        words = shlex.split(line, comments=True)[1:]
        if words[0] != "webcam":
            finished = run(*words)
            assert finished.status == 0, (line, finished.err)
    assert Image.open(desk / "photo-upscale2.jpg").size == (262, 260)
    assert Image.open(desk / "old-clean-upscale2.jpg").size == (262, 260)
    assert {path.name for path in desk.glob("clip-*.mp4")} == {"clip-udnie-upscale2.mp4", "clip-clean.mp4"}


def test_gallery_shows_every_shipped_style():
    for name in zoo.shipped():
        assert f"| `{name}`<br>" in README
        assert (ROOT / "docs" / "pictures" / f"{name}.jpg").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith(("http:", "https:"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_pictures_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "pictures").iterdir()) < 1_500_000


def test_credits_say_what_the_cards_say():
    spec = importlib.util.spec_from_file_location("credits_table", ROOT / "benchmarks" / "credits.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    shown = (ROOT / "models" / "CREDITS.md").read_text(encoding="utf-8")
    assert script.table(list(zoo.shipped().values())) in shown
    assert script.restorers_table(list(zoo.shipped_restorers().values())) in shown
