"""The check of ``train_bpe(data, merges)``."""

import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("tokens.train_bpe", objects=("train_bpe",))
Pair = tuple[int, int]
LETTERS = string.ascii_letters.encode()


def learn(data: bytes, merges: int) -> dict[Pair, int]:
    """The merges; ids are characters, and merging is str.replace."""
    text, learned = data.decode("latin-1"), {}
    for new in range(256, 256 + merges):
        counts = Counter(a + b for a, b in zip(text, text[1:], strict=False))
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        learned[ord(best[0]), ord(best[1])] = new
        text = text.replace(best, chr(new))
    return learned


def shuffled(draw: Draw, things: Sequence[Any]) -> list[Any]:
    """The same things in a random order."""
    return [things[i] for i in draw.permutation(len(things)).tolist()]


def apart(words: list[bytes], spare: list[int]) -> bytes:
    """The words, with one or two of the spare letters before each, which stand nowhere else.

    So only pairs within words are found more than once. Every word begins at an odd place: who counts the pairs at
    even places only does not meet its first pair.
    """
    data, letters = bytearray(), iter(spare)
    for word in words:
        data.append(next(letters))
        if len(data) % 2 == 0:
            data.append(next(letters))
        data += word
    return bytes(data)


def building_up(draw: Draw, letters: list[int]) -> bytes:
    """A text for four merges: a pair, then twice the last merge with one letter more, then a pair that ends the text.

    They are found 6, 5, 3 and 2 times, so there are no ties; an id lost at the end changes the fourth merge.
    """
    a, b, c, d, e, f, *spare = letters
    two = bytes(sorted((a, b)))
    words = [two, *[two + bytes([c])] * 2, *[two + bytes([c, d])] * 3, bytes([e, f])]
    return apart([*shuffled(draw, words), bytes([e, f])], spare)


def expect(plan: Plan, data: bytes, merges: int, note: str = "") -> None:
    shown = repr(data) if len(data) <= 40 else f"{len(data)} bytes"
    plan.expect(plan.call(data, merges), learn(data, merges), f"train_bpe({shown}, {merges}){note}", rtol=0, atol=0)


@EXERCISE.case(points=1, cause="count all pairs of neighbours and give the most frequent one the id 256: {pair: 256}.")
def one_merge(draw: Draw, plan: Plan) -> None:
    """One merge: the most frequent pair, written as {(a, b): 256}"""
    for space in (False, True):
        a, b, c, d, *spare = shuffled(draw, LETTERS)
        low, high = (ord(" "), b) if space else sorted((a, b))
        words = [bytes([low, high])] * 4 + [bytes([c, d])] * 3 + [bytes([high, low])] * 2
        expect(plan, apart(shuffled(draw, words), spare), 1)


@EXERCISE.case(points=1.5, cause="after each merge replace the pair everywhere, then count anew: new ids take part.")
def merge_after_merge(draw: Draw, plan: Plan) -> None:
    """Several merges with a clear winner each, which build upon each other"""
    for merges in (2, 4):
        expect(plan, building_up(draw, shuffled(draw, LETTERS)), merges)


@EXERCISE.case(points=1, cause="of the pairs with the largest count take the largest pair, as Python compares tuples.")
def ties(draw: Draw, plan: Plan) -> None:
    """Equally frequent pairs: the largest wins"""
    low, high = sorted((97 + draw.permutation(20)[:2]).tolist())
    expect(plan, bytes([126, low, 33, 126, high]), 1)
    for merges in (3, 6):
        letters = shuffled(draw, LETTERS)
        pairs = sorted(letters[:8])
        ab, cd, ef, gh = (bytes(pairs[i : i + 2]) for i in (0, 2, 4, 6))
        expect(plan, apart([*shuffled(draw, [ab, cd, cd, *[ef, gh] * 3]), ab], letters[8:]), merges)


