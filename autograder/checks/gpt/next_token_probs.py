"""The check of ``next_token_probs(logits, temperature=1.0, top_k=None, top_p=None)``."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("gpt.next_token_probs", objects=("next_token_probs",))


def oracle(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """By asking of each token how many tokens are better, and how much mass they have: nothing is sorted."""
    x = logits.double()
    better = x[..., None, :] > x[..., :, None]  # [... v v], True where the second token beats the first
    if temperature == 0:
        best = ~better.any(-1)
        return (best & (best.cumsum(-1) == 1)).to(logits.dtype)
    probs = torch.exp((x - x.logsumexp(-1, keepdim=True)) / temperature)
    for keeps in (
        lambda p: better.sum(-1) < (top_k or math.inf),
        lambda p: (better * p[..., None, :]).sum(-1) < (top_p or math.inf),
    ):
        probs = probs / probs.sum(-1, keepdim=True)
        probs = probs * keeps(probs)
    return (probs / probs.sum(-1, keepdim=True)).to(logits.dtype)


def between_sums(draw: Draw, probs: Tensor, low: float | None = None, high: float = 0.9) -> float:
    """A top_p that is no row's sum of its best probabilities, so that rounding cannot decide.

    Without ``low`` it is so large that some row keeps more than its best token.
    """
    low = probs.amax(-1).min().item() if low is None else low
    sums = probs.double().sort(-1, descending=True).values.cumsum(-1)
    while (sums - (p := draw.uniform(low, high))).abs().min() < 2e-3:
        pass
    return p


def expect(plan: Plan, logits: Tensor, rtol: float = 1e-4, **options: float) -> None:
    """Compare one distribution."""
    told = "".join(f", {name}={value}" for name, value in options.items())
    what = f"next_token_probs(logits{told})"
    plan.expect(plan.call(logits, **options), oracle(logits, **options), what, rtol=rtol)


@EXERCISE.case(points=1, cause="divide the logits by the temperature, then softmax over the last axis.")
def temperature(draw: Draw, plan: Plan) -> None:
    """Temperature 1, below it and above it"""
    b, v = draw.sizes(2, 3, 9)
    logits = 2 * draw.normal(b, v)
    expect(plan, logits)
    expect(plan, logits, temperature=draw.uniform(0.3, 0.7))
    expect(plan, logits, temperature=draw.uniform(1.5, 3.0))


@EXERCISE.case(points=1, cause="temperature 0 means all probability on the largest logit, the first one among equals.")
def greedy(draw: Draw, plan: Plan) -> None:
    """Temperature 0: the largest logit, and the smallest id among equals"""
    b, v = draw.sizes(2, 3, 9)
    expect(plan, draw.normal(b, v), temperature=0.0)
    tied = draw.normal(b, v) - 5.0
    tied[:, draw.permutation(v)[:2]] = 1.5
    expect(plan, tied, temperature=0.0)


@EXERCISE.case(
    points=1, cause="set all but the k largest logits of each row to -inf before softmax; unsorted, in place."
)
def top_k(draw: Draw, plan: Plan) -> None:
    """top_k: some, one only, and more than there are"""
    logits = 2 * draw.normal(3, 8)
    for k in (draw.integer(2, 6), 1, 8, 11):
        expect(plan, logits, top_k=k)


@EXERCISE.case(
    points=1.5, cause="keep a token if the mass of all better ones is below p: the one that crosses p stays."
)
def top_p(draw: Draw, plan: Plan) -> None:
    """top_p: the fewest best tokens that together reach p; a tiny p keeps the best one, p = 1 keeps all"""
    logits = 1.5 * draw.normal(4, 9)
    for low, high in ((0.3, 0.6), (0.6, 0.9)):
        expect(plan, logits, top_p=between_sums(draw, oracle(logits), low, high))
    expect(plan, logits, top_p=0.01)
    expect(plan, logits, top_p=1.0)


@EXERCISE.case(
    points=0.5, cause="compare with the value at the edge, so that all its equals are kept and no id is favoured."
)
def equals_at_the_edge(draw: Draw, plan: Plan) -> None:
    """Equal logits where top_k or top_p cuts: all of them stay"""
    levels = torch.tensor([2.0, 1.0, 1.0, 1.0, 0.0, -1.0])
    logits = torch.stack([levels[draw.permutation(6)] for _ in range(3)])
    for k in (2, 3):
        expect(plan, logits, top_k=k)
    # the best token has 0.437 and each of the three equals 0.161: both cut inside the group of equals
    for p in (0.52, 0.68):
        expect(plan, logits, top_p=p)


@EXERCISE.case(points=1, cause="temperature first, then top_k, then top_p of what top_k has left, shared out anew.")
def together(draw: Draw, plan: Plan) -> None:
    """Temperature, top_k and top_p together, in this order"""
    for _ in range(2):
        while True:
            logits, heat, k = 1.5 * draw.normal(3, 9), draw.uniform(1.6, 2.5), draw.integer(4, 6)
            p = between_sums(draw, oracle(logits, heat, k), 0.5, 0.85)
            kept = (oracle(logits, heat, k, p) > 0).sum()
            others = oracle(logits, heat, None, p), oracle(logits, heat, k - 1, p), oracle(logits, 1.0, k, p)
            if all(kept != (other > 0).sum() for other in others):
                break
        expect(plan, logits, temperature=heat, top_k=k, top_p=p)


@EXERCISE.case(points=0.5, cause="the vocabulary is the last axis (dim=-1) whatever stands before it.")
def leading_axes(draw: Draw, plan: Plan) -> None:
    """One row alone, and two axes in front; each row is cut by itself"""
    b, n = draw.sizes(2, 2, 4)
    v = draw.integer(5, 8)
    for shape in ((v,), (b, n, v)):
        logits = 1.5 * draw.normal(*shape)
        expect(plan, logits)
        expect(plan, logits, top_k=3)
        expect(plan, logits, top_p=between_sums(draw, oracle(logits), 0.4, 0.8))


@EXERCISE.case(points=0.5, cause="subtract the largest logit before exp; a logit of -inf gets probability 0, not NaN.")
def far_apart(draw: Draw, plan: Plan) -> None:
    """Logits near ±1000, and some of -inf"""
    b, v = draw.sizes(2, 5, 9)
    for level in (1e3, -1e3):
        # float32 resolves logits of this size to 1e-4
        expect(plan, level + 2 * draw.normal(b, v), rtol=1e-2, temperature=draw.uniform(0.5, 0.9))
    logits = draw.normal(b, v)
    logits[:, draw.permutation(v)[:2]] = -math.inf
    for options in ({}, {"top_k": v - 1}, {"top_p": between_sums(draw, oracle(logits))}, {"temperature": 0.0}):
        expect(plan, logits, **options)


@EXERCISE.case(points=1, cause="return the distribution in the dtype of logits, and leave the logits as they were.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, and the logits stay as they were"""
    values = draw.normal(3, 8, dtype=torch.float64)
    p = between_sums(draw, oracle(values))
    for options in ({"temperature": 0.7}, {"temperature": 0.0}, {"top_k": 3}, {"top_p": p}):
        logits = plan.put(values)
        told = ", ".join(f"{name}={value}" for name, value in options.items())
        plan.expect(plan.call(logits, **options), oracle(values, **options), f"float64 probabilities with {told}")
        plan.expect(logits, values, f"logits after a call with {told}")


