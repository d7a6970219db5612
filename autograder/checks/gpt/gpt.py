"""The check of ``GPT(vocab, block, dim, depth, heads)``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from autograder.checks.gpt.blocks_by_hand import Weights, doubled, draw_gpt, draw_ids, gpt_logits, key_biases
from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("gpt.GPT", objects=("GPT",))
# which of the two names the shared table goes by depends on what was made first
SHARED = ("tokens.weight", "head.weight")


class Sizes:
    """Sizes of a model, of which no two are the same."""

    def __init__(self, draw: Draw, depth: int, heads: int = 2, width: int = 4) -> None:
        self.depth, self.heads, self.dim = depth, heads, heads * width
        self.vocab, self.block = draw.integer(17, 23), draw.integer(11, 13)
        self.batch = 3 + (depth == 3)

    @property
    def arguments(self) -> tuple[int, ...]:
        """In the order of the signature."""
        return self.vocab, self.block, self.dim, self.depth, self.heads


def make(draw: Draw, plan: Plan, sizes: Sizes) -> tuple[Ref, Weights]:
    """The student's model with all weights drawn anew; the head is set too, so that it need not be tied here."""
    weights = draw_gpt(draw, sizes.vocab, sizes.block, sizes.dim, sizes.depth)
    model = plan.call(*sizes.arguments)
    plan.load(model, weights, optional=key_biases(weights))
    return model, weights


def expect(draw: Draw, plan: Plan, sizes: Sizes, *lengths: int) -> None:
    """Compare the logits of texts of these lengths, one after the other."""
    model, weights = make(draw, plan, sizes)
    for n in lengths:
        ids = draw_ids(draw, sizes.vocab, sizes.batch, n)
        want = gpt_logits(ids, doubled(weights), sizes.depth, sizes.heads).float()
        plan.expect(plan.call(ids, on=model), want, f"the logits of texts of {n} tokens", atol=3e-4)


@EXERCISE.case(points=1, cause="tokens(ids) + positions(0, 1, …), then the blocks, then norm, then head.")
def one_token(draw: Draw, plan: Plan) -> None:
    """Texts of a single token, one block: tables, block, norm and head in their order"""
    expect(draw, plan, Sizes(draw, depth=1), 1)


@EXERCISE.case(points=1.5, cause="position i gets positions.weight[i], and the mask is True on and below the diagonal.")
def several_tokens(draw: Draw, plan: Plan) -> None:
    """Texts of several tokens, longer ones after shorter ones, up to a full block"""
    sizes = Sizes(draw, depth=1)
    expect(draw, plan, sizes, draw.integer(4, 6), sizes.block, 7)


@EXERCISE.case(points=1, cause="each of `depth` blocks is a new one; the last norm comes once, after all of them.")
def several_blocks(draw: Draw, plan: Plan) -> None:
    """Three blocks, each with weights of its own, and another number of heads"""
    expect(draw, plan, Sizes(draw, depth=3, heads=3, width=2), draw.integer(7, 9))


@EXERCISE.case(points=1, cause="whatever stands later in a text may not change, by any way, what comes before.")
def nothing_from_the_future(draw: Draw, plan: Plan) -> None:
    """Logits at one place do not depend on later tokens: no gradient goes back from there"""
    sizes = Sizes(draw, depth=2)
    model, _ = make(draw, plan, sizes)
    n, cut = draw.integer(7, 9), draw.integer(3, 5)
    cotangent = draw.normal(sizes.batch, n, sizes.vocab)
    cotangent[:, cut:] = 0.0
    plan.backward(plan.call(draw_ids(draw, sizes.vocab, sizes.batch, n), on=model), cotangent)
    later = plan.call(0, cut, n - cut, on=model["positions.weight.grad"], method="narrow")
    want = torch.zeros(n - cut, sizes.dim)
    plan.expect(later, want, f"the gradient that the first {cut} tokens' logits send to the positions after them")


