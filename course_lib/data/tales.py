"""Tales of birds, told word by word by a narrator whose probabilities are known.

A language model is judged by how well it knows what comes next. Of real texts nobody knows the truth to judge it
by; of these tales it is written below: what may be said next, and how likely it is, follows from what has been said.
Names, birds, places and things come back many words later, so that a model has to look back to do well.
"""

import math
from collections.abc import Generator, Sequence
from random import Random

import torch
from torch import Tensor

Chances = dict[str, float]
Telling = Generator[Chances, str, None]

END = "¶"  # stands before a tale and after it


def _ranked(words: str) -> Chances:
    # some words are more common than others: the r-th is drawn in proportion to 1/√r
    listed = words.split()
    total = sum(rank**-0.5 for rank in range(1, len(listed) + 1))
    return {word: rank**-0.5 / total for rank, word in enumerate(listed, start=1)}


NATURES = _ranked("small young brave shy clever proud")
BIRDS = _ranked("wren robin owl heron finch crow swan duck")
GIRLS, BOYS = _ranked("Lily Mia Ada Nora Ida"), _ranked("Tom Max Otto Finn Leo")
PLACES = _ranked("forest garden barn valley meadow castle")
COLOURS = _ranked("red golden blue green white")
THINGS = _ranked("berry feather ring key shell button crown")
DEEDS = _ranked("sang danced played flew")
FIXED = (
    "Once Long upon ago a time night there lived named in . She He Every morning evening she he with her his friend "
    "the One day lost found near The said : look They took it home to gave was happy So ever after end"
)
WORDS = tuple(dict.fromkeys(
    [END, *FIXED.split(), *NATURES, *BIRDS, *GIRLS, *BOYS, *PLACES, *COLOURS, *THINGS, *DEEDS]
))  # fmt: skip
LENGTH = 62  # of the longest tale, both ends included


def telling() -> Telling:
    """Tell a tale: each `yield` offers the words that may come next, with their chances, and is sent one of them."""
    if (yield {"Once": 0.9, "Long": 0.1}) == "Once":
        yield from _say("upon a")
        yield {"time": 0.9, "night": 0.1}
    else:
        yield from _say("ago")
    yield from _say("there lived a")
    nature = yield NATURES
    bird = yield BIRDS
    yield from _say("named")
    name = yield {who: p / 2 for names in (GIRLS, BOYS) for who, p in names.items()}
    she, her = ("she", "her") if name in GIRLS else ("he", "his")
    yield from _say("in a")
    home = yield PLACES
    yield from _say(".")
    if (yield {"Every": 0.6, she.title(): 0.4}) == "Every":
        yield {"morning": 0.7, "evening": 0.3}
        yield {she: 0.7, name: 0.3}
    yield DEEDS
    yield from _say(f"with {her} friend the")
    friend = yield _but(BIRDS, bird)
    yield from _say(". One")
    yield {"day": 0.7, "night": 0.3}
    yield {she: 0.4, name: 0.6}
    lost = (yield {"lost": 0.6, "found": 0.4}) == "lost"
    yield from _say("a")
    colour = yield COLOURS
    thing = yield THINGS
    yield from _say("near the")
    place = yield PLACES
    yield from _say(".")
    yield from (_search(friend, colour, thing, place) if lost else _gift(she, bird, friend, home))
    if (yield {"So": 0.5, "The": 0.5}) == "So":
        yield from _say(f"the {nature} {bird} was happy ever after .")
    else:
        yield from _say("end .")


def _search(friend: str, colour: str, thing: str, place: str) -> Telling:
    yield from _say(f"The {friend} said : look near the {place} . They found the {colour} {thing} .")


def _gift(she: str, bird: str, friend: str, home: str) -> Telling:
    if (yield {she.title(): 0.6, "The": 0.4}) == "The":
        yield from _say(bird)
    if (yield {"took": 0.5, "gave": 0.5}) == "took":
        yield from _say(f"it home to the {home} .")
    else:
        yield from _say(f"it to the {friend} .")


def next_words(told: Sequence[str]) -> Chances:
    """The words that may follow a beginning of a tale, without `END` in front, and how likely each is.

    After a whole tale that is `END` alone. Raises ValueError with the place of a word that cannot stand there.
    """
    tale = telling()
    chances = next(tale)
    for place, word in enumerate(told):
        if word not in chances:
            raise ValueError(f"Word {place}, {word!r}, cannot stand there: it could be {', '.join(chances)}.")
        try:
            chances = tale.send(word) if word != END else {}
        except StopIteration:
            chances = {END: 1.0}
    return chances


def told_well(words: Sequence[str]) -> int:
    """How many words of a text, without `END` in front, are as the narrator could have told it."""
    tale = telling()
    chances = next(tale)
    for place, word in enumerate(words):
        if word not in chances or word == END:
            return place + (word in chances)
        try:
            chances = tale.send(word)
        except StopIteration:
            chances = {END: 1.0}
    return len(words)


def draw_tales(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Tell tales: ids [number LENGTH], each from `END` to `END`, and the surprise [number LENGTH-1] of each next word.

    The surprise is -log p in nats, p being the narrator's probability of the word. Rows are filled up with `END`,
    and the surprise there is NaN: whoever averages must leave the filling out.
    """
    random = Random(seed)
    number_of = {word: i for i, word in enumerate(WORDS)}
    ids = torch.full((number, LENGTH), number_of[END])
    surprise = torch.full((number, LENGTH - 1), math.nan)
    for row in range(number):
        tale = telling()
        chances, words, chance = next(tale), [number_of[END]], []
        while True:
            word = next(iter(chances)) if len(chances) == 1 else random.choices(*zip(*chances.items(), strict=True))[0]
            words.append(number_of[word])
            chance.append(-math.log(chances[word]))
            try:
                chances = tale.send(word)
            except StopIteration:
                break
        words.append(number_of[END])
        chance.append(0.0)
        ids[row, : len(words)] = torch.tensor(words)
        surprise[row, : len(chance)] = torch.tensor(chance)
    return ids, surprise


def targets_of(tales: Tensor) -> Tensor:
    """What is to be predicted after each word of tales [e LENGTH]: the next, and -100 after the end: [e LENGTH-1]."""
    following = tales[:, 1:]
    past_the_end = (following == 0).cumsum(1) > 1
    return following.masked_fill(past_the_end, -100)


def _say(words: str) -> Telling:
    for word in words.split():
        yield {word: 1.0}


def _but(chances: Chances, left_out: str) -> Chances:
    rest = 1 - chances[left_out]
    return {word: p / rest for word, p in chances.items() if word != left_out}
