"""The check of ``count_parameters(vocab, block, dim, depth, heads) -> dict``."""

import torch
from torch import nn

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("gpt.count_parameters", objects=("count_parameters",))
Sizes = tuple[int, int, int, int, int]


def oracle(vocab: int, block: int, dim: int, depth: int, heads: int) -> dict[str, int]:
    """Torch's own modules, made without memory and asked for their parameters: no formula."""

    def size(*modules: nn.Module) -> int:
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    with torch.device("meta"):
        layer = nn.TransformerEncoderLayer(dim, heads, 4 * dim) if depth else None
        parts = {
            "tokens": size(nn.Embedding(vocab, dim)),
            "positions": size(nn.Embedding(block, dim)),
            "attention": depth * size(layer.self_attn) if layer else 0,
            "mlp": depth * size(layer.linear1, layer.linear2) if layer else 0,
            "norms": size(nn.LayerNorm(dim)) + (depth * size(layer.norm1, layer.norm2) if layer else 0),
            "head": 0,
        }
    return {**parts, "total": sum(parts.values())}


def draw_sizes(draw: Draw) -> Sizes:
    """Sizes all different, none of which can be taken for another or for a product of others."""
    heads, depth = draw.sizes(2, 2, 5)
    width = draw.integer(6, 9)
    return 101 + draw.integer(0, 40), 61 + draw.integer(0, 30), heads * width, depth, heads


def expect_entries(plan: Plan, sizes: Sizes, *keys: str) -> None:
    """Compare some entries, so that one that is wrong costs its own points and no others."""
    counts = plan.call(*sizes)
    for key in keys:
        got = plan.call(key, on=counts, method="get")
        plan.expect(got, oracle(*sizes)[key], f"count_parameters{sizes}[{key!r}]", strict=False)


@EXERCISE.case(points=1, cause="a table has dim numbers for each of vocab tokens, and for each of block positions.")
def tables(draw: Draw, plan: Plan) -> None:
    """The two tables, "tokens" and "positions", counted apart"""
    expect_entries(plan, draw_sizes(draw), "tokens", "positions")


@EXERCISE.case(points=1, cause="query, key, value and out are four Linear(dim, dim), each with a bias, in every block.")
def attention(draw: Draw, plan: Plan) -> None:
    """The entry "attention" is that of all blocks"""
    expect_entries(plan, draw_sizes(draw), "attention")


@EXERCISE.case(
    points=1, cause="one Linear(dim, 4 dim) with 4 dim biases, one Linear(4 dim, dim) with dim, every block."
)
def mlp(draw: Draw, plan: Plan) -> None:
    """The entry "mlp" is that of all blocks"""
    expect_entries(plan, draw_sizes(draw), "mlp")


@EXERCISE.case(points=1, cause="two norms in each block and one behind the last, each with a weight and a bias of dim.")
def norms(draw: Draw, plan: Plan) -> None:
    """The entry "norms" has those of all blocks and the last one"""
    expect_entries(plan, draw_sizes(draw), "norms")


@EXERCISE.case(points=1, cause="the head's weight is that of the token table (0 parameters more), and it has no bias.")
def head_and_total(draw: Draw, plan: Plan) -> None:
    """The entries "head", which shares the token table's weight, and "total" of all parts"""
    expect_entries(plan, draw_sizes(draw), "head", "total")


@EXERCISE.case(points=0.5, cause="heads share the dim channels: however many there are, the matrices are [dim dim].")
def number_of_heads(draw: Draw, plan: Plan) -> None:
    """The same model with one head, and with as many as channels"""
    vocab, block, dim, depth, _ = draw_sizes(draw)
    for heads in (1, dim):
        expect_entries(plan, (vocab, block, dim, depth, heads), "attention")


