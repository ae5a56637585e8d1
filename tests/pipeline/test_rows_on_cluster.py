"""The solvers on a Dask cluster: the same bytes as on this machine, whatever is lost."""

import asyncio
import os
import pickle
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from digits import cluster, worker_files
from digits.errors import InputError
from digits.solvers import dask_rows
from digits.solvers.least_squares import LinearRegression
from digits.solvers.logistic import LogisticRegression
from digits.solvers.problem import LogisticProblem
from tests.helpers import clusters
from tests.helpers.clusters import Cluster, wait_until
from tests.helpers.project import ROOT
from tests.pipeline.test_remotes import s3

pytestmark = pytest.mark.hard


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """6,007 images in a file, of 5 classes that are difficult to tell apart.

    Half of the columns are nearly always 0, so they are multiplied as a sparse matrix.
    """
    rng = np.random.default_rng(3)
    y = rng.integers(0, 5, 6007)
    centres = rng.integers(60, 190, (5, 60))
    X = np.clip(centres[y] + rng.normal(0, 150, (len(y), 60)), 0, 255).astype(np.uint8)
    X[:, 7] = 3
    X[:, 30:] *= rng.random((len(y), 30)) < 0.03
    path = tmp_path_factory.mktemp("data") / "images.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r"), y


def fits(X, y, client=None, callback=None):
    """Return what all solvers find, as bytes."""
    models = [
        LinearRegression(client=client).fit(X, np.eye(5)[y]),
        LogisticRegression(C=0.1, client=client, callback=callback).fit(X, y),
        LogisticRegression(C=0.1, multi_class="one_vs_rest", client=client).fit(X, y),
    ]
    assert all(model.is_canonical_ for model in models)
    names = ("coef_", "intercept_", "mean_", "scale_")
    found = [getattr(model, name).tobytes() for model in models for name in names]
    return [*found, *(model.objective_.tobytes() for model in models[1:])]


@pytest.fixture(scope="module")
def expected(data):
    return fits(*data)


@pytest.fixture
def on(tmp_path):
    with Cluster(tmp_path / "cluster") as started:
        yield started


@pytest.mark.parametrize("in_memory", [False, True], ids=["file", "sent"])
def test_any_number_of_workers_gives_the_same_bytes(data, expected, on, in_memory):
    X, y = data
    X = np.array(X) if in_memory else X
    for n_more, threads in ((1, 1), (1, 1), (1, 3), (2, 2)):
        on.add(n_more, threads=threads)
        with cluster.connect(on.address) as client:
            assert fits(X, y, client) == expected


@pytest.mark.parametrize("nanny", [False, True], ids=["bare", "nanny"])
@pytest.mark.parametrize("in_memory", [False, True], ids=["file", "sent"])
def test_a_killed_worker_changes_no_byte(data, expected, on, nanny, in_memory):
    X, y = data
    X = np.array(X) if in_memory else X
    on.add(2, nanny=nanny)

    def kill(iteration, *_):
        if iteration in (3, 12, 25):
            if nanny:
                on.kill_child(on.workers[-1])
            else:
                on.add()
                on.kill(on.running()[0])

    with cluster.connect(on.address) as client:
        assert fits(X, y, client, kill) == expected


@pytest.mark.parametrize("in_memory", [False, True], ids=["file", "sent"])
def test_all_workers_are_lost_and_others_join(data, expected, on, in_memory, monkeypatch):
    """Dask would keep what is for a worker that has left while there was no other one."""
    X, y = data
    X = np.array(X) if in_memory else X
    on.add(2)
    joining, go_to = [], LogisticProblem.go_to

    def kill(*_):
        for worker in on.running():
            on.kill(worker)
        joining.append(threading.Timer(2, on.add, (2,)))
        joining[-1].start()

    def kill_and_go(problem, coef):  # after which segments are divided again
        if len(joining) == 1:
            kill()
        return go_to(problem, coef)

    with cluster.connect(on.address) as client:
        monkeypatch.setattr(LogisticProblem, "go_to", kill_and_go)
        found = fits(X, y, client, lambda iteration, *_: iteration == 3 and kill())
    assert found == expected
    assert len(joining) == 2


def n_mapped():
    """Return how many parts of files a worker has mapped."""
    return dask_rows._mapped.cache_info().currsize


def test_a_worker_that_joins_late_gets_rows(data, expected, on):
    on.add()
    with cluster.connect(on.address) as client:

        def add(iteration, *_):
            if iteration == 3:
                on.add()

        assert fits(*data, client, add) == expected
        mapped = client.run(n_mapped)
        assert len(mapped) == 2
        assert all(mapped.values())


