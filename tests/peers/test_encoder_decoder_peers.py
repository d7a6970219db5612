"""The encoder-decoder against torch's nn.Transformer and transformers' Pegasus, with the same weights.

Both run pre-norm with a norm after each stack, as ours does: torch by `norm_first=True`, Pegasus always.
BART norms after the sums, so that no weights could make it equal.
"""

import pytest
import torch
from torch import Tensor, nn

from course_lib.attention import MultiHeadAttention
from course_lib.gpt import DecoderBlock, EncoderDecoder, beam_decode, greedy_decode, lm_loss

SOURCE, TARGET, BLOCK, DIM, DEPTH, HEADS = 13, 11, 16, 12, 3, 2


def ids(vocab: int, *shape: int, seed: int = 3) -> Tensor:
    return torch.randint(0, vocab, shape, generator=torch.Generator().manual_seed(seed))


def same(ours: Tensor, theirs: Tensor, name: str) -> None:
    torch.testing.assert_close(ours, theirs, msg=lambda text: f"{name}: {text}")


# torch


@torch.no_grad()
def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    three = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in three]))
    theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in three]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())


def torch_decoder_layer(ours: DecoderBlock) -> nn.TransformerDecoderLayer:
    theirs = nn.TransformerDecoderLayer(
        DIM, HEADS, 4 * DIM, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).double()
    copy_attention(ours.self_attn, theirs.self_attn)
    copy_attention(ours.cross_attn, theirs.multihead_attn)
    pairs = [
        (ours.norm1, theirs.norm1), (ours.norm2, theirs.norm2), (ours.norm3, theirs.norm3),
        (ours.mlp[0], theirs.linear1), (ours.mlp[2], theirs.linear2),
    ]  # fmt: skip
    for mine, other in pairs:
        other.load_state_dict(mine.state_dict())
    return theirs


def torch_transformer(ours: EncoderDecoder) -> nn.Transformer:
    theirs = nn.Transformer(
        DIM, HEADS, DEPTH, DEPTH, 4 * DIM, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ).double()
    for mine, other in zip(ours.encoder, theirs.encoder.layers, strict=True):
        copy_attention(mine.attn, other.self_attn)
        for part, name in ((mine.norm1, "norm1"), (mine.norm2, "norm2")):
            getattr(other, name).load_state_dict(part.state_dict())
        other.linear1.load_state_dict(mine.mlp[0].state_dict())
        other.linear2.load_state_dict(mine.mlp[2].state_dict())
    for i, mine in enumerate(ours.decoder):
        theirs.decoder.layers[i].load_state_dict(torch_decoder_layer(mine).state_dict())
    theirs.encoder.norm.load_state_dict(ours.encoder_norm.state_dict())
    theirs.decoder.norm.load_state_dict(ours.decoder_norm.state_dict())
    return theirs


