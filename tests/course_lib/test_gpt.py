"""The GPT: what its masks let through, its data and loss, its parts' names, and what it costs."""

import math

import pytest
import torch
from drawing import LAWS, normal, sized
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from course_lib.attention import TransformerBlock
from course_lib.fused_block import FusedBlock
from course_lib.gpt import (
    GPT,
    causal_mask,
    count_bytes,
    count_flops,
    count_parameters,
    lm_loss,
    next_token_batch,
)

VOCAB, BLOCK, DIM, DEPTH, HEADS = 11, 9, 12, 2, 3
SIZES = dict(vocab=VOCAB, block=BLOCK, dim=DIM, depth=DEPTH, heads=HEADS)


def gpt(redraw, **options) -> GPT:
    return redraw(GPT(**SIZES, **options)).double()


def some_ids(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


# causal_mask


@given(st.integers(0, 7), st.integers(0, 7))
def test_causal_mask_says_who_may_look_at_whom(n, past):
    mask = causal_mask(n, past)
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[j <= past + i for j in range(past + n)] for i in range(n)]


def test_causal_mask_refuses_negative_numbers():
    with pytest.raises(ValueError, match="negative"):
        causal_mask(3, past=-1)


# next_token_batch


@given(sized("block", "rows", "spare"), st.sampled_from([torch.int64, torch.int32, torch.uint8]))
@LAWS
def test_each_target_is_the_token_after_its_input(drawn, dtype):
    generator, block, rows, spare = drawn
    data = torch.randint(0, 200, (block + spare,), generator=generator).to(dtype)
    starts = torch.randint(0, spare, (rows,), generator=generator)
    before = data.clone()
    x, y = next_token_batch(data, block, starts)
    assert x.dtype == y.dtype == torch.int64
    assert x.tolist() == [[int(data[s + j]) for j in range(block)] for s in starts]
    assert y.tolist() == [[int(data[s + j + 1]) for j in range(block)] for s in starts]
    # writing into a batch must reach neither the text nor the other half of the batch
    y_before = y.clone()
    x.zero_()
    assert torch.equal(y, y_before) and torch.equal(data, before)


@pytest.mark.parametrize("starts", [[-1], [4], [0, 7]])
def test_windows_outside_the_text_are_refused(starts):
    with pytest.raises(ValueError, match=r"0\.\.3"):
        next_token_batch(torch.arange(9), 5, starts)


def test_the_last_window_ends_with_the_last_token():
    x, y = next_token_batch(torch.arange(9), 5, [3])
    assert x.tolist() == [[3, 4, 5, 6, 7]] and y.tolist() == [[4, 5, 6, 7, 8]]


# lm_loss


def test_loss_is_the_mean_surprise_over_the_targets_that_count():
    logits = torch.randn(2, 5, VOCAB, dtype=torch.float64) * 4
    targets = some_ids(2, 5)
    targets[0, 1] = targets[1, 3] = targets[1, 4] = 7
    surprises = [
        -math.log(float(logits[b, i, targets[b, i]].exp() / logits[b, i].exp().sum()))
        for b in range(2)
        for i in range(5)
        if targets[b, i] != 7
    ]
    assert len(surprises) == 10 - int((targets == 7).sum())
    loss = lm_loss(logits, targets, ignore_index=7)
    torch.testing.assert_close(loss, torch.tensor(sum(surprises) / len(surprises), dtype=torch.float64))


def test_ignored_targets_get_no_gradient_and_a_batch_of_them_teaches_nothing():
    logits = torch.randn(2, 3, VOCAB, requires_grad=True)
    targets = some_ids(2, 3)
    targets[1, 2] = -100
    (gradient,) = torch.autograd.grad(lm_loss(logits, targets), logits)
    assert gradient[1, 2].eq(0).all() and gradient[0, 2].ne(0).all()
    loss = lm_loss(logits, torch.full_like(targets, -100))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss == 0 and gradient.eq(0).all()


def test_loss_survives_huge_logits_and_half_precision():
    logits = torch.tensor([[1e4, -1e4, 0.0]])
    torch.testing.assert_close(lm_loss(logits, torch.tensor([1])), torch.tensor(2e4))
    many = torch.randn(64, 5000).bfloat16()
    targets = torch.randint(0, 5000, (64,))
    # the logits are exact in both; only the summing may differ
    torch.testing.assert_close(lm_loss(many, targets), lm_loss(many.double(), targets).float())


def test_loss_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="do not fit"):
        lm_loss(torch.randn(2, 5, 3), torch.zeros(5, 2, dtype=torch.long))


# GPT


