"""A team's cache on an S3 server and over SSH: no result is computed twice.

Both servers run on this machine. All traffic passes a proxy that can cut the connection.
`make test-hard` installs what is needed.
"""

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from digits.commands import verify
from tests.helpers.project import Project

pytestmark = pytest.mark.hard

MODEL = "data/models/multinomial.npz"


class Gate:
    """A proxy that cuts the connection after `left` bytes."""

    def __init__(self, to: int):
        self.to, self.left = to, float("inf")
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:  # closed at the end of the tests
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            for end in (client, server):  # small packets are not kept back
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while self.left > 0 and (content := source.recv(4096)):
                self.left -= len(content)
                target.sendall(content)
        except OSError:
            pass  # the other direction was cut
        for end in (source, target):
            with suppress(OSError):  # already closed
                end.shutdown(socket.SHUT_RDWR)  # `close` waits for who reads it
            end.close()


@dataclass(frozen=True)
class Remote:
    """A DVC remote: its address, the options of each member, and its objects."""

    url: str
    options: dict[str, str]
    gate: Gate
    objects: "Objects"
    wrong: dict[str, dict[str, str]]  # options that are refused, by what is wrong

    def configure(self, project: Project, options: dict[str, str] | None = None) -> None:
        lines = ["['remote \"team\"']"]
        lines += [f"{key} = {value}" for key, value in (options or self.options).items()]
        (project.root / ".dvc/config.local").write_text("\n".join(lines) + "\n")


class Objects:
    """The objects of an S3 bucket by their hash."""

    def __init__(self, client: Any, bucket: str):
        self.client, self.bucket = client, bucket

    def read(self, md5: str) -> bytes:
        key = f"files/md5/{md5[:2]}/{md5[2:]}"
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def write(self, md5: str, content: bytes) -> None:
        key = f"files/md5/{md5[:2]}/{md5[2:]}"
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def names(self) -> set[str]:
        """Return the names of all objects."""
        listed = self.client.list_objects_v2(Bucket=self.bucket)
        return {found["Key"] for found in listed.get("Contents", [])}

    def empty(self) -> None:
        """Remove all objects."""
        for key in self.names():
            self.client.delete_object(Bucket=self.bucket, Key=key)


class Files(Objects):
    """The objects in a folder."""

    def __init__(self, root: Path):
        self.root = root

    def read(self, md5: str) -> bytes:
        return (self.root / "files/md5" / md5[:2] / md5[2:]).read_bytes()

    def write(self, md5: str, content: bytes) -> None:
        (self.root / "files/md5" / md5[:2] / md5[2:]).write_bytes(content)

    def names(self) -> set[str]:
        found = (path for path in self.root.rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix() for path in found}

    def empty(self) -> None:
        for name in self.names():
            (self.root / name).unlink()


@contextmanager
def s3() -> Iterator[Remote]:
    """Run an S3 server."""
    # `make test-hard` installs both, but this file is always collected.
    import boto3  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    os.environ["AWS_MAX_ATTEMPTS"] = "1"  # else DVC retries each object for a minute
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    gate = Gate(server.get_host_and_port()[1])
    address = f"http://127.0.0.1:{gate.port}"
    user = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}

    def client(service: str) -> Any:
        return boto3.client(service, "us-east-1", endpoint_url=address, **user)

    client("s3").create_bucket(Bucket="team")
    iam = client("iam")
    iam.create_user(UserName="member")
    key = iam.create_access_key(UserName="member")["AccessKey"]
    policy = (
        '{"Version": "2012-10-17", '
        '"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
    )
    iam.put_user_policy(UserName="member", PolicyName="all", PolicyDocument=policy)
    # From now on the server checks keys and signatures.
    requests.post(f"{address}/moto-api/reset-auth", data="0", timeout=10).raise_for_status()
    user = {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }
    options = {
        "endpointurl": address,
        "region": "us-east-1",
        "access_key_id": key["AccessKeyId"],
        "secret_access_key": key["SecretAccessKey"],
    }
    wrong = {
        "name": options | {"access_key_id": "AKIASTRANGER", "secret_access_key": "hush"},
        "secret": options | {"secret_access_key": "hush"},
    }
    try:
        yield Remote("s3://team", options, gate, Objects(client("s3"), "team"), wrong)
    finally:
        server.stop()
        gate.socket.close()