@EXERCISE.case(
    points=0.5, cause="return a dict of exactly the seven entries, all whole numbers (use // rather than /)."
)
def contract(draw: Draw, plan: Plan) -> None:
    """Seven whole numbers and nothing else: a model without blocks, a random one, GPT-2"""
    vocab, block, dim, depth, heads = draw_sizes(draw)
    for sizes in ((vocab, block, dim, 0, heads), (vocab, block, dim, depth, heads), (50257, 1024, 768, 12, 12)):
        plan.expect(plan.call(*sizes), oracle(*sizes), f"count_parameters{sizes}")


@EXERCISE.variant
def formulas() -> None:
    """One formula a part"""

    def count_parameters(vocab, block, dim, depth, heads):
        parts = {
            "tokens": vocab * dim,
            "positions": block * dim,
            "attention": depth * 4 * (dim * dim + dim),
            "mlp": depth * (dim * 4 * dim + 4 * dim + 4 * dim * dim + dim),
            "norms": (2 * depth + 1) * 2 * dim,
            "head": 0,
        }
        parts["total"] = sum(parts.values())
        return parts


@EXERCISE.variant
def linear_by_linear() -> None:
    """A helper for one linear map, blocks added up in a loop"""

    def count_parameters(vocab, block, dim, depth, heads):
        def linear(fan_in, fan_out):
            return (fan_in + 1) * fan_out

        count = dict(total=0, head=0, norms=2 * dim, mlp=0, attention=0, positions=block * dim, tokens=dim * vocab)
        for _ in range(depth):
            for _ in ("query", "key", "value", "out"):
                count["attention"] += linear(dim, dim)
            count["mlp"] += linear(dim, 4 * dim) + linear(4 * dim, dim)
            count["norms"] += 4 * dim
        count["total"] = sum(count.values())
        return count


@EXERCISE.variant
def modules_without_memory() -> None:
    """Modules built on the meta device and counted"""

    def count_parameters(vocab, block, dim, depth, heads):
        def count(module):
            return sum(p.numel() for p in module.parameters())

        with torch.device("meta"):
            square, up, down = nn.Linear(dim, dim), nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
            tokens, positions = count(nn.Embedding(vocab, dim)), count(nn.Embedding(block, dim))
            norms = count(nn.LayerNorm(dim)) * (1 + 2 * depth)
        attention, mlp = 4 * depth * count(square), depth * (count(up) + count(down))
        return {
            "tokens": tokens, "positions": positions, "attention": attention, "mlp": mlp, "norms": norms, "head": 0,
            "total": tokens + positions + attention + mlp + norms,
        }  # fmt: skip


@EXERCISE.variant
def factored_out() -> None:
    """The formulas multiplied out"""

    def count_parameters(vocab, block, dim, depth, heads):
        width = dim // heads
        attention = depth * heads * (3 * (dim * width + width) + width * dim) + depth * dim
        total = (vocab + block + 2) * dim + depth * (12 * dim**2 + 13 * dim)
        return {
            "tokens": dim * vocab,
            "positions": dim * block,
            "attention": attention,
            "mlp": depth * dim * (8 * dim + 5),
            "norms": 2 * dim + 4 * depth * dim,
            "head": 0,
            "total": total,
        }


