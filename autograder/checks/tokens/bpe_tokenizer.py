"""The check of ``BPETokenizer(merges)``, its ``encode(text)`` and its ``decode(ids)``."""

import torch

from autograder.checks.tokens.train_bpe import Pair, learn, shuffled
from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("tokens.BPETokenizer", objects=("BPETokenizer",))
Merges = dict[Pair, int]
BIRDS = "the bird that the other bird heard there then heard the third bird "


def encoded(merges: Merges, text: str) -> list[int]:
    """The ids as characters, and each merge in its turn one str.replace over the whole text."""
    ids = text.encode().decode("latin-1")
    for (a, b), new in sorted(merges.items(), key=lambda merge: merge[1]):
        ids = ids.replace(chr(a) + chr(b), chr(new))
    return [ord(i) for i in ids]


def decoded(merges: Merges, ids: list[int]) -> str:
    """Each id taken apart until only bytes are left."""
    apart = {new: pair for pair, new in merges.items()}
    left, out = list(ids), bytearray()
    while left:
        first = left.pop(0)
        if first in apart:
            left = [*apart[first], *left]
        else:
            out.append(first)
    return bytes(out).decode("utf-8", "replace")


def relisted(draw: Draw, merges: Merges) -> Merges:
    """The same merges, listed in another order, the last one first."""
    *others, last = merges.items()
    return dict([last, *shuffled(draw, others)])


def expect_ids(plan: Plan, tokenizer: Ref, merges: Merges, text: str, note: str = "") -> Ref:
    ids = plan.call(text, on=tokenizer, method="encode")
    shown = repr(text) if len(text) <= 40 else f"a text of {len(text)} characters"
    plan.expect(ids, encoded(merges, text), f"encode({shown}){note}", rtol=0, atol=0)
    return ids


def expect_text(plan: Plan, tokenizer: Ref, merges: Merges, ids: list[int], note: str = "") -> None:
    what = f"decode({ids})" if len(ids) <= 8 else f"decode of {len(ids)} ids"
    plan.expect(plan.call(ids, on=tokenizer, method="decode"), decoded(merges, ids), what + note)


@EXERCISE.case(points=1, cause="begin with the bytes of the text, and replace each pair of `merges` by its new id.")
def merges_of_bytes(draw: Draw, plan: Plan) -> None:
    """encode: merges that do not touch each other, in a text of plain letters"""
    letters = [97 + i for i in draw.permutation(26).tolist()]
    merges = {(letters[2 * i], letters[2 * i + 1]): 256 + i for i in range(3)}
    merges[letters[6], ord(" ")] = 259
    tokenizer = plan.call(merges)
    words = ["".join(map(chr, letters[start : start + length])) for start, length in ((0, 6), (1, 6), (4, 9))]
    for text in (words[0], words[draw.integer(1, 2)], " ".join(words)):
        expect_ids(plan, tokenizer, merges, text)


@EXERCISE.case(points=1.5, cause="of all pairs that are in the text, merge the one with the smallest new id first.")
def order_of_merges(draw: Draw, plan: Plan) -> None:
    """encode: merges that compete for a letter or build upon others, listed in any order"""
    a, b, c, d = (97 + i for i in draw.permutation(26)[:4].tolist())
    merges = {(b, c): 256, (a, b): 257, (257, 256): 258, (c, d): 259, (256, d): 260}
    tokenizer, turned = plan.call(merges), plan.call(dict(reversed(merges.items())))
    for text in ([a, b, c], [a, b, b, c], [a, b, c, d], [a, b, a, b, c, c, d], [b, c, b, c, a, b, c]):
        expect_ids(plan, tokenizer, merges, bytes(text).decode())
    expect_ids(plan, turned, merges, bytes([a, b, c]).decode(), ", merges listed the other way round")
    merges = learn(BIRDS.encode(), 24)
    letters, at = "".join("thebirda"[draw.integer(0, 7)] for _ in range(55)), draw.integer(10, 45)
    # `rd` is merged before `ther`; the longest piece from the left would be `ther`
    text = f"{letters[:at]}therd{letters[at:]}"
    expect_ids(plan, plan.call(merges), merges, text)
    expect_ids(plan, plan.call(relisted(draw, merges)), merges, text, ", merges listed in another order")


