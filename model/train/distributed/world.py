"""Several processes that train one network: torchrun's environment, and what crosses over.

Without torchrun there is one process, and every function here is free of charge.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from model.config import ModelConfig
from model.network.blendmask import BlendMask
from model.train.distributed.batch_norm import AllReduceBatchNorm

T = TypeVar("T")

# Rank 0 evaluates and writes while the others wait for it.
_PATIENCE = timedelta(hours=3)


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run. `rank` is this one's number, `local_rank` its own on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and the log."""
        return self.rank == 0


def world_of(environment: Mapping[str, str] = os.environ) -> World:
    """Return what torchrun's environment says; one process without it.

    Raises:
        ValueError: only some of its variables are set.
    """
    if "WORLD_SIZE" not in environment:
        return World()
    try:
        return World(
            rank=int(environment["RANK"]),
            size=int(environment["WORLD_SIZE"]),
            local_rank=int(environment.get("LOCAL_RANK", environment["RANK"])),
        )
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"WORLD_SIZE is set but torchrun's other variables are not right ({error}); "
            "start with torchrun, or unset WORLD_SIZE"
        ) from None


def choose_device(name: str, world: World) -> torch.device:
    """Return the device of this process; "auto" takes its own CUDA device if there is one.

    Raises:
        ValueError: there is no such device.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if count > 0 else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"--device {name}: give auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda":
        index = world.local_rank if device.index is None else device.index
        if index >= count:
            raise ValueError(f"device cuda:{index} is wanted; there are {count} CUDA devices")
        return torch.device("cuda", index)
    return device


@contextmanager
def joined(world: World, device: torch.device) -> Iterator[None]:
    """Hold this process in the group of all: gloo for the CPU, nccl for CUDA."""
    if world.size == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """Return the number of processes that have joined; 1 where there is no group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def world_mean(values: Tensor) -> Tensor:
    """Return the mean of every process's values, on all of them; no gradient passes."""
    if world_size() == 1:
        return values.detach()
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def gathered(value: T) -> list[T]:
    """Return every process's value, by rank, on all of them. It must pickle."""
    if world_size() == 1:
        return [value]
    values: list[T | None] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def wait_for_all() -> None:
    """Return once every process is here."""
    if world_size() > 1:
        dist.barrier()


def synchronise_batch_norm(network: BlendMask, config: ModelConfig, device: torch.device) -> None:
    """Let the batch normalisations that the configuration calls "sync_bn" count over all processes.

    Names and tensors stay. Those of the auxiliary head (`basis_module.seg_head`) are
    never synchronised, as in the original. In one process nothing changes.
    """
    if world_size() == 1:
        return
    if config.backbone.norm == "sync_bn":
        _convert(network.backbone.bottom_up, device)
    if config.fcos.norm == "sync_bn":
        _convert(network.fcos_head, device)
    if config.basis.norm == "sync_bn":
        _convert(network.basis_module.refine, device)
        _convert(network.basis_module.tower, device)


def _convert(module: nn.Module, device: torch.device) -> None:
    """Replace every plain batch normalisation below the module."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            module.register_module(name, _synchronised(child, device))
        else:
            _convert(child, device)


def _synchronised(norm: nn.BatchNorm2d, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return converted
    return AllReduceBatchNorm.of(norm)  # PyTorch's own has no CPU implementation.


def in_all_processes(step: nn.Module, device: torch.device) -> nn.Module:
    """Return the module with its gradients averaged over all processes; itself in one process.

    Every forward pass must use every parameter: a process without objects too.
    """
    if world_size() == 1:
        return step
    wrap = nn.parallel.DistributedDataParallel
    names = inspect.signature(wrap).parameters  # newer releases of PyTorch renamed the option
    option = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
    # Synchronised statistics are equal already; of the others the main process's count.
    keep_buffers: dict[str, Any] = {option: False}
    return wrap(
        step,
        device_ids=[device] if device.type == "cuda" else None,
        gradient_as_bucket_view=True,
        **keep_buffers,
    )
