"""The attention room, from the softmax to the heads: what each part promises, as examples and as laws."""

import math

import pytest
import torch
from drawing import LAWS, normal, sized
from hypothesis import given
from hypothesis import strategies as st

from course_lib.attention import (
    MultiHeadAttention,
    attend,
    attention_weights,
    gram_attention,
    merge_heads,
    softmax,
    split_heads,
)

INF = math.inf

# softmax


@LAWS
@given(sized("rows", "n"), st.sampled_from([0, 1, -1]), st.floats(0.1, 1e3))
def test_softmax_is_a_distribution_along_its_axis_alone(drawn, dim, scale):
    generator, rows, n = drawn
    weights = softmax(normal(generator, rows, n, scale=scale), dim)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim), torch.ones_like(weights.sum(dim)))


@LAWS
@given(sized("rows", "n"), st.floats(-1e3, 1e3))
def test_softmax_is_unmoved_by_a_shift_of_every_score(drawn, shift):
    generator, rows, n = drawn
    x = normal(generator, rows, n)
    torch.testing.assert_close(softmax(x + shift, -1), softmax(x, -1), rtol=1e-9, atol=1e-12)


def test_softmax_survives_extreme_scores(device):
    x = torch.tensor([[1e3, 999.0, -1e3], [-1e3, -1e3, -1001.0]], device=device)
    third = torch.softmax(x.cpu().double(), -1).to(device, torch.float32)
    torch.testing.assert_close(softmax(x, -1), third)


def test_softmax_shares_nothing_out_among_no_candidates(device):
    x = torch.tensor([[-INF, -INF], [-INF, 2.0]], device=device, requires_grad=True)
    weights = softmax(x, -1)
    assert weights.tolist() == [[0.0, 0.0], [0.0, 1.0]]
    (weights * torch.tensor([3.0, 5.0], device=device)).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_softmax_keeps_dtype_and_device_and_its_input(device, dtype):
    if device.type == "mps" and dtype == torch.float64:
        pytest.skip("this device has no float64")
    x = torch.randn(3, 4, device=device).to(dtype)
    before = x.clone()
    weights = softmax(x, 0)
    assert (weights.dtype, weights.device.type) == (dtype, device.type)
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_softmax_of_half_precision_rounds_only_once(dtype):
    x = torch.randn(64, 300).to(dtype)
    assert torch.equal(softmax(x, -1), softmax(x.float(), -1).to(dtype))


def test_softmax_refuses_integers():
    with pytest.raises(TypeError, match="floating-point scores"):
        softmax(torch.arange(3), 0)


# attention_weights and attend


@LAWS
@given(sized("b", "n", "m", "d"))
def test_rows_sum_to_one_or_to_zero_where_nothing_may_be_seen(drawn):
    generator, b, n, m, d = drawn
    q, k = normal(generator, b, n, d), normal(generator, b, m, d)
    mask = torch.rand(b, n, m, generator=generator) > 0.5
    weights = attention_weights(q, k, mask)
    torch.testing.assert_close(weights.sum(-1), mask.any(-1).double())
    assert (weights[~mask] == 0).all()


@LAWS
@given(sized("n", "m", "d", "e"))
def test_what_a_mask_hides_changes_nothing(drawn):
    generator, n, m, d, e = drawn
    q, k, v = normal(generator, n, d), normal(generator, m, d), normal(generator, m, e)
    hidden = torch.rand(m, generator=generator) > 0.5
    mask = (~hidden).expand(n, m)
    out, _ = attend(q, k, v, mask)
    # far beyond any score a "large negative number" mask could out-shout
    k2, v2 = k.clone(), v.clone()
    k2[hidden] = 1e150
    v2[hidden] = -1e150
    torch.testing.assert_close(attend(q, k2, v2, mask)[0], out, rtol=0, atol=0)


@LAWS
@given(sized("n", "m", "d", "e"))
def test_attend_forgets_the_order_of_keys_and_follows_that_of_queries(drawn):
    generator, n, m, d, e = drawn
    q, k, v = normal(generator, n, d), normal(generator, m, d), normal(generator, m, e)
    mask = torch.rand(n, m, generator=generator) > 0.3
    out, weights = attend(q, k, v, mask)
    of_queries = torch.randperm(n, generator=generator)
    of_keys = torch.randperm(m, generator=generator)
    out2, weights2 = attend(q[of_queries], k[of_keys], v[of_keys], mask[of_queries][:, of_keys])
    torch.testing.assert_close(out2, out[of_queries])
    torch.testing.assert_close(weights2, weights[of_queries][:, of_keys])


