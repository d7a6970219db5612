"""Sort, adder and characters: their data is what it claims, they run as commands, and the shipped figures hold."""

import itertools
import json
import math
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from shipping import run_recipe, shipped
from torch import nn

from course_lib.data.download import DownloadError
from course_lib.gpt import GPT
from course_lib.recipes import _language as language
from course_lib.recipes import adder, characters, sort

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = "--steps 3 --batch 4 --measure-every 2 --dim 8 --depth 1 --heads 2 --length 3 --values 2".split()
CPU = torch.device("cpu")


def test_curve_and_checkpoints_are_kept(tmp_path):
    done = run_recipe("sort", *SMALL, "--seeds", 3, "--out", tmp_path / "sort.json", "--checkpoints", tmp_path / "kept")
    assert "steps/s" in done.stderr
    curve = json.loads((tmp_path / "sort.json").read_text())["curves"][0]
    assert curve["steps"] == 3 and [row["step"] for row in curve["measured"]] == [2, 3]
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"sort-3.pt", "sort-3.jsonl"}


@pytest.mark.parametrize("name", ["sort", "adder", "characters"])
def test_shipped_runs_were_not_cut_short(name):
    result = shipped(name)
    for curve in result["curves"]:
        assert curve["steps"] == result["settings"]["steps"] and math.isfinite(sum(curve["loss"]))


def test_two_processes_write_the_result_of_one(tmp_path):
    results = []
    for processes in (0, 2):
        out = tmp_path / f"{processes}.json"
        run_recipe("sort", *SMALL, "--seeds", 3, "--out", out, processes=processes)
        results.append(json.loads(out.read_text()))
    one, two = results
    assert one["curves"] == two["curves"] and one["exact"] == two["exact"]


def test_default_settings_are_those_of_the_shipped_files(monkeypatch):
    for name, module in (("sort", sort), ("adder", adder), ("characters", characters)):
        defaults = {}
        parse = module.options

        def stop_before_work(*arguments, defaults=defaults, parse=parse, **sizes):
            defaults.update(vars(parse(*arguments, **sizes)))
            raise InterruptedError

        monkeypatch.setattr(module, "options", stop_before_work)
        with pytest.raises(InterruptedError):
            module.main([])
        result = shipped(name)
        settings = {"seeds": result["seeds"], **result["settings"]}
        if name == "characters":
            assert defaults.pop("corpus") == "auto" and settings.pop("corpus") in characters.CORPORA
        assert settings.items() <= defaults.items()


def test_shipped_models_sort_and_add_what_they_have_never_seen():
    for name in ("sort", "adder"):
        result = shipped(name)
        assert len(result["exact"]["test"]) == len(result["seeds"]) >= 3
        assert min(result["exact"]["test"]) >= 0.99
    assert all(sorted(asked) == written for asked, written in shipped("sort")["examples"])


def test_shipped_character_model_is_far_from_uniform():
    result = shipped("characters")
    for nats, bits in zip(result["validation"]["nats"], result["validation"]["bits"], strict=True):
        assert nats < 0.6 * result["uniform"] and bits == pytest.approx(nats / math.log(2), abs=1e-3)
    assert len(result["sample"]) == 300


# data


def test_sort_holds_every_sequence_once_and_its_own_order():
    train, test = sort.texts(4, 3, CPU)
    assert (len(train), len(test)) == (61, 20)
    seen = [tuple(row[:4]) for row in torch.cat([train, test]).tolist()]
    assert sorted(seen) == list(itertools.product(range(3), repeat=4))
    for row in torch.cat([train, test]).tolist():
        assert row[4:] == sorted(row[:4])


def test_adder_holds_every_pair_once_with_its_sum_backwards():
    train, test = adder.texts(2, CPU)
    assert (len(train), len(test)) == (9500, 500)
    rows = ["".join(map(str, row)) for row in torch.cat([train, test]).tolist()]
    pairs = {(int(row[:2]), int(row[2:4])) for row in rows}
    assert len(pairs) == len(rows) == 10_000
    assert all(int(row[:2]) + int(row[2:4]) == int(row[:3:-1]) for row in rows)
    assert "8550531" in rows
    assert [len(part) for part in adder.texts(1, CPU)] == [80, 20]


