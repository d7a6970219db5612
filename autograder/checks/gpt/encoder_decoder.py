"""The check of ``EncoderDecoder(source_vocab, target_vocab, block, dim, …)`` and ``DecoderBlock(dim, heads)``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from autograder.checks.gpt import blocks_by_hand as hand
from autograder.checks.gpt.blocks_by_hand import Weights, doubled, draw_ids, key_biases
from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("gpt.EncoderDecoder", objects=("EncoderDecoder", "DecoderBlock"))
BLOCK = 1  # which of the two objects
ATTENTIONS = ("self_attn", "cross_attn")
SHARED = ("target_tokens.weight", "head.weight")


def decoder_block(x: Tensor, memory: Tensor, w: Weights, path: str, heads: int, real: Tensor | None) -> Tensor:
    """The three branches, of torch's functional parts."""
    normed = hand.norm(x, w, f"{path}norm1")
    x = x + hand.attention(normed, normed, w, f"{path}self_attn", heads, causal=True)
    x = x + hand.attention(hand.norm(x, w, f"{path}norm2"), memory, w, f"{path}cross_attn", heads, real=real)
    return x + hand.mlp(hand.norm(x, w, f"{path}norm3"), w, f"{path}mlp")


def logits(source: Tensor, target: Tensor, w: Weights, depth: int, heads: int, real: Tensor | None = None) -> Tensor:
    """The whole model's logits [b n v], in the dtype of the weights."""
    memory = w["source_tokens.weight"][source] + w["source_positions.weight"][: source.shape[1]]
    for layer in range(depth):
        memory = hand.block(memory, w, f"encoder.{layer}.", heads, causal=False, real=real)
    memory = hand.norm(memory, w, "encoder_norm")
    x = w["target_tokens.weight"][target] + w["target_positions.weight"][: target.shape[1]]
    for layer in range(depth):
        x = decoder_block(x, memory, w, f"decoder.{layer}.", heads, real)
    return hand.norm(x, w, "decoder_norm") @ w["head.weight"].T


class Sizes:
    """Sizes of a model, of which no two are the same."""

    def __init__(self, draw: Draw, depth: int = 1, heads: int = 2, width: int = 4) -> None:
        self.depth, self.heads, self.dim = depth, heads, heads * width
        self.vocabs, self.block, self.batch = (draw.integer(14, 17), draw.integer(20, 23)), draw.integer(11, 12), 3

    @property
    def arguments(self) -> tuple[int, ...]:
        """In the order of the signature."""
        return *self.vocabs, self.block, self.dim, self.depth, self.heads

    def weights(self, draw: Draw) -> Weights:
        """All weights of a model, drawn anew."""
        weights = {}
        for side, vocab, stack, names in (
            ("source", self.vocabs[0], "encoder", ("attn",)), ("target", self.vocabs[1], "decoder", ATTENTIONS),
        ):  # fmt: skip
            weights[f"{side}_tokens.weight"] = draw.normal(vocab, self.dim)
            weights[f"{side}_positions.weight"] = draw.normal(self.block, self.dim)
            for layer in range(self.depth):
                weights |= hand.draw_block(draw, f"{stack}.{layer}.", self.dim, names)
            weights |= hand.draw_norm(draw, f"{stack}_norm", self.dim)
        return weights | {"head.weight": weights["target_tokens.weight"]}

    def texts(self, draw: Draw, m: int, n: int) -> tuple[Tensor, Tensor]:
        """Sources [b m] and targets [b n]."""
        return draw_ids(draw, self.vocabs[0], self.batch, m), draw_ids(draw, self.vocabs[1], self.batch, n)


def make_block(draw: Draw, plan: Plan) -> tuple[Ref, Weights, Sizes]:
    """The student's decoder block with weights drawn anew."""
    sizes = Sizes(draw)
    weights = hand.draw_block(draw, "", sizes.dim, ATTENTIONS)
    block = plan.call(sizes.dim, sizes.heads, which=BLOCK)
    plan.load(block, weights, optional=key_biases(weights))
    return block, weights, sizes


def make(draw: Draw, plan: Plan, sizes: Sizes) -> tuple[Ref, Weights]:
    """The student's whole model with weights drawn anew."""
    weights = sizes.weights(draw)
    model = plan.call(*sizes.arguments)
    plan.load(model, weights, optional=key_biases(weights))
    return model, weights