@EXERCISE.case(points=1, cause="merge from left to right, each id once: five a under (a, a) are two pairs and an a.")
def long_runs(draw: Draw, plan: Plan) -> None:
    """encode: runs of one letter, even and odd"""
    a = 97 + draw.integer(0, 20)
    merges = {(a, a): 256, (256, 256): 257, (256, a): 258, (257, 257): 259}
    tokenizer = plan.call(merges)
    for count in (2, 3, 4, 7, 16 + draw.integer(1, 7)):
        expect_ids(plan, tokenizer, merges, chr(a) * count)
    expect_ids(plan, tokenizer, merges, f"{chr(a) * 5}-{chr(a) * 6}-{chr(a)}")


@EXERCISE.case(
    points=1, cause="an id from 256 up stands for the bytes of its two parts, which may be new ids themselves."
)
def back_to_text(draw: Draw, plan: Plan) -> None:
    """decode: ids of merges within merges, also such as encode would never give"""
    merges = learn(BIRDS.encode(), 20)
    plain = plan.call(merges)
    ids = [256 + i for i in draw.permutation(20).tolist()]
    for some in (ids[:3], [98, 105, *ids[:2], 100], ids):
        expect_text(plan, plain, merges, some)
    expect_text(plan, plan.call(relisted(draw, merges)), merges, ids[:5], ", merges listed in another order")


@EXERCISE.case(
    points=1.5, cause="encode the text as UTF-8; join all bytes before decoding them, with errors='replace'."
)
def beyond_ascii(draw: Draw, plan: Plan) -> None:
    """Letters of two to four bytes, there and back; ids whose bytes are not UTF-8 give \ufffd"""
    text = "Größe 🐦 птица e\u0301 鳥と小鳥"
    merges = learn((text + " Größe птица 🐦🐦 鳥鳥").encode(), draw.integer(9, 14))
    tokenizer = plan.call(merges)
    words = [text.split()[i] for i in draw.permutation(5).tolist()]
    joined = "-".join(words)
    ids = expect_ids(plan, tokenizer, merges, joined)
    plan.expect(plan.call(ids, on=tokenizer, method="decode"), joined, "decode(encode(text))")
    bird = list("🐦".encode())
    expect_text(plan, tokenizer, merges, [*bird, 10, *bird])
    for broken in ([104, 105, *bird[: draw.integer(1, 3)]], [0xFF, 33, 0xC3], [*bird[1:], 33]):
        expect_text(plan, tokenizer, merges, broken)


@EXERCISE.case(
    points=1, cause="nothing to merge is no error, and calls leave the tokenizer, `merges` and ids as they were."
)
def nothing_to_merge(draw: Draw, plan: Plan) -> None:
    """Empty texts, single letters, no merges at all; spaces kept; arguments unchanged, and twice the same answer"""
    learned = learn(BIRDS.encode(), 6)
    merges = plan.put(learned)
    tokenizer, empty = plan.call(merges), plan.call({})
    for text in ("", "t", "xyz"):
        expect_ids(plan, tokenizer, learned, text)
    expect_ids(plan, empty, {}, BIRDS[: draw.integer(5, 12)], " without merges")
    expect_text(plan, tokenizer, learned, [])
    spaced = "  the\n\n bird\t "
    ids = expect_ids(plan, tokenizer, learned, spaced)
    plan.expect(plan.call(ids, on=tokenizer, method="decode"), spaced, f"decode(encode({spaced!r}))")
    plan.expect(ids, encoded(learned, spaced), "the ids after decode", rtol=0, atol=0)
    expect_ids(plan, tokenizer, learned, spaced, " for the second time")
    plan.expect(merges, learned, "`merges` after all calls", rtol=0, atol=0)