def test_no_token_hears_of_later_ones_and_each_hears_of_all_earlier_ones(redraw):
    model = gpt(redraw)
    heard = []
    model.tokens.register_forward_hook(lambda _, __, out: heard.append(out) or out.retain_grad())
    logits = model(some_ids(1, 7))
    for i in range(7):
        heard[0].grad = None
        logits[0, i].square().sum().backward(retain_graph=True)
        reached = heard[0].grad[0].abs().amax(-1) > 0
        assert reached.tolist() == [j <= i for j in range(7)]


def test_the_loss_of_all_positions_at_once_is_the_mean_of_the_losses_of_all_beginnings(redraw):
    model = gpt(redraw)
    x, y = next_token_batch(some_ids(20), 7, [0, 5, 12])
    one_by_one = [lm_loss(model(x[:, : i + 1])[:, -1], y[:, i]) for i in range(7)]
    torch.testing.assert_close(lm_loss(model(x), y), torch.stack(one_by_one).mean())


def test_it_equals_its_description_made_of_the_parts_of_the_attention_room(redraw):
    model = gpt(redraw)
    blocks = nn.ModuleList(TransformerBlock(DIM, HEADS) for _ in range(DEPTH)).double()
    blocks.load_state_dict(model.blocks.state_dict())
    ids = some_ids(2, 7)
    x = model.tokens.weight[ids] + model.positions.weight[:7]
    for block in blocks:
        x = block(x, torch.ones(7, 7, dtype=torch.bool).tril())
    torch.testing.assert_close(model(ids), model.norm(x) @ model.tokens.weight.T)


def test_head_and_tokens_are_one_parameter_and_stay_so(redraw):
    model = gpt(redraw)
    assert model.head.weight is model.tokens.weight
    again = GPT(**SIZES).double()
    again.load_state_dict(model.state_dict())
    assert again.head.weight is again.tokens.weight
    torch.testing.assert_close(again(some_ids(2, 5)), model(some_ids(2, 5)), rtol=0, atol=0)


def test_a_fresh_model_is_as_surprised_as_a_die():
    torch.manual_seed(0)
    model = GPT(vocab=257, block=16, dim=48, depth=3, heads=4)
    # targets that are not the inputs: with a tied head, a token reminds even a fresh model of itself
    x, y = torch.randint(0, 257, (2, 8, 16))
    assert abs(lm_loss(model(x), y).item() - math.log(257)) < 0.1


def test_the_stream_of_a_fresh_model_does_not_grow_with_depth():
    torch.manual_seed(0)
    for depth in (2, 32):
        model = GPT(vocab=50, block=16, dim=64, depth=depth, heads=4)
        assert math.isclose(model.blocks[0].mlp[0].weight.std().item(), 0.02, rel_tol=0.05)
        for last in (model.blocks[-1].attn.out, model.blocks[-1].mlp[2]):
            assert math.isclose(last.weight.std().item(), 0.02 / math.sqrt(2 * depth), rel_tol=0.05)
            assert last.bias.eq(0).all()


def test_the_right_mask_makes_left_padding_invisible(redraw):
    model = gpt(redraw)
    ids = some_ids(1, 4)
    padded = torch.cat([torch.full((1, 3), 5), ids], dim=1)
    mask = torch.tensor([[False] * 3 + [True] * 4])
    torch.testing.assert_close(model(padded, mask)[:, 3:], model(ids))
    loss = model(padded, mask)[:, 3:].square().sum()
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, model.parameters()))
    assert not torch.allclose(model(padded)[:, 3:], model(ids))