@contextmanager
def ssh(root: Path) -> Iterator[Remote]:
    """Run an SSH server for a folder."""
    import asyncssh  # noqa: PLC0415 (installed by `make test-hard`)

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("member", "right")

    async def listen() -> Any:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Server,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=bytes(root)),
        )

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    gate = Gate(server.get_port())
    options = {
        "port": str(gate.port),
        "user": "member",
        "password": "right",
        "allow_agent": "false",
    }
    wrong = {
        "name": options | {"user": "stranger", "password": "hush"},
        "secret": options | {"password": "hush"},
    }
    (root / "team").mkdir()
    try:
        yield Remote("ssh://127.0.0.1/team", options, gate, Files(root / "team"), wrong)
    finally:
        loop.call_soon_threadsafe(server.close)  # the loop ends with the tests
        gate.socket.close()


@pytest.fixture(scope="module", params=["s3", "ssh"])
def remote(request, tmp_path_factory):
    kind = s3() if request.param == "s3" else ssh(tmp_path_factory.mktemp("ssh"))
    with kind as remote:
        yield remote


@pytest.fixture(scope="module")
def origin(remote, done, tmp_path_factory) -> Project:
    """A project that was run and pushed. Do not change it."""
    project = done.copy(tmp_path_factory.mktemp("origin") / "project")
    project.run("dvc", "remote", "add", "--default", "team", remote.url)
    project.run("dvc", "remote", "modify", "team", "verify", "true")
    project.commit("Share the cache")
    remote.configure(project)
    project.run("dvc", "push", "--run-cache")
    return project


@pytest.fixture
def clone(remote, origin, tmp_path) -> Project:
    """A clone that has only Git's files."""
    origin.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    project = Project(tmp_path / "clone")
    remote.configure(project)
    return project


@pytest.fixture
def emptied(remote, origin):
    """The remote while it is empty; it is filled again afterwards."""
    remote.objects.empty()
    yield remote
    remote.gate.left = float("inf")
    origin.run("dvc", "push", "--run-cache")


def md5_of(project, path):
    (out,) = [out for out in verify.recorded(project.root) if out.path == path]
    return out.md5


def damaged_objects(project):
    """Return the objects in the cache whose content does not match their name."""
    objects = project.root / ".dvc/cache/files/md5"
    return [
        path
        for path in objects.rglob("*")
        if path.is_file() and verify.md5(path) != path.parent.name + path.stem
    ]


