"""What a run consists of, by name: taken into a tree of values, and put back from one.

Models and optimizers go through torch.distributed.checkpoint, whose names of weights are the same however they are
wrapped (DDP, FSDP, torch.compile), so that what was saved in one wrapping and world size loads in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint import state_dict as canonical
from torch.optim import Optimizer

from skyrig.checkpoint import tree
from skyrig.errors import BadInput, SkyrigError

_FRESH = "before its first step"


def check(entries: Mapping[str, Any]) -> None:
    """BadInput unless every entry can be saved and put back in its place."""
    for name, entry in entries.items():
        if not name or "/" in name:
            raise BadInput(f"state {name!r}: names of state have no slash and are not empty")
        if not isinstance(entry, (torch.Tensor, dict)) and not _stateful(entry):
            raise BadInput(
                f"state {name!r} is {type(entry).__name__}, which cannot be put back in its place",
                hint="give a module, an optimizer, a tensor, a dictionary, or what has state_dict and load_state_dict",
            )


class State:
    """The parts of the run, which all ranks have together: sharded, or the same on all of them."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        check(entries)
        self.entries = dict(entries)

    def take(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """All entries with marks in the place of tensors, and the tensors. These are the run's own, no copies."""
        tensors: dict[str, torch.Tensor] = {}
        return {name: tree.split(name, self._tree(name), tensors) for name in self.entries}, tensors

    def targets(self, found: Mapping[str, Any], saved: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, Any]:
        """Tensors to load into, by key: the run's own where they fit, else new ones on the CPU. `found` is what `take`
        gave when it was saved, `saved` has dtype and size of its tensors. BadInput if a model is another one."""
        places: dict[str, Any] = {}
        for name in self.entries:
            if name not in found:
                raise BadInput(f"it has no {name!r}, only {', '.join(found)}")
            own: dict[str, torch.Tensor] = {}
            wanted = tree.marks(found[name])
            if not _is_fresh(found[name]):
                tree.split(name, self._tree(name, to_load=True), own)
            if isinstance(self.entries[name], nn.Module):
                _compare(name, wanted, own, saved)
            for key in wanted:
                dtype, size = saved[key]
                fits = key in own and tuple(own[key].shape) == size
                places[key] = own[key] if fits else torch.empty(size, dtype=getattr(torch, dtype))
        return places

    def put(self, found: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
        """All entries as they were when `take` gave `found`."""
        for name, entry in self.entries.items():
            value = tree.join(found[name], tensors.__getitem__)
            if isinstance(entry, nn.Module):
                canonical.set_model_state_dict(entry, value)
            elif isinstance(entry, Optimizer):
                self._put_optimizer(entry, value)
            elif isinstance(entry, torch.Tensor):
                with torch.no_grad():
                    entry.copy_(value)
            elif isinstance(entry, dict):
                entry.clear()
                entry.update(value)
            else:
                entry.load_state_dict(value)

    def _tree(self, name: str, *, to_load: bool = False) -> Any:
        entry = self.entries[name]
        if isinstance(entry, nn.Module):
            return canonical.get_model_state_dict(entry)
        if isinstance(entry, Optimizer):
            model = self._model_of(entry)
            if not entry.state and not to_load:  # asked for names, torch would take a step, which counts
                return {_FRESH: entry.state_dict()}
            return canonical.get_optimizer_state_dict(model, entry) if model else entry.state_dict()
        return entry if isinstance(entry, (torch.Tensor, dict)) else entry.state_dict()

    def _put_optimizer(self, optimizer: Any, value: dict[str, Any]) -> None:
        model = self._model_of(optimizer)
        if _is_fresh(value):
            optimizer.state.clear()
            optimizer.load_state_dict(value[_FRESH])
        elif model:
            canonical.set_optimizer_state_dict(model, optimizer, value)
        else:
            optimizer.load_state_dict(value)

    def _model_of(self, optimizer: Any) -> Any:
        """The module among the entries that has all parameters of an optimizer, so that they have names; else None."""
        wanted = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        for entry in self.entries.values():
            if isinstance(entry, nn.Module) and wanted <= {id(weight) for weight in entry.parameters()}:
                return entry
        return None


def take_own(entries: Mapping[str, Any]) -> dict[str, Any]:
    """State that each rank has for itself, whole."""
    return {name: entry.state_dict() if _stateful(entry) else entry for name, entry in entries.items()}


def put_own(entries: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """The opposite. SkyrigError if something was not saved."""
    for name, entry in entries.items():
        if name not in found:
            raise SkyrigError(f"the checkpoint has no {name!r} of each rank's own")
        if _stateful(entry):
            entry.load_state_dict(found[name])
        elif isinstance(entry, dict):
            entry.clear()
            entry.update(found[name])
        else:
            entry.copy_(found[name])


def _stateful(entry: Any) -> bool:
    return callable(getattr(entry, "state_dict", None)) and callable(getattr(entry, "load_state_dict", None))


def _is_fresh(value: Any) -> bool:
    return isinstance(value, dict) and _FRESH in value


def _compare(
    name: str, wanted: list[str], own: Mapping[str, torch.Tensor], saved: Mapping[str, tuple[str, tuple[int, ...]]]
) -> None:
    """BadInput unless a model has the weights that were saved."""
    short = len(name) + 1
    lacks = [key[short:] for key in own if key not in set(wanted)]
    more = [key[short:] for key in wanted if key not in own]
    if lacks or more:
        said = [f"it has no {_some(lacks)}"] if lacks else []
        said += [f"it has {_some(more)}, which the model has not"] if more else []
        raise BadInput(f"{name!r} is another model than the one that was saved: {' and '.join(said)}")
    for key in wanted:
        if tuple(own[key].shape) != saved[key][1]:
            raise BadInput(
                f"{name!r} is another model than the one that was saved: {key[short:]} has the shape "
                f"{list(own[key].shape)}, and {list(saved[key][1])} was saved"
            )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