def test_a_file_that_was_replaced_is_read_again(data, tmp_path, on):
    """A worker outlives a fit, and DVC replaces files."""
    X, y = data
    path = tmp_path / "images.npy"
    on.add()
    with cluster.connect(on.address) as client:
        for images in (X, 255 - X):
            np.save(tmp_path / "new.npy", images)
            (tmp_path / "new.npy").replace(path)
            there = np.load(path, mmap_mode="r")
            found = LinearRegression(client=client).fit(there, np.eye(5)[y])
            assert (found.coef_ == LinearRegression().fit(images, np.eye(5)[y]).coef_).all()


def differing(path):
    """Let this worker find another content at a path."""
    real = getattr(worker_files._sha256, "__wrapped__", worker_files._sha256)  # no cache

    def sha256(copy):
        return "0" * 64 if copy.path == str(path) else real(copy)

    worker_files._sha256 = sha256


def test_rows_are_sent_if_a_worker_has_another_file(data, expected, on, caplog):
    X, y = data
    on.add(2)
    caplog.set_level("INFO")
    with cluster.connect(on.address) as client:
        client.run(differing, Path(X.filename).absolute())
        assert fits(X, y, client) == expected
    assert "images.npy: the images are sent" in caplog.text


@pytest.fixture(scope="module", params=["file", "s3"])
def storage(request, tmp_path_factory):
    """A storage: its URL, the variables with its credentials, and the names in it."""
    if request.param == "file":
        folder = tmp_path_factory.mktemp("storage")
        yield folder.as_uri(), {}, lambda: {path.name for path in folder.iterdir()}
        return
    with s3() as remote:
        variables = {
            "AWS_ENDPOINT_URL": remote.options["endpointurl"],
            "AWS_DEFAULT_REGION": remote.options["region"],
            "AWS_ACCESS_KEY_ID": remote.options["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": remote.options["secret_access_key"],
        }
        yield remote.url, variables, remote.objects.names


def test_rows_are_fetched_from_a_storage(  # noqa: PLR0917 (fixtures)
    data, expected, storage, tmp_path, monkeypatch, caplog
):
    X, y = data
    url, variables, names = storage
    for name, value in {worker_files.VARIABLE: url, **variables}.items():
        monkeypatch.setenv(name, value)
    path = Path(X.filename).absolute()
    caplog.set_level("INFO")

    def add(iteration, *_):
        if iteration == 3:  # one that does not see the file, instead of one that has it
            on.add()
            client.run(differing, path)
            on.kill(on.workers[0])

    with Cluster(tmp_path / "cluster") as on:
        on.add(2)
        with cluster.connect(on.address) as client:
            client.run(differing, path)
            assert fits(X, y, client, add) == expected
            n_copied = caplog.text.count("is copied to")
            assert fits(X, y, client) == expected
    assert caplog.text.count("is copied to") == n_copied == 1
    assert names() == {f"{worker_files.File.of(path).sha256}.npy"}
    assert "are sent" not in caplog.text


def test_a_storage_that_a_worker_cannot_read_is_named(data, storage, tmp_path, monkeypatch):
    X, y = data
    url, variables, _ = storage
    if not variables:
        pytest.skip("a folder has no credentials")
    for name, value in {worker_files.VARIABLE: url, **variables}.items():
        monkeypatch.setenv(name, value)
    wrong = {"AWS_SECRET_ACCESS_KEY": "hush"}
    with Cluster(tmp_path / "cluster", environment=wrong) as on:
        on.add()
        with cluster.connect(on.address) as client:
            client.run(differing, Path(X.filename).absolute())
            with pytest.raises(InputError, match=r"worker tcp://.*: s3://team/.*Storage"):
                LinearRegression(client=client).fit(X, np.eye(5)[y])


def test_a_file_that_a_worker_does_not_see_is_named(data, tmp_path, on):
    X, y = data
    np.save(tmp_path / "images.npy", X)
    on.add()
    X = np.load(tmp_path / "images.npy", mmap_mode="r")

    def remove(iteration, *_):
        if iteration == 3:
            (tmp_path / "images.npy").unlink()
            on.add()
            on.kill(on.running()[0])

    with (
        cluster.connect(on.address) as client,
        pytest.raises(InputError, match=r"worker .*images.npy"),
    ):
        LogisticRegression(C=0.1, client=client, callback=remove).fit(X, y)


def test_an_answer_that_is_lost_changes_no_byte(data, expected, on, monkeypatch):
    """A call that has been applied, but whose answer did not come, is made again."""
    from distributed.actor import ActorFuture  # noqa: PLC0415 (an extra)

    answer, answers = ActorFuture._result, []

    async def sometimes_lost(future):
        answers.append(await answer(future))
        if len(answers) % 5 == 0:
            raise OSError("Unable to contact Actor's worker")
        return answers[-1]

    on.add(2)
    monkeypatch.setattr(cluster, "PAUSE", 0.05)
    monkeypatch.setattr(ActorFuture, "_result", sometimes_lost)
    with cluster.connect(on.address) as client:
        assert fits(*data, client) == expected
    assert len(answers) > 100


@pytest.mark.parametrize("are_reached", [True, False])
def test_workers_are_asked_directly_if_they_are_reached(
    data, expected, on, monkeypatch, are_reached
):
    on.add(2)
    if not are_reached:
        monkeypatch.setattr(cluster, "DIRECT", 0.5)
        closed = ["tcp://127.0.0.1:1"]
        reaches = cluster.reaches
        monkeypatch.setattr(cluster, "reaches", lambda client, _: reaches(client, closed))
    with cluster.connect(on.address) as client:
        assert fits(*data, client) == expected
        assert client.direct_to_workers is are_reached


def test_a_worker_that_is_never_reached_is_named(data, on, monkeypatch):
    from distributed.actor import ActorFuture  # noqa: PLC0415 (an extra)

    async def lost(_):
        raise OSError("Unable to contact Actor's worker")

    on.add()
    monkeypatch.setattr(cluster, "UNREACHED", 1)
    monkeypatch.setattr(ActorFuture, "_result", lost)
    with (
        cluster.connect(on.address) as client,
        pytest.raises(InputError, match=r"tcp://.*: the scheduler hears from this worker"),
    ):
        LinearRegression(client=client).fit(*data)


def test_a_worker_that_is_killed_while_it_applies_all_again(
    data, expected, on, monkeypatch
):
    ask, pids, lengths = dask_rows._Part._ask, {}, []

    async def ask_and_kill(part, calls, most):
        n_calls = len(pickle.loads(calls))  # noqa: S301 (ours)
        if n_calls > 1:
            lengths.append(n_calls)
            if len(lengths) <= 2:
                actor = await part._future
                kill = os.kill, pids[actor._address], signal.SIGKILL
                asyncio.get_running_loop().call_later(0.02, *kill)
        return await ask(part, calls, most)

    def kill(iteration, *_):
        if iteration == 6:
            on.add(2)
            pids.update(client.run(os.getpid))
            on.kill(on.workers[0])

    on.add(2)
    monkeypatch.setattr(dask_rows._Part, "_ask", ask_and_kill)
    with cluster.connect(on.address) as client:
        assert fits(*data, client, kill) == expected
    assert len(lengths) > 2
    assert lengths[0] > 10


def test_large_sums_come_in_turn(data, expected, on, monkeypatch):
    on.add(2)
    monkeypatch.setattr(dask_rows, "AT_ONCE", 1000)
    with cluster.connect(on.address) as client:
        assert fits(*data, client) == expected


def n_kept(dask_worker):
    """Return how many results and actors a worker keeps."""
    return len(dask_worker.data) + len(dask_worker.state.actors)


@pytest.mark.parametrize("in_memory", [False, True], ids=["file", "sent"])
def test_nothing_is_kept_after_a_fit(data, on, in_memory):
    X, y = data
    on.add(2)
    with cluster.connect(on.address) as client:
        rows = dask_rows.DaskRows(np.array(X) if in_memory else X, y, None, client)
        rows.sum(dask_rows._first_pixels)
        assert all(client.run(n_kept).values())
        del rows
        wait_until(lambda: not any(client.run(n_kept).values()), 3)


def test_a_full_disk_or_lost_workers_are_one_message(data, on):
    on.add(2, nanny=True)
    with cluster.connect(on.address) as client:
        rows = dask_rows.DaskRows(*data, None, client)
        with pytest.raises(InputError, match=r"worker tcp://.*No space left on device"):
            rows.sum(clusters.fill_disk)
        said = r"4 workers ended while they computed .*\(the last was tcp://127.0.0.1:\d+\)"
        with pytest.raises(InputError, match=said):
            rows.sum(clusters.end_worker)


def test_a_late_worker_with_other_code_is_named(data, tmp_path, on):
    other = tmp_path / "other"
    for name in ("digits", "stages", "tests"):
        shutil.copytree(ROOT / name, other / name)
    with (other / "digits/grid.py").open("a") as file:
        file.write("\nEXTRA = 1\n")

    def add(iteration, *_):
        if iteration == 3:
            on.add(code=other)

    on.add()
    said = r"worker tcp://.*has another version of the code of digits"
    with cluster.connect(on.address) as client, pytest.raises(InputError, match=said):
        LogisticRegression(C=0.1, client=client, callback=add).fit(*data)
