"""Patches, mixing and token nets: laws, conventions and refusals. The peers' agreement is in tests/peers."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.attention import is_permutation_equivariant
from course_lib.tokens import (
    AudioTokenizer,
    BPETokenizer,
    ImageTokenizer,
    MLPMixer,
    PatchEmbed,
    PointCloudTokenizer,
    TextTokenizer,
    Tokenizer,
    TokenMLP,
    TokenNet,
    as_conv1x1,
    conv2d_mixing_matrix,
    conv_mixing_matrix,
    farthest_points,
    mix_tokens,
    patchify,
    pyramid_mixing_matrix,
    train_bpe,
    unpatchify,
    ways_of_mixing,
)

SIZES = [(6, 9), (9, 6)]  # both orientations: a swap of rows and columns shows in one of them


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_patches_are_row_major_and_ordered_channel_row_column(h, w):
    images = torch.arange(2 * 4 * h * w).reshape(2, 4, h, w)
    tokens = patchify(images, 3)
    assert tokens.shape == (2, 6, 36)
    for b in range(2):
        for n in range(6):
            row, column = divmod(n, w // 3)
            wanted = [
                images[b, c, 3 * row + i, 3 * column + j].item()
                for c in range(4) for i in range(3) for j in range(3)
            ]  # fmt: skip
            assert tokens[b, n].tolist() == wanted


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_unpatchify_undoes_patchify_and_the_other_way_round(b, c, rows, columns, patch):
    images = torch.randn(b, c, rows * patch, columns * patch)
    tokens = torch.randn(b, rows * columns, c * patch**2)
    assert torch.equal(unpatchify(patchify(images, patch), patch, tuple(images.shape[-2:])), images)
    assert torch.equal(patchify(unpatchify(tokens, patch, tuple(images.shape[-2:])), patch), tokens)


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="6×10 cannot be cut into patches of side 3"):
        patchify(torch.zeros(1, 2, 6, 10), 3)
    with pytest.raises(ValueError, match=r"must be \[b c h w\]"):
        patchify(torch.zeros(2, 6, 9), 3)
    with pytest.raises(ValueError, match="6 patches of side 3, but there are 5 tokens"):
        unpatchify(torch.zeros(1, 5, 18), 3, (6, 9))
    with pytest.raises(ValueError, match="not whole patches"):
        unpatchify(torch.zeros(1, 6, 20), 3, (6, 9))
    with pytest.raises(ValueError, match="cannot be cut"):
        PatchEmbed((6, 10), 3, 2, 5)


@pytest.mark.parametrize("size", SIZES)
def test_patch_embed(device, redraw, size):
    embed = redraw(PatchEmbed(size, 3, 4, 7)).to(device)
    images = torch.randn(2, 4, *size, device=device)
    assert embed.grid == (size[0] // 3, size[1] // 3) and embed.n == 6
    wanted = torch.stack([patchify(images, 3)[:, i] @ embed.proj.weight.T + embed.proj.bias for i in range(6)], 1)
    torch.testing.assert_close(embed(images), wanted)
    with pytest.raises(ValueError, match="Made for images of shape"):
        embed(torch.randn(2, 4, size[1], size[0], device=device))
    assert PatchEmbed(6, 3, 4, 7).grid == (2, 2)


def test_mixing_acts_on_the_token_axis_alone(device):
    # claim: mixing tokens is W ⊗ I on the row of all their neurons
    tokens, weights = torch.randn(2, 5, 3, device=device), torch.randn(4, 5, device=device)
    wide = torch.kron(weights.cpu(), torch.eye(3)).to(device)
    mixed = mix_tokens(tokens, weights)
    assert mixed.shape == (2, 4, 3)
    torch.testing.assert_close(mixed.flatten(1), tokens.flatten(1) @ wide.T)
    each = torch.randn(2, 4, 5, device=device)
    torch.testing.assert_close(mix_tokens(tokens, each)[1:], mix_tokens(tokens[1:], each[1]))


def test_weights_for_another_number_of_tokens_are_refused():
    with pytest.raises(ValueError, match="do not mix tokens"):
        mix_tokens(torch.zeros(2, 5, 3), torch.zeros(5, 4))


def test_conv_matrix_by_hand():
    kernel = torch.tensor([1.0, 2.0, 3.0])
    assert conv_mixing_matrix(4, kernel).tolist() == [[2, 3, 0, 0], [1, 2, 3, 0], [0, 1, 2, 3], [0, 0, 1, 2]]
    assert conv_mixing_matrix(5, kernel, stride=2).tolist() == [
        [2, 3, 0, 0, 0],
        [0, 1, 2, 3, 0],
        [0, 0, 0, 1, 2],
    ]
    apart = conv_mixing_matrix(6, torch.tensor([1.0, 2.0]), stride=2, padding=0)
    assert apart.tolist() == [[1, 2, 0, 0, 0, 0], [0, 0, 1, 2, 0, 0], [0, 0, 0, 0, 1, 2]]


def test_conv_matrix_keeps_dtype_and_has_no_hidden_nan():
    kernel = torch.tensor([1.0, float("nan"), float("inf")], dtype=torch.bfloat16)
    matrix = conv_mixing_matrix(4, kernel)
    assert matrix.dtype == torch.bfloat16
    assert matrix[0, 2:].tolist() == [0, 0]  # places that the kernel does not reach stay clean


def test_kernels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="does not fit 2 tokens"):
        conv_mixing_matrix(2, torch.ones(5), padding=0)
    with pytest.raises(ValueError, match="stride 0"):
        conv_mixing_matrix(5, torch.ones(3), stride=0)
    with pytest.raises(ValueError, match=r"must be \[k\]"):
        conv_mixing_matrix(5, torch.ones(3, 1))
    with pytest.raises(ValueError, match=r"must be \[kh kw\]"):
        conv2d_mixing_matrix((4, 5), torch.ones(3))


def test_a_pyramid_is_its_levels_one_after_the_other():
    kernel = torch.randn(3, dtype=torch.float64)
    x = torch.randn(2, 13, 4, dtype=torch.float64)
    level = mix_tokens(x, conv_mixing_matrix(13, kernel, 2))
    level = mix_tokens(level, conv_mixing_matrix(7, kernel, 2))
    torch.testing.assert_close(mix_tokens(x, pyramid_mixing_matrix(13, kernel, levels=2)), level)
    # reach doubles with each level: one output of three levels sees 1 + 2 * (1 + 2 + 4) inputs
    reach = (pyramid_mixing_matrix(31, torch.ones(3), levels=3) != 0).sum(1)
    assert reach.max() == 15


def test_ways_of_mixing_are_what_they_are_called():
    tokens, other = torch.randn(12, 5), torch.randn(12, 5)
    kernel = torch.tensor([0.5, 1.0, 0.25])
    ways, again = ways_of_mixing(tokens, kernel, seed=3), ways_of_mixing(other, kernel, seed=3)
    assert [way.parameters for way in ways] == [3, 3, 3, 6, 144, 50]
    assert [tuple(way.matrix.shape) for way in ways] == [
        (4, 12),
        (12, 12),
        (6, 12),
        (3, 12),
        (12, 12),
        (12, 12),
    ]
    for way, same in zip(ways, again, strict=True):
        assert torch.equal(way.matrix, same.matrix) != way.from_data
    assert [way.reach == 1 for way in ways] == [False, False, False, False, True, True]
    torch.testing.assert_close(ways[-1].matrix.sum(1), torch.ones(12))
    # "shared" means that moving the input moves the output: rows repeat, shifted by the stride
    assert torch.equal(ways[1].matrix[4, 3:6], ways[1].matrix[7, 6:9])


def test_token_mlp_is_a_loop_over_tokens_and_a_1x1_convolution(device, redraw):
    mlp = redraw(TokenMLP(5, 7)).to(device)
    images = torch.randn(2, 5, 3, 4, device=device)
    tokens = images.flatten(2).mT  # [b n d]
    conv = as_conv1x1(mlp)
    loop = torch.stack([mlp(token) for token in tokens.unbind(1)], dim=1)
    torch.testing.assert_close(mlp(tokens), loop)
    torch.testing.assert_close(conv(images).flatten(2).mT, loop)


def test_as_conv1x1_copies():
    mlp = TokenMLP(5, 7).double()
    before = copy.deepcopy(mlp.state_dict())
    conv = as_conv1x1(mlp)
    assert all(p.dtype == torch.float64 for p in conv.parameters())
    with torch.no_grad():
        for p in conv.parameters():
            p.add_(1)
    assert all(torch.equal(before[name], value) for name, value in mlp.state_dict().items())


def test_token_mlp_is_permutation_equivariant_and_a_token_net_is_not(redraw):
    x = torch.randn(2, 6, 5)
    assert is_permutation_equivariant(redraw(TokenMLP(5, 7)), x)
    assert not is_permutation_equivariant(redraw(TokenNet(6, 5, 7, depth=2)), x)


def test_token_net_is_a_neural_net_of_tokens(redraw):
    net = redraw(TokenNet(4, 3, 6, depth=2).double())
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    wanted = x
    for weights, mlp in zip(net.mix, net.mlp, strict=True):
        sums = torch.stack([sum(weights[i, j] * wanted[:, j] for j in range(4)) for i in range(4)], dim=1)
        wanted = mlp(sums)
    torch.testing.assert_close(net(x), wanted)
    assert len(list(net.parameters())) == 2 * (1 + 4)


def test_mixer_learns_from_every_weight(device):
    mixer = MLPMixer((6, 9), 3, 4, classes=5, dim=8, depth=2).to(device)
    logits = mixer(torch.randn(2, 4, 6, 9, device=device))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in mixer.parameters())
    assert mixer.blocks[0].across.expand.out_features == 4 and mixer.blocks[0].within.expand.out_features == 32


BPE = BPETokenizer(train_bpe("the cat sat on the mat, naïve cat".encode(), 20))


def tokenizers() -> list[tuple[Tokenizer, object, int]]:
    return [
        (ImageTokenizer(3, 4, dim=7), torch.randn(2, 4, 6, 9), 6),
        (AudioTokenizer(5, dim=7, hop=3, in_channels=2), torch.randn(2, 2, 18), 5),
        (TextTokenizer(BPE, dim=7), ["the cat", "naïve mat on"], max(len(BPE.encode("naïve mat on")), 4)),
        (PointCloudTokenizer(5, 4, dim=7), torch.randn(2, 11, 3), 5),
    ]


@pytest.mark.parametrize("kind", range(4))
def test_anything_becomes_tokens_by_chopping_and_projecting(device, redraw, kind):
    tokenizer, signal, n = tokenizers()[kind]
    tokenizer = redraw(tokenizer).to(device)
    signal = signal.to(device) if isinstance(signal, torch.Tensor) else signal
    tokens, present = tokenizer(signal)
    pieces, _ = tokenizer.chop(signal)
    assert tokens.shape == (2, n, 7) and present.shape == (2, n) and present.dtype == torch.bool
    for b in range(2):
        for i in range(n):
            wanted = tokenizer.proj.weight @ pieces[b, i] + tokenizer.proj.bias if present[b, i] else 0 * tokens[b, i]
            torch.testing.assert_close(tokens[b, i], wanted)


def test_audio_frames_overlap_by_hand():
    pieces, present = AudioTokenizer(4, dim=2, hop=3, in_channels=2).chop(torch.arange(24.0).reshape(1, 2, 12))
    assert pieces.tolist() == [[[i, i + 1, i + 2, i + 3, i + 12, i + 13, i + 14, i + 15] for i in (0, 3, 6)]]
    assert present.all()
    with pytest.raises(ValueError, match="shorter than a frame"):
        AudioTokenizer(4, dim=2).chop(torch.zeros(1, 1, 3))


def test_projecting_one_hot_pieces_is_an_embedding(redraw):
    text = redraw(TextTokenizer(BPE, dim=7))
    tokens, present = text(["naïve", "the mat, the cat", ""])
    lengths = [len(BPE.encode(t)) for t in ("naïve", "the mat, the cat", "")]
    assert present.sum(1).tolist() == lengths
    table = nn.Embedding.from_pretrained(text.proj.weight.T + text.proj.bias)
    torch.testing.assert_close(tokens[1, : lengths[1]], table(torch.tensor(BPE.encode("the mat, the cat"))))
    assert tokens[2].abs().sum() == 0


def test_point_tokens_do_not_depend_on_the_order_of_points_and_are_local():
    torch.manual_seed(0)
    cloud = torch.randn(2, 17, 3)
    tokenizer = PointCloudTokenizer(4, 5, dim=7)
    pieces, _ = tokenizer.chop(cloud)
    shuffled, _ = tokenizer.chop(cloud[:, torch.randperm(17)])
    torch.testing.assert_close(pieces, shuffled)
    centre, offsets = pieces[0, 1, :3], pieces[0, 1, 3:].reshape(5, 3)
    assert offsets[0].abs().max() == 0  # the nearest point of a centre is the centre
    nearest = (cloud[0] - centre).norm(dim=1).sort().values[:5]
    torch.testing.assert_close(offsets.norm(dim=1), nearest)
    with pytest.raises(ValueError, match="cannot make 4 groups"):
        tokenizer.chop(cloud[:, :3])


def test_farthest_points_by_a_plain_loop():
    cloud = torch.randn(1, 12, 2, generator=torch.Generator().manual_seed(1))
    points = cloud[0].tolist()
    mean = cloud[0].mean(0).tolist()
    chosen = [max(points, key=lambda p: (p[0] - mean[0]) ** 2 + (p[1] - mean[1]) ** 2)]
    while len(chosen) < 5:
        chosen.append(max(points, key=lambda p: min((p[0] - c[0]) ** 2 + (p[1] - c[1]) ** 2 for c in chosen)))
    torch.testing.assert_close(farthest_points(cloud, 5)[0], torch.tensor(chosen))


def test_a_tokenizer_that_cannot_chop_says_so():
    with pytest.raises(NotImplementedError, match="Tokenizer does not say how"):
        Tokenizer(3, 2)(torch.zeros(1, 4))


def test_nothing_is_made_on_another_device():
    """The meta device refuses tensors of any other, so that this also tells on a machine with a CPU alone."""
    meta = torch.device("meta")
    images, tokens = torch.zeros(2, 4, 6, 9, device=meta), torch.zeros(2, 11, 5, device=meta)
    for out in [
        PatchEmbed((6, 9), 3, 4, 7).to(meta)(images),
        unpatchify(patchify(images, 3), 3, (6, 9)),
        mix_tokens(tokens, conv_mixing_matrix(11, torch.zeros(3, device=meta), stride=2)),
        pyramid_mixing_matrix(11, torch.zeros(3, device=meta), levels=2),
        as_conv1x1(TokenMLP(4, 7).to(meta))(images),
        TokenNet(11, 5, 7, depth=2).to(meta)(tokens),
        MLPMixer((6, 9), 3, 4, classes=5, dim=8, depth=2).to(meta)(images),
        *(way.matrix for way in ways_of_mixing(tokens[0], torch.zeros(3, device=meta))),
        ImageTokenizer(3, 4, dim=7).to(meta)(images)[0],
        AudioTokenizer(4, dim=7).to(meta)(torch.zeros(2, 1, 9, device=meta))[0],
        TextTokenizer(BPE, dim=7).to(meta)(["the", "cat"])[0],
        PointCloudTokenizer(4, 5, dim=7).to(meta)(torch.zeros(2, 11, 3, device=meta))[0],
    ]:
        assert out.device == meta