class Recited(nn.Module):
    """Writes by heart: the likeliest next token after a text [b n] is its entry in a table of texts."""

    def __init__(self, texts, vocab):
        super().__init__()
        self.texts, self.vocab, self.block = texts, vocab, texts.shape[1] - 1

    def forward(self, ids):
        rows = [(self.texts[:, : len(row)] == row).all(1).nonzero()[0, 0] for row in ids]
        following = torch.stack([self.texts[row, 1 : ids.shape[1] + 1] for row in rows])
        return F.one_hot(following, self.vocab).float()


def test_exact_counts_whole_answers():
    train, _ = adder.texts(1, CPU)
    truth = train[:10]
    assert language.exact(Recited(truth, 10), truth, 2) == 1.0
    wrong = truth.clone()
    wrong[:3, -1] = (wrong[:3, -1] + 1) % 10  # one digit each
    assert language.exact(Recited(wrong, 10), truth, 2) == pytest.approx(0.7)


def test_mistakes_are_told_as_numbers():
    pairs = torch.tensor([[8, 5, 5, 0, 5, 3, 1], [1, 2, 3, 4, 6, 4, 0]])
    wrong = torch.tensor([[8, 5, 5, 0, 5, 4, 1], [1, 2, 3, 4, 6, 4, 0]])
    assert adder.mistakes(Recited(wrong, 10), pairs, 2) == [[85, 50, 145]]
    assert adder.mistakes(Recited(pairs, 10), pairs, 2) == []


def test_the_loss_counts_answers_alone():
    texts = torch.tensor([[1, 0, 0, 1], [2, 1, 1, 2], [0, 2, 0, 2]])
    model = GPT(3, 3, 8, 1, 2)
    value = language.completion_loss(texts, 2)(model, torch.tensor([2, 0]))
    logs = model(texts[[2, 0], :-1]).log_softmax(-1)
    expected = -(logs[0, 1, 0] + logs[0, 2, 2] + logs[1, 1, 0] + logs[1, 2, 1]) / 4
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("length", [11, 12, 13, 14])
def test_validation_predicts_each_character_once(length):
    torch.manual_seed(0)
    model = GPT(5, 4, 8, 1, 2)
    data = torch.randint(5, (length,))
    total = 0.0
    with torch.no_grad():
        for target in range(1, length):
            start = (target - 1) // 4 * 4
            total -= model(data[None, start:target])[0, -1].log_softmax(-1)[data[target]].item()
    assert characters.validation(model, data) == pytest.approx(total / (length - 1), rel=1e-5)
    assert model.training


def test_without_a_network_the_manual_is_read_and_the_result_says_so(monkeypatch, capsys):
    def offline():
        raise DownloadError("no network")

    monkeypatch.setattr(characters, "tiny_shakespeare", offline)
    name, text = characters.read_corpus("auto")
    assert name == "python" and len(text) > 100_000
    assert "Tiny Shakespeare cannot be had" in capsys.readouterr().err
    monkeypatch.setitem(characters.CORPORA, "shakespeare", offline)
    with pytest.raises(DownloadError):  # who asks for it by name gets it or nothing
        characters.read_corpus("shakespeare")


def test_curves_are_thinned_by_averages():
    from course_lib.training import Curve

    curve = Curve()
    for step in range(7):
        curve.add(float(step), 0.1, 1.0)
    curve.measure({"test": 0.123456})
    (facts,) = language.curve_facts([curve], points=3)["curves"]
    assert facts == {"steps": 7, "averaged_over": 3, "loss": [1.0, 4.0, 6.0], "measured": [{"step": 7, "test": 0.1235}]}


def test_minutes_stop_a_recipe_early(tmp_path):
    out = tmp_path / "sort.json"
    words = [sys.executable, "-m", "course_lib.recipes.sort", "--steps", "100000", "--minutes", "0.02", "--seeds", "0",
             "1", "--length", "3", "--dim", "8", "--depth", "1", "--heads", "2", "--out", str(out)]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"})
    result = json.loads(out.read_text())
    assert all(0 < curve["steps"] < 100_000 for curve in result["curves"]) and result["settings"]["minutes"] == 0.02
