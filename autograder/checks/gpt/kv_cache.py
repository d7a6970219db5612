"""The check of ``KVCache()`` and ``decode_step(model, ids, cache)``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from autograder.checks.gpt import blocks_by_hand as hand
from autograder.checks.gpt.blocks_by_hand import Weights, doubled, draw_gpt, draw_ids, gpt_logits
from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("gpt.KVCache", objects=("KVCache", "decode_step"))
STEP = 1  # which of the two objects


class Reader:
    """A GPT where student code runs, and what it says to a text as a whole."""

    def __init__(self, draw: Draw, plan: Plan, dtype: torch.dtype = torch.float32) -> None:
        self.vocab, self.block, self.depth, self.heads, self.dim = draw.integer(17, 23), 12, 3, 2, 8
        self.weights = draw_gpt(draw, self.vocab, self.block, self.dim, self.depth)
        self.model = plan.given(
            "gpt", vocab=self.vocab, block=self.block, dim=self.dim, depth=self.depth, heads=self.heads
        )
        plan.load(self.model, self.weights)
        if dtype == torch.float64:
            plan.call(on=self.model, method="double")
        self.plan, self.dtype = plan, dtype

    def full_pass(self, ids: Tensor) -> Tensor:
        """The logits [b n v] after each token of ids [b n], computed all at once."""
        return gpt_logits(ids, doubled(self.weights), self.depth, self.heads).to(self.dtype)

    def expect_steps(self, cache: Ref, ids: Tensor, *pieces: int) -> None:
        """Read ids [b n] in pieces of these lengths and compare the logits after each piece."""
        logits, start = self.full_pass(ids), 0
        for size in pieces:
            stop = start + size
            got = self.plan.call(self.model, ids[:, start:stop], cache, which=STEP)
            what = f"the logits after {size} token{'s' * (size > 1)}, with {start} in the cache"
            self.plan.expect(got, logits[:, stop - 1], what, atol=5e-4)
            start = stop


def after_a_past(ids: Tensor, past: list[tuple[Tensor, Tensor]], w: Weights, heads: int) -> Tensor:
    """The logits [b v] after ids [b n] when each layer remembers the keys and values [b h p e] of `past`.

    One query at a time, over the keys up to its own and no others: there is nothing to mask.
    """
    p, n = past[0][0].shape[2], ids.shape[1]
    x = w["tokens.weight"][ids] + w["positions.weight"][p : p + n]
    for layer, remembered in enumerate(past):
        path = f"blocks.{layer}."
        y = hand.norm(x, w, f"{path}norm1")
        query, *new = (
            rearrange(
                F.linear(y, w[f"{path}attn.{part}.weight"], w[f"{path}attn.{part}.bias"]),
                "b n (h e) -> b h n e",
                h=heads,
            )
            for part in ("query", "key", "value")
        )
        keys, values = (torch.cat([old.double(), add], 2) for old, add in zip(remembered, new, strict=True))
        found = []
        for i in range(n):
            scores = torch.einsum("bhe,bhme->bhm", query[:, :, i], keys[:, :, : p + i + 1]) / math.sqrt(query.shape[-1])
            found.append(torch.einsum("bhm,bhme->bhe", scores.softmax(-1), values[:, :, : p + i + 1]).flatten(1))
        x = x + F.linear(torch.stack(found, 1), w[f"{path}attn.out.weight"], w[f"{path}attn.out.bias"])
        x = x + hand.mlp(hand.norm(x, w, f"{path}norm2"), w, f"{path}mlp")
    return hand.norm(x[:, -1], w, "norm") @ w["head.weight"].T


def new_cache(plan: Plan) -> Ref:
    """An empty cache of the student's."""
    return plan.call()


def append(plan: Plan, cache: Ref, layer: int, pair: tuple[Tensor, Tensor]) -> Ref:
    """Append a key and a value [b h n e] to a layer."""
    return plan.call(layer, *pair, on=cache, method="append")


def draw_pairs(draw: Draw, *shape: int, layers: int = 2) -> list[tuple[Tensor, Tensor]]:
    """Keys and values for every layer."""
    return [(draw.normal(*shape), draw.normal(*shape)) for _ in range(layers)]


