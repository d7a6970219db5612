"""The check of ``evaluate(model, batches)``."""

from __future__ import annotations

import torch
from torch import Tensor

from autograder.exercise import Draw, Exercise
from autograder.program import Plan
from autograder.wire import Ref

EXERCISE = Exercise("vit.evaluate", objects=("evaluate",))
Batches = list[tuple[Tensor, Tensor]]


def scene(draw: Draw, *sizes: int, classes: int = 5) -> tuple[Batches, Tensor, float]:
    """Batches of the given sizes, the weight of a linear model [c*h*w classes], and the share that it has right.

    About half of the labels are those of the largest logit, found one image at a time in float64; no two batches
    have the same share of right ones, so that a mean over batches is not the mean over images. A wrong label is neither
    that of the smallest logit nor what argmax along the batch finds at its place; that finds no more than ``classes``
    labels of a batch, and so misses the last one of the first batch, which is right and must be further down.
    """
    shape = (2, 3, 4)
    while True:
        weight = draw.normal(24, classes)
        batches, shares = [], []
        for b in sizes:
            images = draw.normal(b, *shape)
            logits = torch.stack([image.flatten().double() @ weight.double() for image in images])
            along = logits.argmax(0).tolist()
            rights = [draw.uniform(0, 1) < 0.5 for _ in range(b - 1)] + [not batches or draw.uniform(0, 1) < 0.5]
            labels = []
            for i, right in enumerate(rights):
                smallest, *others, largest = logits[i].argsort().tolist()
                others = [c for c in others if c not in along[i : i + 1]]
                labels.append(largest if right else others[draw.integer(0, len(others) - 1)])
            batches.append((images, torch.tensor(labels)))
            shares.append((sum(rights), b))
        right, total = sum(r for r, _ in shares), sum(sizes)
        ratios = [r / b for r, b in shares]
        uneven = len(sizes) == 1 or abs(sum(ratios) / len(ratios) - right / total) > 0.02
        if 0 < right < total and uneven and len(set(ratios)) == len(ratios):
            return batches, weight, right / total


def linear(plan: Plan, weight: Tensor, *more: list) -> Ref:
    """A model: the flattened images times ``weight``, then ``more``."""
    return plan.given("layers", ops=[["flatten"], *more, ["linear", weight]])


@EXERCISE.case(points=1, cause="the share of images whose largest logit, along the last axis, is that of the label.")
def one_batch(draw: Draw, plan: Plan) -> None:
    """One batch: how many of its images are right"""
    batches, weight, share = scene(draw, 11)
    plan.expect(plan.call(linear(plan, weight), batches), share, "the accuracy", strict=False)


@EXERCISE.case(points=1.5, cause="count right images and all images over all batches, and divide once at the end.")
def uneven_batches(draw: Draw, plan: Plan) -> None:
    """Batches of different sizes, the last one small: every image counts alike"""
    for sizes in ((9, 8, 2), (7, 1)):
        batches, weight, share = scene(draw, *sizes)
        what = f"the accuracy over batches of {', '.join(map(str, sizes))} images"
        plan.expect(plan.call(linear(plan, weight), batches), share, what, strict=False)


@EXERCISE.case(points=0.5, cause="return a Python number: for a tensor, .item(); for a ratio of numbers, just that.")
def number(draw: Draw, plan: Plan) -> None:
    """The result is a Python float, also if all images are right or none is"""
    batches, weight, share = scene(draw, 6, 5)
    plan.expect(plan.call(linear(plan, weight), batches), share, "the accuracy")
    images = [images for images, _ in batches]
    best = [(x.flatten(1).double() @ weight.double()).argmax(-1) for x in images]
    for shift, want in ((0, 1.0), (1, 0.0)):
        shifted = [(x, (c + shift) % 5) for x, c in zip(images, best, strict=True)]
        plan.expect(plan.call(linear(plan, weight), shifted), want, "the accuracy where all or none is right")


@EXERCISE.case(points=1, cause="call model.eval() before the first batch: dropout and batch norm behave otherwise.")
def dropout_is_off(draw: Draw, plan: Plan) -> None:
    """A model with dropout that comes in training mode is measured in eval mode"""
    batches, weight, share = scene(draw, 40, 23)
    model = linear(plan, weight, ["dropout"])
    plan.expect(plan.call(model, batches), share, "the accuracy of a model with dropout", strict=False)
    plan.expect(Ref(model.name, ("ever_training",)), False, "whether any part was in training mode when called")
    plan.expect_global_random_untouched()


