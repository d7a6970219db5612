"""What a GPT costs: parameters, floating-point operations and bytes, counted from its sizes alone."""


def count_parameters(vocab: int, block: int, dim: int, depth: int, heads: int) -> dict[str, int]:
    """Count a GPT's parameters by part, without building it.

    Returns "tokens", "positions", "attention" and "mlp" (of all blocks, with biases), "norms" (two a block
    and the last), "head" (0: its weight is that of "tokens") and "total". The number of heads does not
    matter, since they share the channels. Raises ValueError if `heads` does not divide `dim`.
    """
    _check_heads(dim, heads)
    parts = {
        "tokens": vocab * dim,
        "positions": block * dim,
        "attention": depth * 4 * (dim * dim + dim),
        "mlp": depth * (4 * dim * dim + 4 * dim + 4 * dim * dim + dim),
        "norms": (2 * depth + 1) * 2 * dim,
        "head": 0,
    }
    return parts | {"total": sum(parts.values())}


def count_flops(vocab: int, block: int, dim: int, depth: int, heads: int, batch: int = 1) -> dict[str, int]:
    """Count the operations of one training step on `batch` texts of `block` tokens.

    A multiplication and the addition after it are two operations; only matrix products are counted, as is
    usual. Returns "projections" (query, key, value, out), "attention" (scores and weighted sums, over all
    pairs; a kernel that skips the future needs about half), "mlp", "head", their sum "forward", "backward"
    (twice that, a product for the inputs and one for the weights) and "step". Heads share the channels, so
    that their number does not matter; it must divide `dim` (ValueError). Source: Kaplan et al. 2020, table 1.
    """
    _check_heads(dim, heads)
    n = batch * block
    parts = {
        "projections": depth * 2 * n * 4 * dim * dim,
        "attention": depth * 2 * n * 2 * block * dim,
        "mlp": depth * 2 * n * 8 * dim * dim,
        "head": 2 * n * dim * vocab,
    }
    forward = sum(parts.values())
    return parts | {"forward": forward, "backward": 2 * forward, "step": 3 * forward}


def count_bytes(
    vocab: int, block: int, dim: int, depth: int, heads: int, batch: int = 1, width: int = 4
) -> dict[str, int]:
    """Count the bytes that training on `batch` texts of `block` tokens, or generating them, keeps.

    `width` is the bytes of a number (4 for float32, 2 for bfloat16). Returns "weights", "gradients",
    "adam" (two averages for each weight), "activations" (what the backward pass needs of a forward pass
    with fused attention, which keeps no n×n weights: 16 numbers for each token and channel of a block),
    their sum "training", and "cache" (keys and values of all blocks) for generation.
    """
    weights = count_parameters(vocab, block, dim, depth, heads)["total"] * width
    n = batch * block
    # a block keeps the stream twice, both norms' outputs, q, k, v, what attention found, and 4 + 4 in the mlp
    in_blocks = depth * n * (16 * dim + heads + 4)
    at_the_end = n * (2 * dim + 2 + vocab)
    parts = {
        "weights": weights,
        "gradients": weights,
        "adam": 2 * weights,
        "activations": (in_blocks + at_the_end) * width,
    }
    return parts | {"training": sum(parts.values()), "cache": 2 * depth * n * dim * width}


def _check_heads(dim: int, heads: int) -> None:
    if heads < 1 or dim % heads:
        raise ValueError(f"{dim} channels cannot be cut into {heads} equal heads.")
