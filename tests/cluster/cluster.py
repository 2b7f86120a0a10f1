"""Many machines, in full: what `make test-cluster` runs. Prints its figures.

Nodes are processes of this machine (ray.cluster_utils), the S3 server is moto's; drivers are commands of their own.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import growth
import pandas as pd
import pytest
from stopping import wait_for

from grokkit.report.results import results
from grokkit.storage.run_folder import read_description
from grokkit.storage.table import KEYS
from grokkit.sweep import local
from grokkit.sweep.shared import Shared

SWEEP = [sys.executable, "-P", "-m", "grokkit", "sweep", "--preset", "smoke"]
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "GROKKIT_PROGRESS": "lines", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@pytest.mark.parametrize("runs", [100, 1_000, 10_000])
def test_growth(runs):
    found = growth.measured(runs)
    print(f"\n{growth.line(runs, found)}")
    share = min(1, 0.1 + runs / 10_000)  # linear, but for what first calls take
    assert found["plan"] < 5 * share and found["status"] < 5 * share and found["results"] < 30 * share
    assert found["results_gb"] < 1


# -- an S3 server -----------------------------------------------------------------------------------------


@pytest.fixture
def bucket():
    """The URL of a bucket, and the variables that tell fsspec of its server."""
    pytest.importorskip("s3fs")
    server_of = pytest.importorskip("moto.server")
    server = server_of.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    variables = keys | {"FSSPEC_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    make = "import s3fs; s3fs.S3FileSystem().mkdir('runs')"
    subprocess.run([sys.executable, "-c", make], env=os.environ | variables, check=True)
    yield "s3://runs/kit", variables
    server.stop()


def test_machines_share_runs_on_an_s3_server(bucket, tmp_path, monkeypatch):
    url, variables = bucket
    asked = ["--tasks", "question", "--depths", "1", "--seeds", "42", "52", "--storage", url]
    for machine, more in (("a", ["--until", "10"]), ("b", []), ("c", [])):
        environment = os.environ | ENVIRONMENT | variables | {"GROKKIT_RUNS": str(tmp_path / machine)}
        subprocess.run([*SWEEP, *asked, *more], env=environment, check=True)
    listed = subprocess.run(
        [*SWEEP, *asked[:-1], "s3://no-such-bucket/x"], env=environment, capture_output=True, text=True
    )
    assert listed.returncode == 2 and "cannot write to the storage s3://no-such-bucket/x" in listed.stderr
    found = {}
    for machine in ("b", "c", "local"):
        monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / machine))
        found[machine] = local.collect("smoke", "question", 1, [42, 52], progress=False)
        pd.testing.assert_frame_equal(found[machine], found["b"], check_exact=True)


# -- Ray --------------------------------------------------------------------------------------------------


@pytest.fixture
def new_cluster():
    """Makes clusters: a head that trains nothing, and nodes of one core."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    made = []

    def make(nodes):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        made.append(cluster)
        return cluster, [cluster.add_node(num_cpus=1) for _ in range(nodes)]

    yield make
    for cluster in made:
        cluster.shutdown()


def driver(cluster, storage, runs, *more):
    """A sweep over smoke runs, as a command; what it and Ray say is in <runs>.txt."""
    command = [*SWEEP, "--engine", "ray", "--address", cluster.address, "--storage", str(storage), *more]
    environment = os.environ | ENVIRONMENT | {"GROKKIT_RUNS": str(runs)}
    said = Path(f"{runs}.txt")
    with said.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    process.said = said
    return process


def ended(process) -> None:
    assert process.wait(timeout=600) == 0, process.said.read_text()[-3000:]


def equals_the_local_sweep(tmp_path, monkeypatch, seeds, machines) -> int:
    """Whether the table of each machine has every row of the local sweep once; the number of rows."""
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "local"))
    monkeypatch.setattr(local, "SMALL", 10**9)  # in this very process
    expected = local.collect("smoke", seeds=seeds, progress=False)
    for machine in machines:
        monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / machine))
        found = results("smoke", seeds=seeds)
        lost = len(expected[KEYS].merge(found[KEYS], how="left", indicator=True).query("_merge != 'both'"))
        doubled = int(found.duplicated(KEYS).sum())
        print(f"{machine}: {len(found)} rows, lost {lost}, doubled {doubled}")
        assert (lost, doubled) == (0, 0)
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    return len(expected)


