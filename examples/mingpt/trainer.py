"""Two ways to take a step on all processes at once: torch's DDP, and DeepSpeed with ZeRO-1. Both keep AdamW's moments
in their checkpoints, so that a resumed run is the same run."""

import io
import json
from pathlib import Path
from typing import Any, Protocol

import torch
import world
from model import GPT
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

_BETAS = (0.9, 0.95)
_WEIGHT_DECAY = 0.1
_LONGEST_GRADIENT = 1.0


class Trainer(Protocol):
    """What the loop needs of either."""

    def step(self, tokens: Tensor, targets: Tensor, rate: float) -> Tensor:
        """One step of all processes at the learning rate `rate`; this process's loss before it."""

    def state(self) -> dict[str, Any]:
        """Weights and optimizer, complete on rank 0; all processes must call it."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, on every process."""


class Ddp:
    """The same model and optimizer on every process, gradients averaged between them."""

    def __init__(self, model: GPT) -> None:
        self.model = model
        self.wrapped: nn.Module = model
        if world.size() > 1:
            ids = [world.device().index] if world.device().type == "cuda" else None
            self.wrapped = DistributedDataParallel(model, device_ids=ids)
        self.optimizer = _adamw(model)

    def step(self, tokens: Tensor, targets: Tensor, rate: float) -> Tensor:
        """See Trainer."""
        loss: Tensor = self.wrapped(tokens, targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), _LONGEST_GRADIENT)
        _set_rate(self.optimizer, rate)
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        """See Trainer."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """See Trainer."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


class DeepSpeed:
    """ZeRO-1: every process has the weights and its own share of the optimizer's state."""

    def __init__(self, model: GPT, config: Path, batch: int) -> None:
        import deepspeed

        # On CPUs DeepSpeed compiles an operation for reductions inside one machine at first use; gloo does without.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        settings = json.loads(config.read_text(encoding="utf-8"))
        settings["train_micro_batch_size_per_gpu"] = batch
        settings["gradient_clipping"] = _LONGEST_GRADIENT
        self.model = model
        self.engine, self.optimizer, _, _ = deepspeed.initialize(
            model=model, optimizer=_adamw(model), config=settings, dist_init_required=False
        )

    def step(self, tokens: Tensor, targets: Tensor, rate: float) -> Tensor:
        """See Trainer."""
        loss: Tensor = self.engine(tokens, targets)
        self.engine.backward(loss)
        _set_rate(self.optimizer, rate)
        self.engine.step()
        return loss

    def state(self) -> dict[str, Any]:
        """See Trainer. The shares come to rank 0 as bytes: nodes have disks of their own."""
        share = io.BytesIO()
        torch.save(self.optimizer.state_dict(), share)
        shares: list[bytes | None] | None = [None] * world.size() if world.rank() == 0 else None
        if world.size() > 1:
            dist.gather_object(share.getvalue(), shares)
        else:
            shares = [share.getvalue()]
        return {"model": self.model.state_dict(), "shares": shares}

    def restore(self, state: dict[str, Any]) -> None:
        """See Trainer."""
        if len(state["shares"]) != world.size():
            raise SystemExit(f"the checkpoint is one of {len(state['shares'])} processes, these are {world.size()}")
        self.model.load_state_dict(state["model"])
        # DeepSpeed's own classes are among the shares; they come from a checkpoint that this program wrote.
        shares = [torch.load(io.BytesIO(share), map_location="cpu", weights_only=False) for share in state["shares"]]
        self.optimizer.load_state_dict(shares, load_from_fp32_weights=False)


def _adamw(model: nn.Module) -> torch.optim.AdamW:
    """AdamW that decays matrices only."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": _WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=_BETAS)


def _set_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
