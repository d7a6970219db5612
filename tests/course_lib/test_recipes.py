"""The recipes run as commands, and the result files that are shipped support what the book says of them."""

import pytest
import torch
from shipping import SHIPPED, shipped

from course_lib.data.bird_questions import ANSWERS, answer
from course_lib.data.birds import make_scenes, repaint
from course_lib.recipes import bird_model, bird_questions, pair_models, same_species
from course_lib.recipes._common import Progress, fit, rounded, threads

pytestmark = pytest.mark.usefixtures("one_thread")


def test_default_settings_are_those_of_the_shipped_files(monkeypatch):
    for name, module in (("same_species", same_species), ("bird_questions", bird_questions)):
        defaults = {}

        def stop_before_work(*arguments, defaults=defaults, **sizes):
            defaults.update(sizes)
            raise InterruptedError

        monkeypatch.setattr(module, "options", stop_before_work)
        with pytest.raises(InterruptedError):
            module.main([])
        result = shipped(name)
        assert {"seeds": result["seeds"], **result["settings"]} == defaults


def test_local_stays_at_chance_and_whatever_lets_the_birds_meet_does_not():
    result = shipped("same_species")
    models, cells = result["models"], len(result["seeds"]) * len(result["distances_px"])
    assert len(result["distances_px"]) >= 4
    # both birds fit into one receptive field at none of the distances, but at the smallest their rims do
    assert max(result["distances_px"]) - result["bird_px"][1] > result["features"]["receptive_field_px"]
    for model in models.values():
        assert len(model["accuracy"]) == len(result["seeds"])
        assert {len(row) for row in model["accuracy"]} == {len(result["distances_px"])}
    assert abs(models["local"]["overall"] - 0.5) < 0.04
    noise = 4 * (0.25 / result["test_scenes"] / cells) ** 0.5
    assert models["local"]["overall"] + noise < result["additive_ceiling"]
    for name in ("attention", "mlp_head", "wide_cnn"):
        assert models[name]["overall"] > result["additive_ceiling"] + 0.1
        assert abs(models[name]["parameters"] / models["local"]["parameters"] - 1) < 0.05
    for per_seed, local in zip(models["attention"]["accuracy"], models["local"]["accuracy"], strict=True):
        assert all(a > b + 0.2 for a, b in zip(per_seed, local, strict=True))


def test_question_token_looks_at_what_it_is_asked_for():
    result = shipped("bird_questions")
    for facts in result["accuracy"].values():
        assert len(facts["model"]) == len(facts["uniform"]) == len(result["seeds"])
        assert min(facts["model"]) > facts["chance"] + 0.4
    # an average of all tokens is enough for the sky, and no help for one small head
    assert min(result["accuracy"]["head"]["model"]) > max(result["accuracy"]["head"]["uniform"]) + 0.4
    head = result["mass"]["head"]["head"]
    assert head["attention"] > 5 * head["uniform"]
    patches = result["masking"]["patches"]
    for question, curves in result["masking"]["accuracy"].items():
        assert len(curves["top"]) == len(curves["random"]) == len(patches)
        if question != "sky":  # there is sky enough left
            at = patches.index(4)
            assert curves["top"][at] < curves["random"][at] - 0.3


def test_shipped_model_gives_the_shipped_answers_and_maps():
    assert (SHIPPED / "bird_questions.npz").stat().st_size < 150_000
    model = bird_model.load(SHIPPED / "bird_questions.npz")
    for question, example in shipped("bird_questions")["examples"].items():
        scenes = make_scenes(**example["scenes"])
        said = bird_questions.ask(model, question, scenes)
        assert [bird_model.WORDS[i] for i in said] == example["said"]
        assert [ANSWERS[question][i] for i in answer(question, scenes)] == example["truth"]
        maps = torch.tensor(example["maps"])
        assert maps.shape == (len(scenes), model.attn.heads, 64)
        assert torch.allclose(maps, bird_questions.look(model, question, scenes), atol=0.01)
        assert torch.allclose(maps.sum(-1), torch.ones(maps.shape[:2]), atol=0.04)


