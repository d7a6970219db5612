"""One step of training: forward, backward, clip, update."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from course_lib.training.groups import decay_groups
from course_lib.training.processes import Team

Loss = Callable[[nn.Module, Tensor], Tensor | tuple[Tensor, Tensor]]


class Stepper:
    """Make steps of AdamW on a model, alone or with the other processes of `crew`.

    `loss` is as for `train`; `autocast` is the context of the forward pass. `optimizer` holds the state to keep.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        crew: Team,
        autocast: AbstractContextManager,
        *,
        weight_decay: float,
        betas: tuple[float, float],
        clip: float,
        compile: bool | str,
    ) -> None:
        self.model, self.loss, self.crew, self.autocast, self.clip = model, loss, crew, autocast, clip
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        # one kernel for all parameters; it exists for real floating-point numbers only
        fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda", "mps") for p in self.parameters)
        self.optimizer = torch.optim.AdamW(decay_groups(model, weight_decay), betas=betas, fused=fused)
        self.runner = model
        if crew.size > 1:
            ids = [crew.device.index] if crew.device.type == "cuda" else None
            self.runner = nn.parallel.DistributedDataParallel(self.runner, device_ids=ids)
        if compile:
            backend = compile if isinstance(compile, str) else "inductor"
            self.runner = torch.compile(self.runner, backend=backend)

    def __call__(self, indices: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """Train on the examples `indices` [b] of the whole crew with a learning rate.

        Returns two scalars on the device: this process's part of the loss, whose mean over the crew is the loss
        of the batch, and the norm of the batch's gradient before clipping.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            value = self.loss(self.runner, self.crew.share(indices))
            if isinstance(value, tuple):
                total, count = value
                # DDP averages over processes, yet one with more targets must weigh more
                value = total * self.crew.size / self.crew.total(torch.as_tensor(count)).clamp(min=1)
        value.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        return value.detach(), norm.detach()

    def has_finite_parameters(self) -> bool:
        """Whether all parameters are numbers, as they must be for a checkpoint to be worth keeping."""
        return all(bool(p.isfinite().all()) for p in self.parameters)