def padding(b: int, m: int, draw: Draw) -> Tensor:
    """A mask [b m] with different numbers of real tokens, which come first; one text is full."""
    order = draw.permutation(b)
    return torch.arange(m) < m - 2 * order[:, None]


@EXERCISE.case(
    points=1.5,
    cause="x + self_attn(norm1(x)), causal; x + cross_attn(norm2(x), memory); x + mlp(norm3(x)): in this order.",
)
def one_block(draw: Draw, plan: Plan) -> None:
    """DecoderBlock: the output for memories longer and shorter than x"""
    block, weights, sizes = make_block(draw, plan)
    for m, n in ((5, 7), (7, 4)):
        x, memory = draw.normal(3, n, sizes.dim), draw.normal(3, m, sizes.dim)
        want = decoder_block(x.double(), memory.double(), doubled(weights), "", sizes.heads, None).float()
        plan.expect(
            plan.call(x, memory, on=block), want, f"the output for x of {n} and memory of {m} tokens", atol=2e-4
        )


@EXERCISE.case(points=1, cause="memory_mask [b m] goes to cross_attn alone, the same for all queries: [:, None, None].")
def memory_masked(draw: Draw, plan: Plan) -> None:
    """DecoderBlock: some of the memory is padding"""
    block, weights, sizes = make_block(draw, plan)
    x, memory, real = draw.normal(3, 4, sizes.dim), draw.normal(3, 6, sizes.dim), padding(3, 6, draw)
    want = decoder_block(x.double(), memory.double(), doubled(weights), "", sizes.heads, real).float()
    got = plan.call(x, memory, memory_mask=real, on=block)
    plan.expect(got, want, "the output with a memory_mask", atol=2e-4)


@EXERCISE.case(
    points=1, cause="encode: tokens + positions, encoder, encoder_norm; decode likewise with its own tables."
)
def whole_model(draw: Draw, plan: Plan) -> None:
    """EncoderDecoder, one block on either side: sources longer and shorter than targets, up to a full block"""
    sizes = Sizes(draw)
    model, weights = make(draw, plan, sizes)
    for m, n in ((6, 4), (5, sizes.block), (sizes.block, 1)):
        source, target = sizes.texts(draw, m, n)
        want = logits(source, target, doubled(weights), 1, sizes.heads).float()
        what = f"the logits for sources of {m} and targets of {n} tokens"
        plan.expect(plan.call(source, target, on=model), want, what, atol=3e-4)


@EXERCISE.case(points=1, cause="every decoder block reads the same memory: what the whole encoder made, normed once.")
def deeper(draw: Draw, plan: Plan) -> None:
    """EncoderDecoder, three blocks on either side, with another number of heads"""
    sizes = Sizes(draw, depth=3, heads=3, width=2)
    model, weights = make(draw, plan, sizes)
    source, target = sizes.texts(draw, 7, 5)
    want = logits(source, target, doubled(weights), 3, sizes.heads).float()
    plan.expect(plan.call(source, target, on=model), want, "the logits of a model of depth 3", atol=5e-4)


@EXERCISE.case(
    points=1, cause="source_mask hides padding twice: from the encoder's tokens and from the decoder's queries."
)
def source_padded(draw: Draw, plan: Plan) -> None:
    """EncoderDecoder: sources of different lengths, padded"""
    sizes = Sizes(draw, depth=2)
    model, weights = make(draw, plan, sizes)
    m, n = 8, 5
    source, target = sizes.texts(draw, m, n)
    real = padding(sizes.batch, m, draw)
    # each text by itself and cut to its length: what stands at padding cannot play a part
    want = torch.cat([
        logits(source[i : i + 1, real[i]], target[i : i + 1], doubled(weights), 2, sizes.heads)
        for i in range(sizes.batch)
    ]).float()  # fmt: skip
    plan.expect(plan.call(source, target, real, on=model), want, "the logits with a source_mask", atol=4e-4)
    whole = logits(source, target, doubled(weights), 2, sizes.heads).float()
    plan.expect(plan.call(source, target, on=model), whole, "the logits without one", atol=4e-4)