def test_20_nodes_and_the_driver_are_killed(new_cluster, tmp_path, monkeypatch):
    seeds, draw = list(range(12)), random.Random(16)  # of five cells: 60 runs
    cluster, nodes = new_cluster(3)
    asked = tmp_path / "shared", tmp_path / "runs", "--seeds", *map(str, seeds)
    begun, process, under_way = time.monotonic(), driver(cluster, *asked), 0
    for kill in range(20):
        time.sleep(draw.uniform(0, 3))
        under_way += process.poll() is None
        cluster.remove_node(nodes.pop(draw.randrange(3)), allow_graceful=False)
        nodes.append(cluster.add_node(num_cpus=1))
        if kill == 9:
            assert process.poll() is None, process.said.read_text()[-3000:]
            process.kill()
            process.wait()
            process = driver(cluster, *asked)
    ended(process)
    print(f"\n20 nodes killed, {under_way} of them while the sweep was under way, and the driver once")
    print(f"60 runs in {time.monotonic() - begun:.0f} s")
    equals_the_local_sweep(tmp_path, monkeypatch, seeds, ["runs"])


def test_ctrl_c_saves_and_the_same_command_goes_on(new_cluster, tmp_path, monkeypatch):
    cluster, _ = new_cluster(1)
    run, shared = ("laptop", "question", 2, 42), Shared(str(tmp_path / "shared"))
    asked = "--preset", "laptop", "--tasks", "question", "--depths", "2", "--seeds", "42"
    process = driver(cluster, shared.url, tmp_path / "runs", *asked)
    wait_for(lambda: any(step > 0 for step, _ in shared.saves_of(run)), 300)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert "same command goes on" in process.said.read_text() and "Traceback" not in process.said.read_text()
    stopped = shared.saves_of(run)[0][0]
    assert 0 < stopped < 7000
    until = 250 * (stopped // 250 + 1)
    ended(driver(cluster, shared.url, tmp_path / "runs", *asked, "--until", str(until)))
    monkeypatch.setenv("GROKKIT_RUNS", str(tmp_path / "runs"))
    assert results("laptop", until=until).step.tolist() == list(range(0, until + 1, 250))
    steps = read_description(tmp_path / "runs/laptop/question/L2/seed-42")["environments"]
    print(f"stopped at step {stopped}, gone on to {until}")
    assert sum(found["steps"] for found in steps) == until  # none was made twice


def test_a_second_driver_joins(new_cluster, tmp_path, monkeypatch):
    cluster, _ = new_cluster(2)
    both = [driver(cluster, tmp_path / "shared", tmp_path / name, "--seeds", "1:4") for name in ("one", "two")]
    for process in both:
        ended(process)
    equals_the_local_sweep(tmp_path, monkeypatch, [1, 2, 3], ["one", "two"])
    # a run that two tasks had trained would have four saves put up, of which two stay; one task puts up at most two
    names = [path for saves in Shared(str(tmp_path / "shared")).saves("smoke").values() for _, path in saves]
    assert len({path.rpartition("/")[0] for path in names}) == 15


def test_two_clusters_on_one_storage(new_cluster, tmp_path, monkeypatch):
    clusters = [new_cluster(1)[0] for _ in range(2)]
    names = ["one", "two"]
    both = [driver(c, tmp_path / "shared", tmp_path / name, "--seeds", "1:4") for c, name in zip(clusters, names)]
    for process in both:
        ended(process)
    equals_the_local_sweep(tmp_path, monkeypatch, [1, 2, 3], names)


@pytest.mark.parametrize(
    "address, more, line",
    [
        ("127.0.0.1:9", [], "no Ray cluster at 127.0.0.1:9"),
        (None, ["--gpus", "8"], "--gpus 8: the largest node of the cluster has 0"),
        (None, ["--cpus", "64"], "--cpus 64: the largest node of the cluster has 1"),
    ],
)
def test_bad_input_is_one_line(new_cluster, tmp_path, address, more, line):
    cluster, _ = new_cluster(1) if address is None else (None, None)
    where = address or cluster.address
    command = [*SWEEP, "--engine", "ray", "--address", where, "--storage", str(tmp_path / "shared"), *more]
    said = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert said.returncode == 2 and f"grokkit: {line}" in said.stderr.splitlines()[-1], said.stderr
