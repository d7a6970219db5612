"""Nets over tokens: the token-wise MLP, the token net, and MLP-Mixer."""

import torch
from torch import Tensor, nn

from course_lib.attention import LayerNorm
from course_lib.tokens.mixing import mix_tokens
from course_lib.tokens.patches import PatchEmbed


class TokenMLP(nn.Module):
    """Change every token by the same small network, without looking at the others.

    Shape: [... dim], kept. Two layers, `expand` = nn.Linear(dim, hidden) and `contract` =
    nn.Linear(hidden, dim), with a GELU between them.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.contract = nn.Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.contract(self.act(self.expand(tokens)))


def as_conv1x1(mlp: TokenMLP) -> nn.Sequential:
    """Rebuild a token-wise MLP as a network of 1×1 convolutions over an image of tokens.

    The result takes [b dim h w] and gives the same; its weights are copies, with the dtype and device of the
    MLP's, which stays as it is.
    """
    return nn.Sequential(_as_conv(mlp.expand), nn.GELU(), _as_conv(mlp.contract))


def _as_conv(linear: nn.Linear) -> nn.Conv2d:
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1, device=linear.weight.device, dtype=linear.weight.dtype)
    with torch.no_grad():
        conv.weight.copy_(linear.weight[:, :, None, None])
        conv.bias.copy_(linear.bias)
    return conv


class TokenNet(nn.Module):
    """A neural net whose neurons are tokens: sums of tokens with learned weights, then a token-wise MLP.

    Shape: [b n dim], kept, for the one n it is made for: the matrix `mix[i]` [n n] of each layer is made of
    free parameters. It begins as the identity plus noise, so that a deep net passes its input on.
    """

    def __init__(self, n: int, dim: int, hidden: int, depth: int) -> None:
        super().__init__()
        self.mix = nn.ParameterList(torch.eye(n) + torch.randn(n, n) / n for _ in range(depth))
        self.mlp = nn.ModuleList(TokenMLP(dim, hidden) for _ in range(depth))

    def forward(self, tokens: Tensor) -> Tensor:
        for weights, mlp in zip(self.mix, self.mlp, strict=True):
            tokens = mlp(mix_tokens(tokens, weights))
        return tokens


class MixerBlock(nn.Module):
    """Mix tokens by an MLP across them, then channels by one within each (Tolstikhin et al. 2021)."""

    def __init__(self, n: int, dim: int, token_hidden: int, channel_hidden: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.across = TokenMLP(n, token_hidden)
        self.norm2 = LayerNorm(dim)
        self.within = TokenMLP(dim, channel_hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """Shape: [b n dim], kept."""
        tokens = tokens + self.across(self.norm1(tokens).mT).mT
        return tokens + self.within(self.norm2(tokens))


class MLPMixer(nn.Module):
    """Classify images without attention: patches, mixer blocks, mean over tokens (Tolstikhin et al. 2021).

    The hidden widths are the paper's unless given: dim/2 across tokens and 4*dim within. Raises ValueError
    if `patch` does not divide the image.
    """

    def __init__(
        self,
        image_size: int | tuple[int, int],
        patch: int,
        in_channels: int,
        classes: int,
        dim: int,
        depth: int,
        token_hidden: int | None = None,
        channel_hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.embed = PatchEmbed(image_size, patch, in_channels, dim)
        hidden = (token_hidden or dim // 2, channel_hidden or 4 * dim)
        self.blocks = nn.ModuleList(MixerBlock(self.embed.n, dim, *hidden) for _ in range(depth))
        self.norm = LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Shape: [b c h w] -> logits [b classes]."""
        tokens = self.embed(images)  # [b n dim]
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens).mean(1))
