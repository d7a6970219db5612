"""Is the top-right bird the same species as the bottom-left bird? Local layers against one attention layer.

All models share the same local features (three convolutions, receptive field 13 px, trained to name the species
in front of each 4 x 4 patch, then frozen). On them stands one relation of about equal size, and a linear readout:

- `local`      token-wise (1 x 1) layers, mean over the image, linear readout
- `attention`  one self-attention layer, mean over the image, linear readout
- `mlp_head`   mean over the image, then an MLP: local layers, but the two birds meet after the pooling
- `wide_cnn`   dilated convolutions whose receptive field covers both birds, mean, linear readout

A mean with a linear readout adds up one number for each place, so a local model's score is g(bird 1) + g(bird 2).
Cross-entropy is convex in g, and as each species is as frequent in alike as in unlike pairs its minimum is g = 0:
chance. Even the best g could not exceed `additive_ceiling`. What is needed is that something non-linear happens
after the two birds' information has met: in attention, in a wider receptive field, or in an MLP after the pooling.

Fields of the result file, besides command, device, torch, minutes, seeds and settings, `title` and `table`:
`question`; `image_px`; `bird_px` [smallest, largest]; `distances_px` [d] between the two birds' centres;
`species` [names]; `chance`; `additive_ceiling`; `test_scenes` for each distance; `features` {parameters,
receptive_field_px, patch_accuracy [seed]: the share of bird patches named rightly}; `models` {name: {label,
parameters, receptive_field_px (null: unbounded), accuracy [seed][d], mean [d], overall: mean over all}}.
"""

import math
import time
from argparse import Namespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.data.bird_questions import QUESTIONS, answer
from course_lib.data.birds import SPECIES, Scenes, make_pairs, make_scenes
from course_lib.recipes._common import Progress, fit, options, parameters, rounded, threads, write
from course_lib.recipes.pair_models import DIM, LABELS, PATCH, local_features, receptive_field, relation

NAMES = ("finch", "heron", "owl", "swallow", "duck")
SIZE, BIRD = 32, (0.28, 0.32)
DISTANCES = (0.36, 0.5, 0.65, 0.8)


def additive_ceiling(species: int) -> float:
    """The best accuracy of any rule `g(bird 1) + g(bird 2) > threshold` on pairs of which half are alike.

    The species it ever calls alike form a group of m; it is right on m of the alike pairs and wrong on all
    unlike pairs within the group, and the best m is taken.
    """
    pairs = math.comb(species, 2)
    return max(0.5 * m / species + 0.5 * (1 - math.comb(m, 2) / pairs) for m in range(species + 1))


def inputs(scenes: Scenes) -> Tensor:
    """Pixels as the networks take them, about zero mean and unit scale."""
    return scenes.images * 4 - 2


def patch_species(scenes: Scenes) -> Tensor:
    """The species shown at the middle of each patch, `[b 8 8]`, or `len(SPECIES)` for none."""
    slot = scenes.instance[:, PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].long()
    named = scenes.species.gather(1, slot.clamp_min(0).flatten(1)).view_as(slot)
    return torch.where(slot < 0, len(SPECIES), named)


def train_features(seed: int, args: Namespace, progress: Progress) -> tuple[nn.Sequential, float]:
    """Local features that name the species of each patch, and how often they are right on patches of birds."""
    kind = dict(size=SIZE, bird_size=BIRD, species=NAMES, birds=(2, 4))
    scenes = make_scenes(args.scenes, seed=10 * seed + 1, **kind)
    x, y = inputs(scenes), patch_species(scenes)
    torch.manual_seed(seed)
    features = local_features()
    model = nn.Sequential(features, nn.Conv2d(DIM, len(SPECIES) + 1, 1))
    weight = torch.ones(len(SPECIES) + 1)
    weight[-1] = 0.1  # nine patches in ten show no bird
    fit(
        model, lambda i: F.cross_entropy(model(x[i]), y[i], weight), len(x), steps=args.feature_steps,
        batch=64, peak=3e-3, seed=seed, progress=progress, doing=f"seed {seed}: local features",
    )  # fmt: skip
    fresh = make_scenes(args.test_scenes, seed=10 * seed + 3, **kind)
    truth = patch_species(fresh)
    bird = truth < len(SPECIES)
    with torch.no_grad():
        right = (model(inputs(fresh)).argmax(1) == truth)[bird].float().mean().item()
    return features, right


