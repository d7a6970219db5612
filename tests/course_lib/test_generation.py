"""Sampling: laws of the next-token distribution, the cache against full passes, what is left alone."""

import math

import pytest
import torch
from drawing import LAWS, normal, sized
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.gpt import GPT, KVCache, decode_step, generate, left_pad, next_token_probs

VOCAB, BLOCK, DIM, DEPTH, HEADS = 11, 9, 12, 2, 3


def gpt(redraw, dtype=torch.float64) -> GPT:
    return redraw(GPT(VOCAB, BLOCK, DIM, DEPTH, HEADS)).to(dtype)


def some_ids(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


# next_token_probs: its definition, once more, token by token in plain Python


def probs_by_hand(logits: list, temperature: float, top_k: int | None, top_p: float | None) -> list:
    if temperature == 0:
        return [float(i == logits.index(max(logits))) for i in range(len(logits))]
    kept = set(range(len(logits)))
    if top_k is not None:
        kept = {i for i in kept if sum(other > logits[i] for other in logits) < top_k}

    def shares(ids: set[int]) -> list:
        gaps = [(x - max(logits)) / temperature for x in logits]
        powers = [math.exp(gap) if i in ids else 0.0 for i, gap in enumerate(gaps)]
        return [power / sum(powers) for power in powers]

    probs = shares(kept)
    if top_p is not None:
        # a token stays while all strictly better ones have not filled the nucleus
        kept = {i for i in kept if probs[i] > 0 and sum(p for p in probs if p > probs[i]) < top_p}
        probs = shares(kept)
    return probs


temperatures = st.sampled_from([0, 0.3, 1.0, 2.5])
ks = st.none() | st.integers(1, 9)
# multiples of an odd fraction, so that no sum of probabilities lands exactly on them
ps = st.none() | st.integers(1, 40).map(lambda i: i / 41.3)


@given(sized("v", "rows"), temperatures, ks, ps, st.booleans())
@LAWS
def test_probabilities_are_what_their_definition_says(drawn, temperature, top_k, top_p, forbid):
    generator, v, rows = drawn
    logits = normal(generator, rows, v, scale=2)
    if forbid and v > 1:
        logits[:, torch.randint(0, v, (1,), generator=generator)] = -math.inf
    before = logits.clone()
    probs = next_token_probs(logits, temperature, top_k, top_p)
    expected = [probs_by_hand(row.tolist(), temperature, top_k, top_p) for row in logits]
    torch.testing.assert_close(probs, torch.tensor(expected, dtype=torch.float64))
    assert torch.equal(logits, before)


@given(sized("v", "rows"), st.sampled_from([0.3, 1.0, 2.5]), ks, ps, st.integers(1, 4))
@LAWS
def test_probabilities_favour_no_id_among_equals(drawn, temperature, top_k, top_p, levels):
    """Renaming the tokens renames the probabilities; with few levels many logits are equal."""
    generator, v, rows = drawn
    logits = torch.randint(0, levels, (rows, v), generator=generator).double()
    order = torch.randperm(v, generator=generator)
    probs = next_token_probs(logits, temperature, top_k, top_p)
    renamed = next_token_probs(logits[:, order], temperature, top_k, top_p)
    torch.testing.assert_close(renamed, probs[:, order])
    # equal logits, equal fates
    same = logits[:, :, None] == logits[:, None, :]
    assert torch.equal((probs[:, :, None] > 0) & same, (probs[:, None, :] > 0) & same)


@given(sized("v", "rows"), temperatures, ks, ps, st.floats(-50, 50))
@LAWS
def test_probabilities_are_a_distribution_and_ignore_a_common_shift(drawn, temperature, top_k, top_p, shift):
    generator, v, rows = drawn
    logits = normal(generator, rows, v, scale=3)
    probs = next_token_probs(logits, temperature, top_k, top_p)
    torch.testing.assert_close(probs.sum(-1), torch.ones(rows, dtype=torch.float64))
    assert (probs >= 0).all()
    torch.testing.assert_close(next_token_probs(logits + shift, temperature, top_k, top_p), probs)
    # the best token is always possible, and never worse than without cutting
    best = logits.argmax(-1, keepdim=True)
    assert (probs.gather(-1, best) >= next_token_probs(logits, temperature).gather(-1, best) - 1e-12).all()


@given(sized("v"), st.integers(1, 8), st.integers(1, 40).map(lambda i: i / 41.3))
@LAWS
def test_larger_sets_contain_smaller_ones(drawn, k, p):
    generator, v = drawn
    logits = normal(generator, v, scale=2)

    def kept(**options):
        return next_token_probs(logits, **options) > 0

    assert (kept(top_k=k) <= kept(top_k=k + 1)).all() and kept(top_k=k).sum() == min(k, v)
    assert (kept(top_p=p) <= kept(top_p=min(1.0, p + 0.02))).all()
    assert kept(top_k=v).all() and kept(top_p=1.0).all()
    full = next_token_probs(logits)
    nucleus = kept(top_p=p)
    assert full[nucleus].sum() >= p - 1e-12
    # without its least likely member the nucleus would be too small
    assert full[nucleus].sum() - full[nucleus].min() < p


def test_a_vanishing_temperature_tends_to_greedy_without_nan():
    logits = torch.tensor([[2.0, 5.0, -math.inf, 4.9], [1e30, -1e30, 0.0, 3.0]])
    for temperature in (1e-3, 1e-30, 1e-300):
        torch.testing.assert_close(next_token_probs(logits, temperature), next_token_probs(logits, 0))
    assert next_token_probs(torch.tensor([1.0, 3.0, 3.0]), 0).tolist() == [0, 1, 0]
    shared = next_token_probs(torch.tensor([1.0, 3.0, 3.0]), 1e-4)
    torch.testing.assert_close(shared, torch.tensor([0, 0.5, 0.5]))


def test_top_p_counts_what_top_k_left():
    # after top_k=2 the two best hold 4/7 and 3/7, so that 0.5 keeps one; of the whole the best holds 0.4
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    torch.testing.assert_close(next_token_probs(logits, top_k=2, top_p=0.5), torch.tensor([1.0, 0, 0, 0]))
    torch.testing.assert_close(next_token_probs(logits, top_p=0.5), torch.tensor([4 / 7, 3 / 7, 0, 0]))


def test_a_nucleus_that_is_exactly_filled_takes_no_more():
    logits = torch.tensor([math.log(2), 0, 0], dtype=torch.float64)
    # shares of 1/2, 1/4 and 1/4, free of rounding
    assert next_token_probs(logits).tolist() == [0.5, 0.25, 0.25]
    assert next_token_probs(logits, top_p=0.5).tolist() == [1, 0, 0]


def test_top_p_counts_after_temperature():
    # squared by temperature 0.5, the best of (0.5, 0.3, 0.2) holds 0.66 instead of 0.5
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    torch.testing.assert_close(next_token_probs(logits, 0.5, top_p=0.6), torch.tensor([1.0, 0, 0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_probabilities_follow_dtype_and_device(device, dtype):
    logits = (torch.randn(2, 300) * 3).to(device, dtype)
    probs = next_token_probs(logits, 0.8, top_k=200, top_p=0.9)
    assert probs.dtype == dtype and probs.device == logits.device
    exact = next_token_probs(logits.cpu().double(), 0.8, top_k=200, top_p=0.9)
    torch.testing.assert_close(probs.cpu().double(), exact, rtol=0, atol=2 * torch.finfo(dtype).eps)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1},
        {"temperature": math.inf},
        {"temperature": math.nan},
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.2},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        next_token_probs(torch.randn(2, 5), **options)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_have_no_distribution_are_refused(bad):
    logits = torch.randn(2, 5)
    logits[1, 3] = bad
    with pytest.raises(ValueError, match="finite"):
        next_token_probs(logits)
    with pytest.raises(ValueError, match="finite"):
        next_token_probs(torch.full((5,), -math.inf))
    with pytest.raises(TypeError, match="floating"):
        next_token_probs(torch.tensor([1, 2]))


# the cache


@pytest.mark.parametrize("parts", [[1] * 9, [4, 1, 3, 1], [9], [2, 7]])
def test_reading_in_parts_equals_reading_at_once(redraw, parts):
    model, ids, cache = gpt(redraw), some_ids(2, 9), KVCache()
    full = model(ids)
    with torch.no_grad():
        pieces = [model(part, cache=cache) for part in ids.split(parts, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), full)
    assert cache.length == 9


@pytest.mark.parametrize("parts", [[1] * 7, [5, 1, 1], [3, 4]])
def test_reading_padded_prompts_in_parts_equals_reading_each_alone(redraw, parts):
    model, cache = gpt(redraw), KVCache()
    prompts = [some_ids(1, length, seed=length) for length in (7, 2, 4)]
    ids, mask = left_pad([prompt[0].tolist() for prompt in prompts], pad=6)
    read = 0
    for part in ids.split(parts, dim=1):
        read += part.shape[1]
        logits = decode_step(model, part, cache, mask[:, :read])
    for row, prompt in enumerate(prompts):
        torch.testing.assert_close(logits[row], model(prompt)[0, -1])


def test_a_step_says_what_the_last_row_of_a_full_pass_says(redraw):
    model, ids, cache = gpt(redraw), some_ids(2, 6), KVCache()
    decode_step(model, ids[:, :4], cache)
    for i in (4, 5):
        logits = decode_step(model, ids[:, i : i + 1], cache)
        torch.testing.assert_close(logits, model(ids[:, : i + 1])[:, -1])
    assert not logits.requires_grad


def test_a_cache_grows_reorders_and_forgets():
    cache, generator = KVCache(), torch.Generator().manual_seed(0)
    keys = torch.randn(3, 2, 150, 5, generator=generator)
    values = torch.randn(3, 2, 150, 4, generator=generator)
    for part in torch.arange(150).split([1, 70, 1, 40, 38]):
        k, v = cache.append(1, keys[:, :, part], values[:, :, part])
        assert torch.equal(k, keys[:, :, : part[-1] + 1]) and torch.equal(v, values[:, :, : part[-1] + 1])
    rows = torch.tensor([2, 0, 0, 1])
    cache.reorder(rows)
    assert torch.equal(cache[1][0], keys[rows]) and torch.equal(cache[1][1], values[rows])
    assert cache.length == 150 and 1 in cache and 0 not in cache
    cache.reset()
    assert cache.length == 0 and 1 not in cache


def test_a_cache_seldom_moves_what_it_keeps():
    cache, places = KVCache(), set()
    for _ in range(1000):
        keys, _ = cache.append(0, torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
        places.add(keys.untyped_storage().data_ptr())
    assert keys.shape[2] == 1000 and len(places) <= 6


def test_a_cache_keeps_copies_and_refuses_what_does_not_fit():
    cache, key = KVCache(), torch.zeros(2, 3, 4, 5)
    cache.append(0, key, key)
    key.fill_(7)
    assert cache[0][0].eq(0).all()
    with pytest.raises(ValueError, match="only n may differ"):
        cache.append(0, torch.zeros(1, 3, 1, 5), torch.zeros(1, 3, 1, 5))
    with pytest.raises(ValueError, match=r"\[b h n e\]"):
        cache.append(1, torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 1, 5))
    with pytest.raises(RuntimeError, match="no_grad"):
        cache.append(1, key.clone().requires_grad_(), key)


def test_a_full_cache_says_so(redraw):
    model, cache = gpt(redraw), KVCache()
    decode_step(model, some_ids(2, BLOCK), cache)
    with pytest.raises(ValueError, match="10 tokens exceed the block of 9"):
        decode_step(model, some_ids(2, 1), cache)


# generate


def continue_by_hand(model, row: list[int], n: int, temperature: float, generator=None) -> list[int]:
    """One text at a time, everything read anew for each token."""
    for _ in range(n):
        probs = torch.softmax(model(torch.tensor([row[-BLOCK:]]))[0, -1] / temperature, dim=-1)
        row = [*row, int(torch.multinomial(probs, 1, generator=generator))]
    return row


def test_greedy_takes_the_likeliest_token_each_time(redraw):
    model, ids = gpt(redraw), some_ids(3, 4)
    texts = generate(model, ids, 10, temperature=0)
    for row in texts.tolist():
        assert full_passes(model, row, 10).argmax(-1).tolist() == row[-10:]


def write_and_listen(model: GPT, ids: torch.Tensor, n: int, **options) -> tuple[torch.Tensor, torch.Tensor]:
    """The texts, and the logits [b n v] that each new token was drawn from."""
    said = []
    listen = lambda _, __, out: said.append(out if out.ndim == 2 else out[:, -1])  # noqa: E731
    hook = model.head.register_forward_hook(listen)
    texts = generate(model, ids, n, torch.Generator().manual_seed(0), temperature=3.0, **options)
    hook.remove()
    return texts, torch.stack(said, dim=1)


def full_passes(model: GPT, text: list[int], n: int) -> torch.Tensor:
    """Logits [n v] for the last n tokens of a text, each from a pass over the block before it."""
    ends = range(len(text) - n, len(text))
    return torch.stack([model(torch.tensor([text[max(0, end - BLOCK) : end]]))[0, -1] for end in ends])


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("length", [1, 4, BLOCK, BLOCK + 3])
def test_each_token_is_drawn_from_what_the_last_tokens_of_the_text_predict(redraw, length, use_cache):
    model, ids = gpt(redraw), some_ids(3, length)
    before = ids.clone()
    texts, said = write_and_listen(model, ids, 10, use_cache=use_cache)
    for row in range(3):
        torch.testing.assert_close(said[row], full_passes(model, texts[row].tolist(), 10))
    # texts that soon repeat one token could not tell a wrong window from a right one
    assert min(len(set(row.tolist())) for row in texts[:, -10:]) > 3
    assert torch.equal(texts[:, :length], before) and torch.equal(ids, before) and texts.dtype == ids.dtype


@pytest.mark.parametrize("use_cache", [True, False])
def test_prompts_of_unequal_length_are_continued_as_if_alone(redraw, use_cache):
    model = gpt(redraw)
    prompts = [some_ids(1, length, seed=length)[0].tolist() for length in (2, BLOCK + 2, 5, 1)]
    ids, mask = left_pad(prompts, pad=4)
    texts, said = write_and_listen(model, ids, 10, mask=mask, use_cache=use_cache)
    for row, prompt in enumerate(prompts):
        text = texts[row, -len(prompt) - 10 :].tolist()
        assert text[: len(prompt)] == prompt
        torch.testing.assert_close(said[row], full_passes(model, text, 10))


def test_drawing_uses_the_given_generator_and_only_that(redraw):
    model, ids = gpt(redraw), some_ids(1, 3)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    texts = generate(model, ids, 9, torch.Generator().manual_seed(1), temperature=1.3)
    assert torch.equal(torch.get_rng_state(), state)
    by_hand = continue_by_hand(model, ids[0].tolist(), 9, 1.3, torch.Generator().manual_seed(1))
    assert texts[0].tolist() == by_hand
    seeds = {tuple(generate(model, ids, 9, torch.Generator().manual_seed(s))[0].tolist()) for s in range(5)}
    assert len(seeds) > 1


def test_without_a_generator_the_global_one_is_used(redraw):
    model, ids = gpt(redraw), some_ids(2, 3)
    torch.manual_seed(5)
    first = generate(model, ids, 9)
    torch.manual_seed(5)
    assert torch.equal(generate(model, ids, 9), first)
    assert not torch.equal(generate(model, ids, 9), first)


def test_drawn_tokens_follow_the_distribution(redraw):
    model, ids = gpt(redraw), some_ids(1, 4)
    options = dict(temperature=2.0, top_k=6, top_p=0.9)
    probs = next_token_probs(model(ids)[0, -1], **options)
    drawn = generate(model, ids.expand(20_000, -1), 1, torch.Generator().manual_seed(0), **options)[:, -1]
    shares = torch.bincount(drawn, minlength=VOCAB) / 20_000
    # five standard deviations of a share of 20,000 draws are at most 0.018
    torch.testing.assert_close(shares.double(), probs.detach(), rtol=0, atol=0.018)
    assert shares[probs == 0].eq(0).all() and 1 < int((probs > 0).sum()) <= 6


class Fails(nn.Module):
    block = 4

    def forward(self, ids):
        raise RuntimeError("on purpose")


@pytest.mark.parametrize("grad", [True, False])
def test_modes_and_gradients_are_left_as_they_were(redraw, grad):
    model = redraw(GPT(VOCAB, BLOCK, DIM, DEPTH, HEADS, dropout=0.5)).double()
    model.train()
    model.blocks[1].eval()
    modes = [module.training for module in model.modules()]
    with torch.set_grad_enabled(grad):
        texts = generate(model, some_ids(2, 3), 5, temperature=0)
        assert torch.is_grad_enabled() == grad
    assert [module.training for module in model.modules()] == modes
    # dropout is off while it writes
    assert torch.equal(texts, generate(model.eval(), some_ids(2, 3), 5, temperature=0))
    # ids are ordinary tensors that may be trained on
    model(texts[:, :BLOCK]).sum().backward()

    failing = Fails().train()
    with pytest.raises(RuntimeError, match="on purpose"):
        generate(failing, some_ids(2, 3), 5)
    assert failing.training and torch.is_grad_enabled()


class Counts(nn.Module):
    """Always predicts the id after the last one; knows neither cache nor block."""

    def forward(self, ids):
        return nn.functional.one_hot((ids + 1) % VOCAB, VOCAB).float() * 100


def test_any_model_that_maps_ids_to_logits_can_write():
    texts = generate(Counts(), torch.tensor([[3], [8]]), 5, temperature=0)
    assert texts.tolist() == [[3, 4, 5, 6, 7, 8], [8, 9, 10, 0, 1, 2]]


def test_a_row_that_has_stopped_stays_stopped_and_the_others_go_on():
    texts = generate(Counts(), torch.tensor([[3], [8], [5]]), 5, temperature=0, stop=5)
    # a stop in the prompt is no reason to stop
    assert texts.tolist() == [[3, 4, 5, 5, 5, 5], [8, 9, 10, 0, 1, 2], [5, 6, 7, 8, 9, 10]]
    all_stop = generate(Counts(), torch.tensor([[3], [4]]), 5, temperature=0, stop=5)
    assert all_stop.tolist() == [[3, 4, 5, 5, 5, 5], [4, 5, 5, 5, 5, 5]]


def test_nothing_to_write_is_a_copy(redraw):
    ids = some_ids(2, 3)
    texts = generate(gpt(redraw), ids, 0)
    assert torch.equal(texts, ids) and texts.data_ptr() != ids.data_ptr()


def test_bad_prompts_get_a_sentence(redraw):
    model = gpt(redraw)
    for ids, n in ((torch.zeros(2, 0, dtype=torch.long), 3), (some_ids(2, 3), -1), (some_ids(3), 1)):
        with pytest.raises(ValueError, match="Need ids"):
            generate(model, ids, n)
    with pytest.raises(ValueError, match="pad on the left"):
        generate(model, some_ids(2, 2), 1, mask=torch.tensor([[True, True], [True, False]]))
    with pytest.raises(ValueError, match="at least one token"):
        left_pad([[1, 2], []])
    with pytest.raises(TypeError, match="heat"):
        generate(model, some_ids(2, 2), 1, heat=3)


def test_it_writes_where_the_model_is(redraw, device):
    model = gpt(redraw, torch.float32).to(device)
    ids, mask = left_pad([[1, 2, 3], [4]], device=device)
    texts = generate(model, ids, 9, torch.Generator().manual_seed(0), mask=mask, top_k=5)
    assert texts.device.type == device.type and texts.shape == (2, 12)
    # one seed on the CPU's generator draws the same text on every device
    on_cpu = generate(model.cpu(), ids.cpu(), 9, torch.Generator().manual_seed(0), mask=mask.cpu(), top_k=5)
    assert torch.equal(texts.cpu(), on_cpu)
