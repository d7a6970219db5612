"""The encoder-decoder: who may look at what, and that decoding finds what an exhaustive search finds."""

import itertools

import pytest
import torch
from torch import Tensor

from course_lib.encoder_decoder import DecoderCache
from course_lib.gpt import DecoderBlock, EncoderDecoder, beam_decode, greedy_decode, lm_loss

SOURCE, TARGET, BLOCK, DIM, DEPTH, HEADS = 7, 5, 8, 12, 2, 3
START, END = 1, 3


def model_of(redraw, seed: int = 0, **options) -> EncoderDecoder:
    return redraw(EncoderDecoder(SOURCE, TARGET, BLOCK, DIM, DEPTH, HEADS, **options), seed).double()


def ids(vocab: int, *shape: int, seed: int = 3) -> Tensor:
    return torch.randint(0, vocab, shape, generator=torch.Generator().manual_seed(seed))


def test_targets_hear_of_all_the_source_and_of_no_later_target(redraw):
    model = model_of(redraw)
    heard: dict[str, Tensor] = {}
    for side in ("source", "target"):
        table = getattr(model, f"{side}_tokens")

        def listen(_module, _inputs, out: Tensor, side: str = side) -> None:
            out.retain_grad()
            heard[side] = out

        table.register_forward_hook(listen)
    logits = model(ids(SOURCE, 1, 6), ids(TARGET, 1, 4))
    for i in range(4):
        for out in heard.values():
            out.grad = None
        logits[0, i].square().sum().backward(retain_graph=True)
        assert (heard["target"].grad[0].abs().amax(-1) > 0).tolist() == [j <= i for j in range(4)]
        assert (heard["source"].grad[0].abs().amax(-1) > 0).all()


def test_source_padding_is_invisible_wherever_it_stands(redraw):
    model = model_of(redraw)
    short, target = ids(SOURCE, 1, 4), ids(TARGET, 1, 5)
    alone = model(short, target)
    padded = torch.cat([short, torch.tensor([[6, 2]])], dim=1)
    mask = torch.tensor([[True] * 4 + [False] * 2])
    torch.testing.assert_close(model(padded, target, mask), alone)
    other = torch.cat([short, torch.tensor([[0, 5]])], dim=1)
    torch.testing.assert_close(model(other, target, mask), alone)
    assert not torch.allclose(model(padded, target), alone)


def test_padding_at_the_end_of_targets_needs_no_mask(redraw):
    model = model_of(redraw)
    source, target = ids(SOURCE, 2, 6), ids(TARGET, 2, 5)
    lengthened = torch.cat([target, ids(TARGET, 2, 2, seed=9)], dim=1)
    torch.testing.assert_close(model(source, lengthened)[:, :5], model(source, target))


