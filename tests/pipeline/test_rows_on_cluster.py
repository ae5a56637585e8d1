"""The solvers on a Dask cluster: the same bytes as on this machine, whatever is lost."""

from pathlib import Path

import numpy as np
import pytest

from digits import cluster
from digits.errors import InputError
from digits.solvers import dask_rows
from digits.solvers.least_squares import LinearRegression
from digits.solvers.logistic import LogisticRegression
from tests.helpers.clusters import Cluster

pytestmark = pytest.mark.hard


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """6,007 images in a file, of 5 classes that are difficult to tell apart."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, 5, 6007)
    centres = rng.integers(60, 190, (5, 60))
    X = np.clip(centres[y] + rng.normal(0, 150, (len(y), 60)), 0, 255).astype(np.uint8)
    X[:, 7] = 3
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
    for n_more in (1, 1, 1, 2):
        on.add(n_more)
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
    """Change a byte in the middle of a file of this worker alone."""
    dask_rows.cluster._described.cache_clear()
    real = cluster.File.of

    def of(where):
        found = real(where)
        return found._replace(sha256="0" * 64) if where == path else found

    cluster.File.of = of


def test_rows_are_sent_if_a_worker_has_another_file(data, expected, on, caplog):
    X, y = data
    on.add(2)
    caplog.set_level("INFO")
    with cluster.connect(on.address) as client:
        client.run(differing, Path(X.filename).absolute())
        assert fits(X, y, client) == expected
    assert "images.npy: the images are sent" in caplog.text


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
