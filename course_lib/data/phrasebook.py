"""A translation set that needs no download: English sentences about birds, and the same in a made-up language.

The language, Avian, differs from English where real languages differ. The verb comes last; adjectives follow their
noun, in reverse order; prepositions follow theirs; the time comes first. Nouns have a class, shown by their ending,
and articles, adjectives and the verb take the ending of the noun they belong to, -a or -o, with -i for many. An
English verb in the past does not show who did it, so the last word of the Avian sentence depends on the first ones.
"""

from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

PAD, START, END = 0, 1, 2
SPECIAL = ("·pad·", "·start·", "·end·")

# English singular and plural, Avian stem and class
NOUNS = [
    ("wren", "wrens", "tir", "a"), ("robin", "robins", "rob", "o"), ("owl", "owls", "ul", "o"),
    ("heron", "herons", "her", "a"), ("finch", "finches", "pink", "a"), ("crow", "crows", "krav", "o"),
    ("swan", "swans", "sin", "a"), ("duck", "ducks", "anat", "a"), ("fox", "foxes", "vulp", "o"),
    ("cat", "cats", "kat", "o"),
]  # fmt: skip
PLACES = [("pond", "lag", "o"), ("forest", "silv", "a"), ("tree", "arb", "o"), ("house", "kas", "a")]
ADJECTIVES = [
    ("small", "pim"), ("old", "vek"), ("red", "ruk"), ("white", "balk"), ("brave", "vor"), ("shy", "tim"),
    ("quick", "rap"), ("proud", "fer"),
]  # fmt: skip
# English past and infinitive, Avian stem
VERBS = [
    ("saw", "see", "vid"), ("heard", "hear", "aud"), ("found", "find", "trov"), ("fed", "feed", "nur"),
    ("chased", "chase", "kor"), ("greeted", "greet", "sal"), ("followed", "follow", "seg"), ("lost", "lose", "perd"),
]  # fmt: skip
NUMBERS = [("two", "du"), ("three", "tri"), ("many", "mult")]
PREPOSITIONS = [("near", "kel"), ("in", "men"), ("behind", "dor")]
TIMES = [("today", "hod"), ("yesterday", "yer"), ("often", "oft")]
ENDINGS = ("a", "o", "ai", "oi")
LONGEST = 18  # words of a sentence in either language

