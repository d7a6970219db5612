"""The check of ``sdf_loss(model, on_surface, normals, off_surface)``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.checks.siren import losses
from autograder.checks.siren.fields import (
    Field,
    Parameters,
    Plane,
    Polynomial,
    alternating,
    doubles,
    plane,
    polynomial,
    waves,
)
from autograder.checks.siren.losses import expect_loss
from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("siren.sdf_loss", objects=("sdf_loss",))
NAMES = ["on_surface", "normals", "off_surface"]


def oracle(field: Field, parameters: Parameters, on: Tensor, normals: Tensor, off: Tensor) -> Tensor:
    """The four terms point by point, from values and gradients in closed form."""
    n, m = len(on), len(off)
    total = torch.zeros((), dtype=on.dtype)
    values = [field.value(points, parameters)[:, 0] for points in (on, off)]
    slopes = [field.gradient(points, parameters) for points in (on, off)]
    for value, slope, normal in zip(values[0], slopes[0], normals, strict=True):
        cosine = (slope * normal).sum() / (slope.square().sum() * normal.square().sum()).sqrt()
        total = total + 3000 / n * value.abs() + 100 / n * (1 - cosine)
    for value in values[1]:
        total = total + 100 / m * (-100 * value.abs()).exp()
    for slope in torch.cat(slopes):
        total = total + 50 / (n + m) * (slope.square().sum().sqrt() - 1).abs()
    return total


def at(draw: Draw, field: Plane, values: Tensor) -> Tensor:
    """Drawn points where the plane has these values [k]: [k d]."""
    direction, constant = (field.parameters[name].double() for name in ("direction", "constant"))
    points = draw.normal(len(values), len(direction), dtype=torch.float64)
    steps = values.double()[:, None] - points @ direction - constant
    return (points + steps / direction.square().sum() * direction.mT).float()


def upright(draw: Draw, field: Plane, n: int) -> Tensor:
    """Normals of a plane with lengths from 0.3 to 3."""
    direction = field.parameters["direction"].mT
    return direction / direction.norm() * torch.tensor([[draw.uniform(0.3, 3)] for _ in range(n)])


def sizes(draw: Draw) -> list[tuple[int, int, int]]:
    """How many points on the surface and off it, and of how many coordinates: few and many, many and few."""
    few, many = draw.integer(4, 5), draw.integer(7, 9)
    return [(few, many, 2), (many, few, 3)]


def steady(draw: Draw, field: Field, d: int, n: int, m: int) -> list[Tensor]:
    """Points on, normals, points off for a curved field: the n and half of the m are so near its zero that no term
    drowns the others, on both sides of it, and with gradients longer and shorter than 1.

    No point lies where a term has a kink or the direction of the gradient hangs on rounding.
    """
    points = draw.normal(8000, d)
    value = field.value(points.double(), doubles(field))[:, 0].detach()
    length = field.gradient(points.double(), doubles(field)).detach().norm(dim=-1)
    steep = (length > 0.3) & ((length - 1).abs() > 0.01)
    near = steep & (value.abs() > 0.003) & (value.abs() < 0.03)
    far = steep & (value.abs() > 0.03)

    def by_turns(where: Tensor, count: int) -> Tensor:
        above, long = value > 0, length > 1
        kinds = [where & above & long, where & ~above & ~long, where & above & ~long, where & ~above & long]
        rows = [kind.nonzero().flatten().tolist()[:count] for kind in kinds]
        taken = [row[i] for i in range(count) for row in rows if i < len(row)][:count]
        return points[torch.tensor(taken, dtype=torch.long)]

    chosen = torch.cat([by_turns(near, n + m // 2), by_turns(far, n + m)])
    return [chosen[:n], draw.normal(n, d), chosen[n : n + m]]


@EXERCISE.case(
    points=1, cause="3000 times the mean of |Φ| over the points on the surface, signs dropped point by point."
)
def surface(draw: Draw, plan: Plan) -> None:
    """The first term alone: planes at some distance from the points on the surface, on both sides"""
    for n, m, d in sizes(draw):
        field = plane(draw, d)
        on, off = at(draw, field, 0.3 * alternating(draw, n)), at(draw, field, alternating(draw, m))
        expect_loss(plan, oracle, field, [on, upright(draw, field, n), off])


@EXERCISE.case(points=1, cause="100 times the mean of 1 - cosine; the cosine is free of both vectors' lengths.")
def normal(draw: Draw, plan: Plan) -> None:
    """The second term alone: normals of any direction and length, some of them turned round"""
    for n, m, d in sizes(draw):
        field = plane(draw, d)
        normals = draw.normal(n, d)
        cosines = normals @ field.parameters["direction"]
        normals = normals * cosines.sign() * alternating(draw, n)[:, None]
        expect_loss(
            plan, oracle, field, [at(draw, field, torch.zeros(n)), normals, at(draw, field, alternating(draw, m))]
        )


@EXERCISE.case(points=1, cause="100 times the mean of exp(-100 |Φ|) over the points off the surface alone.")
def off(draw: Draw, plan: Plan) -> None:
    """The third term alone: points off the surface that are very near to it, on both sides"""
    for n, m, d in sizes(draw):
        field = plane(draw, d)
        near = at(draw, field, 0.01 * alternating(draw, m))
        expect_loss(plan, oracle, field, [at(draw, field, torch.zeros(n)), upright(draw, field, n), near])


@EXERCISE.case(points=1, cause="50 times one mean of | |∇Φ| - 1 | over all n + m points, with Euclidean lengths.")
def eikonal(draw: Draw, plan: Plan) -> None:
    """The last term alone: gradients longer and shorter than 1, and others on the surface than off it"""
    for (n, m, d), steepness in zip(sizes(draw), (draw.uniform(0.4, 0.7), draw.uniform(1.5, 3)), strict=True):
        field = plane(draw, d, steepness)
        on, far = at(draw, field, torch.zeros(n)), at(draw, field, alternating(draw, m))
        expect_loss(plan, oracle, field, [on, upright(draw, field, n), far])
        # Φ = x + a x²: slope 1 on the surface x = 0, steeper and flatter than 1 off it
        bend = draw.uniform(0.1, 0.15)
        field = Polynomial({"coefficients": torch.tensor([1.0, bend])}, tuple((k, *[0] * (d - 1)) for k in (1, 2)))
        on, normals, far = draw.normal(n, d), torch.zeros(n, d), draw.normal(m, d)
        on[:, 0], normals[:, 0], far[:, 0] = 0, draw.uniform(0.3, 3), alternating(draw, m)
        expect_loss(plan, oracle, field, [on, normals, far], "the loss of a field that is curved off the surface")


@EXERCISE.case(points=1, cause="the sum of the four means, with the weights 3000, 100, 100 and 50.")
def together(draw: Draw, plan: Plan) -> None:
    """All four terms, in two and three dimensions: sines and polynomials"""
    for n, m, d in sizes(draw):
        for field in (waves(draw, d), polynomial(draw, d)):
            expect_loss(plan, oracle, field, steady(draw, field, d, n, m))
    field = waves(draw, 3)
    expect_loss(
        plan, oracle, field, steady(draw, field, 3, 1, 1), "the loss of one point on the surface and one off it"
    )


@EXERCISE.case(
    points=1, cause="create_graph=True in the derivative, and values that are not detached, reach the model."
)
def training(draw: Draw, plan: Plan) -> None:
    """The gradients of the model's parameters after loss.backward()"""
    for n, m, d in sizes(draw):
        field = waves(draw, d)
        losses.expect_training(plan, oracle, field, steady(draw, field, d, n, m), atol=0.5)