def test_a_decoder_block_is_torchs_decoder_layer(redraw):
    ours = redraw(DecoderBlock(DIM, HEADS)).double()
    theirs = torch_decoder_layer(ours)
    x, memory = torch.randn(3, 5, DIM).double(), torch.randn(3, 7, DIM).double()
    memory_mask = torch.rand(3, 7) > 0.4
    memory_mask[:, 2] = True  # torch gives NaN where nothing may be looked at
    inputs = [[t.clone().requires_grad_() for t in (x, memory)] for _ in range(2)]
    out = ours(*inputs[0], memory_mask)
    # in nn.Transformer's masks True means blocked
    blocked = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected = theirs(*inputs[1], tgt_mask=blocked, memory_key_padding_mask=~memory_mask)
    same(out, expected, "output")
    probe = torch.randn(3, 5, DIM).double()
    gradients = [
        torch.autograd.grad((out * probe).sum(), [*inputs[0], ours.self_attn.key.weight, ours.mlp[0].bias]),
        torch.autograd.grad(
            (expected * probe).sum(), [*inputs[1], theirs.self_attn.in_proj_weight, theirs.linear1.bias]
        ),
    ]
    same(gradients[0][0], gradients[1][0], "x")
    same(gradients[0][1], gradients[1][1], "memory")
    same(gradients[0][2], gradients[1][2][DIM : 2 * DIM], "key weight")
    same(gradients[0][3], gradients[1][3], "mlp bias")


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_the_whole_is_torchs_transformer(redraw):
    ours = redraw(EncoderDecoder(SOURCE, TARGET, BLOCK, DIM, DEPTH, HEADS)).double()
    theirs = torch_transformer(ours)
    source, target = ids(SOURCE, 4, 9), ids(TARGET, 4, 7)
    mask = torch.arange(9) < torch.tensor([[9], [3], [6], [1]])
    x = ours.source_tokens.weight[source] + ours.source_positions.weight[:9]
    y = ours.target_tokens.weight[target] + ours.target_positions.weight[:7]
    out = theirs(
        x, y,
        tgt_mask=torch.ones(7, 7, dtype=torch.bool).triu(1),
        src_key_padding_mask=~mask, memory_key_padding_mask=~mask,
    )  # fmt: skip
    logits = ours(source, target, mask)
    same(logits, out @ ours.target_tokens.weight.T, "logits")
    probe = torch.randn(logits.shape).double()
    tables = [ours.source_tokens.weight, ours.target_positions.weight]
    mine = torch.autograd.grad((logits * probe).sum(), tables)
    other = torch.autograd.grad((out @ ours.target_tokens.weight.T * probe).sum(), tables)
    same(mine[0], other[0], "source tokens")
    same(mine[1], other[1], "target positions")


# Pegasus

START, END, PAD = 0, 1, 2


@pytest.fixture
def theirs(redraw):
    """A Pegasus with GELU and no dropout, every parameter drawn anew; one vocabulary for both sides."""
    import transformers

    config = transformers.PegasusConfig(
        vocab_size=SOURCE, d_model=DIM, encoder_layers=DEPTH, decoder_layers=DEPTH,
        encoder_attention_heads=HEADS, decoder_attention_heads=HEADS, encoder_ffn_dim=4 * DIM,
        decoder_ffn_dim=4 * DIM, max_position_embeddings=BLOCK, dropout=0.0, activation_function="gelu",
        decoder_start_token_id=START, eos_token_id=END, forced_eos_token_id=None, pad_token_id=PAD,
    )  # fmt: skip
    model = redraw(transformers.PegasusForConditionalGeneration(config)).double().eval()
    # its embedding of padding is fixed at zero only in training: the drawn table is what it uses
    model.final_logits_bias.zero_()
    return model


@pytest.fixture
def ours(theirs) -> EncoderDecoder:
    model = EncoderDecoder(SOURCE, SOURCE, BLOCK, DIM, DEPTH, HEADS).double().eval()
    body = theirs.model
    pairs = [
        (model.source_positions, body.encoder.embed_positions), (model.source_tokens, body.shared),
        (model.target_positions, body.decoder.embed_positions), (model.target_tokens, body.shared),
        (model.encoder_norm, body.encoder.layer_norm), (model.decoder_norm, body.decoder.layer_norm),
    ]  # fmt: skip
    for mine, other in zip(model.encoder, body.encoder.layers, strict=True):
        pairs += [(mine.norm1, other.self_attn_layer_norm), (mine.norm2, other.final_layer_norm)]
        pairs += [(mine.mlp[0], other.fc1), (mine.mlp[2], other.fc2)]
        pairs += attention_pairs(mine.attn, other.self_attn)
    for mine, other in zip(model.decoder, body.decoder.layers, strict=True):
        pairs += [(mine.norm1, other.self_attn_layer_norm), (mine.norm2, other.encoder_attn_layer_norm)]
        pairs += [(mine.norm3, other.final_layer_norm), (mine.mlp[0], other.fc1), (mine.mlp[2], other.fc2)]
        pairs += attention_pairs(mine.self_attn, other.self_attn)
        pairs += attention_pairs(mine.cross_attn, other.encoder_attn)
    for mine, other in pairs:
        mine.load_state_dict(other.state_dict())
    return model


