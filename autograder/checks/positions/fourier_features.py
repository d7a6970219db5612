"""The check of ``fourier_features(coords, B)``."""

import cmath
import math
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("positions.fourier_features", objects=("fourier_features",))


def oracle(coords: Tensor, B: Tensor) -> Tensor:
    """One point and one wave at a time: the real and the imaginary part of exp(2πi b·v)."""
    m = len(B)
    out = torch.empty(*coords.shape[:-1], 2 * m, dtype=torch.float64)
    for at in product(*map(range, coords.shape[:-1])):
        for j, b in enumerate(B.tolist()):
            turns = math.fsum(x * y for x, y in zip(coords[at].tolist(), b, strict=True))
            wave = cmath.exp(2j * math.pi * turns)
            out[(*at, j)], out[(*at, m + j)] = wave.real, wave.imag
    return out.to(coords.dtype)


def expect(plan: Plan, got: Ref, coords: Tensor, B: Tensor, what: str) -> None:
    """Compare float32 features: phases reach about 100, which float32 resolves to 1e-5."""
    plan.expect(got, oracle(coords, B), what, atol=2e-4)


@EXERCISE.case(points=1, cause="for each row b of B: cos(2π b·v) in the first half of the channels, sin(2π b·v) after.")
def points_in_the_plane(draw: Draw, plan: Plan) -> None:
    """Points [n 2] and some frequencies [m 2]"""
    coords, B = draw.normal(draw.integer(15, 20), 2), draw.normal(draw.integer(5, 7), 2)
    expect(plan, plan.call(coords, B), coords, B, "fourier_features(coords, B)")


@EXERCISE.case(points=0.5, cause="b·v sums over the coordinates, however many there are: it is a product of matrices.")
def other_dimensions(draw: Draw, plan: Plan) -> None:
    """Points on a line and points in space, more coordinates than frequencies"""
    for c, m in ((1, draw.integer(5, 7)), (3, 4), (draw.integer(5, 6), 3)):
        coords, B = draw.normal(draw.integer(15, 20), c), draw.normal(m, c)
        expect(plan, plan.call(coords, B), coords, B, f"the features for points with {c} coordinates")


@EXERCISE.case(
    points=1, cause="only the last axis changes, from c to 2m: concatenate along dim=-1 and reshape nothing."
)
def leading_axes(draw: Draw, plan: Plan) -> None:
    """One point [c], images of points [h w c], stacks of them"""
    b, h, w = draw.sizes(3)
    B = draw.normal(draw.integer(8, 9), 3)
    for lead in ((), (h, w), (w, h), (b, h, w)):
        coords = draw.normal(*lead, 3)
        expect(plan, plan.call(coords, B), coords, B, f"the features for coords {list(coords.shape)}")


@EXERCISE.case(points=0.5, cause="keep axes of length 1: the shape is [... 2m] for one point and one frequency too.")
def one_wave(draw: Draw, plan: Plan) -> None:
    """A single frequency, a single point, given by keywords"""
    for n, m in ((1, draw.integer(3, 5)), (draw.integer(3, 5), 1), (1, 1)):
        coords, B = draw.normal(n, 2), draw.normal(m, 2)
        got = plan.call(coords=coords, B=B)
        expect(plan, got, coords, B, f"the features for coords [{n} 2] and B [{m} 2]")


@EXERCISE.case(points=1, cause="compute with torch all the way: nothing detached, no way through numpy.")
def gradients(draw: Draw, plan: Plan) -> None:
    """Gradients reach the coordinates and the frequencies"""
    n, m, c = draw.integer(15, 20), draw.integer(5, 7), draw.integer(2, 4)
    coords, B, cotangent = draw.normal(n, c), draw.normal(m, c), draw.normal(n, 2 * m)
    leaves = plan.put(coords, grad=True), plan.put(B, grad=True)
    plan.backward(plan.call(*leaves), cotangent)
    cos, sin = oracle(coords.double(), B.double()).chunk(2, -1)
    # cos' = -sin and sin' = cos, and the phase of wave j at point v is 2π b·v
    phases = 2 * math.pi * (cos * cotangent[:, m:] - sin * cotangent[:, :m])
    for leaf, gradient, name in zip(
        leaves, (phases @ B.double(), phases.T @ coords.double()), ("coords", "B"), strict=True
    ):
        plan.expect_grad(leaf, gradient.float(), name, atol=1e-3)