@EXERCISE.case(
    points=1, cause="work on points of your own, torch.cat([…]).detach().requires_grad_(), not on the caller's."
)
def own_coordinates(draw: Draw, plan: Plan) -> None:
    """Points that require a gradient and points that do not: both stay so, and so does their .grad"""
    points = {"on_surface": 0, "off_surface": 2}
    for n, m, d in sizes(draw):
        field = waves(draw, d)
        losses.expect_own_coordinates(draw, plan, oracle, field, steady(draw, field, d, n, m), points)


@EXERCISE.case(
    points=1, cause="the loss is only computed, in the dtype of the points: backward() is the caller's business."
)
def contract(draw: Draw, plan: Plan) -> None:
    """A module as model; no .grad of its parameters is filled, the inputs as they were, float64"""
    n, m, d = sizes(draw)[1]
    field = waves(draw, d)
    losses.expect_nothing_left(plan, oracle, field, steady(draw, field, d, n, m), NAMES)


@EXERCISE.variant
def joined() -> None:
    """All points joined, the model asked once"""

    def sdf_loss(model, on_surface, normals, off_surface):
        n = len(on_surface)
        x = torch.cat([on_surface, off_surface]).detach().requires_grad_()
        value = model(x)
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        surface = value[:n].abs().mean()
        normal = (1 - F.cosine_similarity(slope[:n], normals, dim=-1)).mean()
        off = torch.exp(-100 * value[n:].abs()).mean()
        eikonal = (slope.norm(dim=-1) - 1).abs().mean()
        return 3000 * surface + 100 * normal + 100 * off + 50 * eikonal


