"""The tokens room against torch's convolutions, timm, vit-pytorch, tokenizers and tiktoken."""

import json
import os
import unicodedata
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import regex
import tiktoken
import torch
import torch.nn.functional as F
from agreement import assert_same, values_and_gradients
from einops import rearrange
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as RustTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers
from torch import nn

from course_lib.tokens import (
    GPT2Tokenizer,
    MLPMixer,
    PatchEmbed,
    TokenMLP,
    as_conv1x1,
    conv2d_mixing_matrix,
    conv_mixing_matrix,
    mix_tokens,
    patchify,
    split_words,
    train_bpe_on_words,
    unpatchify,
    write_merges,
)
from course_lib.tokens.gpt2 import byte_of_character

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize(("h", "w"), [(6, 9), (9, 6)])
def test_patchify_is_unfold_and_unpatchify_fold(h, w):
    images = draw(2, 4, h, w)
    tokens = patchify(images, 3)
    assert torch.equal(tokens, F.unfold(images, 3, stride=3).mT)
    assert torch.equal(unpatchify(tokens, 3, (h, w)), F.fold(tokens.mT, (h, w), 3, stride=3))


@pytest.mark.parametrize("size", [(6, 9), (9, 6)])
def test_patch_embed_is_a_strided_convolution(redraw, size):
    embed = redraw(PatchEmbed(size, 3, 4, 7)).double()

    def convolve(x):
        return F.conv2d(x, embed.proj.weight.reshape(7, 4, 3, 3), embed.proj.bias, stride=3).flatten(2).mT

    parameters = list(embed.parameters())
    images = [draw(2, 4, *size)]
    assert_same(values_and_gradients(embed, images, parameters), values_and_gradients(convolve, images, parameters))


def test_patch_embed_against_timm(redraw):
    from timm.layers import PatchEmbed as TimmPatchEmbed

    theirs = redraw(TimmPatchEmbed(img_size=(6, 9), patch_size=3, in_chans=4, embed_dim=7)).double()
    ours = PatchEmbed((6, 9), 3, 4, 7).double()
    ours.proj.load_state_dict({"weight": theirs.proj.weight.flatten(1), "bias": theirs.proj.bias})
    images = [draw(2, 4, 6, 9)]
    assert_same(values_and_gradients(ours, images), values_and_gradients(theirs, images))
    assert ours.grid == theirs.grid_size


def test_patch_embed_against_vit_pytorch(redraw):
    from vit_pytorch import SimpleViT

    # its pieces are ordered (row, column, channel), and normalised before and after, which is left out here
    chop, _, project, _ = (
        redraw(
            SimpleViT(image_size=(6, 9), patch_size=3, num_classes=2, dim=8, depth=1, heads=1, mlp_dim=4, channels=4)
        )
        .double()
        .to_patch_embedding
    )
    ours = PatchEmbed((6, 9), 3, 4, 8).double()
    reordered = rearrange(project.weight, "d (p1 p2 c) -> d (c p1 p2)", p1=3, p2=3)
    ours.proj.load_state_dict({"weight": reordered, "bias": project.bias})
    images = draw(2, 4, 6, 9)
    torch.testing.assert_close(ours(images), project(chop(images)))