def test_attention_maps_are_causal_distributions_that_the_model_uses(redraw):
    model = gpt(redraw)
    ids = some_ids(2, 7)
    maps = model.attention_maps(ids)
    assert maps.shape == (DEPTH, 2, HEADS, 7, 7)
    assert maps.triu(1).eq(0).all()
    torch.testing.assert_close(maps.sum(-1), torch.ones(DEPTH, 2, HEADS, 7).double())
    first, x = model.blocks[0], model.tokens(ids) + model.positions.weight[:7]
    values = first.attn.value(first.norm1(x)).unflatten(-1, (HEADS, -1)).transpose(1, 2)
    found = first.attn.out((maps[0] @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(x + found + first.mlp(first.norm2(x + found)), first(x))


def test_dropout_acts_in_training_only(redraw):
    model = gpt(redraw, dropout=0.5)
    ids = some_ids(2, 7)
    assert not torch.equal(model(ids), model(ids))
    # without blocks, what is left is the dropout of the embeddings
    shallow = GPT(VOCAB, BLOCK, DIM, 0, HEADS, dropout=0.5)
    assert not torch.equal(shallow(ids), shallow(ids))
    plain = gpt(redraw)
    torch.testing.assert_close(model.eval()(ids), plain(ids))


def test_tanh_gelu_is_the_approximation_and_not_the_default(redraw):
    ids = some_ids(2, 7)
    exact, tanh = gpt(redraw)(ids), gpt(redraw, gelu="tanh")(ids)
    assert 0 < (exact - tanh).abs().max() < 0.1
    with pytest.raises(ValueError, match="gelu"):
        GPT(**SIZES, gelu="relu")


@pytest.mark.parametrize(
    "ids, error, sentence",
    [
        (some_ids(2, BLOCK + 1), ValueError, "10 tokens exceed the block of 9"),
        (some_ids(5), ValueError, r"must be \[b n\]"),
        (some_ids(2, 5).float(), TypeError, "must be integers"),
        (torch.tensor([[3, VOCAB]]), IndexError, r"0\.\.10, but these go from 3 to 11"),
        (torch.tensor([[-1, 3]]), IndexError, "from -1 to 3"),
    ],
)
def test_bad_ids_get_a_sentence(ids, error, sentence):
    with pytest.raises(error, match=sentence):
        GPT(**SIZES)(ids)


@pytest.mark.parametrize("mask", [torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 5)])
def test_bad_masks_get_a_sentence(mask):
    with pytest.raises(ValueError, match=r"boolean \[2 5\]"):
        GPT(**SIZES)(some_ids(2, 5), mask)


def test_heads_that_do_not_fit_get_a_sentence():
    with pytest.raises(ValueError, match="5 equal heads"):
        GPT(vocab=7, block=4, dim=12, depth=1, heads=5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_runs_where_it_is_put(redraw, device, dtype):
    model = redraw(GPT(**SIZES)).to(device, dtype)
    ids = some_ids(2, 7).to(device)
    mask = torch.ones(2, 7, dtype=torch.bool, device=device)
    mask[1, :2] = False
    for logits in (model(ids), model(ids, mask)):
        assert logits.dtype == dtype and logits.device.type == device.type
        assert logits.isfinite().all()


def test_it_compiles_to_one_graph(redraw):
    model = gpt(redraw)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(some_ids(2, 7)), model(some_ids(2, 7)))


@given(sized("n", "rows"), st.booleans())
@LAWS
def test_the_fused_block_is_the_block_of_the_attention_room(drawn, causal):
    generator, n, rows = drawn
    fused, plain = FusedBlock(DIM, HEADS, causal=causal).double(), TransformerBlock(DIM, HEADS).double()
    for parameter in plain.parameters():
        parameter.data.copy_(normal(generator, *parameter.shape, scale=0.5))
    fused.load_state_dict(plain.state_dict())
    x = normal(generator, rows, n, DIM)
    mask = torch.ones(n, n, dtype=torch.bool).tril() if causal else None
    torch.testing.assert_close(fused(x), plain(x, mask))


# accounting


@pytest.mark.parametrize("sizes", [SIZES, dict(vocab=5, block=3, dim=8, depth=3, heads=2)])
def test_parameters_are_counted_as_the_model_has_them(sizes):
    model, counts = GPT(**sizes), count_parameters(**sizes)
    assert counts["total"] == sum(p.numel() for p in model.parameters())

    def of(*names):
        return sum(p.numel() for name, p in model.named_parameters() if any(part in name for part in names))

    by_part = {
        "tokens": of("tokens."),
        "positions": of("positions."),
        "attention": of(".attn."),
        "mlp": of(".mlp."),
        "norms": of("norm"),
        "head": 0,
    }
    assert counts == by_part | {"total": sum(by_part.values())}


def test_gpt2_has_the_124_million_parameters_it_is_known_for():
    assert count_parameters(vocab=50257, block=1024, dim=768, depth=12, heads=12)["total"] == 124_439_808


def test_operations_are_counted_as_torch_counts_them():
    model = GPT(**SIZES)
    ids = some_ids(4, BLOCK)
    counts = count_flops(**SIZES, batch=4)
    # the plain kernel, whose products torch's counter knows, computes all pairs, as the account says
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as forward:
            loss = lm_loss(model(ids), ids)
        with FlopCounterMode(display=False) as backward:
            loss.backward()
    assert counts["forward"] == forward.get_total_flops()
    assert counts["backward"] == backward.get_total_flops()
    assert counts["step"] == counts["forward"] + counts["backward"]


def test_bytes_for_the_backward_pass_are_counted_as_torch_keeps_them():
    sizes = dict(vocab=71, block=32, dim=48, depth=3, heads=4)
    model = GPT(**sizes)
    ids = torch.randint(0, 71, (5, 32))
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if tensor.is_floating_point() and storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = lm_loss(model(ids), ids)
    counts = count_bytes(**sizes, batch=5)
    assert loss.isfinite()
    assert math.isclose(counts["activations"], sum(kept.values()), rel_tol=0.01)
    assert counts["weights"] == sum(p.numel() * p.element_size() for p in model.parameters())
