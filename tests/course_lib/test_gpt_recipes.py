"""What the GPT chapter's experiments are made of, their commands, and what they have shipped."""

import math
from collections import Counter

import pytest
import torch
from shipping import SHIPPED, shipped
from torch.testing import assert_close

from course_lib.alignment import cross_attention_maps
from course_lib.attention import merge_heads, split_heads
from course_lib.bleu import bleu
from course_lib.data import phrasebook
from course_lib.data.phrasebook import AVIAN, END, ENDINGS, ENGLISH, NOUNS, START, draw_pairs, to_ids, words_of
from course_lib.data.tales import LENGTH, WORDS, draw_tales, next_words, targets_of, told_well
from course_lib.encoder_decoder import EncoderDecoder
from course_lib.gpt import GPT
from course_lib.ngrams import NGrams
from course_lib.recipes import induction
from course_lib.recipes import tales as tales_recipe


def counted_by_hand(data: list[int], context: list[int], vocab: int) -> list[float]:
    """Witten and Bell's mixture after a context, in words: the whole text is looked through for each memory."""
    p = [1 / vocab] * vocab
    for length in range(len(context) + 1):
        memory = context[len(context) - length :]
        after = Counter(data[i + length] for i in range(len(data) - length) if data[i : i + length] == memory)
        if after:
            p = [(after[w] + len(after) * p[w]) / (after.total() + len(after)) for w in range(vocab)]
    return p


@pytest.mark.parametrize("order", [1, 2, 3])
def test_ngrams_are_those_counted_by_hand(order):
    data = torch.randint(4, (40,), generator=torch.Generator().manual_seed(order))
    model = NGrams(data, order, 5)  # id 4 is never seen
    for text in (data[:9], torch.tensor([4, 4, 0, 1, 2, 4, 3])):
        for end in range(len(text)):
            context = text[max(0, end - order + 1) : end].tolist()
            wanted = torch.tensor(counted_by_hand(data.tolist(), context, 5), dtype=torch.float64)
            assert_close(model.next_probs(text[:end]), wanted)
            assert_close(model.probabilities(text)[end], wanted[text[end]])
            assert_close(wanted.sum().item(), 1.0) and wanted.min() > 0


def test_ngrams_of_two_on_a_text_worked_out_on_paper():
    # after 0 came 1, 1 and 2; alone, 0 came three times, 1 twice, 2 once; three kinds in six words
    model = NGrams(torch.tensor([0, 1, 0, 1, 0, 2]), 2, 3)
    alone = (2 + 3 * 1 / 3) / 9
    assert_close(model.next_probs(torch.tensor([0]))[1].item(), (2 + 2 * alone) / 5)


def test_ngrams_refuse_what_cannot_be_counted():
    with pytest.raises(ValueError, match="order|n-grams"):
        NGrams(torch.tensor([0, 1]), 0, 2)
    with pytest.raises(ValueError, match="Ids must lie"):
        NGrams(torch.tensor([0, 2]), 1, 2)
    with pytest.raises(ValueError, match="row of integers"):
        NGrams(torch.tensor([0.0, 1.0]), 1, 2)


def test_bleu_of_known_cases():
    cat = "the cat is on the mat".split()
    assert_close(bleu([cat], [cat]), 100.0)
    # the example of Papineni et al.: only two of seven count, as the reference has "the" twice
    assert_close(bleu(["the the the the the the the".split()], [cat], order=1), 100 * 2 / 7)
    # half as long and all right: exp(1 - 6/3)
    assert_close(bleu([cat[:3]], [cat], order=2), 100 * math.exp(-1))
    # 5 of 6 words, 3 of 5 pairs, 1 of 4 triples
    other = "the cat is in the mat".split()
    assert_close(bleu([other], [cat], order=3), 100 * (5 / 6 * 3 / 5 * 1 / 4) ** (1 / 3))
    assert bleu([other], [cat]) == 0, "no four words in common"
    assert bleu([cat, other], [cat, cat]) > 0, "sums run over the set before dividing"
    with pytest.raises(ValueError, match="reference"):
        bleu([cat], [])


def test_tales_are_told_with_the_probabilities_they_claim():
    tales, surprise = draw_tales(20, seed=3)
    assert tales.shape == (20, LENGTH) and surprise.shape == (20, LENGTH - 1)
    for row, nats in zip(tales.tolist(), surprise.tolist(), strict=True):
        words = [WORDS[i] for i in row[1:]]
        said = words[: words.index("¶") + 1]
        assert told_well(said) == len(said)
        for place, word in enumerate(said):
            chances = next_words(said[:place])
            assert_close(sum(chances.values()), 1.0)
            assert_close(nats[place], -math.log(chances[word]), atol=1e-6, rtol=1e-5)
        assert all(map(math.isnan, nats[len(said) :]))
    assert ((targets_of(tales) >= 0) == ~surprise.isnan()).all()


def test_the_narrator_knows_what_cannot_be_said():
    tale = "Once upon a time there lived a small wren named Lily in a forest . She sang with her friend the".split()
    assert "wren" not in next_words(tale) and "owl" in next_words(tale)
    assert told_well([*tale, "wren"]) == len(tale) and told_well([*tale[:3], "morning"]) == 3
    with pytest.raises(ValueError, match="Word 2, 'the'"):
        next_words(["Once", "upon", "the"])


def test_shipped_storyteller_has_the_loss_it_claims_and_knows_once_upon_a_time():
    model = tales_recipe.load(SHIPPED / "tales.npz")
    facts = shipped("tales")
    test, _ = draw_tales(facts["settings"]["tests"], seed=1)
    assert_close(tales_recipe.surprise(model, test).nanmean().item(), facts["nats"]["gpt"][0], atol=2e-3, rtol=0)
    ids = torch.tensor([[0, *(WORDS.index(w) for w in "Once upon a".split())]])
    probs = model(ids).softmax(-1)[0]
    assert probs[2, WORDS.index("a")] > 0.99 and abs(probs[3, WORDS.index("time")] - 0.9) < 0.03


