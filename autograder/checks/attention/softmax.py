"""The check of ``softmax(x, dim)``."""

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("attention.softmax", objects=("softmax",))


def oracle(x: Tensor, dim: int) -> Tensor:
    """Softmax through logarithms: exp(x - logsumexp(x)) in float64."""
    x64 = x.double()
    return (x64 - x64.logsumexp(dim, keepdim=True)).exp().to(x.dtype)


@EXERCISE.case(points=1, cause="exponentiate, then divide by the sum of the exponentials along `dim`.")
def last_axis(draw: Draw, plan: Plan) -> None:
    """A matrix, along its last axis"""
    x = draw.normal(*draw.sizes(2))
    plan.expect(plan.call(x, dim=1), oracle(x, 1), "softmax(x, dim=1)")


@EXERCISE.case(points=1, cause="`dim` may be any axis, counted from either end; the sum keeps that axis (keepdim).")
def any_axis(draw: Draw, plan: Plan) -> None:
    """Three axes, along each of them"""
    x = draw.normal(*draw.sizes(3))
    for dim in (0, 1, -1, -2):
        plan.expect(plan.call(x, dim=dim), oracle(x, dim), f"softmax(x, dim={dim})")


@EXERCISE.case(points=1, cause="subtract the largest score of each row before exp: exp(1000) overflows.")
def large_scores(draw: Draw, plan: Plan) -> None:
    """Scores of ±1000, where exp overflows"""
    x = 1e3 * draw.normal(*draw.sizes(2))
    # the largest score of one row is 1000, that of the next -1000
    x[:2] -= x[:2].amax(-1, keepdim=True) - torch.tensor([[1e3], [-1e3]])
    # at this size float32 itself resolves scores to 1e-4, so exp(x - logsumexp(x)) is right to about 1e-3
    plan.expect(plan.call(x, dim=-1), oracle(x, -1), "softmax(x, dim=-1)", rtol=1e-2, atol=1e-3)


@EXERCISE.case(points=1, cause="subtract each row's own largest score, not the largest of the whole tensor.")
def rows_far_apart(draw: Draw, plan: Plan) -> None:
    """Rows whose levels differ by thousands"""
    rows, columns = draw.sizes(2, 3)
    x = draw.normal(rows, columns) - 2e3 * torch.arange(rows)[:, None]
    plan.expect(plan.call(x, dim=-1), oracle(x, -1), "softmax(x, dim=-1)", rtol=1e-2, atol=1e-3)


@EXERCISE.case(points=1, cause="compute in the input's dtype, leave the input as it was, and let gradients through.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, the input stays as it was, gradients flow"""
    values, cotangent = draw.normal(3, 5, dtype=torch.float64), draw.normal(3, 5, dtype=torch.float64)
    x = plan.put(values)
    plan.expect(plan.call(x, dim=1), oracle(values, 1), "softmax(x, dim=1) of float64 scores")
    plan.expect(x, values, "x after the call")
    leaf = plan.put(values, grad=True)
    plan.backward(plan.call(leaf, dim=1), cotangent)
    p = oracle(values, 1)
    # the Jacobian of softmax is diag(p) - p pᵀ, written out rather than taken from autograd
    plan.expect_grad(leaf, p * (cotangent - (p * cotangent).sum(1, keepdim=True)), "x")


@EXERCISE.mistake
def no_maximum_subtracted() -> None:
    """exp overflows for large scores. Subtract the row's largest score first: softmax does not change by it."""

    def softmax(x, dim):
        e = x.exp()
        return e / e.sum(dim, keepdim=True)


@EXERCISE.mistake
def always_last_axis() -> None:
    """The argument `dim` is ignored: the sum runs over the last axis whatever is asked for."""

    def softmax(x, dim):
        e = (x - x.amax(-1, keepdim=True)).exp()
        return e / e.sum(-1, keepdim=True)


@EXERCISE.mistake
def one_maximum_for_all() -> None:
    """One maximum of the whole tensor is subtracted: rows far below it underflow to 0/0."""

    def softmax(x, dim):
        e = (x - x.max()).exp()
        return e / e.sum(dim, keepdim=True)


@EXERCISE.mistake
def normalised_over_everything() -> None:
    """The exponentials are divided by the sum over the whole tensor, so single rows do not sum to one."""

    def softmax(x, dim):
        e = (x - x.amax(dim, keepdim=True)).exp()
        return e / e.sum()


@EXERCISE.mistake
def logarithm_returned() -> None:
    """This is log-softmax: one exp is missing at the end."""

    def softmax(x, dim):
        return F.log_softmax(x, dim)


@EXERCISE.mistake
def shifted_in_place() -> None:
    """`x -= …` changes the caller's tensor; write `x = x - …`, which makes a new one."""

    def softmax(x, dim):
        x -= x.amax(dim, keepdim=True).detach()
        e = x.exp()
        return e / e.sum(dim, keepdim=True)


@EXERCISE.mistake
def detached() -> None:
    """The way through numpy (or .detach(), .data) cuts the gradient off and forgets the dtype's device."""

    def softmax(x, dim):
        e = (x - x.amax(dim, keepdim=True)).exp().detach()
        return e / e.sum(dim, keepdim=True)


@EXERCISE.mistake
def small_number_in_the_sum() -> None:
    """A constant added to the sum (1e-3 here) keeps rows from summing to one; after subtracting the maximum the
    sum is at least 1, so nothing needs to be added."""

    def softmax(x, dim):
        e = (x - x.amax(dim, keepdim=True)).exp()
        return e / (e.sum(dim, keepdim=True) + 1e-3)


@EXERCISE.variant
def by_logsumexp() -> None:
    """exp(x - logsumexp(x))"""

    def softmax(x, dim):
        return (x - torch.logsumexp(x, dim, keepdim=True)).exp()


@EXERCISE.variant
def row_by_row() -> None:
    """A Python loop over rows"""

    def softmax(x, dim):
        rows = x.movedim(dim, -1)
        flat = rows.reshape(-1, rows.shape[-1])
        done = []
        for row in flat:
            e = [torch.exp(score - row.max()) for score in row]
            done.append(torch.stack([value / sum(e) for value in e]))
        return torch.stack(done).reshape(rows.shape).movedim(-1, dim)


@EXERCISE.variant
def fused() -> None:
    """torch's own kernel"""

    def softmax(x, dim):
        return torch.softmax(x, dim)
