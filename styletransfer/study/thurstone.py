"""From votes to a scale in just noticeable differences (JND): Thurstone's Case V by maximum likelihood.

P(i is chosen over j) = Φ((qᵢ − qⱼ) / 1.4826): 1 JND apart, 75 % choose the better one. After

- Thurstone: A Law of Comparative Judgment. Psychological Review, 1927.
- Pérez-Ortiz, Mantiuk: A practical guide and software for analysing pairwise comparison experiments.
  arXiv 1712.03686, 2017 (pwcmp).

Departures from pwcmp: pictures that no chain of comparisons joins are an error instead of being tied together; the
prior is another by default, see :data:`PRIORS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from styletransfer.core.errors import InputError, MissingExtraError, SettingsError

Array = npt.NDArray[np.float64]

SIGMA_JND = 1.4826
"""Standard deviation of a difference in JND, 1 / Φ⁻¹(0.75), rounded as pwcmp does."""

PRIORS = {
    "unanimous": "where all chose the same of a pair, PSEUDO_VOTES are added to both sides. Nothing else changes, so "
    "votes that agree with a scale give exactly that scale; every scale is finite, and the likelihood stays concave",
    "gaussian": "pwcmp's prior of that name: a distance is the likelier, the better it fits any of the pairs compared. "
    "Slow, and with two conditions it does not keep a unanimous vote finite",
    "none": "maximum likelihood alone; unanimous votes may have no finite scale",
}
PSEUDO_VOTES = 1 / 3
_MAX_NEWTON_STEPS = 100
_LONGEST_STEP_JND = 2.0
_CONVERGED_JND = 1e-9


def scale(wins_nn: Array, conditions: Sequence[str], prior: str = "unanimous") -> Array:
    """The scores of N conditions, JND, with mean 0.

    Args:
        wins_nn: how often i was chosen over j.
        conditions: their names, for messages.
        prior: one of :data:`PRIORS`.

    Raises:
        InputError: a single condition; no chain of comparisons joins all of them; no finite scale without a prior.
        MissingExtraError: scipy is not installed.
    """
    require_prior(prior)
    if len(wins_nn) < 2:
        raise InputError(f"{', '.join(conditions) or 'nothing'} alone; a scale needs two or more conditions")
    labels_n = _groups(wins_nn)
    if labels_n.max() > 0:
        groups = [
            ", ".join(name for name, label in zip(conditions, labels_n, strict=True) if label == group)
            for group in range(labels_n.max() + 1)
        ]
        raise InputError(f"no comparisons join these groups of conditions: {' | '.join(groups)}; scale them apart")
    if prior == "none" and not has_finite_scale(wins_nn, prior):
        raise InputError(
            "a part of the conditions won every comparison with the rest, which has no finite scale without a prior; "
            "use the prior unanimous"
        )
    scores_n: Array = scale_many(wins_nn[None], prior)[0]
    return scores_n


def scale_many(wins_bnn: Array, prior: str = "unanimous") -> Array:
    """The scores ``[B, N]`` of many tables at once, JND, each with mean 0; none of them is checked."""
    scores_bn = _newton(_with_pseudo_votes(wins_bnn) if prior != "none" else wins_bnn)
    if prior == "gaussian":
        scores_bn = np.stack([_gaussian(wins, start) for wins, start in zip(wins_bnn, scores_bn, strict=True)])
    centred_bn: Array = scores_bn - scores_bn.mean(1, keepdims=True)
    return centred_bn


def require_prior(prior: str) -> None:
    """Raise a :class:`SettingsError` for a prior that there is not."""
    if prior not in PRIORS:
        raise SettingsError(f"no prior is called {prior!r}; allowed: {', '.join(PRIORS)}")


def log_normal_cdf(z: Array) -> Array:
    """Logarithm of Φ(z), also far out where Φ(z) is 0 in float64.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy import special
    except ImportError as error:
        raise MissingExtraError("scipy", "study", "make a scale of votes") from error
    return np.asarray(special.log_ndtr(z))


def _groups(wins_nn: npt.NDArray[Any], connection: str = "weak") -> npt.NDArray[np.int32]:
    """The group ``[N]`` of each condition, from 0: comparisons join those of a group; ``strong``: chains of wins do."""
    try:
        from scipy.sparse import csgraph
    except ImportError as error:
        raise MissingExtraError("scipy", "study", "make a scale of votes") from error

    _, labels_n = csgraph.connected_components(wins_nn != 0, directed=True, connection=connection)
    return np.asarray(labels_n)