ENGLISH = (
    *SPECIAL, "the", "a", "an", "did", "not", *(word for noun in NOUNS for word in noun[:2]), *(p[0] for p in PLACES),
    *(a[0] for a in ADJECTIVES), *(word for verb in VERBS for word in verb[:2]), *(n[0] for n in NUMBERS),
    *(p[0] for p in PREPOSITIONS), *(t[0] for t in TIMES),
)  # fmt: skip
AVIAN = (
    *SPECIAL, "ne", *(f"l{e}" for e in ENDINGS), "una", "uno",
    *(stem + kind + many for _, _, stem, kind in NOUNS for many in ("", "i")),
    *(stem + kind for _, stem, kind in PLACES),
    *(stem + e for _, stem in ADJECTIVES for e in ENDINGS), *(f"{stem}it{e}" for *_, stem in VERBS for e in ENDINGS),
    *(n[1] for n in NUMBERS), *(p[1] for p in PREPOSITIONS), *(t[1] for t in TIMES),
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A sentence in both languages; `alignment[i]` are the English words that Avian word i translates.

    `subject` is the place of the English noun that the verb, the last Avian word, agrees with.
    """

    english: tuple[str, ...]
    avian: tuple[str, ...]
    alignment: tuple[tuple[int, ...], ...]
    subject: int


def draw_pairs(number: int, seed: int, *, new_company: bool = False) -> list[Pair]:
    """Draw sentences in both languages.

    Some adjectives never stand beside some nouns (see `kept_apart`); with `new_company` each sentence has at
    least one such couple, to test whether a model has learned words and rules rather than phrases.
    """
    random, pairs = Random(seed), []
    while len(pairs) < number:
        pair, strangers = _sentence(random)
        if strangers == new_company:
            pairs.append(pair)
    return pairs


def kept_apart(adjective: int, noun: int) -> bool:
    """Whether an adjective and a noun, given by their places in the lists, never meet but in `new_company`."""
    return (adjective + 3 * noun) % 8 == 5


def to_ids(pairs: list[Pair]) -> tuple[Tensor, Tensor]:
    """Sentences as numbers: English [e 18] and Avian [e 20] from `START` to `END`, both filled up with `PAD`."""
    rows = [
        ([ENGLISH.index(word) for word in pair.english], [START, *map(AVIAN.index, pair.avian), END]) for pair in pairs
    ]
    tables = torch.full((len(pairs), LONGEST), PAD), torch.full((len(pairs), LONGEST + 2), PAD)
    for i, sides in enumerate(rows):
        for table, side in zip(tables, sides, strict=True):
            table[i, : len(side)] = torch.tensor(side)
    return tables


def words_of(ids: Tensor, vocabulary: tuple[str, ...] = AVIAN) -> list[list[str]]:
    """Rows of numbers as words, up to `END` and without the special ones."""
    texts = []
    for row in ids.tolist():
        row = row[: row.index(END)] if END in row else row
        texts.append([vocabulary[i] for i in row if i >= len(SPECIAL)])
    return texts


def word_by_word(pair: Pair) -> list[str]:
    """What a dictionary would make of a sentence: each English word's first Avian form, in the English order."""
    book = {"the": "la", "a": "una", "an": "una", "not": "ne"}
    for one, several, stem, kind in NOUNS:
        book |= {one: stem + kind, several: f"{stem}{kind}i"}
    book |= {word: stem + kind for word, stem, kind in PLACES} | {word: stem + "a" for word, stem in ADJECTIVES}
    book |= {word: f"{stem}ita" for *both, stem in VERBS for word in both}
    book |= dict([*NUMBERS, *PREPOSITIONS, *TIMES])
    return [book[word] for word in pair.english if word in book]


def _sentence(random: Random) -> tuple[Pair, bool]:
    english: list[str] = []
    strangers = False

    def say(word: str) -> tuple[int, ...]:
        english.append(word)
        return (len(english) - 1,)

    def someone() -> tuple[list[tuple[str, tuple[int, ...]]], str, int]:
        nonlocal strangers
        which = random.randrange(len(NOUNS))
        one, many, stem, kind = NOUNS[which]
        several = random.random() < 0.5
        ending = kind + "i" * several
        if several and random.random() < 0.5:
            number, theirs = random.choice(NUMBERS)
            first = (theirs, say(number))
        elif several or random.random() < 0.5:
            first = ("l" + ending, say("the"))
        else:
            first = ("un" + ending, say("a"))
        chosen = random.sample(range(len(ADJECTIVES)), random.choices([0, 1, 2], [4, 5, 1])[0])
        strangers |= any(kept_apart(adjective, which) for adjective in chosen)
        said = [(ADJECTIVES[adjective][1] + ending, say(ADJECTIVES[adjective][0])) for adjective in chosen]
        noun = (stem + ending, say(many if several else one))
        phrase = [first, noun, *reversed(said)]
        if random.random() < 0.3:
            (preposition, theirs), (place, root, its) = random.choice(PREPOSITIONS), random.choice(PLACES)
            behind, article, where = say(preposition), say("the"), say(place)
            phrase += [("l" + its, article), (root + its, where), (theirs, behind)]
        return phrase, ending, noun[1][0]

    when = random.choice(TIMES) if random.random() < 0.5 else None
    at_first = random.random() < 0.5
    time = [(when[1], say(when[0]))] if when and at_first else []
    subject, ending, who = someone()
    past, infinitive, stem = random.choice(VERBS)
    if random.random() < 0.25:
        did, no, deed = say("did"), say("not"), say(infinitive)
        verb = [("ne", no), (f"{stem}it{ending}", did + deed)]
    else:
        verb = [(f"{stem}it{ending}", say(past))]
    thing, _, _ = someone()
    if when and not at_first:
        time = [(when[1], say(when[0]))]
    for i, word in enumerate(english):
        if word == "a" and english[i + 1][0] in "aeiou":
            english[i] = "an"
    avian, alignment = zip(*time, *subject, *thing, *verb, strict=True)
    return Pair(tuple(english), avian, alignment, who), strangers
