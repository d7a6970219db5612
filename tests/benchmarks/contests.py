"""What is timed, and against whom; each contest gives its contestants, the course first."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.data.text import python_reference
from course_lib.field_calculus import laplacian
from course_lib.generation import generate
from course_lib.gpt import GPT, lm_loss
from course_lib.siren import Siren, coordinate_grid
from course_lib.tokens import merge_pair, split_words, train_bpe_on_words
from course_lib.training.processes import Team
from course_lib.training.step import Stepper
from course_lib.vit import ViT
from tests.benchmarks.nanogpt import NanoGPT

Contestants = dict[str, Callable[[], object]]


def course_step(model: nn.Module, loss: Callable[[nn.Module], Tensor], device: torch.device) -> Callable[[], object]:
    """A step of the course's own loop, without its file keeping."""
    stepper = Stepper(
        model, lambda m, _: loss(m), Team(0, 1, device), nullcontext(), weight_decay=0.1, betas=(0.9, 0.95), clip=1.0,
        compile=False,
    )  # fmt: skip
    return lambda: stepper(torch.zeros(1, dtype=torch.long), 1e-4)


def plain_step(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> Callable[[], object]:
    """A step as a peer's user writes it, with the fastest AdamW that torch has."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, (0.9, 0.95), weight_decay=0.1, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(model).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def gpt2(device: torch.device, vocab: int, block: int, dim: int, depth: int, heads: int) -> nn.Module:
    """transformers' GPT-2 of these sizes, without dropout, in training mode."""
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    # it warns that its usual end of text is not in so small a vocabulary: that is what makes it write on
    logging.set_verbosity_error()
    config = GPT2Config(
        vocab_size=vocab, n_positions=block, n_embd=dim, n_layer=depth, n_head=heads, resid_pdrop=0, embd_pdrop=0,
        attn_pdrop=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config).to(device).train()


def gpt_step(device: torch.device) -> Contestants:
    """GPT training step: 4 layers, width 128, 4 heads, 12 texts of 64 tokens, vocabulary 65, float32"""
    x, y = (torch.randint(65, (12, 64), device=device) for _ in range(2))
    sizes = (65, 64, 128, 4, 4)

    def plain_loss(model: nn.Module) -> Tensor:
        return F.cross_entropy(model(x).flatten(0, 1), y.flatten())

    return {
        "course": course_step(GPT(*sizes).to(device), lambda m: lm_loss(m(x), y), device),
        "nanoGPT's style": plain_step(NanoGPT(*sizes).to(device), plain_loss),
        "transformers GPT-2": plain_step(
            gpt2(device, *sizes),
            lambda m: F.cross_entropy(m(x, use_cache=False).logits.flatten(0, 1), y.flatten()),
        ),
    }


def generation(device: torch.device) -> Contestants:
    """Generation: 6 layers, width 192, 6 heads, 16 + 112 tokens, greedy"""
    ids, sizes = torch.randint(65, (1, 16), device=device), (65, 128, 192, 6, 6)
    model, peer = GPT(*sizes).to(device).eval(), gpt2(device, *sizes).eval()
    ones = torch.ones_like(ids)

    def write() -> Tensor:
        return peer.generate(ids, attention_mask=ones, max_new_tokens=112, do_sample=False, pad_token_id=0)

    if write().shape != (1, 128):
        raise AssertionError("The peer stopped early: the comparison would flatter it.")
    return {
        "course, with cache": lambda: generate(model, ids, 112, temperature=0),
        "transformers GPT-2, with cache": write,
        "course, without cache": lambda: generate(model, ids, 112, temperature=0, use_cache=False),
    }


def vit_step(device: torch.device) -> Contestants:
    """ViT training step: 6 layers, width 192, 3 heads, patches of 4, 16 images 32 x 32, float32"""
    import timm.models.vision_transformer
    import vit_pytorch
    from transformers import ViTConfig, ViTForImageClassification

    images, labels = torch.randn(16, 3, 32, 32, device=device), torch.randint(10, (16,), device=device)
    config = ViTConfig(
        image_size=32, patch_size=4, hidden_size=192, num_hidden_layers=6, num_attention_heads=3,
        intermediate_size=768, num_labels=10, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    timms = timm.models.vision_transformer.VisionTransformer(
        img_size=32, patch_size=4, embed_dim=192, depth=6, num_heads=3, num_classes=10
    )
    lucidrains = vit_pytorch.ViT(
        image_size=32, patch_size=4, num_classes=10, dim=192, depth=6, heads=3, mlp_dim=768, dim_head=64
    )

    def loss(model: nn.Module) -> Tensor:
        return F.cross_entropy(model(images), labels)

    return {
        "course": course_step(ViT(32, 4, 3, 10, 192, 6, 3).to(device), loss, device),
        "timm": plain_step(timms.to(device), loss),
        "vit-pytorch": plain_step(lucidrains.to(device), loss),
        "transformers ViT": plain_step(
            ViTForImageClassification(config).to(device).train(),
            lambda m: F.cross_entropy(m(images).logits, labels),
        ),
    }


class PlainSiren(nn.Sequential):
    """A SIREN by its formula, sin(30 · (W x + b)), as the authors' code computes it."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__(*(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)))
        for i, layer in enumerate(self):
            bound = 1 / layer.in_features if i == 0 else (6 / layer.in_features) ** 0.5 / 30
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        for layer in list(self)[:-1]:
            x = torch.sin(30 * layer(x))
        return self[-1](x)


def plain_laplacian(y: Tensor, x: Tensor) -> Tensor:
    """The authors' way: the divergence of the gradient, one axis after the other."""
    slope = torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)[0]
    total = 0.0
    for i in range(x.shape[-1]):
        part = slope[..., i]
        total = total + torch.autograd.grad(part, x, torch.ones_like(part), create_graph=True)[0][..., i : i + 1]
    return total


def siren_step(device: torch.device) -> Contestants:
    """SIREN step on its Laplacian: 4 sine layers of width 128, 32 x 32 coordinates, float32"""
    coords, wanted = coordinate_grid(32, 32).to(device), torch.randn(1024, 1, device=device)

    def loss(model: nn.Module, second: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        x = coords.clone().requires_grad_()
        return (second(model(x), x) - wanted).square().mean()

    return {
        "course": course_step(Siren(2, 128, 4, 1).to(device), lambda m: loss(m, laplacian), device),
        "the authors' formula": plain_step(
            PlainSiren([2, 128, 128, 128, 128, 1]).to(device), lambda m: loss(m, plain_laplacian)
        ),
    }


def bpe_training(device: torch.device) -> Contestants:
    """BPE training: 1,024 entries from 0.38 MB of English (for the recounting floor the first 16 merges alone)"""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    text = python_reference()
    pieces = [text[i : i + 2000] for i in range(0, len(text), 2000)]

    def rust() -> None:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=1024, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
        tokenizer.train_from_iterator(pieces, trainer)
        if tokenizer.get_vocab_size() != 1024:
            raise AssertionError("The peer learned another number of entries.")

    def recount() -> None:
        ids = list(text.encode())
        for new in range(256, 272):
            counts = Counter(zip(ids, ids[1:], strict=False))
            ids = merge_pair(ids, max(counts, key=lambda pair: (counts[pair], pair)), new)

    def plain() -> None:
        if len(train_bpe_on_words(split_words(text), 768)) != 768:
            raise AssertionError("The course learned another number of entries.")

    return {
        "course, plain Python": plain,
        "tokenizers, Rust (the limit)": rust,
        "recounting at each merge, 16 of 768 merges (the floor)": recount,
    }


def contests() -> Iterator[tuple[Callable[[torch.device], Contestants], int]]:
    """All contests, each with the number of rounds that makes its ratios steady."""
    yield from ((gpt_step, 40), (generation, 9), (vit_step, 15), (siren_step, 30), (bpe_training, 5))
