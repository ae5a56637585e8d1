"""Images in shards, and arrays that are mapped because they are large."""

import errno
import os
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from digits.data import dataset, large, readers
from digits.data.dataset import Split
from digits.data.ignore import Ignored
from digits.data.options import Options
from digits.errors import InputError
from tests.unit.test_formats import BOTH, NAMES, TEST, TRAIN, WHOLE, sharded


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Map all arrays but the smallest, and divide them into small blocks."""
    monkeypatch.setattr(large, "MAPPED_FROM", 100)
    monkeypatch.setattr(large, "BLOCK_ROWS", 7)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "own"


def as_colours(images):
    return np.stack([images, images // 2, images // 3], axis=3)


CHANGES = {
    "nothing": (lambda a: a, {}),
    "wide integers": (lambda a: a.astype(np.int64), {}),
    "16 bits": (lambda a: a * np.uint16(257), {}),
    "floats": (lambda a: a / 255, {}),
    "colours": (as_colours, {}),
    "Fortran's order": (np.asfortranarray, {}),
    "a share": (lambda a: a, {"test_share": 0.3}),
    "inverted": (lambda a: a, {"invert": True}),
    "transposed": (lambda a: a, {"transpose": True}),
    "a size": (lambda a: a, {"size": (6, 8)}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_large_images_are_mapped_and_the_same(mapped, monkeypatch, name):
    change, given = CHANGES[name]
    options = Options(**given)
    of = WHOLE if options.test_share else BOTH
    mapped.mkdir()
    sharded(mapped, of={n: change(a) if n[0] == "x" else a for n, a in of.items()})
    found = readers.read(mapped, options=options)
    monkeypatch.setattr(large, "MAPPED_FROM", 2**30)
    expected = readers.read(mapped, options=options)
    for part, wanted in zip(found.splits.values(), expected.splits.values(), strict=True):
        assert isinstance(part.images, np.memmap)
        assert not isinstance(wanted.images, np.memmap)
        assert part.images.dtype == part.labels.dtype == np.uint8
        np.testing.assert_array_equal(part.images, wanted.images)
        np.testing.assert_array_equal(part.labels, wanted.labels)
    if name == "nothing":
        np.testing.assert_array_equal(found.train.images, TRAIN.images)
        np.testing.assert_array_equal(found.train.labels, TRAIN.labels)
        np.testing.assert_array_equal(found.test.images, TEST.images)
    kept = dataset.select(found.train, (0, 2))
    wanted = found.train.images[np.isin(found.train.labels, (0, 2))]
    np.testing.assert_array_equal(kept.images, wanted)


def test_the_temporary_file_has_no_name_and_a_full_disk_is_an_error(mapped, monkeypatch):
    def parts():
        for _ in range(3):
            assert not list(Path().iterdir())
            yield np.ones((100, 5), np.uint8)

    assert large.joined(parts(), (300, 5)).sum() == 1500
    assert not list(Path().iterdir())

    class Full(tempfile.SpooledTemporaryFile):
        def write(self, _):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(InputError, match=r"temporary file of 1,500 bytes .*No space left"):
        large.joined(parts(), (300, 5))


@pytest.mark.long
def test_images_in_shards_are_never_all_in_memory(mapped, monkeypatch):
    monkeypatch.setattr(large, "MAPPED_FROM", 2**20)
    monkeypatch.setattr(large, "BLOCK_ROWS", 100)
    mapped.mkdir()
    n, labels = 1000, np.arange(1000, dtype=np.uint8) % 3
    for split, shards in (("train", 20), ("test", 2)):
        (mapped / split).mkdir()
        for number in range(shards):
            images = np.full((n, 28, 28), number, np.uint8)
            images[:, 0] = 255
            np.save(mapped / f"{split}/images-{number:05}.npy", images)
            np.save(mapped / f"{split}/labels-{number:05}.npy", labels)
    for options in (Options(), Options(invert=True, transpose=True)):
        tracemalloc.start()
        data = readers.read(mapped, options=options)
        dataset.save(mapped.parent / "raw", data)
        assert len(dataset.checksums(data)) == 4
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert data.train.images.nbytes == 15_680_000
        assert peak < 1_000_000
    found = dataset.load(mapped.parent / "raw").train
    np.testing.assert_array_equal(found.images[::1000, 5, 0], [0] * 20)
    np.testing.assert_array_equal(found.images[::1000, 5, 5], 255 - np.arange(20))


def test_all_labels_may_be_in_one_file_and_texts_of_any_length(tmp_path):
    sharded(tmp_path, "{split}_{kind}_{number:05}.npy")
    for path in tmp_path.glob("*labels*"):
        path.unlink()
    texts = {
        name: np.array(["a", "bb", "ccc"])[BOTH[name]] for name in BOTH if name[0] == "y"
    }
    np.save(tmp_path / "test_labels.npy", texts["y_test"])
    for number, part in enumerate(np.split(texts["y_train"], [11, 22])):
        np.save(tmp_path / f"y_train-{number:05}.npy", np.where(number, part, "a"))
    data = readers.read(tmp_path)
    assert data.names == ("a", "bb", "ccc")
    np.testing.assert_array_equal(data.test.labels, TEST.labels)
    np.testing.assert_array_equal(data.train.labels[:11], 0)
    np.testing.assert_array_equal(data.train.labels[11:], TRAIN.labels[11:])
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    with pytest.raises(InputError, match="the labels are texts"):
        readers.read(tmp_path)


def test_a_shard_of_another_split_than_its_folder_is_refused(tmp_path):
    sharded(tmp_path)
    (tmp_path / "train/images-00001.npy").rename(tmp_path / "train/x_test-00001.npy")
    with pytest.raises(
        InputError, match=r"x_test-00001\.npy: its name is of another split"
    ):
        readers.read(tmp_path)


def test_an_empty_shard_is_refused(tmp_path):
    sharded(tmp_path)
    np.save(tmp_path / "test/labels-00001.npy", TEST.labels[:0])
    with pytest.raises(InputError, match=r"labels-00001\.npy: has no rows: .* \(0,\)"):
        readers.read(tmp_path)


def test_names_with_shorter_numbers_are_not_shards(tmp_path):
    for name, array in BOTH.items():
        np.save(tmp_path / f"{name}_28.npy", array)
    found = readers.read(tmp_path).train
    np.testing.assert_array_equal(found.images, Split(*TRAIN).images)


def test_ignored_files_are_no_shards(tmp_path):
    sharded(tmp_path)
    for name in ("x_00001.npy", "._images-00001.npy"):
        (tmp_path / "train" / name).write_bytes(b"")
    (tmp_path / ".dvcignore").write_text("x_*\n")
    found = readers.read(tmp_path, Ignored(tmp_path)).train
    np.testing.assert_array_equal(found.images, TRAIN.images)
