"""A small GPT: a decoder-only transformer over characters."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Sizes:
    """What fixes the shape of all weights: `vocabulary` tokens, `context` positions, `layers` blocks of `width`."""

    vocabulary: int
    context: int = 256
    layers: int = 4
    heads: int = 4
    width: int = 128

    def to_dict(self) -> dict[str, int]:
        """The sizes as plain data, for checkpoints."""
        return asdict(self)


class Attention(nn.Module):
    """Causal self-attention over (batch, time, width)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.to_qkv = nn.Linear(sizes.width, 3 * sizes.width, bias=False)
        self.out = nn.Linear(sizes.width, sizes.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Each position looks at itself and at those before it."""
        batch, time, width = x.shape
        qkv = self.to_qkv(x).view(batch, time, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


class Block(nn.Module):
    """Attention, then a two-layer network; both read a normalised copy and add to the stream."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(sizes.width)
        self.attention = Attention(sizes)
        self.before_network = nn.LayerNorm(sizes.width)
        self.network = nn.Sequential(
            nn.Linear(sizes.width, 4 * sizes.width), nn.GELU(), nn.Linear(4 * sizes.width, sizes.width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, width) to the same shape."""
        x = x + self.attention(self.before_attention(x))
        return x + self.network(self.before_network(x))


class GPT(nn.Module):
    """Token numbers in, loss out; `logits` gives the scores of the next token."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.token = nn.Embedding(sizes.vocabulary, sizes.width)
        self.position = nn.Embedding(sizes.context, sizes.width)
        self.blocks = nn.Sequential(*(Block(sizes) for _ in range(sizes.layers)))
        self.norm = nn.LayerNorm(sizes.width)
        self.apply(_small_weights)

    def logits(self, tokens: Tensor) -> Tensor:
        """(batch, time) token numbers to (batch, time, vocabulary) scores."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.token(tokens) + self.position(places)
        return F.linear(self.norm(self.blocks(x)), self.token.weight)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross entropy, in nats a character."""
        return F.cross_entropy(self.logits(tokens).flatten(0, 1), targets.flatten())


def _small_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
