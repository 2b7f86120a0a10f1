"""`grokkit sweep`, on this machine or on a Ray cluster, and `grokkit status`."""

import argparse

from grokkit.errors import GrokkitError
from grokkit.printing import say


def sweep(options: argparse.Namespace, preset: str, tasks, depths, seeds, until: int | None) -> None:
    """Trains what is missing of these cells. Raises GrokkitError for options that do not go together."""
    from grokkit.sweep import run

    of_ray = {name: getattr(options, name) for name in ("address", "cpus", "gpus", "seeds_per_stack")}
    of_ray = {name: value for name, value in of_ray.items() if value is not None}
    of_local = [name for name in ("shard", "device", "workers", "minutes") if getattr(options, name) is not None]
    if options.engine not in (None, "ray"):
        raise GrokkitError(f"--engine {options.engine}: it can be ray; without it this machine trains")
    if options.engine and of_local:
        raise GrokkitError(f"--engine ray and --{of_local[0]}: Ray shares the runs out itself, give one of them")
    if of_ray and not options.engine:
        raise GrokkitError(f"--{next(iter(of_ray)).replace('_', '-')} belongs to --engine ray")
    if options.engine:
        from grokkit.sweep.on_ray import run_on_ray

        run_on_ray(preset, tasks, depths, seeds, options.storage, until=until, **of_ray)
        return
    given = options.device, options.workers, options.minutes
    run(preset, tasks, depths, seeds, *given, until=until, shard=options.shard, storage=options.storage)


def status(options: argparse.Namespace, preset: str, tasks, depths, seeds) -> None:
    """Prints a line a cell. With --storage, after the tables of these runs have been fetched from there."""
    from grokkit.commands.settings import default_source
    from grokkit.report import results

    source = options.source or default_source()
    if options.storage is not None:
        if source != "runs":
            raise GrokkitError(f"--storage holds runs, and --source {source} is none: give one of them")
        from grokkit.sweep.jobs import whole_plan
        from grokkit.sweep.shared import Shared

        Shared(options.storage).bring(whole_plan(preset, tasks, depths, seeds), put=False)
    all_of_them = source != "runs" and not options.seeds  # it may have more than the preset trains unasked
    table = results.status(preset, tasks, depths, None if all_of_them else seeds, source)
    for name in ("finished", "failed", "missing"):
        table[name] = [" ".join(map(str, numbers)) or "-" for numbers in table[name]]
    table["running"] = [results.seeds_up_to(dict(zip(*cell))) or "-" for cell in zip(table.running, table.reached)]
    say(f"preset {preset}, {source}: seeds that are")
    say(table.drop(columns="reached").rename(columns={"running": "opening"}).to_string(index=False))
