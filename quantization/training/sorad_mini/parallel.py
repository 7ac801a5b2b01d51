"""Training in several processes, each with its own clips and one common gradient.

    torchrun --nproc-per-node 2 -m sorad_mini.train_transformer --threads 1 ...

Two processes of one thread each trained at 30 to 38 clips/s on two cores where one process reached 21 on one; threads of
one process wait for each other in every small operation.
Invariant: every process holds the same weights, since all take the same averaged gradient and the same clock.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, distributed


def join() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) where torchrun did not start this one."""
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


@torch.no_grad()
def average_gradients(parameters: Iterable[Tensor], number: float) -> float:
    """Replaces every gradient by its mean over the processes and returns the mean of `number`, a process's clock."""
    if not distributed.is_initialized():
        return number
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients] + [gradients[0].new_tensor([number])])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients])):
        gradient.copy_(mean.view_as(gradient))
    return float(flat[-1])


@torch.no_grad()
def share_out(tensors: list[Tensor], work: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """`work` of each tensor, of the tensor's shape and type; every process does its part and gets all results."""
    if not distributed.is_initialized() or not tensors:
        return [work(tensor) for tensor in tensors]
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    flat = torch.cat([(work(tensor) if k % processes == rank else torch.zeros_like(tensor)).flatten()
                      for k, tensor in enumerate(tensors)])
    distributed.all_reduce(flat)
    return [part.view_as(tensor) for part, tensor in zip(flat.split([tensor.numel() for tensor in tensors]), tensors)]
