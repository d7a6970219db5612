"""The check of ``merge_pair(ids, pair, new_id)``."""

from itertools import groupby

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("tokens.merge_pair", objects=("merge_pair",))


def oracle(ids: list[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """By counting runs for twice the same id, and otherwise by looking back from every id: no index moves along."""
    first, second = pair
    if first == second:
        runs = [(key, len(list(run))) for key, run in groupby(ids)]
        parts = [[new_id] * (long // 2) + [key] * (long % 2) if key == first else [key] * long for key, long in runs]
        return [one for part in parts for one in part]
    # two different ids: occurrences cannot overlap, so each place can be judged by its neighbours alone
    before, after = [None, *ids][: len(ids)], [*ids, None][1:]
    written = [new_id if (one, right) == pair else one for one, right in zip(ids, after, strict=True)]
    return [w for w, one, left in zip(written, ids, before, strict=True) if (left, one) != pair]


def expect(plan: Plan, ids: list[int], pair: tuple[int, int], new_id: int) -> None:
    """Compare one merge."""
    shown = str(ids) if len(ids) <= 12 else f"{len(ids)} ids"
    plan.expect(plan.call(ids, pair, new_id), oracle(ids, pair, new_id), f"merge_pair({shown}, {pair}, {new_id})")


def three(draw: Draw, low: int = 97, high: int = 122) -> list[int]:
    """Three different ids."""
    return [low + int(i) for i in draw.permutation(high - low + 1)[:3]]


@EXERCISE.case(points=1, cause="where ids[i] and ids[i+1] are the pair, write new_id and go on behind both.")
def here_and_there(draw: Draw, plan: Plan) -> None:
    """The pair in the middle of other ids, once and several times"""
    a, b, x = three(draw)
    expect(plan, [x, a, b, x], (a, b), 256)
    expect(plan, [x, a, b, x, x, a, b, a, b, x], (a, b), 256 + draw.integer(1, 99))


@EXERCISE.case(points=0.5, cause="both ids must be there, side by side, and in the pair's order.")
def nearly_the_pair(draw: Draw, plan: Plan) -> None:
    """The pair backwards, one id of it alone, one twice, the two apart: all stay"""
    a, b, x = three(draw)
    expect(plan, [x, b, a, x], (a, b), 256)
    expect(plan, [a, x, b, b, x, a, a, x], (a, b), 257)
    # as decimal text, 1 2 stands in the middle of 11 23
    expect(plan, [11, 23, 31, 2, 1, 22], (1, 2), 258)


@EXERCISE.case(points=1, cause="the last id has no right neighbour: do not look beyond it, and do not lose it.")
def both_ends(draw: Draw, plan: Plan) -> None:
    """The pair at the start and at the end; half of it at the end; one id, and none"""
    a, b, x = three(draw)
    for ids in ([a, b, x], [x, a, b], [x, a], [a, b], [x, b, a, b, a], [a], [x], []):
        expect(plan, ids, (a, b), 256)


@EXERCISE.case(points=1, cause="go from left to right, and on by two after a merge: occurrences do not overlap.")
def twice_the_same(draw: Draw, plan: Plan) -> None:
    """A pair of equal ids: runs of even and odd length"""
    a, x, _ = three(draw)
    for ids in ([a, a, a], [a, a, a, a], [x, a, a, a, x, a, a, x, a], [a] * (2 * draw.integer(3, 5) + 1)):
        expect(plan, ids, (a, a), 256)


@EXERCISE.case(points=0.5, cause="ids may be any size: compare them with ==, and do not turn them into bytes.")
def large_ids(draw: Draw, plan: Plan) -> None:
    """Ids above 255, which earlier merges have made"""
    a, b, x = three(draw, 300, 60_000)
    expect(plan, [x, a, b, 65, b, a, a, b], (a, b), 70_000)
    expect(plan, [x, 65, a, x, 65, 65, a], (65, a), 70_001)


@EXERCISE.case(points=0.5, cause="use a loop rather than recursion: Python allows about a thousand calls within calls.")
def long_text(draw: Draw, plan: Plan) -> None:
    """Thousands of ids from a small alphabet"""
    # well above 3000, to which some tools for completing code raise Python's limit of calls within calls
    # with no id of the pair at the end, which is another case's matter
    ids = [97 + int(i) % 3 for i in draw.permutation(4500)] + [99]
    for pair in ((97, 98), (98, 98)):
        expect(plan, ids, pair, 256)


@EXERCISE.case(points=0.5, cause="build a new list of plain ints and leave the one that was handed in as it was.")
def contract(draw: Draw, plan: Plan) -> None:
    """The list that was handed in stays as it was"""
    a, b, x = three(draw)
    values = [a, b, x, a, b]
    ids = plan.put(values)
    plan.expect(plan.call(ids, (a, b), 300), oracle(values, (a, b), 300), f"merge_pair({values}, {(a, b)}, 300)")
    plan.expect(ids, values, "the list after the call")
    # the same list once more: what is kept between calls would show
    plan.expect(plan.call(ids, (b, x), 301), oracle(values, (b, x), 301), f"merge_pair({values}, {(b, x)}, 301)")
    plan.expect(ids, values, "the list after the second call")


@EXERCISE.variant
def index_by_hand() -> None:
    """A while loop with an index"""

    def merge_pair(ids, pair, new_id):
        merged = []
        i = 0
        while i < len(ids):
            if i + 1 < len(ids) and ids[i] == pair[0] and ids[i + 1] == pair[1]:
                merged.append(new_id)
                i += 2
            else:
                merged.append(ids[i])
                i += 1
        return merged


@EXERCISE.variant
def slices_compared() -> None:
    """Slices of two compared with the pair, on a copy that shrinks"""

    def merge_pair(ids, pair, new_id):
        ids = list(ids)
        i = 0
        while i < len(ids) - 1:
            if tuple(ids[i : i + 2]) == pair:
                ids[i : i + 2] = [new_id]
            i += 1
        return ids


@EXERCISE.variant
def iterator() -> None:
    """A waiting id, which the next one completes or not"""

    def merge_pair(ids, pair, new_id):
        first, second = pair
        merged, waiting = [], False
        for one in ids:
            if waiting and one == second:
                merged[-1] = new_id
                waiting = False
            else:
                merged.append(one)
                waiting = one == first
        return merged


@EXERCISE.variant
def skipping() -> None:
    """A for loop over pairs of neighbours, skipping the second id of a merged pair"""

    def merge_pair(ids, pair, new_id):
        merged, skip = [], False
        for left, right in zip(ids, [*ids, None][1:], strict=True):
            if skip:
                skip = False
            elif (left, right) == tuple(pair):
                merged.append(new_id)
                skip = True
            else:
                merged.append(left)
        return merged


@EXERCISE.variant
def as_text() -> None:
    """Each id one character, and str.replace"""

    def merge_pair(ids, pair, new_id):
        text = "".join(map(chr, ids)).replace(chr(pair[0]) + chr(pair[1]), chr(new_id))
        return [ord(character) for character in text]


@EXERCISE.mistake
def overlapping() -> None:
    """Every place is judged by itself, so in [1, 1, 1] the middle id is used twice. An id that was merged is gone:
    go on behind it."""

    def merge_pair(ids, pair, new_id):
        merged = []
        for i in range(len(ids)):
            if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
                merged.append(new_id)
            elif i == 0 or (ids[i - 1], ids[i]) != pair:
                merged.append(ids[i])
        return merged


@EXERCISE.mistake
def last_id_looked_past() -> None:
    """At the last id, ids[i + 1] is beyond the end of the list (IndexError). Ask first whether there is a next id."""

    def merge_pair(ids, pair, new_id):
        merged, i = [], 0
        while i < len(ids):
            if ids[i] == pair[0] and ids[i + 1] == pair[1]:
                merged.append(new_id)
                i += 2
            else:
                merged.append(ids[i])
                i += 1
        return merged


@EXERCISE.mistake
def only_the_first_occurrence() -> None:
    """Only the first occurrence is merged, because the loop ends there; all of them are wanted."""

    def merge_pair(ids, pair, new_id):
        for i in range(len(ids) - 1):
            if (ids[i], ids[i + 1]) == pair:
                return [*ids[:i], new_id, *ids[i + 2 :]]
        return list(ids)


@EXERCISE.mistake
def from_the_right() -> None:
    """The list is gone through from its end. That matters for equal ids: [1, 1, 1] must become [new, 1]."""

    def merge_pair(ids, pair, new_id):
        merged = list(ids)
        for i in range(len(merged) - 2, -1, -1):
            if tuple(merged[i : i + 2]) == pair:
                merged[i : i + 2] = [new_id]
        return merged


@EXERCISE.mistake
def list_compared_with_tuple() -> None:
    """A slice of a list is a list, and a list never equals a tuple, so nothing is ever merged. Compare
    (ids[i], ids[i + 1]) or tuple(ids[i:i + 2])."""

    def merge_pair(ids, pair, new_id):
        merged, i = [], 0
        while i < len(ids):
            if ids[i : i + 2] == pair:
                merged.append(new_id)
                i += 2
            else:
                merged.append(ids[i])
                i += 1
        return merged


@EXERCISE.mistake
def decimal_text_replaced() -> None:
    """The ids are joined to decimal text, in which the pair "1 2" is also found inside "11 23". Compare numbers."""

    def merge_pair(ids, pair, new_id):
        text = " ".join(map(str, ids)).replace(f"{pair[0]} {pair[1]}", str(new_id))
        return [int(word) for word in text.split()]


@EXERCISE.mistake
def replaced_in_bytes() -> None:
    """The ids are packed into bytes, which end at 255; ids made by earlier merges are larger."""

    def merge_pair(ids, pair, new_id):
        merged = []
        for part in bytes(ids).split(bytes(pair)):
            merged += [*part, new_id]
        return merged[:-1]


@EXERCISE.mistake
def recursive() -> None:
    """The function calls itself for the rest of the list, one call an id: long lists exceed Python's limit of calls
    within calls. Use a loop."""

    def merge_pair(ids, pair, new_id):
        if len(ids) < 2:
            return list(ids)
        if (ids[0], ids[1]) == pair:
            return [new_id, *merge_pair(ids[2:], pair, new_id)]
        return [ids[0], *merge_pair(ids[1:], pair, new_id)]


@EXERCISE.mistake
def changed_in_place() -> None:
    """The list that was handed in is changed, and the caller still needs it. Build a new list, or copy it first."""

    def merge_pair(ids, pair, new_id):
        i = 0
        while i < len(ids) - 1:
            if (ids[i], ids[i + 1]) == pair:
                ids[i : i + 2] = [new_id]
            i += 1
        return ids


@EXERCISE.mistake
def rest_of_the_list_lost() -> None:
    """The loop stops before the last id and nobody writes it down: where the list does not end with the pair, its
    last id is lost."""

    def merge_pair(ids, pair, new_id):
        merged, i = [], 0
        while i < len(ids) - 1:
            if (ids[i], ids[i + 1]) == pair:
                merged.append(new_id)
                i += 2
            else:
                merged.append(ids[i])
                i += 1
        return merged


@EXERCISE.mistake
def last_id_always_appended() -> None:
    """The last id is appended whatever happened before, so a pair at the very end leaves its second id behind, and
    an empty list has no last id at all."""

    def merge_pair(ids, pair, new_id):
        merged, i = [], 0
        while i < len(ids) - 1:
            if (ids[i], ids[i + 1]) == pair:
                merged.append(new_id)
                i += 2
            else:
                merged.append(ids[i])
                i += 1
        merged.append(ids[-1])
        return merged


FOUND = "if i + 1 < len(ids) and ids[i] == pair[0] and ids[i + 1] == pair[1]:"
SLIPS: list[tuple[str, str, tuple[str, str]]] = [
    (
        "second_id_kept",
        "new_id is written, but the second id of the pair stays: after a merge go on by two.",
        ("i += 2", "i += 1"),
    ),
    (
        "went_on_by_three",
        "After a merge the loop goes on by three and loses the id behind the pair; go on by two.",
        ("i += 2", "i += 3"),
    ),
    (
        "any_order",
        "The pair is merged backwards too: (b, a) is another pair than (a, b).",
        (FOUND, "if i + 1 < len(ids) and {ids[i], ids[i + 1]} == set(pair):"),
    ),
    (
        "second_not_compared",
        "Only the first id is compared; whatever follows it is swallowed.",
        (FOUND, "if i + 1 < len(ids) and ids[i] == pair[0]:"),
    ),
    (
        "membership",
        "`in pair` asks whether each id is one of the two, so (b, a), (a, a) and (b, b) are merged too.",
        (FOUND, "if i + 1 < len(ids) and ids[i] in pair and ids[i + 1] in pair:"),
    ),
    (
        "identity",
        "`is` asks whether two names mean the same object. Python keeps one object for each small number only, so "
        "ids above 256 are never found: compare with ==.",
        (FOUND, "if i + 1 < len(ids) and ids[i] is pair[0] and ids[i + 1] is pair[1]:"),
    ),
    (
        "end_one_too_early",
        "The end is guarded one place too early, so a pair at the very end is missed.",
        (FOUND, "if i + 2 < len(ids) and ids[i] == pair[0] and ids[i + 1] == pair[1]:"),
    ),
    (
        "pair_appended",
        "The pair itself goes into the list; its new id should.",
        ("merged.append(new_id)", "merged.append(pair)"),
    ),
    (
        "id_written_in",
        "256 is written into the code; every merge has its own new_id.",
        ("merged.append(new_id)", "merged.append(256)"),
    ),
    (
        "tensor_returned",
        "The result is a tensor (or array); a list of plain ints is asked for.",
        ("return merged", "return torch.tensor(merged)"),
    ),
    (
        "nothing_returned",
        "The new list is built and never returned, so the caller gets None.",
        ("    return merged\n", ""),
    ),
]
for name, says, change in SLIPS:
    EXERCISE.slip(index_by_hand, name, says, change)
