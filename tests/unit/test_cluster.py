"""Without a scheduler nothing of Dask is used; a name that is no scheduler is one line."""

import json
import logging
import subprocess
import sys

import pytest

from digits import cluster
from digits.errors import InputError
from digits.tuning import on_cluster
from tests.helpers.project import ROOT

MISTAKES = {
    "10.0.0.1:8786": "there is no scheduler file",
    "tcp://10.0.0.1": "is not the address of a scheduler; an address is tcp://HOST:PORT",
    "http://10.0.0.1:8786": "is not the address of a scheduler",
    "inproc://10.0.0.1/1/2": "is not the address of a scheduler",
    "tcp://10.0.0.1:87x6": "is not the address of a scheduler",
    "nowhere/scheduler.json": "there is no scheduler file",
    "list.json": "list.json: is not a scheduler file",
    "other.json": "other.json: '/etc/passwd' is not the address of a scheduler",
    "pickled": "pickled: is not a scheduler file",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cluster.VARIABLE, raising=False)
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "other.json").write_text('{"address": "/etc/passwd"}')
    (tmp_path / "pickled").write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    (tmp_path / "s.json").write_text(json.dumps({"address": "tls://10.0.0.1:8786"}))
    return tmp_path


@pytest.mark.parametrize(("given", "expected"), MISTAKES.items(), ids=MISTAKES)
def test_what_names_no_scheduler_is_one_line(folder, monkeypatch, given, expected):
    with pytest.raises(InputError) as caught:
        cluster.named(given)
    assert expected in str(caught.value)
    monkeypatch.setenv(cluster.VARIABLE, given)
    with pytest.raises(InputError) as caught, cluster.use(None):
        pass
    assert expected in str(caught.value)
    assert cluster.current() is None


def test_the_option_is_before_the_variable_and_an_empty_one_means_this_machine(
    folder, monkeypatch
):
    assert cluster.named(None) == ""
    monkeypatch.setenv(cluster.VARIABLE, "s.json")
    assert cluster.named(None) == "tls://10.0.0.1:8786"
    assert cluster.named("tcp://[::1]:1/") == "tcp://[::1]:1"
    assert cluster.named("") == ""
    with cluster.connect("") as client:
        assert client is None
        assert cluster.current() is None


def test_only_an_address_on_loopback_is_safe_without_tls(caplog):
    for address in ("tcp://127.0.0.1:1", "tcp://[::1]:1", "tls://10.0.0.1:1"):
        cluster._warn_without_encryption(address)
    assert not caplog.messages
    cluster._warn_without_encryption("tcp://127.0.0.1:1", "tcp://10.0.0.1:1")
    cluster._warn_without_encryption("tcp://0.0.0.0:1", "tcp://10.0.0.1:1")
    assert [message.split(": ")[0] for message in caplog.messages] == [
        "tcp://10.0.0.1:1",
        "tcp://0.0.0.0:1",
    ]


WITHOUT = """
import sys
sys.modules["distributed"] = sys.modules["dask"] = None  # cannot be imported
from digits import cluster
from stages import train, tune
with cluster.connect(None) as client:
    assert client is None
assert not [name for name in sys.modules if name.startswith(("dask.", "distributed."))]
with cluster.use("tcp://127.0.0.1:9"):
    try:
        cluster.current()
    except cluster.InputError as error:
        print(error)
"""


def test_without_the_extra_all_works_until_a_scheduler_is_named(monkeypatch):
    monkeypatch.delenv(cluster.VARIABLE, raising=False)
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "`make setup EXTRAS=cluster`" in said
    assert said.startswith("the scheduler tcp://127.0.0.1:9 needs Dask")


def answer(**changed):
    """Return what a worker says of itself."""
    loaded = cluster.installed() | changed
    return loaded, changed.get("now", loaded["digits"])


def test_a_worker_with_other_code_or_libraries_is_told_what_to_do():
    assert cluster._problem(answer()) == ""
    assert cluster._problem(None) == ""  # it has ended
    assert "has numpy 1.0, and this machine " in cluster._problem(answer(numpy="1.0"))
    assert "has Python 3.9, and" in cluster._problem(answer(Python="3.9"))
    other = cluster._problem(answer(digits="0"))
    assert other.startswith("has another version of the code of digits; set up the same")
    ours = cluster.installed()["digits"]
    assert cluster._problem(answer(digits="0", now=ours)) == (
        "has loaded another version of the code of digits; start it again"
    )
    assert "lacks the package digits" in cluster._problem(ModuleNotFoundError("digits"))


def test_warnings_of_a_fit_are_returned_to_the_client():
    with on_cluster._warnings() as found:
        logging.getLogger("digits.solvers").warning("not at the %s", "optimum")
        logging.getLogger("distributed").warning("not ours")
    logging.getLogger("digits").warning("after")
    assert found == ["not at the optimum"]