@EXERCISE.case(
    points=1, cause="count every place where the two ids are neighbours (aaa holds aa twice); merge from left to right."
)
def long_runs(draw: Draw, plan: Plan) -> None:
    """Runs of one letter: pairs overlap"""
    a, b = sorted(shuffled(draw, LETTERS)[:2])
    # merged from the right, the odd letter would be left over at the other end of the run
    expect(plan, bytes([a, a, a, b]), 2)
    for merges in (1, 4):
        a, b, c, *spare = shuffled(draw, LETTERS)
        long = 2 * draw.integer(2, 3) + 1
        # two runs hold 2 * (long - 1) overlapping pairs, but only long - 1 that lie apart
        words = [bytes([a]) * long] * 2 + [bytes(sorted((b, c)))] * (long + 1)
        expect(plan, apart(shuffled(draw, words), spare), merges)
    a, b = sorted(shuffled(draw, LETTERS)[:2])
    expect(plan, bytes([*[a] * draw.integer(9, 10), b, *[a] * 7, b]), 5)


@EXERCISE.case(
    points=1, cause="work on the bytes as they are: all of 0 to 255, spaces and line ends are ids like others."
)
def any_bytes(draw: Draw, plan: Plan) -> None:
    """Spaces, line ends, letters of two to four bytes, bytes that are no text at all"""
    texts = ["Vögel über Zürich: größer, schöner, müde.", "птица и птицы и птичка", "鳥と鳥と小鳥 🐦🐦🐦🕊"]
    words = " ".join(texts[int(i)] for i in draw.permutation(3))
    expect(plan, words.encode(), 8, " of text that is not ASCII")
    # lines that begin with a space
    expect(plan, building_up(draw, [*b"\n ", *shuffled(draw, LETTERS + b"\r\t")]), 4, " of lines of text")
    expect(plan, building_up(draw, shuffled(draw, bytes(range(256)))), 4, " of bytes that are no text")


@EXERCISE.case(points=0.5, cause="stop when no pair is left, and not before: a pair found once is merged too.")
def nothing_left(draw: Draw, plan: Plan) -> None:
    """More merges than there are pairs, no merges, no data"""
    *rest, second, largest = sorted(shuffled(draw, LETTERS)[:5])
    # the pair to merge first is neither the first one nor at an even place
    data = bytes([second, largest, *shuffled(draw, rest)])
    expect(plan, data, 20)
    expect(plan, data, 0)
    for data in (b"", b"a", b"aa"):
        expect(plan, data, 3)


@EXERCISE.variant
def by_loops() -> None:
    """Counting and merging by loops over lists"""

    def train_bpe(data, merges):
        ids, learned = list(data), {}
        for new in range(256, 256 + merges):
            counts = {}
            for pair in zip(ids, ids[1:], strict=False):
                counts[pair] = counts.get(pair, 0) + 1
            if not counts:
                break
            best = max(counts, key=lambda pair: (counts[pair], pair))
            learned[best] = new
            merged, i = [], 0
            while i < len(ids):
                if tuple(ids[i : i + 2]) == best:
                    merged.append(new)
                    i += 2
                else:
                    merged.append(ids[i])
                    i += 1
            ids = merged
        return learned


@EXERCISE.variant
def by_a_stack() -> None:
    """Merging with a stack; the best pair by sorting"""

    def train_bpe(data, merges):
        from collections import Counter

        ids = list(data)
        learned = dict()
        while len(learned) < merges and len(ids) > 1:
            counts = Counter(zip(ids[:-1], ids[1:], strict=True))
            _, pair = sorted((count, pair) for pair, count in counts.items())[-1]
            learned[pair] = 256 + len(learned)
            out = []
            fresh = False
            for i in ids:
                if out and not fresh and (out[-1], i) == pair:
                    out[-1], fresh = learned[pair], True
                else:
                    out.append(i)
                    fresh = False
            ids = out
        return learned


