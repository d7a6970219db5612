"""The check of ``generate(model, ids, n, generator=None, **sampling)``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autograder.checks.gpt.blocks_by_hand import draw_ids
from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("gpt.generate", objects=("generate",), lends=("course_lib.sampling",))
# shares are compared after rounding to 0.1; with so many rows one that is right misses by 0.05 in 10^9 trials or more
ROWS = 4_000
NEVER = -60.0


class Reader:
    """A model whose next token depends on every token of its window, and the text it would write greedily."""

    def __init__(self, draw: Draw, block: int) -> None:
        self.vocab, self.block = 9, block
        self.table, self.turn = 2 * draw.normal(self.vocab, 5), draw.normal(5, self.vocab)
        self.shift, self.mix = draw.normal(self.vocab), 3 * draw.normal(self.vocab, self.vocab)

    def given(self, plan: Plan) -> Ref:
        """The model where student code runs; it counts, sums up over the window, and is disturbed in training mode."""
        ops = [["rows", self.table], ["cumulative_sum"], ["sine", self.turn, self.shift], ["linear", self.mix]]
        return plan.given("layers", ops=[*ops, ["dropout"]], block=self.block)

    def logits(self, window: list[int]) -> Tensor:
        """The logits after a window, token by token in float64."""
        total = torch.stack([self.table[token].double() for token in window]).sum(0)
        return (total @ self.turn.double() + self.shift).sin() @ self.mix.double()

    def greedy(self, ids: Tensor, n: int) -> tuple[Tensor, float]:
        """The greedy continuation of ids [b t], and the least by which the best token ever won."""
        texts, margin = ids.tolist(), math.inf
        for text in texts:
            for _ in range(n):
                first, second = self.logits(text[-self.block :]).topk(2)[0].tolist()
                margin = min(margin, first - second)
                text.append(int(self.logits(text[-self.block :]).argmax()))
        return torch.tensor(texts), margin


def expect_greedy(draw: Draw, plan: Plan, block: int, length: int, n: int, **options: float) -> Ref:
    """Compare a text without chance in it, in which no choice is a close one; returns the model."""
    while True:
        reader = Reader(draw, block)
        ids = draw_ids(draw, reader.vocab, 4, length)
        want, margin = reader.greedy(ids, n)
        if margin > 0.02:
            break
    model = reader.given(plan)
    plan.call(on=model, method="eval")  # whether students see to that is asked in a case of its own
    told = ", ".join(f"{name}={value:g}" for name, value in options.items())
    what = f"the text of {length} + {n} tokens, block {block}, with {told}"
    plan.expect(plan.call(model, ids, n, **options), want, what)
    return model


def table_model(plan: Plan, rows: Tensor) -> Ref:
    """A model that looks at the last token alone: row i of the table holds the logits after token i."""
    return plan.given("layers", ops=[["rows", rows]], block=8)


def expect_share(plan: Plan, drawn: Ref, want: float, what: str) -> None:
    """The share of true values among booleans [b], to the nearest tenth."""
    share = plan.call(on=plan.call(on=drawn, method="float"), method="mean")
    plan.expect(plan.call(decimals=1, on=share, method="round"), torch.tensor(want), f"{what}, to the nearest tenth")


def expect_shares(plan: Plan, text: Ref, ids: list[int], want: list[float], told: str) -> None:
    """How often each of ids was drawn as the first new token after a prompt of one token."""
    column = plan.call(1, 1, on=text, method="select")
    for token, share in zip(ids, want, strict=True):
        expect_share(plan, plan.call(token, on=column, method="eq"), share, f"the share of token {token} {told}")


def logarithms(draw: Draw, shares: list[float]) -> tuple[Tensor, list[int]]:
    """Logits of which softmax is `shares`, for ids in no order, and those ids; other tokens are never drawn."""
    ids = draw.permutation(len(shares) + 2)[: len(shares)].tolist()
    row = torch.full((len(shares) + 2,), NEVER)
    row[ids] = torch.tensor(shares).log()
    return row, ids


@EXERCISE.case(
    points=1.5, cause="draw after the last position, append, go on from the longer text; return prompt and new tokens."
)
def without_chance(draw: Draw, plan: Plan) -> None:
    """Texts that leave nothing to chance: temperature 0, and top_k 1"""
    length, n = draw.sizes(2, 2, 6)
    expect_greedy(draw, plan, 20, length, n, temperature=0.0)
    expect_greedy(draw, plan, 20, 1, n, top_k=1)


@EXERCISE.case(
    points=1, cause="show the model the last `model.block` tokens, text[:, -model.block:], and keep the rest."
)
def longer_than_the_block(draw: Draw, plan: Plan) -> None:
    """Texts that outgrow the block, and a prompt that is too long from the start"""
    for block, length in ((draw.integer(4, 6), 3), (draw.integer(3, 5), 8)):
        model = expect_greedy(draw, plan, block, length, 7, temperature=0.0)
        plan.expect(model["longest"], block, "the longest window that the model was shown")


@EXERCISE.case(points=1.5, cause="each row draws for itself and each token anew: multinomial(probs, 1) at every step.")
def shares(draw: Draw, plan: Plan) -> None:
    """Many rows: each token comes as often as its probability says, whatever was drawn before or beside it"""
    while True:
        first, ids = logarithms(draw, [0.4, 0.3, 0.2, 0.1])
        # a best token in the very middle is followed by either half alike even if one lot serves for a whole text
        if abs(first[: ids[0]].exp().sum() - 0.3) > 0.05:
            break
    start, best = ids[3], ids[0]
    second, _ = logarithms(draw, [0.5, 0.5, 1e-9, 1e-9])
    rows = second.repeat(len(first), 1)
    rows[start] = first
    after = int(second.argmax())
    prompt = torch.full((ROWS, 1), start)
    text = plan.call(table_model(plan, rows), prompt, 2, generator=plan.generator(draw.integer(0, 10**6)))
    expect_shares(plan, text, ids, [0.4, 0.3, 0.2, 0.1], "among first tokens")
    pair = [
        plan.call(token, on=plan.call(1, place, on=text, method="select"), method="eq")
        for place, token in ((1, best), (2, after))
    ]
    both = plan.call(pair[1], on=pair[0], method="logical_and")
    # after the best first token, but for the one that began the text: half of 0.4
    expect_share(plan, both, 0.2, f"the share of token {best} and then {after}")


@EXERCISE.case(
    points=1, cause="hand **sampling on: next_token_probs(logits, **sampling), and draw from what it returns."
)
def options(draw: Draw, plan: Plan) -> None:
    """temperature, top_k and top_p change the shares as next_token_probs says"""
    heat = draw.uniform(1.8, 2.4)
    for shares, given, want in (
        ([0.4, 0.3, 0.2, 0.1], {"temperature": heat}, [0.4, 0.3, 0.2, 0.1]),
        ([0.42, 0.28, 0.2, 0.1], {"top_k": 2}, [0.6, 0.4, 0.0, 0.0]),
        ([0.42, 0.28, 0.2, 0.1], {"top_p": draw.uniform(0.5, 0.65)}, [0.6, 0.4, 0.0, 0.0]),
    ):
        row, ids = logarithms(draw, shares)
        model = table_model(plan, given.get("temperature", 1.0) * row.repeat(len(row), 1))
        text = plan.call(model, torch.full((ROWS, 1), ids[1]), 1, **given)
        told = ", ".join(f"{name}={value}" for name, value in given.items())
        expect_shares(plan, text, ids, want, f"with {told}")


@EXERCISE.case(points=1, cause="hand `generator` on to what draws, as it is: no seeding, and no generator of your own.")
def randomness(draw: Draw, plan: Plan) -> None:
    """The same generator state writes the same text; torch's global state is left alone where a generator is given"""
    model = table_model(plan, torch.zeros(11, 11))
    ids, n, seed = draw_ids(draw, 11, 3, 2), draw.integer(12, 15), draw.integer(0, 10**6)
    generator = plan.generator(seed)
    text = plan.call(model, ids, n, generator=generator)
    for other, same, told in (
        (plan.generator(seed), True, "a second generator with the same seed writes the same text"),
        (plan.generator(seed + 1), False, "a generator with another seed writes the same text"),
        (generator, False, "the first generator, used again, writes the same text again"),
    ):
        again = plan.call(model, ids, n, generator=other)
        plan.expect(plan.call(again, on=text, method="equal"), same, told)
    plan.expect_global_random_untouched()
    texts = [plan.call(model, ids, n) for _ in range(2)]
    plan.expect(plan.call(texts[0], on=texts[1], method="equal"), False, "two texts without a generator are the same")