@EXERCISE.variant
def asked_twice() -> None:
    """The model asked at both sets by themselves; unit vectors multiplied; the eikonal mean put together by counts"""

    def sdf_loss(model, on_surface, normals, off_surface):
        def look(points):
            x = points.detach().clone().requires_grad_()
            y = model(x)
            return y, torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)[0]

        (on, on_slope), (off, off_slope) = look(on_surface), look(off_surface)
        n, m = len(on), len(off)
        lengths = torch.cat([on_slope.norm(dim=1), off_slope.norm(dim=1)])
        cosine = (F.normalize(on_slope, dim=-1) * F.normalize(normals, dim=-1)).sum(-1)
        loss = 50 * F.l1_loss(lengths, torch.ones_like(lengths), reduction="sum") / (n + m)
        return loss + 3e3 * on.abs().sum() / n + 1e2 * (1 - cosine.mean()) + 1e2 * (-100 * off.abs()).exp().sum() / m


@EXERCISE.variant
def in_the_graph() -> None:
    """Points that require a gradient stay in the graph; lengths as roots of sums, the terms in a dictionary"""

    def sdf_loss(model, on_surface, normals, off_surface):
        points = torch.cat([on_surface, off_surface], dim=0)
        if not points.requires_grad:
            points.requires_grad_()
        phi = model(points)
        g = torch.autograd.grad(phi.sum(), points, create_graph=True)[0]
        on, off = phi.split([len(on_surface), len(off_surface)])
        length = g.pow(2).sum(-1).sqrt()
        dot = torch.einsum("nd,nd->n", g[: len(on)], normals) / normals.norm(dim=-1) / length[: len(on)]
        terms = {3000: on.abs(), 100: 1 - dot, 100.0 + 1e-9: torch.exp(-100 * off.abs()), 50: (length - 1).abs()}
        return sum(weight * term.mean() for weight, term in terms.items())


@EXERCISE.variant
def by_function_transforms() -> None:
    """Value and derivative of the model as a function, mapped over the points"""

    def sdf_loss(model, on_surface, normals, off_surface):
        look = torch.func.vmap(torch.func.grad_and_value(lambda point: model(point[None]).sum()))
        slope, value = look(torch.cat([on_surface, off_surface]).detach())
        n = on_surface.shape[0]
        cosine = torch.cosine_similarity(slope[:n], normals, dim=-1)
        eikonal = (torch.linalg.vector_norm(slope, dim=-1) - 1).abs().mean()
        near = torch.exp(value[n:].abs().mul(-100)).mean()
        return 50 * eikonal + 100 * (near + (1 - cosine).mean()) + 3000 * value[:n].abs().mean()


