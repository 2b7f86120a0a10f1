"""Bytes that are held on a device, counted without one: on torch's device "meta", where tensors have sizes and nothing
in them. Storages are counted as they come and go, in pieces of 512 bytes as torch's allocator hands them out.

What kernels take inside (workspaces of cuBLAS, sorting) and the allocator's fragmentation are not in it.
"""

import gc
import math
import weakref
from collections.abc import Callable
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from grokkit.evaluation.decoding import Prompts
from grokkit.evaluation.dyck import DyckItems
from grokkit.model import dropout


class Held(TorchDispatchMode):
    """`now` and `peak` in bytes. answer: what the host gets to see where it asks for a number from the device."""

    def __init__(self, answer: Callable[[torch.Tensor], float] = lambda tensor: 1):
        super().__init__()
        self.now = self.peak = 0
        self.sizes: dict[int, int] = {}
        self.answer = answer

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name, first = str(func), args[0] if args else None
        if isinstance(first, torch.Tensor) and first.is_meta:
            if name.startswith("aten._local_scalar_dense"):
                return True if first.dtype == torch.bool else self.answer(first)
            if name.startswith("aten._to_copy") and str(kwargs.get("device", "meta")) == "cpu":
                return torch.zeros(first.shape, dtype=kwargs.get("dtype") or first.dtype)
        if name.startswith("aten._fused_adam"):
            return None  # which has no other memory than what it is given
        out = func(*args, **kwargs)
        for tensor in out if isinstance(out, (list, tuple)) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage) -> None:
        if storage._cdata not in self.sizes:
            self.sizes[storage._cdata] = size = 512 * math.ceil(storage.nbytes() / 512)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._gone, storage._cdata)

    def _gone(self, key: int) -> None:
        self.now -= self.sizes.pop(key)

    def of(self, work: Callable[[], object]) -> int:
        """What `work` holds at most beside what is there before it."""
        gc.collect()
        before = self.peak = self.now
        work()
        return self.peak - before


@contextmanager
def as_on_a_gpu(patch, held: Held):
    """What one fused kernel does there is one tensor here: dropout, and attention that keeps no weights.

    Compound operations are taken apart, which they are not in inference mode.
    """
    patch.setattr(Prompts, "decode", Prompts.decode.__wrapped__)
    patch.setattr(DyckItems, "predict", DyckItems.predict.__wrapped__)
    patch.setattr(dropout, "times_hashed", lambda x, hashes, *arguments: torch.empty_like(x))
    patch.setattr(F, "scaled_dot_product_attention", lambda q, k, v, **how: torch.empty_like(q))
    patch.setattr(torch, "autocast", lambda *kind, **how: nullcontext())  # torch has none on "meta"
    patch.setattr(torch, "is_autocast_enabled", lambda *kind: False)
    with held, torch.no_grad():
        yield held
