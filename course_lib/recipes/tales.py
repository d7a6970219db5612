"""Tales: a small GPT learns to tell tales of birds, of which the probability of every next word is known.

Counting (n-grams) and the GPT read the same tales; both are measured in nats a word on tales they have not seen,
beside the narrator's own surprise, which no model can beat in the long run. What the model then tells by itself is
checked word by word against what the narrator could have said. The first seed's weights are kept beside the result.

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`, `table`;
`parameters`; `tales` {train, test, words: of the test tales, vocabulary}; `nats` {narrator, uniform, ngrams
{order}, gpt [seed]} a word; `by_place` {narrator, trigram, gpt} [place]: of the first seed, nats at the n-th word;
`telling` [{temperature, top_p, sound: share of told tales without a word that the narrator could not have said,
different: share of different ones among them, words: their mean length}] of the first seed; `curves` as in sort.
"""

import math
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from course_lib.data.tales import END, LENGTH, WORDS, draw_tales, targets_of, told_well
from course_lib.generation import evaluating, generate
from course_lib.gpt import GPT, lm_loss
from course_lib.ngrams import NGrams
from course_lib.recipes import _language as language
from course_lib.recipes._common import options, parameters, rounded, threads, write
from course_lib.training import Curve, team

HEADS = 4


def surprise(model: nn.Module, tales: Tensor) -> Tensor:
    """What each next word of tales [e n] costs a model in nats, NaN past the end: [e n-1]."""
    targets = targets_of(tales)
    with torch.no_grad(), evaluating(model):
        logs = torch.cat([model(part).log_softmax(-1) for part in tales[:, :-1].split(256)])
    picked = -logs.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return picked.masked_fill(targets < 0, math.nan)


def as_one_text(tales: Tensor) -> Tensor:
    """Tales in a row [t], with one end between them and none left over."""
    return torch.cat([tales[:, :-1][targets_of(tales) >= 0], tales.new_zeros(1)])


def counted_surprise(ngrams: NGrams, tales: Tensor) -> Tensor:
    """As `surprise`, of n-grams; each tale is read from its own beginning."""
    targets = targets_of(tales)
    nats = torch.full(targets.shape, math.nan, dtype=torch.float64)
    for row, (tale, wanted) in enumerate(zip(tales, targets, strict=True)):
        words = int((wanted >= 0).sum())
        nats[row, :words] = -ngrams.probabilities(tale[: words + 1])[1:].log()
    return nats


def tell(model: GPT, number: int, seed: int, **sampling: float | None) -> list[list[str]]:
    """Let a model tell tales from the start; a tale is over at its end or when the block is full."""
    begun = torch.zeros(number, 1, dtype=torch.int64)
    told = generate(model, begun, LENGTH - 1, torch.Generator().manual_seed(seed), stop=0, **sampling)
    texts = [[WORDS[i] for i in row] for row in told[:, 1:].tolist()]
    return [words[: words.index(END) + 1] if END in words else words for words in texts]


def judged(tales: list[list[str]]) -> dict[str, float]:
    """How many tales the narrator could have told, how many of these differ, and how long all are."""
    sound = [tuple(words) for words in tales if words[-1] == END and told_well(words) == len(words)]
    return {
        "sound": len(sound) / len(tales),
        "different": len(set(sound)) / max(len(sound), 1),
        "words": sum(map(len, tales)) / len(tales),
    }


def save(model: GPT, path: Path) -> None:
    """Write a model's weights as float16 to an `.npz` file."""
    state = {name: value.half().numpy() for name, value in model.state_dict().items() if name != "head.weight"}
    np.savez_compressed(path, **state)


def load(path: str | Path) -> GPT:
    """The model that `save` wrote, in eval mode. Raises `FileNotFoundError` with the command that makes the file."""
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is missing; make it with `python -m course_lib.recipes.tales`.")
    with np.load(path) as stored:
        state = {name: torch.from_numpy(stored[name]).float() for name in stored.files}
    vocab, dim = state["tokens.weight"].shape
    depth = sum(name.endswith(".norm1.weight") for name in state)
    model = GPT(vocab, len(state["positions.weight"]), dim, depth, HEADS)
    model.load_state_dict(state | {"head.weight": state["tokens.weight"]})
    return model.eval()