ATTENTION = "depth * 4 * (dim * dim + dim)"
MLP = "depth * (dim * 4 * dim + 4 * dim + 4 * dim * dim + dim)"
NORMS = "(2 * depth + 1) * 2 * dim"
HEAD = '"head": 0'
TOTAL = "sum(parts.values())"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "head_counted_again",
        "The head's weight is the token table itself; shared parameters are counted once, so the head adds 0.",
        [(HEAD, '"head": vocab * dim')],
    ),
    (
        "bias_in_the_head",
        "The head is given a bias of vocab numbers; GPT's head has none.",
        [(HEAD, '"head": vocab')],
    ),
    (
        "attention_without_biases",
        "The biases of query, key, value and out are forgotten: four times dim in each block.",
        [(ATTENTION, "depth * 4 * dim * dim")],
    ),
    (
        "no_output_projection",
        "Only query, key and value are counted; the output projection is a fourth Linear(dim, dim).",
        [(ATTENTION, "depth * 3 * (dim * dim + dim)")],
    ),
    (
        "output_without_bias",
        "The output projection is counted without its bias; all four maps have one.",
        [(ATTENTION, "depth * (4 * dim * dim + 3 * dim)")],
    ),
    (
        "matrices_for_each_head",
        "The matrices are counted once for each head. The heads share the channels: each sees dim / heads of them.",
        [(ATTENTION, "depth * heads * 4 * (dim * dim + dim)")],
    ),
    (
        "heads_see_their_own_channels_only",
        "Each head is given a small matrix over its own channels; its query, key and value read all dim channels.",
        [(ATTENTION, "depth * 4 * (dim * dim // heads + dim)")],
    ),
    (
        "mlp_without_biases",
        "The biases of the MLP are forgotten: 4 dim in its first map and dim in its second.",
        [(MLP, "depth * 8 * dim * dim")],
    ),
    (
        "mlp_biases_of_dim_only",
        "The first map of the MLP has 4 * dim outputs, and as many biases.",
        [(MLP, "depth * (8 * dim * dim + 2 * dim)")],
    ),
    (
        "half_of_the_mlp",
        "The MLP has two maps, up to 4 * dim and down again; one is counted.",
        [(MLP, "depth * (4 * dim * dim + 4 * dim)")],
    ),
    (
        "mlp_not_widened",
        "The MLP is counted as though its hidden layer had dim units; it has 4 * dim.",
        [(MLP, "depth * 2 * (dim * dim + dim)")],
    ),
    (
        "last_norm_forgotten",
        "The norm behind the last block is forgotten.",
        [(NORMS, "2 * depth * 2 * dim")],
    ),
    (
        "norms_without_biases",
        "A LayerNorm has a weight and a bias, 2 * dim numbers.",
        [(NORMS, "(2 * depth + 1) * dim")],
    ),
    (
        "one_norm_a_block",
        "Each block has two norms, one before attention and one before the MLP.",
        [(NORMS, "(depth + 1) * 2 * dim")],
    ),
    (
        "positions_for_the_vocabulary",
        "The table of positions has a row for each of the block positions, not for each token of the vocabulary.",
        [("block * dim", "vocab * dim")],
    ),
    (
        "positions_not_learned",
        "The positions are counted as 0, which would be right for sinusoids; here the table is learned.",
        [("block * dim", "0")],
    ),
    (
        "tables_without_dim",
        "The token table is counted by its rows; each row has dim numbers.",
        [("vocab * dim", "vocab")],
    ),
    (
        "one_block",
        "Attention and MLP are counted for one block; there are `depth` of them, each with its own.",
        [(ATTENTION, "4 * (dim * dim + dim)"), (MLP, "dim * 4 * dim + 4 * dim + 4 * dim * dim + dim")],
    ),
    (
        "total_without_tables",
        "The total leaves the tables out (as some papers do on purpose). Here it is the sum of all parts.",
        [(TOTAL, f'{TOTAL} - parts["tokens"] - parts["positions"]')],
    ),
    (
        "total_of_one_more_head",
        'The entry "head" is right, but the total counts the shared weight twice.',
        [(TOTAL, f"{TOTAL} + vocab * dim")],
    ),
    (
        "fractions",
        "Dividing by / makes floating-point numbers; counts are whole: use //.",
        [(ATTENTION, "depth * (4 * heads * dim * (dim / heads) + 4 * dim)")],
    ),
    (
        "causal_mask_counted",
        "The causal mask is counted as parameters. It is a constant that no optimiser changes.",
        [(ATTENTION, f"depth * block * block + {ATTENTION}")],
    ),
    (
        "total_alone",
        "Only the total is returned; return the dict with all parts and the total.",
        [("return parts", 'return parts["total"]')],
    ),
    (
        "values_in_a_list",
        "The counts come in a list; return a dict, so that each count has a name.",
        [("return parts", "return list(parts.values())")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(formulas, name, says, *changes)
