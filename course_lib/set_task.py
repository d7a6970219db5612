"""A set-to-set task of a few seconds: for each number of a set, how far is it below the largest one?

The answer of one element depends on all of them and not on their order, so it parts the networks that mix tokens
from those that do not, and those that are equivariant from those that are not.
"""

import torch
from torch import Tensor, nn

from course_lib.attention import LayerNorm, TransformerBlock


def draw_sets(batch: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sets of normal numbers about a centre of their own, and how far each number is below its set's largest.

    Shapes: both [batch n 1]. The centre has standard deviation 2, the numbers 1 about it.
    """
    centre = 2 * torch.randn(batch, 1, 1, generator=generator)
    x = centre + torch.randn(batch, n, 1, generator=generator)
    return x, x.amax(dim=1, keepdim=True) - x


def set_network(
    block: type[TransformerBlock] = TransformerBlock, *, depth: int, dim: int = 32, heads: int = 4
) -> nn.Sequential:
    """Embed each number, let `depth` blocks relate them, read one number off each: [b n 1] -> [b n 1], any n."""
    blocks = [block(dim, heads) for _ in range(depth)]
    return nn.Sequential(nn.Linear(1, dim), *blocks, LayerNorm(dim), nn.Linear(dim, 1))


def train_on_sets(
    model: nn.Module, *, steps: int, rate: float, batch: int, n: int = 10, seed: int = 0, cycle: bool = False
) -> None:
    """Fit `model` in place by Adam to fresh sets of `n` numbers at every step.

    The learning rate is constant, or with `cycle` rises to `rate` and falls again (Smith and Topin 2019).
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps) if cycle else None
    for _ in range(steps):
        x, y = draw_sets(batch, n, generator)
        loss = (model(x) - y).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if schedule is not None:
            schedule.step()


@torch.no_grad()
def explained(model: nn.Module, n: int = 10, *, sets: int = 1000, seed: int = 99) -> float:
    """The share of the variance of the true answers that `model` explains on new sets of `n` numbers.

    1 is perfect, 0 is as good as always saying the mean, less than 0 is worse.
    """
    x, y = draw_sets(sets, n, torch.Generator().manual_seed(seed))
    return 1 - ((model(x) - y).square().mean() / (y - y.mean()).square().mean()).item()
