"""Residual networks: two 3x3 layers a block (18, 34), or 1x1, 3x3, 1x1 (50)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


def _layer(inside: int, outside: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outside)]


class Block(nn.Module):
    """What its layers find is added to what came in."""

    def __init__(self, inside: int, width: int, stride: int, *, deep: bool) -> None:
        super().__init__()
        outside = 4 * width if deep else width
        layers = (
            [
                *_layer(inside, width, 1),
                nn.ReLU(),
                *_layer(width, width, 3, stride),
                nn.ReLU(),
                *_layer(width, outside, 1),
            ]
            if deep
            else [*_layer(inside, width, 3, stride), nn.ReLU(), *_layer(width, width, 3)]
        )
        self.layers = nn.Sequential(*layers)
        nn.init.zeros_(self.layers[-1].weight)  # a block begins as nothing but its shortcut
        same = inside == outside and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*_layer(inside, outside, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inside, h, w) to (batch, outside, h/stride, w/stride)."""
        return torch.relu(self.layers(x) + self.shortcut(x))


def resnet(name: str, classes: int, width: int, size: int) -> nn.Module:
    """The network called `name`. Pictures of 64 pixels and less are not made smaller at the start."""
    deep = name == "resnet50"
    stem = _layer(3, width, 3) if size <= 64 else [*_layer(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    layers, channels = [*stem, nn.ReLU()], width
    for stage, depth in enumerate(DEPTHS[name]):
        for number in range(depth):
            stride = 2 if stage and not number else 1
            layers.append(Block(channels, width << stage, stride, deep=deep))
            channels = (width << stage) * (4 if deep else 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
