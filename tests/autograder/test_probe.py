"""Whatever a student's object does, the probe returns plain values and leaves the session as it found it."""

import random
import re
import sys
import time
import warnings

import numpy
import pytest
import torch
from torch import Tensor, nn

from autograder import given, probe, wire
from autograder.given import HERE
from autograder.program import Plan
from autograder.wire import Other, Ref
from course_lib.gpt import GPT


def run(plan, *objects, seconds=5.0):
    return probe.run(plan.steps, objects, seed=plan.seed, seconds=seconds)


def call(function, *args, seconds=5.0, **kwargs):
    plan = Plan()
    plan.expect(plan.call(*args, **kwargs), None, "")
    reply = run(plan, function, seconds=seconds)
    return next(iter(reply["values"].values()), None), reply


def test_a_value_comes_back():
    value, reply = call(lambda x, k: x * k, torch.arange(3.0), k=2)
    assert torch.equal(value, torch.tensor([0.0, 2.0, 4.0])) and reply["error"] is None


@pytest.mark.parametrize(
    ("function", "kind", "type_"),
    [
        (lambda: 1 / 0, "exception", "ZeroDivisionError"),
        (lambda: sys.exit(0), "exception", "SystemExit"),
        (lambda: call_forever(), "exception", "RecursionError"),
        (lambda x: x, "exception", "TypeError"),
        (lambda: (_ for _ in ()).throw(NotImplementedError), "unwritten", "NotImplementedError"),
        ("a string", "unmet", "Unmet"),
        (None, "unmet", "Unmet"),
    ],
)
def test_an_error_is_described_not_raised(function, kind, type_):
    _, reply = call(function)
    assert (reply["error"]["kind"], reply["error"]["type"]) == (kind, type_)
    assert reply["error"]["message"] or kind == "unwritten" or type_ == "SystemExit"


def call_forever():
    return call_forever()


def test_each_step_has_all_of_the_time():
    def spin():
        began = time.process_time()
        while time.process_time() - began < 0.3:
            pass

    plan = Plan()
    for _ in range(3):
        plan.expect(plan.call(), None, "")
    assert run(plan, spin, seconds=0.6)["error"] is None


def test_an_endless_loop_ends():
    def loop():
        while True:
            try:
                while True:
                    pass
            except Exception:
                continue

    _, reply = call(loop, seconds=0.2)
    assert reply["error"]["kind"] == "timeout"


def test_an_endless_sleep_ends():
    _, reply = call(lambda: time.sleep(600), seconds=0.1)
    assert reply["error"]["kind"] == "timeout"


def test_a_limit_that_is_swallowed_rings_again():
    def stubborn():
        for _ in range(2):
            try:
                while True:
                    pass
            except BaseException:
                continue

    _, reply = call(stubborn, seconds=0.1)
    assert reply["error"] is None or reply["error"]["kind"] == "timeout"


def test_the_persons_own_interrupt_passes_through():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(interrupted)


@pytest.mark.filterwarnings("ignore:careful")
def test_output_is_kept_short_and_off_the_screen(capsys):
    def talk():
        for _ in range(10_000):
            print("noise")
        warnings.warn("careful", stacklevel=1)
        print("to stderr", file=sys.stderr)

    _, reply = call(talk)
    assert reply["printed"].startswith("noise") and len(reply["printed"]) <= probe.MAX_TEXT
    assert capsys.readouterr() == ("", "")


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")


class Liar(Tensor):
    pass


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (numpy.ones(3), "numpy.ndarray"),
        (numpy.float64(1.0), "numpy.float64"),
        ({1, 2}, "set"),
        (Hostile(), "test_probe.Hostile"),
        ((i for i in range(3)), "generator"),
        (torch.eye(2).to_sparse(), "torch.Tensor"),
    ],
)
def test_other_types_are_named(value, type_):
    got, _ = call(lambda: value)
    assert isinstance(got, Other) and got.type.endswith(type_)


def test_tensor_subclasses_become_plain_tensors():
    got, _ = call(lambda: torch.ones(2).as_subclass(Liar))
    assert type(got) is Tensor