@EXERCISE.variant
def by_values_at_the_edge() -> None:
    """Sort, find the value at the edge, compare"""

    def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
        if temperature == 0:
            best = logits.argmax(dim=-1)
            return F.one_hot(best, logits.shape[-1]).to(logits.dtype)
        scores = logits / temperature
        if top_k is not None:
            k = min(top_k, scores.shape[-1])
            lowest = scores.topk(k, dim=-1).values[..., -1:]
            scores = scores.masked_fill(scores < lowest, -math.inf)
        probs = scores.softmax(dim=-1)
        if top_p is not None:
            ranked = probs.sort(dim=-1, descending=True).values
            before = ranked.cumsum(dim=-1) - ranked
            edge = ranked.masked_fill(before >= top_p, math.inf).amin(dim=-1, keepdim=True)
            probs = probs.masked_fill(probs < edge, 0.0)
            probs = probs / probs.sum(dim=-1, keepdim=True)
        return probs


@EXERCISE.variant
def by_comparing_pairs() -> None:
    """How many tokens are better, and how much mass they have"""

    def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
        if temperature == 0:
            out = torch.zeros_like(logits)
            return out.scatter(-1, logits.max(-1, keepdim=True).indices, 1.0)
        better = (logits.unsqueeze(-2) > logits.unsqueeze(-1)).to(logits.dtype)
        probs = F.softmax(logits / temperature, -1)
        if top_k:
            probs = torch.where(better.sum(-1) < top_k, probs, 0)
            probs = probs / probs.sum(-1, keepdim=True)
        if top_p:
            probs = torch.where(torch.einsum("...ij,...j->...i", better, probs) < top_p, probs, 0)
        return probs / probs.sum(-1, keepdim=True)


