"""Adding: a GPT reads two numbers and writes their sum, its last digit first as on paper.

"85 + 50 = 135" is the text 8 5 5 0 5 3 1. Of all pairs, 500 (or a fifth, where there are fewer) are never trained
on. The loss counts the digits of the sum alone.

Fields of the result file, besides command, device, torch, minutes, seeds, settings, `title` and `table`:
`parameters`; `pairs`
{train, test}; `exact` {train [seed], test [seed]}: the share of sums without a wrong digit; `mistakes`
[[a, b, written]] of the first seed, at most eight, of all pairs; `curves` [seed] {steps, averaged_over, loss
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


def digits_of(numbers: Tensor, count: int) -> Tensor:
    """Decimal digits, the last one first: [e] -> [e count]."""
    return numbers[:, None] // 10 ** torch.arange(count) % 10


def texts(digits: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """All pairs of numbers followed by their sums, for training and for testing: [e 3*digits+1] each."""
    a, b = torch.cartesian_prod(*[torch.arange(10**digits)] * 2).unbind(1)
    forwards = (digits_of(number, digits).flip(1) for number in (a, b))
    whole = torch.cat([*forwards, digits_of(a + b, digits + 1)], 1)
    # the same pairs for all seeds, so that their results can be compared
    mixed = whole[torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))].to(device)
    held_out = min(500, len(mixed) // 5)
    return mixed[held_out:], mixed[:held_out]


def train_one(seed: int, args: Namespace, train: Tensor, test: Tensor) -> tuple[GPT, Curve]:
    """A model of minGPT's smallest size, trained with one seed."""
    torch.manual_seed(seed)
    model = GPT(10, 3 * args.digits, args.dim, args.depth, args.heads, dropout=args.dropout).to(train.device)
    curve = language.fit(
        "adder", seed, args, model, language.completion_loss(train, 2 * args.digits), len(train),
        lambda m: {"test": language.exact(m, test, 2 * args.digits)}, warmup=100,
    )  # fmt: skip
    return model, curve


def mistakes(model: GPT, pairs: Tensor, digits: int, most: int = 8) -> list[list[int]]:
    """Up to `most` pairs that the model adds wrongly, with what it wrote: [[a, b, written]]."""
    written = language.completed(model, pairs, 2 * digits)
    rows = written[(written != pairs).any(1)][:most].tolist()

    def number(row: list[int]) -> int:
        return int("".join(map(str, row)))

    return [[number(r[:digits]), number(r[digits : 2 * digits]), number(r[: 2 * digits - 1 : -1])] for r in rows]


def main(argv: list[str] | None = None) -> None:
    """Train a model for each seed, let it add what it has never seen, write the result file."""
    args = options(
        "adder", __doc__, argv, [0, 1, 2], [language.training_options(peak=2e-3)], steps=3000, batch=64,
        measure_every=250, digits=2, dim=48, depth=3, heads=3,
    )  # fmt: skip
    started = time.monotonic()
    with threads(args.threads), team(language.device_of(args)) as crew:
        train, test = texts(args.digits, crew.device)
        made = [train_one(seed, args, train, test) for seed in args.seeds]
        models, curves = zip(*made, strict=True)
        facts = {
            "parameters": parameters(models[0]),
            "pairs": {"train": len(train), "test": len(test)},
            "exact": {
                part: rounded(language.exact(model, data, 2 * args.digits) for model in models)
                for part, data in (("train", train), ("test", test))
            },
            "mistakes": mistakes(models[0], torch.cat([test, train]), args.digits),
            **language.curve_facts(curves),
        }
        if crew.leads:
            write(args, "adder", argv, started, facts | summary(facts, args.seeds))


def summary(facts: dict, seeds: list[int]) -> dict:
    """What the page of results prints: a title and one row for each kind of sums."""
    return {
        "title": "Adding: the share of sums that a small GPT writes out right, every digit",
        "table": [
            {"sums": f"{facts['pairs'][kind]} {what}"}
            | {f"seed {s}": share for s, share in zip(seeds, facts["exact"][kind], strict=True)}
            for kind, what in (("train", "trained on"), ("test", "never seen"))
        ],
    }


if __name__ == "__main__":
    main()
