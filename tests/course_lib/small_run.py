"""A small training run as a command, so that tests can kill it, start it again, and start it several times at once.

`--draws` lets a step depend on all global generators; without it nothing is random but the order of examples.
Each process writes its losses to OUT.rank; `--die-at` ends it without any chance to tidy up.
"""

import argparse
import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.gpt import GPT
from course_lib.training import Progress, team, train

EXAMPLES, LENGTH, VOCAB = 50, 9, 13


def data() -> tuple[Tensor, Tensor]:
    """Random texts [e n], and targets of which a very uneven number are to be ignored."""
    generator = torch.Generator().manual_seed(5)
    texts = torch.randint(VOCAB, (EXAMPLES, LENGTH), generator=generator)
    kept = torch.randint(1, LENGTH + 1, (EXAMPLES, 1), generator=generator)
    return texts, texts.roll(-1, 1).masked_fill(torch.arange(LENGTH) >= kept, -100)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--curve", type=Path)
    parser.add_argument("--draws", action="store_true")
    parser.add_argument("--weighted", action="store_true")
    parser.add_argument("--die-at", type=int)
    parser.add_argument("--steps", type=int, default=14)
    args = parser.parse_args()
    torch.set_num_threads(1)
    texts, targets = data()
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    model = GPT(VOCAB, LENGTH, 8, 2, 2, dropout=0.3 if args.draws else 0.0).double()

    def loss(model: nn.Module, indices: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits = model(texts[indices]).flatten(0, 1)
        noise = random.random() + np.random.normal() if args.draws else 0.0
        if args.weighted:
            wanted = targets[indices].flatten()
            return F.cross_entropy(logits, wanted, reduction="sum"), (wanted >= 0).sum()
        return F.cross_entropy(logits, texts[indices].flatten()) + 0.1 * noise * logits.mean()

    def die(progress: Progress) -> None:
        if progress.step == args.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with team("cpu") as crew:
        record = train(
            model, loss, EXAMPLES, steps=args.steps, batch=8, peak=3e-3, warmup=3, seed=4, checkpoint=args.checkpoint,
            checkpoint_every=4, curve=args.curve, evaluate=lambda m: {"size": float(m(texts).square().mean())},
            evaluate_every=5, on_progress=die, check_every=1,
        )  # fmt: skip
        final = {name: value.tolist() for name, value in model.state_dict().items()}
        facts = {"steps": record.steps, "measured": record.measured, "final": final}
        args.out.with_suffix(f".{crew.rank}").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
