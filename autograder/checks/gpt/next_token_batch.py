"""The check of ``next_token_batch(data, block, starts) -> (x, y)``."""

import torch
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("gpt.next_token_batch", objects=("next_token_batch",))


def oracle(data: Tensor, block: int, starts: list[int]) -> tuple[Tensor, Tensor]:
    """Python slices of a list of ints: the text for x, and the text without its first token for y."""
    text = data.tolist()
    after = text[1:]
    x = [text[start : start + block] for start in starts]
    y = [after[start : start + block] for start in starts]
    return torch.tensor(x), torch.tensor(y)


def draw_text(draw: Draw, length: int, below: int = 1000) -> Tensor:
    """Ids without order, no two the same, so that each entry tells where in the text it was found."""
    return draw.permutation(below)[:length]


def some_starts(draw: Draw, count: int, last: int) -> list[int]:
    """Different starts in no order, the last one possible among them."""
    return [last, *draw.permutation(last)[: count - 1].tolist()]


def expect_both(plan: Plan, out: Ref, want: tuple[Tensor, Tensor], told: str) -> None:
    """Compare x and y."""
    for part, value, name in zip((out[0], out[1]), want, "xy", strict=True):
        plan.expect(part, value, f"{name} for {told}")


@EXERCISE.case(points=1, cause="row i of x is data[starts[i] : starts[i] + block], in the order of starts.")
def windows(draw: Draw, plan: Plan) -> None:
    """x: one window of `block` tokens for each start, in the order of the starts"""
    b, block = draw.sizes(2, 3, 7)
    data, starts = draw_text(draw, 40), some_starts(draw, b, 40 - block - 1)
    x, _ = oracle(data, block, starts)
    plan.expect(plan.call(data, block, torch.tensor(starts))[0], x, f"x for block {block} and starts {starts}")


@EXERCISE.case(points=1, cause="y is x one token later: y[i, j] = data[starts[i] + j + 1], also for the last j.")
def targets(draw: Draw, plan: Plan) -> None:
    """y: the same windows one token later"""
    b, block = draw.sizes(2, 3, 7)
    data, starts = draw_text(draw, 40), some_starts(draw, b, 40 - block - 1)
    _, y = oracle(data, block, starts)
    plan.expect(plan.call(data, block, torch.tensor(starts))[1], y, f"y for block {block} and starts {starts}")


@EXERCISE.case(
    points=0.5, cause="starts run from 0 to len(data) - block - 1: the last target is the text's last token."
)
def both_ends(draw: Draw, plan: Plan) -> None:
    """The very first window and the very last one; a text that is just long enough for one; windows of one token"""
    block, extra = sorted(draw.sizes(2, 3, 7))
    length = block + 1 + extra
    for size, width, starts in ((length, block, [extra, 0]), (block + 1, block, [0]), (length, 1, [length - 2, 0, 1])):
        data = draw_text(draw, size)
        out = plan.call(data, width, torch.tensor(starts))
        expect_both(plan, out, oracle(data, width, starts), f"{size} tokens, block {width} and starts {starts}")


@EXERCISE.case(points=0.5, cause="each start gives a row, even one that came before; windows may overlap.")
def repeated_starts(draw: Draw, plan: Plan) -> None:
    """Starts that repeat, and windows that overlap"""
    block = draw.integer(3, 6)
    first, second = some_starts(draw, 2, 9)
    starts = [first, second, first, first + 1, second, first]
    data = draw_text(draw, 20)
    out = plan.call(data, block, torch.tensor(starts))
    expect_both(plan, out, oracle(data, block, starts), f"block {block} and starts {starts}")


@EXERCISE.case(points=0.5, cause="starts may be a list as well as a tensor: torch.as_tensor(starts) takes both.")
def starts_in_a_list(draw: Draw, plan: Plan) -> None:
    """Starts given as a list of ints"""
    b, block = draw.sizes(2, 3, 7)
    data, starts = draw_text(draw, 30), some_starts(draw, b, 30 - block - 1)
    out = plan.call(data, block, starts)
    expect_both(plan, out, oracle(data, block, starts), f"block {block} and the list {starts}")


