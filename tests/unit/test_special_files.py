"""All that is read must be a file: a FIFO, a device or a folder is one error, at once."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from digits import pipeline
from digits.config import fingerprint, params
from digits.data import dataset, files, readers, regular
from digits.data.ignore import Ignored
from digits.errors import InputError
from digits.images import image_input
from digits.models import serialization
from tests.helpers.project import PARAMS, ROOT


def fifo(path):
    os.mkfifo(path)


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))  # an address has at most 108 bytes


def folder(path):
    path.mkdir()


def device(path):
    path.symlink_to("/dev/zero")


def dangling(path):
    path.symlink_to("nowhere")


def circle(path):
    path.symlink_to(path.name)


def huge(path):
    """A gigabyte of zero bytes in a sparse file."""
    with path.open("wb") as file:
        file.truncate(2**30)


def long_text(path):
    path.write_text("- a line of a list\n" * (regular.LONGEST // 10))


def no_utf8(path):
    path.write_bytes(b"stages:\n  \xff\xfe: {}\n")


KINDS = [fifo, bound_socket, folder, device, dangling, circle, huge]
TEXTS = [*KINDS, long_text, no_utf8]


@contextmanager
def at_once():
    """Fail if reading waits for a writer or does not end."""

    def stop(*_):
        pytest.fail("waits")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)


def refused(read, path, named=None):
    with at_once(), pytest.raises(InputError) as caught:
        read()
    message = str(caught.value)
    assert str(named or path) in message
    assert len(message) < 1000
    return message


@pytest.mark.parametrize("kind", TEXTS)
def test_params_that_are_not_a_file_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    kind(path)
    refused(lambda: params.load(path), path)


@pytest.mark.long
def test_check_itself_returns_at_once(tmp_path):
    fifo(tmp_path / "params.yaml")
    result = subprocess.run(
        [sys.executable, "-m", "stages.check", "--in", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    expected = f"error: {tmp_path}/params.yaml: cannot be read: it is a FIFO, not a file\n"
    assert result.stderr == expected


def named(path):
    arrays = {
        f"{letter}_{split}": np.zeros((2, 8, 8) if letter == "x" else 2, np.uint8)
        for letter in "xy"
        for split in ("train", "test")
    }
    np.savez(path.parent / "own.npz", **arrays)
    readers.read(path.parent / "own.npz")


READERS = {
    "dvc.yaml": ("dvc.yaml", pipeline.read_entries),
    "dvc.lock": ("dvc.lock", pipeline.read),
    "a fingerprint": ("filter.json", lambda path: fingerprint.difference("filter", path)),
    "a result": ("summary.json", files.read_json),
    "names": ("classes.json", lambda path: dataset.load_names(path.parent)),
    "names of your own": ("names.txt", named),
    "names of your own in JSON": ("names.json", named),
    "what is ignored": (".dvcignore", lambda path: Ignored(path.parent)),
    "images": ("images.npy", lambda path: dataset.load_split(path.parent)),
    "a model": ("model.npz", serialization.load),
    "data of your own": ("own.npz", readers.read),
    "an image": ("image.png", image_input.read_rgb),
    "an image's size": ("image.png", image_input.image_size),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_inputs_of_a_stage_must_be_regular_files(tmp_path, monkeypatch, name, read, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    kind(path)
    if name == ".dvcignore" and kind in (dangling, circle):
        pytest.skip("DVC ignores it as well")
    refused(lambda: read(path), path)


@pytest.mark.parametrize("kind", [fifo, folder, device, dangling])
def test_an_idx_file_that_is_not_a_file_is_missing(tmp_path, kind):
    kind(tmp_path / "train-images-idx3-ubyte")
    refused(lambda: readers.read(tmp_path), tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text())
    path.chmod(0)
    assert "Permission denied" in refused(lambda: params.load(path), path)


def test_a_text_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "text"
    path.write_text("ä" * 10)
    assert regular.text(path, 10) == "ä" * 10
    with pytest.raises(ValueError, match="it is longer than 9 characters"):
        regular.text(path, 9)
