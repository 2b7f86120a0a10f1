"""Config: everything that decides a result, in one frozen dataclass.

Sources: paper, Section 3 and Appendix B; DEVIATIONS.md, parts 2 to 4.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from grokkit.errors import GrokkitError
from grokkit.values import number, one_of, parse, plain, whole_number

Count = Annotated[int, "a whole number of 1 or more", lambda x: x >= 1]
WholeNumber = Annotated[int, "a whole number of 0 or more", lambda x: x >= 0]
Positive = Annotated[float, "a finite number greater than 0", lambda x: x > 0]
NotNegative = Annotated[float, "a finite number of 0 or more", lambda x: x >= 0]
Share = Annotated[float, "a number in [0, 1)", lambda x: 0 <= x < 1]
Flag = Annotated[bool, "True or False", lambda x: True]
Name = Annotated[str, "a name", lambda x: x.strip() == x != ""]
Text = Annotated[str, "a text", lambda x: True]


@dataclass(frozen=True)
class Config:
    """One cell: what is trained, on what, how, and how it is measured. Units are in brackets.

    The rule of a field is its type. Numbers are taken by value: 52.0 and numpy's 52 are the int 52, True is no 1.
    `preset` is the name of what the fields are: a changed preset has another one, see `presets.name_of`.
    """

    # what
    preset: Name
    task: Name
    depth: Count  # L, transformer layers
    # data
    data_source: Literal["generated", "official", "files"] = "generated"  # official: the released files; files: own
    data_seed: WholeNumber = 0  # seed of the generated corpus; the same for all runs, as in the paper
    train_size: Count = 100_000  # [sentence pairs] paper, Table 1
    val_size: Count = 1_000  # [sentence pairs] paper, Table 1
    gen_size: Count = 10_000  # [sentence pairs] paper, Table 1
    dyck_structure: Literal["components", "whole"] = "components"  # what an unobserved structure is
    max_tokens: WholeNumber = 0  # [tokens] Dyck strings longer than this are left out; 0: no limit
    # a user's own data, from gk.task_from_files; empty for other tasks
    data_files: Text = ""  # the first digits of the SHA-256 of each file
    data_path: Text = field(default="", compare=False)  # where they lie, which decides no result
    score: Text = ""  # what of an answer must be right: whole, first, or the column that holds the scored word
    # model
    vocabulary_size: WholeNumber = 0  # V, <pad> counted; `preset` sets it from the task
    width: Count = 512  # D, paper, Appendix B
    heads: Count = 8  # H; the paper says 4, the released code trains 8
    ffn_width: Count = 2048  # released code
    tied: Flag = False  # one matrix for input and output embeddings; the paper says yes, the code no
    dropout: Share = 0.1  # released code: attention weights, residual branches, inside the FFN, embeddings
    # optimizer: AdamW, paper, Appendix B
    learning_rate: Positive = 1e-4
    warmup_steps: WholeNumber = 10_000  # [steps] linear from 0
    schedule: Literal["linear", "constant"] = "linear"  # after warm-up: linear to 0 at the horizon, or constant
    horizon: Count = 300_000  # [steps] where the linear schedule reaches 0
    steps: Count = 300_000  # [steps] where training ends
    batch_size: Count = 8  # [sentence pairs]
    clip_norm: Positive = 1.0  # L2 norm of one run's gradient; the paper says 10
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Positive = 1e-7
    weight_decay: NotNegative = 0.0
    # measuring
    eval_every: Count = 3_000  # [steps] paper, Section 4.1
    metric: Literal["published", "paper"] = "published"  # the definition that fills val_accuracy and gen_accuracy
    analysis_sentences: Count = 10_000  # one fixed sample of training sources; paper, Section 4.1
    # numerics
    precision: Literal["float32", "tf32", "bf16"] = "float32"  # of the matrix products

    def __post_init__(self):
        for name, rule in rules().items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), rule))
        if self.width % self.heads:
            raise GrokkitError(f"heads = {self.heads} does not divide width = {self.width}")
        if self.width % 2:
            raise GrokkitError(f"width = {self.width} must be even: positions are pairs of sine and cosine")
        if self.schedule == "linear" and self.steps > self.horizon:
            raise GrokkitError(
                f"steps = {self.steps} goes beyond horizon = {self.horizon}, where the linear schedule is 0"
            )
        object.__setattr__(self, "preset", _presets().name_of(self))

    def __repr__(self) -> str:
        changed = "".join(f", {name}={value!r}" for name, value in _presets().changes(self).items())
        return f"Config({self.preset!r}, {self.task!r}, {self.depth}{changed})"

    def end(self, until: object = None) -> int:
        """The step where a training ends that is to stop at `until`: see `last_evaluation`."""
        return last_evaluation(self.task, self.eval_every, self.steps, until)

    def replace(self, **changes) -> "Config":
        """A copy with some fields changed; an unknown name raises GrokkitError."""
        for name in changes:
            _rule(name)
        return replace(self, **changes)

    def learning_rate_factor(self, step: int) -> float:
        """Share of the peak rate that step number `step` (from 0) trains with."""
        factor = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "linear" and step + 1 > self.warmup_steps:
            factor *= (self.horizon - step) / max(1, self.horizon - self.warmup_steps)
        return factor

    def differing_fields(self, other: "Config | dict") -> list[str]:
        """Names of the fields in which two configs differ; `other` may be one that was read from a file."""
        return differing_fields(asdict(self), other if isinstance(other, dict) else asdict(other))


def a_config(given: object) -> Config:
    """`given`, if it is a Config. Raises GrokkitError."""
    if not isinstance(given, Config):
        raise GrokkitError(f"config = {given!r}: build one with gk.preset(name, task, depth)")
    return given


def decisive(config: Mapping[str, object]) -> dict[str, object]:
    """The fields of a config, as a dict, that decide results; an empty one says nothing, as in older files."""
    left_out = {field.name for field in fields(Config) if not field.compare}
    return {name: value for name, value in config.items() if name not in left_out and value != ""}


def differing_fields(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Names of the fields in which two configs, as dicts, differ."""
    one, other = decisive(one), decisive(other)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@cache