@EXERCISE.case(points=0.5, cause="x and y are int64 whatever integers the text is kept in, as an embedding needs them.")
def small_integers(draw: Draw, plan: Plan) -> None:
    """A text kept in one or four bytes a token; x and y are int64"""
    b, block = draw.sizes(2, 3, 7)
    for dtype, below in ((torch.uint8, 256), (torch.int32, 60_000)):
        data, starts = draw_text(draw, 30, below).to(dtype), some_starts(draw, b, 30 - block - 1)
        out = plan.call(data, block, torch.tensor(starts))
        expect_both(plan, out, oracle(data, block, starts), f"a text of {str(dtype).removeprefix('torch.')}")


@EXERCISE.case(points=0.5, cause="leave data and starts as they were, and keep nothing from one call to the next.")
def contract(draw: Draw, plan: Plan) -> None:
    """data and starts stay as they were, and the next batch comes out right"""
    b, block = draw.sizes(2, 3, 7)
    text, places = draw_text(draw, 30), torch.tensor(some_starts(draw, b, 30 - block - 1))
    data, starts = plan.put(text), plan.put(places)
    for turn in ("first", "second"):
        out = plan.call(data, block, starts)
        expect_both(plan, out, oracle(text, block, places.tolist()), f"the {turn} of two calls")
    plan.expect(data, text, "data after the calls")
    plan.expect(starts, places, "starts after the calls")


@EXERCISE.variant
def slices_stacked() -> None:
    """A list of slices"""

    def next_token_batch(data, block, starts):
        starts = [int(start) for start in starts]
        x = torch.stack([data[s : s + block] for s in starts])
        y = torch.stack([data[s + 1 : s + 1 + block] for s in starts])
        return x.long(), y.long()


@EXERCISE.variant
def places_added() -> None:
    """A table of places"""

    def next_token_batch(data, block, starts):
        places = torch.as_tensor(starts).unsqueeze(1) + torch.arange(block)
        return data[places].to(torch.int64), data[places + 1].to(torch.int64)


@EXERCISE.variant
def windows_one_longer() -> None:
    """Windows of block + 1 tokens, without their last and without their first one"""

    def next_token_batch(data, block, starts):
        windows = data.long().unfold(0, block + 1, 1)[torch.as_tensor(starts)]
        return windows[:, :-1], windows[:, 1:]


@EXERCISE.variant
def token_by_token() -> None:
    """Two loops"""

    def next_token_batch(data, block, starts):
        x = torch.empty(len(starts), block, dtype=torch.long)
        y = torch.empty_like(x)
        for row, start in enumerate(starts):
            for column in range(block):
                x[row, column] = data[start + column]
                y[row, column] = data[start + column + 1]
        return x, y


@EXERCISE.mistake
def targets_taken_from_the_window() -> None:
    """The targets are x rolled by one, so the last target is the window's own first token. Cut them out of the
    text, where the next token still stands."""

    def next_token_batch(data, block, starts):
        starts = [int(start) for start in starts]
        x = torch.stack([data[s : s + block] for s in starts]).long()
        return x, x.roll(-1, dims=1)


@EXERCISE.mistake
def window_shared_with_its_targets() -> None:
    """Windows of `block` tokens are cut in two overlapping parts, so x and y have block - 1 tokens. Cut out
    block + 1."""

    def next_token_batch(data, block, starts):
        windows = torch.stack([data[int(s) : int(s) + block] for s in starts]).long()
        return windows[:, :-1], windows[:, 1:]


@EXERCISE.mistake
def own_starts_drawn() -> None:
    """The starts are drawn anew inside and the given ones are ignored: nobody could go through the text in order or
    repeat a batch."""

    def next_token_batch(data, block, starts):
        starts = torch.randint(len(data) - block, (len(starts),))
        x = torch.stack([data[s : s + block] for s in starts])
        y = torch.stack([data[s + 1 : s + 1 + block] for s in starts])
        return x.long(), y.long()


@EXERCISE.mistake
def starts_must_be_a_tensor() -> None:
    """Indexing with [:, None] works for tensors alone, and starts may be a list. Begin with torch.as_tensor(starts)."""

    def next_token_batch(data, block, starts):
        places = starts[:, None] + torch.arange(block)
        return data[places].long(), data[places + 1].long()