def train_relation(name: str, x: Tensor, y: Tensor, seed: int, args: Namespace, progress: Progress) -> nn.Sequential:
    """One of the relations, trained on the frozen features `x` `[n 48 8 8]` and answers `y` `[n]` of all pairs."""
    torch.manual_seed(seed)
    model = relation(name)
    fit(
        model, lambda i: F.cross_entropy(model(x[i]), y[i]), len(x), steps=args.relation_steps,
        batch=64, peak=6e-3, seed=seed, progress=progress, doing=f"seed {seed}: {name}",
    )  # fmt: skip
    return model


def main(argv: list[str] | None = None) -> None:
    """Train the features and the four relations for each seed, and write the result file."""
    args = options(
        "same_species", __doc__, argv, seeds=[0, 1, 2], scenes=12288, feature_steps=600, relation_steps=1500,
        test_scenes=1000,
    )  # fmt: skip
    started = time.monotonic()
    progress = Progress(len(args.seeds) * (args.feature_steps + len(LABELS) * args.relation_steps))
    kind = dict(size=SIZE, bird_size=BIRD, species=NAMES)
    accuracy: dict[str, list[list[float]]] = {name: [] for name in LABELS}
    named = []
    with threads(args.threads):
        for seed in args.seeds:
            features, right = train_features(seed, args, progress)
            named.append(right)
            with torch.no_grad():
                pairs = make_pairs(args.scenes, seed=10 * seed + 2, distance=(0.34, 0.81), **kind)
                x = torch.cat([features(part) for part in inputs(pairs).split(256)])
                y = answer("same_species", pairs)
                tests = [
                    make_pairs(args.test_scenes, seed=1000 + 10 * seed + j, distance=d, **kind)
                    for j, d in enumerate(DISTANCES)
                ]
                fresh = [(features(inputs(test)), answer("same_species", test)) for test in tests]
            for name in LABELS:
                model = train_relation(name, x, y, seed, args, progress)
                with torch.no_grad():
                    accuracy[name].append([(model(fx).argmax(1) == fy).float().mean().item() for fx, fy in fresh])
    facts = {
        "question": QUESTIONS["same_species"],
        "image_px": SIZE,
        "bird_px": rounded([side * SIZE for side in BIRD], 1),
        "distances_px": rounded([d * SIZE for d in DISTANCES], 1),
        "species": NAMES,
        "chance": 0.5,
        "additive_ceiling": rounded(additive_ceiling(len(NAMES))),
        "test_scenes": args.test_scenes,
        "features": {
            "parameters": parameters(local_features()),
            "receptive_field_px": 13,
            "patch_accuracy": rounded(named),
        },
        "models": {
            name: {
                "label": label,
                "parameters": parameters(relation(name)),
                "receptive_field_px": receptive_field(name),
                "accuracy": rounded(accuracy[name]),
                "mean": rounded(torch.tensor(accuracy[name]).mean(0)),
                "overall": rounded(torch.tensor(accuracy[name]).mean()),
            }
            for name, label in LABELS.items()
        },
    }
    write(args, "same_species", argv, started, facts | summary(facts, args.seeds))


def summary(facts: dict, seeds: list[int]) -> dict:
    """What the page of results prints: a title and one row for each way to relate two birds."""
    return {
        "title": f"{facts['question']} Accuracy over all distances, chance {facts['chance']:g}",
        "table": [
            {"relation": model["label"], "parameters": model["parameters"]}
            | {f"seed {s}": rounded(sum(run) / len(run)) for s, run in zip(seeds, model["accuracy"], strict=True)}
            for model in facts["models"].values()
        ],
    }


if __name__ == "__main__":
    main()