@EXERCISE.variant
def smallest_id_first() -> None:
    """Of the pairs present the one with the smallest id, again and again"""

    class BPETokenizer:
        def __init__(self, merges):
            self.merges = merges
            self.vocab = {i: bytes([i]) for i in range(256)}
            for (a, b), new in sorted(merges.items(), key=lambda item: item[1]):
                self.vocab[new] = self.vocab[a] + self.vocab[b]

        def encode(self, text):
            ids = list(text.encode("utf-8"))
            while len(ids) >= 2:
                pairs = set(zip(ids, ids[1:], strict=False))
                best = min(pairs, key=lambda pair: self.merges.get(pair, float("inf")))
                if best not in self.merges:
                    break
                ids = self.replace(ids, best, self.merges[best])
            return ids

        def replace(self, ids, pair, new):
            merged, i = [], 0
            while i < len(ids):
                if tuple(ids[i : i + 2]) == pair:
                    merged.append(new)
                    i += 2
                else:
                    merged.append(ids[i])
                    i += 1
            return merged

        def decode(self, ids):
            return b"".join(self.vocab[i] for i in ids).decode("utf-8", errors="replace")


@EXERCISE.variant
def merge_after_merge() -> None:
    """Every merge in its turn, over the whole text; decoding by recursion"""

    class BPETokenizer:
        def __init__(self, merges):
            self.order = sorted(merges, key=merges.get)
            self.merges = merges
            self.parts = {new: pair for pair, new in merges.items()}

        def encode(self, text):
            ids = [*bytes(text, "utf8")]
            for pair in self.order:
                i = 0
                while i < len(ids) - 1:
                    if (ids[i], ids[i + 1]) == pair:
                        ids[i : i + 2] = [self.merges[pair]]
                    i += 1
            return ids

        def spell(self, i):
            if i < 256:
                return bytes([i])
            first, second = self.parts[i]
            return self.spell(first) + self.spell(second)

        def decode(self, ids):
            return str(b"".join(map(self.spell, ids)), "utf-8", "replace")


@EXERCISE.variant
def one_place_at_a_time() -> None:
    """A single place merged each time: the leftmost of the smallest id; decoding from the last merge down"""

    class BPETokenizer:
        def __init__(self, merges):
            self.merges = dict(merges)

        def encode(self, text):
            ids = list(text.encode())
            while True:
                found = [
                    (self.merges[ids[i], ids[i + 1]], i)
                    for i in range(len(ids) - 1)
                    if (ids[i], ids[i + 1]) in self.merges
                ]
                if not found:
                    return ids
                new, i = min(found)
                ids = ids[:i] + [new] + ids[i + 2 :]

        def decode(self, ids):
            ids = list(ids)
            for (a, b), new in sorted(self.merges.items(), key=lambda item: -item[1]):
                ids = [part for i in ids for part in ((a, b) if i == new else (i,))]
            return bytes(ids).decode(errors="replace")


@EXERCISE.variant
def by_tensors() -> None:
    """Ids in a tensor, a table of pairs in another"""

    class BPETokenizer:
        def __init__(self, merges):
            self.pairs = sorted((new, a, b) for (a, b), new in merges.items())

        def encode(self, text):
            ids = torch.tensor(list(text.encode()), dtype=torch.int64)
            for new, a, b in self.pairs:
                keep, last = torch.ones(len(ids), dtype=torch.bool), -1
                for i in ((ids[:-1] == a) & (ids[1:] == b)).nonzero().flatten().tolist():
                    if i > last:
                        ids[i], keep[i + 1], last = new, False, i + 1
                ids = ids[keep]
            return ids.tolist()

        def decode(self, ids):
            table = [bytes([i]) for i in range(256)]
            for _, a, b in self.pairs:
                table.append(table[a] + table[b])
            return b"".join([table[i] for i in ids]).decode("utf-8", "replace")


LOOP = """\
            pairs = set(zip(ids, ids[1:], strict=False))
            best = min(pairs, key=lambda pair: self.merges.get(pair, float("inf")))
            if best not in self.merges:
                break
            ids = self.replace(ids, best, self.merges[best])
"""
WHOLE_LOOP = "        while len(ids) >= 2:\n" + LOOP

SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "in_the_order_of_the_dict",
        "encode goes through the merges in the order in which the dict lists them. What counts is the new id: the "
        "smallest was learned first.",
        [
            (
                WHOLE_LOOP,
                "        for pair, new in self.merges.items():\n            ids = self.replace(ids, pair, new)\n",
            )
        ],
    ),
    (
        "largest_id_first",
        "encode merges the pair with the largest id first; the smallest was learned first and goes first.",
        [
            (
                'min(pairs, key=lambda pair: self.merges.get(pair, float("inf")))',
                "max(pairs, key=lambda pair: self.merges.get(pair, -1))",
            )
        ],
    ),
    (
        "leftmost_pair_first",
        "encode merges the first pair it meets from the left, whatever its id. Look through the whole text for the "
        "smallest id first.",
        [
            ("pairs = set(zip(ids, ids[1:], strict=False))", "pairs = list(zip(ids, ids[1:], strict=False))"),
            (
                'min(pairs, key=lambda pair: self.merges.get(pair, float("inf")))',
                "next((pair for pair in pairs if pair in self.merges), None)",
            ),
            (
                "ids = self.replace(ids, best, self.merges[best])",
                "i = pairs.index(best)\n            ids[i : i + 2] = [self.merges[best]]",
            ),
        ],
    ),
    (
        "most_frequent_pair_first",
        "encode counts pairs again and merges the most frequent one, as in training. The merges are fixed now: go by "
        "their ids.",
        [
            ("pairs = set(zip(ids, ids[1:], strict=False))", "pairs = list(zip(ids, ids[1:], strict=False))"),
            (
                'min(pairs, key=lambda pair: self.merges.get(pair, float("inf")))',
                "max(pairs, key=lambda pair: (pair in self.merges, pairs.count(pair)))",
            ),
        ],
    ),
    (
        "bytes_merged_only_once",
        "encode merges pairs of bytes, but never the ids that came from that: repeat until no pair is left.",
        [(LOOP, LOOP.replace("if best not in self.merges:", "if best not in self.merges or max(best) > 255:"))],
    ),
    (
        "only_first_place_merged",
        "A merge replaces the first occurrence only and the pair is then not looked at again; replace all of them.",
        [
            ("tuple(ids[i : i + 2]) == pair:", "tuple(ids[i : i + 2]) == pair and new not in merged:"),
            (
                WHOLE_LOOP,
                "        for pair in sorted(self.merges, key=self.merges.get):\n"
                "            ids = self.replace(ids, pair, self.merges[pair])\n",
            ),
        ],
    ),
    (
        "last_id_dropped",
        "The merging loop stops one id early and loses an id at the very end.",
        [("while i < len(ids):", "while i < len(ids) - 1:")],
    ),
    (
        "merged_from_the_right",
        "Runs are merged from right to left: in a run of odd length the single letter must be left at the right.",
        [
            ("tuple(ids[i : i + 2]) == pair:", "tuple(ids[i : i + 2]) == pair[::-1]:"),
            ("merged, i = [], 0", "merged, i, ids = [], 0, ids[::-1]"),
            ("return merged\n", "return merged[::-1]\n"),
        ],
    ),
    (
        "characters_for_bytes",
        "encode begins with the characters' numbers (ord). Begin with the bytes of text.encode('utf-8').",
        [('list(text.encode("utf-8"))', "[ord(character) for character in text]")],
    ),
    (
        "latin_1",
        "The text is encoded as Latin-1, which has no ü of two bytes and no 鳥 at all. Use UTF-8.",
        [('list(text.encode("utf-8"))', 'list(text.encode("latin-1", errors="replace"))')],
    ),
    (
        "ascii_only",
        "Letters beyond ASCII are dropped in encoding; UTF-8 has bytes for all of them.",
        [('list(text.encode("utf-8"))', 'list(text.encode("ascii", errors="ignore"))')],
    ),
    (
        "text_normalised",
        "encode rewrites the text (here to composed letters, as many tokenizers do), so that decode gives another "
        "text back. Keep every byte.",
        [
            (
                'ids = list(text.encode("utf-8"))',
                'import unicodedata\n\n        ids = list(unicodedata.normalize("NFC", text).encode("utf-8"))',
            )
        ],
    ),
    (
        "made_lower_case",
        "encode makes the text lower case first, which decode cannot undo.",
        [('text.encode("utf-8")', 'text.lower().encode("utf-8")')],
    ),
    (
        "white_space_stripped",
        "encode strips the text: spaces and line ends at the ends are bytes like others.",
        [('text.encode("utf-8")', 'text.strip().encode("utf-8")')],
    ),
    (
        "split_at_spaces",
        "encode takes the text word by word, as GPT-2 does; here the text is one run of bytes, "
        "and merges reach over spaces.",
        [
            (
                "    def encode(self, text):\n",
                "    def encode(self, text):\n"
                "        import re\n\n"
                "        return [i for word in re.findall(r' ?[^ ]+| +', text) for i in self.word(word)]\n\n"
                "    def word(self, text):\n",
            ),
        ],
    ),
    (
        "empty_text_fails",
        "Where fewer than two ids are left, as in an empty text, there is no pair, and min of nothing fails.",
        [("while len(ids) >= 2:", "while True:")],
    ),
    (
        "no_end_without_pairs",
        "encode looks up the best pair in `merges` before knowing that it is there: texts end with pairs that no merge "
        "knows. Stop then.",
        [("            if best not in self.merges:\n                break\n", "")],
    ),
    (
        "merges_used_up",
        "encode removes merges from the dict as it uses them: the second text finds some missing.",
        [
            (
                "ids = self.replace(ids, best, self.merges[best])",
                "new = self.merges.pop(best)\n            ids = self.replace(ids, best, new)",
            )
        ],
    ),
    (
        "way_back_written_into_merges",
        "The way back, id to pair, is written into the caller's dict of merges. Keep it in a dict of your own.",
        [
            (
                "    def encode(self, text):\n",
                "        for pair, new in list(merges.items()):\n            merges[new] = pair\n\n"
                "    def encode(self, text):\n",
            )
        ],
    ),
    (
        "ids_taken_out",
        "decode pops the ids out of the list it is given, which is empty afterwards.",
        [("(self.vocab[i] for i in ids)", "(self.vocab[ids.pop(0)] for _ in range(len(ids)))")],
    ),
    (
        "vocabulary_in_the_order_of_the_dict",
        "The bytes of the new ids are put together in the order of the dict. Go by ids, from 256 up, so that "
        "both parts are there.",
        [("sorted(merges.items(), key=lambda item: item[1])", "merges.items()")],
    ),
    (
        "strict_decoding",
        "decode raises an error for bytes that are not UTF-8; a model may produce any ids: use errors='replace'.",
        [('errors="replace"', 'errors="strict"')],
    ),
    (
        "invalid_bytes_dropped",
        "decode drops bytes that are not UTF-8 (errors='ignore'); show them as \ufffd with errors='replace'.",
        [('errors="replace"', 'errors="ignore"')],
    ),
    (
        "decoded_id_by_id",
        "decode turns each id into text by itself, but a letter's bytes may be spread over several ids. Join the bytes "
        "first.",
        [
            (
                'b"".join(self.vocab[i] for i in ids).decode("utf-8", errors="replace")',
                '"".join(self.vocab[i].decode("utf-8", errors="replace") for i in ids)',
            )
        ],
    ),
    (
        "bytes_as_characters",
        "decode gives one character for each byte (chr or Latin-1): letters of several bytes come out as several.",
        [('.decode("utf-8", errors="replace")', '.decode("latin-1")')],
    ),
    (
        "bytes_returned",
        "decode returns bytes; turn them into a str.",
        [('.decode("utf-8", errors="replace")', "")],
    ),
    (
        "parts_swapped",
        "An id's bytes are put together in the wrong order: those of the first part come first.",
        [("self.vocab[a] + self.vocab[b]", "self.vocab[b] + self.vocab[a]")],
    ),
    (
        "decode_one_level_deep",
        "decode takes an id apart once only; its parts may be new ids too, down to bytes.",
        [("self.vocab[a] + self.vocab[b]", "bytes([a % 256, b % 256])")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(smallest_id_first, name, says, *changes)


@EXERCISE.mistake
def longest_match() -> None:
    """encode takes the longest known piece from the left. That is another way of cutting; BPE merges pairs in the order
    in which they were learned."""

    class BPETokenizer:
        def __init__(self, merges):
            self.vocab = {i: bytes([i]) for i in range(256)}
            for (a, b), new in sorted(merges.items(), key=lambda item: item[1]):
                self.vocab[new] = self.vocab[a] + self.vocab[b]

        def encode(self, text):
            data, ids = text.encode(), []
            while data:
                best = max((i for i in self.vocab if data.startswith(self.vocab[i])), key=lambda i: len(self.vocab[i]))
                ids.append(best)
                data = data[len(self.vocab[best]) :]
            return ids

        def decode(self, ids):
            return b"".join(self.vocab[i] for i in ids).decode("utf-8", errors="replace")