def attention_pairs(mine: MultiHeadAttention, other: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    names = (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("out", "out_proj"))
    return [(getattr(mine, name), getattr(other, their_name)) for name, their_name in names]


def test_logits_loss_and_gradients_are_those_of_pegasus(theirs, ours):
    # torch keeps gradients from an embedding's padding row, so that this id must not occur
    source, target = (ids(SOURCE - PAD - 1, 4, n) + PAD + 1 for n in (9, 7))
    mask = torch.arange(9) < torch.tensor([[9], [3], [6], [1]])
    labels = ids(SOURCE, 4, 7, seed=8)
    labels[1, 4:] = -100
    out = theirs(source, attention_mask=mask.long(), decoder_input_ids=target, labels=labels)
    logits = ours(source, target, mask)
    same(logits, out.logits, "logits")
    loss = lm_loss(logits, labels)
    same(loss, out.loss, "loss")
    loss.backward()
    out.loss.backward()
    body = theirs.model
    # theirs has one table for both sides, in which their gradients add up
    same(ours.source_tokens.weight.grad + ours.target_tokens.weight.grad, body.shared.weight.grad, "tokens")
    for i in range(DEPTH):
        mine, other = ours.decoder[i], body.decoder.layers[i]
        for layer, their_layer in attention_pairs(mine.cross_attn, other.encoder_attn):
            same(layer.weight.grad, their_layer.weight.grad, f"cross-attention {i}")
        same(ours.encoder[i].mlp[2].bias.grad, body.encoder.layers[i].fc2.bias.grad, f"encoder mlp {i}")
        same(mine.norm3.weight.grad, other.final_layer_norm.weight.grad, f"norm3 {i}")


def padded(texts: Tensor, n: int) -> list[list[int]]:
    """Each text up to and including its first end."""
    rows = [row.tolist() for row in texts]
    return [row[: row.index(END) + 1] if END in row else row[:n] for row in rows]


def test_greedy_texts_are_those_of_pegasus(theirs, ours):
    source = ids(SOURCE, 6, 9)
    mask = torch.arange(9) < torch.tensor([[9], [3], [6], [2], [8], [5]])
    texts = theirs.generate(source, attention_mask=mask.long(), max_new_tokens=10, do_sample=False)
    written = greedy_decode(ours, source, START, END, 10, mask)
    assert padded(written, 10) == padded(texts[:, 1:], 10)
    assert len({len(row) for row in padded(written, 10)}) > 1 or END not in written


@pytest.mark.parametrize("beams", [2, 5])
def test_beams_find_texts_as_probable_as_those_of_pegasus(theirs, ours, beams):
    """The searches differ in when they drop an ended text: what they find is compared by its probability."""
    source = ids(SOURCE, 6, 9)
    texts = theirs.generate(
        source, max_new_tokens=6, num_beams=beams, do_sample=False, length_penalty=0.0, early_stopping=False,
        attention_mask=torch.ones_like(source),
    )[:, 1:]  # fmt: skip
    found, scores = beam_decode(ours, source, START, END, 6, beams)

    def log_probs(rows: list[list[int]]) -> Tensor:
        values = []
        for i, row in enumerate(rows):
            log_p = ours(source[i : i + 1], torch.tensor([[START, *row[:-1]]])).log_softmax(-1)[0]
            values.append(sum(log_p[j, token] for j, token in enumerate(row)))
        return torch.stack(values)

    mine = log_probs(padded(found, 6))
    same(mine, scores, "reported probability")
    assert (mine >= log_probs(padded(texts, 6)) - 1e-6).all()
