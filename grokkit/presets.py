"""The presets: the paper's two sizes, a laptop's and a test's; their depths and seeds; which runs somebody means.

A preset is written as what it changes in another one, so that a diff shows what shrank.
Sources: paper, Section 3 and Appendix B; DEVIATIONS.md, parts 2 to 4.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256

from grokkit.config import Config, differing_fields
from grokkit.errors import GrokkitError
from grokkit.values import names, whole_numbers

PRESETS: dict[str, dict[str, Config]] = {}
"""Preset -> task -> its Config; filled below. A task of one's own is trained like `OWN`, but for its data."""
OWN = "question"
_NO_CHANGE = {"preset", "task", "depth", "vocabulary_size"}
_OF_OWN_DATA = {"data_source", "data_files", "score", "train_size", "val_size", "gen_size"}


def changes(config: Config) -> dict[str, object]:
    """The fields in which a config differs from the preset whose name it bears, with their values.

    Another depth is none, nor are a task of one's own and what follows from its data.
    """
    name, values = config.preset.partition("~")[0], asdict(config)
    known = PRESETS.get(name, {})
    base = asdict(known.get(config.task, known[OWN])) if known else {}
    left_out = _NO_CHANGE if config.task in known else _NO_CHANGE | _OF_OWN_DATA
    return {name: values[name] for name in differing_fields(values, base) if name not in left_out}


def name_of(config: Config) -> str:
    """The name of the preset that a config is; of a changed one, <preset>~ and six hex digits over its changes.

    At a constant rate, other `steps` and `horizon` change no run, but where it ends.
    """
    name, changed = config.preset.partition("~")[0], changes(config)
    if config.schedule == "constant":
        changed = {field: value for field, value in changed.items() if field not in ("steps", "horizon")}
    if name not in PRESETS:
        return config.preset
    return f"{name}~{sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:6]}" if changed else name


def preset_name(given: object) -> str:
    """A name of a preset, or of a changed one, as in smoke~1a2b3c. Raises GrokkitError for any other."""
    if isinstance(given, str) and re.fullmatch(f"({'|'.join(PRESETS)})(~[0-9a-f]{{6}})?", given):
        return given
    return names("preset", [given], tuple(PRESETS))[0]


AS_RUN = {
    "question": Config("as-run", "question", 6),
    "tense": Config("as-run", "tense", 4),
    # 1M steps were scheduled, 400k are plotted; Table 1; evaluated every 10k
    "dyck": Config(
        "as-run",
        "dyck",
        6,
        train_size=200_000,
        val_size=20_000,
        gen_size=20_000,
        horizon=1_000_000,
        steps=400_000,
        eval_every=10_000,
        analysis_sentences=500,
    ),
}
_AS_WRITTEN = dict(heads=4, tied=True, schedule="constant", clip_norm=10.0, metric="paper")
"""The constant schedule ignores the horizon."""

# Found by search, see README.md: every run of every depth reaches val .99 with comparable loss, and the medium depth
# generalizes best, long after that. Without dropout it trains in half of the steps; a short memory in beta2 and a
# constant rate keep it moving after the in-domain accuracy is saturated.
_LAPTOP = dict(
    train_size=100_000,
    val_size=500,
    gen_size=1_000,
    width=64,
    heads=4,
    ffn_width=64,
    dropout=0.0,
    learning_rate=2e-3,
    warmup_steps=500,
    schedule="constant",
    beta2=0.98,
    horizon=7_000,
    steps=7_000,
    batch_size=16,
    eval_every=250,
    analysis_sentences=200,
)
_LAPTOP_TENSE = dict(horizon=14_000, steps=14_000)  # at 7,000 half of the runs have not moved yet
_LAPTOP_DYCK = dict(max_tokens=48, eval_every=500, analysis_sentences=100)  # its strings are twice as long
_SMOKE = dict(
    train_size=300,
    val_size=40,
    gen_size=40,
    width=16,
    heads=2,
    ffn_width=16,
    learning_rate=2e-3,
    warmup_steps=5,
    horizon=20,
    steps=20,
    batch_size=8,
    eval_every=10,
    analysis_sentences=10,
)
PRESETS |= {
    "as-run": AS_RUN,
    "as-written": {t: c.replace(preset="as-written", **_AS_WRITTEN) for t, c in AS_RUN.items()},
    "laptop": {
        t: c.replace(preset="laptop", depth=4, **(_LAPTOP | {"tense": _LAPTOP_TENSE, "dyck": _LAPTOP_DYCK}.get(t, {})))
        for t, c in AS_RUN.items()
    },
    "smoke": {
        t: c.replace(preset="smoke", depth=1, **_SMOKE, **({"max_tokens": 24} if t == "dyck" else {}))
        for t, c in AS_RUN.items()
    },
}
_PAPER_DEPTHS = {"question": (2, 4, 6, 8, 10), "tense": (2, 4, 6, 8, 10), "dyck": (6,)}
DEPTHS: dict[str, dict[str, tuple[int, ...]]] = {
    "as-run": _PAPER_DEPTHS,
    "as-written": _PAPER_DEPTHS,
    "laptop": {"question": (2, 4, 6), "tense": (2, 4, 5), "dyck": (4,)},  # tense: with 6, not every run trains
    "smoke": {"question": (1, 2), "tense": (1, 2), "dyck": (1,)},
}
"""The depths that a preset trains, by task: those that a figure shows. Paper, Section 3: {2, 4, 6, 8, 10}."""

