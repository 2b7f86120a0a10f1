"""The compiled step, given the same tables of weights, gradients and moments as the step of torch."""

import ctypes
import weakref

import numpy as np
import torch
from torch import Tensor

from grokkit.config import Config
from grokkit.model.dropout import Dropout
from grokkit.model.parameters import ALIGNMENT
from grokkit.model.transformer import sinusoids
from grokkit.training.batches import Batches
from grokkit.training.flat_adamw import MOMENTS
from grokkit.training.native.build import library

NARROW, THREADS = 256, 16
"""Width up to which the compiled step takes one thread; beyond, as many as torch, so many at most: products with
weights of the paper's size are cut into 16 parts or more. Timed on two cores."""
_INTEGERS = "R B longest D H F L C tied row table_row threshold pairs threads".split()
_FLOATS = "beta1 beta2 epsilon weight_decay clip_norm".split()
_TABLES = f"weights grad {' '.join(MOMENTS)} sinusoids table lengths".split()


class _Given(ctypes.Structure):
    """As `Given` in step.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _INTEGERS),
        *((name, ctypes.c_double) for name in (*_FLOATS, "scale")),
        *((name, ctypes.c_void_p) for name in _TABLES),
    ]


def suits(config: Config, device: torch.device) -> bool:
    """Whether the compiled step is for these models; bf16 also takes a processor that multiplies it (AVX-512 BF16)."""
    widths = config.width, config.width // config.heads, config.ffn_width
    return device.type == "cpu" and config.precision in ("float32", "bf16") and not any(width % 16 for width in widths)


class NativeStep:
    """Updates of all runs in the tables of `adamw`, by the compiled library."""

    def __init__(self, library: ctypes.CDLL, config: Config, batches: Batches, adamw: torch.optim.AdamW):
        self.library, c = library, config
        ((flat, state),) = adamw.state.items()
        self.drops = c.dropout > 0
        self.losses, self.updates = torch.zeros(len(flat)), state["step"]
        longest = int(batches.lengths.max())
        self.tables = {  # kept, since the library keeps their addresses
            **{"weights": flat, "grad": flat.grad, "table": batches.table, "lengths": batches.device_lengths},
            **{name: state[name] for name in MOMENTS},
            "sinusoids": sinusoids(torch.arange(longest), c.width),
        }
        assert all(table.is_contiguous() for table in self.tables.values())
        sizes = {"R": len(flat), "B": c.batch_size, "longest": longest, "row": flat.shape[1]}
        sizes |= {"D": c.width, "H": c.heads, "F": c.ffn_width, "L": c.depth, "C": c.vocabulary_size + 2}
        dropout = Dropout(c.dropout)
        sizes |= {"tied": c.tied, "table_row": batches.table.shape[1], "threshold": dropout.threshold}
        threads = min(torch.get_num_threads(), THREADS) if c.width > NARROW else 1
        sizes |= {"pairs": c.precision == "bf16", "threads": threads}
        given = _Given(
            **sizes,
            scale=dropout.scale,
            **{name: getattr(c, name) for name in _FLOATS},
            **{name: table.data_ptr() for name, table in self.tables.items()},
        )
        pointer, double = ctypes.c_void_p, ctypes.c_double
        self.library.create.restype = pointer
        self.library.destroy.argtypes = [pointer]
        self.library.update.argtypes = [pointer, pointer, pointer, double, double, pointer]
        self.library.hidden.argtypes = [pointer, pointer, ctypes.c_int64, ctypes.c_int64, pointer, pointer]
        self.handle = self.library.create(ctypes.byref(given))
        weakref.finalize(self, self.library.destroy, self.handle)

    def __call__(self, line_indices: Tensor, keys: Tensor, lr: float) -> Tensor:
        """One update of all runs with these lines, int64 [R, B], and `dropout_keys`; losses before it, float32 [R]."""
        self.updates += 1
        streams = np.zeros((len(keys), 4), np.uint64)  # of numbers, where something is dropped
        if self.drops:
            streams[:] = [np.random.SFC64(key).state["state"]["state"] for key in keys.tolist()]
        given = line_indices.data_ptr(), streams.ctypes.data, lr, self.updates.item(), self.losses.data_ptr()
        self.library.update(self.handle, *given)
        return self.losses

    def hidden(self, tokens: Tensor) -> Tensor:
        """As TransformerStack.hidden for int64 [R, B, T]: float32 [R, B, T, D], without gradients."""
        T, D = tokens.shape[2], self.tables["sinusoids"].shape[1]
        tokens, positions = tokens.contiguous(), sinusoids(torch.arange(T), D)
        out = torch.empty(*tokens.shape, D)
        self.library.hidden(self.handle, tokens.data_ptr(), *tokens.shape[1:], positions.data_ptr(), out.data_ptr())
        return out


def native_step(config: Config, device: torch.device, batches: Batches, adamw: torch.optim.AdamW) -> NativeStep | None:
    """The compiled step for these models; None where torch's is to be taken.

    It reads and writes whole vectors, so the rows of the weights must be as long as `with_aligned_rows` makes them.
    """
    found = library() if suits(config, device) else None
    if found is None or config.precision == "bf16" and not found.has_bf16():
        return None
    ((flat, _),) = adamw.state.items()
    return None if flat.shape[1] % ALIGNMENT else NativeStep(found, config, batches, adamw)
