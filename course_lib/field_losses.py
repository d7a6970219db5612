"""Losses that ask for something of a field's derivatives: an image from its gradients, a surface from points."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from course_lib.field_calculus import gradient

Field = Callable[[Tensor], Tensor]


def poisson_loss(model: Field, coords: Tensor, target_gradient: Tensor) -> Tensor:
    """Return the mean squared length of the difference between a field's gradient and a wanted one.

    Shapes: coords [n d], target_gradient [n d] per unit of coords -> a scalar; the model maps [n d] to [n 1].
    The field is found up to a constant, since no value of it is asked for. `coords` is left as it is. Raises
    ValueError if the shapes differ. Source: Sitzmann et al. 2020, equation 3.
    """
    if target_gradient.shape != coords.shape:
        raise ValueError(
            f"The target has shape {tuple(target_gradient.shape)}, the points {tuple(coords.shape)}: they must agree."
        )
    _, slope = _value_and_gradient(model, coords)
    return (slope - target_gradient).square().sum(-1).mean()


def sdf_loss(
    model: Field,
    on_surface: Tensor,
    normals: Tensor,
    off_surface: Tensor,
    *,
    surface: float = 3e3,
    normal: float = 1e2,
    off: float = 1e2,
    eikonal: float = 5e1,
) -> Tensor:
    """Return how far a field is from being the signed distance to a surface known by points and normals.

    Shapes: on_surface [n d], normals [n d] (outward, any length), off_surface [m d] -> a scalar; the model
    maps [n d] to [n 1]. It is the sum of the four `sdf_terms`, each times its weight. The weights are those
    of the authors' code, which divides every term by n + m; here a term is a mean over its own points, so
    at n = m the code's eikonal term counts for twice as much. Raises ValueError if shapes do not fit.
    Source: Sitzmann et al. 2020, equation 6.
    """
    weights = {"surface": surface, "normal": normal, "off": off, "eikonal": eikonal}
    terms = sdf_terms(model, on_surface, normals, off_surface)
    return sum(weights[name] * term for name, term in terms.items())


def sdf_terms(model: Field, on_surface: Tensor, normals: Tensor, off_surface: Tensor) -> dict[str, Tensor]:
    """Return the four parts of `sdf_loss` before weighting, scalars by name; shapes and errors as there.

    surface: mean |Φ| on the surface, which is its zero set. normal: mean 1 - cos(∇Φ, normal) on the surface.
    off: mean exp(-100 |Φ|) away from it, where Φ must not vanish. eikonal: mean | |∇Φ| - 1 | over all points,
    since a distance grows by one per unit of length.
    """
    if normals.shape != on_surface.shape or off_surface.shape[-1] != on_surface.shape[-1]:
        raise ValueError(
            f"Points on the surface {tuple(on_surface.shape)}, normals {tuple(normals.shape)} and points off it "
            f"{tuple(off_surface.shape)} do not fit: the first two must agree, and all have equally many coordinates."
        )
    n = len(on_surface)
    value, slope = _value_and_gradient(model, torch.cat([on_surface, off_surface]))  # [n+m 1], [n+m d]
    return {
        "surface": value[:n].abs().mean(),
        "normal": (1 - cosine_similarity(slope[:n], normals, dim=-1)).mean(),
        "off": torch.exp(-100 * value[n:].abs()).mean(),
        "eikonal": (torch.linalg.vector_norm(slope, dim=-1) - 1).abs().mean(),
    }


@torch.enable_grad()
def _value_and_gradient(model: Field, coords: Tensor) -> tuple[Tensor, Tensor]:
    # a view of its own, so that the caller's tensor does not start to require a gradient
    x = coords.view_as(coords) if coords.requires_grad else coords.detach().requires_grad_()
    y = model(x)
    return y, gradient(y, x)
