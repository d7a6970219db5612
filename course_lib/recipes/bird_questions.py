"""One question token attends to image tokens: how many birds, what colour is the sky, what colour is the head?

A small model (`course_lib.recipes.bird_model`) is trained on all three questions; so is the same model without a
choice, which gets the average of all tokens. Then the trained attention is questioned: on what does its mass
fall, and does the answer break when the patches it attends to are masked, more than with as many random ones?
All figures but `model` and `uniform` accuracies come from the first seed's model, whose parameters are saved as
`bird_questions.npz` beside the result file, to be loaded with `course_lib.recipes.bird_model.load`.

Fields of the result file, besides command, device, torch, minutes, seeds and settings, `title` and `table`:
`questions` {name: sentence}; `words` [vocabulary]; `image_px`; `grid` [8, 8] patches; `heads`; `parameters`;
`test_scenes` for each question; `accuracy` {question: {chance: of the best constant answer, model [seed],
uniform [seed]}}; `mass` {question: {region: {attention, uniform, heads [h]}}}: the share of the attention
(mean of heads, or each head) on the pixels of a region, next to the region's share of the picture; regions are
sky, cloud, ground, bird, head, body, wing; `on_patches` the same, for patches that touch the region at all;
`masking` {patches [m], accuracy {question: {top [m], random [m]}}}: accuracy with the m most attended or m
random patches masked, of 64; `examples` {question: {scenes: arguments of make_scenes, truth [i] and said [i]: words,
maps [i][h][64]: attention of each head over the row-major patches}}.
A scene made with a larger `size` is the same picture in finer pixels.
"""

import time
from argparse import Namespace

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.data.bird_questions import ANSWERS, QUESTIONS, answer
from course_lib.data.birds import Scenes, make_scenes
from course_lib.recipes._common import Progress, fit, options, parameters, rounded, threads, write
from course_lib.recipes.bird_model import ASKED, BIRD, BIRDS, PATCH, SIZE, WORDS, QuestionAnswerer, save

SHARE = {"count": 16, "sky": 8, "head": 40}  # of a batch: the harder the question, the more of it
MASKED = (1, 2, 4, 8, 16, 32)
REGIONS = ("sky", "cloud", "ground", "bird", "head", "body", "wing")


def scene_arguments(question: str, n: int, seed: int) -> dict:
    """What `make_scenes` is called with for a question: the head is asked for where there is one bird."""
    return dict(n=n, seed=seed, size=SIZE, bird_size=BIRD, birds=(1, 1) if question == "head" else BIRDS)


def true_words(question: str, scenes: Scenes) -> Tensor:
    """The true answers as indices into `WORDS`, `[b]`."""
    words = torch.tensor([WORDS.index(w) if w in WORDS else -1 for w in ANSWERS[question]])
    return words[answer(question, scenes)]


def ask(model: QuestionAnswerer, question: str, scenes: Scenes, mask: Tensor | None = None) -> Tensor:
    """What the model answers, as indices into `WORDS`, `[b]`."""
    asked = torch.full((len(scenes),), ASKED.index(question))
    with torch.no_grad():
        return model(scenes.images, asked, mask).argmax(-1)


def accuracy(model: QuestionAnswerer, question: str, scenes: Scenes, mask: Tensor | None = None) -> float:
    """The share of scenes answered rightly."""
    return (ask(model, question, scenes, mask) == true_words(question, scenes)).float().mean().item()


def look(model: QuestionAnswerer, question: str, scenes: Scenes) -> Tensor:
    """Where each head looks, `[b h 64]`."""
    return model.look(scenes.images, torch.full((len(scenes),), ASKED.index(question)))


def train(uniform: bool, seed: int, args: Namespace, progress: Progress) -> QuestionAnswerer:
    """The model, trained on fresh scenes of its seed with all three questions in every batch."""
    scenes = {q: make_scenes(**scene_arguments(q, args.scenes, 10 * seed + 1 + (q == "head"))) for q in ASKED}
    truth = {q: true_words(q, scenes[q]) for q in ASKED}
    asked = torch.cat([torch.full((SHARE[q],), ASKED.index(q)) for q in ASKED])

    def loss(drawn: Tensor) -> Tensor:
        parts = dict(zip(ASKED, drawn.split([SHARE[q] for q in ASKED]), strict=True))
        images = torch.cat([scenes[q].images[parts[q]] for q in ASKED])
        return F.cross_entropy(model(images, asked), torch.cat([truth[q][parts[q]] for q in ASKED]))

    torch.manual_seed(seed)
    model = QuestionAnswerer(uniform=uniform)
    fit(
        model, loss, args.scenes, steps=args.steps, batch=sum(SHARE.values()), peak=3e-3, seed=seed,
        progress=progress, doing=f"seed {seed}: {'uniform average' if uniform else 'attention'}",
    )  # fmt: skip
    return model