COPY = "x = torch.cat([on_surface, off_surface]).detach().requires_grad_()"
GRAD = "(slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)"
SURFACE = "surface = value[:n].abs().mean()"
NORMAL = "normal = (1 - F.cosine_similarity(slope[:n], normals, dim=-1)).mean()"
OFF = "off = torch.exp(-100 * value[n:].abs()).mean()"
EIKONAL = "eikonal = (slope.norm(dim=-1) - 1).abs().mean()"
RETURN = "return 3000 * surface + 100 * normal + 100 * off + 50 * eikonal"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "surface_with_signs",
        "The values on the surface are averaged with their signs, so they cancel; take |Φ| first.",
        [(SURFACE, "surface = value[:n].mean()")],
    ),
    (
        "surface_sign_dropped_last",
        "The values on the surface are averaged and the sign is dropped afterwards; take |Φ| point by point.",
        [(SURFACE, "surface = value[:n].mean().abs()")],
    ),
    (
        "surface_squared",
        "The values on the surface are squared; the term is the mean of |Φ|.",
        [(SURFACE, "surface = value[:n].square().mean()")],
    ),
    (
        "surface_everywhere",
        "|Φ| is averaged over all points; only those on the surface should be at zero.",
        [(SURFACE, "surface = value.abs().mean()")],
    ),
    (
        "sets_exchanged",
        "The values of the two sets are exchanged; after torch.cat those on the surface come first, [:n].",
        [(SURFACE, "surface = value[n:].abs().mean()"), (OFF, "off = torch.exp(-100 * value[:n].abs()).mean()")],
    ),
    (
        "off_with_signs",
        "exp(-100 Φ) explodes where Φ is negative; take |Φ|.",
        [(OFF, "off = torch.exp(-100 * value[n:]).mean()")],
    ),
    (
        "off_too_wide",
        "exp(-|Φ|) lacks the factor 100: it would punish points that are rightly far away.",
        [(OFF, "off = torch.exp(-value[n:].abs()).mean()")],
    ),
    (
        "off_exponent_positive",
        "The exponent lacks its minus sign, so points far away are punished beyond all bounds.",
        [(OFF, "off = torch.exp(100 * value[n:].abs()).mean()")],
    ),
    (
        "off_everywhere",
        "exp(-100 |Φ|) is averaged over all points; on the surface Φ should vanish.",
        [(OFF, "off = torch.exp(-100 * value.abs()).mean()")],
    ),
    (
        "cosine_itself",
        "The cosine is rewarded for being small: the term is 1 - cosine, zero where the directions agree.",
        [(NORMAL, "normal = F.cosine_similarity(slope[:n], normals, dim=-1).mean()")],
    ),
    (
        "orientation_ignored",
        "The cosine's sign is dropped, so inside and outside could be exchanged; the normals point outwards.",
        [(NORMAL, NORMAL.replace("normals, dim=-1)", "normals, dim=-1).abs()"))],
    ),
    (
        "inner_product",
        "The inner product is taken as it is; the cosine is divided by both lengths.",
        [(NORMAL, "normal = (1 - (slope[:n] * normals).sum(-1)).mean()")],
    ),
    (
        "normals_not_normalised",
        "The inner product is divided by the gradient's length alone; normals need not have the length 1 either.",
        [(NORMAL, "normal = (1 - (F.normalize(slope[:n], dim=-1) * normals).sum(-1)).mean()")],
    ),
    (
        "gradients_not_normalised",
        "The inner product is divided by the normals' lengths alone; gradients need not have the length 1 either.",
        [(NORMAL, "normal = (1 - (slope[:n] * F.normalize(normals, dim=-1)).sum(-1)).mean()")],
    ),
    (
        "difference_of_vectors",
        "The squared distance of gradient and normal is taken; the term is 1 minus the cosine of their angle.",
        [(NORMAL, "normal = (slope[:n] - normals).square().sum(-1).mean()")],
    ),
    (
        "cosine_down_the_points",
        "The cosine is taken along the points, dim=0; it belongs along the coordinates, dim=-1.",
        [(NORMAL, NORMAL.replace("dim=-1", "dim=0"))],
    ),
    (
        "eikonal_squared",
        "The deviation from length 1 is squared, as Gropp et al. (2020) have it; here it is the absolute value.",
        [(EIKONAL, "eikonal = (slope.norm(dim=-1) - 1).square().mean()")],
    ),
    (
        "eikonal_with_signs",
        "Gradients longer and shorter than 1 cancel; take the absolute value of the difference.",
        [(EIKONAL, "eikonal = (slope.norm(dim=-1) - 1).mean()")],
    ),
    (
        "eikonal_on_the_surface_only",
        "The lengths of the gradients are asked for on the surface only; all n + m points count.",
        [(EIKONAL, "eikonal = (slope[:n].norm(dim=-1) - 1).abs().mean()")],
    ),
    (
        "eikonal_off_the_surface_only",
        "The lengths of the gradients are asked for off the surface only; all n + m points count.",
        [(EIKONAL, "eikonal = (slope[n:].norm(dim=-1) - 1).abs().mean()")],
    ),
    (
        "mean_of_two_means",
        "The eikonal term is a mean of two means, of the points on and off the surface; it is one over all n + m.",
        [
            (
                EIKONAL,
                "wrong = (slope.norm(dim=-1) - 1).abs()\n    eikonal = (wrong[:n].mean() + wrong[n:].mean()) / 2",
            ),
        ],
    ),
    (
        "sum_of_two_means",
        "The eikonal terms of both sets are added, so it counts twice; it is one mean over all n + m.",
        [
            (EIKONAL, "wrong = (slope.norm(dim=-1) - 1).abs()\n    eikonal = wrong[:n].mean() + wrong[n:].mean()"),
        ],
    ),
    (
        "length_of_everything",
        "slope.norm() is one length of the whole matrix; give it dim=-1 for a length at each point.",
        [("slope.norm(dim=-1)", "slope.norm()")],
    ),
    (
        "sum_of_absolute_values",
        "The length of a gradient is taken as the sum of absolute values; it is the Euclidean one.",
        [("slope.norm(dim=-1)", "slope.abs().sum(-1)")],
    ),
    (
        "no_weights",
        "The weights are missing; they are 3000, 100, 100 and 50.",
        [(RETURN, "return surface + normal + off + eikonal")],
    ),
    (
        "weights_exchanged",
        "The weights of the normals and of the lengths are exchanged; normals have 100, lengths 50.",
        [(RETURN, "return 3000 * surface + 50 * normal + 100 * off + 100 * eikonal")],
    ),
    (
        "divided_by_all",
        "Every term is divided by n + m, as in the authors' code; here each is a mean over its own points.",
        [
            (
                RETURN,
                "share = n / len(x)\n    on = 3000 * surface + 100 * normal\n    "
                "return share * on + (1 - share) * 100 * off + 50 * eikonal",
            ),
        ],
    ),
    (
        "sums",
        "The terms are sums over their points; each is a mean.",
        [
            (
                RETURN,
                "m = len(off_surface)\n    on = n * (3000 * surface + 100 * normal)\n    "
                "return on + m * 100 * off + (n + m) * 50 * eikonal",
            ),
        ],
    ),
    (
        "no_graph",
        "The gradients are constants to the loss: create_graph=True is missing, or the gradient is detached.",
        [(GRAD, GRAD.replace("create_graph", "retain_graph"))],
    ),
    (
        "graph_used_up",
        "The graph of the values is gone once their gradient is taken; create_graph=True keeps it, and makes another.",
        [(GRAD, GRAD.replace(", create_graph=True", ""))],
    ),
    (
        "mean_of_the_values",
        "The mean of the values is differentiated, so all gradients are too short; differentiate their sum.",
        [("value.sum()", "value.mean()")],
    ),
    (
        "by_backward",
        "backward() inside the loss fills the .grad of the model's parameters; use torch.autograd.grad.",
        [(GRAD, "value.sum().backward(create_graph=True)\n    slope = x.grad")],
    ),
    (
        "callers_points_marked",
        "requires_grad_() is called on the caller's tensors; call it on what torch.cat made, after .detach().",
        [(COPY, "x = torch.cat([on_surface.requires_grad_(), off_surface.requires_grad_()])")],
    ),
    (
        "points_as_they_come",
        "The points are expected to require a gradient; as a rule they do not, so call .detach().requires_grad_().",
        [(COPY, "x = torch.cat([on_surface, off_surface])")],
    ),
    (
        "single_precision",
        "The loss is forced to float32; it must have the dtype of the points.",
        [(RETURN, "return (" + RETURN.removeprefix("return ") + ").float()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(joined, name, says, *changes)