PAPER_SEEDS = tuple(range(42, 142, 10))
SEEDS: dict[str, tuple[int, ...]] = {
    "as-run": PAPER_SEEDS,
    "as-written": PAPER_SEEDS,
    "laptop": PAPER_SEEDS[:5],
    "smoke": PAPER_SEEDS[:2],
}
"""The seeds that a preset trains unless told otherwise. The paper plots ten: 42, 52, ..., 132."""


def preset_depths(name: str, task: str) -> tuple[int, ...]:
    """The depths that a preset trains of a task; of one's own, those of `OWN`.

    >>> preset_depths("laptop", "tense"), preset_depths("laptop", "my own")
    ((2, 4, 5), (2, 4, 6))
    """
    return DEPTHS[name].get(task, DEPTHS[name][OWN])


def preset(name: str, task: object, depth: int | None = None, **changes) -> Config:
    """The Config of a preset, for one task (a name or a Task) and depth (default: the one in PRESETS).

    A task of one's own is trained like questions, on as many lines as it has.

    >>> preset("as-run", "question", 6).heads
    8
    >>> preset("as-written", "question", 6).heads
    4

    Raises GrokkitError for an unknown preset, task or field, and for values that make no sense.
    """
    from grokkit.data import TASKS
    from grokkit.data.files import FileTask

    name = preset_name(name)
    if name not in PRESETS:
        base = name.partition("~")[0]
        raise GrokkitError(
            f"{name} is a changed {base}: say what is changed, as in gk.preset({base!r}, task, width=32)"
        )
    if not isinstance(task, FileTask):
        (task,) = task_names([getattr(task, "name", task)])
        task = TASKS[task]
    if "preset" in changes:
        raise GrokkitError(f"preset = {changes['preset']!r}: it is chosen by the first argument, not changed")
    fields: dict[str, object] = {"vocabulary_size": task.vocab.size}
    if task.name not in PRESETS[name]:
        fields |= {"task": task.name, **{f"{split}_size": task.sizes[split] for split in ("train", "val", "gen")}}
    if isinstance(task, FileTask):
        fields |= task.config_fields
    if depth is not None:
        fields["depth"] = depth
    return PRESETS[name].get(task.name, PRESETS[name][OWN]).replace(**fields | changes)


def config_of(name: str, task: str, depth: int, found: Mapping, where: object) -> Config:
    """What the run in the folder `where`, under these names, is to be trained with; `found`: the config that it has.

    Of a changed preset, and of a task of one's own, it is that one, on the data of gk.TASKS where the task is there.
    Raises GrokkitError for a run that does not bear these names.
    """
    from grokkit.data import TASKS
    from grokkit.data.files import FileTask

    if task in PRESETS.get(name, {}):
        return preset(name, task, depth)
    try:
        config = Config(**found)
    except TypeError as error:
        raise GrokkitError(f"{where} is of another version of grokkit ({error}): use that one") from None
    if (config.preset, config.task, config.depth) != (name, task, depth):
        raise GrokkitError(f"{where} is no run of {name} {task} L{depth}, but {config!r}: move it to where it belongs")
    known = TASKS.get(task)
    return config.replace(**known.config_fields) if isinstance(known, FileTask) else config


def task_names(given: object, more: Iterable[str] = ()) -> tuple[str, ...]:
    """The tasks that are named, which are in gk.TASKS or among `more`. Raises GrokkitError, as `names` does."""
    from grokkit.data import TASKS

    try:
        return names("task", given, tuple(dict.fromkeys([*TASKS, *more])))
    except GrokkitError as error:
        raise GrokkitError(f"{error}; one of your own is read first: gk.task_from_files, --data") from None


@dataclass(frozen=True)
class Selection:
    """Which runs are meant, by task, depth and seed; None stands for all that there are."""

    tasks: tuple[str, ...] | None = None
    depths: Mapping[str, tuple[int, ...]] | tuple[int, ...] | None = None  # the same for all tasks, or of each
    seeds: tuple[int, ...] | None = None

    def depths_of(self, task: str) -> tuple[int, ...] | None:
        """The depths that are meant of a task; None for all, empty where a mapping leaves the task out."""
        return self.depths.get(task, ()) if isinstance(self.depths, Mapping) else self.depths

    def of_preset(self, name: str) -> "Selection":
        """The same, with what the preset trains in the place of None."""
        name = preset_name(name).partition("~")[0]
        tasks = tuple(DEPTHS[name]) if self.tasks is None else self.tasks
        return Selection(
            tasks,
            {task: preset_depths(name, task) for task in tasks} if self.depths is None else self.depths,
            SEEDS[name] if self.seeds is None else self.seeds,
        )

    def has(self, task: str, depth: int, seed: int) -> bool:
        """Whether this run is meant."""
        depths = self.depths_of(task)
        return (
            (self.tasks is None or task in self.tasks)
            and (depths is None or depth in depths)
            and (self.seeds is None or seed in self.seeds)
        )


def select(tasks: object = None, depths: object = None, seeds: object = None, more: Iterable[str] = ()) -> Selection:
    """What every public function makes of its arguments `tasks`, `depths` and `seeds`: one is a list of one.

    depths may be a mapping from tasks to depths. more: tasks that are known beside those of gk.TASKS.

    >>> select("tense", 4, "42 52")
    Selection(tasks=('tense',), depths=(4,), seeds=(42, 52))

    Raises GrokkitError for unknown tasks and for what is no list of whole numbers.
    """
    if isinstance(depths, Mapping):
        depths = {
            task_names([task], more)[0]: whole_numbers(f"depths of {task}", some, 1) for task, some in depths.items()
        }
    elif depths is not None:
        depths = whole_numbers("depths", depths, 1)
    return Selection(
        None if tasks is None else task_names(tasks, more),
        depths,
        None if seeds is None else whole_numbers("seeds", seeds),
    )