def test_weights_survive_saving_and_a_missing_file_says_how_to_make_it(tmp_path):
    torch.manual_seed(0)
    model = GPT(len(WORDS), LENGTH - 1, 8, 1, tales_recipe.HEADS)
    tales_recipe.save(model, tmp_path / "w.npz")
    ids = draw_tales(2, seed=0)[0][:, :-1]
    assert_close(tales_recipe.load(tmp_path / "w.npz")(ids), model(ids), atol=1e-3, rtol=1e-2)
    with pytest.raises(FileNotFoundError, match="course_lib.recipes.tales"):
        tales_recipe.load(tmp_path / "none.npz")


def test_avian_sentences_agree_and_are_aligned():
    pairs = draw_pairs(300, seed=4)
    endings = {stem + kind + many: kind + many for *_, stem, kind in NOUNS for many in ("", "i")}
    nouns = {
        word: stem + kind + many for *both, stem, kind in NOUNS for word, many in zip(both, ("", "i"), strict=True)
    }
    for pair in pairs:
        assert len(pair.alignment) == len(pair.avian)
        assert sorted({place for places in pair.alignment for place in places}) == list(range(len(pair.english)))
        where = next(i for i, places in enumerate(pair.alignment) if places == (pair.subject,))
        assert pair.avian[where] == nouns[pair.english[pair.subject]]
        ending = endings[pair.avian[where]]
        assert ending in ENDINGS and pair.avian[-1].endswith("it" + ending)
    source, target = to_ids(pairs)
    assert words_of(target) == [list(p.avian) for p in pairs]
    assert words_of(source, ENGLISH) == [list(p.english) for p in pairs]
    assert (target[:, 0] == START).all() and ((target == END).sum(1) == 1).all()
    assert phrasebook.word_by_word(pairs[0]) and set(phrasebook.word_by_word(pairs[0])) <= set(AVIAN)


def strange(pair: phrasebook.Pair) -> bool:
    """Whether an adjective stands before a noun that it is kept apart from, read off the English words."""
    adjectives = [word for word, _ in phrasebook.ADJECTIVES]
    number_of = {word: i for i, noun in enumerate(NOUNS) for word in noun[:2]}
    for i, word in enumerate(pair.english):
        if word in adjectives:
            noun = next(number_of[w] for w in pair.english[i:] if w in number_of)
            if phrasebook.kept_apart(adjectives.index(word), noun):
                return True
    return False


def test_couples_kept_apart_meet_in_new_company_only():
    assert not any(map(strange, draw_pairs(200, seed=0)))
    assert all(map(strange, draw_pairs(200, seed=0, new_company=True)))


def test_cross_attention_maps_are_what_the_decoder_mixes_with():
    torch.manual_seed(1)
    model = EncoderDecoder(9, 8, 6, 16, 2, 4).double()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    source, target = torch.randint(9, (3, 5)), torch.randint(8, (3, 4))
    mask = torch.arange(5) < torch.tensor([[5], [3], [4]])
    before, after = [], []
    block = model.decoder[1]
    block.norm2.register_forward_hook(lambda _, given, __: before.append(given[0]))
    block.norm3.register_forward_hook(lambda _, given, __: after.append(given[0]))
    maps = cross_attention_maps(model, source, target, mask)
    assert maps.shape == (2, 3, 4, 4, 5)
    assert (maps.masked_select(~mask[None, :, None, None]) == 0).all()
    attn = block.cross_attn
    values = split_heads(attn.value(model.encode(source, mask)), attn.heads)
    assert_close(attn.out(merge_heads(maps[1] @ values)), after[0] - before[0])
    assert len(model.decoder[0].norm2._forward_hooks) == 0, "no hook is left behind"


def test_repeats_repeat_and_only_later_rounds_count():
    tokens, periods = induction.repeats(50, 24, 16, seed=2)
    assert periods.min() >= induction.SHORTEST and periods.max() <= 12
    for row, period in zip(tokens, periods.tolist(), strict=True):
        assert len(set(row[:period].tolist())) == period and torch.equal(row[period:], row[:-period])
    wanted = induction.targets_of(tokens, periods)
    assert ((wanted >= 0).sum(1) == 23 - periods).all()


def test_shipped_tales_order_the_models():
    nats = shipped("tales")["nats"]
    assert nats["narrator"] < min(nats["gpt"]) and max(nats["gpt"]) < min(nats["ngrams"].values())
    assert_close(nats["uniform"], math.log(len(WORDS)), atol=1e-4, rtol=0)


def test_shipped_induction_needs_two_blocks():
    facts = shipped("induction")
    one, two = (facts["depths"][depth]["accuracy"] for depth in "12")
    assert max(one) < 0.3 and min(two) > 0.9
    assert min(head["prefix"] for head in facts["heads"][1]) > 0.5 > max(head["previous"] for head in facts["heads"][0])


def test_shipped_translations_are_better_with_cross_attention_than_with_one_vector():
    facts = shipped("translation")
    scores = facts["scores"]
    assert min(run["bleu"] for run in scores["attention"]) > max(run["bleu"] for run in scores["one_vector"])
    assert min(run["bleu"] for run in scores["one_vector"]) > facts["dictionary"]["bleu"]
    for example in facts["examples"]:
        assert len(example["map"]) == len(example["avian"])
        assert all(len(row) == len(example["english"]) for row in example["map"])
