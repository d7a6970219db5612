"""The state of a run: what has been done, recorded and saved, and how it goes on after an interruption."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.generation import evaluating
from course_lib.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from course_lib.training.progress import Progress
from course_lib.training.random_state import random_state, restore_random_state
from course_lib.training.record import Curve
from course_lib.training.step import Stepper


class TrainingDiverged(ArithmeticError):
    """A loss, gradient or parameter was no finite number: `step` says at which step, counted from 0."""

    def __init__(self, step: int, what: str, checkpoint: Path | None, saved: int) -> None:
        self.step, self.checkpoint = step, checkpoint if saved else None
        kept = f"the last good checkpoint is {checkpoint}, after {saved} steps" if saved else "none was saved before"
        super().__init__(f"Training stopped at step {step}: {what}; {kept}. Try a lower learning rate.")


class Run:
    """A training run of a `stepper`: `done` steps, of which `saved` are in the file `checkpoint`.

    `settings` are what a run that goes on must share with the one that was interrupted.
    """

    def __init__(self, stepper: Stepper, settings: dict[str, Any], record: Curve, checkpoint: Path | None) -> None:
        self.stepper, self.settings, self.record, self.path = stepper, settings, record, checkpoint
        self.device = stepper.parameters[0].device
        self.done = self.saved = 0
        self._waiting: list[tuple[Tensor, Tensor, float]] = []

    def step(self, indices: Tensor, rate: float) -> None:
        """Make one step; what it gave stays on the device until `check`."""
        self._waiting.append((*self.stepper(indices, rate), rate))
        self.done += 1

    def check(self) -> None:
        """Record the steps since the last check. Raises TrainingDiverged at the first that is not finite."""
        if not self._waiting:
            return
        rates = [rate for _, _, rate in self._waiting]
        wide = torch.float32 if self.device.type == "mps" else torch.float64
        parts = torch.stack([value.to(wide) for value, _, _ in self._waiting])
        losses = (self.stepper.crew.total(parts) / self.stepper.crew.size).tolist()
        norms = torch.stack([norm for _, norm, _ in self._waiting]).tolist()
        self._waiting.clear()
        for loss, rate, norm in zip(losses, rates, norms, strict=True):
            self._demand(math.isfinite(loss), f"the loss is {loss}")
            self._demand(math.isfinite(norm), f"the norm of the gradient is {norm}")
            self.record.add(loss, rate, norm)
        self.record.flush()

    def evaluate(self, evaluate: Callable[[nn.Module], dict[str, float]]) -> dict[str, float]:
        """Measure the model in eval mode, without gradients, and record it."""
        with evaluating(self.stepper.model), torch.no_grad():
            measured = evaluate(self.stepper.model)
        self.record.measure(measured)
        return measured

    def save(self) -> None:
        """Write the checkpoint; call it after `check`. Raises TrainingDiverged rather than keep a broken model."""
        self._demand(self.stepper.has_finite_parameters(), "its update left parameters that are no numbers", 1)
        draws = self.stepper.crew.gather(random_state(self.device))
        if self.stepper.crew.leads:
            state = {
                "settings": self.settings,
                "done": self.done,
                "model": self.stepper.model.state_dict(),
                "optimizer": self.stepper.optimizer.state_dict(),
                "record": self.record.state(),
                "random": draws,
            }
            save_checkpoint(self.path, state)
        self.saved = self.done

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one. Raises CheckpointError if it is of another run."""
        crew = self.stepper.crew
        state = crew.agree(load_checkpoint(self.path) if crew.leads and self.path and self.path.exists() else None)
        if state is not None:
            self._compare(state.get("settings", {}))
            try:
                self.stepper.model.load_state_dict(state["model"])
                self.stepper.optimizer.load_state_dict(state["optimizer"])
            except (RuntimeError, ValueError, KeyError) as problem:
                raise CheckpointError(f"{self.path} is of another model: {problem}") from problem
            self.done = self.saved = state["done"]
            self.record.restore(state["record"])
        self.record.open()
        if state is not None and crew.rank < len(state["random"]):
            restore_random_state(state["random"][crew.rank], self.device)
        elif crew.rank:
            # dropout in one process must not repeat that of another
            torch.manual_seed(torch.initial_seed() + crew.rank)

    def progress(
        self, steps: int, batch: int, made: int, seconds: float, measured: dict[str, float] | None
    ) -> Progress:
        """What to tell of the run, of which this process made `made` steps in `seconds`."""
        rate = made / max(seconds, 1e-9)
        last = self.record.steps[-1]
        return Progress(self.done, steps, *last, rate, rate * batch, (steps - self.done) / rate, measured)

    def _demand(self, finite: bool, what: str, back: int = 0) -> None:
        if not finite:
            raise TrainingDiverged(len(self.record.steps) - back, what, self.path, self.saved)

    def _compare(self, found: dict[str, Any]) -> None:
        differing = [
            f"{name} {found.get(name)!r} there, {value!r} here"
            for name, value in self.settings.items()
            if found.get(name) != value
        ]
        if differing:
            raise CheckpointError(
                f"{self.path} is of a run with other settings ({'; '.join(differing)}): "
                "use the same ones to go on, or another file to start afresh."
            )
