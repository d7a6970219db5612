"""Writing with an encoder-decoder: the likeliest next token each time, or the likeliest of several texts."""

import math

import torch
from torch import Tensor

from course_lib.encoder_decoder import DecoderCache, EncoderDecoder
from course_lib.generation import evaluating
from course_lib.sampling import at_least_float32


@torch.no_grad()
def greedy_decode(
    model: EncoderDecoder, source: Tensor, start: int, end: int, n: int, source_mask: Tensor | None = None
) -> Tensor:
    """Write after `start`, taking the likeliest token each time, until `end` or for n tokens.

    Shapes: source [b m], source_mask [b m], False at padding -> [b t] with t <= n, without `start`; what
    follows a row's `end` is filled with `end`. Each token is read once, with a cache. The model runs in eval
    mode and is left in the mode it came in. Raises ValueError unless 1 <= n <= the model's block.
    """
    _check_room(model, n)
    with evaluating(model):
        memory = model.encode(source, source_mask)
        cache = DecoderCache()
        last = source.new_full((len(source), 1), start)
        written: list[Tensor] = []
        ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
        while len(written) < n and not bool(ended.all()):
            logits = model.decode(last, memory, source_mask, cache)[:, -1]
            drawn = logits.argmax(-1).masked_fill(ended, end)
            ended |= drawn == end
            written.append(drawn)
            last = drawn[:, None]
    return torch.stack(written, dim=1)


@torch.no_grad()
def beam_decode(
    model: EncoderDecoder,
    source: Tensor,
    start: int,
    end: int,
    n: int,
    beams: int,
    source_mask: Tensor | None = None,
    length_penalty: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Keep the `beams` likeliest beginnings at each step, and return the best text when all have ended.

    Shapes as for `greedy_decode`, -> (ids [b t], log-probabilities [b], in nats, `end` included). Texts are
    ranked by log p / length^length_penalty; 0 ranks by probability alone, larger values favour longer texts
    (Wu et al. 2016 with a simpler norm). One beam is greedy decoding; as many beams as there are beginnings
    find the most probable text; in between, a beam may lose what greedy finds. Raises ValueError unless
    beams >= 1 and 1 <= n <= the model's block.
    """
    _check_room(model, n)
    if beams < 1:
        raise ValueError(f"Beam search needs a beam at least, but got {beams}.")
    b, device = len(source), source.device
    with evaluating(model):
        memory = model.encode(source, source_mask).repeat_interleave(beams, dim=0)  # [b*k m d]
        mask = None if source_mask is None else source_mask.repeat_interleave(beams, dim=0)
        cache = DecoderCache()
        last = source.new_full((b * beams, 1), start)
        texts = source.new_empty(b, beams, 0)
        # all beams begin alike: only the first may be continued, or they would stay alike
        scores = at_least_float32(memory.new_full((b, beams), -math.inf))
        scores[:, 0] = 0.0
        lengths = torch.zeros(b, beams, device=device)
        ended = torch.zeros(b, beams, dtype=torch.bool, device=device)
        for _ in range(n):
            logits = model.decode(last, memory, mask, cache)[:, -1]
            gains = at_least_float32(logits).log_softmax(-1).view(b, beams, -1)  # [b k v]
            # an ended text has one continuation, at no cost
            gains = gains.masked_fill(ended[..., None], -math.inf)
            gains[..., end] = gains[..., end].masked_fill(ended, 0.0)
            vocab = gains.shape[-1]
            scores, best = (scores[..., None] + gains).flatten(1).topk(beams, dim=-1)  # [b k]
            parents, drawn = best // vocab, best % vocab
            kept = texts.gather(1, parents[..., None].expand_as(texts))
            texts = torch.cat([kept, drawn[..., None]], dim=-1)  # [b k t]
            ended = ended.gather(1, parents)
            lengths = lengths.gather(1, parents) + ~ended
            ended = ended | (drawn == end)
            if bool(ended.all()):
                break
            cache.written.reorder((parents + beams * torch.arange(b, device=device)[:, None]).flatten())
            last = drawn.reshape(-1, 1)
        winner = (scores / lengths**length_penalty).argmax(-1, keepdim=True)  # [b 1]
    ids = texts.gather(1, winner[..., None].expand(-1, -1, texts.shape[-1]))[:, 0]
    return ids, scores.gather(1, winner)[:, 0]


def _check_room(model: EncoderDecoder, n: int) -> None:
    if not 1 <= n <= model.block:
        raise ValueError(f"The decoder can write 1 to {model.block} tokens, but {n} were asked for.")
