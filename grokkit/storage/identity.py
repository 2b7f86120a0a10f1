"""What makes a run: its config, its seed and its data. None of them changes under a folder unnoticed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from grokkit.config import Config, decisive
from grokkit.errors import GrokkitError
from grokkit.storage.files import sha256


@dataclass(frozen=True)
class Run:
    """One training from one seed. splits: the SHA-256 of the sentences of each split, by the split's name."""

    config: Config
    seed: int
    splits: Mapping[str, str]

    @property
    def identity(self) -> str:
        """16 hex digits over what decides its results: the config but for its name, and the splits as trained.

        At a constant rate the steps so far do not depend on how many follow: `steps` and `horizon` are left out.
        """
        left_out = _left_out(self.config)
        fields = {name: value for name, value in decisive(asdict(self.config)).items() if name not in left_out}
        return sha256(json.dumps([fields, dict(self.splits)], sort_keys=True))[:16]

    def described(self) -> dict:
        """The run as its files have it."""
        return {
            "config": asdict(self.config),
            "seed": self.seed,
            "splits": dict(self.splits),
            "identity": self.identity,
        }


def _left_out(config: Config) -> set[str]:
    """Fields that decide nothing of a run: its name and, at a constant rate, how far it is to go."""
    return {"preset"} | ({"steps", "horizon"} if config.schedule == "constant" else set())


def refuse_other_config(path: Path, found: dict, config: Config) -> None:
    """Raises GrokkitError naming each field in which `found` (a config as a dict) differs from `config`.

    A Config holds all that decides a result and nothing else: device, progress and minutes are no fields of it.
    At a constant rate a run may go on to more steps.
    """
    wanted = asdict(config)
    bases = {str(name).partition("~")[0] for name in (found.get("preset"), config.preset)}
    left_out = _left_out(config) if len(bases) == 1 else _left_out(config) - {"preset"}  # ~1a2b3c follows from the rest
    names = [name for name in config.differing_fields(found) if name not in left_out]
    if not names:
        return
    differing = "; ".join(
        f"{name} is {found.get(name)!r} there, {wanted.get(name)!r} here"
        if name != "data_files" or not config.data_path
        else f"the data in {config.data_path} are others than there"
        for name in names
    )
    why = ""
    if set(names) <= {"steps", "horizon"}:
        why = " (its rate falls to 0 at the horizon, so that another end is another experiment)"
    raise GrokkitError(f"{path} belongs to another config{why}: {differing}: keep them {_APART}")


_APART = "in different folders (out, GROKKIT_RUNS)"


def refuse_other_run(path: Path, found: dict, run: Run) -> None:
    """Raises GrokkitError where `found`, what `Run.described` gave once, is another run; says what differs."""
    refuse_other_config(path, found["config"], run.config)
    if found["seed"] != run.seed:
        raise GrokkitError(f"{path} holds seed {found['seed']}, not {run.seed}: give the folder its own name back")
    wanted = run.described()
    splits = [name for name in wanted["splits"] | found["splits"] if found["splits"].get(name) != run.splits.get(name)]
    if splits or found["identity"] != wanted["identity"]:
        raise GrokkitError(
            f"{path} belongs to a run on other data: the sentences of {', '.join(splits) or 'its splits'} are others"
            f" there: keep them {_APART}"
        )
