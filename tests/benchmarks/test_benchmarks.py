"""The benchmark times what it says, and its contestants do equal work."""

import itertools

import pytest
import torch

from course_lib.gpt import GPT
from tests.benchmarks import run
from tests.benchmarks.nanogpt import NanoGPT
from tests.benchmarks.timing import compare

CPU = torch.device("cpu")


def test_ratios_are_taken_within_a_round_and_all_take_turns_at_being_first():
    now, order = [0.0], []
    slowness = itertools.count(1)  # the machine gets slower and slower

    def contestant(name, cost):
        def work():
            order.append(name)
            now[0] += cost * (1 + next(slowness) // 100)

        return work

    results = compare({"course": contestant("course", 2.0), "peer": contestant("peer", 5.0)}, 60, lambda: now[0])
    course, peer = results
    assert (course.name, course.ratio) == ("course", 1.0) and peer.ratio == pytest.approx(2.5)
    assert peer.low <= peer.ratio <= peer.high
    assert order[:6] == ["course", "peer", "course", "peer", "peer", "course"]  # the first two warm up


def test_nanogpts_style_computes_what_the_course_does():
    torch.manual_seed(0)
    ours, theirs = GPT(7, 6, 12, 2, 3), NanoGPT(7, 6, 12, 2, 3)
    parts = dict(ours.named_parameters())
    with torch.no_grad():
        for p in ours.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
        theirs.tokens.weight.copy_(parts["tokens.weight"])
        theirs.positions.copy_(parts["positions.weight"])
        theirs.norm.load_state_dict(ours.norm.state_dict())
        for a, b in zip(ours.blocks, theirs.blocks, strict=True):
            b.norm1.load_state_dict(a.norm1.state_dict())
            b.norm2.load_state_dict(a.norm2.state_dict())
            for kind in ("weight", "bias"):
                joint = [getattr(layer, kind) for layer in (a.attn.query, a.attn.key, a.attn.value)]
                getattr(b.qkv, kind).copy_(torch.cat(joint))
            b.out.load_state_dict(a.attn.out.state_dict())
            b.widen.load_state_dict(a.mlp[0].state_dict())
            b.narrow.load_state_dict(a.mlp[2].state_dict())
    ids = torch.randint(7, (2, 5))
    torch.testing.assert_close(theirs(ids), ours(ids), rtol=1e-4, atol=1e-5)


def test_contestants_of_a_step_have_models_of_one_size(monkeypatch):
    run.declare_missing_operators()
    from tests.benchmarks import contests

    for contest, tolerance in ((contests.gpt_step, 0.0), (contests.siren_step, 0.0), (contests.vit_step, 0.01)):
        sizes = []

        def note(model, *_, sizes=sizes):
            sizes.append(sum(p.numel() for p in model.parameters()))
            return lambda: None

        monkeypatch.setattr(contests, "course_step", note)
        monkeypatch.setattr(contests, "plain_step", note)
        contest(CPU)
        assert max(sizes) <= min(sizes) * (1 + tolerance), contest.__name__


def test_the_command_prints_and_keeps_a_table(tmp_path, capsys):
    before, kept = torch.get_num_threads(), tmp_path / "latest.md"
    try:
        run.main(["--only", "siren_step", "--rounds", "2", "--out", str(kept)])
    finally:
        torch.set_num_threads(before)
    printed, text = capsys.readouterr().out, kept.read_text()
    assert "| course |" in printed and "| the authors' formula |" in text and "torch" in text
    with pytest.raises(SystemExit):
        run.main(["--only", "nothing"])