@EXERCISE.variant
def row_by_row() -> None:
    """Python lists, one row at a time"""

    def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
        rows = []
        for row in logits.reshape(-1, logits.shape[-1]).tolist():
            top = max(row)
            if temperature == 0:
                first = row.index(top)
                rows.append([float(i == first) for i in range(len(row))])
                continue
            masses = [math.exp((x - top) / temperature) for x in row]
            if top_k is not None and top_k < len(row):
                lowest = sorted(row)[-top_k]
                masses = [m if x >= lowest else 0.0 for m, x in zip(masses, row, strict=True)]
            total = sum(masses)
            if top_p is not None:
                so_far, lowest = 0.0, top
                for x, m in sorted(zip(row, masses, strict=True), reverse=True):
                    if so_far >= top_p * total:
                        break
                    so_far, lowest = so_far + m, x
                masses = [m if x >= lowest else 0.0 for m, x in zip(masses, row, strict=True)]
                total = sum(masses)
            rows.append([m / total for m in masses])
        return torch.tensor(rows, dtype=logits.dtype).reshape(logits.shape)


@EXERCISE.variant
def cut_in_the_logits() -> None:
    """Everything cut is -inf in the logits, one softmax at the end"""

    def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
        if temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.size(-1)).type_as(logits)
        x = logits.clone() / temperature
        if top_k is not None and top_k < x.size(-1):
            x[x < x.sort(dim=-1).values[..., -top_k, None]] = -torch.inf
        if top_p is not None and top_p < 1:
            ranked, _ = x.sort(dim=-1, descending=True)
            sums = torch.cumsum(ranked.softmax(-1), dim=-1)
            kept = 1 + (sums < top_p).sum(-1, keepdim=True)
            x = torch.where(x < ranked.gather(-1, kept.clamp(max=x.size(-1)) - 1), -torch.inf, x)
        return torch.softmax(x, -1)


