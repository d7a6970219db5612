"""Writing with a language model: from a distribution to the next token, and from there to the one after."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from course_lib.kv_cache import KVCache
from course_lib.sampling import at_least_float32, next_token_probs


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


def _check_prompt(ids: Tensor, mask: Tensor | None, n: int) -> None:
    if ids.ndim != 2 or ids.shape[1] == 0 or n < 0:
        raise ValueError(f"Need ids [b t] with a token at least and n >= 0, not {tuple(ids.shape)} and {n}.")
    if mask is not None and (mask.shape != ids.shape or not bool(mask[:, -1].all())):
        raise ValueError("The mask must be shaped like ids and be True in the last column: pad on the left.")