def train_one(seed: int, args: Namespace, train: Tensor, test: Tensor) -> tuple[GPT, Curve]:
    """One seed's model."""
    torch.manual_seed(seed)
    model = GPT(len(WORDS), LENGTH - 1, args.dim, args.depth, HEADS, dropout=args.dropout).to(train.device)
    targets = targets_of(train)

    def loss(m: nn.Module, rows: Tensor) -> tuple[Tensor, Tensor]:
        wanted = targets[rows]
        counted = (wanted >= 0).sum()
        return lm_loss(m(train[rows, :-1]), wanted) * counted, counted

    curve = language.fit(
        "tales", seed, args, model, loss, len(train), lambda m: {"test": float(surprise(m, test[:200]).nanmean())},
        warmup=100, floor=args.peak / 10,
    )  # fmt: skip
    return model, curve


def main(argv: list[str] | None = None) -> None:
    """Count, train, measure, let the first model tell, and write the result file and the weights."""
    args = options(
        "tales", __doc__, argv, [0, 1], [language.training_options(peak=4e-3)], steps=2000, batch=32,
        measure_every=250, tales=20_000, tests=1000, told=500, dim=32, depth=2, orders=5,
    )  # fmt: skip
    started = time.monotonic()
    with threads(args.threads), team(language.device_of(args)) as crew:
        (train, _), (test, truth) = draw_tales(args.tales, seed=0), draw_tales(args.tests, seed=1)
        text = as_one_text(train)
        counted = {n: counted_surprise(NGrams(text, n, len(WORDS)), test) for n in range(1, args.orders + 1)}
        made = [train_one(seed, args, train.to(crew.device), test.to(crew.device)) for seed in args.seeds]
        models, curves = [model.cpu() for model, _ in made], [curve for _, curve in made]
        own = [surprise(model, test) for model in models]
        nats = {
            "narrator": rounded(truth.nanmean()),
            "uniform": rounded(math.log(len(WORDS))),
            "ngrams": {str(n): rounded(s.nanmean()) for n, s in counted.items()},
            "gpt": [rounded(s.nanmean()) for s in own],
        }
        sampled = [(t, None) for t in (0.0, 0.5, 0.8, 1.0, 1.3, 1.8)] + [(1.0, 0.95), (1.3, 0.95)]
        telling = [
            {"temperature": t, "top_p": p, **judged(tell(models[0], args.told, args.seeds[0], temperature=t, top_p=p))}
            for t, p in sampled
        ]
        facts = {
            "title": "A small GPT and n-grams on tales whose every next word has a known probability",
            "table": [
                {"model": name, "nats a word": value, "bits a word": rounded(value / math.log(2))}
                for name, value in [
                    ("nothing known: all words alike", nats["uniform"]),
                    *((f"n-grams of {n}", value) for n, value in nats["ngrams"].items()),
                    *((f"GPT, seed {seed}", value) for seed, value in zip(args.seeds, nats["gpt"], strict=True)),
                    ("the narrator", nats["narrator"]),
                ]
            ],
            "parameters": parameters(models[0]),
            "tales": {"train": len(train), "test": len(test), "words": int((~truth.isnan()).sum()),
                      "vocabulary": len(WORDS)},
            "nats": nats,
            "by_place": {
                "narrator": rounded(truth.nanmean(0)),
                "trigram": rounded(counted[min(3, args.orders)].nanmean(0)),
                "gpt": rounded(own[0].nanmean(0)),
            },
            "telling": [{k: None if v is None else rounded(v) for k, v in row.items()} for row in telling],
            **language.curve_facts(curves),
        }  # fmt: skip
        if crew.leads:
            write(args, "tales", argv, started, facts)
            save(models[0], args.out.with_suffix(".npz"))


if __name__ == "__main__":
    main()