@EXERCISE.case(points=1, cause="compute in the dtype of the inputs and write into neither of them.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, coords and B stay as they were"""
    n, m, c = draw.integer(15, 20), draw.integer(5, 7), draw.integer(2, 4)
    values, waves = draw.normal(n, c, dtype=torch.float64), draw.normal(m, c, dtype=torch.float64)
    coords, B = plan.put(values), plan.put(waves)
    plan.expect(plan.call(coords, B), oracle(values, waves), "the features of float64 points", rtol=1e-9, atol=1e-9)
    plan.expect(coords, values, "coords after the call")
    plan.expect(B, waves, "B after the call")


@EXERCISE.variant
def by_matrix_product() -> None:
    """One product of matrices"""

    def fourier_features(coords, B):
        phases = 2 * math.pi * coords @ B.T
        features = torch.cat([phases.cos(), phases.sin()], dim=-1)
        return features


@EXERCISE.variant
def by_einsum() -> None:
    """einsum, and a stack of two that is folded"""

    def fourier_features(coords, B):
        phases = torch.einsum("...c,mc->...m", coords, B) * math.tau
        return torch.stack([torch.cos(phases), torch.sin(phases)], dim=-2).flatten(-2)


@EXERCISE.variant
def as_a_linear_layer() -> None:
    """F.linear takes the weights with a row for each output, as B has them; a cosine is a shifted sine"""

    def fourier_features(coords, B):
        phases = F.linear(coords, 2 * torch.pi * B)
        return torch.sin(torch.cat([phases + torch.pi / 2, phases], dim=-1))


@EXERCISE.variant
def by_complex_numbers() -> None:
    """exp(2πi b·v), its real and its imaginary part"""

    def fourier_features(coords, B):
        phases = 2 * math.pi * (coords[..., None, :] * B).sum(-1)
        waves = torch.polar(torch.ones_like(phases), phases)
        return torch.cat([waves.real, waves.imag], dim=-1)


@EXERCISE.variant
def wave_by_wave() -> None:
    """A loop over the frequencies"""

    def fourier_features(coords, B):
        turns = [sum(coords[..., k] * b[k] for k in range(len(b))) for b in B]
        waves = [torch.cos(2 * math.pi * t) for t in turns] + [torch.sin(2 * math.pi * t) for t in turns]
        return torch.stack(waves, dim=-1)


PHASES, CAT = "2 * math.pi * coords @ B.T", "torch.cat([phases.cos(), phases.sin()], dim=-1)"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "no_two_pi",
        "The factor 2π is missing: a frequency counts full turns, and a full turn is 2π radians.",
        [(PHASES, "coords @ B.T")],
    ),
    (
        "half_turns",
        "The factor is π, as in NeRF's encoding; here it is 2π, so that a frequency counts full turns.",
        [(PHASES, "math.pi * coords @ B.T")],
    ),
    (
        "sines_first",
        "The sines come first; here the cosines are channels 0 … m-1 and the sines follow.",
        [(CAT, "torch.cat([phases.sin(), phases.cos()], dim=-1)")],
    ),
    (
        "interleaved",
        "Cosines and sines alternate, as in `sinusoidal`; here all m cosines come first, then all m sines.",
        [(CAT, "torch.stack([phases.cos(), phases.sin()], dim=-1).flatten(-2)")],
    ),
    (
        "frequencies_in_columns",
        "B is taken to hold a frequency in each column; it is [m c], with a frequency vector in each row.",
        [("B.T", "B")],
    ),
    (
        "reshaped_instead_of_transposed",
        "B [m c] is reshaped to [c m], which gives the right shape and shuffled frequencies; transpose it.",
        [("B.T", "B.reshape(B.shape[1], B.shape[0])")],
    ),
    (
        "concatenated_along_axis_one",
        "dim=1 is the last axis only where coords is a matrix; count from the end, dim=-1.",
        [("dim=-1)", "dim=1)")],
    ),
    (
        "points_flattened",
        "The points come back as one long list; the leading axes of coords must stay as they are.",
        [(CAT, CAT + ".reshape(-1, 2 * len(B))")],
    ),
    (
        "coordinates_kept_as_well",
        "The coordinates themselves are put in front of the features, as NeRF does; here there are 2m channels.",
        [(CAT, "torch.cat([coords, phases.cos(), phases.sin()], dim=-1)")],
    ),
    (
        "coordinates_not_summed",
        "Each coordinate gets waves of its own, so no wave runs along a diagonal: b·v is a sum over the coordinates.",
        [(PHASES, "2 * math.pi * (coords[..., None, :] * B).flatten(-2)")],
    ),
    (
        "divided_by_the_root",
        "The features are divided by √m, as random features of a kernel often are; the statement asks for plain waves.",
        [("return features", "return features / math.sqrt(len(B))")],
    ),
    (
        "squeezed",
        "Axes of length 1 are squeezed away: with one point or one frequency the shape is no longer [... 2m].",
        [("return features", "return features.squeeze()")],
    ),
    (
        "frequencies_detached",
        "B is detached, so that frequencies can never be learned; that is for the caller to decide.",
        [("B.T", "B.T.detach()")],
    ),
    (
        "through_numpy",
        "The way through numpy (or .detach(), .data) cuts off the gradient of the coordinates and of B.",
        [("return features", "return torch.from_numpy(features.detach().numpy())")],
    ),
    (
        "in_single_precision",
        "The features are float32, whatever came in. Compute in the dtype of coords.",
        [("return features", "return features.float()")],
    ),
    (
        "coordinates_scaled_in_place",
        "`coords *= 2π` changes the caller's tensor (and fails where it needs a gradient); write a product instead.",
        [(PHASES, "coords.mul_(2 * math.pi) @ B.T")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(by_matrix_product, name, says, *changes)