@EXERCISE.case(points=1, cause="self.head.weight = self.target_tokens.weight: the decoder's table, and no copy of it.")
def tied(draw: Draw, plan: Plan) -> None:
    """EncoderDecoder: the head's weight is the table of target tokens, in values and gradients"""
    sizes = Sizes(draw)
    weights = sizes.weights(draw)
    model = plan.call(*sizes.arguments)
    own = {name: weight for name, weight in weights.items() if name != "head.weight"}
    plan.load(model, own, optional=key_biases(weights))
    table = weights["target_tokens.weight"]
    plan.expect(model["head.weight"], table, "`head.weight` after `target_tokens.weight` was set")
    source, target = sizes.texts(draw, 4, 6)
    cotangent = draw.normal(sizes.batch, 6, sizes.vocabs[1])
    plan.backward(plan.call(source, target, on=model), cotangent)
    leaf = table.double().requires_grad_()
    both = {**doubled(weights), **dict.fromkeys(SHARED, leaf)}
    logits(source, target, both, 1, sizes.heads).backward(cotangent.double())
    for name in SHARED:
        plan.expect_grad(model[name], leaf.grad.float(), f"`{name}`", rtol=1e-3, atol=2e-3)


@EXERCISE.case(points=0.5, cause="stacks are nn.ModuleList of new blocks; give device= to all that is made in forward.")
def parameters(draw: Draw, plan: Plan) -> None:
    """The parameters of both, and that masks and positions are made where the texts are"""
    sizes = Sizes(draw, depth=2)
    block, weights, _ = make_block(draw, plan)
    plan.expect_parameters(block, list(weights), optional=key_biases(weights))
    model, weights = make(draw, plan, sizes)
    plan.expect_parameters(model, list(weights), optional=(*SHARED, *key_biases(weights)))
    source, target = sizes.texts(draw, 6, 4)
    plan.expect_follows_device(model, source, target, padding(sizes.batch, 6, draw))


@EXERCISE.case(points=1, cause="the gradient flows back through memory into the whole encoder; no input is changed.")
def contract(draw: Draw, plan: Plan) -> None:
    """Gradients of both stacks, float64, texts and mask stay as they were"""
    sizes = Sizes(draw, depth=2)
    model, weights = make(draw, plan, sizes)
    plan.call(on=model, method="double")
    texts, real = sizes.texts(draw, 7, 5), padding(sizes.batch, 7, draw)
    cotangent = draw.normal(sizes.batch, 5, sizes.vocabs[1], dtype=torch.float64)
    leaves = {name: weight.requires_grad_() for name, weight in doubled(weights).items()}
    want = logits(*texts, leaves, 2, sizes.heads, real)
    want.backward(cotangent)
    inputs = [plan.put(value) for value in (*texts, real)]
    got = plan.call(*inputs, on=model)
    plan.expect(got, want.detach(), "the logits in float64")
    for ref, value, name in zip(inputs, (*texts, real), ("source", "target", "source_mask"), strict=True):
        plan.expect(ref, value, f"{name} after the call")
    plan.backward(got, cotangent)
    names = ("source_tokens.weight", "source_positions.weight", "encoder.0.attn.query.weight", "encoder_norm.bias")
    names += ("target_positions.weight", "decoder.0.cross_attn.key.weight", "decoder.1.norm2.weight")
    for name in names:
        plan.expect_grad(model[name], leaves[name].grad, f"`{name}`", atol=1e-4)