@EXERCISE.case(
    points=1, cause="join what a layer holds and what is new along the axis of tokens, dim=2; keep and return it."
)
def appending(draw: Draw, plan: Plan) -> None:
    """append returns the keys and values of all tokens so far, oldest first, for each layer apart"""
    b, h, e = draw.sizes(3, 2, 5)
    cache = new_cache(plan)
    kept = [[torch.zeros(b, h, 0, e)] * 2 for _ in range(2)]
    for n in (draw.integer(6, 7), 1, 8):
        for layer, pair in enumerate(draw_pairs(draw, b, h, n, e)):
            kept[layer] = [torch.cat([old, new], 2) for old, new in zip(kept[layer], pair, strict=True)]
            got = append(plan, cache, layer, pair)
            for part, want, name in zip((got[0], got[1]), kept[layer], ("keys", "values"), strict=True):
                plan.expect(part, want, f"the {name} of layer {layer} after {n} more tokens")


@EXERCISE.case(points=1, cause="length is the number of tokens, the same for every layer; reset forgets everything.")
def length_and_reset(draw: Draw, plan: Plan) -> None:
    """length counts tokens; reset forgets them, and another text of another size can follow"""
    b, h, e = draw.sizes(3, 2, 5)
    cache = new_cache(plan)
    plan.expect(cache["length"], 0, "the length of a new cache", strict=False)
    total = 0
    for n in (draw.integer(6, 8), 1):
        total += n
        for layer, pair in enumerate(draw_pairs(draw, b, h, n, e)):
            append(plan, cache, layer, pair)
        plan.expect(cache["length"], total, f"the length after {n} more tokens in both layers", strict=False)
    plan.call(on=cache, method="reset")
    plan.expect(cache["length"], 0, "the length after reset", strict=False)
    for layer, pair in enumerate(draw_pairs(draw, b + 4, h, 3, e)):
        got = append(plan, cache, layer, pair)
        for part, want, name in zip((got[0], got[1]), pair, ("keys", "values"), strict=True):
            plan.expect(part, want, f"the {name} of layer {layer} after reset")
    plan.expect(cache["length"], 3, "the length after reset and 3 tokens", strict=False)


@EXERCISE.case(
    points=0.5, cause="what a cache keeps is made in __init__, anew for each: no class attribute, no global."
)
def two_caches(draw: Draw, plan: Plan) -> None:
    """Two caches know nothing of each other"""
    b, h, e = draw.sizes(3, 2, 5)
    first, second = new_cache(plan), new_cache(plan)
    for layer, pair in enumerate(draw_pairs(draw, b, h, 6, e)):
        append(plan, first, layer, pair)
    plan.expect(second["length"], 0, "the length of a second cache while the first holds 6 tokens", strict=False)
    for layer, pair in enumerate(draw_pairs(draw, b, h, 7, e)):
        plan.expect(append(plan, second, layer, pair)[0], pair[0], f"the keys of layer {layer} of a second cache")


@EXERCISE.case(points=1, cause="the full pass of the model, with the logits of the last token: head(norm(x))[:, -1].")
def prompt(draw: Draw, plan: Plan) -> None:
    """decode_step reads a prompt into an empty cache: the last row of a full pass"""
    reader = Reader(draw, plan)
    for n in (1, draw.integer(5, 7), reader.block):
        reader.expect_steps(new_cache(plan), draw_ids(draw, reader.vocab, 4, n), n)


@EXERCISE.case(
    points=1.5, cause="new tokens stand at positions past, past + 1, …, where past is cache.length before the step."
)
def token_by_token(draw: Draw, plan: Plan) -> None:
    """A prompt, then one token at a time until the block is full: each step equals the full pass"""
    reader = Reader(draw, plan)
    n = draw.integer(3, 6)
    cache = new_cache(plan)
    reader.expect_steps(cache, draw_ids(draw, reader.vocab, 4, reader.block), n, *[1] * (reader.block - n))
    plan.expect(cache["length"], reader.block, "the cache's length at the end", strict=False)


