"""The check of ``rope(x, positions, base=10000.)``."""

import math

import torch
from einops import rearrange
from torch import Tensor

from autograder.checks.positions.rotations_by_hand import rotations
from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("positions.rope", objects=("rope",))


def oracle(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """A whole rotation matrix for every token, applied to it as a column."""
    turn = rotations(positions, x.shape[-1], base)
    return (turn @ x.double()[..., None])[..., 0].to(x.dtype)


def unordered(draw: Draw, *shape: int) -> Tensor:
    """Whole positions in no order, with a gap and, along the last axis, one that comes twice."""
    positions = torch.stack([draw.permutation(12)[: shape[-1]] for _ in range(math.prod(shape[:-1]))])
    positions[:, -1] = positions[:, 0]
    return positions.reshape(shape)


def expect(plan: Plan, x: Tensor, positions: Tensor, base: float | None = None) -> None:
    """Compare the turned tokens with the oracle's."""
    turned = plan.call(x, positions) if base is None else plan.call(x, positions, base=base)
    what = f"rope(x, positions{'' if base is None else f', base={base}'}) for x {list(x.shape)}"
    if positions.ndim == 1:
        what += f" and positions {[round(p, 3) for p in positions.tolist()]}"
    plan.expect(turned, oracle(x, positions, base or 10000.0), what, atol=1e-4, strict=False)


@EXERCISE.case(points=1, cause="(a, b) becomes (a cos p - b sin p, a sin p + b cos p), p being the token's position.")
def one_pair(draw: Draw, plan: Plan) -> None:
    """Two channels, turned by the position itself; positions in no order"""
    n = draw.integer(4, 7)
    expect(plan, draw.normal(n, 2), unordered(draw, n))


@EXERCISE.case(points=1, cause="channels (2i, 2i+1) are a pair and turn by p / base**(2i/d), as in `sinusoidal`.")
def several_pairs(draw: Draw, plan: Plan) -> None:
    """More pairs: neighbouring channels turn together, each pair more slowly than the one before"""
    n, pairs = draw.sizes(2, 3, 6)
    expect(plan, draw.normal(n, 2 * pairs), unordered(draw, n))


@EXERCISE.case(points=1, cause="the argument `base` stands in the frequency: 1 / base**(2i/d).")
def other_bases(draw: Draw, plan: Plan) -> None:
    """Bases other than 10000"""
    for low, high in ((20, 90), (200, 900)):
        n, pairs = draw.sizes(2, 3, 6)
        expect(plan, draw.normal(n, 2 * pairs), unordered(draw, n), base=draw.uniform(low, high))


@EXERCISE.case(points=1, cause="write positions[..., None] * frequencies: it broadcasts against [... n d/2] by itself.")
def leading_axes(draw: Draw, plan: Plan) -> None:
    """Axes for sets and heads; positions for all sets, and for each set its own"""
    b, h, n, pairs = draw.sizes(4)
    expect(plan, draw.normal(b, h, n, 2 * pairs), unordered(draw, n))
    expect(plan, draw.normal(b, n, 2 * pairs), unordered(draw, b, n))
    expect(plan, draw.normal(b, h, n, 2 * pairs), unordered(draw, b, 1, n))


@EXERCISE.case(
    points=0.5, cause="compute the angles from the positions as they are; do not look them up or round them."
)
def any_position(draw: Draw, plan: Plan) -> None:
    """Positions with a fraction, and before the start"""
    n, pairs = draw.sizes(2, 3, 6)
    expect(plan, draw.normal(n, 2 * pairs), 4 * draw.normal(n))


@EXERCISE.case(points=1, cause="compute angles, sines and cosines in float32, then give the result the dtype of x.")
def half_precision(draw: Draw, plan: Plan) -> None:
    """bfloat16 tokens at positions in the thousands"""
    n, pairs = draw.sizes(2, 3, 6)
    x = draw.normal(n, 2 * pairs, dtype=torch.bfloat16)
    positions = 1001 + 2 * (500 * unordered(draw, n) + draw.permutation(n))
    # products and sums in bfloat16 are right to about 0.03 at these sizes
    plan.expect(plan.call(x, positions), oracle(x, positions), "rope(x, positions) for bfloat16 x", rtol=0, atol=0.1)


@EXERCISE.case(points=1, cause="make new tensors, in the dtype of x, and let gradients through.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, x and positions stay as they were, gradients flow"""
    b, n, pairs = draw.sizes(3, 3, 6)
    values, cotangent = (draw.normal(b, n, 2 * pairs, dtype=torch.float64) for _ in range(2))
    places = unordered(draw, n)
    x, positions = plan.put(values), plan.put(places)
    turned = plan.call(x, positions)
    plan.expect(turned, oracle(values, places), "rope(x, positions) for float64 x", atol=1e-4)
    plan.expect(x, values, "x after the call")
    plan.expect(positions, places, "positions after the call")
    leaf = plan.put(values, grad=True)
    plan.backward(plan.call(leaf, places), cotangent)
    # a rotation's transpose is the rotation back
    plan.expect_grad(leaf, oracle(cotangent, -places), "x", atol=1e-4)


@EXERCISE.variant
def pairs_by_strides() -> None:
    """Even and odd channels, stacked as pairs and flattened"""

    def rope(x, positions, base=10000.0):
        d = x.shape[-1]
        angles = positions[..., None] * base ** (-torch.arange(0, d, 2) / d)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        first, second = x[..., 0::2], x[..., 1::2]
        turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)
        return turned.flatten(-2)


@EXERCISE.variant
def complex_numbers() -> None:
    """Pairs as complex numbers times points on the unit circle"""

    def rope(x, positions, base=10000.0):
        d = x.shape[-1]
        wide = x if x.dtype == torch.float64 else x.float()
        angles = positions.unsqueeze(-1) * torch.exp(-math.log(base) * torch.arange(0, d, 2) / d)
        pairs = torch.view_as_complex(wide.reshape(*x.shape[:-1], d // 2, 2))
        turned = pairs * torch.polar(torch.ones_like(angles), angles)
        return torch.view_as_real(turned).reshape(x.shape).to(x.dtype)


@EXERCISE.variant
def every_two_swapped() -> None:
    """x cos + swapped(x) sin, with every angle written twice"""

    def rope(x, positions, base=10000.0):
        channel = torch.arange(x.shape[-1])
        exponent = (channel - channel % 2).double() / x.shape[-1]
        angles = torch.einsum("...n,d->...nd", positions.double(), 1 / base**exponent)
        pairs = rearrange(x, "... (pair two) -> ... pair two", two=2)
        swapped = rearrange(torch.stack([-pairs[..., 1], pairs[..., 0]], -1), "... pair two -> ... (pair two)")
        return (x * angles.cos() + swapped * angles.sin()).to(x.dtype)


@EXERCISE.variant
def pair_by_pair() -> None:
    """A Python loop over pairs that fills a new tensor"""

    def rope(x, positions, base=10000.0):
        out = torch.empty_like(x)
        for i in range(0, x.shape[-1], 2):
            angle = positions / base ** (i / x.shape[-1])
            a, b = x[..., i], x[..., i + 1]
            out[..., i] = a * torch.cos(angle) - b * torch.sin(angle)
            out[..., i + 1] = a * torch.sin(angle) + b * torch.cos(angle)
        return out


FREQUENCIES = "base ** (-torch.arange(0, d, 2) / d)"
WAVES = "cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)"
PAIRS = "first, second = x[..., 0::2], x[..., 1::2]"
TURNED = "torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)"
TOGETHER = "turned.flatten(-2)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "halves_not_neighbours",
        "Channels i and i + d/2 are paired, as in GPT-NeoX and Llama; here a pair is two neighbours, 2i and 2i + 1.",
        [(PAIRS, "first, second = x.chunk(2, dim=-1)"), (TOGETHER, "torch.cat(turned.unbind(-1), dim=-1)")],
    ),
    (
        "put_back_as_halves",
        "The pairs are turned rightly but put back as two halves; stack and flatten bring neighbours together again.",
        [(TOGETHER, "torch.cat(turned.unbind(-1), dim=-1)")],
    ),
    (
        "angles_repeated_as_halves",
        "The angles are doubled by cat([angles, angles]), which suits halves; neighbours need repeat_interleave(2).",
        [
            (WAVES, "angles = torch.cat([angles, angles], dim=-1)\n    " + WAVES),
            (TURNED, "x * cos + torch.stack([-second, first], dim=-1).flatten(-2) * sin"),
            (TOGETHER, "turned"),
        ],
    ),
    (
        "halves_with_neighbours_angles",
        "The angles stand in pairs (repeat_interleave) but the channels are swapped as halves (rotate_half).",
        [
            (WAVES, "angles = angles.repeat_interleave(2, dim=-1)\n    " + WAVES),
            (PAIRS, "first, second = x.chunk(2, dim=-1)"),
            (TURNED, "x * cos + torch.cat([-second, first], dim=-1) * sin"),
            (TOGETHER, "turned"),
        ],
    ),
    (
        "turned_backwards",
        "The tokens turn the other way: the minus belongs to the first channel, a cos - b sin.",
        [("first * cos - second * sin", "first * cos + second * sin"), ("first * sin +", "-first * sin +")],
    ),
    (
        "a_sign_lost",
        "Both channels get a plus, so lengths change: a rotation is a cos - b sin and a sin + b cos.",
        [("first * cos - second * sin", "first * cos + second * sin")],
    ),
    (
        "first_channel_turned_too_early",
        "The second channel is made from the first one after it was turned; keep the old value until both are done.",
        [
            (
                "turned = " + TURNED,
                "first = first * cos - second * sin\n"
                "    second = first * sin + second * cos\n"
                "    turned = torch.stack([first, second], dim=-1)",
            )
        ],
    ),
    (
        "added_not_turned",
        "Sines and cosines are added to x, as with `sinusoidal`; RoPE turns the pairs and adds nothing.",
        [(TURNED, "torch.stack([first + sin, second + cos], dim=-1)")],
    ),
    (
        "positions_ignored",
        "The tokens are counted 0, 1, 2, … as they lie in x; their positions are given and may be in any order.",
        [("positions[..., None]", "torch.arange(x.shape[-2])[:, None]")],
    ),
    (
        "base_always_10000",
        "The argument base is ignored: 10000 is written into the formula.",
        [(FREQUENCIES, "10000.0 ** (-torch.arange(0, d, 2) / d)")],
    ),
    (
        "frequency_from_the_number_of_the_pair",
        "The exponent is i/d where it must be 2i/d: the slowest pair turns far too fast.",
        [(FREQUENCIES, "base ** (-torch.arange(d // 2) / d)")],
    ),
    (
        "doubled_twice",
        "arange(0, d, 2) counts 2i already; doubling it again makes the exponent 4i/d.",
        [(FREQUENCIES, "base ** (-2 * torch.arange(0, d, 2) / d)")],
    ),
    (
        "multiplied_by_the_power",
        "The positions are multiplied by base**(2i/d) and must be divided by it: the first pair is the fastest.",
        [(FREQUENCIES, "base ** (torch.arange(0, d, 2) / d)")],
    ),
    (
        "heads_after_tokens",
        "The angles get an axis for heads behind the tokens, for x [b n h d]; here tokens are the axis before the "
        "last, so the angles [n d/2] broadcast as they are.",
        [(WAVES, WAVES + "\n    cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)")],
    ),
    (
        "outer_product",
        "torch.outer (or a fixed einsum) takes one row of positions only; write positions[..., None] * frequencies.",
        [("positions[..., None] * " + FREQUENCIES, "torch.outer(positions, " + FREQUENCIES + ")")],
    ),
    (
        "positions_rounded",
        "The positions are made whole numbers; an angle can be taken at any position.",
        [("positions[..., None]", "positions.long()[..., None]")],
    ),
    (
        "angles_in_half_precision",
        "The angles are computed in the dtype of x: bfloat16 cannot tell position 256 from 257. Compute them in "
        "float32 and turn only sine and cosine into that dtype.",
        [
            ("positions[..., None] *", "positions.to(x.dtype)[..., None] *"),
            (FREQUENCIES, f"({FREQUENCIES}).to(x.dtype)"),
        ],
    ),
    (
        "dtype_not_given_back",
        "bfloat16 tokens come back as float32, because sine and cosine are; give the result the dtype of x.",
        [(WAVES, "cos, sin = angles.cos(), angles.sin()")],
    ),
    (
        "always_float32",
        "Everything is turned into float32, whatever came in; the result has the dtype of x.",
        [(TOGETHER, TOGETHER + ".float()")],
    ),
    (
        "in_place",
        "x is overwritten: x[..., 0::2] = … changes the caller's tensor. Fill a new one, or stack.",
        [("return " + TOGETHER, "x[..., 0::2], x[..., 1::2] = turned.unbind(-1)\n    return x")],
    ),
    (
        "detached",
        "x is detached (.data, .detach(), no_grad): no gradient flows back to queries and keys.",
        [(PAIRS, "first, second = x.detach()[..., 0::2], x.detach()[..., 1::2]")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(pairs_by_strides, name, says, *changes)
