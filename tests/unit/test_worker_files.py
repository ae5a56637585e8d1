"""A worker finds a file under its path or in a storage, or says that it does not."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from digits import worker_files
from digits.errors import InputError
from digits.worker_files import File, NotSeenError


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A file, and a worker with a folder of its own."""
    worker = SimpleNamespace(address="tcp://w", local_directory=str(tmp_path / "worker"))
    distributed = SimpleNamespace(get_worker=lambda: worker)  # an extra
    monkeypatch.setitem(sys.modules, "distributed", distributed)
    path = tmp_path / "images.npy"
    path.write_bytes(b"1234")
    return path


@pytest.fixture
def storage(tmp_path, monkeypatch):
    folder = tmp_path / "storage"
    folder.mkdir()
    monkeypatch.setenv(worker_files.VARIABLE, f"{folder.as_uri()}/")
    return folder


def test_a_file_is_seen_only_with_the_same_content(images):
    file = File.of(images)
    before = file.copy()
    os.utime(images, ns=(0, 0))
    assert file.copy() != before
    assert file.copy().path == str(images)
    for content in (b"1235", b"12345", None):
        images.unlink() if content is None else images.write_bytes(content)
        with pytest.raises(NotSeenError, match=r"worker tcp://w does not see .*\.npy$"):
            file.copy()


def test_a_file_that_is_not_seen_is_fetched_once(images, storage):
    file = File.of(images)
    images.unlink()
    with pytest.raises(NotSeenError, match=r"images.npy, and does not find file:///"):
        file.copy()
    images.write_bytes(b"1234")
    assert file.put()
    assert not file.put()
    (stored,) = storage.iterdir()
    assert stored.name == f"{file.sha256}.npy"
    images.write_bytes(b"1235")
    copy = file.copy()
    assert copy.path != str(images)
    assert Path(copy.path).read_bytes() == b"1234"
    stored.unlink()
    assert file.copy() == copy
    images.write_bytes(b"1234")
    assert file.copy().path == str(images)


def test_what_was_half_written_is_written_again(images, storage):
    file = File.of(images)
    stored = storage / f"{file.sha256}.npy"
    stored.write_bytes(b"12")
    images.rename(images.with_name("other"))
    with pytest.raises(NotSeenError):
        file.copy()
    images.with_name("other").rename(images)
    assert file.put()
    assert stored.read_bytes() == b"1234"


def test_a_damaged_copy_is_refused(images, storage, tmp_path):
    file = File.of(images)
    (storage / f"{file.sha256}.npy").write_bytes(b"4321")
    images.unlink()
    with pytest.raises(InputError, match=r"worker tcp://w: file:.*npy has another content"):
        file.copy()
    images.write_bytes(b"1234")
    assert file.copy().path == str(images)


def test_a_storage_that_cannot_be_written_is_named(images, storage):
    file = File.of(images)
    storage.rmdir()
    with pytest.raises(InputError, match=r"file:///.*No such file .*cluster.md, Storage"):
        file.put()


def test_no_password_is_shown(monkeypatch):
    monkeypatch.setenv(worker_files.VARIABLE, "nowhere://me:hush@host/folder")
    with pytest.raises(
        InputError, match="DIGITS_STORAGE: nowhere://host/folder: "
    ) as error:
        worker_files.storage()
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("/shared/folder", "DIGITS_STORAGE=/shared/folder: is not a URL, such as s3://"),
        ("nowhere://bucket", "Protocol not known: nowhere"),
    ],
)
def test_a_storage_that_is_none_is_named(given, said, monkeypatch):
    monkeypatch.setenv(worker_files.VARIABLE, given)
    with pytest.raises(InputError, match=said):
        worker_files.storage()


def test_a_package_that_lacks_is_named(monkeypatch):
    monkeypatch.setenv(worker_files.VARIABLE, "s3://bucket/folder")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"s3://bucket/folder: .*s3fs.*Storage"):
        worker_files.storage()
