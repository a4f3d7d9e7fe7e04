"""Which pairs an observer sees, in which order, and on which side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from styletransfer.core.errors import SettingsError
from styletransfer.study.scenes import REFERENCE, Scene

SPOILT = "spoilt reference"
"""What the file of catch trials calls the clearly worse picture."""


@dataclass(frozen=True)
class Design:
    """Settings of a study.

    Attributes:
        question: what observers are asked.
        catch_share: catch trials as a share of the other trials, 0..0.5; any share above 0 gives at least one.
        per_observer: pairs that one observer sees, drawn at random anew for each; None: all of them.
        break_every: trials between two breaks; 0: none.
        seed: of orders, sides and draws.
    """

    question: str = "Which of the two is closer to the reference?"
    catch_share: float = 0.1
    per_observer: int | None = None
    break_every: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.question.strip():
            raise SettingsError("the question is empty; write what observers are to decide")
        if not 0 <= self.catch_share <= 0.5:  # also refuses NaN
            raise SettingsError(f"the share of catch trials is {self.catch_share}; allowed: 0 to 0.5")
        if self.per_observer is not None and self.per_observer < 1:
            raise SettingsError(f"{self.per_observer} pairs an observer; allowed: 1 or more")
        if self.break_every < 0:
            raise SettingsError(f"a break every {self.break_every} trials; allowed: 1 or more, 0 for none")


@dataclass(frozen=True)
class Trial:
    """Two candidates beside a reference.

    Attributes:
        id: the same for the same observer, scene, pair and seed, whatever else is in the study: a page that stayed
            open while the server was started anew still votes on what it shows. It tells nothing of the conditions.
        scene: its name.
        left: condition on the left (``REFERENCE`` or ``SPOILT`` in a catch trial).
        right: condition on the right.
        catch_round: None, but in a catch trial (reference against a clearly worse picture) how many earlier ones the
            observer has on this scene.
    """

    id: str
    scene: str
    left: str
    right: str
    catch_round: int | None = None


def plan(scenes: Sequence[Scene], observer: str, design: Design) -> list[Trial]:
    """The trials of one observer, a function of the arguments alone.

    All pairs of conditions of each scene (or ``per_observer`` of them), in random order over all scenes, each side up
    to chance; catch trials are spread evenly between them.
    """
    pairs = [
        _trial(design.seed, observer, scene.name, pair)
        for scene in scenes
        for pair in combinations(scene.conditions, 2)
    ]
    pairs.sort(key=lambda trial: trial.id)  # a hash: as good as a shuffle, and new pairs do not move the old ones
    pairs = pairs[: design.per_observer]
    catches = _catch_trials(scenes, observer, design, len(pairs))
    trials = list(pairs)
    for number in reversed(range(len(catches))):  # from the end, so that the earlier places stay what they are
        trials.insert(max(1, round((number + 0.5) * len(pairs) / len(catches))), catches[number])
    return trials


def _catch_trials(scenes: Sequence[Scene], observer: str, design: Design, pairs: int) -> list[Trial]:
    count = max(1, round(design.catch_share * pairs)) if design.catch_share else 0
    trials: list[Trial] = []
    for number in range(-(-count // len(scenes))):
        of_round = [_trial(design.seed, observer, scene.name, (REFERENCE, SPOILT), number) for scene in scenes]
        trials += sorted(of_round, key=lambda trial: trial.id)
    return trials[:count]


def _trial(seed: int, observer: str, scene: str, pair: tuple[str, str], catch_round: int | None = None) -> Trial:
    first, second = sorted(pair)
    digest = hashlib.sha256(json.dumps([seed, observer, scene, first, second, catch_round]).encode()).digest()
    left, right = (first, second) if digest[-1] & 1 else (second, first)
    return Trial(digest[:8].hex(), scene, left, right, catch_round)
