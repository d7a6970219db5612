"""The check of ``lm_loss(logits, targets, ignore_index=-100)``."""

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan

EXERCISE = Exercise("gpt.lm_loss", objects=("lm_loss",))


def by_hand(logits: Tensor, targets: Tensor, ignored: int = -100) -> tuple[Tensor, Tensor]:
    """The loss and its gradient, target by target in float64: log of the sum of exponentials minus the target's own.

    The gradient of one target's surprise is its distribution less one at the target, here written out.
    """
    rows = logits.double().reshape(-1, logits.shape[-1])
    gradient = torch.zeros_like(rows)
    surprises = []
    for place, target in enumerate(targets.flatten().tolist()):
        if target != ignored:
            away = rows[place] - rows[place].max()
            total = away.exp().sum()
            surprises.append(total.log() - away[target])
            gradient[place] = away.exp() / total
            gradient[place, target] -= 1
    count = max(len(surprises), 1)
    loss = torch.stack(surprises).sum() / count if surprises else torch.zeros((), dtype=torch.float64)
    return loss.to(logits.dtype), (gradient / count).reshape(logits.shape).to(logits.dtype)


def draw_ids(draw: Draw, vocab: int, *shape: int) -> Tensor:
    """Ids from 0 to vocab - 1, with a 0 at the front: it is an id like any other."""
    ids = torch.randint(vocab, shape, generator=draw.generator)
    ids.view(-1)[0] = 0
    return ids


def ignore_unevenly(targets: Tensor, ignored: int) -> Tensor:
    """Text i of [b n] loses its last i + 1 targets: rows have different numbers of them left."""
    targets = targets.clone()
    for row in range(len(targets)):
        targets[row, targets.shape[1] - 1 - row :] = ignored
    return targets


@EXERCISE.case(points=1, cause="the loss is the mean of -log softmax(logits)[target], with the natural logarithm.")
def one_text(draw: Draw, plan: Plan) -> None:
    """One text: logits [n v] and targets [n]"""
    # two of them, here and below: one wrong mean may by chance be as large as the right one
    for _ in range(2):
        n, v = draw.sizes(2, 3, 8)
        logits, targets = 2 * draw.normal(n, v), draw_ids(draw, v, n)
        plan.expect(plan.call(logits, targets), by_hand(logits, targets)[0], "lm_loss(logits, targets)")


@EXERCISE.case(points=1, cause="flatten all axes but the last: logits.reshape(-1, v) and targets.reshape(-1).")
def leading_axes(draw: Draw, plan: Plan) -> None:
    """Several texts [b n v], then one axis more; logits and targets cut out of larger tensors"""
    for lead in (2, 3):
        *shape, v = draw.sizes(lead + 1, 3, 8)
        logits, targets = 2 * draw.normal(*shape, v), draw_ids(draw, v, *shape)
        what = f"the loss for logits with {lead + 1} axes"
        plan.expect(plan.call(logits, targets), by_hand(logits, targets)[0], what)
    # transposed on the student's side, since a tensor that is sent arrives in order
    b, n, v = draw.sizes(3, 3, 8)
    logits, targets = 2 * draw.normal(n, b, v), draw_ids(draw, v, n, b)
    turned = [plan.call(0, 1, on=plan.put(value), method="transpose") for value in (logits, targets)]
    want = by_hand(logits.transpose(0, 1), targets.T)[0]
    plan.expect(plan.call(*turned), want, "the loss for tensors that do not lie in order in memory")


@EXERCISE.case(points=1, cause="average over the targets that count, all texts together, and leave the others out.")
def ignored_targets(draw: Draw, plan: Plan) -> None:
    """Padding, marked by -100: more of it in one text than in another"""
    for _ in range(2):
        b, n, v = 3, draw.integer(5, 7), 8
        logits, targets = 2 * draw.normal(b, n, v), ignore_unevenly(draw_ids(draw, v, b, n), -100)
        plan.expect(plan.call(logits, targets), by_hand(logits, targets)[0], "the loss with targets of -100")


