"""BLEU: how much of a translation can be found in the one that a person made."""

import math
from collections import Counter
from collections.abc import Sequence

Words = Sequence[str]


def bleu(candidates: Sequence[Words], references: Sequence[Words], order: int = 4) -> float:
    """Score the translations of a whole test set against one reference each, from 0 to 100.

    The geometric mean, over n = 1 to `order`, of the share of the candidates' n-grams that their references hold
    (each as often as it holds it at most), times exp(1 - r/c) if the c words of all candidates are fewer than the
    r words of all references. Sums run over the set before dividing; nothing is smoothed, so that a set without
    any common n-gram of some n scores 0. Sentences are lists of words, which must have been cut in the same way.
    Raises ValueError if there are no sentences or not as many of both. Source: Papineni et al. 2002.
    """
    if not candidates or len(candidates) != len(references):
        raise ValueError(f"BLEU needs a reference for each candidate, but got {len(references)} for {len(candidates)}.")
    found, made = [0] * order, [0] * order
    for candidate, reference in zip(candidates, references, strict=True):
        for n in range(1, order + 1):
            ours, theirs = _ngrams(candidate, n), _ngrams(reference, n)
            found[n - 1] += (ours & theirs).total()
            made[n - 1] += ours.total()
    if min(found) == 0:
        return 0.0
    precision = math.exp(sum(math.log(f / m) for f, m in zip(found, made, strict=True)) / order)
    c, r = (sum(map(len, texts)) for texts in (candidates, references))
    return 100 * precision * min(1.0, math.exp(1 - r / c))


def _ngrams(words: Words, n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
