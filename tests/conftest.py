"""What every floor of the tests shares: the devices of this machine, and parameters drawn afresh."""

import os

# Tests work on small tensors: more threads than one only wait for each other. Set before torch is imported, and
# passed on to every kernel and command that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from torch import nn

DEVICES = ["cpu"]
if torch.cuda.is_available():
    DEVICES.append("cuda")
if torch.backends.mps.is_available():
    DEVICES.append("mps")


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device this machine has, one after the other."""
    return torch.device(request.param)


@pytest.fixture
def redraw():
    """A function that draws every parameter anew, since biases of 0 and scales of 1 hide mistakes."""

    def draw(module: nn.Module, seed: int = 0) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                fresh = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4
                parameter.copy_(fresh)
        return module

    return draw