def test_every_case_starts_from_known_state_and_leaves_none_behind():
    torch.manual_seed(1)
    random.seed(1)
    numpy.random.seed(1)
    before = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()

    def draw():
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return torch.rand(2).double(), random.random(), float(numpy.random.rand())

    plan = Plan()
    plan.expect(plan.call(), None, "")
    request = wire.encode({"steps": plan.steps, "seed": 1, "seconds": 5.0})
    first, second = (next(iter(wire.decode(a)["values"].values())) for a in probe.answers([request] * 2, (draw,)))
    assert torch.equal(first[0], second[0]) and first[1:] == second[1:]
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert numpy.random.get_state()[1].tolist() == before[2]
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()


def test_grad_mode_and_dtype_of_the_person_are_set_aside_and_given_back():
    with torch.no_grad():
        plan = Plan()
        x = plan.put(torch.ones(2), grad=True)
        plan.backward(plan.call(x), torch.ones(2))
        plan.expect_grad(x, 2 * torch.ones(2), "x")
        reply = run(plan, lambda x: 2 * x)
        assert not torch.is_grad_enabled()
    assert reply["error"] is None


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 3, bias=False)])
        self.plain = [nn.Linear(2, 2)]

    def forward(self, x):
        return self.layers[0](x)


def test_weights_are_set_by_path_and_read_back():
    plan = Plan()
    module = plan.call()
    weight = torch.arange(6.0).reshape(3, 2)
    plan.load(module, {"layers.0.weight": weight, "layers.0.bias": torch.ones(3)}, optional=("layers.0.bias",))
    plan.expect(plan.call(torch.ones(1, 2), on=module), None, "")
    plan.expect_parameters(module, ["layers.0.weight"])
    reply = run(plan, Two)
    output, names = reply["values"].values()
    assert torch.equal(output, weight.sum(1)[None]) and names == ["layers.0.weight"]


@pytest.mark.parametrize(
    ("path", "shape", "message"),
    [
        ("layers.1.weight", (3, 2), "list index|out of range"),
        ("nothing.weight", (3, 2), "no attribute `nothing`"),
        ("layers.0.weight", (2, 3), r"must have shape \[2, 3\], got \[3, 2\]"),
        ("layers.0.bias", (3,), "`layers.0.bias` must be a parameter, got NoneType"),
    ],
)
def test_weights_that_do_not_fit_are_explained(path, shape, message):
    plan = Plan()
    plan.load(plan.call(), {path: torch.zeros(shape)})
    error = run(plan, Two)["error"]
    assert re.search(message, error["message"])


def test_inputs_are_copies_but_a_put_value_is_shared_between_steps():
    plan = Plan()
    x = plan.put(torch.zeros(2))
    plan.call(x)
    plan.expect(x, torch.zeros(2), "x")
    reply = run(plan, lambda x: x.add_(1))
    assert torch.equal(next(iter(reply["values"].values())), torch.ones(2))
    assert torch.equal(plan.steps[0]["value"], torch.zeros(2))


def test_the_line_that_failed_is_quoted():
    _, reply = call(lambda: 1 / 0)
    assert "lambda: 1 / 0" in reply["error"]["line"]


def test_a_given_model_remembers_how_it_was_treated():
    plan = Plan()
    table = torch.randn(5, 3)
    model = plan.given("layers", ops=[["rows", table], ["dropout"]], block=4)
    plan.call(False, on=model, method="train")
    plan.call(True, on=Ref(model.name, ("drop",)), method="train")
    ids = torch.tensor([[1, 4]])
    plan.expect(plan.call(model, ids), None, "what the student makes of it")
    for name in ("ever_training", "ever_recording", "calls", "longest", "block", "modes"):
        plan.expect(Ref(model.name, (name,)), None, name)

    def student(model, ids):
        assert len(list(model.parameters())) == 1
        model.eval()
        with torch.no_grad():
            return model(ids)

    logits, *facts, modes = run(plan, student)["values"].values()
    assert torch.equal(logits, table[ids]) and not any(modes)
    assert facts == [False, False, 1, 2, 4]
    _, training, recording, *_ = run(plan, lambda model, ids: model(ids))["values"].values()
    assert training and recording


