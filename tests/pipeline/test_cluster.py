"""A Dask cluster: the same bytes as on this machine, or one clear error in bounded time."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from digits import cluster
from digits.errors import InputError
from tests.helpers import clusters
from tests.helpers.clusters import Cluster, Stage, tuned_project, wait_until
from tests.helpers.project import ROOT

pytestmark = pytest.mark.hard


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A project, and the results of its tunings on this machine."""
    project = tuned_project(tmp_path_factory.mktemp("tuned") / "project")
    names = ("fits", "path", "network")
    return project, {name: Stage(project, "tune", name).results() for name in names}


@pytest.fixture
def project(tuned, tmp_path):
    return tuned[0].copy(tmp_path / "project")


@pytest.fixture
def expected(tuned):
    return tuned[1]


@pytest.fixture
def on(project, tmp_path):
    """A cluster without a worker, with the code of the project."""
    with Cluster(tmp_path / "cluster", code=project.root) as started:
        yield started


def error_of(stage):
    """Wait for the end of a stage; return its error, which must be one line."""
    status, said = stage.end()
    assert status == 1, said
    assert "Traceback" not in said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said
    return errors[0]


def test_any_number_of_workers_gives_the_same_bytes(project, expected, on):
    on.add()
    for name in ("fits", "path", "network"):
        assert (
            Stage(project, "tune", name, scheduler=on.address).results() == expected[name]
        )
    on.add(2, threads=2)
    stage = Stage(project, "tune", "fits", "--scheduler", str(on.file))
    wait_until(stage.n_stored)
    on.add(nanny=True)  # joins late
    assert stage.results() == expected["fits"]
    assert (
        Stage(project, "tune", "path", scheduler=str(on.file)).results()
        == (expected["path"])
    )


@pytest.mark.parametrize("fault", ["killed", "frozen", "restarted"])
def test_a_fault_of_a_worker_changes_no_bit(project, expected, on, fault):
    on.add(2, nanny=fault == "restarted")
    stage = Stage(project, "tune", "fits", scheduler=on.address)
    wait_until(stage.n_stored)
    match fault:
        case "killed":
            on.kill(on.workers[0])
        case "frozen":
            on.kill(on.workers[0], signal.SIGSTOP)
        case "restarted":
            on.kill_child(on.workers[0])
    assert stage.results() == expected["fits"]


def test_all_workers_are_lost_and_a_new_one_goes_on(project, expected, on):
    on.add(2)
    stage = Stage(project, "tune", "fits", scheduler=on.address)
    wait_until(stage.n_stored)
    for worker in on.running():
        on.kill(worker)
    on.add()
    assert stage.results() == expected["fits"]


def test_the_scheduler_goes_away_and_what_is_done_is_kept(project, expected, tmp_path, on):
    on.add(2)
    stage = Stage(project, "tune", "fits", scheduler=on.address)
    wait_until(stage.n_stored)
    on.stop_scheduler()
    assert "the scheduler has ended, or does not answer. Start it" in error_of(stage)
    assert stage.n_stored()
    assert not (project.root / "tuning/fits.json").exists()
    with Cluster(tmp_path / "other", code=project.root) as other:
        other.add()
        again = Stage(project, "tune", "fits", scheduler=other.address)
        assert again.results() == expected["fits"]