@LAWS
@given(sized("n", "m", "d", "e"))
def test_attend_answers_within_the_range_of_the_values(drawn):
    generator, n, m, d, e = drawn
    v = normal(generator, m, e)
    out, _ = attend(normal(generator, n, d), normal(generator, m, d), v)
    assert (out <= v.amax(0) + 1e-12).all() and (out >= v.amin(0) - 1e-12).all()


def test_weights_by_hand():
    # scores q·k/√d are 0 and ln 3 (d = 4), so the weights are 1/4 and 3/4
    q = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
    k = torch.tensor([[0.0, 9.0, 9.0, 9.0], [math.log(3), 0.0, 5.0, 0.0]])
    torch.testing.assert_close(attention_weights(q, k), torch.tensor([[0.25, 0.75]]))
    out, _ = attend(q, k, torch.tensor([[4.0, 0.0, 8.0], [0.0, 4.0, 8.0]]))
    torch.testing.assert_close(out, torch.tensor([[1.0, 3.0, 8.0]]))


def test_a_query_with_nothing_to_attend_to_gets_zeros_and_finite_gradients(device):
    q, k, v = (torch.randn(2, s, device=device, requires_grad=True) for s in (3, 3, 4))
    mask = torch.tensor([[False, False], [True, False]], device=device)
    out, weights = attend(q, k, v, mask)
    assert (out[0] == 0).all() and (weights[0] == 0).all()
    out.square().sum().backward()
    assert all(t.grad.isfinite().all() for t in (q, k, v))


def test_attend_has_the_gradient_of_its_formula():
    generator = torch.Generator().manual_seed(3)
    inputs = [normal(generator, *s).requires_grad_() for s in [(2, 3, 5), (2, 4, 5), (2, 4, 6)]]
    mask = torch.rand(2, 3, 4, generator=generator) > 0.3
    mask[1, 2] = False
    assert torch.autograd.gradcheck(lambda q, k, v: attend(q, k, v, mask)[0], inputs)


def test_attend_says_what_is_wrong():
    q, k, v = torch.randn(2, 3), torch.randn(5, 3), torch.randn(5, 4)
    with pytest.raises(TypeError, match="True = may attend"):
        attend(q, k, v, torch.ones(2, 5))
    with pytest.raises(ValueError, match=r"shape \(5, 2\) does not fit scores of shape \(2, 5\)"):
        attend(q, k, v, torch.ones(5, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="3 channels, keys 4"):
        attend(q, v, k)
    with pytest.raises(ValueError, match="5 keys but 2 values"):
        attend(q, k, q)


# gram_attention


@LAWS
@given(sized("b", "n", "d"), st.floats(0.05, 20))
def test_gram_attention_is_attend_with_the_scaling_undone(drawn, temperature):
    generator, b, n, d = drawn
    t = normal(generator, b, n, d)
    expected, _ = attend(t * math.sqrt(d) / temperature, t, t)
    torch.testing.assert_close(gram_attention(t, temperature), expected)


def test_gram_attention_cold_finds_each_own_token_and_hot_finds_the_mean():
    t = torch.nn.functional.normalize(torch.randn(1, 6, 4, dtype=torch.float64), dim=-1)
    torch.testing.assert_close(gram_attention(t, 1e-4), t)
    torch.testing.assert_close(gram_attention(t, 1e9), t.mean(1, keepdim=True).expand_as(t))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_gram_attention_refuses_temperatures_that_are_not_positive(temperature):
    with pytest.raises(ValueError, match="must be positive"):
        gram_attention(torch.randn(1, 2, 3), temperature)


# heads


@LAWS
@given(sized("b", "n", "h", "e"))
def test_merge_undoes_split_and_split_undoes_merge(drawn):
    generator, b, n, h, e = drawn
    x = normal(generator, b, n, h * e)
    y = normal(generator, b, h, n, e)
    assert torch.equal(merge_heads(split_heads(x, h)), x)
    assert torch.equal(split_heads(merge_heads(y), h), y)


def test_a_head_is_a_run_of_neighbouring_channels():
    x = torch.arange(2 * 3 * 8).reshape(2, 3, 8)
    assert torch.equal(split_heads(x, 4)[:, 1], x[:, :, 2:4])


@pytest.mark.parametrize("build", [lambda: split_heads(torch.randn(1, 2, 8), 3), lambda: MultiHeadAttention(8, 3)])
def test_heads_must_divide_the_channels(build):
    with pytest.raises(ValueError, match="8 channels cannot be cut into 3"):
        build()
