"""The loop that trains every model of the course."""

import time
from collections.abc import Callable
from pathlib import Path

from torch import nn

from course_lib.schedule import warmup_cosine
from course_lib.training.order import batch_indices
from course_lib.training.precision import precision as number_format
from course_lib.training.processes import current_team
from course_lib.training.progress import Progress
from course_lib.training.record import Curve
from course_lib.training.run import Run
from course_lib.training.step import Loss, Stepper


def train(
    model: nn.Module,
    loss: Loss,
    examples: int,
    *,
    steps: int,
    batch: int,
    peak: float,
    warmup: int = 0,
    floor: float = 0.0,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
    clip: float = 1.0,
    seed: int = 0,
    precision: str = "float32",
    compile: bool | str = False,
    checkpoint: Path | None = None,
    checkpoint_every: int | None = None,
    curve: Path | None = None,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    evaluate_every: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    check_every: int = 10,
    seconds: float | None = None,
) -> Curve:
    """Train `model` in place with AdamW, warm-up and cosine, and return the record of the run.

    `loss(model, indices)` gives the mean loss of the examples `indices` [b] (int64, on the CPU; `seed` decides
    their order), or their summed loss and the count to divide it by, where counts differ from example to
    example. It must call the `model` it is handed, which may be compiled (`compile`: True, or a backend's name)
    or distributed. The gradient is clipped to the norm `clip` (inf: not at all).

    `checkpoint` is written every `checkpoint_every` steps and at the end. If it is there at the start the run
    goes on from it, and on the CPU its losses are bit for bit those of a run that was never interrupted.
    `curve` gets the record as JSON lines. `evaluate(model)` is called in eval mode, without gradients, every
    `evaluate_every` steps and after the last. `on_progress` is called every `check_every` steps, when losses are
    read from the device, after evaluations and at the end. After `seconds` the run stops early but resumably:
    the schedule stays that of all `steps`.

    Under `torchrun`, within `team()`, the processes share each batch, and the losses are those of one process
    with the same batch, except for what a model draws at random or computes across the batch (BatchNorm).
    Raises TrainingDiverged where a number is not finite, CheckpointError for a checkpoint that is not of this
    run, ValueError for settings that make no sense. Source: Loshchilov and Hutter 2019.
    """
    rhythm = {"checkpoint_every": checkpoint_every, "evaluate_every": evaluate_every, "check_every": check_every}
    for name, number in {"steps": steps, "batch": batch, **rhythm}.items():
        if number is not None and number < 1:
            raise ValueError(f"{name} must be 1 or more, but is {number}.")
    if not clip > 0:
        raise ValueError(f"The norm to clip to must be positive, but is {clip}.")
    warmup_cosine(0, warmup, steps, peak, floor)
    device = next(model.parameters()).device
    crew = current_team(device)
    autocast = number_format(precision, device)
    stepper = Stepper(
        model, loss, crew, autocast, weight_decay=weight_decay, betas=betas, clip=clip, compile=compile
    )  # fmt: skip
    settings = {
        "examples": examples, "steps": steps, "batch": batch, "peak": peak, "warmup": warmup, "floor": floor,
        "weight_decay": weight_decay, "betas": betas, "clip": clip, "seed": seed, "precision": precision,
        "evaluate_every": evaluate_every,
    }  # fmt: skip
    run = Run(stepper, settings, Curve(curve if crew.leads else None), checkpoint)
    run.resume()
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    began, first, stopped = time.monotonic(), run.done, False
    try:
        while run.done < steps and not stopped:
            rate = warmup_cosine(run.done, warmup, steps, peak, floor)
            run.step(batch_indices(run.done, examples, batch, seed), rate)
            due = [every is not None and run.done % every == 0 for every in rhythm.values()]
            save_due, evaluate_due, check_due = due
            if not (any(due) or run.done == steps):
                continue
            run.check()
            elapsed = time.monotonic() - began
            if seconds is not None:
                stopped = crew.agree(elapsed >= seconds)
            last = run.done == steps or stopped
            measured = run.evaluate(evaluate) if evaluate and (evaluate_due or run.done == steps) else None
            if checkpoint and (save_due or last):
                run.save()
            if on_progress and crew.leads and (check_due or last or measured is not None):
                on_progress(run.progress(steps, batch, run.done - first, time.monotonic() - began, measured))
    finally:
        run.record.close()
        for module, mode in modes:
            module.training = mode
    return run.record
