"""How two implementations are compared: by their values, and by the gradients of a random functional."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def values_and_gradients(
    f: Callable[..., Tensor], inputs: Iterable[Tensor], parameters: Iterable[Tensor] = ()
) -> list[Tensor]:
    """f's output, and the gradients of a random functional of it to inputs and parameters."""
    inputs = [t.detach().clone().requires_grad_() for t in inputs]
    out = f(*inputs)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return [out.detach(), *torch.autograd.grad((out * probe.to(out)).sum(), [*inputs, *parameters])]


def assert_same(ours: list[Tensor], theirs: list[Tensor], **tolerance: float) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **tolerance)