@EXERCISE.case(points=1, cause="self.head.weight = self.tokens.weight: one parameter with two names, not a copy of it.")
def tied(draw: Draw, plan: Plan) -> None:
    """The head's weight is the token table: both uses add to one gradient"""
    sizes = Sizes(draw, depth=1)
    weights = draw_gpt(draw, sizes.vocab, sizes.block, sizes.dim, sizes.depth)
    model = plan.call(*sizes.arguments)
    own = {name: weight for name, weight in weights.items() if name != "head.weight"}
    plan.load(model, own, optional=key_biases(weights))
    plan.expect(model["head.weight"], weights["tokens.weight"], "`head.weight` after `tokens.weight` was set")
    ids = draw_ids(draw, sizes.vocab, sizes.batch, 5)
    cotangent = draw.normal(sizes.batch, 5, sizes.vocab)
    plan.backward(plan.call(ids, on=model), cotangent)
    table = weights["tokens.weight"].double().requires_grad_()
    both = {**doubled(weights), "tokens.weight": table, "head.weight": table}
    gpt_logits(ids, both, sizes.depth, sizes.heads).backward(cotangent.double())
    for name in SHARED:
        plan.expect_grad(model[name], table.grad.float(), f"`{name}`", rtol=1e-3, atol=1e-3)


@EXERCISE.case(
    points=1, cause="nn.init.normal_(…, std=0.02) for both tables, after the head has got the tokens' weight."
)
def a_new_model(draw: Draw, plan: Plan) -> None:
    """A new model has small tables, so that it begins unsure of everything"""
    vocab, longest = draw.integer(400, 440), draw.integer(300, 340)
    model = plan.call(vocab, longest, 64, 1, 4)
    for name in ("tokens.weight", "positions.weight"):
        for statistic, told in (("std", "the standard deviation"), ("mean", "the mean")):
            # at twenty thousand numbers the two are known to within half a percent; the rounding forgives five
            found = plan.call(0.02, on=plan.call(on=model[name], method=statistic), method="div")
            rounded = plan.call(decimals=1, on=plan.call(-9, 9, on=found, method="clamp"), method="round")
            want = torch.tensor(1.0 if statistic == "std" else 0.0)
            plan.expect(rounded, want, f"{told} of `{name}`, in units of 0.02", strict=False)


@EXERCISE.case(points=0.5, cause="blocks go into nn.ModuleList; give device= to all that is made in forward.")
def parameters(draw: Draw, plan: Plan) -> None:
    """The model's parameters and its `block`; mask and positions are made where the ids are"""
    sizes = Sizes(draw, depth=3)
    model, weights = make(draw, plan, sizes)
    plan.expect_parameters(model, list(weights), optional=(*SHARED, *key_biases(weights)))
    plan.expect(model["block"], sizes.block, "model.block", strict=False)
    plan.expect_follows_device(model, draw_ids(draw, sizes.vocab, sizes.batch, 6))


@EXERCISE.case(points=1, cause="keep the dtype of the weights, change no ids, and let the gradient reach every part.")
def contract(draw: Draw, plan: Plan) -> None:
    """Gradients, float64, ids stay as they were, nothing is random"""
    sizes = Sizes(draw, depth=2)
    model, weights = make(draw, plan, sizes)
    plan.call(on=model, method="double")
    values = draw_ids(draw, sizes.vocab, sizes.batch, 6)
    cotangent = draw.normal(sizes.batch, 6, sizes.vocab, dtype=torch.float64)
    leaves = {name: weight.requires_grad_() for name, weight in doubled(weights).items()}
    want = gpt_logits(values, leaves, sizes.depth, sizes.heads)
    want.backward(cotangent)
    ids = plan.put(values)
    for turn in ("first", "second"):
        got = plan.call(ids, on=model)
        plan.expect(got, want.detach(), f"the logits in float64, the {turn} of two calls")
    plan.expect(ids, values, "ids after the calls")
    plan.backward(got, cotangent)
    for name in ("positions.weight", "blocks.0.attn.query.weight", "blocks.1.mlp.2.bias", "norm.weight", "norm.bias"):
        plan.expect_grad(model[name], leaves[name].grad, f"`{name}`", atol=1e-4)


@EXERCISE.variant
def of_the_courses_blocks() -> None:
    """The course's blocks in a ModuleList, a mask made at every call"""
    from course_lib.attention import TransformerBlock

    class GPT(nn.Module):
        def __init__(self, vocab, block, dim, depth, heads):
            super().__init__()
            self.block = block
            self.tokens = nn.Embedding(vocab, dim)
            self.positions = nn.Embedding(block, dim)
            self.blocks = nn.ModuleList([TransformerBlock(dim, heads) for _ in range(depth)])
            self.norm = nn.LayerNorm(dim)
            self.head = nn.Linear(dim, vocab, bias=False)
            self.head.weight = self.tokens.weight
            nn.init.normal_(self.tokens.weight, std=0.02)
            nn.init.normal_(self.positions.weight, std=0.02)

        def forward(self, ids):
            n = ids.shape[1]
            places = torch.arange(n, device=ids.device)
            x = self.tokens(ids) + self.positions(places)
            mask = torch.ones(n, n, dtype=torch.bool, device=ids.device).tril()
            for block in self.blocks:
                x = block(x, mask)
            x = self.norm(x)
            return self.head(x)