def test_a_source_of_nothing_but_padding_gives_finite_gradients(redraw):
    model = model_of(redraw)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1] = False
    logits = model(ids(SOURCE, 2, 6), ids(TARGET, 2, 5), mask)
    other = model(ids(SOURCE, 2, 6, seed=8), ids(TARGET, 2, 5), mask)
    torch.testing.assert_close(logits[1], other[1])
    lm_loss(logits, ids(TARGET, 2, 5)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_decoder_block_is_its_three_branches(redraw):
    block = redraw(DecoderBlock(DIM, HEADS)).double()
    x, memory = torch.randn(2, 5, DIM).double(), torch.randn(2, 7, DIM).double()
    memory_mask = torch.rand(2, 7) > 0.4
    memory_mask[1] = False
    y = x + block.self_attn(block.norm1(x), mask=torch.ones(5, 5, dtype=torch.bool).tril())
    y = y + block.cross_attn(block.norm2(y), memory, memory_mask[:, None].expand(2, 5, 7))
    y = y + block.mlp(block.norm3(y))
    torch.testing.assert_close(block(x, memory, memory_mask), y)


@pytest.mark.parametrize("parts", [[1] * 5, [3, 2], [1, 4]])
def test_writing_in_parts_equals_writing_at_once(redraw, parts):
    model = model_of(redraw)
    source, target = ids(SOURCE, 2, 6), ids(TARGET, 2, 5)
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    cache = DecoderCache()
    with torch.no_grad():
        memory = model.encode(source, mask)
        pieces = [model.decode(part, memory, mask, cache) for part in target.split(parts, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(source, target, mask))


def test_dropout_acts_in_training_only_and_decoding_restores_the_mode(redraw):
    model = model_of(redraw, dropout=0.5).train()
    source, target = ids(SOURCE, 2, 6), ids(TARGET, 2, 5)
    assert not torch.equal(model(source, target), model(source, target))
    model.encoder[0].eval()
    modes = [module.training for module in model.modules()]
    greedy = greedy_decode(model, source, START, END, 6)
    beam, _ = beam_decode(model, source, START, END, 6, beams=2)
    assert [module.training for module in model.modules()] == modes and torch.is_grad_enabled()
    model.eval()
    torch.testing.assert_close(model(source, target), model_of(redraw)(source, target))
    assert torch.equal(greedy, greedy_decode(model, source, START, END, 6))
    assert torch.equal(beam, beam_decode(model, source, START, END, 6, beams=2)[0])


# decoding


def log_prob(model: EncoderDecoder, source: Tensor, text: list[int]) -> float:
    """The log-probability of a text up to its first end, from one full pass over a single source."""
    text = text[: text.index(END) + 1] if END in text else text
    logits = model(source, torch.tensor([[START, *text[:-1]]]))[0]
    return sum(float(logits[i].log_softmax(-1)[token].detach()) for i, token in enumerate(text))


def every_text(n: int):
    """All texts that end within n tokens, or have n tokens and no end."""
    others = [token for token in range(TARGET) if token != END]
    for length in range(n + 1):
        for text in itertools.product(others, repeat=length):
            if length == n:
                yield list(text)
            else:
                yield [*text, END]


def trimmed(row: Tensor) -> list[int]:
    text = row.tolist()
    return text[: text.index(END) + 1] if END in text else text


def test_greedy_takes_the_likeliest_token_each_time(redraw):
    ends = set()
    for seed in range(6):
        model = model_of(redraw, seed)
        source, mask = ids(SOURCE, 3, 6, seed=seed), torch.arange(6) < torch.tensor([[6], [2], [5]])
        texts = greedy_decode(model, source, START, END, 5, mask)
        for row in range(3):
            alone, expected = source[row : row + 1, mask[row]], []
            while len(expected) < 5 and END not in expected:
                logits = model(alone, torch.tensor([[START, *expected]]))
                expected.append(int(logits[0, -1].argmax()))
            assert trimmed(texts[row]) == expected
            assert set(texts[row, len(expected) :].tolist()) <= {END}
            ends.add(END in expected)
    assert ends == {True, False}


@pytest.mark.parametrize("seed", range(6))
def test_one_beam_is_greedy(redraw, seed):
    model, source = model_of(redraw, seed), ids(SOURCE, 4, 6, seed=seed)
    greedy = greedy_decode(model, source, START, END, 6)
    texts, scores = beam_decode(model, source, START, END, 6, beams=1)
    assert torch.equal(texts, greedy)
    for row in range(4):
        expected = log_prob(model, source[row : row + 1], greedy[row].tolist())
        assert scores[row].item() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_wide_beams_find_the_most_probable_of_all_texts(redraw, seed):
    n, model = 3, undecided(model_of(redraw, seed))
    source, mask = ids(SOURCE, 2, 6, seed=seed), torch.arange(6) < torch.tensor([[6], [4]])
    beams = len(list(every_text(n)))
    texts, scores = beam_decode(model, source, START, END, n, beams, source_mask=mask)
    greedy = greedy_decode(model, source, START, END, n, mask)
    for row in range(2):
        alone = source[row : row + 1, mask[row]]
        best = max(every_text(n), key=lambda text: log_prob(model, alone, text))
        assert trimmed(texts[row]) == best
        assert scores[row].item() == pytest.approx(log_prob(model, alone, best))
        assert scores[row].item() >= log_prob(model, alone, greedy[row].tolist()) - 1e-9


def undecided(model: EncoderDecoder) -> EncoderDecoder:
    """Make many texts nearly equally probable, none favoured by a longer embedding: beams then overtake."""
    with torch.no_grad():
        table = model.target_tokens.weight
        table.copy_(0.4 * torch.nn.functional.normalize(table, dim=-1))
        model.decoder_norm.bias.zero_()
    return model


def beams_by_hand(model: EncoderDecoder, source: Tensor, n: int, beams: int, penalty: float) -> tuple:
    """Beam search over lists, each text scored by a full pass of its own."""
    kept: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(n):
        longer = []
        for score, text in kept:
            if END in text:
                longer.append((score, text))
                continue
            gains = model(source, torch.tensor([[START, *text]]))[0, -1].log_softmax(-1).tolist()
            longer += [(score + gain, [*text, token]) for token, gain in enumerate(gains)]
        kept = sorted(longer, reverse=True)[:beams]
    score, text = max(kept, key=lambda beam: beam[0] / len(beam[1]) ** penalty)
    return text, score


@pytest.mark.parametrize("penalty", [0.0, 1.2])
@pytest.mark.parametrize("beams", [2, 3, 5])
def test_beams_are_kept_and_dropped_as_in_a_search_over_lists(redraw, beams, penalty):
    better = 0
    for seed in range(5):
        model, source = undecided(model_of(redraw, seed)), ids(SOURCE, 3, 6, seed=seed)
        greedy = greedy_decode(model, source, START, END, 6)
        texts, scores = beam_decode(model, source, START, END, 6, beams, length_penalty=penalty)
        for row in range(3):
            alone = source[row : row + 1]
            text, score = beams_by_hand(model, alone, 6, beams, penalty)
            assert trimmed(texts[row]) == text and set(texts[row, len(text) :].tolist()) <= {END}
            assert scores[row].item() == pytest.approx(score)
            assert score == pytest.approx(log_prob(model, alone, text))
            better += score > log_prob(model, alone, greedy[row].tolist()) + 1e-6
    assert better > 0 or penalty


def test_the_length_penalty_ranks_by_what_it_says(redraw):
    n, longer = 3, 0
    for seed in range(6):
        model, source = model_of(redraw, seed), ids(SOURCE, 1, 6, seed=seed)
        everything = list(every_text(n))
        plain, _ = beam_decode(model, source, START, END, n, beams=len(everything))
        texts, _ = beam_decode(model, source, START, END, n, len(everything), length_penalty=1.5)
        best = max(everything, key=lambda text: log_prob(model, source, text) / len(text) ** 1.5)
        assert trimmed(texts[0]) == best
        longer += len(best) > len(trimmed(plain[0]))
    assert longer > 0


@pytest.mark.parametrize("n", [0, BLOCK + 1])
def test_bad_requests_get_a_sentence(redraw, n):
    model, source = model_of(redraw), ids(SOURCE, 2, 6)
    with pytest.raises(ValueError, match="1 to 8 tokens"):
        greedy_decode(model, source, START, END, n)
    with pytest.raises(ValueError, match="1 to 8 tokens"):
        beam_decode(model, source, START, END, n, beams=2)
    with pytest.raises(ValueError, match="beam at least"):
        beam_decode(model, source, START, END, 3, beams=0)
    with pytest.raises(ValueError, match="exceed the block of 8"):
        model(ids(SOURCE, 2, 9), ids(TARGET, 2, 3))
    with pytest.raises(ValueError, match="source mask"):
        model(source, ids(TARGET, 2, 3), torch.ones(2, 5, dtype=torch.bool))


def test_it_learns_to_reverse_and_decodes_what_it_learnt(device):
    """End to end: targets are the sources read backwards, of unequal lengths."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    pad, start, end, longest = 0, 1, 2, 4

    def batch(size: int):
        lengths = torch.randint(1, longest + 1, (size,), generator=generator)
        source = torch.randint(3, 7, (size, longest), generator=generator)
        mask = torch.arange(longest) < lengths[:, None]
        target = torch.full((size, longest + 2), -100)
        for row, length in enumerate(lengths.tolist()):
            backwards = source[row, :length].flip(0).tolist()
            target[row, : length + 2] = torch.tensor([start, *backwards, end])
        return source.masked_fill(~mask, pad).to(device), target.to(device), mask.to(device)

    model = EncoderDecoder(7, 7, longest + 2, dim=32, depth=1, heads=2).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(250):
        source, target, mask = batch(64)
        loss = lm_loss(model(source, target[:, :-1].clamp(min=0), mask), target[:, 1:])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    source, target, mask = batch(200)
    answers = target[:, 1:].masked_fill(target[:, 1:] < 0, end)
    for texts in (
        greedy_decode(model, source, start, end, longest + 1, mask),
        beam_decode(model, source, start, end, longest + 1, 3, mask)[0],
    ):
        filled = torch.full_like(answers, end)
        filled[:, : texts.shape[1]] = texts
        assert (filled == answers).all(1).float().mean() > 0.95