@EXERCISE.case(points=1, cause="note each module's `training` before, and set that again; model.train() is a guess.")
def mode_is_put_back(draw: Draw, plan: Plan) -> None:
    """Every part is in the mode afterwards in which it was before: training, eval, or some parts in each"""
    for whole, part in ((True, True), (False, False), (True, False), (False, True)):
        batches, weight, share = scene(draw, 7, 4)
        model = linear(plan, weight, ["dropout"])
        plan.call(whole, on=model, method="train")
        plan.call(part, on=Ref(model.name, ("drop",)), method="train")
        plan.expect(plan.call(model, batches), share, "the accuracy", strict=False)
        state = f"the training flag of the model, which was {whole} while a part's was {part},"
        plan.expect(Ref(model.name, ("training",)), whole, f"{state} after the call")
        plan.expect(Ref(model.name, ("drop", "training")), part, f"the part's flag, {part} in a model with {whole},")


@EXERCISE.case(
    points=0.5, cause="go through `batches` once, with a for loop: it may have no length and no second time."
)
def batches_as_they_come(draw: Draw, plan: Plan) -> None:
    """Batches that come one by one and only once"""
    batches, weight, share = scene(draw, 6, 3, 2)
    stream = plan.iterator(*batches)
    what = "the accuracy over an iterator of batches"
    plan.expect(plan.call(linear(plan, weight), stream), share, what, strict=False)


@EXERCISE.case(points=0.5, cause="run the model inside `with torch.no_grad():`, which ends by itself; change nothing.")
def nothing_left_behind(draw: Draw, plan: Plan) -> None:
    """No gradients are recorded meanwhile; images and weights stay as they were, and training can go on"""
    batches, weight, share = scene(draw, 6, 3, 2)
    model = linear(plan, weight)
    kept = [plan.put(tensor) for batch in batches for tensor in batch]
    pairs = [tuple(kept[i : i + 2]) for i in range(0, len(kept), 2)]
    plan.expect(plan.call(model, pairs), share, "the accuracy", strict=False)
    plan.expect(Ref(model.name, ("ever_recording",)), False, "whether gradients were recorded")
    for ref, tensor in zip(kept, [tensor for batch in batches for tensor in batch], strict=True):
        plan.expect(ref, tensor, "the images and labels after the call")
    plan.expect(Ref(model.name, ("weights.0",)), weight, "the model's weights after the call")
    # images with a gradient of their own tell a model that was frozen from autograd that was left switched off
    images, cotangent = batches[0][0], draw.normal(6, weight.shape[1])
    plan.backward(plan.call(plan.put(images, grad=True), on=model), cotangent)
    gradient = images.flatten(1).double().mT @ cotangent.double()
    plan.expect_grad(Ref(model.name, ("weights.0",)), gradient.float(), "the model's weights in training afterwards")


@EXERCISE.variant
def flags_in_a_list() -> None:
    """The flags of all modules noted and set again, sums in Python numbers"""

    def evaluate(model, batches):
        flags = [(module, module.training) for module in model.modules()]
        model.eval()
        right = total = 0
        with torch.no_grad():
            for images, labels in batches:
                logits = model(images)
                right += (logits.argmax(dim=-1) == labels).sum().item()
                total += len(labels)
        for module, flag in flags:
            module.training = flag
        return right / total


@EXERCISE.variant
def everything_joined() -> None:
    """All answers gathered first, then compared at once; inference mode"""

    def evaluate(model, batches):
        training = {name: module.training for name, module in model.named_modules()}
        model.train(False)
        try:
            with torch.inference_mode():
                pairs = [(model(images), labels) for images, labels in batches]
        finally:
            for name, module in model.named_modules():
                module.training = training[name]
        logits, labels = (torch.cat(part) for part in zip(*pairs, strict=True))
        return logits.max(dim=1).indices.eq(labels).double().mean().item()


@EXERCISE.variant
def image_by_image() -> None:
    """One image after another, the mode put back by a decorated inner function"""

    def evaluate(model, batches):
        modes = [m.training for m in model.modules()]
        for m in model.modules():
            m.training = False

        @torch.no_grad()
        def hits():
            for images, labels in batches:
                for image, label in zip(images, labels, strict=True):
                    yield float(model(image[None])[0].argmax() == label)

        found = list(hits())
        for m, mode in zip(model.modules(), modes, strict=True):
            m.training = mode
        return sum(found) / len(found)