@EXERCISE.variant
def of_the_courses_parts() -> None:
    """The course's attention and blocks"""
    from course_lib.attention import MultiHeadAttention, TransformerBlock

    class DecoderBlock(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))
            self.self_attn = MultiHeadAttention(dim, heads)
            self.cross_attn = MultiHeadAttention(dim, heads)
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

        def forward(self, x, memory, memory_mask=None):
            n = x.shape[1]
            causal = torch.ones(n, n, dtype=torch.bool, device=x.device).tril()
            seen = None if memory_mask is None else memory_mask[:, None, None, :]
            x = x + self.self_attn(self.norm1(x), mask=causal)
            x = x + self.cross_attn(self.norm2(x), memory, mask=seen)
            x = x + self.mlp(self.norm3(x))
            return x

    class EncoderDecoder(nn.Module):
        def __init__(self, source_vocab, target_vocab, block, dim, depth, heads):
            super().__init__()
            self.source_tokens = nn.Embedding(source_vocab, dim)
            self.source_positions = nn.Embedding(block, dim)
            self.encoder = nn.ModuleList([TransformerBlock(dim, heads) for _ in range(depth)])
            self.encoder_norm = nn.LayerNorm(dim)
            self.target_tokens = nn.Embedding(target_vocab, dim)
            self.target_positions = nn.Embedding(block, dim)
            self.decoder = nn.ModuleList([DecoderBlock(dim, heads) for _ in range(depth)])
            self.decoder_norm = nn.LayerNorm(dim)
            self.head = nn.Linear(dim, target_vocab, bias=False)
            self.head.weight = self.target_tokens.weight

        def forward(self, source, target, source_mask=None):
            m, n = source.shape[1], target.shape[1]
            memory = self.source_tokens(source) + self.source_positions(torch.arange(m, device=source.device))
            real = None if source_mask is None else source_mask[:, None, None, :]
            for block in self.encoder:
                memory = block(memory, real)
            memory = self.encoder_norm(memory)
            x = self.target_tokens(target) + self.target_positions(torch.arange(n, device=target.device))
            for block in self.decoder:
                x = block(x, memory, source_mask)
            x = self.decoder_norm(x)
            return self.head(x)


