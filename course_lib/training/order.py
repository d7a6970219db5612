"""The order in which examples are seen: a function of the step alone, so that no state is lost with a process."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def batch_indices(step: int, examples: int, batch: int, seed: int) -> Tensor:
    """Give the indices of the examples that step 0, 1, … trains on.

    The examples are shuffled anew for each pass over them, and the passes laid end to end and cut into batches:
    each example is seen equally often, whether or not `batch` divides their number. Returns int64 [batch] on
    the CPU, the same for the same arguments on every machine. Raises ValueError if `examples` or `batch` is not
    positive, or `step` or `seed` negative.
    """
    if examples < 1 or batch < 1 or step < 0 or seed < 0:
        given = f"step {step}, {examples} examples, batch {batch}, seed {seed}"
        raise ValueError(f"Need positive numbers of examples and a batch, and no negative step or seed: {given}.")
    places = torch.arange(step * batch, (step + 1) * batch)
    epochs = places // examples
    return torch.cat(
        [_shuffled(examples, seed, epoch)[places[epochs == epoch] % examples] for epoch in epochs.unique().tolist()]
    )


@lru_cache(maxsize=2)
def _shuffled(examples: int, seed: int, epoch: int) -> Tensor:
    # a plain sum of seed and epoch would give seed 1 the second epoch of seed 0 as its first
    mixed = int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])
    return torch.randperm(examples, generator=torch.Generator().manual_seed(mixed))