SCALE = "scores = logits / temperature"
GREEDY = "return F.one_hot(best, logits.shape[-1]).to(logits.dtype)"
BEST = "best = logits.argmax(dim=-1)"
SMALL = "k = min(top_k, scores.shape[-1])"
LOWEST = "lowest = scores.topk(k, dim=-1).values[..., -1:]"
CUT_K = "scores = scores.masked_fill(scores < lowest, -math.inf)"
SOFTMAX = "probs = scores.softmax(dim=-1)"
BEFORE = "before = ranked.cumsum(dim=-1) - ranked"
EDGE = "edge = ranked.masked_fill(before >= top_p, math.inf).amin(dim=-1, keepdim=True)"
CUT_P = "probs = probs.masked_fill(probs < edge, 0.0)"
SHARE = "        probs = probs / probs.sum(dim=-1, keepdim=True)\n"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "multiplied_by_temperature",
        "The logits are multiplied by the temperature, so a high one sharpens. Divide: high temperatures flatten.",
        [(SCALE, "scores = logits * temperature")],
    ),
    (
        "temperature_ignored",
        "The temperature is taken in and used for nothing but zero.",
        [(SCALE, "scores = logits")],
    ),
    (
        "temperature_after_softmax",
        "The probabilities are divided by the temperature: they no longer sum to one. Divide the logits.",
        [(SCALE, "scores = logits"), (SOFTMAX, "probs = scores.softmax(dim=-1) / temperature")],
    ),
    (
        "division_by_zero",
        "At temperature 0 the logits are divided by zero, and inf - inf is NaN. Take the largest logit instead.",
        [("if temperature == 0:", "if temperature < 0:")],
    ),
    (
        "shared_among_the_best",
        "At temperature 0 equal best logits share the probability; greedy takes one, the smallest id.",
        [
            (
                GREEDY,
                "best = logits == logits.amax(-1, keepdim=True)\n        return best / best.sum(-1, keepdim=True)",
            ),
            (BEST, "pass"),
        ],
    ),
    (
        "last_of_the_best",
        "At temperature 0 the last of equal logits is taken; among equals take the smallest id.",
        [(BEST, "best = logits.shape[-1] - 1 - logits.flip(-1).argmax(dim=-1)")],
    ),
    (
        "id_for_distribution",
        "At temperature 0 the id of the best token comes back; return a distribution, 1 at that id and 0 elsewhere.",
        [(GREEDY, "return best")],
    ),
    (
        "greedy_in_integers",
        "At temperature 0 the result holds integers, as one_hot makes them; turn them into the dtype of the logits.",
        [(GREEDY, "return F.one_hot(best, logits.shape[-1])")],
    ),
    (
        "more_than_there_are",
        "topk fails when top_k is larger than the vocabulary; take min(top_k, v).",
        [(SMALL, "k = top_k")],
    ),
    (
        "edge_itself_cut",
        "The k-th largest logit is cut as well (<= for <), so one token too few is left, and none for top_k=1.",
        [("scores < lowest", "scores <= lowest")],
    ),
    (
        "exactly_k_kept",
        "Exactly k tokens are kept by their places, so one of several equals is favoured. Compare with the k-th value.",
        [(CUT_K, "scores = torch.full_like(scores, -math.inf).scatter(-1, *scores.topk(k, dim=-1)[::-1])")],
    ),
    (
        "cut_to_zero",
        "Cut logits are set to 0, and exp(0) = 1 is still a share. Set them to -inf.",
        [(CUT_K, "scores = scores.masked_fill(scores < lowest, 0.0)")],
    ),
    (
        "smallest_kept",
        "The k smallest logits are kept; pass largest=True, the default of topk.",
        [
            (LOWEST, "lowest = scores.topk(k, dim=-1, largest=False).values[..., -1:]"),
            ("scores < lowest", "scores > lowest"),
        ],
    ),
    (
        "one_edge_for_all_rows",
        "The k-th largest logit is looked for in all rows together; each row has its own.",
        [(LOWEST, "lowest = scores.flatten().topk(k).values[-1]")],
    ),
    (
        "top_k_not_shared_out",
        "Tokens are cut after softmax and what is left is not shared out: the row sums to less than one.",
        [
            (CUT_K, "cut = scores < lowest"),
            (SOFTMAX, SOFTMAX + "\n    if top_k is not None:\n        probs = probs.masked_fill(cut, 0.0)"),
        ],
    ),
    (
        "crossing_token_cut",
        "The token whose probability crosses p is cut, so what is kept does not reach p. Look at the mass of the "
        "better tokens alone, without the token itself.",
        [(BEFORE, "before = ranked.cumsum(dim=-1)\n        before[..., 0] = 0")],
    ),
    (
        "best_token_cut",
        "Every token with which the sum exceeds p is cut, even the best: for a small p nothing is left and 0/0 is NaN. "
        "Look at the mass of the better tokens alone.",
        [(BEFORE, "before = ranked.cumsum(dim=-1)")],
    ),
    (
        "probability_compared_with_p",
        "Each probability is compared with p by itself; it is the sum of the best ones that has to reach p.",
        [(EDGE, "edge = ranked[..., :1].clamp(max=top_p)")],
    ),
    (
        "order_lost",
        "The result stays sorted: probabilities stand at ranks, not at their tokens' ids. Scatter them back.",
        [(CUT_P, "probs = ranked.masked_fill(ranked < edge, 0.0)")],
    ),
    (
        "from_the_smallest_up",
        "The sum begins with the smallest probabilities, so the best are cut. Sort with descending=True.",
        [
            ("descending=True", "descending=False"),
            (EDGE, "edge = ranked.masked_fill(before >= top_p, -math.inf).amax(dim=-1, keepdim=True)"),
            ("probs < edge", "probs > edge"),
        ],
    ),
    (
        "equals_cut_by_top_p",
        "Tokens are cut by rank, so one of several equals is favoured. Compare with the probability at the edge.",
        [
            (
                CUT_P,
                "order = probs.argsort(dim=-1, descending=True, stable=True)\n"
                "        cut = torch.zeros_like(probs, dtype=torch.bool).scatter(-1, order, before >= top_p)\n"
                "        probs = probs.masked_fill(cut, 0.0)",
            )
        ],
    ),
    (
        "top_p_not_shared_out",
        "After top_p the row sums to less than one; divide by what is left.",
        [(SHARE, "")],
    ),
    (
        "top_p_before_top_k",
        "top_p looks at the probabilities before top_k has cut; it comes last, on what top_k left, shared out anew.",
        [
            (CUT_K, "cut = scores < lowest"),
            (
                "    return probs\n",
                "    if top_k is not None:\n        probs = probs.masked_fill(cut, 0.0)\n"
                "        probs = probs / probs.sum(dim=-1, keepdim=True)\n    return probs\n",
            ),
        ],
    ),
    (
        "top_p_before_temperature",
        "top_p is found at temperature 1; the temperature comes first, and changes how many tokens reach p.",
        [
            (SCALE, "scores = logits"),
            (
                "    return probs\n",
                "    probs = probs ** (1 / temperature)\n    return probs / probs.sum(dim=-1, keepdim=True)\n",
            ),
        ],
    ),
    (
        "softmax_over_the_first_axis",
        "Softmax runs along the first axis, over the texts; the vocabulary is the last one.",
        [(SOFTMAX, "probs = scores.softmax(dim=0)")],
    ),
    (
        "softmax_over_axis_one",
        "Softmax runs along axis 1, which is the vocabulary for logits [b v] alone; write dim=-1.",
        [(SOFTMAX, "probs = scores.softmax(dim=1)")],
    ),
    (
        "exponentials_overflow",
        "exp of a large logit overflows. Subtract each row's largest first, or call softmax.",
        [(SOFTMAX, "probs = scores.exp() / scores.exp().sum(dim=-1, keepdim=True)")],
    ),
    (
        "logarithms_returned",
        "These are log-probabilities; return probabilities.",
        [("    return probs\n", "    return probs.log()\n")],
    ),
    (
        "logits_changed_in_place",
        "`logits /= temperature` changes the caller's logits; write `scores = logits / temperature`.",
        [(SCALE, "logits /= temperature\n    scores = logits")],
    ),
    (
        "in_single_precision",
        "The result is float32 whatever came in; keep the dtype of the logits.",
        [(SOFTMAX, "probs = scores.float().softmax(dim=-1)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(by_values_at_the_edge, name, says, *changes)
