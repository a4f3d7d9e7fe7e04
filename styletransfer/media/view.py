"""What the live window shows and what keys change of it: one frozen state and pure functions, no window needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

STROKE_RANGE = (0.5, 3.0)
STYLE_ON = ("both", "person", "background")
INFO_LEVELS = 3  # nothing, one line, every stage

_STRENGTH_STEP = 0.1
_STROKE_STEP = 1.25
_DIVIDER_STEP = 0.05

HELP = (
    ("1 - 9, 0", "style by its number"),
    ("N  P  arrows", "next, previous style"),
    ("+  -", "strength"),
    (",  .", "stroke size"),
    ("C", "keep the camera's colours"),
    ("M", "mirror"),
    ("S", "split view"),
    ("J  L", "move its divider"),
    ("B", "style on person, background, both"),
    ("V", "another style behind a person"),
    ("Space", "snapshot"),
    ("R", "record"),
    ("T", "new thumbnails"),
    ("F  double click", "full screen"),
    ("I", "figures"),
    ("Tab", "controls away, back"),
    ("H", "this help"),
    ("Q  Esc", "quit"),
)
"""Keys and what they do, as the help shows them."""


@dataclass(frozen=True)
class ViewState:
    """What keys and mouse can change. Every change makes a new one.

    Attributes:
        styles: number of styles there are, at least 1.
        style: the one that is shown, 0 .. styles-1.
        strength: 0 (the camera's picture) .. 1 (the style alone).
        stroke: size of the strokes; 2 means twice as large, by processing at half the size.
        keep_colors: brightness from the style, colours from the camera.
        mirror: left and right exchanged.
        split: camera left of the divider, style right of it.
        divider: where it is, 0 (left) .. 1.
        style_on: ``both``, ``person`` or ``background``.
        background: the style behind the person where ``style_on`` is ``both``; -1: the same one.
        info: how many figures are shown, 0 .. 2.
        help: the list of keys is shown.
        bare: nothing is drawn over the picture.
        full_screen: the window fills the screen.
        snapshots: how many snapshots were asked for.
        thumbnails: how many times new thumbnails were asked for.
        recording: frames are being recorded.
        quit: the window is to close.
        awake_s: when the controls were last needed; they fade out some time after it.
        chosen_s: when the style was last changed.
        pointer: where the mouse is, pixels of the canvas; None before it was seen.
        drag: the control that the mouse holds, empty for none.
    """

    styles: int
    style: int = 0
    strength: float = 1.0
    stroke: float = 1.0
    keep_colors: bool = False
    mirror: bool = False
    split: bool = False
    divider: float = 0.5
    style_on: str = "both"
    background: int = -1
    info: int = 1
    help: bool = False
    bare: bool = False
    full_screen: bool = False
    snapshots: int = 0
    thumbnails: int = 0
    recording: bool = False
    quit: bool = False
    awake_s: float = 0.0
    chosen_s: float = 0.0
    pointer: tuple[int, int] | None = None
    drag: str = ""

    @property
    def needs_mask(self) -> bool:
        """Whether person and background are treated differently."""
        return self.style_on != "both" or self.background not in (-1, self.style)


def press(state: ViewState, key: str, now_s: float = 0.0) -> ViewState:
    """The state after a key: a character, or a name such as ``left``, ``space``, ``escape``, ``tab``."""
    if key.isdecimal() and len(key) == 1:
        return choose(state, (int(key) - 1) % 10, now_s)
    if key in _STEPS:
        return choose(state, (state.style + _STEPS[key]) % state.styles, now_s)
    if key in _COMMANDS:
        return replace(perform(state, _COMMANDS[key]), awake_s=_wake(state, key, now_s))
    changed = _adjusted(state, key)
    return state if changed is None else replace(changed, awake_s=now_s)


def choose(state: ViewState, style: int, now_s: float = 0.0) -> ViewState:
    """Show another style; numbers that no style has change nothing."""
    if not 0 <= style < state.styles:
        return state
    return replace(state, style=style, awake_s=now_s, chosen_s=now_s)


def perform(state: ViewState, command: str) -> ViewState:  # noqa: PLR0911 - a table of commands
    """The state after a command: a key and the button of the same name do the same."""
    match command:
        case "colours":
            return replace(state, keep_colors=not state.keep_colors)
        case "mirror" | "split" | "help" | "bare" | "full_screen" | "recording":
            changes: dict[str, Any] = {command: not getattr(state, command)}
            return replace(state, **changes)
        case "person":
            following = STYLE_ON[(STYLE_ON.index(state.style_on) + 1) % len(STYLE_ON)]
            return replace(state, style_on=following)
        case "background":
            following_style = state.background + 1
            return replace(state, background=following_style if following_style < state.styles else -1)
        case "info":
            return replace(state, info=(state.info + 1) % INFO_LEVELS)
        case "snapshot":
            return replace(state, snapshots=state.snapshots + 1)
        case "thumbnails":
            return replace(state, thumbnails=state.thumbnails + 1)
        case "back":  # Esc takes one thing back at a time
            if state.help or state.full_screen:
                return replace(state, help=False, full_screen=state.full_screen and state.help)
            return replace(state, quit=True)
        case "quit":
            return replace(state, quit=True)
    return state


def set_stroke(state: ViewState, stroke: float) -> ViewState:
    """Another stroke size, kept within its range, and caught by the middle."""
    low, high = STROKE_RANGE
    stroke = min(high, max(low, stroke))
    return replace(state, stroke=1.0 if abs(stroke - 1) < 0.04 else round(stroke, 2))


def set_strength(state: ViewState, strength: float) -> ViewState:
    """Another strength, kept within 0..1."""
    return replace(state, strength=round(min(1.0, max(0.0, strength)), 2))


def set_divider(state: ViewState, divider: float) -> ViewState:
    """Another place for the divider, never quite at the edge, where nobody would find it again."""
    return replace(state, divider=min(0.98, max(0.02, divider)))


def _adjusted(state: ViewState, key: str) -> ViewState | None:  # noqa: PLR0911 - a table of keys
    match key:
        case "+" | "=" | "]" | "up":
            return set_strength(state, state.strength + _STRENGTH_STEP)
        case "-" | "_" | "[" | "down":
            return set_strength(state, state.strength - _STRENGTH_STEP)
        case "." | ">":
            return set_stroke(state, state.stroke * _STROKE_STEP)
        case "," | "<":
            return set_stroke(state, state.stroke / _STROKE_STEP)
        case "l":
            return set_divider(replace(state, split=True), state.divider + _DIVIDER_STEP)
        case "j":
            return set_divider(replace(state, split=True), state.divider - _DIVIDER_STEP)
    return None


def _wake(state: ViewState, key: str, now_s: float) -> float:
    return state.awake_s if _COMMANDS[key] in _QUIET else now_s


_STEPS = {"n": 1, "right": 1, "p": -1, "left": -1}
_COMMANDS = {
    "c": "colours",
    "m": "mirror",
    "s": "split",
    "b": "person",
    "v": "background",
    "space": "snapshot",
    "r": "recording",
    "t": "thumbnails",
    "f": "full_screen",
    "i": "info",
    "tab": "bare",
    "h": "help",
    "?": "help",
    "escape": "back",
    "q": "quit",
}
_QUIET = {"snapshot", "bare", "info", "help", "back", "quit", "full_screen"}  # need no controls to be understood

_SPECIAL_KEYS = {
    9: "tab",
    27: "escape",
    32: "space",
    # Arrows as Linux (Qt and GTK), Windows and macOS number them.
    65361: "left",
    65362: "up",
    65363: "right",
    65364: "down",
    2424832: "left",
    2490368: "up",
    2555904: "right",
    2621440: "down",
    63234: "left",
    63232: "up",
    63235: "right",
    63233: "down",
    # The number pad's signs and digits.
    65451: "+",
    65453: "-",
    **{65456 + digit: str(digit) for digit in range(10)},
}


def key_name(code: int) -> str:
    """The key of a ``cv2.waitKeyEx`` code, as :func:`press` takes it; empty for none."""
    for candidate in (code, code & 0xFFFF):  # some systems add bits for Shift and NumLock
        if candidate in _SPECIAL_KEYS:
            return _SPECIAL_KEYS[candidate]
    character = code & 0xFFFF
    return chr(character).lower() if code >= 0 and 32 < character < 127 else ""