@pytest.mark.parametrize("padding", [None, 0, 1, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_the_conv_matrix_is_conv1d(k, stride, padding):
    def mix(x, kernel):
        return mix_tokens(x, conv_mixing_matrix(11, kernel, stride, padding))

    def convolve(x, kernel):
        pad = k // 2 if padding is None else padding
        return F.conv1d(x.mT.reshape(-1, 1, 11), kernel[None, None], stride=stride, padding=pad).reshape(2, 4, -1).mT

    inputs = [draw(2, 11, 4), draw(k, seed=1)]
    assert_same(values_and_gradients(mix, inputs), values_and_gradients(convolve, inputs))


@pytest.mark.parametrize("padding", [None, (0, 2)])
def test_the_conv_matrix_of_a_grid_is_conv2d(padding):
    def mix(x, kernel):
        return mix_tokens(x, conv2d_mixing_matrix((7, 8), kernel, (2, 3), padding))

    def convolve(x, kernel):
        images = x.mT.reshape(-1, 1, 7, 8)
        out = F.conv2d(images, kernel[None, None], stride=(2, 3), padding=padding or (1, 2))
        return out.reshape(2, 4, -1).mT

    inputs = [draw(2, 56, 4), draw(3, 5, seed=1)]
    assert_same(values_and_gradients(mix, inputs), values_and_gradients(convolve, inputs))


def test_token_mlp_is_a_convolution_over_the_sequence_in_values_and_gradients(redraw):
    mlp = redraw(TokenMLP(5, 7)).double()

    def convolve(x):
        hidden = F.gelu(F.conv1d(x.mT, mlp.expand.weight[..., None], mlp.expand.bias))
        return F.conv1d(hidden, mlp.contract.weight[..., None], mlp.contract.bias).mT

    parameters = list(mlp.parameters())
    tokens = [draw(2, 6, 5)]
    assert_same(values_and_gradients(mlp, tokens, parameters), values_and_gradients(convolve, tokens, parameters))
    kinds = [type(layer) for layer in as_conv1x1(mlp)]
    assert kinds == [nn.Conv2d, nn.GELU, nn.Conv2d] and as_conv1x1(mlp)[0].kernel_size == (1, 1)


def test_mixer_against_timm(redraw):
    from timm.models.mlp_mixer import MlpMixer

    theirs = redraw(MlpMixer(5, (6, 9), 4, 3, num_blocks=2, embed_dim=8, mlp_ratio=(0.5, 3.0))).double().eval()
    ours = MLPMixer((6, 9), 3, 4, classes=5, dim=8, depth=2, channel_hidden=24).double()
    names = {
        "stem": "embed", "mlp_tokens": "across", "mlp_channels": "within", "fc1": "expand", "fc2": "contract",
    }  # fmt: skip
    state = {}
    for name, value in theirs.state_dict().items():
        name = ".".join(names.get(part, part) for part in name.split("."))
        state[name] = value.flatten(1) if name == "embed.proj.weight" else value
    ours.load_state_dict(state)
    for module in ours.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-6  # timm's, against our 1e-5
    images = [draw(2, 4, 6, 9)]
    assert_same(values_and_gradients(ours, images), values_and_gradients(theirs, images))


GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CORPUS = """Once upon a time there was a cat, and the cat's name wasn't Mat; they'll say it's 1984 or 2024.
Es war einmal eine Katze, größer als alle Kätzchen — «naïve» façade, Ærøskøbing, Łódź, Übergröße.
Жили-были дед да баба. Ἐν ἀρχῇ ἦν ὁ λόγος. 昔々あるところに、お爺さんとお婆さんが住んでいました。
   \t  two  spaces,\n\n\nthree lines; def f(x): return x ** 2  # ½ Ⅷ ٣ 😀😀👩‍👩‍👧 _under_score_ aaaaaaaaa !!!?
"""


def generated(folder: Path) -> Path:
    """A vocabulary in GPT-2's format, learned here from a few lines."""
    lines = write_merges(train_bpe_on_words(split_words(CORPUS * 2), 250))
    names = [
        *byte_of_character(),
        *(line.replace(" ", "") for line in lines.splitlines()[1:]),
        "<|endoftext|>",
    ]
    (folder / "vocab.bpe").write_text(lines, encoding="utf-8")
    (folder / "encoder.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    return folder


def vocabularies() -> list[str]:
    """The generated one, and GPT-2's own where the data folder has it."""
    own = Path(os.environ.get("COURSE_DATA", "")) / "gpt2_bpe"
    return ["generated", *([str(own)] if (own / "vocab.bpe").exists() else [])]


@pytest.fixture(scope="module", params=vocabularies())
def bpe(request, tmp_path_factory):
    """Our tokenizer, the Rust one and tiktoken's, on the same files."""
    if request.param == "generated":
        folder = generated(tmp_path_factory.mktemp("bpe"))
    else:
        folder = Path(request.param)
    vocab = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
    rust = RustTokenizer(models.BPE(vocab, [tuple(line.split(" ")) for line in lines if line]))
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    byte_of = byte_of_character()
    ranks = {bytes(byte_of[c] for c in name): i for name, i in vocab.items() if name != "<|endoftext|>"}
    tik = tiktoken.Encoding("test", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})
    return GPT2Tokenizer.from_pretrained(folder), rust, tik


# characters that this Python does not know yet may be letters to the others: Cn leaves them out
known_text = st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=40)
texts = (
    known_text | st.text(alphabet=CORPUS, max_size=80) | st.text(alphabet=" \n\t\x1c\x85\xa0\u3000a1!'", max_size=20)
)


@settings(deadline=None, max_examples=300)
@given(text=texts)
@example(text=CORPUS)
@example(text="")
@example(text="'S 's ''s 'll'LL don’t I'M\x1c\x1d x")
def test_ids_are_those_of_tokenizers_and_tiktoken(bpe, text):
    ours, rust, tik = bpe
    ids = ours.encode(text)
    assert ids == rust.encode(text).ids
    assert ids == tik.encode(text, disallowed_special=())
    assert ours.decode(ids) == text


@settings(deadline=None)
@given(data=st.data())
def test_ids_in_any_order_decode_alike(bpe, data):
    ours, rust, tik = bpe
    ids = data.draw(st.lists(st.integers(0, len(ours) - 2), max_size=12))
    assert ours.decode(ids) == tik.decode(ids) == rust.decode(ids)


def test_every_known_character_is_cut_as_by_the_published_pattern():
    """All of Unicode that this Python knows, each character beside letters, digits, signs and spaces."""
    published = regex.compile(GPT2_PATTERN)
    rust = pre_tokenizers.ByteLevel(add_prefix_space=False)
    known = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cs", "Cn")]
    assert len(known) > 270_000
    for i in range(0, len(known), 500):
        text = "".join(f"a{c}a {c}{c}  {c}1{c}!{c}\n{c} \n" for c in known[i : i + 500])
        words = split_words(text)
        assert words == published.findall(text)
        if i % 40_000 == 0 or i < 15_000:  # slower, so not everywhere among the ideographs
            assert words == [text[slice(*span)] for _, span in rust.pre_tokenize_str(text)]


def test_training_takes_the_merges_that_tokenizers_takes():
    """Until two pairs are equally frequent: then the Rust trainer takes the smaller one, we the larger."""
    # words of few letters, each as often as no other, so that pairs have counts of their own for long
    random = Random(0)
    often = {"".join(random.choices("abcdef", k=random.randint(2, 9))): random.randint(1, 3000) for _ in range(100)}
    words = [word for word, count in often.items() for _ in range(count)]
    ours = train_bpe_on_words(words, 120)
    rust = RustTokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=256 + 120, initial_alphabet=alphabet, show_progress=False)
    rust.train_from_iterator(words, trainer)
    theirs = json.loads(rust.to_str())["model"]["merges"]

    rows, agreed = {word: list(word.encode()) for word in often}, 0
    for pair, line in zip(ours, write_merges(ours).splitlines()[1:], strict=True):
        counts: Counter[tuple[int, int]] = Counter()
        for word, row in rows.items():
            for neighbours in zip(row, row[1:], strict=False):
                counts[neighbours] += often[word]
        (_, first), (_, second) = counts.most_common(2)
        if first == second:
            break
        assert line.split(" ") == list(theirs[agreed])
        agreed += 1
        rows = {word: _merge(row, pair, ours[pair]) for word, row in rows.items()}
    assert agreed >= 30


def _merge(row: list[int], pair: tuple[int, int], new: int) -> list[int]:
    out: list[int] = []
    for i in row:
        if out and (out[-1], i) == pair:
            out[-1] = new
        else:
            out.append(i)
    return out