@EXERCISE.case(points=1, cause="note model.training, call model.eval(), put the mode back; all under torch.no_grad().")
def treatment_of_the_model(draw: Draw, plan: Plan) -> None:
    """The model runs in eval mode without recording gradients, and is left in the mode in which it came"""
    for training, told in ((True, "training"), (False, "eval")):
        reader = Reader(draw, 6)
        model = reader.given(plan)
        plan.call(training, on=model, method="train")
        text = plan.call(model, draw_ids(draw, reader.vocab, 3, 2), 4)
        plan.expect(model["ever_training"], False, f"that a model in {told} mode was called in training mode")
        plan.expect(model["ever_recording"], False, "that the model was called while gradients were recorded")
        plan.expect(text["requires_grad"], False, "that the text wants a gradient")
        for part in ("training", "drop.0.training"):
            plan.expect(model[part], training, f"`model.{part}` afterwards, of a model that came in {told} mode")


@EXERCISE.case(points=0.5, cause="make a new tensor for the text, and leave the one that was given as it was.")
def contract(draw: Draw, plan: Plan) -> None:
    """The prompt stays as it was and begins the text; n may be 0"""
    model = table_model(plan, draw.normal(7, 7))
    values = draw_ids(draw, 7, 4, 3)
    ids = plan.put(values)
    text = plan.call(model, ids, 9)
    plan.expect(plan.call(1, 0, 3, on=text, method="narrow"), values, "the first tokens of the text")
    plan.expect(ids, values, "ids after the call")
    plan.expect(plan.call(model, ids, 0), values, "the text for n=0")


