"""Derivatives of fields with respect to their coordinates, by autograd, ready to be differentiated again."""

import torch
from torch import Tensor


def gradient(y: Tensor, x: Tensor) -> Tensor:
    """Differentiate a scalar field with respect to the coordinates of each point.

    Shapes: y [... 1] or [...], x [... d] -> [... d]. Each y must depend on its own point alone, and x must
    require a gradient and be what y was computed from. The result can be differentiated again, by x and by
    the parameters. Raises ValueError if y has several channels, whose gradients would be summed unnoticed,
    or was not computed from x.
    """
    if y.shape not in (x.shape[:-1], (*x.shape[:-1], 1)):
        raise ValueError(
            f"gradient needs one value a point, but y is {tuple(y.shape)} for points {tuple(x.shape)}: "
            "take one channel, y[..., i]."
        )
    if not (x.requires_grad and y.requires_grad):
        raise ValueError("y does not remember x: call x.requires_grad_() before y is computed from x.")
    (slope,) = torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True, allow_unused=True)
    if slope is None:
        raise ValueError("y was not computed from this x: it may have been copied or detached in between.")
    return slope


@torch.enable_grad()
def divergence(field: Tensor, x: Tensor) -> Tensor:
    """Sum the derivative of each component of a vector field along its own axis, Σᵢ ∂fieldᵢ/∂xᵢ.

    Shapes: field [... d], x [... d] -> [... 1]. Components that do not depend on x add zero. The result can
    be differentiated again. Raises ValueError if the shapes differ or x requires no gradient.
    """
    if field.shape != x.shape:
        raise ValueError(f"A field of shape {tuple(field.shape)} has no divergence at points {tuple(x.shape)}.")
    if not x.requires_grad:
        raise ValueError("field does not remember x: call x.requires_grad_() before field is computed from x.")
    total = torch.zeros_like(x[..., :1])
    if not field.requires_grad:
        return total
    for i in range(x.shape[-1]):
        component = field[..., i]
        ones = torch.ones_like(component)
        (slope,) = torch.autograd.grad(component, x, ones, create_graph=True, materialize_grads=True)
        total = total + slope[..., i : i + 1]
    return total


def laplacian(y: Tensor, x: Tensor) -> Tensor:
    """Sum the second derivatives of a scalar field along the axes, Σᵢ ∂²y/∂xᵢ², the divergence of its gradient.

    Shapes: y [... 1] or [...], x [... d] -> [... 1]. Mixed derivatives have no part in it. The result can be
    differentiated again. Raises as `gradient` does.
    """
    return divergence(gradient(y, x), x)
