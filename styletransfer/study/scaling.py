"""A study's scale, scene by scene and over all: scores, bootstrap intervals, observers who vote unlike the others.

After Pérez-Ortiz, Mantiuk: A practical guide and software for analysing pairwise comparison experiments, arXiv
1712.03686 (pwcmp), with one departure: an observer's likelihood is a mean over votes, since observers may have seen
different numbers of pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from styletransfer.core.errors import InputError, SettingsError
from styletransfer.study.thurstone import (
    SIGMA_JND,
    Array,
    has_finite_scale,
    log_normal_cdf,
    require_prior,
    scale,
    scale_many,
)
from styletransfer.study.votes import Vote

MIN_OBSERVERS = 4
"""Fewer observers give no quartiles to compare one of them with."""


def tally(votes: Iterable[Vote], conditions: Sequence[str], observers: Sequence[str]) -> Array:
    """Votes as counts ``[O, N, N]``: how often each observer chose condition i over j. Others are not counted."""
    place = {condition: n for n, condition in enumerate(conditions)}
    row = {observer: n for n, observer in enumerate(observers)}
    wins_onn: Array = np.zeros((len(observers), len(conditions), len(conditions)))
    for vote in votes:
        if vote.observer in row and vote.condition_a in place and vote.condition_b in place:
            pair = (place[vote.condition_a], place[vote.condition_b])
            wins_onn[(row[vote.observer], *(pair if vote.is_a_selected else pair[::-1]))] += 1
    return wins_onn


@dataclass(frozen=True)
class Scale:
    """The scale of one scene, or of all.

    Attributes:
        conditions: N names.
        jnd_n: their scores, JND.
        low_n: lower ends of the confidence intervals; None with fewer than two observers.
        high_n: upper ends.
        wins_nn: how often i was chosen over j.
        samples: bootstrap samples that the intervals are made of; those that left conditions unjoined are not.
    """

    conditions: tuple[str, ...]
    jnd_n: Array
    low_n: Array | None
    high_n: Array | None
    wins_nn: Array
    samples: int


@dataclass(frozen=True)
class ScaleSettings:
    """How a scale is made.

    Attributes:
        prior: one of :data:`~styletransfer.study.thurstone.PRIORS`.
        anchor: the condition whose score is 0; None: the mean is 0.
        samples: bootstrap samples (observers drawn with replacement); 0: no intervals.
        level: of the confidence intervals.
        seed: of the bootstrap.
    """

    prior: str = "unanimous"
    anchor: str | None = None
    samples: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        require_prior(self.prior)
        if self.samples and not 100 <= self.samples <= 100_000:
            raise SettingsError(f"{self.samples} bootstrap samples; allowed: 100 to 100000, or 0 for no intervals")
        if self.seed < 0:
            raise SettingsError(f"the seed is {self.seed}; it is 0 or more")
        if not 0.5 <= self.level < 1:
            raise SettingsError(f"confidence intervals at {self.level}; allowed: 0.5 to below 1, as 0.95")


def make_scale(wins_onn: Array, conditions: Sequence[str], settings: ScaleSettings) -> Scale:
    """Scale the votes ``[O, N, N]`` of O observers, with percentile intervals over observers.

    Raises:
        InputError: as :func:`scale`, or the anchor is none of the conditions.
    """
    if settings.anchor is not None and settings.anchor not in conditions:
        raise InputError(f"the anchor {settings.anchor!r} is none of the conditions: {', '.join(conditions)}")
    wins_nn = wins_onn.sum(0)
    scores_n = scale(wins_nn, conditions, settings.prior)
    low_n = high_n = None
    samples_bn = _bootstrap(wins_onn, settings)
    if len(samples_bn):
        tail = 50 * (1 - settings.level)
        low_n, high_n = np.percentile(_anchored(samples_bn, conditions, settings.anchor), (tail, 100 - tail), axis=0)
    jnd_n = _anchored(scores_n[None], conditions, settings.anchor)[0]
    return Scale(tuple(conditions), jnd_n, low_n, high_n, wins_nn, len(samples_bn))


def _anchored(scores_bn: Array, conditions: Sequence[str], anchor: str | None) -> Array:
    return scores_bn if anchor is None else scores_bn - scores_bn[:, [list(conditions).index(anchor)]]


def _bootstrap(wins_onn: Array, settings: ScaleSettings) -> Array:
    """Scores ``[B, N]`` of samples of observers; empty where there is one observer, or most samples have no scale."""
    observers, count = wins_onn.shape[:2]
    if observers < 2 or not settings.samples:
        return np.empty((0, count))
    rng = np.random.default_rng(settings.seed)
    times_bo = rng.multinomial(observers, np.full(observers, 1 / observers), size=settings.samples)
    wins_bnn = np.tensordot(times_bo.astype(np.float64), wins_onn, axes=1)
    has_scale = [has_finite_scale(wins_nn, settings.prior) for wins_nn in wins_bnn]
    if sum(has_scale) < settings.samples / 2:
        return np.empty((0, count))
    return scale_many(wins_bnn[has_scale], settings.prior)


def outlier_scores(tables: Iterable[Array], prior: str = "unanimous") -> tuple[Array, Array]:
    """How well each observer's votes fit the scale that all the others' make, over all scenes.

    Args:
        tables: ``[O, N, N]`` of each scene, with the same observers.
        prior: one of :data:`~styletransfer.study.thurstone.PRIORS`.

    Returns:
        The mean log-likelihood of a vote ``[O]``, NaN where the others' votes make no scale, and its distance below
        the first quartile in interquartile ranges ``[O]``: pwcmp advises to look at observers near or above 1.5.
    """
    sums: Array | float = 0.0
    votes: Array | float = 0.0
    for wins_onn in tables:
        others_onn = wins_onn.sum(0) - wins_onn
        has_scale_o = np.array([has_finite_scale(wins) for wins in others_onn])
        own_onn = wins_onn * has_scale_o[:, None, None]
        scores_on = np.zeros(wins_onn.shape[:2])
        if has_scale_o.any():
            scores_on[has_scale_o] = scale_many(others_onn[has_scale_o], "unanimous" if prior == "none" else prior)
        z_onn = (scores_on[:, :, None] - scores_on[:, None, :]) / SIGMA_JND
        sums = sums + (own_onn * log_normal_cdf(z_onn)).sum((1, 2))
        votes = votes + own_onn.sum((1, 2))
    means_o = np.divide(sums, votes, out=np.full(np.shape(votes), np.nan), where=np.asarray(votes) > 0)
    known = means_o[~np.isnan(means_o)]
    if len(known) < MIN_OBSERVERS:
        return means_o, np.zeros_like(means_o)
    first, third = np.quantile(known, (0.25, 0.75))
    below_o = np.nan_to_num(first - means_o).clip(0)
    return means_o, below_o / max(third - first, 1e-12)