def patch_shares(scenes: Scenes, region: str) -> Tensor:
    """The share of each patch that shows a region, `[b 64]`."""
    pixels = scenes.instance >= 0 if region == "bird" else scenes.mask(region)
    return F.avg_pool2d(pixels.float()[:, None], PATCH).flatten(1)


def masses(weights: Tensor, scenes: Scenes, touching: bool) -> dict:
    """How much of the attention `[b h 64]` falls on each region, beside what uniform attention would put there."""
    facts = {}
    for region in REGIONS:
        share = patch_shares(scenes, region)
        share = (share > 0).float() if touching else share
        heads = (weights * share[:, None]).sum(-1).mean(0)
        facts[region] = {
            "attention": rounded(heads.mean()),
            "uniform": rounded(share.mean()),
            "heads": rounded(heads),
        }
    return facts


def masking(model: QuestionAnswerer, question: str, scenes: Scenes, generator: torch.Generator) -> dict:
    """Accuracy with the m most attended patches masked, and with m random ones, for each m of `MASKED`."""
    attention = look(model, question, scenes).mean(1)
    orders = {"top": attention, "random": torch.rand(attention.shape, generator=generator)}
    ranks = {how: values.argsort(descending=True).argsort() for how, values in orders.items()}
    return {how: rounded(accuracy(model, question, scenes, rank >= m) for m in MASKED) for how, rank in ranks.items()}


def examples(model: QuestionAnswerer, question: str, number: int = 6) -> dict:
    """The attention maps for a few scenes, with what it takes to make these scenes again."""
    arguments = scene_arguments(question, number, 7)
    scenes = make_scenes(**arguments)
    return {
        "scenes": arguments,
        "truth": [WORDS[i] for i in true_words(question, scenes)],
        "said": [WORDS[i] for i in ask(model, question, scenes)],
        "maps": rounded(look(model, question, scenes), 3),
    }


def main(argv: list[str] | None = None) -> None:
    """Train with and without a choice for each seed, question the first model, write the result file."""
    args = options("bird_questions", __doc__, argv, seeds=[0, 1, 2], scenes=12288, steps=2000, test_scenes=1000)
    started = time.monotonic()
    progress = Progress(2 * len(args.seeds) * args.steps)
    with threads(args.threads):
        fresh = {q: make_scenes(**scene_arguments(q, args.test_scenes, 1001 + (q == "head"))) for q in ASKED}
        chosen = [train(False, seed, args, progress) for seed in args.seeds]
        averaged = [train(True, seed, args, progress) for seed in args.seeds]
        first, generator = chosen[0], torch.Generator().manual_seed(args.seeds[0])
        weights = {q: look(first, q, fresh[q]) for q in ASKED}
        facts = {
            "questions": {q: QUESTIONS[q] for q in ASKED},
            "words": WORDS,
            "image_px": SIZE,
            "grid": [SIZE // PATCH, SIZE // PATCH],
            "heads": first.attn.heads,
            "parameters": parameters(first),
            "test_scenes": args.test_scenes,
            "accuracy": {
                q: {
                    "chance": rounded(true_words(q, fresh[q]).bincount().max() / args.test_scenes),
                    "model": rounded(accuracy(model, q, fresh[q]) for model in chosen),
                    "uniform": rounded(accuracy(model, q, fresh[q]) for model in averaged),
                }
                for q in ASKED
            },
            "mass": {q: masses(weights[q], fresh[q], touching=False) for q in ASKED},
            "on_patches": {q: masses(weights[q], fresh[q], touching=True) for q in ASKED},
            "masking": {
                "patches": MASKED,
                "accuracy": {q: masking(first, q, fresh[q], generator) for q in ASKED},
            },
            "examples": {q: examples(first, q) for q in ASKED},
        }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save(first, args.out.with_suffix(".npz"))
    write(args, "bird_questions", argv, started, facts | summary(facts, args.seeds))


def summary(facts: dict, seeds: list[int]) -> dict:
    """What the page of results prints: a title and one row for each question and each way to look."""
    looks = {"model": "attention", "uniform": "even mean"}
    return {
        "title": "Three questions about a scene, answered by attention and by an even mean: accuracy",
        "table": [
            {"question": facts["questions"][name], "look": look, "chance": row["chance"]}
            | {f"seed {s}": share for s, share in zip(seeds, row[key], strict=True)}
            for name, row in facts["accuracy"].items()
            for key, look in looks.items()
        ],
    }


if __name__ == "__main__":
    main()
