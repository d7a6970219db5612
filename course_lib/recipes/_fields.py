"""What the recipes about fields share: the networks that are compared, one way to fit them, pictures as bytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from course_lib.recipes._common import Progress
from course_lib.siren import FourierFeatureField, ReluField, Siren


def field(
    kind: str, seed: int, inputs: int, width: int, depth: int, *, scale: float = 1.0, **siren: float
) -> nn.Module:
    """A network from `inputs` coordinates to one value: "siren", "relu" or "fourier", alike in size.

    `scale` is that of the Fourier features, whose waves take the place of the first of `depth` layers; what
    else is given, as `omega` and `first_omega`, goes to the Siren. Raises ValueError for another kind.
    """
    torch.manual_seed(seed)
    if kind == "siren":
        return Siren(inputs, width, depth, 1, **siren)
    if kind == "relu":
        return ReluField(inputs, width, depth, 1)
    if kind == "fourier":
        return FourierFeatureField(inputs, width, depth - 1, 1, features=width // 2, scale=scale)
    raise ValueError(f"There is no field {kind!r}; there are siren, relu and fourier.")


def fit_field(
    model: nn.Module,
    loss: Callable[[], Tensor],
    steps: int,
    rate: float,
    progress: Progress,
    doing: str,
    measure: Callable[[], object] = lambda: None,
    at: tuple[int, ...] = (),
) -> list:
    """Minimise `loss` with Adam at a constant rate, as SIREN's authors do; what `measure` says after the steps `at`."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    measured = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        progress.advance(doing)
        if step in at:
            measured.append(measure())
    return measured


def checkpoints(steps: int) -> tuple[int, ...]:
    """The steps at which a fit is measured: 10, 20, 50, 100, 200, ... as far as there are steps, and the last."""
    round_numbers = [m * 10**e for e in range(1, 6) for m in (1, 2, 5)]
    return tuple(sorted({s for s in round_numbers if s < steps} | {steps}))


def as_bytes(values: Tensor, low: float, high: float) -> np.ndarray:
    """Numbers as 0 to 255, where `low` becomes 0 and `high` 255 and what lies beyond is cut off."""
    return ((values.detach() - low) / (high - low) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def save_pictures(path: Path, pictures: dict[str, np.ndarray]) -> None:
    """Write named arrays beside a result file, packed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **pictures)
