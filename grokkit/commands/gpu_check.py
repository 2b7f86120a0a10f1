"""`grokkit doctor --gpu`: does a GPU give what the CPU gives, and what can be expected of it? Takes seconds.

The comparisons take any two devices, so that they can be tried without a GPU.
"""

import subprocess
import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from statistics import median

import torch

from grokkit.commands.doctor import FAIL, OK, WARN, Finding
from grokkit.config import Config
from grokkit.model.dropout import Hashed, dropout_keys
from grokkit.model.memory import free_bytes, release_memory
from grokkit.model.parameters import parameter_count
from grokkit.model.transformer import TransformerStack
from grokkit.presets import AS_RUN, DEPTHS, preset
from grokkit.report.quantities import FIGURE_TASKS
from grokkit.training.batches import Batches
from grokkit.training.devices import pick_device
from grokkit.training.memory import runs_that_fit
from grokkit.training.step import TrainingStep
from grokkit.training.trainer import Trainer, load_corpus

STEPS, TOLERANCE = 40, 2e-4
"""Steps that two devices make alike, and how far weights may be apart then: rounding, amplified by Adam's quotient."""
TIMED = 60
"""Steps that are timed; of few batches, whose shapes are recorded soon."""


def check_gpu(name: str | None = None) -> Iterator[Finding]:
    """Everything, on the GPU of this name. Raises GrokkitError where there is none."""
    device = pick_device(name or "cuda")
    yield from hardware(device)
    yield from compare(torch.device("cpu"), device)
    yield from speed(device)


def hardware(device: torch.device) -> Iterator[Finding]:
    """What the card is, and whether this torch was built for it."""
    capability, free = torch.cuda.get_device_capability(device), free_bytes(device) / 1e9
    total = torch.cuda.get_device_properties(device).total_memory / 1e9
    yield OK, f"{device}: {torch.cuda.get_device_name(device)}, {free:.1f} of {total:.1f} GB free"
    own, built = f"sm_{capability[0]}{capability[1]}", torch.cuda.get_arch_list()
    alike = any(arch.startswith(f"sm_{capability[0]}") or arch.startswith("compute_") for arch in built)
    level = OK if alike else FAIL
    yield level, f"capability {own}; this torch (CUDA {torch.version.cuda}) is built for {' '.join(built)}"
    yield OK, f"driver {driver() or 'not known: nvidia-smi is not there'}"
    in_hardware = "in hardware" if capability >= (8, 0) else "not in hardware, and refused"
    yield OK, f"bf16 and tf32: {in_hardware}"
    if find_spec("triton") is None:
        yield WARN, "triton is not there: dropout runs unfused, several times as slow"


def driver() -> str:
    """The version of NVIDIA's driver, as nvidia-smi says it; "" where that is not there."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.partition("\n")[0].strip()


def compare(cpu: torch.device, gpu: torch.device) -> Iterator[Finding]:
    """Whether training on the second device is that on the first, recorded steps are plain ones, and dropout is its
    formula."""
    config = preset("smoke", "question", 2, steps=STEPS, horizon=STEPS)
    one, other = (_trained(config.replace(dropout=0.0), device) for device in (cpu, gpu))
    apart = float((one - other).abs().max())
    yield (OK if apart < TOLERANCE else FAIL), f"{STEPS} steps on {cpu} and {gpu}: weights {apart:.1e} apart"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        recorded, plain = _trained(config, gpu), _trained(config, gpu, most_graphs=0)
        unlike = int((recorded != plain).sum())
        said = f"{unlike} weights differ" if unlike else "equal"
        yield FAIL if unlike else OK, f"recorded steps and plain ones: {said}"
        equal = _dropout_is_its_formula(cpu, gpu)
    yield (OK if equal else FAIL), f"dropout on {gpu} is {'' if equal else 'not '}its formula"
    for warning in warned:
        if "could not be compiled" in str(warning.message):
            yield WARN, f"{warning.message}: a C compiler and Python.h are needed (python3-dev)"


def _trained(config: Config, device: torch.device, most_graphs: int | None = None) -> torch.Tensor:
    """Weights after so many steps, on the CPU."""
    trainer = Trainer(config, [42, 52], None, str(device))
    if trainer.update.graphs and most_graphs is not None:
        trainer.update.graphs.most = most_graphs
    for _ in range(config.steps):
        trainer._train_step()
    return trainer.stack.flat.detach().cpu()


def _dropout_is_its_formula(cpu: torch.device, gpu: torch.device) -> bool:
    keys, x = dropout_keys((5, 6), 3), torch.randn(2, 40, 64)
    there, here = Hashed(0.1, keys.to(gpu)), Hashed(0.1, keys.to(cpu))
    return all(torch.equal(there.rows(x.to(gpu)).cpu(), here.rows(x.to(cpu)).cpu()) for _ in range(3))


def speed(device: torch.device) -> Iterator[Finding]:
    """Runs that fit at once and the time of a step, of the paper's cells, and so hours of Figure 3."""
    seeds, hours = range(42, 142, 10), 0.0
    for task in FIGURE_TASKS["fig3a"]:
        config = AS_RUN[task].replace(train_size=2000, steps=2000, horizon=2000)
        corpus = load_corpus(config)
        for depth in DEPTHS["as-run"][task]:
            cell = config.replace(depth=depth)
            runs = runs_that_fit(cell, list(seeds), device)
            flat = torch.randn(runs, parameter_count(cell), device=device) / 50
            stack = TransformerStack(cell, seeds[:runs], device, flat)
            batches = Batches(corpus["train"].lines, corpus.vocab, cell.batch_size, cell.heads, stack.seeds, device)
            step, times = TrainingStep(stack, cell, batches), []
            for number in range(TIMED):
                start = time.perf_counter()
                step.take(number % 4)
                torch.cuda.synchronize(device)
                times.append(time.perf_counter() - start)
            milliseconds = 1e3 * median(times[TIMED // 2 :])
            hours += milliseconds / 3.6e6 * AS_RUN[task].steps * len(seeds) / runs
            yield OK, f"as-run {task} L{depth}: {runs} of {len(seeds)} runs at once, {milliseconds:.1f} ms a step"
            step.let_go()
            del stack, flat, step, batches
            release_memory()
    yield OK, f"Figure 3, ten seeds of every depth: about {hours:.0f} hours, without evaluations"
