"""Neural fields: networks from coordinates to values, and SIREN, the one whose derivatives are as good as itself.

A point is a row of coordinates, so fields are evaluated on `n d` and return `n c`; any leading axes do.
Derivatives are in `course_lib.field_calculus`, losses in `course_lib.field_losses`, the networks that SIREN
is compared with in `course_lib.field_baselines`; their names can be imported from here as well.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from course_lib.field_baselines import FourierFeatureField, ReluField
from course_lib.field_calculus import divergence, gradient, laplacian
from course_lib.field_losses import poisson_loss, sdf_loss, sdf_terms

__all__ = [
    "FourierFeatureField", "ReluField", "SineLayer", "Siren", "coordinate_grid", "divergence", "gradient",
    "laplacian", "poisson_loss", "psnr", "redraw_as_first_paper", "sdf_loss", "sdf_terms", "siren_bound",
    "time_coordinates",
]  # fmt: skip


def coordinate_grid(
    h: int, w: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """List the coordinates (row, column) of the pixels of an image, row by row, both running from -1 to 1.

    Shape: [h*w 2]. The first and last pixel sit exactly on -1 and 1, so a finer grid covers the same square;
    along a side of one pixel the coordinate is 0. Raises ValueError unless both sides are at least 1.
    """
    rows, columns = _span(h, device, dtype), _span(w, device, dtype)
    return torch.cartesian_prod(rows, columns)  # [h*w 2]


def time_coordinates(n: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """Give each of the `n` samples of a sound its moment, from -1 (the first) to 1 (the last).

    Shape: [n 1]. A sound of several seconds has frequencies far above those of an image on this axis: give
    its Siren a `first_omega` of about 3000, as the paper's authors do.
    """
    return _span(n, device, dtype)[:, None]


def siren_bound(fan_in: int, omega: float, first: bool) -> float:
    """Return the bound of the uniform distribution a sine layer's weights are drawn from.

    1 / fan_in in the first layer and √(6 / fan_in) / omega in all others, which gives their sines an argument
    of standard deviation 1. Raises ValueError unless fan_in and omega are positive. Source: Sitzmann et al.
    2020, section 3.2; the first layer's is that of the authors' code, see `redraw_as_first_paper`.
    """
    if fan_in < 1 or not omega > 0:
        raise ValueError(f"fan_in and omega must be positive, but are {fan_in} and {omega}.")
    return 1 / fan_in if first else math.sqrt(6 / fan_in) / omega


class SineLayer(nn.Module):
    """Compute sin(omega · (W x + b)), a SIREN's layer; W and b are those of its attribute `linear`, an nn.Linear.

    Shape: [... fan_in] -> [... fan_out], in [-1, 1]. W is drawn within ±siren_bound, b within ±1/√fan_in as
    nn.Linear does and the authors' code leaves it. Source: Sitzmann et al. 2020, section 3.2.
    """

    def __init__(self, fan_in: int, fan_out: int, omega: float = 30.0, first: bool = False) -> None:
        super().__init__()
        self.omega = omega
        self.linear = nn.Linear(fan_in, fan_out)
        bound = siren_bound(fan_in, omega, first)
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def extra_repr(self) -> str:
        return f"omega={self.omega}"

    def argument(self, x: Tensor) -> Tensor:
        """Return what the sine is taken of, omega · (W x + b). Shape: [... fan_in] -> [... fan_out]."""
        # omega times the few weights costs less than omega times the outputs at every point
        return linear(x, self.omega * self.linear.weight, self.omega * self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.argument(x))


class Siren(nn.Module):
    """Map coordinates to values by `depth` sine layers of width `hidden` and a linear one, kept in `layers`.

    Shape: [... in_features] -> [... out_features]. `layers` is an nn.Sequential of `depth` SineLayers and an
    nn.Linear whose weights are drawn within √(6/hidden)/omega. `first_omega` replaces omega in the first
    layer alone: it sets which frequencies are at hand. The authors count `depth - 1` hidden layers. Raises
    ValueError unless depth is at least 1. Source: Sitzmann et al. 2020, section 3.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        depth: int,
        out_features: int,
        omega: float = 30.0,
        first_omega: float | None = None,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"A Siren has at least one sine layer, but depth is {depth}.")
        first = SineLayer(in_features, hidden, omega if first_omega is None else first_omega, first=True)
        others = [SineLayer(hidden, hidden, omega) for _ in range(depth - 1)]
        last = nn.Linear(hidden, out_features)
        bound = siren_bound(hidden, omega, first=False)
        nn.init.uniform_(last.weight, -bound, bound)
        self.layers = nn.Sequential(first, *others, last)

    def forward(self, coords: Tensor) -> Tensor:
        return self.layers(coords)


@torch.no_grad()
def redraw_as_first_paper(model: Siren, generator: torch.Generator | None = None) -> Siren:
    """Redraw a Siren's sine layers in place as the paper's first version has them, to see what has changed.

    There the first layer computes sin(omega · W x + b) with W within ±√(6/fan_in), and b is not multiplied
    by omega in any layer. On coordinates this makes the first layer's arguments √(6 · fan_in) times larger
    than `siren_bound` does, and so the frequencies: "the one in the paper is too large", its first author
    wrote of images in issue 4 of the code's repository. Hidden weights are the same in both, the last layer
    is not redrawn. Returns the model. Source: arXiv 2006.09661v1, section 3.2 and supplement 1.5.
    """
    for layer in model.layers[:-1]:
        weight, bias = layer.linear.weight, layer.linear.bias
        fan_in = layer.linear.in_features
        bound = math.sqrt(6 / fan_in) / (1 if layer is model.layers[0] else layer.omega)
        weight.uniform_(-bound, bound, generator=generator)
        # SineLayer multiplies the bias by omega as well, so the paper's bias is stored divided by it
        bound = 1 / math.sqrt(fan_in) / layer.omega
        bias.uniform_(-bound, bound, generator=generator)
    return model


def psnr(a: Tensor, b: Tensor, data_range: float = 1.0) -> Tensor:
    """Return the peak signal-to-noise ratio of two images in decibels, 10 · log10(data_range² / mean (a - b)²).

    Shapes: a and b the same -> a scalar; equal images give infinity. `data_range` is the width of the
    interval of possible values: 1 for [0, 1], 2 for [-1, 1], 255 for bytes. Integers are compared in float64.
    Raises ValueError if the shapes differ, since broadcasting would compare the wrong pixels.
    """
    if a.shape != b.shape:
        raise ValueError(f"Only images of one shape can be compared, but these are {a.shape} and {b.shape}.")
    if not data_range > 0:
        raise ValueError(f"data_range must be positive, but is {data_range}.")
    error = (_wide(a) - _wide(b)).square().mean()
    return 10 * torch.log10(data_range**2 / error)


def _span(n: int, device: torch.device | str | None, dtype: torch.dtype | None) -> Tensor:
    if n < 1:
        raise ValueError(f"A grid needs at least one point along each side, but {n} were asked for.")
    if n == 1:
        return torch.zeros(1, device=device, dtype=dtype)
    return torch.linspace(-1, 1, n, device=device, dtype=dtype)


def _wide(x: Tensor) -> Tensor:
    if x.is_floating_point():
        return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return x.float() if x.device.type == "mps" else x.double()