def test_a_given_gpt_is_the_courses_and_cannot_cache():
    plan = Plan()
    model = plan.given("gpt", vocab=11, block=7, dim=6, depth=2, heads=3)
    torch.manual_seed(0)
    own = GPT(11, 7, 6, 2, 3).eval()
    weights = {name: torch.randn_like(weight) for name, weight in own.state_dict().items()}
    weights["head.weight"] = weights["tokens.weight"]
    own.load_state_dict(weights)
    plan.load(model, weights)
    ids = torch.randint(11, (2, 7))
    plan.expect(plan.call(model, ids), None, "the logits of a full block")
    for name in ("block", "head.weight"):
        plan.expect(model[name], None, name)

    def student(model, ids):
        assert model.head.weight is model.tokens.weight and model.blocks[1].attn.heads == 3
        assert not hasattr(model, "states"), "it would cache for the student"
        return model(ids)

    reply = run(plan, student)
    assert reply["error"] is None
    logits, block, head = reply["values"].values()
    assert torch.allclose(logits, own(ids), atol=1e-4)
    assert block == 7 and torch.equal(head, weights["tokens.weight"])


def test_an_iterator_is_gone_through_once():
    plan = Plan()
    batches = plan.iterator((torch.ones(2), 1), (torch.zeros(1), 2))
    plan.expect(plan.call(batches), None, "")
    plan.expect(plan.call(batches), None, "")
    first, second = run(plan, lambda batches: [number for _, number in batches])["values"].values()
    assert (first, second) == ([1, 2], [])


def test_a_generator_draws_the_same_again_and_leaves_the_global_state():
    def values(student):
        plan = Plan(seed=3)
        for seed in (5, 5, 6):
            plan.expect(plan.call(plan.generator(seed)), None, "")
        plan.expect_global_random_untouched()
        return list(run(plan, student)["values"].values())

    one, two, other, untouched = values(lambda generator: torch.rand(2, generator=generator))
    assert torch.equal(one, two) and not torch.equal(one, other) and untouched is True
    assert values(lambda generator: torch.rand(2))[-1] is False
    assert values(lambda generator: torch.manual_seed(3) and torch.rand(1))[-1] is False


def test_a_field_of_points_is_differentiated_and_its_weights_too():
    plan = Plan()
    x = plan.put(torch.tensor([[2.0, 3.0], [-1.0, 0.5]]), grad=True)
    coefficients = plan.put(torch.tensor([1.0, 4.0]), grad=True)
    field = plan.function(["polynomial", [[3, 1], [0, 2]], coefficients])  # x³y + 4y²
    y = plan.call(x, on=field)
    plan.expect(y, None, "")
    plan.backward(y, torch.ones(2, 1))
    plan.expect_grad(x, None, "x")
    plan.expect_grad(coefficients, None, "the coefficients")
    value, slope, weights = run(plan)["values"].values()
    assert torch.allclose(value, torch.tensor([[24.0 + 36], [-0.5 + 1]]))
    assert torch.allclose(slope, torch.tensor([[36.0, 8 + 24], [1.5, -1 + 4]]))
    assert torch.allclose(weights, torch.tensor([24.0 - 0.5, 9.25]))


class Table(nn.Module):
    """Adds a table that is a buffer, or is not."""

    def __init__(self, registered):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.table = torch.ones(3)
        if registered:
            del self.table
            self.register_buffer("table", torch.ones(3))

    def forward(self, x):
        return x * self.scale + self.table


def looks_at_a_number(x):
    return x if bool((x > 0).any()) else -x


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (Table(True), HERE),
        (Table(False), "a mix of devices"),
        (lambda x: torch.ones(2), "on another device"),
        (lambda x: x.masked_fill(torch.ones(2, 3).tril().bool(), 0), "a mix of devices"),
        (lambda x: x + torch.ones(3, device=x.device), HERE),
        (looks_at_a_number, HERE),
    ],
)
def test_what_stays_behind_when_the_input_moves_is_seen(target, says):
    plan = Plan()
    plan.expect_follows_device(Ref("student", (0,)), torch.ones(2, 3))
    assert list(run(plan, target)["values"].values()) == [says]


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match=r"no model is called 'oracle'; there are \['"):
        given.build("oracle")