def test_a_worker_with_other_code_is_named(project, tmp_path, on):
    other, lacking = project.copy(tmp_path / "other"), tmp_path / "lacking"
    path = other.root / "digits/grid.py"
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    (lacking / "digits").mkdir(parents=True)
    (lacking / "digits/__init__.py").write_text("")
    on.add()
    on.add(code=other.root)
    message = error_of(Stage(project, "tune", "fits", scheduler=on.address))
    assert "has another version of the code of digits; set up the same" in message
    assert "error: tuning fits: worker tcp://127.0.0.1:" in message
    on.kill(on.workers[1])
    on.add(code=lacking)
    message = error_of(Stage(project, "tune", "fits", scheduler=on.address))
    assert "lacks the package digits" in message
    on.kill(on.workers[2])
    with cluster.connect(on.address) as client:
        running = cluster.Running(client)
        for _ in range(20):
            running.add(cluster.submit(client, time.sleep, 3))
        on.add(code=other.root)  # joins late
        with pytest.raises(InputError, match="another version of the code of digits"):
            list(running)
    on.kill(on.workers[-1])
    path = project.root / "digits/grid.py"  # of a worker that has loaded the file before
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    message = error_of(Stage(project, "tune", "fits", scheduler=on.address))
    assert "has loaded another version of the code of digits; start it again" in message


@pytest.mark.parametrize("stored", [False, True], ids=["sent", "stored"])
def test_images_that_a_worker_does_not_see_reach_it(  # noqa: PLR0917 (fixtures)
    project, expected, on, stored, tmp_path, monkeypatch
):
    """In a mount namespace, where the folder with the data is empty."""
    if stored:
        (tmp_path / "storage").mkdir()
        monkeypatch.setenv("DIGITS_STORAGE", (tmp_path / "storage").as_uri())
    command = ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces for this user")
    data = project.root / "data"
    script = 'mount -t tmpfs none "$0" && exec "$@"'
    on.add(prefix=(*command, "sh", "-c", script, str(data)))
    stage = Stage(project, "tune", "fits", scheduler=on.address)
    on.add()  # sees it
    status, said = stage.end()
    assert status == 0
    images = f"{data}/subsets/digits/train/images.npy"
    if stored:
        assert f"{images}: is copied to file://{tmp_path}/storage/" in said
        assert len([*(tmp_path / "storage").iterdir()]) == len(("images", "labels"))
    assert (f"does not see {images}: the images are sent" in said) is not stored
    stage = Stage(project, "tune", "fits", scheduler=on.address)
    assert stage.results() == expected["fits"]
    on.kill(on.workers[1])
    assert (
        Stage(project, "tune", "path", scheduler=on.address).results() == (expected["path"])
    )


def test_dvc_records_the_same_on_a_cluster(done, tmp_path):
    project = done.copy(tmp_path / "project")
    with (project.root / "params.yaml").open("a") as file:
        file.write("tuning:\n  one:\n    variant: linear_binary\n")
        file.write("    grid: {threshold: [0.4, 0.5, best]}\n")
    project.repro("check")
    project.repro("tuning/dvc.yaml")
    locks = [project.root / name for name in ("dvc.lock", "tuning/dvc.lock")]
    before = [path.read_bytes() for path in locks]
    with Cluster(tmp_path / "cluster", code=project.root) as on:
        on.add()
        again = ("dvc", "repro", "--force", "--no-run-cache", "--single-item")
        run = ("env", f"DIGITS_SCHEDULER={on.address}", *again)
        project.run(*run, "tuning/dvc.yaml:tune@one")
        project.run(*run, "train@multinomial")
        assert on.log().count("Receive client connection") >= 1
        tune = ("python", "-m", "digits", "tune", "one", "--scheduler", on.address)
        said = project.run(*tune).stdout
    assert "didn't change" in said
    assert [path.read_bytes() for path in locks] == before


CLIENT = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
from digits import cluster
from tests.helpers.clusters import tick
with cluster.connect(sys.argv[1]) as client:
    running = cluster.Running(client)
    for name in sys.argv[2:]:
        running.add(cluster.submit(client, tick, name, 60))
    [*running]
"""
TRAINING_CLIENT = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from pathlib import Path
from digits import cluster
from digits.solvers.dask_rows import DaskRows
from tests.helpers.clusters import tick_for
with cluster.connect(sys.argv[1]) as client:
    rows = DaskRows(np.zeros((960, 4), np.uint8), np.zeros(960), None, client)
    rows.sum(tick_for, str(Path(sys.argv[2]).parent), 60)
"""