def test_repainting_the_head_changes_what_the_shipped_model_says():
    model = bird_model.load(SHIPPED / "bird_questions.npz")
    scenes = make_scenes(**bird_questions.scene_arguments("head", 200, seed=99))
    other = repaint(scenes, head=(scenes.head + 1) % 6)
    before, after = (bird_questions.ask(model, "head", s) for s in (scenes, other))
    assert (after == bird_questions.true_words("head", other)).float().mean() > 0.7
    assert (before != after).float().mean() > 0.7


@pytest.mark.parametrize("name", pair_models.LABELS)
def test_receptive_fields_are_as_stated(name):
    size = 160  # so large that the borders are out of sight
    model = torch.nn.Sequential(pair_models.local_features(), *list(pair_models.relation(name))[:-2])
    if name == "mlp_head":
        model = pair_models.local_features()
    model.double().eval()
    image = torch.randn(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    features = model(image)
    middle = features.shape[-1] // 2
    features[0, :, middle, middle].sum().backward()
    seen = (image.grad[0].abs().sum(0) > 0).nonzero()
    extent = (seen.amax(0) - seen.amin(0) + 1).tolist()
    stated = pair_models.receptive_field(name)
    assert extent == [stated or size] * 2


def test_additive_ceiling_is_the_best_of_all_additive_rules():
    # every order of sums g(s) + g(t) is met among enough random g, for few species
    generator = torch.Generator().manual_seed(0)
    for n in (2, 3, 4):
        g = torch.randn(20000, n, generator=generator)
        same = torch.eye(n, dtype=torch.bool)
        scores = g[:, :, None] + g[:, None]
        weight = torch.where(same, 0.5 / n, 0.5 / (n * (n - 1)))
        best = 0.0
        for threshold in scores.flatten(1).unbind(1):
            alike = scores > threshold[:, None, None] - 1e-6
            best = max(best, (weight * (alike == same)).sum((1, 2)).max().item())
        assert best == pytest.approx(same_species.additive_ceiling(n))


def test_a_mask_takes_patches_away_from_the_answer():
    model = bird_model.QuestionAnswerer().eval()
    scenes = make_scenes(3, seed=0, size=32)
    question, mask = torch.tensor([0, 1, 2]), torch.ones(3, 8, 8, dtype=torch.bool)
    mask[:, 4:] = False
    # a token sees a few pixels beyond its patch: blank only what no unmasked neighbour can see
    blank = scenes.images.clone()
    blank[:, :, 20:] = 0.0
    mask = mask.flatten(1)
    with torch.no_grad():
        assert torch.allclose(model(scenes.images, question, mask), model(blank, question, mask), atol=1e-5)
        assert not torch.allclose(model(scenes.images, question), model(blank, question), atol=1e-5)


def test_masses_of_even_attention_are_the_shares_of_the_picture():
    scenes = make_scenes(8, seed=0, size=32)
    for touching in (False, True):
        facts = bird_questions.masses(torch.full((8, 4, 64), 1 / 64), scenes, touching)
        for region in facts.values():
            assert region["heads"] == pytest.approx([region["uniform"]] * 4, abs=2e-4)
    pixels = bird_questions.masses(torch.full((8, 4, 64), 1 / 64), scenes, touching=False)
    assert sum(pixels[r]["uniform"] for r in ("sky", "cloud", "ground", "bird")) == pytest.approx(1, abs=1e-3)


def test_missing_model_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m course_lib.recipes.bird_questions"):
        bird_model.load(tmp_path / "none.npz")


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


def test_fit_learns_reproducibly(capsys):
    x = torch.linspace(-1, 1, 64)[:, None]

    def trained() -> tuple[torch.nn.Module, float]:
        torch.manual_seed(0)
        model = torch.nn.Linear(1, 1)

        def loss(i):
            return (model(x[i]) - 3 * x[i] - 1).square().mean()

        fit(model, loss, 64, steps=200, batch=16, peak=0.1, seed=1, progress=Progress(200), doing="line")
        return model, loss(torch.arange(64)).item()

    (first, error), (second, _) = trained(), trained()
    assert error < 0.01 and not first.training
    assert torch.equal(first.weight, second.weight)
    assert "100.0 %" in capsys.readouterr().err


def test_rounding_keeps_shape():
    assert rounded(torch.tensor([[0.123456, 1.0]])) == [[0.1235, 1.0]]
    assert rounded([0.5, [0.25]], 1) == [0.5, [0.2]]