def has_finite_scale(wins_nn: Array, prior: str = "unanimous") -> bool:
    """Whether comparisons (without a prior: chains of wins, both ways) join all conditions."""
    joins_nn = (wins_nn > 0) if prior == "none" else (wins_nn + wins_nn.T > 0)
    is_complete = np.count_nonzero(joins_nn) == len(wins_nn) * (len(wins_nn) - 1)  # as nearly always; quick to see
    return len(wins_nn) > 1 and (bool(is_complete) or not _groups(joins_nn, "strong").any())


def _with_pseudo_votes(wins_bnn: Array) -> Array:
    lost_bnn = wins_bnn.swapaxes(1, 2)
    is_unanimous_bnn = np.logical_xor(wins_bnn == 0, lost_bnn == 0)
    voted_bnn: Array = wins_bnn + PSEUDO_VOTES * is_unanimous_bnn
    return voted_bnn


def _newton(wins_bnn: Array) -> Array:
    """Maximise Σ wᵢⱼ log Φ(zᵢⱼ), zᵢⱼ = (qᵢ − qⱼ)/σ, for each table: concave, so Newton with short steps gets there."""
    batch, count = wins_bnn.shape[:2]
    scores_bn = np.zeros((batch, count))
    # The likelihood does not see a common shift of all scores: this makes the system of equations have one solution.
    anchor_nn = np.ones((count, count)) / count
    for _ in range(_MAX_NEWTON_STEPS):
        z_bnn = (scores_bn[:, :, None] - scores_bn[:, None, :]) / SIGMA_JND
        ratio_bnn = np.exp(-0.5 * z_bnn**2 - log_normal_cdf(z_bnn)) / np.sqrt(2 * np.pi)  # φ/Φ, also far out
        pull_bnn = wins_bnn * ratio_bnn
        slope_bn = (pull_bnn.sum(2) - pull_bnn.sum(1)) / SIGMA_JND
        bend_bnn = pull_bnn * (z_bnn + ratio_bnn) / SIGMA_JND**2
        bend_bnn = bend_bnn + bend_bnn.swapaxes(1, 2)
        system_bnn = bend_bnn.sum(2)[:, :, None] * np.eye(count) - bend_bnn + anchor_nn
        step_bn = np.linalg.solve(system_bnn, slope_bn[:, :, None])[:, :, 0]
        longest_b = np.abs(step_bn).max(1, keepdims=True)
        scores_bn += step_bn * np.minimum(1, _LONGEST_STEP_JND / np.maximum(longest_b, 1e-300))
        if longest_b.max(initial=0) < _CONVERGED_JND:
            break
    return scores_bn


def _gaussian(wins_nn: Array, start_n: Array) -> Array:
    """Likelihood and pwcmp's ``gaussian`` prior: Σ over compared pairs of log(0.1 + Σₖ likelihoodₖ(distance)).

    The likelihood of each pair k, with unanimous votes moved by one to the nearest that are not, is normalised over
    the distances of all pairs, as pwcmp does.
    """
    from scipy import optimize

    first, second = np.nonzero(wins_nn + wins_nn.T)
    wins, lost = wins_nn[first, second], wins_nn[second, first]
    total = wins + lost
    moved = np.where(wins == 0, 1, np.where(lost == 0, wins - 1, wins))

    def objective(scores_n: Array) -> tuple[float, Array]:
        z = (scores_n[first] - scores_n[second]) / SIGMA_JND
        log_p, log_q = log_normal_cdf(z), log_normal_cdf(-z)
        fits_km = moved[:, None] * log_p + (total - moved)[:, None] * log_q
        fits_km = np.exp(fits_km - fits_km.max(1, keepdims=True))
        fits_km /= fits_km.sum(1, keepdims=True)
        prior_m = fits_km.sum(0) + 0.1
        up, down = (np.exp(-0.5 * z**2 - log) / np.sqrt(2 * np.pi) for log in (log_p, log_q))
        bends_km = moved[:, None] * up - (total - moved)[:, None] * down
        slope_m = (
            (fits_km * bends_km * (1 / prior_m - (fits_km @ (1 / prior_m))[:, None])).sum(0) + wins * up - lost * down
        )
        gradient_n = np.bincount(first, slope_m, len(scores_n)) - np.bincount(second, slope_m, len(scores_n))
        mean = scores_n.mean()
        value = -np.sum(wins * log_p + lost * log_q + np.log(prior_m)) + 0.01 * mean**2
        return float(value), -gradient_n / SIGMA_JND + 0.02 * mean / len(scores_n)

    return np.asarray(optimize.minimize(objective, start_n, jac=True, method="BFGS").x)
