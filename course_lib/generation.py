"""Writing with a language model: from logits to a distribution, from a distribution to the next token."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from course_lib.attention import softmax
from course_lib.kv_cache import KVCache


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


@torch.no_grad()
def decode_step(model: nn.Module, ids: Tensor, cache: KVCache, mask: Tensor | None = None) -> Tensor:
    """Read new tokens after those in `cache`, and return the logits of the token that follows.

    Shapes: ids [b n], the new ones only; mask [b past+n], False at padding -> [b v]. The cache grows by n.
    Equals the last row of the logits of a full pass. Raises ValueError if past + n exceeds the model's
    block: learned positions cannot slide, so start again with an empty cache and the last tokens.
    """
    return model.head(model.states(ids, mask, cache)[:, -1])


@torch.no_grad()
def generate(
    model: nn.Module,
    ids: Tensor,
    n: int,
    generator: torch.Generator | None = None,
    *,
    mask: Tensor | None = None,
    stop: int | None = None,
    use_cache: bool = True,
    **sampling: float | None,
) -> Tensor:
    """Continue each row of `ids` by n tokens, drawn one after the other from `next_token_probs(**sampling)`.

    Shapes: ids [b t] -> [b t+n]. Prompts of unequal length are padded on the left and told by `mask` [b t]
    (see `left_pad`). A row that has drawn `stop` is filled up with it. Every token is drawn from what the
    last `model.block` tokens predict. `model` maps ids to logits [b t v]; a GPT reads each token once, with
    a KVCache, until the text outgrows the block. It runs in eval mode and is left in the mode it came in;
    random numbers come from `generator` (on its device) or else from torch's global one.
    Raises ValueError for an empty prompt, one that is all padding, or a negative n.
    """
    _check_prompt(ids, mask, n)
    cache = KVCache() if use_cache and hasattr(model, "states") else None
    length = ids.shape[1]
    text = torch.cat([ids, ids.new_full((ids.shape[0], n), 0 if stop is None else stop)], dim=1)
    real = None if mask is None or bool(mask.all()) else torch.cat([mask, mask.new_ones(len(ids), n)], dim=1)
    stopped = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    with evaluating(model):
        for end in range(length, length + n):
            start = max(0, end - getattr(model, "block", end))
            seen = None if real is None else real[:, start:end]
            logits = _last_logits(model, text[:, start:end], seen, cache, moved=start > 0)
            drawn = _draw(next_token_probs(at_least_float32(logits), **sampling), generator)
            if stop is not None:
                drawn = drawn.masked_fill(stopped, stop)
                stopped |= drawn == stop
            text[:, end] = drawn
            if stop is not None and bool(stopped.all()):
                break
    return text


def left_pad(
    prompts: Sequence[Sequence[int]], pad: int = 0, device: torch.device | str | None = None
) -> tuple[Tensor, Tensor]:
    """Lay prompts of unequal length in one table whose last column holds every prompt's last token.

    b lists of ids -> ids [b t] filled up with `pad` on the left, and mask [b t], False there, t being the
    longest length. Raises ValueError if a prompt, or the list of them, is empty.
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ValueError("Each prompt needs at least one token, and there must be a prompt.")
    longest = max(len(prompt) for prompt in prompts)
    rows = [[pad] * (longest - len(prompt)) + [int(i) for i in prompt] for prompt in prompts]
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    mask = torch.arange(longest, device=device) >= (longest - lengths)[:, None]
    return torch.tensor(rows, device=device), mask


def at_least_float32(x: Tensor) -> Tensor:
    """Widen half precision, in which probabilities do not add up, to float32; leave the rest alone."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put all parts of a model in eval mode, and each back into its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _last_logits(model: nn.Module, window: Tensor, mask: Tensor | None, cache: KVCache | None, moved: bool) -> Tensor:
    if cache is None:
        return (model(window) if mask is None else model(window, mask))[:, -1]
    if moved:
        # every token now stands at another position, so nothing remembered is still true
        cache.reset()
    return decode_step(model, window[:, cache.length :], cache, mask)


def _draw(probs: Tensor, generator: torch.Generator | None) -> Tensor:
    source = probs.device if generator is None else generator.device
    return torch.multinomial(probs.to(source), 1, generator=generator)[:, 0].to(probs.device)


def _check_sampling(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not logits.is_floating_point():
        raise TypeError(f"Logits must be floating-point numbers, but are {logits.dtype}.")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"The temperature must be zero or a positive number, but is {temperature}.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must keep at least one token, but is {top_k}.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be a probability above 0, but is {top_p}.")


def _check_prompt(ids: Tensor, mask: Tensor | None, n: int) -> None:
    if ids.ndim != 2 or ids.shape[1] == 0 or n < 0:
        raise ValueError(f"Need ids [b t] with a token at least and n >= 0, not {tuple(ids.shape)} and {n}.")
    if mask is not None and (mask.shape != ids.shape or not bool(mask[:, -1].all())):
        raise ValueError("The mask must be shaped like ids and be True in the last column: pad on the left.")
