"""What a run says of itself while it goes on."""

import dataclasses
import sys
import time
from typing import TextIO


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is after a step: what `train` hands to its callback.

    `step` of `steps` are done; `loss`, learning `rate` and gradient `norm` are those of the last one.
    `steps_per_second` and `examples_per_second` are averages of this process's run so far, and `seconds_left`
    what they promise. `measured` are the values of the evaluation made after this step, if there was one.
    """

    step: int
    steps: int
    loss: float
    rate: float
    norm: float
    steps_per_second: float
    examples_per_second: float
    seconds_left: float
    measured: dict[str, float] | None = None


class ProgressLine:
    """A callback for `train` that keeps one line on standard error, and a line of its own for each evaluation.

    `name` is what is trained, `out` where the lines go. The line is rewritten at most twice a second.
    """

    def __init__(self, name: str, out: TextIO | None = None) -> None:
        self.name, self.out, self.shown = name, sys.stderr if out is None else out, float("-inf")

    def __call__(self, progress: Progress) -> None:
        done, now = progress.step == progress.steps, time.monotonic()
        if not done and progress.measured is None and now - self.shown < 0.5:
            return
        self.shown = now
        text = (
            f"{self.name}: {100 * progress.step / progress.steps:5.1f} %, step {progress.step}, "
            f"loss {progress.loss:.4f}, {progress.steps_per_second:.1f} steps/s, "
            f"{progress.examples_per_second:.0f} examples/s, {_span(progress.seconds_left)} left"
        )
        if progress.measured is not None:
            text += "".join(f", {key} {value:.4f}" for key, value in progress.measured.items())
        end = "\n" if done or progress.measured is not None else ""
        self.out.write(f"\r{text:<100}{end}")
        self.out.flush()


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
