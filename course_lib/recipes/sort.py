"""Sorting: a GPT reads six digits and writes them in order.

Of all sequences of the given length, a quarter is never trained on. The loss counts the sorted half alone.

Fields of the result file, besides command, device, torch, minutes, seeds, settings, `title` and `table`:
`parameters`;
`sequences` {train, test}; `exact` {train [seed], test [seed]}: the share of sequences sorted without a mistake;
`examples` [[asked, written]] of the first seed on the test set; `curves` [seed] {steps, averaged_over, loss
[stretch], measured [{step, test}]}.
"""

import time
from argparse import Namespace

import torch
from torch import Tensor

from course_lib.gpt import GPT
from course_lib.recipes import _language as language
from course_lib.recipes._common import options, parameters, rounded, threads, write
from course_lib.training import Curve, team


def texts(length: int, values: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """All sequences followed by themselves in order, for training and for testing: [e 2*length] each."""
    every = torch.cartesian_prod(*[torch.arange(values)] * length).view(-1, length)
    whole = torch.cat([every, every.sort(1).values], 1)
    # the same quarter for all seeds, so that their results can be compared
    mixed = whole[torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))].to(device)
    return mixed[len(mixed) // 4 :], mixed[: len(mixed) // 4]


def train_one(seed: int, args: Namespace, train: Tensor, test: Tensor) -> tuple[GPT, Curve]:
    """A model of minGPT's smallest size, trained with one seed."""
    torch.manual_seed(seed)
    model = GPT(args.values, 2 * args.length - 1, args.dim, args.depth, args.heads, dropout=args.dropout)
    model.to(train.device)
    curve = language.fit(
        "sort", seed, args, model, language.completion_loss(train, args.length), len(train),
        lambda m: {"test": language.exact(m, test, args.length)}, warmup=50,
    )  # fmt: skip
    return model, curve


def main(argv: list[str] | None = None) -> None:
    """Train a model for each seed, let it sort what it has never seen, write the result file."""
    args = options(
        "sort", __doc__, argv, [0, 1, 2], [language.training_options(peak=2e-3)], steps=1000, batch=64,
        measure_every=100, length=6, values=3, dim=48, depth=3, heads=3,
    )  # fmt: skip
    started = time.monotonic()
    with threads(args.threads), team(language.device_of(args)) as crew:
        train, test = texts(args.length, args.values, crew.device)
        made = [train_one(seed, args, train, test) for seed in args.seeds]
        models, curves = zip(*made, strict=True)
        written = language.completed(models[0], test[:8], args.length).tolist()
        facts = {
            "parameters": parameters(models[0]),
            "sequences": {"train": len(train), "test": len(test)},
            "exact": {
                part: rounded(language.exact(model, data, args.length) for model in models)
                for part, data in (("train", train), ("test", test))
            },
            "examples": [[row[: args.length], row[args.length :]] for row in written],
            **language.curve_facts(curves),
        }
        if crew.leads:
            write(args, "sort", argv, started, facts | summary(facts, args.seeds))


def summary(facts: dict, seeds: list[int]) -> dict:
    """What the page of results prints: a title and one row for each kind of sequences."""
    return {
        "title": "Sorting: the share of sequences that a small GPT writes out in order, every digit right",
        "table": [
            {"sequences": f"{facts['sequences'][kind]} {what}"}
            | {f"seed {s}": share for s, share in zip(seeds, facts["exact"][kind], strict=True)}
            for kind, what in (("train", "trained on"), ("test", "never seen"))
        ],
    }


if __name__ == "__main__":
    main()
