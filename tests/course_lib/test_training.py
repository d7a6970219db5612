"""Training: a run does what it says, can be interrupted anywhere and shared out, and never goes wrong silently."""

import io
import json
import math
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.gpt import GPT
from course_lib.positions import LearnedPositions
from course_lib.training import (
    CheckpointError,
    Curve,
    Progress,
    ProgressLine,
    TrainingDiverged,
    batch_indices,
    best_device,
    decay_groups,
    has_bf16,
    load_checkpoint,
    precision,
    read_curve,
    save_checkpoint,
    team,
    train,
    warmup_cosine,
)
from course_lib.training import loop as training_loop
from course_lib.transformer import TransformerBlock

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL_RUN = Path(__file__).with_name("small_run.py")
QUICK = dict(steps=6, batch=4, peak=1e-2)


def line(device="cpu"):
    """A linear model, and the squared error of fitting a known line through 20 points."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1).to(device)
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(1)).to(device)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]], device=device) + 0.25
    return model, lambda m, i: (m(x[i.to(device)]) - y[i.to(device)]).square().mean()


# schedule


def test_schedule_by_its_definition():
    rates = [warmup_cosine(step, 4, 24, 0.7, 0.1) for step in range(30)]
    assert rates[:4] == pytest.approx([0.175, 0.35, 0.525, 0.7])
    assert rates[4] == pytest.approx(0.7)  # the cosine begins at its top
    assert rates[14] == pytest.approx(0.4)  # half-way
    assert rates[9] == pytest.approx(0.1 + 0.6 * (1 + math.sqrt(0.5)) / 2)  # a quarter: no straight line
    assert rates[24:] == [0.1] * 6
    assert warmup_cosine(0, 0, 5, 0.3) == 0.3
    assert warmup_cosine(5, 5, 5, 0.3, 0.2) == 0.2  # nothing but warm-up


@pytest.mark.parametrize("bad", [(-1, 0, 5), (0, 6, 5), (0, -1, 5)])
def test_schedule_refuses_what_makes_no_sense(bad):
    with pytest.raises(ValueError, match="warmup <= total"):
        warmup_cosine(*bad, 1.0)


# groups


class Zoo(nn.Module):
    """One of each kind of parameter."""

    def __init__(self):
        super().__init__()
        self.tokens, self.cls = nn.Embedding(7, 4), nn.Parameter(torch.zeros(1, 1, 4))
        self.positions, self.conv = LearnedPositions(9, 4), nn.Conv2d(1, 4, 3)
        self.block, self.torch_attn = TransformerBlock(4, 2), nn.MultiheadAttention(4, 2)
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 7)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


def test_groups_are_complete_and_disjoint_and_split_by_kind():
    model = Zoo()
    decaying, others = decay_groups(model, 0.3)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    first, second = ({names[id(p)] for p in group["params"]} for group in (decaying, others))
    assert first == {
        "conv.weight", "head.weight", "torch_attn.in_proj_weight", "torch_attn.out_proj.weight",
        "block.attn.query.weight", "block.attn.key.weight", "block.attn.value.weight", "block.attn.out.weight",
        "block.mlp.0.weight", "block.mlp.2.weight",
    }  # fmt: skip
    assert not first & second
    assert first | second == {name for name in names.values() if not name.startswith("frozen")}
    assert len(decaying["params"]) == len(first) and len(others["params"]) == len(second)


def test_a_shared_table_is_in_one_group_and_does_not_decay():
    model = GPT(11, 6, 8, 1, 2)
    decaying, others = decay_groups(model, 0.1)
    tied = model.head.weight
    assert sum(p is tied for p in others["params"]) == 1 and not any(p is tied for p in decaying["params"])
    everything = decaying["params"] + others["params"]
    assert sorted(map(id, everything)) == sorted(map(id, model.parameters()))


def test_decay_acts_on_weights_alone():
    model = Zoo()
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(decay_groups(model, 0.5), lr=0.1)
    for p in model.parameters():
        p.grad = torch.zeros_like(p) if p.requires_grad else None
    optimizer.step()
    for name, p in model.named_parameters():
        factor = 0.95 if any(p is q for q in decay_groups(model, 0)[0]["params"]) else 1.0
        torch.testing.assert_close(p, before[name] * factor)


def test_groups_refuse_what_makes_no_sense():
    with pytest.raises(ValueError, match="negative"):
        decay_groups(nn.Linear(2, 2), -0.1)
    with pytest.raises(ValueError, match="no parameter"):
        decay_groups(nn.ReLU(), 0.1)


# order


def test_every_example_is_seen_once_an_epoch_whether_or_not_batches_divide():
    stream = torch.cat([batch_indices(step, 10, 4, seed=3) for step in range(10)])
    epochs = stream.view(4, 10)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(10))
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 4
    assert sorted(batch_indices(0, 3, 7, 0).bincount().tolist()) == [2, 2, 3]


def test_order_depends_on_seed_and_epoch_apart_and_on_no_state():
    first = batch_indices(5, 10, 4, seed=3)
    torch.manual_seed(99)
    batch_indices(0, 50, 4, seed=8)
    assert torch.equal(first, batch_indices(5, 10, 4, seed=3))
    # epoch 1 of seed 0 is not epoch 0 of seed 1
    assert not torch.equal(batch_indices(1, 30, 30, seed=0), batch_indices(0, 30, 30, seed=1))
    with pytest.raises(ValueError, match="positive"):
        batch_indices(0, 0, 4, 0)


# the loop


def by_hand(model, loss, *, steps, batch, peak, warmup, floor, decay, betas, clip, examples, seed):
    """AdamW, clipping and schedule written out (Loshchilov and Hutter 2019, algorithm 2), without torch.optim."""
    ps = list(model.parameters())
    m, v = [torch.zeros_like(p) for p in ps], [torch.zeros_like(p) for p in ps]
    losses, norms = [], []
    for t in range(steps):
        value = loss(model, batch_indices(t, examples, batch, seed))
        grads = torch.autograd.grad(value, ps)
        norm = math.sqrt(sum(g.square().sum().item() for g in grads))
        grads = [g * min(1.0, clip / (norm + 1e-6)) for g in grads]  # torch's guard against 0 / 0
        rate = peak * (t + 1) / warmup if t < warmup else (
            floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * (t - warmup) / (steps - warmup))))  # fmt: skip
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(ps, grads, strict=True)):
                m[i] = betas[0] * m[i] + (1 - betas[0]) * g
                v[i] = betas[1] * v[i] + (1 - betas[1]) * g * g
                hat = m[i] / (1 - betas[0] ** (t + 1)) / ((v[i] / (1 - betas[1] ** (t + 1))).sqrt() + 1e-8)
                p -= rate * (hat + (decay if p.ndim > 1 else 0) * p)
        losses.append(value.item())
        norms.append(norm)
    return losses, norms


def test_training_does_what_the_formulas_say():
    (ours, _), (theirs, _) = line(), line()
    ours, theirs = ours.double(), theirs.double()
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    y = (x[:, :1] * 3 - x[:, 1:2]).sin()

    def loss(m, i):
        return 5 * (m(x[i]) - y[i]).square().mean()

    record = train(
        ours, loss, 20, steps=15, batch=7, peak=0.03, warmup=4, floor=0.004, weight_decay=0.2, betas=(0.8, 0.97),
        clip=8.0, seed=6,
    )  # fmt: skip
    losses, norms = by_hand(
        theirs, loss, steps=15, batch=7, peak=0.03, warmup=4, floor=0.004, decay=0.2, betas=(0.8, 0.97), clip=8.0,
        examples=20, seed=6,
    )  # fmt: skip
    assert min(norms) < 8 < max(norms)  # clipped in some steps, not in all
    torch.testing.assert_close(torch.tensor(record.losses), torch.tensor(losses), rtol=1e-9, atol=0)
    torch.testing.assert_close(torch.tensor([n for _, _, n in record.steps]), torch.tensor(norms), rtol=1e-5, atol=0)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)


def test_a_model_learns_on_every_device(device):
    model, loss = line(device)
    record = train(model, loss, 20, steps=300, batch=10, peak=0.05, weight_decay=0.0, clip=math.inf)
    assert record.losses[0] > 0.5 > 1e-3 > record.losses[-1]
    torch.testing.assert_close(model.weight.cpu(), torch.tensor([[1.0, -2.0, 0.5]]), atol=0.02, rtol=0)


def test_modes_are_put_back_and_evaluation_is_in_eval_mode_without_gradients():
    model = nn.Sequential(nn.Linear(3, 1), nn.Dropout(0.5).eval())
    x = torch.randn(20, 3)
    seen = []

    def evaluate(m):
        seen.append((m[0].training, m[1].training, torch.is_grad_enabled(), m(x).requires_grad))
        return {"value": 2.0}

    def loss(m, i):
        assert m.training and m[1].training
        return m(x[i]).square().mean()

    record = train(model, loss, 20, **QUICK, evaluate=evaluate, evaluate_every=4)
    assert seen == [(False, False, False, False)] * 2
    assert record.measured == [{"step": 4, "value": 2.0}, {"step": 6, "value": 2.0}]
    assert model[0].training and not model[1].training


def test_batch_norm_and_frozen_parameters_train_as_they_should():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    x = torch.randn(20, 3)
    train(model, lambda m, i: m(x[i]).square().mean(), 20, **QUICK)
    assert torch.equal(model[0].weight, before) and model[1].num_batches_tracked == 6


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 0}, {"check_every": 0}, {"checkpoint_every": -1}, {"clip": 0.0}, {"warmup": 7},
              {"precision": "half"}, {"weight_decay": -1.0}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong):
    model, loss = line()
    with pytest.raises(ValueError):
        train(model, loss, 20, **(QUICK | wrong))


def test_bfloat16_computes_in_it_and_keeps_parameters_wide(device):
    if not has_bf16(device):
        with pytest.raises(ValueError, match="bfloat16"):
            precision("bf16", device)
        return
    torch.manual_seed(0)
    model, seen = GPT(11, 6, 16, 1, 2).to(device), []
    texts = torch.randint(11, (20, 6), device=device)

    def loss(m, i):
        logits = m(texts[i.to(device)])
        seen.append(logits.dtype)
        return F.cross_entropy(logits.float().flatten(0, 1), texts[i.to(device)].flatten())

    record = train(model, loss, 20, steps=100, batch=10, peak=3e-3, precision="bf16")
    assert set(seen) == {torch.bfloat16} and {p.dtype for p in model.parameters()} == {torch.float32}
    assert record.losses[-1] < 0.5 * record.losses[0]


def test_auto_precision_is_float32_where_bfloat16_gains_nothing():
    with precision("auto", torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_compiled_run_gives_the_same_losses_and_a_plain_checkpoint(tmp_path):
    plain, compiled = line(), line()
    expected = train(*plain, 20, **QUICK)
    got = train(*compiled, 20, **QUICK, compile="aot_eager", checkpoint=tmp_path / "run.pt")
    torch.testing.assert_close(torch.tensor(got.losses), torch.tensor(expected.losses))
    assert set(load_checkpoint(tmp_path / "run.pt")["model"]) == {"weight", "bias"}


def test_compiling_is_asked_of_torch(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda model, backend: asked.append(backend) or model)
    for wish in (False, True, "eager"):
        train(*line(), 20, **QUICK, compile=wish)
    assert asked == ["inductor", "eager"]


def test_a_time_limit_stops_the_run_where_it_can_go_on(tmp_path, monkeypatch):
    whole = train(*line(), 20, **QUICK)
    clock = iter(range(0, 100_000, 10))
    monkeypatch.setattr(training_loop.time, "monotonic", lambda: next(clock))
    settings = QUICK | {"check_every": 2, "checkpoint": tmp_path / "run.pt"}
    part = train(*line(), 20, **settings, seconds=5)
    assert len(part.steps) == 2
    rest = train(*line(), 20, **settings)
    assert rest.steps == whole.steps


# divergence


def exploding(at, how):
    """The line, whose loss or gradient is not finite in one step; the steps are counted by the calls."""
    model, loss = line()
    calls = []

    def broken(m, i):
        calls.append(0)
        value = loss(m, i)
        if len(calls) == at + 1:
            # the square root's slope at zero is infinite, while its value is fine
            value = value * math.nan if how == "loss" else value + (0 * m.weight.sum()).sqrt()
        return value

    return model, broken


@pytest.mark.parametrize("how, says", [("loss", "the loss is nan"), ("gradient", "the norm of the gradient is nan")])
@pytest.mark.parametrize("check_every", [1, 4, 100])
def test_nan_stops_the_run_and_names_step_and_last_good_checkpoint(tmp_path, how, says, check_every):
    model, loss = exploding(7, how)
    path, curve = tmp_path / "run.pt", tmp_path / "curve.jsonl"
    with pytest.raises(TrainingDiverged) as stop:
        train(
            model, loss, 20, steps=20, batch=4, peak=0.01, checkpoint=path, checkpoint_every=3, curve=curve,
            check_every=check_every,
        )  # fmt: skip
    message = str(stop.value)
    assert f"step 7: {says}" in message and f"{path}, after 6 steps" in message
    assert stop.value.step == 7 and stop.value.checkpoint == path
    kept = load_checkpoint(path)
    assert kept["done"] == 6 and all(v.isfinite().all() for v in kept["model"].values())
    assert len(read_curve(curve)[0]) == 7
    assert model.training


def test_nan_without_a_checkpoint_says_so():
    model, loss = exploding(0, "loss")
    with pytest.raises(TrainingDiverged, match="step 0: the loss is nan; none was saved") as stop:
        train(model, loss, 20, **QUICK)
    assert stop.value.checkpoint is None


def test_an_update_that_ruins_the_parameters_is_never_saved(tmp_path):
    model, loss = line()
    with pytest.raises(TrainingDiverged, match="step 0: its update left parameters that are no numbers"):
        train(model, loss, 20, steps=6, batch=4, peak=1e39, checkpoint=tmp_path / "run.pt", checkpoint_every=1)
    assert not (tmp_path / "run.pt").exists()


# checkpoints


def test_a_failed_write_leaves_the_old_checkpoint_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "new" / "run.pt"
    save_checkpoint(path, {"a": torch.tensor([1, 2])})

    def full(state, file):
        file.write(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, {"a": torch.tensor([3])})
    assert load_checkpoint(path)["a"].tolist() == [1, 2]
    assert list(path.parent.iterdir()) == [path]


def test_a_new_checkpoint_takes_its_name_only_when_it_is_on_the_disk(tmp_path, monkeypatch):
    path, happened = tmp_path / "run.pt", []
    save_checkpoint(path, {"a": 1})
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (happened.append(("sync", load_checkpoint(path)["a"])), sync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (happened.append(("name", a != str(b))), replace(a, b))[1])
    save_checkpoint(path, {"a": 2})
    assert happened[:2] == [("sync", 1), ("name", True)] and load_checkpoint(path)["a"] == 2


def test_damaged_files_are_told_from_checkpoints(tmp_path):
    path = tmp_path / "run.pt"
    save_checkpoint(path, {"a": torch.randn(100)})
    whole = path.read_bytes()
    for wrong in (whole[: len(whole) // 2], b"", b"no checkpoint at all"):
        path.write_bytes(wrong)
        with pytest.raises(CheckpointError, match="delete it to start afresh"):
            load_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none.pt")


class Evil:
    def __reduce__(self):
        return os.putenv, ("COURSE_WAS_HERE", "1")


def test_a_checkpoint_cannot_run_code(tmp_path):
    torch.save({"a": Evil()}, tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match="putenv"):
        load_checkpoint(tmp_path / "run.pt")


def test_a_run_does_not_go_on_from_another_one(tmp_path):
    path = tmp_path / "run.pt"
    train(*line(), 20, **QUICK, checkpoint=path)
    with pytest.raises(CheckpointError, match="peak 0.01 there, 0.02 here"):
        train(*line(), 20, **(QUICK | {"peak": 0.02}), checkpoint=path)
    _, loss = line()
    with pytest.raises(CheckpointError, match="another model"):
        train(nn.Linear(4, 1), loss, 20, **QUICK, checkpoint=path)
    save_checkpoint(path, {"weights": 1})
    with pytest.raises(CheckpointError, match="other settings"):
        train(*line(), 20, **QUICK, checkpoint=path)


def test_a_finished_run_is_not_repeated(tmp_path):
    whole = train(*line(), 20, **QUICK, checkpoint=tmp_path / "run.pt")
    model, _ = line()

    def never(m, i):
        raise AssertionError("no step is left to make")

    again = train(model, never, 20, **QUICK, checkpoint=tmp_path / "run.pt")
    assert again.steps == whole.steps


def run_command(*words, processes=0):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes else []
    command = [sys.executable, *launcher, str(SMALL_RUN), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def facts(out, rank=0):
    return json.loads(out.with_suffix(f".{rank}").read_text())


def test_a_killed_run_goes_on_bit_for_bit(tmp_path):
    assert run_command(tmp_path / "whole", "--draws").returncode == 0
    whole = facts(tmp_path / "whole")
    assert len(whole["steps"]) == 14 and [row["step"] for row in whole["measured"]] == [5, 10, 14]
    path, curve = tmp_path / "run.pt", tmp_path / "curve.jsonl"
    part = ["--draws", "--checkpoint", path, "--curve", curve]
    died = run_command(tmp_path / "part", *part, "--die-at", 11)
    assert died.returncode == -signal.SIGKILL and not (tmp_path / "part.0").exists()
    assert load_checkpoint(path)["done"] == 8 and len(read_curve(curve)[0]) == 11
    with curve.open("a") as file:
        file.write('{"step": 11, "lo')  # what a crash may leave
    assert run_command(tmp_path / "part", *part).returncode == 0
    assert facts(tmp_path / "part") == whole
    steps, measured = read_curve(curve)
    assert [[row[key] for key in ("loss", "rate", "norm")] for row in steps] == whole["steps"]
    assert [row["step"] for row in steps] == list(range(14)) and measured == whole["measured"]


def test_going_on_needs_each_generator(tmp_path):
    """The test above would not notice a generator that the run never draws from: each is restored by itself."""
    from course_lib.training.random_state import random_state, restore_random_state

    draws = [random.random, lambda: float(np.random.normal()), lambda: torch.rand(()).item(), np.random.rand]
    np.random.normal()  # NumPy keeps the second of each pair for later
    save_checkpoint(tmp_path / "state.pt", random_state(torch.device("cpu")))
    expected = [draw() for draw in draws]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(12)
    restore_random_state(load_checkpoint(tmp_path / "state.pt"), torch.device("cpu"))
    assert [draw() for draw in draws] == expected


# several processes


@pytest.mark.parametrize("kind", [[], ["--weighted"]])
def test_two_processes_give_the_losses_of_one(tmp_path, kind):
    assert run_command(tmp_path / "one", *kind).returncode == 0
    done = run_command(tmp_path / "two", *kind, processes=2)
    assert done.returncode == 0, done.stderr
    one, first, second = facts(tmp_path / "one"), facts(tmp_path / "two"), facts(tmp_path / "two", 1)
    assert first["final"] == second["final"]
    for field in range(3):
        ours, theirs = ([row[field] for row in run["steps"]] for run in (first, one))
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-6, atol=1e-9)
    losses = [torch.tensor([row[0] for row in run["steps"]], dtype=torch.float64) for run in (first, one)]
    torch.testing.assert_close(*losses, rtol=1e-10, atol=0)


def test_two_processes_go_on_bit_for_bit_each_with_its_own_draws(tmp_path):
    whole = run_command(tmp_path / "whole", "--draws", processes=2)
    assert whole.returncode == 0, whole.stderr
    part = ["--draws", "--checkpoint", tmp_path / "run.pt", "--curve", tmp_path / "curve.jsonl"]
    assert run_command(tmp_path / "part", *part, "--die-at", 9, processes=2).returncode != 0
    state = load_checkpoint(tmp_path / "run.pt")
    assert state["done"] == 8 and not torch.equal(state["random"][0]["torch"], state["random"][1]["torch"])
    done = run_command(tmp_path / "part", *part, processes=2)
    assert done.returncode == 0, done.stderr
    assert facts(tmp_path / "part") == facts(tmp_path / "whole")
    assert len(read_curve(tmp_path / "curve.jsonl")[0]) == 14  # one process alone keeps the curve


def test_alone_nothing_is_set_up():
    with team("cpu") as crew:
        assert (crew.rank, crew.size, crew.leads) == (0, 1, True)
        assert crew.share(torch.arange(5)).tolist() == [0, 1, 2, 3, 4]
        assert crew.gather("x") == ["x"] and crew.agree(3) == 3
        assert not torch.distributed.is_initialized()
    with team() as crew:
        assert crew.device == best_device()


def test_batches_that_cannot_be_shared_equally_are_refused():
    from course_lib.training import Team

    crew = Team(1, 3, torch.device("cpu"))
    assert crew.share(torch.arange(6)).tolist() == [1, 4]
    with pytest.raises(ValueError, match="batch of 7 cannot be shared equally by 3"):
        crew.share(torch.arange(7))


# curves and progress


def test_progress_says_rates_and_time_left(monkeypatch):
    clock = iter([100.0, *(100.0 + 2 * i for i in range(1, 20))])
    monkeypatch.setattr(training_loop.time, "monotonic", lambda: next(clock))
    seen = []
    train(*line(), 20, **QUICK, check_every=2, on_progress=seen.append)
    assert [p.step for p in seen] == [2, 4, 6] and {p.steps for p in seen} == {6}
    # two steps, and two looks at a clock that advances 2 s at each
    assert seen[0].steps_per_second == pytest.approx(2 / 4) and seen[0].examples_per_second == pytest.approx(4 * 2 / 4)
    assert seen[0].seconds_left == pytest.approx(4 / 0.5) and seen[-1].seconds_left == 0
    assert seen[0].rate == pytest.approx(warmup_cosine(1, 0, 6, 1e-2))


def test_the_line_shows_what_is_left_and_keeps_evaluations():
    out = io.StringIO()
    say = ProgressLine("sorting", out)
    say(Progress(1, 10, 2.5, 0.1, 1.0, 4.0, 32.0, 120.0))
    say(Progress(2, 10, 2.4, 0.1, 1.0, 4.0, 32.0, 118.0))  # too soon after the first
    say(Progress(5, 10, 2.0, 0.1, 1.0, 4.0, 32.0, 30.0, {"exact": 0.25}))
    say(Progress(10, 10, 1.5, 0.1, 1.0, 4.0, 32.0, 0.0))
    text = out.getvalue()
    assert text.count("\r") == 3 and text.count("\n") == 2 and "step 2," not in text
    assert "sorting:  10.0 %, step 1, loss 2.5000, 4.0 steps/s, 32 examples/s, 2 min left" in text
    assert "exact 0.2500" in text


def test_nothing_is_printed(capfd):
    train(*line(), 20, **QUICK)
    assert capfd.readouterr() == ("", "")


def test_a_curve_without_a_file_is_kept_in_memory_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    curve = Curve()
    curve.open()
    curve.add(1.0, 0.1, 2.0)
    curve.measure({"exact": 0.5})
    curve.close()
    assert curve.losses == [1.0] and curve.measured == [{"step": 1, "exact": 0.5}] and not list(tmp_path.iterdir())
