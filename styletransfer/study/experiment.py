"""The experiment behind the page: who has voted on what, what comes next."""

from __future__ import annotations

import functools
import io
import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from styletransfer.core.errors import SettingsError
from styletransfer.core.pictures import load_picture, resize_frame
from styletransfer.study.design import SPOILT, Design, Trial, plan
from styletransfer.study.scenes import REFERENCE, Scene
from styletransfer.study.votes import Vote, VoteLog, is_missing

MAX_CATCH_FAILURES = 0.25
"""An observer with a larger share of wrong catch trials is marked as failed; half of a guesser's are wrong."""

_OBSERVER = re.compile(r"\w[\w .@-]{0,63}")
_SESSION = re.compile(r"[0-9a-f]{8}")
_SPOILT_BY = 8
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".bmp": "image/bmp"}


class UnknownError(Exception):
    """An observer, trial or picture that is not part of the study."""


class Experiment:
    """All observers' trials and votes; its methods may be called from many threads.

    What an observer has done is read from the two files, so that a server that is started anew goes on.

    Args:
        scenes: of :func:`~styletransfer.study.scenes.find_scenes`.
        design: the settings.
        log: votes.
        catches: votes of the catch trials, for :func:`catch_results`.
        on_event: called with a line for the experimenter when an observer begins or finishes.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        design: Design,
        log: VoteLog,
        catches: VoteLog,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.scenes = {scene.name: scene for scene in scenes}
        self.design = design
        self.log = log
        self.catches = catches
        self._on_event = on_event
        self._lock = threading.Lock()
        self._plans: dict[str, dict[str, Trial]] = {}
        self._done: dict[str, set[str]] = {}
        self._spoilt = functools.lru_cache(maxsize=32)(_spoil)

    def start(self, observer: str) -> dict[str, Any]:
        """Begin a session, or go on with a known observer.

        Args:
            observer: as typed, letters, digits, spaces and ``. _ @ -``, at most 64; empty: one is made up.

        Returns:
            What the page shows: see :meth:`_state`, and ``session``, ``question`` and ``break_every``.

        Raises:
            SettingsError: a name that is not allowed.
        """
        observer = " ".join(observer.split()) or f"observer-{secrets.token_hex(3)}"
        if not _OBSERVER.fullmatch(observer):
            raise SettingsError(
                "a name has letters, digits, spaces and . _ @ - in it, begins with a letter or a digit, "
                "and is at most 64 long"
            )
        if is_missing(observer):
            raise SettingsError(f"tables take the name {observer} for no value; add a letter to it")
        with self._lock:
            self._know(observer)
            state = self._state(observer)
        if state["trial"]:
            self._on_event(
                f"{observer}: {'goes on' if state['done'] else 'begins'}, {state['done']} of {state['total']}"
            )
        return {
            **state,
            "session": secrets.token_hex(4),
            "question": self.design.question,
            "break_every": self.design.break_every,
        }

    def vote(self, observer: str, session: str, trial_id: str, is_left: bool) -> dict[str, Any]:
        """Write a vote; the second one on a trial is not counted (a double click, a lost answer sent again).

        Raises:
            UnknownError: no such observer, session or trial.
            OutputError: it could not be written; nothing is counted.
        """
        if not _OBSERVER.fullmatch(observer) or not _SESSION.fullmatch(session):
            raise UnknownError("no such observer or session")
        with self._lock:
            self._know(observer)
            trial = self._plans[observer].get(trial_id)
            if trial is None:
                raise UnknownError("no such pair")
            is_new = trial_id not in self._done[observer]
            if is_new:
                vote = Vote(observer, session, trial.scene, trial.left, trial.right, is_left)
                (self.log if trial.catch_round is None else self.catches).append(vote)
                self._done[observer].add(trial_id)
            state = self._state(observer)
        if is_new and not state["trial"]:
            self._on_event(f"{observer}: done, {state['total']} of {state['total']}")
        return state

    def picture(self, observer: str, trial_id: str, which: str) -> tuple[bytes, str]:
        """Bytes and media type of a trial's ``left``, ``right`` or ``reference`` picture.

        Raises:
            UnknownError: no such trial or picture, or its file is gone.
        """
        if not _OBSERVER.fullmatch(observer):
            raise UnknownError("no such observer")
        with self._lock:
            self._know(observer)
            trial = self._plans[observer].get(trial_id)
        names = (
            {"reference": REFERENCE}
            if trial is None
            else {"reference": REFERENCE, "left": trial.left, "right": trial.right}
        )
        if trial is None or which not in names:
            raise UnknownError("no such picture")
        scene = self.scenes[trial.scene]
        if trial.catch_round is not None and names[which] == SPOILT:
            return self._spoilt(scene.reference), "image/png"
        path = scene.reference if names[which] == REFERENCE else scene.conditions[names[which]]
        try:
            return path.read_bytes(), _TYPES[path.suffix.lower()]
        except OSError as error:
            raise UnknownError(f"{path} is gone") from error

    def _know(self, observer: str) -> None:
        if observer in self._plans:
            return
        trials = {trial.id: trial for trial in plan(list(self.scenes.values()), observer, self.design)}
        voted = {
            (vote.scene, frozenset((vote.condition_a, vote.condition_b)))
            for vote in self.log.votes
            if vote.observer == observer
        }
        caught = Counter(vote.scene for vote in self.catches.votes if vote.observer == observer)
        self._plans[observer] = trials
        self._done[observer] = {
            trial.id
            for trial in trials.values()
            if (
                (trial.scene, frozenset((trial.left, trial.right))) in voted
                if trial.catch_round is None
                else trial.catch_round < caught[trial.scene]
            )
        }

    def _state(self, observer: str) -> dict[str, Any]:
        """Observer, trials done and in total, the trial to show and the one after it (to be loaded beforehand)."""
        done = self._done[observer]
        left = (trial for trial in self._plans[observer].values() if trial.id not in done)
        now, after = next(left, None), next(left, None)
        return {
            "observer": observer,
            "done": len(done),
            "total": len(self._plans[observer]),
            "trial": self._shown(now),
            "upcoming": self._shown(after),
        }

    def _shown(self, trial: Trial | None) -> dict[str, Any] | None:
        return None if trial is None else {"id": trial.id, "size_wh": self.scenes[trial.scene].size_wh}


def catch_results(catches: Iterable[Vote]) -> dict[str, tuple[int, int]]:
    """Catch trials shown and answered wrongly (the spoilt picture taken for the closer one), for each observer."""
    shown: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for vote in catches:
        shown[vote.observer] += 1
        chosen = vote.condition_a if vote.is_a_selected else vote.condition_b
        wrong[vote.observer] += chosen != REFERENCE
    return {observer: (count, wrong[observer]) for observer, count in shown.items()}


def has_failed(shown: int, wrong: int) -> bool:
    """Whether an observer's catch trials say that the pictures were not looked at."""
    return wrong > MAX_CATCH_FAILURES * shown


def _spoil(reference: Path) -> bytes:
    """The reference at an eighth of its resolution, enlarged again, as PNG: worse than whatever a study compares."""
    frame_hwc = load_picture(reference).frame_hwc
    height, width = frame_hwc.shape[:2]
    small_hwc = resize_frame(frame_hwc, (max(1, width // _SPOILT_BY), max(1, height // _SPOILT_BY)))
    buffer = io.BytesIO()
    Image.fromarray(resize_frame(small_hwc, (width, height))).save(buffer, "PNG")
    return buffer.getvalue()