@EXERCISE.variant
def on_one_kernel() -> None:
    """One function for all attention, on torch's fused kernel with masks to add"""

    class Attention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads = heads
            self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

        def forward(self, x, context, added=None, causal=False):
            q = rearrange(self.query(x), "b n (h e) -> b h n e", h=self.heads)
            k = rearrange(self.key(context), "b n (h e) -> b h n e", h=self.heads)
            v = rearrange(self.value(context), "b n (h e) -> b h n e", h=self.heads)
            z = F.scaled_dot_product_attention(q, k, v, attn_mask=added, is_causal=causal)
            return self.out(rearrange(z, "b h n e -> b n (h e)"))

    class Block(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.norm1, self.attn, self.norm2 = nn.LayerNorm(dim), Attention(dim, heads), nn.LayerNorm(dim)
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

        def forward(self, x, added):
            y = self.norm1(x)
            x = x + self.attn(y, y, added)
            return x + self.mlp(self.norm2(x))

    def to_add(mask, like):
        if mask is None:
            return None
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill(~mask, -math.inf)[:, None, None, :]

    class DecoderBlock(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.norm1, self.self_attn = nn.LayerNorm(dim), Attention(dim, heads)
            self.norm2, self.cross_attn = nn.LayerNorm(dim), Attention(dim, heads)
            self.norm3 = nn.LayerNorm(dim)
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

        def forward(self, x, memory, memory_mask=None):
            y = self.norm1(x)
            x = x + self.self_attn(y, y, causal=True)
            x = x + self.cross_attn(self.norm2(x), memory, to_add(memory_mask, x))
            return x + self.mlp(self.norm3(x))

    class EncoderDecoder(nn.Module):
        def __init__(self, source_vocab, target_vocab, block, dim, depth, heads):
            super().__init__()
            self.head = nn.Linear(dim, target_vocab, bias=False)
            self.source_tokens, self.source_positions = nn.Embedding(source_vocab, dim), nn.Embedding(block, dim)
            self.target_tokens, self.target_positions = nn.Embedding(target_vocab, dim), nn.Embedding(block, dim)
            self.target_tokens.weight = self.head.weight
            self.encoder = nn.ModuleList(Block(dim, heads) for _ in range(depth))
            self.decoder = nn.ModuleList(DecoderBlock(dim, heads) for _ in range(depth))
            self.encoder_norm, self.decoder_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)

        def forward(self, source, target, source_mask=None):
            memory = self.source_tokens(source) + self.source_positions.weight[: source.size(1)]
            for block in self.encoder:
                memory = block(memory, to_add(source_mask, memory))
            memory = self.encoder_norm(memory)
            x = self.target_tokens(target) + self.target_positions.weight[: target.size(1)]
            for block in self.decoder:
                x = block(x, memory, source_mask)
            return self.head(self.decoder_norm(x))


@EXERCISE.variant
def masked_by_hand() -> None:
    """Scores written out, a large negative number where nothing may be seen, masks [b n m] for everything"""
    from course_lib.attention import LayerNorm

    def attend(part, x, context, allowed):
        def cut(t):
            return t.unflatten(-1, (part["heads"], -1)).transpose(1, 2)

        q, k, v = cut(part["query"](x)), cut(part["key"](context)), cut(part["value"](context))
        scores = q @ k.mT / math.sqrt(q.shape[-1]) + (~allowed[:, None]).to(x.dtype) * -1e9
        return part["out"]((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))

    class Attention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
            self.heads = heads

        def __getitem__(self, name):
            return getattr(self, name)

    class Mlp(nn.Sequential):
        def __init__(self, dim):
            super().__init__(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    class EncoderBlock(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.attn, self.mlp = Attention(dim, heads), Mlp(dim)
            self.norm1, self.norm2 = LayerNorm(dim), LayerNorm(dim)

        def forward(self, x, allowed):
            x = attend(self.attn, self.norm1(x), self.norm1(x), allowed) + x
            return self.mlp(self.norm2(x)) + x

    class DecoderBlock(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.self_attn, self.cross_attn, self.mlp = Attention(dim, heads), Attention(dim, heads), Mlp(dim)
            self.norm1, self.norm2, self.norm3 = LayerNorm(dim), LayerNorm(dim), LayerNorm(dim)

        def forward(self, x, memory, memory_mask=None):
            b, n, m = len(x), x.shape[1], memory.shape[1]
            places = torch.arange(n, device=x.device)
            causal = (places[:, None] >= places).expand(b, n, n)
            if memory_mask is None:
                memory_mask = torch.ones(b, m, dtype=torch.bool, device=x.device)
            x = attend(self.self_attn, self.norm1(x), self.norm1(x), causal) + x
            x = attend(self.cross_attn, self.norm2(x), memory, memory_mask.unsqueeze(1).expand(b, n, m)) + x
            return self.mlp(self.norm3(x)) + x

    class EncoderDecoder(nn.Module):
        def __init__(self, source_vocab, target_vocab, block, dim, depth, heads):
            super().__init__()
            for side, vocab in (("source", source_vocab), ("target", target_vocab)):
                setattr(self, f"{side}_tokens", nn.Embedding(vocab, dim))
                setattr(self, f"{side}_positions", nn.Embedding(block, dim))
            self.encoder = nn.Sequential(*[EncoderBlock(dim, heads) for _ in range(depth)])
            self.decoder = nn.Sequential(*[DecoderBlock(dim, heads) for _ in range(depth)])
            self.encoder_norm, self.decoder_norm = LayerNorm(dim), LayerNorm(dim)
            self.head = nn.Linear(dim, target_vocab, bias=False)
            self.head.weight = self.target_tokens.weight

        def embed(self, ids, side):
            places = torch.arange(ids.shape[1]).to(ids.device)
            return getattr(self, f"{side}_tokens")(ids) + getattr(self, f"{side}_positions")(places)

        def forward(self, source, target, source_mask=None):
            b, m = source.shape
            if source_mask is None:
                source_mask = torch.ones_like(source, dtype=torch.bool)
            memory = self.embed(source, "source")
            for layer in self.encoder:
                memory = layer(memory, source_mask[:, None].expand(b, m, m))
            memory = self.encoder_norm(memory)
            x = self.embed(target, "target")
            for layer in self.decoder:
                x = layer(x, memory, source_mask)
            return self.head(self.decoder_norm(x))


SELF = "x = x + self.self_attn(self.norm1(x), mask=causal)"
CROSS = "x = x + self.cross_attn(self.norm2(x), memory, mask=seen)"
MLP = "x = x + self.mlp(self.norm3(x))"
CAUSAL = "causal = torch.ones(n, n, dtype=torch.bool, device=x.device).tril()"
SEEN = "seen = None if memory_mask is None else memory_mask[:, None, None, :]"
ENCODER = "nn.ModuleList([TransformerBlock(dim, heads) for _ in range(depth)])"
DECODER = "nn.ModuleList([DecoderBlock(dim, heads) for _ in range(depth)])"
TIE = "self.head.weight = self.target_tokens.weight"
ENCODE = "            memory = block(memory, real)\n"
DECODE = "            x = block(x, memory, source_mask)\n"
ENCODER_NORM = "        memory = self.encoder_norm(memory)\n"
DECODER_NORM = "        x = self.decoder_norm(x)\n"
TARGET_PLACES = "torch.arange(n, device=target.device)"
RETURN = "return self.head(x)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "cross_attention_on_itself",
        "cross_attn gets no context, so it is a second self-attention, and the source is never read. Hand it memory.",
        [(CROSS, "x = x + self.cross_attn(self.norm2(x), mask=None)")],
    ),
    (
        "cross_attention_the_wrong_way",
        "Here memory asks and x answers. Queries come from what is written, keys and values from memory.",
        [(CROSS, "x = x + self.cross_attn(memory, self.norm2(x))[:, :1]")],
    ),
    (
        "memory_normed_again",
        "Memory goes through norm2 as well. It was normed when the encoder ended; norm2 is for x.",
        [(CROSS, CROSS.replace("memory,", "self.norm2(memory),"))],
    ),
    (
        "memory_mask_ignored",
        "memory_mask is taken in and never used: queries look at padding.",
        [(SEEN, "seen = None")],
    ),
    (
        "memory_mask_upside_down",
        "memory_mask is read as True = padding, as torch's key_padding_mask is. In this course True means may be "
        "looked at.",
        [(SEEN, "seen = None if memory_mask is None else ~memory_mask[:, None, None, :]")],
    ),
    (
        "memory_zeroed",
        "Padding in the memory is set to zero. A zero still has a key, and a share of the softmax: mask the scores.",
        [
            (SEEN, "seen = None"),
            (
                CROSS,
                f"memory = memory if memory_mask is None else memory * memory_mask[..., None]\n        {CROSS}",
            ),
        ],
    ),
    (
        "memory_mask_on_the_writer",
        "memory_mask, meant for the source, is given to the self-attention of the target too.",
        [
            (
                CAUSAL,
                f"{CAUSAL}\n        if memory_mask is not None:\n"
                "            causal = causal & F.pad(memory_mask, (0, n), value=True)[:, None, None, :n]",
            )
        ],
    ),
    (
        "not_causal",
        "self_attn gets no causal mask, so a target token sees the next one, which it has to predict.",
        [(SELF, "x = x + self.self_attn(self.norm1(x))")],
    ),
    (
        "causal_upside_down",
        "The causal mask is the upper triangle: target tokens see what comes after them.",
        [(".tril()", ".triu()")],
    ),
    (
        "cross_attention_causal",
        "cross_attn is causal too, so the first target token can read one source token only. The source is there as a "
        "whole.",
        [
            (
                SEEN,
                f"{SEEN}\n        ahead = torch.ones(n, memory.shape[1], dtype=torch.bool, device=x.device).tril()\n"
                "        seen = ahead if seen is None else ahead & seen",
            )
        ],
    ),
    (
        "cross_before_self",
        "cross_attn comes before self_attn. First look at what is written, then at what was read.",
        [(CROSS, "pass"), (SELF, f"{CROSS}\n        {SELF}")],
    ),
    (
        "norms_after_the_sums",
        "The norms come after the sums, as in the paper of 2017 (post-norm); this course puts them before (pre-norm).",
        [
            (SELF, "x = self.norm1(x + self.self_attn(x, mask=causal))"),
            (CROSS, "x = self.norm2(x + self.cross_attn(x, memory, mask=seen))"),
            (MLP, "x = self.norm3(x + self.mlp(x))"),
        ],
    ),
    (
        "no_residual_around_cross_attention",
        "What cross_attn found replaces x instead of being added to it, so what is written is forgotten.",
        [(CROSS, CROSS.replace("x + ", ""))],
    ),
    (
        "one_norm_for_two",
        "norm1 is used before both attentions; cross_attn has norm2.",
        [("self.cross_attn(self.norm2(x)", "self.cross_attn(self.norm1(x)")],
    ),
    (
        "one_attention_for_two",
        "self_attn does the looking at memory too; cross_attn, with weights of its own, is never called.",
        [("self.cross_attn(self.norm2(x)", "self.self_attn(self.norm2(x)")],
    ),
    (
        "relu",
        "The decoder's MLP has ReLU; the statement asks for nn.GELU().",
        [("nn.GELU()", "nn.ReLU()")],
    ),
    (
        "encoder_causal",
        "The encoder is causal. Nothing is predicted there: each source token may look at all of the source.",
        [
            (
                ENCODE,
                "            ahead = torch.ones(m, m, dtype=torch.bool, device=source.device).tril()\n"
                "            memory = block(memory, ahead if real is None else ahead & real)\n",
            )
        ],
    ),
    (
        "encoder_sees_padding",
        "The encoder gets no mask, so that padding leaks into the real tokens of the source before the decoder reads "
        "them.",
        [(ENCODE, "            memory = block(memory)\n")],
    ),
    (
        "decoder_sees_padding",
        "The encoder masks the padding and the decoder does not: hand source_mask to each of its blocks.",
        [(DECODE, "            x = block(x, memory)\n")],
    ),
    (
        "no_encoder_norm",
        "`encoder_norm` is made and never applied: memory is the stream of the last block, as large as it grew.",
        [(ENCODER_NORM, "")],
    ),
    (
        "no_decoder_norm",
        "`decoder_norm` is made and never applied before the head.",
        [(DECODER_NORM, "")],
    ),
    (
        "norms_exchanged",
        "The decoder's norm is applied to the memory and the encoder's before the head.",
        [
            ("memory = self.encoder_norm(memory)", "memory = self.decoder_norm(memory)"),
            (DECODER_NORM, "        x = self.encoder_norm(x)\n"),
        ],
    ),
    (
        "one_table_of_positions",
        "The target's positions are looked up in source_positions; either side has a table of its own.",
        [("self.target_positions(torch", "self.source_positions(torch")],
    ),
    (
        "no_target_positions",
        "The target gets no positions.",
        [(f" + self.target_positions({TARGET_PLACES})", "")],
    ),
    (
        "positions_after_the_source",
        "The target's positions go on counting where the source ended. Both texts begin at position 0.",
        [(TARGET_PLACES, f"({TARGET_PLACES} + m).clamp(max=self.target_positions.num_embeddings - 1)")],
    ),
    (
        "target_shifted_inside",
        "The model shifts the target by one itself. Shifting is the batch's business: logits [:, i] follow token i of "
        "the target as it came.",
        [(RETURN, "return F.pad(self.head(x)[:, :-1], (0, 0, 1, 0))")],
    ),
    (
        "layer_by_layer",
        "Decoder block i reads what encoder block i made. All of them read the memory: the end of the encoder, normed.",
        [
            (ENCODE, f"{ENCODE}            made = [*made, memory] if block is not self.encoder[0] else [memory]\n"),
            (
                "        for block in self.decoder:\n",
                "        for memory, block in zip(map(self.encoder_norm, made), self.decoder, strict=True):\n",
            ),
        ],
    ),
    (
        "tied_to_the_source",
        "The head has the weight of source_tokens. It predicts target tokens: take the weight of target_tokens.",
        [(TIE, "self.head.weight = self.source_tokens.weight")],
    ),
    (
        "head_not_tied",
        "The head has a weight of its own; here it is that of target_tokens.",
        [(TIE, "pass")],
    ),
    (
        "one_block_repeated",
        "`[block] * depth` is one decoder block several times. Make a new one in each round.",
        [(DECODER, "nn.ModuleList([DecoderBlock(dim, heads)] * depth)")],
    ),
    (
        "encoder_in_a_plain_list",
        "The encoder's blocks lie in a plain list, where parameters(), .to() and .double() do not find them.",
        [(ENCODER, "[TransformerBlock(dim, heads) for _ in range(depth)]")],
    ),
    (
        "memory_detached",
        "Memory is cut off from autograd (detach or no_grad), so the encoder never learns.",
        [(DECODE, "            x = block(x, memory.detach(), source_mask)\n")],
    ),
    (
        "mask_on_the_cpu",
        "The causal mask is made on the CPU, wherever the text is: pass device=x.device.",
        [(CAUSAL, "causal = torch.ones(n, n, dtype=torch.bool).tril()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(of_the_courses_parts, name, says, *changes)
