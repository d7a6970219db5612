"""Where a decoder looks in the text it translates."""

import torch
from torch import Tensor

from course_lib.encoder_decoder import EncoderDecoder
from course_lib.generation import evaluating


@torch.no_grad()
def cross_attention_maps(
    model: EncoderDecoder, source: Tensor, target: Tensor, source_mask: Tensor | None = None
) -> Tensor:
    """Return the cross-attention weights of all decoder blocks while `target` is read: [depth b h n m].

    Shapes: source [b m], target [b n], source_mask [b m], False at padding. Row i belongs to the prediction of
    the token after target[i].
    """
    asked: list[Tensor] = []
    # what norm2 gives out is what cross-attention makes its queries of
    hooks = [block.norm2.register_forward_hook(lambda _, __, out: asked.append(out)) for block in model.decoder]
    try:
        with evaluating(model):
            memory = model.encode(source, source_mask)
            model.decode(target, memory, source_mask)
            mask = None if source_mask is None else source_mask[:, None, :]
            maps = [
                block.cross_attn.attention_maps(x, memory, mask) for block, x in zip(model.decoder, asked, strict=True)
            ]
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(maps)