RIGHT, TOTAL = "(logits.argmax(dim=-1) == labels).sum().item()", "total += len(labels)"
LOOP, RESTORED = "for images, labels in batches:", "for module, flag in flags:\n        module.training = flag"
SLIPS = [
    (
        "mean_over_batches",
        "The accuracies of the batches are averaged, so an image in a small last batch counts for more than others.",
        [(RIGHT, "(logits.argmax(dim=-1) == labels).float().mean().item()"), (TOTAL, "total += 1")],
    ),
    (
        "divided_by_equal_batches",
        "All images are counted as if every batch were as large as the first; the last one is usually smaller.",
        [(LOOP, "size = 0\n        " + LOOP), (TOTAL, "size = size or len(labels)\n            total += size")],
    ),
    (
        "last_batch_only",
        "The counts are started anew at every batch, so only the last one is in the result.",
        [(LOOP, LOOP + "\n            right = total = 0")],
    ),
    (
        "first_batch_only",
        "The result is returned from inside the loop, after the first batch.",
        [(TOTAL, "total += len(labels)\n            break")],
    ),
    (
        "along_the_batch",
        "argmax runs along the batch: for each class the best image, instead of for each image the best class.",
        [("right += (logits.argmax(dim=-1) == labels).sum().item()",
          "best = logits.argmax(dim=0)\n            m = min(len(best), len(labels))\n"
          "            right += (best[:m] == labels[:m]).sum().item()")],
    ),
    (
        "smallest_logit",
        "The smallest logit is taken for the answer; the largest is.",
        [("argmax", "argmin")],
    ),
    (
        "count_returned",
        "The number of right images is returned, not their share of all.",
        [("return right / total", "return float(right)")],
    ),
    (
        "percent",
        "The result is in percent; asked for is a share between 0 and 1.",
        [("return right / total", "return 100 * right / total")],
    ),
    (
        "error_rate",
        "The share of wrong images is returned, which is one minus the accuracy.",
        [("return right / total", "return 1 - right / total")],
    ),
    (
        "whole_number_division",
        "// divides whole numbers and drops the rest, so the accuracy is 0 unless all is right.",
        [("right / total", "float(right // total)")],
    ),
    (
        "a_tensor",
        "A tensor is returned; a Python float is asked for, so that it can be printed, compared and stored.",
        [("return right / total", "return torch.tensor(right / total)")],
    ),
    (
        "rounded",
        "The result is rounded, which belongs where it is printed.",
        [("return right / total", "return round(right / total, 2)")],
    ),
    (
        "still_training",
        "model.eval() is never called: dropout goes on dropping, so the accuracy is lower, and another at each call.",
        [("    model.eval()\n", "")],
    ),
    (
        "left_in_eval",
        "The model is left in eval mode, and training goes on without dropout from then on. Put the mode back.",
        [(RESTORED, "pass")],
    ),
    (
        "always_put_in_training",
        "model.train() at the end puts a model in training mode that came in eval mode.",
        [(RESTORED, "model.train()")],
    ),
    (
        "one_flag_for_all",
        "model.train(mode) gives all parts the mode of the whole: a part that was frozen in eval mode starts to train.",
        [("flags = [(module, module.training) for module in model.modules()]", "mode = model.training"),
         (RESTORED, "model.train(mode)")],
    ),
    (
        "flag_of_the_whole_only",
        "Only the flag of the model itself is put back; its parts stay in eval mode.",
        [(RESTORED, "model.training = flags[0][1]")],
    ),
    (
        "gradients_recorded",
        "Gradients are recorded all along: wrap the loop in torch.no_grad(), which saves time and memory.",
        [("with torch.no_grad():", "with torch.enable_grad():")],
    ),
    (
        "gradients_left_off",
        "torch.set_grad_enabled(False) is never taken back, so no model can be trained afterwards; `with "
        "torch.no_grad():` ends by itself.",
        [("with torch.no_grad():", "torch.set_grad_enabled(False)\n    if True:")],
    ),
    (
        "parameters_frozen",
        "requires_grad_(False) on the parameters saves the gradients, but the model can never be trained again; use "
        "torch.no_grad().",
        [("model.eval()", "model.eval().requires_grad_(False)")],
    ),
    (
        "gone_through_twice",
        "batches is gone through twice, but an iterator is used up after the first time; count while you go.",
        [(TOTAL, "pass"),
         ("    for module, flag", "    total = sum(len(y) for _, y in batches)\n    for module, flag")],
    ),
    (
        "len_of_batches",
        "len(batches) is asked for, which an iterator does not have.",
        [(LOOP, "count = len(batches)\n        " + LOOP)],
    ),
    (
        "seeded",
        "The global random state is seeded in the function, so that whatever is drawn afterwards repeats itself.",
        [("model.eval()", "model.eval()\n    torch.manual_seed(0)")],
    ),
    (
        "images_normalised_in_place",
        "The images are changed in place, and the caller's batches with them.",
        [("logits = model(images)", "logits = model(images.mul_(0.5))")],
    ),
]  # fmt: skip
for name, says, changes in SLIPS:
    EXERCISE.slip(flags_in_a_list, name, says, *changes)