@EXERCISE.case(
    points=0.5, cause="ignore_index may be any number, even one that is also an id; then -100 means nothing."
)
def another_mark(draw: Draw, plan: Plan) -> None:
    """ignore_index -1, and then an id of the vocabulary"""
    b, n, v = 3, draw.integer(5, 7), 8
    for ignored in (-1, 0, draw.integer(2, 7)):
        logits, targets = 2 * draw.normal(b, n, v), ignore_unevenly(draw_ids(draw, v, b, n), ignored)
        out = plan.call(logits, targets, ignore_index=ignored)
        plan.expect(out, by_hand(logits, targets, ignored)[0], f"the loss with ignore_index={ignored}")


@EXERCISE.case(
    points=0.5, cause="with no target left the mean divides 0 by 0: divide by at least one, so that it is 0."
)
def nothing_to_predict(draw: Draw, plan: Plan) -> None:
    """Every target ignored: loss and gradient are zero"""
    b, n, v = draw.sizes(3)
    logits, targets = draw.normal(b, n, v), torch.full((b, n), -100)
    leaf = plan.put(logits, grad=True)
    out = plan.call(leaf, targets)
    plan.expect(out, torch.zeros(()), "the loss of mere padding")
    plan.backward(out, torch.ones(()))
    plan.expect_grad(leaf, torch.zeros(b, n, v), "logits")


@EXERCISE.case(
    points=0.5, cause="never take log of softmax: a probability that underflows to 0 gives -inf. Use log_softmax."
)
def sure_of_themselves(draw: Draw, plan: Plan) -> None:
    """Logits of ±1000, where exp overflows and probabilities underflow"""
    for _ in range(2):
        n, v = draw.sizes(2, 4, 8)
        logits, targets = 1e3 * draw.normal(n, v), draw_ids(draw, v, n)
        targets[-1] = logits[-1].argmin()
        plan.expect(plan.call(logits, targets), by_hand(logits, targets)[0], "the loss for logits of ±1000")


@EXERCISE.case(points=1, cause="return a scalar tensor in the dtype of logits, change no input, let gradients through.")
def contract(draw: Draw, plan: Plan) -> None:
    """float64 stays float64, inputs stay as they were, gradients flow"""
    b, n, v = 3, draw.integer(5, 7), 8
    values, ids = draw.normal(b, n, v, dtype=torch.float64), ignore_unevenly(draw_ids(draw, v, b, n), -100)
    loss, gradient = by_hand(values, ids)
    logits, targets = plan.put(values), plan.put(ids)
    plan.expect(plan.call(logits, targets), loss, "the loss for float64 logits")
    plan.expect(logits, values, "logits after the call")
    plan.expect(targets, ids, "targets after the call")
    leaf, factor = plan.put(values, grad=True), torch.tensor(draw.uniform(1.5, 2.5), dtype=torch.float64)
    plan.backward(plan.call(leaf, targets), factor)
    plan.expect_grad(leaf, factor * gradient, "logits")


@EXERCISE.variant
def logarithms_gathered() -> None:
    """log_softmax, one entry a target, a mask"""

    def lm_loss(logits, targets, ignore_index=-100):
        counts = targets != ignore_index
        index = targets.masked_fill(~counts, 0)
        logs = logits.log_softmax(-1)
        surprise = -logs.gather(-1, index.unsqueeze(-1)).squeeze(-1)
        total = surprise.masked_fill(~counts, 0.0).sum()
        return total / counts.sum().clamp(min=1)


@EXERCISE.variant
def by_cross_entropy() -> None:
    """torch's own loss, but for a batch of mere padding"""

    def lm_loss(logits, targets, ignore_index=-100):
        flat, aims = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
        if (aims == ignore_index).all():
            return logits.sum() * 0
        return F.cross_entropy(flat, aims, ignore_index=ignore_index)


@EXERCISE.variant
def selected_first() -> None:
    """Only what counts is looked at; logsumexp minus the target's logit"""

    def lm_loss(logits, targets, ignore_index=-100):
        counts = targets != ignore_index
        kept, aims = logits[counts], targets[counts]
        surprise = kept.logsumexp(-1) - kept[torch.arange(len(aims)), aims]
        return surprise.sum() / max(len(aims), 1)


