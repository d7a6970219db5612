"""Which order-dependent questions can a Transformer answer, with each way of telling it where its tokens are?

A sequence holds letters, and a fifth of them are marked. At every place one small model answers three questions:

- `distance`  which letter stands two places before me? (undefined at the first two places)
- `order`     which letter does the nearest marked token carry, me or one before me? (undefined before the first)
- `place`     which letter stands third from the start?

All models are alike but for what they know of positions. They are trained at one length and tested at others. A
learned table has no vectors beyond the trained length: `learned` has null there, and `stretched` is the same trained
model with its table interpolated. `causal` models may attend only to themselves and what came before, which alone
tells tokens apart: `causal_none` has no positional encoding besides, and `causal_alibi` is ALiBi as it was published.

Fields of the result file, besides command, device, torch, minutes, seeds, settings, `title` and `table`: `letters`;
`marked`; `chance`; `trained_length`; `lengths` [l]; `test_sequences` for each length; `questions` {name: sentence};
`parameters`; `models` {name: {label, accuracy {question: [seed][l]}, mean {question: [l]}}}.
"""

import copy
import time
from argparse import Namespace

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.recipes._common import Progress, fit, options, parameters, rounded, threads, write
from course_lib.transformer import SequenceTransformer

LETTERS, MARKED, IGNORE = 8, 0.2, -100
QUESTIONS = {
    "distance": "Which letter stands two places before me?",
    "order": "Which letter does the nearest marked token carry, me or one before me?",
    "place": "Which letter stands third from the start?",
}
MODELS = {
    "none": ("none", False),
    "learned": ("learned", False),
    "sinusoidal": ("sinusoidal", False),
    "rope": ("rope", False),
    "alibi": ("alibi", False),
    "causal_none": ("none", True),
    "causal_alibi": ("alibi", True),
}
LABELS = {
    "none": "none",
    "learned": "learned table",
    "stretched": "learned table, stretched",
    "sinusoidal": "sinusoidal",
    "rope": "RoPE",
    "alibi": "ALiBi",
    "causal_none": "none, causal mask",
    "causal_alibi": "ALiBi, causal mask",
}