@EXERCISE.variant
def fused_and_in_sequence() -> None:
    """Blocks of its own in nn.Sequential, the fused kernel's causal flag, the table given by the head"""

    class Attention(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads = heads
            self.query, self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
            self.key = nn.Linear(dim, dim, bias=False)

        def forward(self, x):
            q, k, v = (
                rearrange(part(x), "b n (h e) -> b h n e", h=self.heads) for part in (self.query, self.key, self.value)
            )
            z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(rearrange(z, "b h n e -> b n (h e)"))

    class Block(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
            self.attn = Attention(dim, heads)
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

        def forward(self, x):
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self, vocab, block, dim, depth, heads):
            super().__init__()
            self.block = block
            self.head = nn.Linear(dim, vocab, bias=False)
            self.tokens = nn.Embedding(vocab, dim)
            self.tokens.weight = self.head.weight
            self.positions = nn.Embedding(block, dim)
            self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
            self.norm = nn.LayerNorm(dim)
            for table in (self.head, self.positions):
                table.weight.data.normal_(0.0, 0.02)

        def forward(self, ids):
            x = self.tokens(ids) + self.positions.weight[: ids.size(1)]
            return self.head(self.norm(self.blocks(x)))


@EXERCISE.variant
def with_a_buffer() -> None:
    """A mask of the full block as a buffer, cut at every call; a large negative number for what is hidden"""
    from course_lib.attention import LayerNorm

    class Block(nn.Module):
        def __init__(self, dim, heads):
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = LayerNorm(dim), LayerNorm(dim)
            self.attn = nn.ModuleDict({part: nn.Linear(dim, dim) for part in ("query", "key", "value", "out")})
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

        def forward(self, x, hidden):
            y = self.norm1(x)
            q, k, v = (
                self.attn[part](y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in ("query", "key", "value")
            )
            scores = torch.einsum("bhqe,bhke->bhqk", q, k) / math.sqrt(q.size(-1))
            weights = scores.masked_fill(hidden, -1e9).softmax(-1)
            x = x + self.attn["out"](torch.einsum("bhqk,bhke->bqhe", weights, v).flatten(2))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self, vocab, block, dim, depth, heads):
            super().__init__()
            self.block = block
            self.tokens, self.positions = nn.Embedding(vocab, dim), nn.Embedding(block, dim)
            self.blocks = nn.ModuleList()
            for _ in range(depth):
                self.blocks.append(Block(dim, heads))
            self.norm = LayerNorm(dim)
            self.head = nn.Linear(dim, vocab, bias=False)
            self.register_buffer("hidden", torch.ones(block, block).triu(1).bool(), persistent=False)
            with torch.no_grad():
                self.tokens.weight.mul_(0.02)
                self.positions.weight.mul_(0.02)
            self.head.weight = self.tokens.weight

        def forward(self, ids):
            n = ids.shape[-1]
            x = self.tokens(ids) + self.positions(torch.arange(n).to(ids.device).unsqueeze(0))
            for block in self.blocks:
                x = block(x, self.hidden[:n, :n])
            return F.linear(self.norm(x), self.head.weight)


@EXERCISE.mistake
def positions_in_a_bare_parameter() -> None:
    """`positions` is a bare nn.Parameter. The statement asks for nn.Embedding(block, dim), whose table is
    `positions.weight`, so that weights can be loaded by name."""
    from course_lib.attention import TransformerBlock

    class GPT(nn.Module):
        def __init__(self, vocab, block, dim, depth, heads):
            super().__init__()
            self.block = block
            self.tokens = nn.Embedding(vocab, dim)
            self.positions = nn.Parameter(0.02 * torch.randn(block, dim))
            self.blocks = nn.ModuleList([TransformerBlock(dim, heads) for _ in range(depth)])
            self.norm = nn.LayerNorm(dim)
            self.head = nn.Linear(dim, vocab, bias=False)
            self.head.weight = self.tokens.weight
            nn.init.normal_(self.tokens.weight, std=0.02)

        def forward(self, ids):
            n = ids.shape[1]
            x = self.tokens(ids) + self.positions[:n]
            mask = torch.ones(n, n, dtype=torch.bool, device=ids.device).tril()
            for block in self.blocks:
                x = block(x, mask)
            return self.head(self.norm(x))


LIST = "nn.ModuleList([TransformerBlock(dim, heads) for _ in range(depth)])"
HEAD = "self.head = nn.Linear(dim, vocab, bias=False)"
TIE = "self.head.weight = self.tokens.weight"
SUM = "x = self.tokens(ids) + self.positions(places)"
PLACES = "torch.arange(n, device=ids.device)"
MASK = "mask = torch.ones(n, n, dtype=torch.bool, device=ids.device).tril()"
LOOP = "            x = block(x, mask)\n"
NORM = "        x = self.norm(x)\n"
RETURN = "return self.head(x)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "no_mask",
        "The blocks get no mask, so every token sees the one it has to predict: training goes to loss 0, and writing "
        "to nonsense. Make a causal mask and hand it to every block.",
        [(LOOP, "            x = block(x)\n")],
    ),
    (
        "mask_upside_down",
        "The mask is True where looking is forbidden, as torch.nn.MultiheadAttention wants it. In this course True "
        "means may attend.",
        [(MASK, f"{MASK}.logical_not()")],
    ),
    (
        "mask_transposed",
        "The mask is the upper triangle: each token sees itself and what comes after. Use tril.",
        [(".tril()", ".triu()")],
    ),
    (
        "mask_in_the_first_block_only",
        "Only the first block gets the mask; one block without it is enough to let the future in.",
        [(LOOP, "            x = block(x, mask)\n            mask = None\n")],
    ),
    (
        "mask_one_too_far",
        "The diagonal is one too high: each token sees the next one, which it should predict.",
        [(".tril()", ".tril(1)")],
    ),
    (
        "mask_kept_from_the_first_call",
        "The mask is made at the first call and kept: a longer text, later, has no rows in it. Make it for each text's "
        "length, or cut it from one for the whole block.",
        [
            (MASK, f"{MASK}\n        mask = self.__dict__.setdefault('mask', mask)[:n, :n]"),
        ],
    ),
    (
        "mask_not_cut",
        "The mask has the size of the block whatever the text's length is; cut it: mask[:n, :n].",
        [(MASK, "mask = torch.ones(self.block, self.block, dtype=torch.bool, device=ids.device).tril()")],
    ),
    (
        "mask_on_the_cpu",
        "The mask is made on the CPU, wherever the ids are: pass device=ids.device.",
        [(MASK, MASK.replace(", device=ids.device", ""))],
    ),
    (
        "no_positions",
        "The positions are made and never added. A causal model can guess a little of the order from the mask alone, "
        "so it trains, and worse.",
        [(SUM, "x = self.tokens(ids)")],
    ),
    (
        "positions_from_one",
        "Positions are counted from 1: the first row of the table is never used, and a full block has no last row.",
        [(PLACES, "torch.arange(1, n + 1, device=ids.device)")],
    ),
    (
        "positions_by_id",
        "The table of positions is read at the ids. It is read at the places 0, 1, 2, …, whatever stands there.",
        [(PLACES, "ids.clamp(max=self.block - 1)")],
    ),
    (
        "positions_backwards",
        "Positions count from the end of the text, so the same words have other positions in a longer text.",
        [(PLACES, "torch.arange(n - 1, -1, -1, device=ids.device)")],
    ),
    (
        "one_position_a_text",
        "Each text in the batch gets one position for all of its tokens; each token needs its own.",
        [(PLACES, "torch.arange(len(ids), device=ids.device)[:, None]")],
    ),
    (
        "positions_in_every_block",
        "Positions are added before every block. Add them once, to the tokens.",
        [(LOOP, "            x = block(x, mask)\n            x = x + self.positions(places)\n")],
    ),
    (
        "scaled_by_the_root_of_dim",
        "Token vectors are multiplied by the root of dim, as in Vaswani et al. (2017); GPT adds them as they are.",
        [("self.tokens(ids) +", "math.sqrt(self.tokens.embedding_dim) * self.tokens(ids) +")],
    ),
    (
        "no_last_norm",
        "`norm` is made and never applied: pre-norm blocks leave the stream as large as it grew, and the head needs it "
        "normed.",
        [(NORM, "")],
    ),
    (
        "norm_after_every_block",
        "The last norm is applied after each block; it comes once, after all of them.",
        [(LOOP, "            x = self.norm(block(x, mask))\n"), (NORM, "")],
    ),
    (
        "norm_before_the_blocks",
        "`norm` comes before the blocks; it belongs between the last block and the head.",
        [(NORM, ""), (SUM, f"{SUM}\n        x = self.norm(x)")],
    ),
    (
        "head_not_tied",
        "The head has a weight of its own. GPT reads its tokens and predicts them by one table: "
        "self.head.weight = self.tokens.weight.",
        [(TIE, "")],
    ),
    (
        "memory_shared_only",
        "The head's weight lies in the table's memory (`.data`), but it is another parameter: the two gradients never "
        "meet, and the first .to() or .double() parts them. Assign the parameter itself.",
        [(TIE, "self.head.weight.data = self.tokens.weight.data")],
    ),
    (
        "head_left_out_of_the_tie",
        "`head` is there and not used: logits come from the token table directly, while the head's own weight never "
        "learns. Tie them, and call the head.",
        [(TIE, ""), (RETURN, "return x @ self.tokens.weight.T")],
    ),
    (
        "head_with_bias",
        "The head has a bias; GPT's has none: nn.Linear(dim, vocab, bias=False).",
        [(HEAD, "self.head = nn.Linear(dim, vocab)")],
    ),
    (
        "tables_of_ordinary_size",
        "nn.Embedding draws from N(0, 1), fifty times too large here: with the shared table a new model is very sure "
        "of random things, and its first losses are far above ln(vocab). Draw with std 0.02.",
        [
            ("        nn.init.normal_(self.tokens.weight, std=0.02)\n", ""),
            ("nn.init.normal_(self.positions.weight, std=0.02)", "pass"),
        ],
    ),
    (
        "positions_of_ordinary_size",
        "The token table is drawn with std 0.02 and the positions are left at N(0, 1): at first only the place counts "
        "and not the word.",
        [("        nn.init.normal_(self.positions.weight, std=0.02)\n", "")],
    ),
    (
        "drawn_before_the_tie",
        "The token table is drawn with std 0.02 and then replaced by the head's own weight. Tie first, or assign the "
        "table to the head and not the reverse.",
        [
            (TIE, ""),
            (
                "nn.init.normal_(self.positions.weight, std=0.02)",
                "nn.init.normal_(self.positions.weight, std=0.02)\n        self.tokens.weight = self.head.weight",
            ),
        ],
    ),
    (
        "one_block_repeated",
        "`[block] * depth` is the same block several times, with the weights of one. Make a new one in each round.",
        [(LIST, "nn.ModuleList([TransformerBlock(dim, heads)] * depth)")],
    ),
    (
        "blocks_in_a_plain_list",
        "The blocks lie in a plain list, where parameters(), .to() and .double() do not find them. Use nn.ModuleList.",
        [(LIST, "[TransformerBlock(dim, heads) for _ in range(depth)]")],
    ),
    (
        "one_block_too_few",
        "The last block is never applied.",
        [("for block in self.blocks:", "for block in self.blocks[: max(1, len(self.blocks) - 1)]:")],
    ),
    (
        "probabilities",
        "These are probabilities. Return the logits: the loss and the sampling take softmax themselves.",
        [(RETURN, "return self.head(x).softmax(-1)")],
    ),
    (
        "last_token_only",
        "Only the last token's logits are returned. In training every position predicts its next token: [b n v].",
        [(RETURN, "return self.head(x[:, -1:])")],
    ),
    (
        "dropout_left_in",
        "Dropout makes the logits random while training; the statement asks for none.",
        [(SUM, "x = F.dropout(self.tokens(ids) + self.positions(places), 0.1, self.training)")],
    ),
    (
        "tokens_not_trained",
        "The embedded tokens are cut off from autograd, so the table learns from the head's side alone.",
        [("self.tokens(ids) +", "self.tokens(ids).detach() +")],
    ),
    (
        "in_single_precision",
        "The logits are float32 whatever the model is in; keep the dtype of its weights.",
        [(RETURN, "return self.head(x).float()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(of_the_courses_blocks, name, says, *changes)
