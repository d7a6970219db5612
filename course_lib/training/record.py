"""What a run recorded: the loss of each step and what was measured in between, kept as data."""

import json
import os
from pathlib import Path
from typing import Any, TextIO

import torch

STEP_FIELDS = ("loss", "rate", "norm")


class Curve:
    """The record of a run, in memory and, with a `path`, as JSON lines on the disk.

    `steps` has a row (loss, learning rate, norm of the gradient before clipping) for each step; `measured` has a
    dict for each evaluation, with the number of "step"s made before it. A line of the file is either
    {"step", "loss", "rate", "norm"} or {"step", and what was measured}.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.steps: list[tuple[float, float, float]] = []
        self.measured: list[dict[str, float]] = []
        self._file: TextIO | None = None

    @property
    def losses(self) -> list[float]:
        """The loss of each step, in nats for language models."""
        return [row[0] for row in self.steps]

    def add(self, loss: float, rate: float, norm: float) -> None:
        """Record one step."""
        self.steps.append((loss, rate, norm))
        self._write({"step": len(self.steps) - 1, **dict(zip(STEP_FIELDS, self.steps[-1], strict=True))})

    def measure(self, values: dict[str, float]) -> None:
        """Record what was measured after the steps so far."""
        self.measured.append({"step": len(self.steps), **values})
        self._write(self.measured[-1])

    def flush(self) -> None:
        """Give what was recorded to the operating system, so that others can read it."""
        if self._file:
            self._file.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._file:
            self._file.close()
            self._file = None

    def state(self) -> dict[str, Any]:
        """The record as tensors and plain values."""
        return {"steps": torch.tensor(self.steps, dtype=torch.float64).view(-1, 3), "measured": self.measured}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to an earlier `state`: lines of the file that came after it, or were left broken, are dropped."""
        self.steps = [tuple(row) for row in state["steps"].tolist()]
        self.measured = list(state["measured"])

    def open(self) -> None:
        """Begin the file anew with what is recorded so far; from here on it grows line by line."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.part")
        with fresh.open("w") as file:
            pending = list(self.measured)
            for step, row in enumerate(self.steps):
                file.write(json.dumps({"step": step, **dict(zip(STEP_FIELDS, row, strict=True))}) + "\n")
                while pending and pending[0]["step"] == step + 1:
                    file.write(json.dumps(pending.pop(0)) + "\n")
        os.replace(fresh, self.path)
        self._file = self.path.open("a")

    def _write(self, line: dict[str, float]) -> None:
        if self._file:
            self._file.write(json.dumps(line) + "\n")


def read_curve(path: Path) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Read a curve's file: the lines of steps, and those of measurements.

    A last line that a crash cut short is left out. Raises ValueError for any other line that is not JSON.
    """
    lines = path.read_text().split("\n")
    # what stands after the last line break was never finished
    parsed = [json.loads(line) for line in lines[:-1]]
    return [line for line in parsed if "loss" in line and "norm" in line], [
        line for line in parsed if "norm" not in line
    ]
