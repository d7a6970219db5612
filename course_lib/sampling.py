"""From a language model's logits to the distribution that the next token is drawn from."""

import math

import torch
from torch import Tensor

from course_lib.attention import softmax


def next_token_probs(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Turn logits into the distribution to sample from: sharpen, keep the best, share out anew.

    Shape: [... v], kept. First logits are divided by `temperature`; 0 means greedy, all on the largest
    logit (on the smallest id among equals). Then `top_k` keeps the k largest, then `top_p` the smallest set
    of most probable tokens whose probabilities, after the steps before, sum to at least p (Holtzman et al.
    2020); at either edge all equals are kept, so that no id is favoured. Logits of -inf get probability
    zero. Raises ValueError for options out of range and for logits without a largest finite one.
    """
    _check_sampling(logits, temperature, top_k, top_p)
    wide = at_least_float32(logits)
    highest = wide.amax(-1, keepdim=True)
    if not highest.isfinite().all():
        raise ValueError("Each row of logits needs a finite largest one: found NaN, inf or only -inf.")
    if temperature == 0:
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
    # relative to the largest, so that a tiny temperature gives -inf but never inf - inf
    scores = (wide - highest) / max(temperature, torch.finfo(wide.dtype).tiny)
    if top_k is not None and top_k < scores.shape[-1]:
        edge = scores.topk(top_k, dim=-1).values[..., -1:]
        scores = scores.masked_fill(scores < edge, -math.inf)
    probs = softmax(scores, dim=-1)
    if top_p is not None and top_p < 1:
        ranked = probs.sort(dim=-1, descending=True).values
        before = ranked.cumsum(-1) - ranked  # the mass of all better tokens
        edge = ranked.masked_fill(before >= top_p, math.inf).amin(-1, keepdim=True)
        probs = probs.masked_fill(probs < edge, 0.0)
        probs = probs / probs.sum(-1, keepdim=True)
    return probs.to(logits.dtype)


def at_least_float32(x: Tensor) -> Tensor:
    """Widen half precision, in which probabilities do not add up, to float32; leave the rest alone."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _check_sampling(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not logits.is_floating_point():
        raise TypeError(f"Logits must be floating-point numbers, but are {logits.dtype}.")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"The temperature must be zero or a positive number, but is {temperature}.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must keep at least one token, but is {top_k}.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be a probability above 0, but is {top_p}.")