def rules() -> dict[str, Any]:
    """Field -> its rule: an Annotated type with what it must be, or a Literal of the choices."""
    return get_type_hints(Config, include_extras=True)


def parsed(name: str, text: str) -> object:
    """The value of a field that a text from outside stands for, e.g. of `--set tied=off`. Raises GrokkitError."""
    rule = _rule(name)
    return parse(name, text, str if get_origin(rule) is Literal else get_args(rule)[0])


def _rule(name: str) -> Any:
    if name not in rules():
        raise GrokkitError(f"Config has no field {name!r}; it has {', '.join(sorted(rules()))}")
    return rules()[name]


def _checked(name: str, value: object, rule: Any) -> object:
    """The value of a field as its plain type, if it keeps the rule."""
    if get_origin(rule) is Literal:
        return one_of(name, value, get_args(rule))
    kind, text, holds = get_args(rule)
    found = number(value) if kind in (int, float) else plain(value)
    try:
        found = float(found) if kind is float and found is not None else found
    except OverflowError:
        found = None
    if type(found) is not kind or not holds(found):
        raise GrokkitError(f"{name} = {value!r}: it must be {text}")
    return found


def _presets() -> Any:
    """The presets, which are Configs themselves."""
    from grokkit import presets

    return presets


def last_evaluation(task: str, every: int, steps: int, until: object = None) -> int:
    """The last evaluation at or before the step `until`; None stands for the end.

    >>> last_evaluation("dyck", 10_000, 400_000, 15_000), last_evaluation("tense", 3_000, 10_000, 10_000)
    (10000, 10000)

    Raises GrokkitError for a step before the first evaluation and for one beyond the end.
    """
    if until is None:
        return steps
    found, first = whole_number(until), min(every, steps)
    if found is None or not first <= found <= steps:
        raise GrokkitError(
            f"until = {until!r}: {task} is evaluated every {every:,} steps up to {steps:,}, so that it must be a whole"
            f" number from {first} to {steps}"
        )
    return steps if found == steps else found - found % every


def earlier_ends(ends: Mapping[str, int], until: int | None) -> str:
    """What is to be said of the tasks that end before `until`, "" if none does; ends: of each, its last evaluation.

    >>> earlier_ends({"dyck": 10_000, "tense": 15_000}, 15_000)
    'until 15,000 is step 10,000 of dyck, the last evaluation before'
    """
    earlier = {task: end for task, end in ends.items() if until is not None and end < until}
    steps = [
        f"step {end:,} of {', '.join(t for t in earlier if earlier[t] == end)}"
        for end in dict.fromkeys(earlier.values())
    ]
    return f"until {until:,} is {' and '.join(steps)}, the last evaluation before" if steps else ""


def __getattr__(name: str) -> object:
    """`PRESETS`, `DEPTHS`, `SEEDS` and `preset` stand in grokkit.presets; asked for here, they are given too."""
    if name in ("AS_RUN", "PRESETS", "DEPTHS", "SEEDS", "preset"):
        return getattr(_presets(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
