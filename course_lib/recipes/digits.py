"""Digits: a ViT, an MLP-Mixer and a convolutional net of equal size learn to read 8 × 8 pixels.

The data are scikit-learn's 1797 handwritten digits, which come with the package; each seed draws its own split
into 1437 to train and 360 to test, its own weights and its own order. All models have one recipe: AdamW, warm-
up and cosine, label smoothing, and images that are turned, stretched, slanted and shifted a little at each
sight. The recipe was chosen, mostly for the ViT, on 287 images held out of the training part of a split of its
own (seed 100); some of these are test images of other seeds. A second table asks how much of the training set
is needed: each model learns from the first `few`.

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`; `table`: the summary;
`test_images` of each seed; `models` {name: {label, parameters, accuracy [seed], cpu_seconds [seed], few [seed]:
accuracy after learning from a few images, curve {steps, loss, measured} of the first seed}}. The ViT of the first
seed is saved beside the result file as `digits_vit.npz`, to be loaded with `course_lib.recipes.digit_models.load`.
"""

import sys
import time
from argparse import Namespace

import torch
import torch.nn.functional as F
from torch import nn

from course_lib.data.images import digits
from course_lib.recipes import _language
from course_lib.recipes._common import options, parameters, rounded, threads, write
from course_lib.recipes.digit_models import LABELS, jiggled, make, save, standardised
from course_lib.training import Curve, train
from course_lib.vit import evaluate

PEAK = {"cnn": 3e-3}  # all others: 4e-3
SMOOTHING = 0.1


def train_one(name: str, seed: int, images: int | None, steps: int, batch: int) -> tuple[nn.Module, float, Curve]:
    """One model of `LABELS` trained on the first `images` of its seed's split (None: all): model, accuracy, curve."""
    (x, y), (test_x, test_y) = digits("train", seed=seed), digits("test", seed=seed)
    x, y, test = x[:images], y[:images], [(standardised(test_x), test_y)]
    torch.manual_seed(seed)
    model, generator = make(name), torch.Generator().manual_seed(seed)

    def loss(m: nn.Module, indices: torch.Tensor) -> torch.Tensor:
        seen = standardised(jiggled(x[indices], generator))
        return F.cross_entropy(m(seen), y[indices], label_smoothing=SMOOTHING)

    curve = train(
        model, loss, len(x), steps=steps, batch=min(batch, len(x)), peak=PEAK.get(name, 4e-3),
        warmup=max(1, steps // 10), weight_decay=0.05, betas=(0.9, 0.99), seed=seed,
        evaluate=lambda m: {"test": evaluate(m, test)}, evaluate_every=max(1, steps // 12),
    )  # fmt: skip
    return model, curve.measured[-1]["test"], curve


def run(name: str, args: Namespace) -> tuple[dict, nn.Module]:
    """All seeds of one model, and the model of the first seed."""
    accuracy, seconds, few, kept, curve = [], [], [], None, None
    for seed in args.seeds:
        began = time.process_time()
        model, right, record = train_one(name, seed, None, args.steps, args.batch)
        seconds.append(time.process_time() - began)
        accuracy.append(right)
        few.append(train_one(name, seed, args.few, args.few_steps, args.batch)[1])
        sys.stderr.write(f"{LABELS[name]}, seed {seed}: {right:.4f}, from {args.few} images {few[-1]:.4f}\n")
        if kept is None:
            kept, curve = model, record
    facts = {
        "label": LABELS[name],
        "parameters": parameters(kept),
        "accuracy": rounded(accuracy),
        "cpu_seconds": rounded(seconds, 1),
        "few": rounded(few),
        "curve": _language.curve_facts([curve])["curves"][0],
    }
    return facts, kept


def main(argv: list[str] | None = None) -> None:
    """Train every model with every seed on all and on a few images, write the result file and the first ViT."""
    args = options("digits", __doc__, argv, seeds=[0, 1, 2], steps=1300, batch=128, few=144, few_steps=400)
    started = time.monotonic()
    models, first = {}, None
    with threads(args.threads):
        for name in LABELS:
            models[name], model = run(name, args)
            first = model if name == "vit" else first
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save(first, args.out.with_name("digits_vit.npz"))
    mean = {name: sum(facts["accuracy"]) / len(args.seeds) for name, facts in models.items()}
    facts = {
        "title": "Handwritten digits: ViT, MLP-Mixer and CNN of equal size",
        "table": [
            {
                "model": row["label"],
                "parameters": row["parameters"],
                "test accuracy, mean of seeds": rounded(mean[name]),
                "worst seed": min(row["accuracy"]),
                f"from {args.few} images": rounded(sum(row["few"]) / len(args.seeds)),
                "processor seconds": rounded(sum(row["cpu_seconds"]) / len(args.seeds), 1),
            }
            for name, row in models.items()
        ],
        "test_images": len(digits("test")[1]),
        "models": models,
    }
    write(args, "digits", argv, started, facts)


if __name__ == "__main__":
    main()
