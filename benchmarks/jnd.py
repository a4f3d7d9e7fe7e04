"""How well a study's votes give back a known scale, and how the prior compares with pwcmp's.

    python benchmarks/jnd.py

pwcmp's README example must give -1, 0, 1 JND. Then simulated observers: 6 conditions at equal distances, 10 votes on
each pair, drawn from Thurstone's Case V; the error is the root mean square over conditions after both scales' means
are 0, averaged over seeds. The bar: 0.25 JND at 0.5 JND from one condition to the next.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import norm

from styletransfer.cli.machine import describe
from styletransfer.core.files import write_bytes
from styletransfer.study.scaling import ScaleSettings, make_scale
from styletransfer.study.thurstone import PRIORS, SIGMA_JND, has_finite_scale, scale, scale_many

README = np.array([[0, 25, 0], [75, 0, 25], [0, 75, 0]], float)
CONDITIONS, VOTES = 6, 10
STUDIES = 1000
STEPS_JND = (0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
BAR_STEP_JND, BAR_RMSE_JND = 0.5, 0.25
COVERAGE_STUDIES, OBSERVERS = 300, 20
RESULT = Path(__file__).parent / "results" / "jnd.json"


def simulate(scores: np.ndarray, votes: int, studies: int, seed: int) -> np.ndarray:
    """Tables of votes ``[studies, N, N]``: how often the row was chosen over the column."""
    prefer_nn = norm.cdf((scores[:, None] - scores) / SIGMA_JND)
    shape = (studies, len(scores), len(scores))
    wins_bnn = np.triu(np.random.default_rng(seed).binomial(votes, np.broadcast_to(prefer_nn, shape)), 1).astype(float)
    return wins_bnn + np.tril((votes - wins_bnn).swapaxes(1, 2), -1)


def rmse_jnd(step: float, prior: str) -> tuple[float, int]:
    """Mean error over studies, and how many of them had no finite scale (without a prior) and are left out."""
    true = (np.arange(CONDITIONS) - (CONDITIONS - 1) / 2) * step
    wins_bnn = simulate(true, VOTES, STUDIES, seed=0)
    has_scale = [has_finite_scale(wins_nn, prior) for wins_nn in wins_bnn]
    errors_b = np.sqrt(np.mean((scale_many(wins_bnn[has_scale], prior) - true) ** 2, axis=1))
    return float(errors_b.mean()), has_scale.count(False)


def coverage() -> float:
    """Share of 95 % intervals, against the first condition, that hold the true distance."""
    true = np.arange(4) * 0.6
    held = []
    for study in range(COVERAGE_STUDIES):
        wins_onn = simulate(true, 1, OBSERVERS, seed=1000 + study)
        made = make_scale(wins_onn, list("abcd"), ScaleSettings(anchor="a", samples=400))
        held += list((made.low_n[1:] <= true[1:]) & (true[1:] <= made.high_n[1:]))
    return float(np.mean(held))


def main() -> int:
    """Measure, print, write the JSON, return the exit status."""
    example = {prior: (scale(README, list("abc"), prior).round(4) + 0.0).tolist() for prior in PRIORS}
    for prior, scores in example.items():
        print(f"pwcmp's README example, prior {prior}: {', '.join(f'{score:+.2f}' for score in scores)} JND")
    rows = []
    print(f"\nRMSE, JND: {CONDITIONS} conditions, {VOTES} votes a pair")
    print("step   " + "".join(f"{prior:>12}" for prior in PRIORS))
    for step in STEPS_JND:
        errors = {prior: rmse_jnd(step, prior) for prior in PRIORS}
        rows.append({"step_jnd": step} | {prior: round(error, 4) for prior, (error, _) in errors.items()})
        left_out = errors["none"][1]
        note = f"   ({left_out} of {STUDIES} have no finite scale without a prior)" if left_out else ""
        print(f"{step:<7}" + "".join(f"{error:12.3f}" for error, _ in errors.values()) + note)
    held = coverage()
    print(f"\n95 % intervals of {OBSERVERS} observers, one vote a pair, hold the truth in {100 * held:.1f} %")
    at_bar = next(row["unanimous"] for row in rows if row["step_jnd"] == BAR_STEP_JND)
    is_exact = max(abs(score - wanted) for score, wanted in zip(example["unanimous"], (-1, 0, 1), strict=True)) < 0.005
    is_met = is_exact and at_bar <= BAR_RMSE_JND
    print(f"bar ({BAR_RMSE_JND} JND at a step of {BAR_STEP_JND}): {at_bar:.3f}, {'met' if is_met else 'missed'}")
    report = {
        "machine": describe(),
        "readme_example_jnd": example,
        "conditions": CONDITIONS,
        "votes_a_pair": VOTES,
        "studies": STUDIES,
        "rmse_jnd": rows,
        "interval_coverage": round(held, 4),
        "is_met": is_met,
    }
    write_bytes(RESULT, (json.dumps(report, indent=2) + "\n").encode())
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