@EXERCISE.variant
def one_hot_product() -> None:
    """Targets as one-hot rows, einsum"""

    def lm_loss(logits, targets, ignore_index=-100):
        counts = (targets != ignore_index).to(logits.dtype)
        aims = F.one_hot(torch.where(targets == ignore_index, 0, targets), logits.shape[-1]).to(logits.dtype)
        logs = logits - torch.logsumexp(logits, dim=-1, keepdim=True)
        return -torch.einsum("...v,...v,...->", logs, aims, counts) / counts.sum().clamp_min(1)


@EXERCISE.variant
def target_by_target() -> None:
    """A Python loop over the targets"""

    def lm_loss(logits, targets, ignore_index=-100):
        total, count = logits.sum() * 0, 0
        for row, target in zip(logits.reshape(-1, logits.size(-1)), targets.reshape(-1).tolist(), strict=True):
            if target != ignore_index:
                total = total - F.log_softmax(row, dim=0)[target]
                count += 1
        return total / max(count, 1)


@EXERCISE.mistake
def classes_on_the_second_axis() -> None:
    """cross_entropy looks for the vocabulary on axis 1, which is right for logits [n v] alone. Flatten batch and
    tokens first, or move the vocabulary to axis 1."""

    def lm_loss(logits, targets, ignore_index=-100):
        total = F.cross_entropy(logits, targets, ignore_index=ignore_index, reduction="sum")
        return total / (targets != ignore_index).sum().clamp(min=1)


@EXERCISE.mistake
def flattened_by_view() -> None:
    """.view refuses tensors that do not lie in order in memory, such as transposed ones or a slice targets[:, 1:].
    Use .reshape."""

    def lm_loss(logits, targets, ignore_index=-100):
        flat, aims = logits.view(-1, logits.shape[-1]), targets.view(-1)
        total = F.cross_entropy(flat, aims, ignore_index=ignore_index, reduction="sum")
        return total / (aims != ignore_index).sum().clamp(min=1)


@EXERCISE.mistake
def nan_for_mere_padding() -> None:
    """With every target ignored the mean is 0/0 = NaN, and one such batch turns all weights into NaN. Divide the sum
    by at least one."""

    def lm_loss(logits, targets, ignore_index=-100):
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=ignore_index)


@EXERCISE.mistake
def ignore_index_not_passed_on() -> None:
    """`ignore_index` is taken in and not passed on: only -100, the default of cross_entropy, is left out."""

    def lm_loss(logits, targets, ignore_index=-100):
        total = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="sum")
        return total / (targets != -100).sum().clamp(min=1)


@EXERCISE.mistake
def softmax_twice() -> None:
    """cross_entropy takes logits and applies log-softmax by itself; here it gets probabilities, so softmax is taken
    twice and the loss can never come near zero."""

    def lm_loss(logits, targets, ignore_index=-100):
        flat = logits.softmax(-1).reshape(-1, logits.shape[-1])
        total = F.cross_entropy(flat, targets.reshape(-1), ignore_index=ignore_index, reduction="sum")
        return total / (targets != ignore_index).sum().clamp(min=1)


@EXERCISE.mistake
def shifted_once_more() -> None:
    """The targets are shifted by one against the logits inside the loss, as some libraries do. Here they already
    are the next tokens: targets[i] belongs to logits[i]."""

    def lm_loss(logits, targets, ignore_index=-100):
        token_axis = targets.ndim - 1
        logits = logits.narrow(token_axis, 0, logits.shape[token_axis] - 1)
        targets = targets.narrow(token_axis, 1, targets.shape[token_axis] - 1)
        flat, aims = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
        total = F.cross_entropy(flat, aims, ignore_index=ignore_index, reduction="sum")
        return total / (aims != ignore_index).sum().clamp(min=1)


