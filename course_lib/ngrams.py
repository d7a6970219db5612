"""Predicting the next token by counting: what language models were before networks, and what to beat."""

import torch
from torch import Tensor


class NGrams:
    """Predict each token from the `order - 1` before it, by counts in `data`, mixed with shorter memories.

    With c(h w) the times that w followed h, c(h) their sum and T(h) the number of different words that did, the
    probability is p(w|h) = (c(h w) + T(h) p(w|h')) / (c(h) + T(h)), where h' is h without its first token; the
    shortest memory is none, mixed with even chances for all `vocab` ids. So nothing is impossible, and the
    probabilities sum to one. Shape: data [t], integers. Raises ValueError for an order below 1, ids outside the
    vocabulary, or so many possible n-grams that they cannot be numbered. Source: Witten and Bell 1991.
    """

    def __init__(self, data: Tensor, order: int, vocab: int) -> None:
        if order < 1 or vocab**order >= 2**63:
            raise ValueError(f"n-grams of {order} out of {vocab} tokens cannot be counted: there are {vocab}^{order}.")
        _check(data, vocab)
        self.order, self.vocab = order, vocab
        self._counts: list[tuple[Tensor, Tensor]] = []
        self._contexts: list[tuple[Tensor, Tensor, Tensor]] = []
        for length in range(1, order + 1):
            grams, counts = self._numbers(data, length).unique(return_counts=True)
            contexts, where = (grams // vocab).unique(return_inverse=True)
            seen = torch.zeros(len(contexts), dtype=torch.int64).index_add(0, where, counts)
            self._counts.append((grams, counts))
            self._contexts.append((contexts, seen, where.bincount(minlength=len(contexts))))

    def probabilities(self, data: Tensor) -> Tensor:
        """The probability of each token of a text, given those before it in the text: [t] -> [t], float64."""
        _check(data, self.vocab)
        p = torch.full((len(data),), 1 / self.vocab, dtype=torch.float64)
        for length in range(1, min(self.order, len(data)) + 1):
            p[length - 1 :] = self._mix(length, self._numbers(data, length), p[length - 1 :])
        return p

    def next_probs(self, context: Tensor) -> Tensor:
        """The distribution of the token that follows `context` [t], of which the last order - 1 count: -> [v]."""
        _check(context, self.vocab)
        p = torch.full((self.vocab,), 1 / self.vocab, dtype=torch.float64)
        following = torch.arange(self.vocab)
        for length in range(1, min(self.order, len(context) + 1) + 1):
            last = context[len(context) - length + 1 :]
            grams = torch.cat([last.expand(self.vocab, -1), following[:, None]], dim=1)  # [v length]
            p = self._mix(length, self._number(grams), p)
        return p

    def _mix(self, length: int, grams: Tensor, shorter: Tensor) -> Tensor:
        # c(h w), c(h) and T(h) of each n-gram; a context never seen leaves the shorter memory's word alone
        count = _look_up(grams, *self._counts[length - 1])
        contexts, seen, kinds = self._contexts[length - 1]
        total, different = (_look_up(grams // self.vocab, contexts, table) for table in (seen, kinds))
        return torch.where(total > 0, (count + different * shorter) / (total + different).clamp(min=1), shorter)

    def _numbers(self, data: Tensor, length: int) -> Tensor:
        return self._number(data.unfold(0, length, 1)) if len(data) >= length else data.new_empty(0)

    def _number(self, grams: Tensor) -> Tensor:
        powers = self.vocab ** torch.arange(grams.shape[-1] - 1, -1, -1)
        return (grams.long() * powers).sum(-1)


def _look_up(wanted: Tensor, sorted_keys: Tensor, table: Tensor) -> Tensor:
    at = torch.searchsorted(sorted_keys, wanted).clamp(max=max(len(sorted_keys) - 1, 0))
    if not len(sorted_keys):
        return torch.zeros_like(wanted)
    return torch.where(sorted_keys[at] == wanted, table[at], 0)


def _check(data: Tensor, vocab: int) -> None:
    if data.ndim != 1 or data.is_floating_point():
        raise ValueError(f"A text is a row of integers [t], not {data.dtype} {list(data.shape)}.")
    if data.numel() and not (0 <= int(data.min()) and int(data.max()) < vocab):
        raise ValueError(f"Ids must lie in 0..{vocab - 1}, but these go from {int(data.min())} to {int(data.max())}.")
