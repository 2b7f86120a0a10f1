"""Ray on a machine that is busy: its own programs are given five minutes to start, not half a minute."""

import time

import pytest

PATIENCE = 300


def patient(patch):
    """Ray, where it is installed; else the test is skipped."""
    ray = pytest.importorskip("ray")
    from ray._private import services
    from ray.cluster_utils import Cluster

    real = services.get_node

    def get_node(*given):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return real(*given)
            except RuntimeError:  # it is not there yet
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    patch.setenv("RAY_agent_register_timeout_ms", str(1000 * PATIENCE))
    patch.setattr(services, "get_node", get_node)
    patch.setattr(Cluster._wait_for_node, "__defaults__", (PATIENCE,))
    return ray
