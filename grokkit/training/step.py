"""One training step of a stack: a program of the device, whose inputs are the few numbers that change.

On CUDA the program is recorded once for each shape of batch and replayed from then on, so that a step costs the host
one launch. Everywhere it is the same code, and nothing in it waits for the device.
"""

import torch

from grokkit.config import Config
from grokkit.model.dropout import dropout_keys, dropout_of_step
from grokkit.model.packing import Shape, shape_of
from grokkit.model.transformer import TransformerStack
from grokkit.training.batches import Batches
from grokkit.training.optimizer import StackOptimizer, token_losses

MOST_GRAPHS = 400
"""Shapes of batches that are recorded at most; question and tense have some dozens, Dyck hundreds."""


class TrainingStep:
    """Called with the number of a step, trains all runs on their batches of it.

    losses: float [R], the sum of the losses since it was last set to 0; failed_at: int64 [R], the number of the
    step (from 1) whose loss was the first that is not finite, -1 before. Both are on the device.
    """

    def __init__(self, stack: TransformerStack, config: Config, batches: Batches):
        self.stack, self.config, self.batches = stack, config, batches
        self.optimizer = StackOptimizer(stack, config)
        self.losses = torch.zeros(stack.runs, device=stack.device)
        self.failed_at = torch.full((stack.runs,), -1, dtype=torch.int64, device=stack.device)
        # what the program reads
        self.lines = torch.zeros(stack.runs, config.batch_size, dtype=torch.int64, device=stack.device)
        self.keys = torch.zeros(stack.runs, dtype=torch.int64, device=stack.device)
        self.number = torch.zeros((), dtype=torch.int64, device=stack.device)
        self.graphs: dict[Shape, torch.cuda.CUDAGraph | None] = {}
        self.on_cuda = stack.device.type == "cuda"
        self.stream = torch.cuda.Stream(stack.device) if self.on_cuda else None
        self.pool = torch.cuda.graph_pool_handle() if self.on_cuda else None

    def __call__(self, step: int) -> None:
        """Makes update number `step` (from 0)."""
        # of the whole process, and another training may have set it since
        torch.set_float32_matmul_precision("high" if self.config.precision == "tf32" else "highest")
        lines = self.batches.lines(step)
        shape = shape_of(self.batches.lengths[lines], few=self.on_cuda)
        self._send(self.lines, torch.from_numpy(lines))
        if self.config.dropout:
            self._send(self.keys, dropout_keys(self.stack.seeds, step))
        self._send(self.number, torch.tensor(step + 1))
        rate = self.config.learning_rate * self.config.learning_rate_factor(step)
        self._send(self.optimizer.rate, torch.tensor(rate))
        if self.on_cuda:
            self._replay(shape)
        else:
            self._update(shape)

    def _send(self, target: torch.Tensor, value: torch.Tensor) -> None:
        # pinned memory is not used again before the copy is done: torch sees to that
        target.copy_(value.pin_memory() if self.on_cuda else value, non_blocking=True)

    def _update(self, shape: Shape) -> None:
        """The program."""
        config = self.config
        batch = self.batches.pack(self.lines, shape)
        dropout = dropout_of_step(config.dropout, self.keys, batch.lengths) if config.dropout else None
        with torch.autocast(self.stack.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            losses = token_losses(self.stack, batch, dropout)
        self.optimizer.step(losses)
        losses = losses.detach()
        broken = ~torch.isfinite(losses) & (self.failed_at < 0)
        self.failed_at.copy_(torch.where(broken, self.number, self.failed_at))
        self.losses += losses

    def _replay(self, shape: Shape) -> None:
        """Runs the program: as it is when a shape is new, recorded when it comes again, then replayed."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            if shape not in self.graphs:
                self.graphs[shape] = None
                self._update(shape)
            elif self.graphs[shape] is None and sum(map(bool, self.graphs.values())) >= MOST_GRAPHS:
                self._update(shape)
            else:
                if self.graphs[shape] is None:
                    graph = torch.cuda.CUDAGraph()
                    with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                        self._update(shape)
                    self.graphs[shape] = graph
                self.graphs[shape].replay()
        torch.cuda.current_stream().wait_stream(self.stream)