@EXERCISE.variant
def by_multinomial() -> None:
    """torch.multinomial and torch.cat"""
    from course_lib.generation import next_token_probs

    @torch.no_grad()
    def generate(model, ids, n, generator=None, **sampling):
        training = model.training
        model.eval()
        text = ids
        for _ in range(n):
            window = text[:, -model.block :]
            logits = model(window)[:, -1]
            probs = next_token_probs(logits, **sampling)
            drawn = torch.multinomial(probs, 1, generator=generator)
            text = torch.cat([text, drawn], dim=1)
        model.train(training)
        return text


@EXERCISE.variant
def by_cumulative_sums() -> None:
    """A uniform number for each row, found in the cumulative sums; a table made beforehand"""
    from course_lib.generation import next_token_probs

    def generate(model, ids, n, generator=None, **sampling):
        modes = {part: part.training for part in model.modules()}
        model.eval()
        b, t = ids.shape
        text = torch.empty(b, t + n, dtype=ids.dtype, device=ids.device)
        text[:, :t] = ids
        try:
            with torch.inference_mode():
                for end in range(t, t + n):
                    probs = next_token_probs(
                        model(text[:, max(0, end - model.block) : end])[:, -1], **sampling
                    ).double()
                    sums = probs.cumsum(-1)
                    lots = torch.rand(b, 1, generator=generator, dtype=torch.float64) * sums[:, -1:]
                    text[:, end] = (sums <= lots).sum(-1)
        finally:
            for part, mode in modes.items():
                part.training = mode
        return text


@EXERCISE.variant
def by_exponential_races() -> None:
    """The token whose exponential clock rings first (the Gumbel trick without logarithms)"""
    from course_lib.generation import next_token_probs

    def generate(model, ids, n, generator=None, **sampling):
        before = model.training
        model.train(False)
        columns = list(ids.unbind(1))
        with torch.no_grad():
            for _ in range(n):
                window = torch.stack(columns[-model.block :], dim=1)
                probs = next_token_probs(model(window)[:, -1, :], **sampling)
                clocks = torch.empty_like(probs).exponential_(generator=generator)
                columns.append((probs / clocks).argmax(-1))
        model.train(before)
        return torch.stack(columns, dim=1)


