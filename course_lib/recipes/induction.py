"""Induction: a GPT of two blocks learns to copy what came after this token the last time; a GPT of one does not.

A text is a random sequence of tokens, said again and again. Its length differs from text to text, so that the next
token cannot be found by counting positions but only by content: find where the newest token stood before, and look
at what followed it. Two attentions in a row can do it: the first writes into each token what came before it, the
second looks for a token that came after the one at hand. The second shows clearly in the heads of block 2; in block
1 it is in the first round only, in which the note must be made, that a head keeps to the token before.

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`, `table`;
`chance`; `depths` {depth: {accuracy [seed], nats [seed], parameters, measured [seed] [{step, accuracy}]}}: the share of
the second and later rounds' tokens foretold; `heads` of the first seed's two blocks [layer][head] {previous,
prefix}: mean attention to the token before, and to the tokens that came after the newest one in earlier rounds;
`example` {tokens [n], period, heads, maps {previous, prefix} [n n]} of the heads that do each most.
"""

import time
from argparse import Namespace

import torch
from torch import Tensor, nn

from course_lib.generation import evaluating
from course_lib.gpt import GPT, lm_loss
from course_lib.recipes import _language as language
from course_lib.recipes._common import options, parameters, rounded, threads, write
from course_lib.training import Curve, team

SHORTEST = 6


def repeats(number: int, n: int, vocab: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random sequences said again and again: tokens [number n] and the length of each one's sequence [number].

    Lengths are even chances from 6 to half of n. No token comes twice in a sequence, so that each has one follower.
    """
    generator = torch.Generator().manual_seed(seed)
    periods = torch.randint(SHORTEST, n // 2 + 1, (number,), generator=generator)
    orders = torch.rand(number, vocab, generator=generator).argsort(1)
    return orders.gather(1, torch.arange(n) % periods[:, None]), periods


def targets_of(tokens: Tensor, periods: Tensor) -> Tensor:
    """What can be foretold after each token [b n-1]: the next one where its sequence has been heard once, else -100."""
    following = tokens[:, 1:]
    places = torch.arange(following.shape[1], device=tokens.device)
    return following.masked_fill(places < periods[:, None], -100)


@torch.no_grad()
def accuracy(model: nn.Module, tokens: Tensor, periods: Tensor) -> dict[str, float]:
    """The share of foretellable tokens that get the largest logit, and the loss there in nats."""
    wanted = targets_of(tokens, periods)
    with evaluating(model):
        logits = model(tokens[:, :-1])
    counted = wanted >= 0
    right = (logits.argmax(-1) == wanted)[counted].float().mean()
    return {"accuracy": right.item(), "nats": lm_loss(logits, wanted).item()}


@torch.no_grad()
def head_scores(model: GPT, tokens: Tensor, periods: Tensor) -> Tensor:
    """How much of each head's attention goes where: [depth h 2], first to the token before, then to the prefix match.

    The prefix matches of a token in the second round or later are those that came after it before. Means over those.
    """
    maps = model.attention_maps(tokens[:, :-1])  # [depth b h n n]
    n = maps.shape[-1]
    query = torch.arange(n, device=tokens.device)
    counted = (query >= periods[:, None]).to(maps.dtype)  # [b n]
    before = maps.diagonal(-1, -2, -1)  # [depth b h n-1]
    back = query[:, None] - query  # [n n]
    # every earlier round holds the token once, so all of them point to what follows it
    follows = (back > 0) & ((back + 1) % periods[:, None, None] == 0)  # [b n n]
    found = (maps * follows[None, :, None]).sum(-1)  # [depth b h n]

    def mean(weights: Tensor, where: Tensor) -> Tensor:
        return (weights * where[None, :, None]).sum((1, 3)) / where.sum()

    return torch.stack([mean(before, counted[:, 1:]), mean(found, counted)], dim=-1)


def train_one(depth: int, seed: int, args: Namespace, train: tuple, test: tuple) -> tuple[GPT, Curve]:
    """One model; the loss counts only what can be foretold."""
    torch.manual_seed(seed)
    tokens, periods = train
    model = GPT(args.vocab, args.length - 1, args.dim, depth, args.heads, dropout=args.dropout).to(tokens.device)
    targets = targets_of(tokens, periods)
    curve = language.fit(
        f"depth {depth}", seed, args, model, lambda m, rows: lm_loss(m(tokens[rows, :-1]), targets[rows]),
        len(tokens), lambda m: accuracy(m, *test), warmup=50, floor=args.peak / 10,
    )  # fmt: skip
    return model, curve


def main(argv: list[str] | None = None) -> None:
    """Train one and two blocks with each seed, measure, look into the heads, write the result file."""
    args = options(
        "induction", __doc__, argv, [0, 1, 2], [language.training_options(peak=3e-3)], steps=600, batch=32,
        measure_every=25, examples=20_000, tests=200, length=48, vocab=32, dim=48, heads=4,
    )  # fmt: skip
    started = time.monotonic()
    with threads(args.threads), team(language.device_of(args)) as crew:
        train, test = (
            tuple(t.to(crew.device) for t in repeats(number, args.length, args.vocab, seed))
            for number, seed in ((args.examples, 0), (args.tests, 1))
        )
        made = {depth: [train_one(depth, s, args, train, test) for s in args.seeds] for depth in (1, 2)}
        scored = {depth: [accuracy(model, *test) for model, _ in runs] for depth, runs in made.items()}
        model = made[2][0][0]
        scores = head_scores(model, *test)
        best = {name: divmod(int(scores[..., i].argmax()), args.heads) for i, name in enumerate(("previous", "prefix"))}
        maps = model.attention_maps(test[0][:1, :-1])[:, 0].detach()
        facts = {
            "title": "Foretelling a repeated random sequence with one block and with two",
            "table": [
                {"blocks": depth, "seed": seed, "accuracy": rounded(row["accuracy"]), "nats": rounded(row["nats"])}
                for depth, rows in scored.items()
                for seed, row in zip(args.seeds, rows, strict=True)
            ],
            "chance": rounded(1 / args.vocab),
            "depths": {
                str(depth): {
                    "accuracy": rounded(row["accuracy"] for row in scored[depth]),
                    "nats": rounded(row["nats"] for row in scored[depth]),
                    "parameters": parameters(runs[0][0]),
                    "measured": [
                        [{"step": int(m["step"]), "accuracy": rounded(m["accuracy"])} for m in curve.measured]
                        for _, curve in runs
                    ],
                }
                for depth, runs in made.items()
            },
            "heads": [
                [{"previous": rounded(h[0]), "prefix": rounded(h[1])} for h in layer] for layer in scores
            ],
            "example": {
                "tokens": test[0][0, :-1].tolist(),
                "period": int(test[1][0]),
                "heads": {name: list(where) for name, where in best.items()},
                "maps": {name: rounded(maps[layer, head], 3) for name, (layer, head) in best.items()},
            },
        }  # fmt: skip
        if crew.leads:
            write(args, "induction", argv, started, facts)


if __name__ == "__main__":
    main()
