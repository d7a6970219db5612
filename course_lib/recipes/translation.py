"""Translation: an encoder-decoder learns Avian, a made-up language with the verb at the end, from sentence pairs.

The control is the same model with its cross-attention shut down to one look: the decoder gets the mean of what the
encoder read, one vector for the whole sentence, as translators did before attention. Both are measured on new
sentences, and on sentences with couples of adjective and noun that never met in training.

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`, `table`; `pairs`
{train, test}; `parameters`; `scores` {attention, one_vector} [seed] {bleu, exact, new_bleu, new_exact, verb: share
of last words right, which must agree with the subject}; `dictionary` {bleu, unigrams}: of word by word; `aligned`
{mean, best, head: [layer, head]} of the first seed: share of Avian words whose most attended English word is one
that they translate; `examples` of the first seed [{english, avian, written, map [n m]}], the map of the best head.
"""

import time
from argparse import Namespace

import torch
from torch import Tensor, nn

from course_lib.alignment import cross_attention_maps
from course_lib.bleu import bleu
from course_lib.data import phrasebook
from course_lib.data.phrasebook import AVIAN, END, ENGLISH, LONGEST, PAD, START, Pair, draw_pairs, to_ids, words_of
from course_lib.decoding import greedy_decode
from course_lib.encoder_decoder import DecoderCache, EncoderDecoder
from course_lib.gpt import lm_loss
from course_lib.recipes import _language as language
from course_lib.recipes._common import options, parameters, rounded, threads, write
from course_lib.training import team


class OneVector(EncoderDecoder):
    """An encoder-decoder whose decoder gets the mean of the memory: one vector for the whole source."""

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """Read the source: [b m] -> [b 1 d]."""
        memory = super().encode(source, source_mask)
        if source_mask is None:
            return memory.mean(1, keepdim=True)
        shares = source_mask / source_mask.sum(1, keepdim=True)  # [b m]
        return shares[:, None] @ memory

    def decode(
        self, target: Tensor, memory: Tensor, source_mask: Tensor | None = None, cache: DecoderCache | None = None
    ) -> Tensor:
        """As EncoderDecoder, with nothing to hide in a memory of one vector."""
        return super().decode(target, memory, None, cache)


KINDS: dict[str, type[EncoderDecoder]] = {"attention": EncoderDecoder, "one_vector": OneVector}


def translate(model: EncoderDecoder, pairs: list[Pair]) -> list[list[str]]:
    """The likeliest word each time, for English sentences: lists of Avian words."""
    device = model.head.weight.device
    source = to_ids(pairs)[0].to(device)
    parts = [greedy_decode(model, s, START, END, LONGEST + 1, source_mask=s != PAD) for s in source.split(250)]
    return [words for part in parts for words in words_of(part)]


def scores(model: EncoderDecoder, pairs: list[Pair]) -> dict[str, float]:
    """BLEU, whole sentences right, and last words right."""
    written = translate(model, pairs)
    wanted = [list(pair.avian) for pair in pairs]
    return {
        "bleu": bleu(written, wanted),
        "exact": sum(w == r for w, r in zip(written, wanted, strict=True)) / len(pairs),
        "verb": sum(w[-1:] == r[-1:] for w, r in zip(written, wanted, strict=True)) / len(pairs),
    }


def aligned(maps: Tensor, pairs: list[Pair]) -> Tensor:
    """The share of Avian words whose most attended English word is one they translate.

    maps [b ... n m], row i for the prediction of word i -> [...].
    """
    right = [
        torch.stack([torch.isin(own[..., i, :].argmax(-1), torch.tensor(at)) for i, at in enumerate(p.alignment)])
        for own, p in zip(maps, pairs, strict=True)
    ]
    return torch.cat(right).float().mean(0)


def train_one(kind: str, seed: int, args: Namespace, source: Tensor, target: Tensor) -> EncoderDecoder:
    """One model, trained to foretell each next Avian word."""
    torch.manual_seed(seed)
    model = KINDS[kind](len(ENGLISH), len(AVIAN), LONGEST + 2, args.dim, args.depth, args.heads, dropout=args.dropout)
    model.to(source.device)
    following = target[:, 1:].masked_fill(target[:, 1:] == PAD, -100)

    def loss(m: nn.Module, rows: Tensor) -> tuple[Tensor, Tensor]:
        wanted = following[rows]
        counted = (wanted >= 0).sum()
        return lm_loss(m(source[rows], target[rows, :-1], source[rows] != PAD), wanted) * counted, counted

    language.fit(kind, seed, args, model, loss, len(source), lambda _: {}, warmup=100, floor=args.peak / 10)
    return model


def main(argv: list[str] | None = None) -> None:
    """Train both kinds with each seed, translate, measure, write the result file."""
    args = options(
        "translation", __doc__, argv, [0, 1], [language.training_options(peak=3e-3)], steps=1200, batch=64,
        measure_every=300, pairs=20_000, tests=500, dim=64, depth=2, heads=4,
    )  # fmt: skip
    started = time.monotonic()
    with threads(args.threads), team(language.device_of(args)) as crew:
        train = draw_pairs(args.pairs, seed=0)
        known = {pair.english for pair in train}
        test = [pair for pair in draw_pairs(2 * args.tests, seed=1) if pair.english not in known][: args.tests]
        strange = draw_pairs(args.tests, seed=2, new_company=True)
        source, target = (ids.to(crew.device) for ids in to_ids(train))
        made = {kind: [train_one(kind, s, args, source, target).cpu() for s in args.seeds] for kind in KINDS}
        measured = {
            kind: [
                scores(model, test) | {f"new_{name}": value for name, value in scores(model, strange).items()}
                for model in models
            ]
            for kind, models in made.items()
        }
        first = made["attention"][0]
        words, said = to_ids(test)
        maps = cross_attention_maps(first, words, said[:, :-1], words != PAD).movedim(1, 0)  # [b depth h n m]
        heads = aligned(maps, test)  # [depth h]
        layer, head = divmod(int(heads.argmax()), heads.shape[1])
        literal = [phrasebook.word_by_word(pair) for pair in test]
        wanted = [list(pair.avian) for pair in test]
        shown = [i for i, pair in enumerate(test) if 9 <= len(pair.avian) <= 11][:3]
        facts = {
            "title": "Translating into a made-up language with cross-attention and with one vector for a sentence",
            "table": [
                {"model": kind.replace("_", " "), "seed": seed, **{name: rounded(value) for name, value in row.items()}}
                for kind, rows in measured.items()
                for seed, row in zip(args.seeds, rows, strict=True)
            ],
            "pairs": {"train": len(train), "test": len(test)},
            "parameters": parameters(first),
            "scores": {k: [{n: rounded(v) for n, v in row.items()} for row in rows] for k, rows in measured.items()},
            "dictionary": {"bleu": rounded(bleu(literal, wanted)), "unigrams": rounded(bleu(literal, wanted, order=1))},
            "aligned": {
                "mean": rounded(aligned(maps.mean((1, 2)), test)),
                "best": rounded(heads.max()),
                "head": [layer, head],
            },
            "examples": [
                {
                    "english": list(test[i].english),
                    "avian": wanted[i],
                    "written": written,
                    "map": rounded(maps[i, layer, head, : len(wanted[i]), : len(test[i].english)], 3),
                }
                for i, written in zip(shown, translate(first, [test[i] for i in shown]), strict=True)
            ],
        }  # fmt: skip
        if crew.leads:
            write(args, "translation", argv, started, facts)


if __name__ == "__main__":
    main()
