"""One process or several that train one model together: who takes part, and how they agree."""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def best_device() -> torch.device:
    """The fastest device of this machine: CUDA, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@dataclasses.dataclass(frozen=True)
class Team:
    """The processes that train together: this one is number `rank` of `size`, and works on `device`."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and speaks to the reader."""
        return self.rank == 0

    def share(self, indices: Tensor) -> Tensor:
        """This process's equal part of a batch: [b] -> [b/size]. Raises ValueError if the size does not divide b."""
        if len(indices) % self.size:
            raise ValueError(f"A batch of {len(indices)} cannot be shared equally by {self.size} processes.")
        return indices[self.rank :: self.size]

    def total(self, value: Tensor) -> Tensor:
        """The sum of all processes' values, without a gradient."""
        value = value.detach().clone()
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def agree(self, value: Any) -> Any:
        """What the leading process says, in all of them: for decisions that depend on a clock or a file."""
        if self.size == 1:
            return value
        said = [value]
        dist.broadcast_object_list(said, src=0, device=self.device if self.device.type == "cuda" else None)
        return said[0]

    def gather(self, value: Any) -> list[Any]:
        """All processes' values, in order of rank, in every process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


def current_team(device: torch.device | str) -> Team:
    """The processes of the process group that was set up, or this one alone."""
    if dist.is_available() and dist.is_initialized():
        return Team(dist.get_rank(), dist.get_world_size(), torch.device(device))
    return Team(0, 1, torch.device(device))


@contextmanager
def team(device: torch.device | str | None = None) -> Iterator[Team]:
    """Join the processes that `torchrun` started, for as long as the context lasts; without it, work alone.

    `device` is by default the best of the machine; with CUDA each process gets its own. They talk by NCCL on
    CUDA and by gloo on the CPU. Raises ValueError if CUDA has fewer devices than the machine has processes, and
    for MPS, whose only device cannot be shared out.
    """
    chosen = best_device() if device is None else torch.device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Team(0, 1, chosen)
        return
    if chosen.type == "mps":
        raise ValueError("Several processes cannot train together on MPS: choose the CPU, or start one process.")
    if chosen.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise ValueError(f"Process {local} needs a CUDA device of its own; there are {torch.cuda.device_count()}.")
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield current_team(chosen)
    finally:
        dist.destroy_process_group()
