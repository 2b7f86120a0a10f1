"""`grokkit sweep`: on this machine or on a Ray cluster."""

import argparse

from grokkit.errors import GrokkitError


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
