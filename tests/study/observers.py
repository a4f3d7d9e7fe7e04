"""Votes of observers who follow the model of the scale."""

import numpy as np

from styletransfer.study.votes import COLUMNS


def simulated(scores, votes_a_pair, seed, scenes=("a",), careless=()):
    """Lines of a file of votes: observers who choose by Thurstone's Case V, one vote each on every pair."""
    rng = np.random.default_rng(seed)
    lines = [",".join(COLUMNS)]
    names = list(scores)
    for observer in range(votes_a_pair):
        for scene in scenes:
            for n, first in enumerate(names):
                for second in names[n + 1 :]:
                    difference = scores[first] - scores[second] + rng.normal(0, 1.4826)
                    is_first = (difference > 0) != (observer in careless)
                    lines.append(f"o{observer},s,{scene},{first},{second},{int(is_first)}")
    return "\n".join(lines) + "\n"