@EXERCISE.mistake
def starts_moved_in_place() -> None:
    """`starts += 1` moves the caller's starts by one as well. Write `starts = starts + 1`."""

    def next_token_batch(data, block, starts):
        starts = torch.as_tensor(starts)
        x = torch.stack([data[s : s + block] for s in starts]).long()
        starts += 1
        return x, torch.stack([data[s : s + block] for s in starts]).long()


@EXERCISE.mistake
def start_counted_on() -> None:
    """The windows follow one another from the first start on; every row has its own start."""

    def next_token_batch(data, block, starts):
        first = int(starts[0]) % max(len(data) - block * len(starts), 1)
        starts = [min(first + i * block, len(data) - block - 1) for i in range(len(starts))]
        x = torch.stack([data[s : s + block] for s in starts])
        y = torch.stack([data[s + 1 : s + 1 + block] for s in starts])
        return x.long(), y.long()


STARTS = "[int(start) for start in starts]"
Y = "torch.stack([data[s + 1 : s + 1 + block] for s in starts])"
RETURN = "return x.long(), y.long()"
SLIPS: list[tuple[str, str, tuple[str, str]]] = [
    (
        "targets_not_moved",
        "y equals x: the model would learn to repeat the token it has just read. Targets are one token later.",
        (Y, "torch.stack([data[s : s + block] for s in starts])"),
    ),
    (
        "targets_two_later",
        "The targets are two tokens later than x; the next token is one later.",
        (Y, "torch.stack([data[min(s + 2, len(data) - block) :][:block] for s in starts])"),
    ),
    (
        "targets_one_earlier",
        "The targets are one token earlier than x: this predicts the past.",
        (Y, "torch.stack([data[max(s - 1, 0) :][:block] for s in starts])"),
    ),
    (
        "only_the_last_target",
        "Only the token behind the window is a target. A causal model predicts one at every place: [b block].",
        (Y, "torch.stack([data[s + block] for s in starts])"),
    ),
    (
        "end_of_the_window_not_moved",
        "The targets begin one later but end where x ends, so they are one token short; move the end too.",
        (Y, "torch.stack([data[s + 1 : s + block] for s in starts])"),
    ),
    (
        "exchanged",
        "Targets come first and windows second; return (x, y).",
        (RETURN, "return y.long(), x.long()"),
    ),
    (
        "places_first",
        "The windows stand in columns. Each start gives a row: [b block].",
        (RETURN, "return x.long().T, y.long().T"),
    ),
    (
        "dtype_of_the_text",
        "x and y keep the integers of the text, but embeddings and the loss want int64: .long().",
        (RETURN, "return x, y"),
    ),
    (
        "floating_numbers",
        "The ids are turned into floating-point numbers. Ids are names, not amounts: keep them int64.",
        (RETURN, "return x.float(), y.float()"),
    ),
    (
        "lists_returned",
        "x and y are lists of lists; return tensors.",
        (RETURN, "return x.tolist(), y.tolist()"),
    ),
    (
        "stacked_into_one",
        "x and y are stacked into one tensor [2 b block]; return two, as a tuple.",
        (RETURN, "return torch.stack([x.long(), y.long()])"),
    ),
    (
        "starts_count_windows",
        "A start is taken for the number of a window and multiplied by block. It is a place in the text.",
        (STARTS, "[int(start) * block % (len(data) - block) for start in starts]"),
    ),
    (
        "starts_sorted",
        "The starts are sorted, so rows come in another order than asked for.",
        (STARTS, "sorted(int(start) for start in starts)"),
    ),
    (
        "starts_made_unique",
        "A start that repeats is dropped. Every start gives a row.",
        (STARTS, "list(dict.fromkeys(int(start) for start in starts))"),
    ),
    (
        "last_window_out_of_reach",
        "The largest start is taken one too small: len(data) - block - 1 still leaves room for the last target.",
        (STARTS, "[max(min(int(start), len(data) - block - 2), 0) for start in starts]"),
    ),
    (
        "counted_from_one",
        "Starts are counted from one here; they are counted from zero, as every place.",
        (STARTS, "[max(int(start) - 1, 0) for start in starts]"),
    ),
]
for name, says, change in SLIPS:
    EXERCISE.slip(slices_stacked, name, says, change)
