"""Take the README's picture of the live window: the real program on a virtual display, with real keys and mouse.

    sudo apt install xvfb xdotool imagemagick
    python docs/make_webcam_picture.py

It shows examples/clip.mp4 and goes to docs/pictures/webcam.jpg.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "pictures" / "webcam.jpg"
CANVAS_WH = (1280, 720)
SIZE_WH = (1000, 562)
QUALITY = 82
STYLES_S = 45  # enough for ten thumbnails on a busy machine


def main() -> None:
    """Start, press, click, look."""
    reads, writes = os.pipe()
    command = ["Xvfb", "-displayfd", str(writes), "-screen", "0", f"{CANVAS_WH[0]}x{CANVAS_WH[1]}x24"]
    server = subprocess.Popen(command, pass_fds=[writes], stderr=subprocess.DEVNULL)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        environment = {**os.environ, "DISPLAY": f":{pipe.readline().strip()}"}
    webcam = [sys.executable, "-m", "styletransfer", "webcam", str(ROOT / "examples" / "clip.mp4")]
    program = subprocess.Popen(webcam, env=environment, cwd=ROOT)

    def tool(*words: object) -> str:
        done = subprocess.run(
            ["xdotool", *map(str, words)], env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    try:
        while not (window := tool("search", "--onlyvisible", "--name", "^styletransfer$")):
            time.sleep(0.5)
        time.sleep(STYLES_S)
        tool("windowfocus", window)
        for key in (
            "t",
            "s",
            "j",
            "j",
            "1",
            "i",
            "i",
        ):  # without the figures, which are those of whatever machine this is
            tool("key", key)
            time.sleep(0.4)
        tool("mousemove", 640, 500)
        time.sleep(STYLES_S / 3)
        for key in ("2", "1"):  # the title shows for a moment after a change
            tool("key", key)
            time.sleep(1.2)
        tool("mousemove", 560, 690)
        time.sleep(0.4)
        with tempfile.TemporaryDirectory() as folder:
            shot = Path(folder) / "shot.png"
            subprocess.run(["import", "-window", "root", str(shot)], env=environment, check=True)
            picture = Image.open(shot).convert("RGB").resize(SIZE_WH, Image.Resampling.LANCZOS)
            picture.save(TARGET, quality=QUALITY, optimize=True)
        tool("key", "q")
        program.wait(20)
    finally:
        program.kill()
        server.terminate()


if __name__ == "__main__":
    main()