@EXERCISE.variant
def by_torch() -> None:
    """Counting by torch.unique on tensors"""

    def train_bpe(data, merges):
        ids = torch.tensor(list(data), dtype=torch.long)
        learned = {}
        for new in range(256, 256 + merges):
            if len(ids) < 2:
                break
            codes = ids[:-1] * 100_000 + ids[1:]
            values, counts = codes.unique(return_counts=True)
            best = int(values[counts == counts.max()].max())
            learned[divmod(best, 100_000)] = new
            keep, taken = torch.ones(len(ids), dtype=torch.bool), -1
            for i in (codes == best).nonzero().flatten().tolist():
                if i > taken:
                    ids[i], keep[i + 1], taken = new, False, i + 1
            ids = ids[keep]
        return learned


@EXERCISE.variant
def by_recursion() -> None:
    """The first merge, then the rest on the shorter list"""

    def train_bpe(data, merges, new=256):
        ids = list(data)
        if merges == 0 or len(ids) < 2:
            return {}
        pairs = [(ids[i], ids[i + 1]) for i in range(len(ids) - 1)]
        best = max(set(pairs), key=lambda pair: (pairs.count(pair), pair))
        i = 0
        while i < len(ids) - 1:
            if (ids[i], ids[i + 1]) == best:
                ids[i : i + 2] = [new]
            i += 1
        return {best: new, **train_bpe(ids, merges - 1, new + 1)}


SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "ties_to_the_first_seen",
        "Of equally frequent pairs the one that comes first in the data is taken (max and most_common do that). The "
        "largest pair wins: compare (count, pair).",
        [("key=lambda pair: (counts[pair], pair)", "key=counts.get")],
    ),
    (
        "ties_to_the_smallest",
        "Of equally frequent pairs the smallest is taken; the largest wins.",
        [("(counts[pair], pair)", "(counts[pair], -pair[0], -pair[1])")],
    ),
    (
        "ties_by_first_id_only",
        "Equally frequent pairs are compared by their first ids only; of those that share it, the second ids decide.",
        [("(counts[pair], pair)", "(counts[pair], pair[0])")],
    ),
    (
        "overlaps_counted_once",
        "Overlapping pairs are counted once (as bytes.count and re.findall do). Every place counts: aaa holds (a, a) "
        "twice.",
        [
            (
                "for pair in zip(ids, ids[1:], strict=False):\n            counts[pair]",
                "last = None\n        for i, pair in enumerate(zip(ids, ids[1:], strict=False)):\n"
                "            if last == (i - 1, pair):\n                continue\n"
                "            last = (i, pair)\n            counts[pair]",
            )
        ],
    ),
    (
        "ids_from_zero",
        "The new ids count up from 0, but those below 256 are the bytes: the first new id is 256.",
        [("learned[best] = new\n", "learned[best] = new - 256\n")],
    ),
    (
        "ids_from_257",
        "The first new id is 257. Bytes are 0 to 255, so that 256 is free.",
        [("range(256, 256 + merges)", "range(257, 257 + merges)")],
    ),
    (
        "ids_from_the_largest_byte",
        "The new ids begin after the largest byte in the data. They begin at 256 whatever the data.",
        [("range(256, 256 + merges)", "range(max(data, default=0) + 1, max(data, default=0) + 1 + merges)")],
    ),
    (
        "vocabulary_size_for_merges",
        "`merges` is taken for the size of the vocabulary, bytes included. It is the number of merges.",
        [("range(256, 256 + merges)", "range(256, merges)")],
    ),
    (
        "never_replaced",
        "The merged pair is never replaced in the ids, so that the same pair wins every time.",
        [("        ids = merged\n", "")],
    ),
    (
        "last_id_dropped",
        "The merging loop stops one id early, so that an id at the very end is lost unless it is merged.",
        [("while i < len(ids):", "while i < len(ids) - 1:")],
    ),
    (
        "merges_overlap",
        "After a merge the loop goes one id further instead of two: the second id of the pair is used again.",
        [("i += 2", "i += 1")],
    ),
    (
        "only_first_place_merged",
        "Only the first occurrence of the pair is replaced; replace all of them before counting again.",
        [("tuple(ids[i : i + 2]) == best:", "tuple(ids[i : i + 2]) == best and new not in merged:")],
    ),
    (
        "merged_from_the_right",
        "Pairs are replaced from right to left, which differs in runs of odd length. Go from left to right.",
        [
            ("ids = merged\n", "ids = merged[::-1]\n"),
            ("merged, i = [], 0\n", "merged, i, ids, turned = [], 0, ids[::-1], best[::-1]\n"),
            ("tuple(ids[i : i + 2]) == best:", "tuple(ids[i : i + 2]) == turned:"),
        ],
    ),
    (
        "no_stop",
        "When all has become one id there are no pairs, and max of nothing fails. Stop then.",
        [("        if not counts:\n            break\n", "")],
    ),
    (
        "pairs_found_once_left",
        "It stops when no pair is found twice. Pairs found once are merged too, until none is left.",
        [("if not counts:", "if not counts or max(counts.values()) < 2:")],
    ),
    (
        "dict_turned_round",
        "The dict maps ids to pairs; it must map pairs to ids, {(a, b): id}.",
        [("return learned", "return {new: pair for pair, new in learned.items()}")],
    ),
    (
        "counts_for_ids",
        "The dict holds how often each pair was found; it must hold the pair's new id.",
        [("learned[best] = new\n", "learned[best] = counts[best]\n")],
    ),
    (
        "characters_for_bytes",
        "The data is decoded to characters first. Byte-level BPE works on the bytes as they are, so that any data will "
        "do and 256 ids are enough.",
        [("list(data)", "[ord(character) for character in data.decode()]")],
    ),
    (
        "white_space_thrown_away",
        "The data is split at white space, which vanishes. A space is a byte like others, and pairs may hold it.",
        [("list(data)", "list(b''.join(data.split()))")],
    ),
    (
        "pairs_side_by_side",
        "Only pairs at even places are counted (0 and 1, 2 and 3, …). Every two neighbours are a pair.",
        [("zip(ids, ids[1:], strict=False)", "zip(ids[::2], ids[1::2], strict=False)")],
    ),
    (
        "order_of_pair_forgotten",
        "(a, b) and (b, a) are counted as one pair. They are different: keep the order.",
        [
            (
                "counts[pair] = counts.get(pair, 0) + 1",
                "key = max(pair, pair[::-1])\n            counts[key] = counts.get(key, 0) + 1",
            )
        ],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(by_loops, name, says, *changes)


@EXERCISE.mistake
def counted_only_once() -> None:
    """The pairs are counted once, in the data, and the most frequent ones are all taken from that. Count anew after
    each merge: new ids make new pairs."""

    def train_bpe(data, merges):
        from collections import Counter

        counts = Counter(zip(data, data[1:], strict=False))
        best = sorted(counts, key=lambda pair: (counts[pair], pair), reverse=True)
        return {pair: 256 + i for i, pair in enumerate(best[:merges])}


@EXERCISE.mistake
def merged_pair_given_again() -> None:
    """The new id is 256 at every merge: it must count up, one id a merge."""

    def train_bpe(data, merges):
        ids, learned = list(data), {}
        for _ in range(merges):
            counts = {}
            for pair in zip(ids, ids[1:], strict=False):
                counts[pair] = counts.get(pair, 0) + 1
            if not counts:
                break
            best = max(counts, key=lambda pair: (counts[pair], pair))
            learned[best] = 256
            i = 0
            while i < len(ids) - 1:
                if (ids[i], ids[i + 1]) == best:
                    ids[i : i + 2] = [256]
                i += 1
        return learned