@EXERCISE.case(
    points=1, cause="new token i sees all of the past and the new ones up to itself: the mask is tril(past)."
)
def several_at_once(draw: Draw, plan: Plan) -> None:
    """Several tokens at once after a past: more of them than the past has, and fewer"""
    reader = Reader(draw, plan)
    for pieces in ((3, 5, 2), (1, 7), (7, 3)):
        reader.expect_steps(new_cache(plan), draw_ids(draw, reader.vocab, 4, sum(pieces)), *pieces)


@EXERCISE.case(points=1, cause="attend to the keys and values that append returns, in every layer, as they are.")
def what_is_remembered(draw: Draw, plan: Plan) -> None:
    """A cache that was filled with other keys and values: decode_step uses them, and computes nothing twice"""
    reader = Reader(draw, plan)
    past = draw_pairs(draw, 3, reader.heads, 5, reader.dim // reader.heads, layers=reader.depth)
    cache = new_cache(plan)
    for layer, pair in enumerate(past):
        append(plan, cache, layer, pair)
    ids = draw_ids(draw, reader.vocab, 3, 2)
    want = after_a_past(ids, past, doubled(reader.weights), reader.heads).float()
    got = plan.call(reader.model, ids, cache, which=STEP)
    plan.expect(got, want, "the logits after 2 tokens, with keys and values from outside", atol=5e-4)
    plan.expect(cache["length"], 7, "the cache's length afterwards", strict=False)


@EXERCISE.case(points=1, cause="work under torch.no_grad(), keep the dtype of the model, leave ids and model alone.")
def contract(draw: Draw, plan: Plan) -> None:
    """No gradient is recorded, float64 stays float64, ids stay as they were; two texts read in turns"""
    reader = Reader(draw, plan, torch.float64)
    cache, other = new_cache(plan), new_cache(plan)
    first, second = draw_ids(draw, reader.vocab, 4, 6), draw_ids(draw, reader.vocab, 3, 6)
    ids = plan.put(first[:, :5])
    got = plan.call(reader.model, ids, cache, which=STEP)
    plan.expect(got["requires_grad"], False, "that the logits want a gradient")
    plan.expect(got, reader.full_pass(first)[:, 4], "the logits of a model in float64")
    plan.expect(ids, first[:, :5], "ids after the call")
    reader.expect_steps(other, second, 5, 1)
    got = plan.call(reader.model, first[:, 5:], cache, which=STEP)
    plan.expect(got, reader.full_pass(first)[:, 5], "the logits of the first text, after another was read in between")
    pair = tuple(draw.normal(3, 2, 5, 4, dtype=torch.float64) for _ in range(2))
    got = append(plan, new_cache(plan), 0, pair)
    for part, want, name in zip((got[0], got[1]), pair, ("keys", "values"), strict=True):
        plan.expect(part, want, f"the {name} of a cache that was given float64")


@EXERCISE.variant
def joined_step_by_step() -> None:
    """Dictionaries of tensors that grow by torch.cat"""
    from course_lib.attention import attend, merge_heads, split_heads

    class KVCache:
        def __init__(self):
            self.keys, self.values = {}, {}

        @property
        def length(self):
            return self.keys[0].shape[2] if self.keys else 0

        def append(self, layer, key, value):
            if layer in self.keys:
                key = torch.cat([self.keys[layer], key], dim=2)
                value = torch.cat([self.values[layer], value], dim=2)
            self.keys[layer], self.values[layer] = key, value
            return key, value

        def reset(self):
            self.keys, self.values = {}, {}

    @torch.no_grad()
    def decode_step(model, ids, cache):
        past, n = cache.length, ids.shape[1]
        places = torch.arange(past, past + n, device=ids.device)
        x = model.tokens(ids) + model.positions(places)
        mask = torch.ones(n, past + n, dtype=torch.bool, device=ids.device).tril(past)
        for layer, block in enumerate(model.blocks):
            attn, y = block.attn, block.norm1(x)
            q, k, v = (split_heads(part(y), attn.heads) for part in (attn.query, attn.key, attn.value))
            k, v = cache.append(layer, k, v)
            z = attend(q, k, v, mask)[0]
            x = x + attn.out(merge_heads(z))
            x = x + block.mlp(block.norm2(x))
        x = model.norm(x)
        return model.head(x)[:, -1]


@EXERCISE.variant
def pieces_in_lists() -> None:
    """Pieces kept in lists and joined when asked for; the fused kernel; only the last token goes through the head"""

    class KVCache:
        def __init__(self):
            self.reset()

        def reset(self):
            self.pieces = []
            self.length = 0

        def append(self, layer, key, value):
            if layer == len(self.pieces):
                self.pieces.append(([], []))
            if layer == 0:
                self.length += key.size(2)
            for store, new in zip(self.pieces[layer], (key, value), strict=True):
                store.append(new)
            return tuple(torch.cat(store, 2) for store in self.pieces[layer])

    def decode_step(model, ids, cache):
        with torch.inference_mode():
            past = cache.length
            x = model.tokens(ids) + model.positions.weight[past : past + ids.shape[1]]
            for layer, block in enumerate(model.blocks):
                y = block.norm1(x)
                q, k, v = (
                    rearrange(part(y), "b n (h e) -> b h n e", h=block.attn.heads)
                    for part in (block.attn.query, block.attn.key, block.attn.value)
                )
                k, v = cache.append(layer, k, v)
                queries, keys = torch.arange(q.shape[2]) + past, torch.arange(k.shape[2])
                z = F.scaled_dot_product_attention(q, k, v, attn_mask=queries[:, None] >= keys)
                x = x + block.attn.out(rearrange(z, "b h n e -> b n (h e)"))
                x = x + block.mlp(block.norm2(x))
            return model.head(model.norm(x[:, -1]))


@EXERCISE.variant
def room_made_beforehand() -> None:
    """Room that is doubled when it runs out; scores by einsum, a large negative number for the future"""

    class KVCache:
        def __init__(self):
            self.room, self.used = {}, {}

        @property
        def length(self):
            return min(self.used.values(), default=0)

        def reset(self):
            self.room.clear()
            self.used.clear()

        def append(self, layer, key, value):
            b, h, n, e = key.shape
            start = self.used.get(layer, 0)
            if layer not in self.room:
                self.room[layer] = key.new_empty(2, b, h, 2 * n, e)
            while self.room[layer].shape[3] < start + n:
                self.room[layer] = torch.cat([self.room[layer], torch.empty_like(self.room[layer])], 3)
            self.room[layer][:, :, :, start : start + n] = torch.stack([key, value])
            self.used[layer] = start + n
            keys, values = self.room[layer][:, :, :, : start + n]
            return keys, values

    def decode_step(model, ids, cache):
        with torch.no_grad():
            past, n = cache.length, ids.size(1)
            x = model.tokens(ids) + model.positions(torch.arange(n) + past)
            ahead = torch.ones(n, past + n).triu(past + 1).bool()
            for layer, block in enumerate(model.blocks):
                heads, y = block.attn.heads, block.norm1(x)
                q = block.attn.query(y).unflatten(2, (heads, -1)).transpose(1, 2)
                k = block.attn.key(y).unflatten(2, (heads, -1)).transpose(1, 2)
                v = block.attn.value(y).unflatten(2, (heads, -1)).transpose(1, 2)
                keys, values = cache.append(layer, k, v)
                scores = torch.einsum("bhne,bhme->bhnm", q, keys) * q.size(-1) ** -0.5
                weights = scores.masked_fill(ahead, -1e9).softmax(-1)
                z = torch.einsum("bhnm,bhme->bnhe", weights, values).flatten(2)
                x = x + block.attn.out(z)
                x = x + block.mlp(block.norm2(x))
            return model.head(model.norm(x))[:, -1, :]


START = "        self.keys, self.values = {}, {}\n\n    @property"
RESET = "    def reset(self):\n        self.keys, self.values = {}, {}\n"
LENGTH = "self.keys[0].shape[2] if self.keys else 0"
JOIN_K = "key = torch.cat([self.keys[layer], key], dim=2)"
JOIN_V = "value = torch.cat([self.values[layer], value], dim=2)"
KEEP = "self.keys[layer], self.values[layer] = key, value"
GIVE = "return key, value"
NO_GRAD = "@torch.no_grad()\n"
PAST = "past, n = cache.length, ids.shape[1]"
PLACES = "torch.arange(past, past + n, device=ids.device)"
MASK = "mask = torch.ones(n, past + n, dtype=torch.bool, device=ids.device).tril(past)"
APPEND = "k, v = cache.append(layer, k, v)"
ATTEND = "z = attend(q, k, v, mask)[0]"
NORM = "    x = model.norm(x)\n"
RETURN = "return model.head(x)[:, -1]"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "nothing_kept",
        "append returns the right tensors at once and does not keep them: the second step knows nothing of the first.",
        [(KEEP, "pass")],
    ),
    (
        "overwritten",
        "append replaces what a layer held by what is new. Join the two along the axis of tokens.",
        [("if layer in self.keys:", "if False:")],
    ),
    (
        "only_the_new_returned",
        "append keeps everything and returns the new keys and values only; return those of all tokens.",
        [
            (
                KEEP,
                "new = key, value\n        if layer in self.keys:\n            past = self.keys[layer].shape[2]\n"
                f"            new = key[:, :, past:], value[:, :, past:]\n        {KEEP}",
            ),
            (GIVE, "return new"),
        ],
    ),
    (
        "newest_first",
        "New tokens are put before the old ones. Keys are in the order of the text: oldest first.",
        [
            (JOIN_K, "key = torch.cat([key, self.keys[layer]], dim=2)"),
            (JOIN_V, "value = torch.cat([value, self.values[layer]], dim=2)"),
        ],
    ),
    (
        "joined_along_heads",
        "Old and new are joined along dim=1, the heads; tokens are dim=2 of [b h n e].",
        [(JOIN_K, JOIN_K.replace("dim=2", "dim=1")), (JOIN_V, JOIN_V.replace("dim=2", "dim=1"))],
    ),
    (
        "keys_for_values",
        "Where old and new are joined, the values are joined to the old keys: one name is written twice.",
        [
            (JOIN_V, "value = torch.cat([self.keys[layer][:, :, : -value.shape[2]], value], dim=2)"),
            (JOIN_K, f"{JOIN_K}\n            self.keys[layer] = key"),
        ],
    ),
    (
        "one_store_for_all_layers",
        "All layers share one store, so the second layer continues the first one's keys. Keep each layer apart.",
        [("def append(self, layer, key, value):", "def append(self, layer, key, value):\n        layer = 0")],
    ),
    (
        "length_counts_steps",
        "length counts the calls of append, not the tokens: a prompt of five tokens is one call.",
        [
            (START, "        self.keys, self.values, self.steps = {}, {}, 0\n\n    @property"),
            (LENGTH, "self.steps"),
            (KEEP, f"{KEEP}\n        self.steps += layer == 0"),
            (RESET, f"{RESET}        self.steps = 0\n"),
        ],
    ),
    (
        "length_of_all_layers",
        "length adds up the tokens of all layers; every layer holds the same tokens: count them once.",
        [(LENGTH, "sum(key.shape[2] for key in self.keys.values())")],
    ),
    (
        "length_of_the_heads",
        "length is another axis of [b h n e], the number of heads; tokens are shape[2].",
        [(LENGTH, LENGTH.replace("shape[2]", "shape[1]"))],
    ),
    (
        "reset_does_nothing",
        "reset forgets nothing, so the next text continues the last one.",
        [(RESET, "    def reset(self):\n        pass\n")],
    ),
    (
        "reset_of_keys_only",
        "reset forgets the keys and keeps the values, which still hold the old text.",
        [
            (RESET, "    def reset(self):\n        self.keys = {}\n"),
            ("            " + JOIN_V, "            pass\n        if layer in self.values:\n            " + JOIN_V),
        ],
    ),
    (
        "shared_by_all_caches",
        "The stores are attributes of the class, so that all caches are one. Make them in __init__, on self.",
        [
            ("    def __init__(self):\n" + START, "    keys, values = {}, {}\n\n    @property"),
            (RESET, "    def reset(self):\n        self.keys.clear()\n        self.values.clear()\n"),
        ],
    ),
    (
        "positions_restart",
        "New tokens get the positions 0, 1, … again. They stand after those in the cache: past, past + 1, …",
        [(PLACES, "torch.arange(n, device=ids.device)")],
    ),
    (
        "positions_one_behind",
        "The first new token gets the position of the last old one. After `past` tokens the next stands at `past`.",
        [(PLACES, PLACES.replace("arange(past, past + n", "arange(max(past - 1, 0), max(past - 1, 0) + n"))],
    ),
    (
        "one_position_for_all_new",
        "All new tokens get one position, the first one's; each has its own.",
        [(PLACES, "torch.full((n,), past, device=ids.device)")],
    ),
    (
        "no_mask",
        "New tokens see each other in both directions. Several at once need a causal mask among themselves.",
        [(ATTEND, "z = attend(q, k, v)[0]")],
    ),
    (
        "mask_from_the_left",
        "The triangle of the mask starts at column 0, as though nothing had been read before. New token i sees "
        "past + i + 1 keys: tril(past).",
        [(MASK, MASK.replace("tril(past)", "tril()"))],
    ),
    (
        "cache_not_used",
        "Keys and values are put into the cache, and attention uses only the new ones. Use what append returns.",
        [(APPEND, "cache.append(layer, k, v)"), (MASK, MASK.replace("past + n", "n").replace("tril(past)", "tril()"))],
    ),
    (
        "never_appended",
        "The step never calls append, so the cache stays empty, and every step is the first.",
        [(APPEND, "pass"), (MASK, MASK.replace("past + n", "n").replace("tril(past)", "tril()"))],
    ),
    (
        "first_layer_only",
        "Only the first layer's keys and values are cached; the others attend to the new tokens alone.",
        [
            (APPEND, f"{APPEND.replace('cache', '(cache if layer == 0 else KVCache())')}"),
            (ATTEND, "z = attend(q, k, v, mask[:, -k.shape[2] :])[0]"),
        ],
    ),
    (
        "appended_twice",
        "append is called once for the keys and once for the values, so that every token is kept twice.",
        [
            (APPEND, "k2 = cache.append(layer, k, v)[0]\n        v = cache.append(layer, k, v)[1]\n        k = k2"),
            (ATTEND, "z = attend(q, k, v[:, :, : k.shape[2]], mask[:, : k.shape[2]])[0]"),
        ],
    ),
    (
        "keys_before_the_norm",
        "Keys and values come from x, and queries from norm1(x). All three come from norm1(x).",
        [
            (
                "(split_heads(part(y), attn.heads) for part in (attn.query, attn.key, attn.value))",
                "(split_heads(part(t), attn.heads) for part, t in ((attn.query, y), (attn.key, x), (attn.value, x)))",
            )
        ],
    ),
    (
        "no_last_norm",
        "The last norm is left out: the head reads norm(x).",
        [(NORM, "")],
    ),
    (
        "no_residual",
        "What attention found replaces x instead of being added to it.",
        [("x = x + attn.out(", "x = attn.out(")],
    ),
    (
        "no_output_projection",
        "The merged heads are added as they are; `attn.out` comes between.",
        [("attn.out(merge_heads(z))", "merge_heads(z)")],
    ),
    (
        "all_logits",
        "The logits of all new tokens are returned; only what follows the last one is asked for, [b v].",
        [(RETURN, "return model.head(x)")],
    ),
    (
        "first_logits",
        "The logits after the first new token are returned; take those after the last.",
        [(RETURN, "return model.head(x)[:, 0]")],
    ),
    (
        "gradients_recorded",
        "Gradients are recorded, so every kept key drags a graph along. Work under torch.no_grad().",
        [(NO_GRAD, "")],
    ),
    (
        "in_single_precision",
        "Keys and values are kept in float32, whatever the model computes in.",
        [
            (KEEP, "key, value = key.float(), value.float()\n        " + KEEP),
            (ATTEND, "z = attend(q, k.to(q), v.to(q), mask)[0]"),
        ],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(joined_step_by_step, name, says, *changes)
