"""Characters: a GPT learns to write Shakespeare, one character after the other.

The corpus is Tiny Shakespeare, downloaded once; where that fails it is the reference manual that every Python
brings along, and the result says so. Trained on the first nine tenths, validated on the whole of the last. The
defaults are nanoGPT's recipe for a laptop's processor; its recipe for a graphics card (validation 1.4697) is
--device best --dim 384 --depth 6 --heads 6 --block 256 --batch 64 --steps 5000 --dropout 0.2 --compile.

Fields of the result file, besides command, device, torch, minutes, seeds, settings, `title` and `table`:
`corpus` {name,
characters, vocabulary, sha256, python: the version it is from, or null}; `parameters`; `uniform`: the loss ln V of
a model that knows nothing; `validation` {nats [seed], bits [seed]} a character; `sample` of the first seed, begun
with a line break; `curves` [seed] {steps, averaged_over, loss [stretch], measured [{step, validation: of evenly
spaced windows}]}.
"""

import argparse
import hashlib
import math
import platform
import sys
import time
from argparse import Namespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.data.download import DownloadError
from course_lib.data.text import python_reference, tiny_shakespeare
from course_lib.generation import evaluating, generate
from course_lib.gpt import GPT, lm_loss, next_token_batch
from course_lib.recipes import _language as language
from course_lib.recipes._common import options, parameters, rounded, threads, write
from course_lib.training import Curve, team

CORPORA = {"shakespeare": tiny_shakespeare, "python": python_reference}


def read_corpus(name: str) -> tuple[str, str]:
    """The name and the text of a corpus; of "auto" it is the first of `CORPORA` that can be had."""
    if name != "auto":
        return name, CORPORA[name]()
    try:
        return "shakespeare", tiny_shakespeare()
    except DownloadError as problem:
        sys.stderr.write(f"Tiny Shakespeare cannot be had, so this trains on Python's manual. ({problem})\n")
        return "python", python_reference()


@torch.no_grad()
def validation(model: nn.Module, data: Tensor, windows: int | None = None) -> float:
    """The mean loss in nats over a text [t] cut into windows of the model's block, or over evenly spaced ones.

    Each character after the first is predicted once, from what stands before it in its window.
    """
    block = model.block
    starts = torch.arange(0, len(data) - 1, block)
    if windows is not None and windows < len(starts):
        starts = starts[torch.linspace(0, len(starts) - 1, windows).long()]
    total, count = 0.0, 0
    with evaluating(model):
        whole = starts[starts + block < len(data)]
        for part in whole.split(64):
            x, y = next_token_batch(data, block, part)
            total += F.cross_entropy(model(x).float().flatten(0, 1), y.flatten(), reduction="sum").item()
            count += y.numel()
        for start in starts[len(whole) :].tolist():
            rest = data[start:].long()[None]
            total += F.cross_entropy(model(rest[:, :-1]).float()[0], rest[0, 1:], reduction="sum").item()
            count += rest.shape[1] - 1
    return total / count


def train_one(seed: int, args: Namespace, train: Tensor, test: Tensor, vocab: int) -> tuple[GPT, Curve]:
    """One seed's model, trained on windows that begin anywhere in the text."""
    torch.manual_seed(seed)
    model = GPT(vocab, args.block, args.dim, args.depth, args.heads, dropout=args.dropout).to(train.device)

    def loss(m: nn.Module, starts: Tensor) -> Tensor:
        x, y = next_token_batch(train, args.block, starts)
        return lm_loss(m(x), y)

    curve = language.fit(
        "characters", seed, args, model, loss, len(train) - args.block,
        lambda m: {"validation": validation(m, test, windows=128)}, warmup=100, floor=args.peak / 10,
        betas=(0.9, 0.99),
    )  # fmt: skip
    return model, curve


def main(argv: list[str] | None = None) -> None:
    """Train a model for each seed, measure it on the whole validation text, write the result file."""
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--corpus", default="auto", choices=["auto", *CORPORA], help="(%(default)s)")
    args = options(
        "characters", __doc__, argv, [0], [language.training_options(peak=1e-3), own], steps=2000, batch=12,
        measure_every=250, block=64, dim=128, depth=4, heads=4,
    )  # fmt: skip
    started = time.monotonic()
    with threads(args.threads), team(language.device_of(args)) as crew:
        args.corpus, text = read_corpus(args.corpus)
        alphabet = sorted(set(text))
        numbers = {character: i for i, character in enumerate(alphabet)}
        data = torch.tensor([numbers[character] for character in text], device=crew.device)
        train, test = data[: len(data) * 9 // 10], data[len(data) * 9 // 10 :]
        made = [train_one(seed, args, train, test, len(alphabet)) for seed in args.seeds]
        models, curves = zip(*made, strict=True)
        nats = [validation(model, test) for model in models]
        begun = torch.tensor([[numbers["\n"]]], device=crew.device)
        drawn = generate(models[0], begun, 300, torch.Generator(crew.device).manual_seed(args.seeds[0]))
        facts = {
            "corpus": {
                "name": args.corpus,
                "characters": len(text),
                "vocabulary": len(alphabet),
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "python": platform.python_version() if args.corpus == "python" else None,
            },
            "parameters": parameters(models[0]),
            "uniform": rounded(math.log(len(alphabet))),
            "validation": {"nats": rounded(nats), "bits": rounded(value / math.log(2) for value in nats)},
            "sample": "".join(alphabet[i] for i in drawn[0, 1:].tolist()),
            **language.curve_facts(curves),
        }
        if crew.leads:
            write(args, "characters", argv, started, facts | summary(facts, args.seeds))


def summary(facts: dict, seeds: list[int]) -> dict:
    """What the page of results prints: a title and one row for each seed."""
    return {
        "title": f"Predicting the next character of {facts['corpus']['name']}: loss on text never seen",
        "table": [
            {
                "seed": s,
                "parameters": facts["parameters"],
                "nats": nats,
                "bits": bits,
                "all alike, nats": facts["uniform"],
            }
            for s, nats, bits in zip(seeds, facts["validation"]["nats"], facts["validation"]["bits"], strict=True)
        ],
    }


if __name__ == "__main__":
    main()