@EXERCISE.variant
def row_by_row() -> None:
    """Lists of ids, one draw for each"""
    from course_lib.generation import next_token_probs

    def generate(model, ids, n, generator=None, **sampling):
        was, rows = model.training, ids.tolist()
        model.eval()
        for _ in range(n):
            with torch.no_grad():
                logits = model(torch.tensor([row[-model.block :] for row in rows]))
            lots = torch.rand(len(rows), generator=generator).tolist()
            for row, probs, lot in zip(rows, next_token_probs(logits[:, -1], **sampling).tolist(), lots, strict=True):
                drawn = max(range(len(probs)), key=probs.__getitem__)
                for token, prob in enumerate(probs):
                    lot -= prob
                    if lot < 0:
                        drawn = token
                        break
                row.append(drawn)
        model.train(was)
        return torch.tensor(rows, dtype=ids.dtype)


NO_GRAD = "@torch.no_grad()\n"
EVAL = "    model.eval()\n"
TRAINING = "training = model.training"
BACK = "    model.train(training)\n"
WINDOW = "window = text[:, -model.block :]"
LOGITS = "logits = model(window)[:, -1]"
PROBS = "probs = next_token_probs(logits, **sampling)"
DRAWN = "drawn = torch.multinomial(probs, 1, generator=generator)"
APPEND = "text = torch.cat([text, drawn], dim=1)"
RANGE = "range(n)"
RETURN = "return text"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "not_cropped",
        "The model is shown the whole text, however long: beyond `block` tokens it has no positions. Show it the last "
        "model.block tokens.",
        [(WINDOW, "window = text")],
    ),
    (
        "cropped_at_the_wrong_end",
        "The model is shown the first `block` tokens, so that nothing new is ever read. Show it the last ones.",
        [(WINDOW, "window = text[:, : model.block]")],
    ),
    (
        "cropped_one_too_short",
        "The window is one token shorter than the block: the oldest token that the model could read is left out.",
        [(WINDOW, "window = text[:, -(model.block - 1) :]")],
    ),
    (
        "last_token_only",
        "The model is shown the last token alone, as with a cache, but without one: it knows nothing of the rest.",
        [(WINDOW, "window = text[:, -1:]")],
    ),
    (
        "text_cropped",
        "The text itself is cropped, and so its beginning is lost from the result. Crop what the model is shown.",
        [(WINDOW, "text = window = text[:, -model.block :]")],
    ),
    (
        "prompt_read_again_and_again",
        "Every token is drawn from the prompt alone; what was drawn is never read. Feed the longer text back.",
        [(WINDOW, "window = ids[:, -model.block :]")],
    ),
    (
        "first_position",
        "The logits of the first position are used. What comes next is predicted at the last one: [:, -1].",
        [("[:, -1]\n", "[:, 0]\n")],
    ),
    (
        "prompt_left_out",
        "Only the new tokens are returned; return the prompt and the new tokens, [b t+n].",
        [(RETURN, "return text[:, ids.shape[1] :]")],
    ),
    (
        "up_to_n_tokens",
        "n is taken for the length of the whole text; it is the number of new tokens.",
        [(RANGE, "range(max(0, n - ids.shape[1]))")],
    ),
    ("one_too_many", "One token more than n is drawn.", [(RANGE, "range(n + 1)")]),
    ("put_in_front", "New tokens are put before the text; append them.", [("[text, drawn]", "[drawn, text]")]),
    (
        "always_greedy",
        "The most probable token is always taken (argmax). Draw from the distribution; temperature 0 asks for argmax.",
        [(DRAWN, "drawn = probs.argmax(-1, keepdim=True)")],
    ),
    (
        "options_dropped",
        "The sampling options are taken in and not handed on to next_token_probs.",
        [(PROBS, "probs = next_token_probs(logits)")],
    ),
    (
        "temperature_only",
        "Only the temperature is handed on, and top_k and top_p are dropped: write **sampling.",
        [(PROBS, 'probs = next_token_probs(logits, temperature=sampling.get("temperature", 1.0))')],
    ),
    (
        "softmax_twice",
        "next_token_probs gets probabilities instead of logits, so softmax is taken twice and everything comes out "
        "nearly as probable as everything else.",
        [(PROBS, "probs = next_token_probs(logits.softmax(-1), **sampling)")],
    ),
    (
        "one_draw_for_all_rows",
        "One token is drawn and given to every row; each row has its own distribution and its own luck.",
        [(DRAWN, "drawn = torch.multinomial(probs[:1], 1, generator=generator).expand(len(probs), 1)")],
    ),
    (
        "one_lot_for_all_rows",
        "All rows use the same random number, so equal rows get equal tokens. Draw one for each row.",
        [
            (
                DRAWN,
                "lot = torch.rand(1, generator=generator)\n"
                "        drawn = (probs.cumsum(-1) <= lot).sum(-1, keepdim=True).clamp(max=probs.shape[-1] - 1)",
            )
        ],
    ),
    (
        "one_lot_for_all_tokens",
        "Each row has one random number for its whole text, so that a first token from the low end is followed by "
        "others from there. Draw anew for every token.",
        [
            (TRAINING, f"{TRAINING}\n    lots = torch.rand(len(ids), 1, generator=generator)"),
            (DRAWN, "drawn = (probs.cumsum(-1) <= lots).sum(-1, keepdim=True).clamp(max=probs.shape[-1] - 1)"),
        ],
    ),
    (
        "generator_ignored",
        "`generator` is taken in and never used: draws come from torch's global state.",
        [(DRAWN, "drawn = torch.multinomial(probs, 1)")],
    ),
    (
        "global_seed_set",
        "torch.manual_seed is called with the generator's seed: that changes the random numbers of the whole program. "
        "Hand the generator to multinomial.",
        [
            (
                TRAINING,
                f"{TRAINING}\n    if generator is not None:\n        torch.manual_seed(generator.initial_seed())",
            ),
            (DRAWN, "drawn = torch.multinomial(probs, 1)"),
        ],
    ),
    (
        "seeded_inside",
        "A fixed seed is set inside: all texts are then the same, and so is every other random number of the program.",
        [
            (TRAINING, f"{TRAINING}\n    torch.manual_seed(0)"),
        ],
    ),
    (
        "generator_of_its_own",
        "Where no generator is given, a new one is made, which always begins alike. Pass None on: torch then draws "
        "from its global state.",
        [(TRAINING, f"{TRAINING}\n    generator = torch.Generator() if generator is None else generator")],
    ),
    (
        "generator_rewound",
        "The generator is set back to its seed, so that a second text repeats the first. Use it as it comes.",
        [
            (
                TRAINING,
                f"{TRAINING}\n    if generator is not None:\n        generator.manual_seed(generator.initial_seed())",
            )
        ],
    ),
    (
        "never_in_eval_mode",
        "The model is never put into eval mode: its dropout goes on, and spoils the logits.",
        [(EVAL, "")],
    ),
    (
        "left_in_eval_mode",
        "The model is left in eval mode; whoever goes on training then trains without dropout. Put the mode back.",
        [(BACK, "")],
    ),
    (
        "put_into_training_mode",
        "At the end the model is put into training mode, even if it came in eval mode. Put back the mode it came in.",
        [(BACK, "    model.train()\n")],
    ),
    (
        "gradients_recorded",
        "Gradients are recorded, and memory grows with every token for nothing. Work under torch.no_grad().",
        [(NO_GRAD, "")],
    ),
    (
        "written_over_the_prompt",
        "The window is pushed along inside the caller's tensor, so the prompt is lost. Make a new tensor.",
        [
            (APPEND, f"{APPEND}\n        ids.copy_(text[:, -ids.shape[1] :])"),
        ],
    ),
    (
        "a_list",
        "The text is a list of lists; return a tensor.",
        [(RETURN, "return text.tolist()")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(by_multinomial, name, says, *changes)