def unattended(project, *command):
    """Run a command without a terminal, on which DVC would ask for a password."""
    return subprocess.run(
        command,
        cwd=project.root,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def error(result):
    """Return the message of a failed command, which must not be a traceback."""
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    return result.stderr


def test_in_a_new_clone_no_stage_runs(clone, origin):
    assert clone.repro("--pull") == []
    assert not clone.run("git", "status", "--porcelain").stdout
    for name in (MODEL, "report/index.html", "data/predictions/multinomial.npz"):
        assert (clone.root / name).read_bytes() == (origin.root / name).read_bytes()
    clone.run("python", "-m", "digits", "verify")


def test_an_interrupted_pull_is_an_error_and_stores_nothing_wrong(remote, clone):
    remote.gate.left = 30_000  # about half of it
    result = clone.run("dvc", "pull", "dvc.yaml", check=False)
    remote.gate.left = float("inf")
    error(result)
    assert not damaged_objects(clone)
    clone.run("dvc", "pull", "dvc.yaml")
    clone.run("python", "-m", "digits", "verify")


@pytest.mark.parametrize("how", ["changed", "truncated"])
def test_a_damaged_object_in_the_remote_is_not_stored(remote, clone, origin, how):
    value = md5_of(origin, MODEL)
    whole = remote.objects.read(value)
    damaged = whole[:-1] + b"?" if how == "changed" else whole[: len(whole) // 2]
    remote.objects.write(value, damaged)
    result = clone.run("dvc", "pull", "dvc.yaml", check=False)
    again = clone.repro("--pull")
    remote.objects.write(value, whole)
    assert not damaged_objects(clone)
    error(result)
    assert again == ["train@multinomial"]


@pytest.mark.parametrize("what", ["name", "secret"])
def test_wrong_credentials_read_and_write_nothing(remote, origin, clone, tmp_path, what):
    stranger = origin.copy(tmp_path / "stranger")
    (stranger.root / "data/own/new.txt").write_text("never seen by the remote\n")
    stranger.run("dvc", "add", "data/own/new.txt")
    before = remote.objects.names()
    for project, command in ((stranger, ["push"]), (clone, ["pull", "dvc.yaml"])):
        remote.configure(project, remote.wrong[what])
        result = unattended(project, "dvc", *command)
        said = error(result) + result.stdout
        assert "ERROR" in said
        assert "hush" not in said
    assert remote.objects.names() == before
    assert not [
        path for path in (clone.root / ".dvc/cache/files").rglob("*") if path.is_file()
    ]
    assert not (clone.root / "data/models").exists()


def test_an_interrupted_push_leaves_nothing_wrong_and_can_be_repeated(
    emptied, origin, clone, tmp_path
):
    emptied.gate.left = {"s3": 100_000, "ssh": 230_000}[emptied.url.partition("://")[0]]
    result = unattended(origin, "dvc", "push")
    emptied.gate.left = float("inf")
    error(result)
    # DVC never reads a name with .tmp.
    names = {name for name in emptied.objects.names() if not name.endswith(".tmp")}
    assert names
    for value in ("".join(name.split("/")[-2:]) for name in names):
        content = hashlib.md5(emptied.objects.read(value), usedforsecurity=False)
        assert content.hexdigest() == value.removesuffix(".dir")

    assert "missing-files" in error(clone.run("dvc", "pull", "dvc.yaml", check=False))
    assert "report" in clone.repro("--pull")
    assert not damaged_objects(clone)
    assert not clone.run("git", "status", "--porcelain").stdout

    origin.run("dvc", "push")
    origin.run("git", "clone", "--quiet", ".", str(tmp_path / "later"))
    later = Project(tmp_path / "later")
    emptied.configure(later)
    assert later.repro("--pull") == []
    later.run("python", "-m", "digits", "verify")


def tried(origin, root):
    """Return a colleague's project, and a Git repository that both share."""
    colleague = origin.copy(root / "colleague")
    origin.run("git", "clone", "--quiet", "--bare", ".", str(root / "hub"))
    return colleague, str(root / "hub")


def test_a_pushed_commit_is_not_computed_again(origin, clone, tmp_path):
    colleague, hub = tried(origin, tmp_path)
    colleague.edit("C: 0.01", "C: 0.05")
    assert "train@logistic_binary" in colleague.repro()
    colleague.commit("Penalise less")
    colleague.run("dvc", "push")
    colleague.run("git", "push", "--quiet", hub, "main")
    clone.run("git", "pull", "--quiet", hub, "main")
    assert clone.repro("--pull") == []
    clone.run("python", "-m", "digits", "verify")


def test_a_pushed_experiment_is_not_computed_again(origin, clone, tmp_path):
    colleague, hub = tried(origin, tmp_path)
    option = "variants.logistic_binary.train.C=0.07"
    colleague.run("dvc", "exp", "run", "--name", "less", "--set-param", option)
    colleague.run("dvc", "exp", "push", hub, "less")
    clone.run("dvc", "exp", "pull", hub, "less")
    clone.run("dvc", "exp", "branch", "less", "less")
    clone.run("git", "switch", "--quiet", "less")
    assert "C: 0.07" in (clone.root / "params.yaml").read_text()
    assert clone.repro("--pull") == []
    clone.run("python", "-m", "digits", "verify")