TARGETS = "index = targets.masked_fill(~counts, 0)"
TOTAL = "surprise.masked_fill(~counts, 0.0).sum()"
COUNT = "counts.sum().clamp(min=1)"
LOGS = "logits.log_softmax(-1)"
RETURN = f"return total / {COUNT}"
SLIPS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "divided_by_all_targets",
        "The sum is divided by the number of all targets, ignored ones too: padding makes the loss look smaller.",
        [(COUNT, "max(targets.numel(), 1)")],
    ),
    (
        "mean_of_the_texts_means",
        "Each text is averaged by itself and then the texts: a target in a short text counts for more than one in a "
        "long text. Average over all targets together.",
        [
            ("total = " + TOTAL, "sums = surprise.masked_fill(~counts, 0.0).sum(-1)"),
            (RETURN, "return (sums / counts.sum(-1).clamp(min=1)).mean()"),
        ],
    ),
    (
        "sum_for_mean",
        "This is the sum over the targets; divide by how many count, so that batches of any size compare.",
        [(RETURN, "return total")],
    ),
    (
        "sum_over_a_text",
        "The surprises of a text are added up and only the texts averaged; divide by the number of targets.",
        [(COUNT, "max(math.prod(targets.shape[:-1]), 1)")],
    ),
    (
        "not_averaged_at_all",
        "One loss for each target is returned; the mean over them is wanted, a scalar.",
        [(RETURN, "return surprise.masked_fill(~counts, 0.0)")],
    ),
    (
        "sign_forgotten",
        "The sign is missing: log p is negative, and its negative is the surprise to be made small.",
        [("surprise = -logs", "surprise = logs")],
    ),
    (
        "in_bits",
        "The logarithm is to base 2, so this is in bits; nats are wanted, the natural logarithm.",
        [(RETURN, f"{RETURN} / math.log(2)")],
    ),
    (
        "perplexity",
        "This is the perplexity, exp of the loss. Return the loss itself.",
        [(RETURN, f"return (total / {COUNT}).exp()")],
    ),
    (
        "logarithm_of_softmax",
        "log(softmax(x)) is -inf where a probability underflows to zero; log_softmax never takes exp of the answer.",
        [(LOGS, "logits.softmax(-1).log()")],
    ),
    (
        "small_number_in_the_logarithm",
        "A small number inside the logarithm hides the underflow: no surprise can exceed 20 nats and the gradient "
        "vanishes where it is needed most. Use log_softmax.",
        [(LOGS, "torch.log(logits.softmax(-1) + 2e-9)")],
    ),
    (
        "not_normalised",
        "The target's logit is taken for its log-probability; the logsumexp over the vocabulary is missing.",
        [(LOGS, "logits")],
    ),
    (
        "softmax_over_tokens",
        "Softmax runs along the axis of tokens; the alternatives to each target are along the last axis.",
        [(LOGS, "logits.log_softmax(-2)")],
    ),
    (
        "nothing_ignored",
        "Ignored targets are counted as though id 0 had been the target; leave them out of the sum and of the count.",
        [(TOTAL, "surprise.sum()"), (COUNT, "targets.numel()")],
    ),
    (
        "id_zero_ignored_too",
        "Ignored targets are turned into id 0 and then everything with id 0 is left out, real targets too.",
        [("    surprise = -", "    counts = index != 0\n    surprise = -")],
    ),
    (
        "negative_ids_ignored",
        "All negative targets are ignored and nothing else; ask whether a target equals ignore_index.",
        [("targets != ignore_index", "targets >= 0")],
    ),
    (
        "targets_overwritten",
        "The ignored targets are overwritten in the caller's tensor. Make a new one, with masked_fill or where.",
        [(TARGETS, "index = targets.masked_fill_(~counts, 0)")],
    ),
    (
        "in_single_precision",
        "The loss comes back in float32 whatever came in; compute in the dtype of the logits.",
        [(LOGS, "logits.float().log_softmax(-1)")],
    ),
    (
        "number_returned",
        "A Python number comes back, through which no gradient can flow. Return the tensor; call .item() to print it.",
        [(RETURN, f"return (total / {COUNT}).item()")],
    ),
    (
        "detached",
        "The logits are detached, so no gradient reaches the model.",
        [(LOGS, "logits.detach().log_softmax(-1)")],
    ),
]
for name, says, changes in SLIPS:
    EXERCISE.slip(logarithms_gathered, name, says, *changes)
