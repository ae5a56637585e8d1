import numpy as np
import pytest

from digits.data import dataset, registry
from digits.errors import InputError
from tests.helpers.project import as_arrays


def test_saving_and_loading_gives_equal_data_and_the_same_bytes(tmp_path, tiny):
    for name in "ab":
        dataset.save(tmp_path / name, tiny)
    whole = dataset.load(tmp_path / "a")
    assert whole.names == tiny.names
    for loaded, saved in ((whole.train, tiny.train), (whole.test, tiny.test)):
        np.testing.assert_array_equal(loaded.images, saved.images)
        np.testing.assert_array_equal(loaded.labels, saved.labels)
    for path in (tmp_path / "a").rglob("*.npy"):
        twin = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == twin.read_bytes()


@pytest.mark.parametrize("damage", ["missing", "truncated", "pickled", "too few labels"])
def test_a_damaged_split_is_refused_by_name(tmp_path, tiny, damage):
    dataset.save(tmp_path / "raw", tiny)
    path = tmp_path / "raw/train/labels.npy"
    match damage:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(path.read_bytes()[:-1])
        case "pickled":
            np.save(path, np.array([{}]), allow_pickle=True)
        case _:
            np.save(path, tiny.train.labels[1:])
    with pytest.raises(InputError, match=r"raw/train.*dvc repro"):
        dataset.load(tmp_path / "raw")


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        ("x_train", np.zeros((300, 64), np.uint8), "x_train needs 3 dimensions"),
        ("x_train", np.zeros((0, 8, 8), np.uint8), "none empty"),
        ("x_train", np.zeros((300, 8, 8)), "x_train must hold integers, got float64"),
        ("x_train", np.full((300, 8, 8), 256), "from 0 to 255, got 256 to 256"),
        ("x_test", np.full((120, 8, 8), -1), "from 0 to 255, got -1 to -1"),
        (
            "x_test",
            np.zeros((120, 7, 8), np.uint8),
            "8 by 8 pixels, those of x_test 7 by 8",
        ),
        ("x_test", np.zeros((119, 8, 8), np.uint8), "x_test has 119 images"),
        ("y_train", np.full(300, 100), "y_train must hold values from 0 to 99"),
        ("y_train", np.full(300, 3), "all of y_train is 3: only one class"),
        ("y_train", np.zeros((300, 1), np.uint8), "y_train needs 1 dimensions"),
        ("y_train", None, "no array y_train"),
    ],
)
def test_a_wrong_array_is_refused(tiny, name, array, expected):
    arrays = as_arrays(tiny) | {name: array}
    if array is None:
        del arrays[name]
    with pytest.raises(InputError, match=f"own.npz.*{expected}"):
        dataset.from_arrays(arrays, "own.npz")


def test_wider_integers_become_bytes(tiny):
    wide = {name: array.astype(np.int64) for name, array in as_arrays(tiny).items()}
    assert dataset.checksums(dataset.from_arrays(wide, "x")) == dataset.checksums(tiny)


def test_one_changed_pixel_is_not_mnist(as_mnist):
    registry.verify_checksums("mnist", as_mnist, "here")
    as_mnist.test.images[3, 4, 5] ^= 1
    with pytest.raises(InputError, match="here: x_test is not MNIST's"):
        registry.verify_checksums("mnist", as_mnist, "here")
    as_mnist.test.images[3, 4, 5] ^= 1


def test_select_keeps_the_images_in_their_order(tiny):
    kept = dataset.select(tiny.test, (3, 8))
    assert kept.labels.tolist() == [d for d in tiny.test.labels.tolist() if d in (3, 8)]
    np.testing.assert_array_equal(kept.images[1], tiny.test.images[8])


def test_the_summary_counts_every_image_once(tiny):
    summary = dataset.summary(tiny)
    assert summary["train"]["shape"] == [300, 8, 8]
    assert summary["train"]["images"] == 300
    assert summary["test"]["images"] == 120
    assert [row for row in summary["images_per_class"] if row["split"] == "test"] == [
        {"split": "test", "class": str(digit), "images": 12} for digit in range(10)
    ]


@pytest.mark.parametrize("shape", [(65, 64), (1, 65)])
def test_large_images_are_refused_with_their_size(shape):
    arrays = {
        "x_train": np.zeros((2, *shape), np.uint8), "y_train": np.arange(2),
        "x_test": np.zeros((1, *shape), np.uint8), "y_test": np.arange(1),
    }  # fmt: skip
    with pytest.raises(InputError, match=f"are {shape[0]} by {shape[1]} pixels; make them"):
        dataset.from_arrays(arrays, "own.npz")


def test_a_hundred_unnamed_classes_are_named_by_their_labels():
    labels = np.arange(100)
    images = np.zeros((100, 64, 3), np.int64)
    arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    data = dataset.from_arrays(arrays, "own.npz")
    assert data.names == tuple(map(str, range(100)))
    last = dataset.summary(data)["images_per_class"][-1]
    assert last == {"split": "test", "class": "99", "images": 1}


@pytest.mark.parametrize("text", ['["a"', '{"a": 1}', '["a", 1]', '["a", "a"]', "\xff"])
def test_damaged_names_are_refused_by_name(tmp_path, tiny, text):
    dataset.save(tmp_path / "raw", tiny)
    (tmp_path / "raw/classes.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"raw/classes\.json"):
        dataset.load(tmp_path / "raw")


def test_only_labels_that_occur_are_listed():
    assert dataset.labels_in(np.array([7, 0, 3, 3], np.uint8)) == [0, 3, 7]