def draw(sequences: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sequences and the answers to the three questions at every place.

    Shapes: ids [sequences n], a letter or, if it is marked, LETTERS plus the letter; answers [sequences n 3] in the
    order of QUESTIONS, IGNORE where a question has none.
    """
    letter = torch.randint(LETTERS, (sequences, n), generator=generator)
    marked = torch.rand(sequences, n, generator=generator) < MARKED
    answers = torch.full((sequences, n, len(QUESTIONS)), IGNORE)
    answers[:, 2:, 0] = letter[:, :-2]
    nearest = torch.where(marked, torch.arange(n), -1).cummax(dim=1).values
    answers[..., 1] = torch.where(nearest >= 0, letter.gather(1, nearest.clamp_min(0)), IGNORE)
    answers[..., 2] = letter[:, 2:3]
    return letter + LETTERS * marked, answers


def build(name: str, n: int, args: Namespace) -> SequenceTransformer:
    """An untrained model of MODELS for sequences of `n`, with one row of letters to score for each question."""
    kind, causal = MODELS[name]
    classes = LETTERS * len(QUESTIONS)
    return SequenceTransformer(2 * LETTERS, n, args.dim, args.depth, args.heads, kind, causal=causal, classes=classes)


def scores(model: SequenceTransformer, ids: Tensor) -> Tensor:
    """The scores of every letter for every question: ids [b n] -> [b n questions letters]."""
    return model(ids).unflatten(-1, (len(QUESTIONS), LETTERS))


@torch.no_grad()
def accuracy(model: SequenceTransformer, ids: Tensor, answers: Tensor) -> list[float]:
    """The share of right answers to each question, over all places where it has one."""
    right = (scores(model, ids).argmax(-1) == answers).double().sum((0, 1))
    return (right / (answers != IGNORE).sum((0, 1))).tolist()


def measure(model: SequenceTransformer, lengths: list[int], args: Namespace) -> list[list[float | None]]:
    """Accuracy on new sequences of each length: [l][questions], None where the model has no positions left."""
    rows: list[list[float | None]] = []
    for n in lengths:
        ids, answers = draw(args.test_sequences, n, torch.Generator().manual_seed(10_000 + n))
        added = model.body.add
        missing = added is not None and added.kind == "learned" and added.beyond == "error" and n > args.length
        rows.append([None] * len(QUESTIONS) if missing else accuracy(model, ids, answers))
    return rows


def train_one(name: str, seed: int, args: Namespace, progress: Progress) -> SequenceTransformer:
    """One model, trained on all three questions at once."""
    ids, answers = draw(args.sequences, args.length, torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    model = build(name, args.length, args)
    fit(
        model,
        # the same weight for each question, however many places have an answer to it
        lambda i: sum(
            F.cross_entropy(s.flatten(0, 1), a.flatten(), ignore_index=IGNORE)
            for s, a in zip(scores(model, ids[i]).unbind(2), answers[i].unbind(2), strict=True)
        ),
        len(ids), steps=args.steps, batch=64, peak=3e-3, seed=seed, progress=progress, doing=f"seed {seed}: {name}",
    )  # fmt: skip
    return model


def main(argv: list[str] | None = None) -> None:
    """Train every model for each seed, measure it at every length, write the result file."""
    args = options(
        "positions", __doc__, argv, seeds=[0, 1, 2], sequences=32768, steps=1200, length=20, test_sequences=500,
        dim=32, depth=2, heads=4,
    )  # fmt: skip
    started = time.monotonic()
    progress = Progress(len(args.seeds) * len(MODELS) * args.steps)
    lengths = [args.length * share // 4 for share in (2, 3, 4, 5, 6, 8)]
    found: dict[str, list[list[list[float | None]]]] = {name: [] for name in LABELS}
    with threads(args.threads):
        for seed in args.seeds:
            for name in MODELS:
                model = train_one(name, seed, args, progress)
                found[name].append(measure(model, lengths, args))
                if name == "learned":
                    stretched = copy.deepcopy(model)
                    stretched.body.add.beyond = "interpolate"
                    found["stretched"].append(measure(stretched, lengths, args))
        sizes = {name: parameters(build(name, args.length, args)) for name in MODELS}
    models = {name: _summary(name, runs) for name, runs in found.items()}
    facts = {
        "title": "Three questions about order, with each way of telling positions, at the trained length and beyond",
        "table": _table(models, lengths, args.length),
        "letters": LETTERS,
        "marked": MARKED,
        "chance": 1 / LETTERS,
        "trained_length": args.length,
        "lengths": lengths,
        "test_sequences": args.test_sequences,
        "questions": QUESTIONS,
        "parameters": sizes,
        "models": models,
    }
    write(args, "positions", argv, started, facts)


def _summary(name: str, runs: list[list[list[float | None]]]) -> dict:
    per_question = {
        question: [[row[j] if row[j] is None else rounded(row[j]) for row in run] for run in runs]
        for j, question in enumerate(QUESTIONS)
    }
    mean = {
        question: [None if None in column else rounded(sum(column) / len(column)) for column in zip(*rows, strict=True)]
        for question, rows in per_question.items()
    }
    return {"label": LABELS[name], "accuracy": per_question, "mean": mean}


def _table(models: dict, lengths: list[int], trained: int) -> list[dict]:
    at = {"trained length": lengths.index(trained), "twice": lengths.index(2 * trained)}
    return [
        {"positions": model["label"]}
        | {f"{question}, {when}": model["mean"][question][i] for question in QUESTIONS for when, i in at.items()}
        for model in models.values()
    ]


if __name__ == "__main__":
    main()