@pytest.mark.parametrize("script", [CLIENT, TRAINING_CLIENT], ids=["tasks", "rows"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_task_runs_after_the_end_of_the_client(tmp_path, how, script):
    with Cluster(tmp_path / "cluster") as on:
        on.add(2, threads=2)
        files = [tmp_path / f"{number}" for number in range(8)]
        client = subprocess.Popen(
            [sys.executable, "-c", script, on.address, *map(str, files)],
            cwd=ROOT, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(lambda: sum(path.exists() for path in files) == 4)
        client.send_signal(how)
        client.wait(10)
        time.sleep(3)
        before = [path.stat().st_size if path.exists() else 0 for path in files]
        time.sleep(2)
        assert [path.stat().st_size if path.exists() else 0 for path in files] == before
        assert before.count(0) == 4  # which waited
        with cluster.connect(on.address) as after:  # and the workers are free
            running = cluster.Running(after)
            for _ in range(4):
                running.add(cluster.submit(after, clusters.tick, str(files[0]), 0.1))
            assert [outcome for _, outcome in running] == [None] * 4


@pytest.fixture
def bounded(monkeypatch):
    monkeypatch.setattr(cluster, "WORKERS", 3)
    monkeypatch.setattr(cluster, "ANSWER", 5)
    monkeypatch.setattr(cluster, "CONNECT", 3)


@pytest.mark.usefixtures("bounded")
def test_no_scheduler_and_no_worker_are_one_message(tmp_path, monkeypatch):
    with (
        pytest.raises(InputError, match="there is no scheduler that can be used"),
        cluster.connect("tcp://127.0.0.1:9"),
    ):
        pass
    server = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "18923"]
    with subprocess.Popen(server, stderr=subprocess.DEVNULL) as http:
        with (
            pytest.raises(InputError, match="there is no scheduler that can be used"),
            cluster.connect("tcp://127.0.0.1:18923"),
        ):
            pass
        http.kill()
    with Cluster(tmp_path / "cluster") as on:
        said = f"{on.address}: the scheduler has had no worker for 3 s. Start one"
        with pytest.raises(InputError, match=said), cluster.connect(on.address):
            pass
        on.add(2)
        on.kill(on.workers[0], signal.SIGSTOP)
        on.kill(on.workers[1], signal.SIGSTOP)
        said = "worker tcp://127.0.0.1:.* does not answer within 2 s|has had no worker"
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "ANSWER", 2)  # the scheduler drops them after 5 s
            with pytest.raises(InputError, match=said), cluster.connect(on.address):
                pass
        for worker in on.running():
            on.kill(worker)
        on.add()
        with cluster.connect(on.address) as client:
            running = cluster.Running(client)
            running.add(cluster.submit(client, clusters.tick, str(tmp_path / "t"), 60))
            threading.Timer(1, on.kill, [on.workers[-1]]).start()
            with pytest.raises(InputError, match="has had no worker for 3 s"):
                list(running)
        on.add()
        with cluster.connect(on.address) as client:
            running = cluster.Running(client)
            running.add(cluster.submit(client, clusters.tick, str(tmp_path / "t"), 60))
            threading.Timer(1, on.stop_scheduler, [signal.SIGSTOP]).start()
            with pytest.raises(InputError, match="has ended, or does not answer"):
                list(running)


@pytest.mark.usefixtures("bounded")
def test_a_scheduler_that_goes_away_during_the_checks_is_named(tmp_path, monkeypatch):
    with Cluster(tmp_path / "cluster") as on:
        on.add()
        freeze = partial(os.kill, on.scheduler.pid, signal.SIGSTOP)
        monkeypatch.setattr(cluster, "_answer_of_worker", freeze)
        with (
            pytest.raises(InputError, match="the scheduler has ended, or does not answer"),
            cluster.connect(on.address),
        ):
            pass


def test_a_full_disk_or_lost_workers_are_one_message(tmp_path):
    with Cluster(tmp_path / "cluster") as on:
        on.add(2, nanny=True)
        with cluster.connect(on.address) as client:
            running = cluster.Running(client)
            for full in (clusters.fill_disk, clusters.fill_disk_in_a_fit):
                running.add(cluster.submit(client, full))
                ((_, outcome),) = running
                assert isinstance(outcome, InputError)
                assert "worker tcp://127.0.0.1:" in str(outcome)
                assert "No space left on device" in str(outcome)
            running.add(cluster.submit(client, clusters.end_worker))
            with pytest.raises(InputError, match="4 workers ended while they computed"):
                list(running)


def test_a_worker_with_little_memory_left_starts_its_tasks(tmp_path):
    with Cluster(tmp_path / "cluster") as on:
        pause = {"DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "0.1"}
        on.add(memory="2GB", env=on.environment | pause)
        with cluster.connect(on.address) as client:
            tasks = [cluster.submit(client, clusters.take_memory) for _ in range(2)]
            assert [task.result(20) for task in tasks] == [None, None]


@pytest.mark.usefixtures("bounded")
def test_a_late_worker_with_little_memory_left_is_not_idle(tmp_path):
    with Cluster(tmp_path / "cluster") as on:
        on.add()
        with cluster.connect(on.address) as client:
            running, end = cluster.Running(client), tmp_path / "end"
            running.add(cluster.submit(client, clusters.wait_for, str(end)))
            pause = {"DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "0.1"}
            on.add(memory="200MB", env=on.environment | pause)  # it starts with more
            wait_until(lambda: "Pausing worker" in on.log())
            on.kill(on.workers[0])
            end.touch()
            ((_, outcome),) = running
            assert not isinstance(outcome, Exception)


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)


def certificates(folder, name):
    """Make a certificate authority and a certificate; return Dask's variables for them."""
    folder.mkdir(exist_ok=True)
    key = ("-newkey", "rsa:2048", "-nodes", "-subj")
    openssl(
        folder, "req", "-x509", "-days", "2", *key, f"/CN={name} authority",
        "-keyout", f"{name}-ca.key", "-out", f"{name}-ca.pem",
    )  # fmt: skip
    openssl(
        folder, "req", *key, f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"
    )
    openssl(
        folder, "x509", "-req", "-days", "2", "-in", f"{name}.csr",
        "-CA", f"{name}-ca.pem", "-CAkey", f"{name}-ca.key", "-CAcreateserial",
        "-out", f"{name}.pem",
    )  # fmt: skip
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    parts = ("CLIENT", "SCHEDULER", "WORKER")
    return (
        {f"{tls}CA_FILE": str(folder / f"{name}-ca.pem")}
        | {f"{tls}{part}__CERT": str(folder / f"{name}.pem") for part in parts}
        | {f"{tls}{part}__KEY": str(folder / f"{name}.key") for part in parts}
    )


def test_a_client_without_the_certificate_gets_nowhere(project, expected, tmp_path):
    ours = certificates(tmp_path / "tls", "ours")
    others = certificates(tmp_path / "tls", "others")
    with Cluster(tmp_path / "c", project.root, "tls", environment=ours) as on:
        on.add()
        assert on.address.startswith("tls://")

        def stage(address, environment):
            with pytest.MonkeyPatch.context() as patch:
                for name, value in environment.items():
                    patch.setenv(name, value)
                return Stage(project, "tune", "path", scheduler=address)

        assert stage(on.address, ours).results() == expected["path"]
        start = time.monotonic()
        without = error_of(stage(on.address, {}))
        assert "distributed.comm.tls in Dask's configuration must name the cert" in without
        assert "there is no scheduler" in error_of(stage(on.address, others))
        plain = error_of(stage(on.address.replace("tls", "tcp"), ours))
        assert "that of a scheduler with TLS starts with tls://" in plain
        assert time.monotonic() - start < 90
        assert stage(on.address, ours).results() == expected["path"]
