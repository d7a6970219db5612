"""What the recipes of language models share: their options, a run of the training loop, and exact answers."""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib.generation import generate
from course_lib.gpt import lm_loss
from course_lib.recipes._common import rounded
from course_lib.training import Curve, ProgressLine, best_device, train
from course_lib.training.step import Loss


def training_options(peak: float, dropout: float = 0.0, device: str = "cpu") -> argparse.ArgumentParser:
    """Make the parser of the options that all trained recipes have, to be a parent of a recipe's own."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--peak", type=float, default=peak, help="highest learning rate (%(default)s)")
    parser.add_argument("--dropout", type=float, default=dropout, help="probability of dropping (%(default)s)")
    parser.add_argument("--minutes", type=float, help="stop after so many minutes in all, at the latest")
    parser.add_argument("--device", default=device, help='"cpu", "cuda", "mps", or "best" (%(default)s)')
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bf16"], help="(%(default)s)")
    parser.add_argument("--compile", action="store_true", help="compile the model before training")
    parser.add_argument("--checkpoints", type=Path, help="keep checkpoints and curves here, and go on from them")
    return parser


def device_of(args: argparse.Namespace) -> torch.device:
    """The device that was asked for, written back to `args` so that the result file names it."""
    args.device = str(best_device() if args.device == "best" else args.device)
    return torch.device(args.device)


def fit(
    name: str,
    seed: int,
    args: argparse.Namespace,
    model: nn.Module,
    loss: Loss,
    examples: int,
    evaluate: Callable[[nn.Module], dict[str, float]],
    *,
    warmup: int,
    floor: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.95),
) -> Curve:
    """Train one seed's model with the options `args`; the minutes are shared out among the seeds.

    `args` has besides `training_options` the sizes `steps`, `batch` and `measure_every`.
    """
    kept = None if args.checkpoints is None else args.checkpoints / f"{name}-{seed}"
    return train(
        model, loss, examples, steps=args.steps, batch=args.batch, peak=args.peak, warmup=min(warmup, args.steps),
        floor=floor, betas=betas, seed=seed, precision=args.precision, compile=args.compile,
        checkpoint=kept and kept.with_suffix(".pt"), checkpoint_every=args.measure_every,
        curve=kept and kept.with_suffix(".jsonl"), evaluate=evaluate, evaluate_every=args.measure_every,
        on_progress=ProgressLine(f"{name}, seed {seed}"),
        seconds=None if args.minutes is None else 60 * args.minutes / len(args.seeds),
    )  # fmt: skip


def completion_loss(texts: Tensor, prompt: int) -> Loss:
    """Make the loss of predicting what follows the first `prompt` tokens of texts [e n], for `train`."""
    inputs, targets = texts[:, :-1], texts[:, 1:].clone()
    targets[:, : prompt - 1] = -100  # what is asked cannot be foreseen
    return lambda model, indices: lm_loss(model(inputs[indices.to(texts.device)]), targets[indices.to(texts.device)])


def completed(model: nn.Module, texts: Tensor, prompt: int) -> Tensor:
    """Let the model write on from the first `prompt` tokens of texts [e n], always the likeliest: -> [e n]."""
    return torch.cat(
        [generate(model, part[:, :prompt], part.shape[1] - prompt, temperature=0) for part in texts.split(1024)]
    )


def exact(model: nn.Module, texts: Tensor, prompt: int) -> float:
    """The share of texts [e n] that the model completes without a mistake."""
    return (completed(model, texts, prompt) == texts).all(1).float().mean().item()


def curve_facts(curves: list[Curve], points: int = 60) -> dict:
    """Each seed's curve for a result file: the loss averaged over `points` stretches, and what was measured."""
    facts = []
    for curve in curves:
        stretch = max(1, -(-len(curve.steps) // points))
        parts = torch.tensor(curve.losses).split(stretch)
        facts.append({
            "steps": len(curve.steps),
            "averaged_over": stretch,
            "loss": rounded(part.mean() for part in parts),
            "measured": [{key: rounded(value) for key, value in row.items()} for row in curve.measured],
        })  # fmt: skip
    return {"curves": facts}
