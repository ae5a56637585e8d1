"""The formats in the tables of docs/data.md: each row is a small file that is made here."""

import gzip
import io
import json
import logging
import re
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image
from sklearn.datasets import load_digits

from digits.data import arrays, matlab, readers
from digits.data.dataset import Split
from digits.data.holdout import Holdout
from digits.data.options import Options
from digits.data.readers import IDX_NAMES, IDX_TYPES
from digits.errors import InputError
from tests.helpers.project import ROOT

N_TRAIN, N_TEST, SIDE = 30, 12, 4
NAMES = ["cat", "dog", "owl"]


def split(n, seed):
    """Return n images of three classes, of which each has a bright row."""
    labels = (np.arange(n) % 3).astype(np.uint8)
    images = np.random.default_rng(seed).integers(0, 100, (n, SIDE, SIDE))
    images[np.arange(n), labels] += 155
    images[0, [0, -1], [0, -1]] = 255  # no label
    return Split(images.astype(np.uint8), labels)


TRAIN, TEST = split(N_TRAIN, 1), split(N_TEST, 2)
BOTH = {"x_train": TRAIN.images, "y_train": TRAIN.labels,
        "x_test": TEST.images, "y_test": TEST.labels}  # fmt: skip
WHOLE = {name: BOTH[name] for name in ("x_train", "y_train")}
BINARY = {name: a // 128 if name[0] == "x" else a for name, a in BOTH.items()}


def npz(root, written="x_train y_train x_test y_test", of=BOTH, **more):
    """Write an npz file with arrays of the written names."""
    given = dict(zip(written.split(), of.values(), strict=True))
    np.savez(root / "own.npz", **given, **more)


def images_as(change, of=BOTH):
    """Return a function that writes an npz file with changed images."""
    return lambda root: npz(
        root, of={name: change(a) if name[0] == "x" else a for name, a in of.items()}
    )


def labels_as(change, **more):
    """Return a function that writes an npz file with changed labels."""
    changed = {name: change(a) if name[0] == "y" else a for name, a in BOTH.items()}
    return lambda root: npz(root, of=changed, **more)


def idx(array, kind=8):
    shape = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, kind, array.ndim]) + shape + array.astype(IDX_TYPES[kind]).tobytes()


def idx_files(root, name=str, pack=lambda content: content, kind=8, of=BOTH):
    """Write IDX files under changed names."""
    for array, known in IDX_NAMES.items():
        if array in of:
            path = root / name(known)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pack(idx(of[array], kind if array[0] == "x" else 8)))


def emnist(root):
    from_one = {name: a + 1 if name[0] == "y" else a for name, a in BOTH.items()}
    idx_files(root, "emnist-letters-{}.gz".format, gzip.compress, of=from_one)
    (root / "names.txt").write_text("\n".join(NAMES))


def kaggle_idx(root):
    idx_files(root, lambda known: known.replace("-idx", ".idx"))
    idx_files(root, lambda known: f"{known}/{known}")


def torchvision(root):
    idx_files(root, "MNIST/raw/{}".format)
    idx_files(root, "MNIST/raw/{}.gz".format, gzip.compress)


def rows(part, where="first", names=None):
    """Return a split as rows of texts."""
    labels = [str(label) if names is None else names[label] for label in part.labels]
    pixels = [list(map(str, image)) for image in part.images.reshape(len(labels), -1)]
    return [
        [label, *row] if where == "first" else [*row, label]
        for label, row in zip(labels, pixels, strict=True)
    ]


HEADER = ["label", *(f"pixel{i}" for i in range(SIDE**2))]


def table(path, *lines, separator=",", end="\n", pack=lambda content: content):
    text = "".join(separator.join(line) + end for line in lines)
    path.write_bytes(pack(text.encode()))


def tables(root, header=(), name="{}.csv", *, where="first", names=None, **how):
    """Write a CSV file of each split."""
    for split_name, part in (("train", TRAIN), ("test", TEST)):
        lines = ([header] if header else []) + rows(part, where, names)
        table(root / name.format(split_name), *lines, **how)


def competition(root):
    table(root / "train.csv", HEADER, *rows(TRAIN))
    table(root / "test.csv", HEADER[1:], *(row[1:] for row in rows(TEST)))
    (root / "sample_submission.csv").write_text("ImageId,Label\n1,0\n")


def pandas(root):
    for name, part in (("train", TRAIN), ("test", TEST)):
        numbered = ([str(i), *row] for i, row in enumerate(rows(part)))
        table(root / f"mnist_{name}.csv", ["", *HEADER], *numbered)


def quoted(root):
    quotes = [[f'"{field}"' for field in row] for row in [HEADER, *rows(TRAIN)]]
    table(root / "train.csv", *quotes, end="\r\n", pack=lambda text: b"\xef\xbb\xbf" + text)
    table(root / "test.csv", HEADER, *rows(TEST))


def pictures(root, train="train", test="test"):
    """Write a folder of images for each class."""
    for folder, part in ((train, TRAIN), (test, TEST)):
        for i, (image, label) in enumerate(zip(*part, strict=True)):
            if folder is not None:
                path = root / folder / NAMES[label] / f"{i:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)


def listed(root, table_name, part, images, name="{}.png", *, header="file,label"):
    """Write images into a folder, and a CSV file with a line for each."""
    lines = [header] if header else []
    for i, (image, label) in enumerate(zip(*part, strict=True)):
        path = root / images / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        lines.append(f"{name.format(path.stem)},{NAMES[label]}")
    (root / table_name).write_text("\n".join(lines))


def listed_splits(root):
    listed(root, "train.csv", TRAIN, "train", header="id,label")
    listed(root, "test.csv", TEST, "test", header="id,label")


def listed_inside(root):
    listed(root, "train/labels.csv", TRAIN, "train/png", "png/{}.png")
    listed(root, "test/labels.csv", TEST, "test/png", "png/{}.png")


def of_systems(root):
    pictures(root)
    for folder in ("train/cat/@eaDir", "__MACOSX", "train/__MACOSX"):
        (root / folder).mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._00.png"):
        (root / name).touch()
        (root / "train" / name).touch()
        (root / "test/owl" / name).touch()


def several_formats(root):
    pictures(root)
    suffixes = (".bmp", ".gif", ".tif", ".webp")
    for path, suffix in zip(sorted(root.glob("*/*/*.png")), suffixes * 5, strict=False):
        image = Image.open(path)
        image.save(path.with_suffix(suffix), **{"lossless": True} if "w" in suffix else {})
        path.unlink()


def several_sizes(root):
    pictures(root)
    for i, path in enumerate(root.glob("*/*/*.png")):
        image = Image.open(path).convert("RGB")
        side = SIDE * (1 + i % 5)
        image.resize((side, side), Image.Resampling.NEAREST).save(path)


def packed(root, write, form="zip"):
    """Write data into an archive, with a folder around it."""
    with tempfile.TemporaryDirectory() as temporary:
        write(Path(temporary))
        (Path(temporary) / "__MACOSX").mkdir()
        above, name = Path(temporary).parent, Path(temporary).name
        shutil.make_archive(root / "own", form, above, name)


def emnist_mat(root):
    def part(of):
        images = of.images.reshape(len(of.images), -1)
        return {"images": images, "labels": of.labels[:, None].astype(float),
                "writers": of.labels[:, None]}  # fmt: skip

    mapping = np.array([[i, ord(str(i))] for i in range(3)], np.uint16)
    data = {"train": part(TRAIN), "test": part(TEST), "mapping": mapping}
    scipy.io.savemat(root / "emnist-digits.mat", {"dataset": data}, do_compression=True)


def svhn(root):
    for name, of in (("train", TRAIN), ("test", TEST)):
        images = np.stack([of.images.transpose(1, 2, 0)] * 3, axis=2)
        content = {"X": images, "y": of.labels[:, None]}
        scipy.io.savemat(root / f"{name}_32x32.mat", content)
    scipy.io.savemat(root / "extra_32x32.mat", content)


def matlab_73(root):
    with h5py.File(root / "own.mat", "w", userblock_size=512) as file:
        for name, array in BOTH.items():
            file[name] = array.T


def usps(root):
    with h5py.File(root / "usps.h5", "w") as file:
        for name, of in (("train", TRAIN), ("test", TEST)):
            images = (of.images.reshape(len(of.images), -1) / 255).astype(np.float32)
            file.create_dataset(f"{name}/data", data=images, compression="gzip")
            file[f"{name}/target"] = of.labels.astype(np.int64)


def columns(root):
    from pyarrow import parquet, table  # noqa: PLC0415 (of requirements-hard.lock)

    for name, of in (("train", TRAIN), ("test", TEST)):
        pixels = of.images.reshape(len(of.images), -1).astype(np.int64)
        named = {f"pixel{i}": column for i, column in enumerate(pixels.T)}
        parquet.write_table(table({"label": of.labels} | named), root / f"{name}.parquet")


def hugging_face(root):
    from pyarrow import parquet, table  # noqa: PLC0415 (of requirements-hard.lock)

    features = {"label": {"names": NAMES, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    (root / "data").mkdir()
    for name, of in (("train-00000-of-00002", Split(*(a[:20] for a in TRAIN))),
                     ("train-00001-of-00002", Split(*(a[20:] for a in TRAIN))),
                     ("test-00000-of-00001", TEST)):  # fmt: skip
        images = []
        for image in of.images:
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            images.append({"bytes": file.getvalue(), "path": None})
        content = table({"image": images, "label": of.labels.astype(np.int64)})
        path = root / f"data/{name}.parquet"
        parquet.write_table(content.replace_schema_metadata(metadata), path)


def sharded(root, name="{split}/{kind}-{number:05}.npy", of=BOTH):
    """Write npy files of eleven rows each."""
    for array, content in of.items():
        kind, split_name = ("images", "labels")["xy".index(array[0])], array[2:]
        for number in range(-(-len(content) // 11)):
            path = root / name.format(split=split_name, kind=kind, number=number)
            path.parent.mkdir(exist_ok=True)
            np.save(path, content[11 * number : 11 * number + 11])


def resharded(name, change, *, to=None):
    """Return a function that writes shards and then changes one, or writes it elsewhere."""

    def write(root):
        sharded(root)
        path = root / name
        array = change(np.load(path))
        if to is None or array is None:
            path.unlink()
        if array is not None:
            np.save(root / (to or name), array)

    return write


def with_validation(root):
    pictures(root)
    pictures(root, "val", None)


def scikit_learn(root):
    np.savez(root / "digits.npz", **load_digits())


# What `source` is, a function that writes it, and in the log, if it is more than read:
# what is said. `no test images` needs dataset.test_share.
FORMATS = {
    # npz and npy
    "npz with `x_train`, `y_train`, `x_test`, `y_test` (Keras)": (npz, ""),
    "npz with `train_images`, `train_labels`, `test_images`, `test_labels`": (lambda root: npz(root, "train_images train_labels test_images test_labels"), ""),
    "npz with `X_train`, `Y_train`, `X_test`, `Y_test`": (lambda root: npz(root, "X_train Y_train X_test Y_test"), ""),
    "npz with `train_imgs`, `train_labels`, `test_imgs`, `test_labels`": (lambda root: npz(root, "train_imgs train_labels test_imgs test_labels"), ""),
    "npz with `trainX`, `trainY`, `testX`, `testY`": (lambda root: npz(root, "trainX trainY testX testY"), ""),
    "npz with validation images, such as `val_images`, `val_labels` (MedMNIST)": (lambda root: npz(root, "train_images train_labels test_images test_labels", val_images=TEST.images, val_labels=TEST.labels), "the validation images are not used; append them"),
    "npz with `X` and `y`, or `images` and `labels`: no test images": (lambda root: npz(root, "X y", WHOLE), ""),
    "npz of scikit-learn's `load_digits()`, floats from 0 to 16: no test images": (scikit_learn, "grey values only up to 16 of 255, so they are dark; to change that, multiply them by 15.94"),
    "four npz files, an array without a name in each (KMNIST)": (lambda root: [np.savez(root / f"kmnist-{name}.npz", array) for name, array in zip(("train-imgs", "train-labels", "test-imgs", "test-labels"), BOTH.values(), strict=True)], ""),
    "four npy files: `x_train.npy`, …": (lambda root: [np.save(root / f"{name}.npy", array) for name, array in BOTH.items()], ""),
    "npy in shards: `train/images-00000.npy`, `train/labels-00000.npy`, `train/images-00001.npy`, … and the same in `test/`": (sharded, ""),
    "npy in shards: `x_train-00000.npy`, …, or `train_images_00000.npy`, …": (lambda root: sharded(root, "{split}_{kind}_{number:05}.npy"), ""),
    "npy in shards: only `images-00000.npy`, `labels-00000.npy`, …: no test images": (lambda root: sharded(root, "{kind}-{number:05}.npy", WHOLE), ""),
    # IDX
    "IDX: `train-images-idx3-ubyte`, … (MNIST)": (idx_files, ""),
    "IDX: `train-images-idx3-ubyte.gz`, …": (lambda root: idx_files(root, "{}.gz".format, gzip.compress), ""),
    "IDX: `train-images.idx3-ubyte`, …": (lambda root: idx_files(root, lambda known: known.replace("-idx", ".idx")), ""),
    "IDX: compressed without `.gz` in the name": (lambda root: idx_files(root, pack=gzip.compress), ""),
    "IDX: not compressed, with `.gz` in the name": (lambda root: idx_files(root, "{}.gz".format), ""),
    "IDX: `MNIST/raw/train-images-idx3-ubyte`, and the same with `.gz` (torchvision)": (torchvision, ""),
    "IDX: `train-images-idx3-ubyte/train-images-idx3-ubyte`, and the same next to it (Kaggle)": (kaggle_idx, ""),
    "IDX: `emnist-letters-train-images-idx3-ubyte.gz`, …, labels from 1 (EMNIST)": (emnist, "the labels begin at 1: label 1 has the first name"),
    "IDX: 16-bit or 32-bit integers, or floats": (lambda root: idx_files(root, kind=11), ""),
    "IDX: only `train-…`: no test images": (lambda root: idx_files(root, of=WHOLE), ""),
    # CSV
    "CSV: `train.csv` and `test.csv` with the header `label,pixel0,…`": (lambda root: tables(root, HEADER), ""),
    "CSV: `mnist_train.csv` and `mnist_test.csv` without a header": (lambda root: tables(root, name="mnist_{}.csv"), "the label is the first value"),
    "CSV: the label last, with a header": (lambda root: tables(root, [*HEADER[1:], "class"], where="last"), ""),
    "CSV: the label last, without a header": (lambda root: tables(root, where="last"), "the label is the last value"),
    "CSV: gzipped, whatever the name says": (lambda root: tables(root, HEADER, pack=gzip.compress), ""),
    "CSV: `train.csv.gz` and `test.csv.gz`": (lambda root: tables(root, HEADER, name="{}.csv.gz", pack=gzip.compress), ""),
    "CSV: a test file without labels (Kaggle's Digit Recognizer): no test images": (competition, r"test.csv: has no labels, so it is not used"),
    "CSV: one file of any name: no test images": (lambda root: table(root / "A_Z data.csv", HEADER, *rows(TRAIN)), ""),
    "CSV: a first column that numbers the lines (pandas)": (pandas, "the column that numbers the lines is left out"),
    "CSV: semicolons or tabs instead of commas": (lambda root: tables(root, HEADER, separator=";"), ""),
    "CSV: values in quotes, a byte order mark, Windows line ends": (quoted, ""),
    "CSV: labels that are texts": (lambda root: tables(root, HEADER, names=NAMES), ""),
    "CSV: floats, such as 253.0": (lambda root: table(root / "train.csv", HEADER, *([label, *(f"{pixel}.0" for pixel in pixels)] for label, *pixels in rows(TRAIN))) or table(root / "test.csv", HEADER, *rows(TEST)), ""),
    # arrays of npz, npy, IDX and CSV
    "images (n, pixels), the side a whole number": (images_as(lambda a: a.reshape(len(a), -1)), ""),
    "images (n, height, width, 1), (n, 1, height, width) or (1, n, height, width)": (images_as(lambda a: a[:, None]), ""),
    "images in colour: (n, height, width, 3) or (n, 3, height, width)": (images_as(lambda a: np.stack([a] * 3, axis=1)), "colours are converted to grey"),
    "images as floats from 0 to 1": (images_as(lambda a: (a / 255).astype(np.float32)), "float32 from 0 to 1, scaled to 0 to 255"),
    "images as floats from 0 to 255": (images_as(lambda a: np.clip(a + 0.2, 0, 255)), "grey values are rounded to whole numbers"),
    "images of booleans": (images_as(lambda a: a.astype(bool), BINARY), "bool from 0 to 1, scaled to 0 to 255"),
    "images of 16 bits (uint16)": (images_as(lambda a: np.minimum(a * np.uint32(257) + 200, 65535).astype(np.uint16)), "uint16 from 0 to 65535, scaled to 0 to 255"),
    "images of signed or wider integers from 0 to 255": (images_as(lambda a: a.astype(np.int64)), ""),
    "images that use less than half of the range, such as 0 to 16": (images_as(lambda a: a // 16), "grey values only up to 15 of 255, so they are dark; to change that, multiply them by 17"),
    "labels (n, 1) or (1, n)": (labels_as(lambda a: a[:, None]), ""),
    "labels one-hot, (n, classes)": (labels_as(lambda a: np.eye(3)[a]), ""),
    "labels as floats that are whole numbers": (labels_as(lambda a: a.astype(float)), ""),
    "labels that are texts": (labels_as(lambda a: np.array(NAMES)[a]), ""),
    "labels from 1, with as many names": (labels_as(lambda a: a + 1, names=np.array(NAMES)), "the labels begin at 1: label 1 has the first name"),
    # folders
    "a folder of images per class: `train/cat/1.png`, …, `test/cat/7.png`, …": (pictures, ""),
    "`Train/` or `training/`, and `Test/` or `testing/`": (lambda root: pictures(root, "Train", "testing"), ""),
    "`train/`, `val/` and `test/`": (with_validation, "these images are not used; move them to"),
    "only `train/cat/1.png`, …: no test images": (lambda root: pictures(root, "train", None), ""),
    "only `cat/1.png`, …: no test images": (lambda root: pictures(root, "", None), ""),
    "images in colour or of several sizes: `cat/1.png`, …, and `size: [4, 4]`": (several_sizes, "42 images are brought to 4 by 4 pixels"),
    "images in the formats PNG, JPEG, WebP, BMP, GIF, TIFF and AVIF: `cat/1.png`, `cat/2.tif`, …": (several_formats, ""),
    "`.DS_Store`, `Thumbs.db`, `desktop.ini`, `._1.png`, `__MACOSX/`, `@eaDir/` next to `train/cat/1.png`": (of_systems, ""),
    "images in one folder and `labels.csv`, with or without the first line `file,label` (`1.png,cat`): no test images": (lambda root: listed(root, "labels.csv", TRAIN, "images", header=None), ""),
    "the same with `1,cat`, the file's name without its ending: no test images": (lambda root: listed(root, "labels.csv", TRAIN, ".", "{}", header="id,Label"), ""),
    "`train.csv` and `test.csv` (`1.png,cat`), and the images in `train/` and `test/`": (listed_splits, ""),
    "`labels.csv` (`1.png,cat`) in `train/` and in `test/`": (listed_inside, ""),
    # other containers
    "a zip file of any of these, also with a folder around them": (lambda root: packed(root, npz), ""),
    "a tar or tar.gz file of any of these, such as `train/cat/1.png`": (lambda root: packed(root, pictures, "gztar"), ""),
    "MATLAB: `dataset.train.images`, `dataset.train.labels`, …, `dataset.mapping` (EMNIST)": (emnist_mat, ""),
    "MATLAB: `train_32x32.mat` and `test_32x32.mat` with `X` and `y` (SVHN, whose label of 0 is 10)": (svhn, "extra_32x32.mat: is not read"),
    "MATLAB: version 7.3": (matlab_73, ""),
    "HDF5: `train/data`, `train/target`, `test/data`, `test/target` (USPS)": (usps, "float32 from 0 to 1, scaled to 0 to 255"),
    "Parquet: `train.parquet` and `test.parquet` with the columns `label`, `pixel0`, …": (columns, ""),
    "Parquet: `data/train-00000-of-00001.parquet`, … with the columns `image` and `label` (Hugging Face), labels named `cat`, …": (hugging_face, ""),
}  # fmt: skip

TABLES = (ROOT / "docs/data.md").read_text().split("<!-- formats: ")[1:]


def documented(which):
    """Return the cells of a table in docs/data.md."""
    (found,) = (part for part in TABLES if part.startswith(which))
    lines = [line for line in found.splitlines() if line.startswith("| ")][1:]
    return [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]


def test_each_row_of_the_tables_is_tested():
    assert [row for row, _ in documented("read")] == list(FORMATS)
    assert [row for row, _ in documented("refused")] == list(REFUSED)


def with_its_packages(name):
    """Return a row, marked if it needs a package of requirements-hard.lock."""
    return pytest.param(name, marks=[pytest.mark.hard] * name.startswith("Parquet"))


@pytest.mark.parametrize("name", list(map(with_its_packages, FORMATS)))
def test_a_format_is_read_and_changes_are_logged(tmp_path, caplog, name):
    write, expected = FORMATS[name]
    write(tmp_path)
    caplog.set_level(logging.INFO)
    holdout = Holdout(0.25, 0) if name.endswith("no test images") else None
    size = (SIDE, SIDE) if "`size:" in name else None
    options = Options(test_share=0.25 if holdout else None, size=size)
    data = readers.read(tmp_path, options=options)
    messages = [record.getMessage() for record in caplog.records]
    assert bool(messages) == bool(expected)
    assert expected in "\n".join(messages)
    if "load_digits" in name:
        assert [len(part.labels) for part in data.splits.values()] == [1347, 450]
        assert data.train.images.max() == 16
        return
    wanted = {"train": TRAIN, "test": TEST}
    if holdout:
        wanted = dict(zip(wanted, holdout.divide(TRAIN, ""), strict=True))
    change = {"0 to 16": lambda a: a // 16, "booleans": lambda a: a // 128 * 255}
    for text, function in change.items():
        if text in name:
            wanted = {s: p._replace(images=function(p.images)) for s, p in wanted.items()}
    has_names = data.names == tuple(NAMES)
    assert has_names or data.names == ("0", "1", "2")
    assert has_names == any(
        word in name for word in ("cat", "Train/", "`val/`", "texts", "from 1")
    )
    for split_name, part in data.splits.items():
        assert part.images.dtype == part.labels.dtype == np.uint8
        order, other = (  # folders take a class in turn
            np.lexsort((*p.images.reshape(len(p.images), -1).T, p.labels))
            for p in (part, wanted[split_name])
        )
        if "`cat/" in name and holdout:
            assert len(part.labels) == len(wanted[split_name].labels)
            continue
        np.testing.assert_array_equal(part.images[order], wanted[split_name].images[other])
        np.testing.assert_array_equal(part.labels[order], wanted[split_name].labels[other])


def broken(change):
    """Return a function that writes a training CSV file with a change of its text."""

    def write(root):
        table(root / "train.csv", HEADER, *rows(TRAIN))
        path = root / "train.csv"
        path.write_text(change(path.read_text()))
        table(root / "test.csv", HEADER, *rows(TEST))

    return write


def zipped(root, contents):
    with zipfile.ZipFile(root / "own.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def linked(root):
    (root / "x_train.npy").symlink_to("/etc/passwd")
    with tarfile.open(root / "own.tar", "w") as archive:
        archive.add(root / "x_train.npy", "x_train.npy")
    (root / "x_train.npy").unlink()


def encrypted(root):
    """Write a zip file that says that its member is encrypted."""
    zipped(root, {"x_train.npy": b"secret"})
    content = bytearray((root / "own.zip").read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    (root / "own.zip").write_bytes(content)


REFUSED = {
    "a class that only the test images have": lambda root: npz(root, of=BOTH | {"y_train": TRAIN.labels % 2}),
    "no test images, and no `test_share`": lambda root: npz(root, "x_train y_train", WHOLE),
    "npz: arrays of other names": lambda root: np.savez(root / "a.npz", a=TRAIN.images, b=TRAIN.labels),
    "npz: two arrays for the same": lambda root: npz(root, "X_train y_train x_test y_test", train_images=TRAIN.images),
    "npz: several files": lambda root: [np.savez(root / f"{name}.npz", **BOTH) for name in "ab"],
    "npz, npy: pickled objects": lambda root: npz(root, of=BOTH | {"y_train": np.array([{}])}),
    "npy in shards: a number is missing": lambda root: sharded(root) or [(root / f"train/{kind}-00001.npy").unlink() for kind in ("images", "labels")],
    "npy in shards: images without labels": lambda root: sharded(root) or (root / "train/labels-00002.npy").unlink(),
    "npy in shards: labels without images": lambda root: sharded(root) or (root / "train/images-00001.npy").unlink(),
    "npy in shards: other numbers of images and labels": resharded("train/labels-00001.npy", lambda a: a[1:]),
    "npy in shards: images of another size": resharded("train/images-00001.npy", lambda a: a[:, 1:]),
    "npy in shards: images of another type": resharded("train/images-00001.npy", lambda a: a / 255),
    "npy in shards: a number twice": resharded("train/images-00001.npy", lambda a: a, to="train/x_00001.npy"),
    "npy in shards: a whole array as well": resharded("train/images-00001.npy", lambda a: a, to="x_train.npy"),
    "npy in shards: a damaged file": lambda root: sharded(root) or (root / "test/images-00001.npy").write_bytes(b"x"),
    "npy: two arrays for the same": lambda root: [np.save(root / f"{name}.npy", array) for name, array in (BOTH | {"train_images": TRAIN.images}).items()],
    "IDX: two data sets in a folder": lambda root: [idx_files(root, f"emnist-{name}-{{}}".format) for name in ("letters", "digits")],
    "IDX: a file is missing": lambda root: idx_files(root) or (root / IDX_NAMES["y_test"]).unlink(),
    "IDX: another length than the header says": lambda root: idx_files(root, pack=lambda content: content[:-1]),
    "CSV: an empty file": broken(lambda _text: "\n \n"),
    "CSV: a line with another number of values": broken(lambda text: text + "1,2,3\n"),
    "CSV: a value that is not a number": broken(lambda text: text.replace(",255,", ",two,", 1)),
    "CSV: an empty value": broken(lambda text: text.replace(",255,", ",,", 1)),
    "CSV: the number of pixels is no square number": broken(lambda text: re.sub(r",\w+\n", "\n", text)),
    "CSV: without a header, and the first and the last value could be the label": lambda root: table(root / "train.csv", *(["1", *row[1:-1], str(i % 3)] if i % 2 else ["0", *row[1:-1], "0"] for i, row in enumerate(rows(TRAIN)))),
    "CSV: training data without labels": lambda root: table(root / "train.csv", HEADER[1:], *(row[1:] for row in rows(TRAIN))),
    "CSV: several files, none of which has `train` in its name": lambda root: tables(root, HEADER, name="{}.csv") or (root / "train.csv").rename(root / "part.csv"),
    "images (n, 15)": images_as(lambda a: a.reshape(len(a), -1)[:, 1:]),
    "images with negative values or above 255": images_as(lambda a: a / 127.5 - 1),
    "images with `nan`": images_as(lambda a: np.where(a == 255, np.nan, a)),
    "images from 0 to 1 in one split, from 0 to 255 in the other": lambda root: npz(root, of=BOTH | {"x_train": TRAIN.images / 255}),
    "images of more than 64 by 64 pixels": images_as(lambda a: np.zeros((len(a), 65, 65), np.uint8)),
    "labels that are not whole numbers": labels_as(lambda a: a + 0.5),
    "labels (n, classes) that are not one-hot": labels_as(lambda a: np.full((len(a), 3), 0.3)),
    "labels that are texts, and names of the classes": labels_as(lambda a: np.array(NAMES)[a], names=np.array(NAMES)),
    "other numbers of images and labels": lambda root: npz(root, of=BOTH | {"y_train": TRAIN.labels[1:]}),
    "folders: images of several sizes": lambda root: pictures(root) or Image.new("L", (5, 5)).save(root / "train/dog/01.png"),
    "folders: an image that cannot be read": lambda root: pictures(root) or [(root / f"train/dog/{i:02}.png").write_bytes(b"") for i in (1, 4, 7)],
    "folders: an image in the format HEIC": lambda root: pictures(root) or (root / "train/dog/01.png").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0"),
    "folders: no folder `test/`": lambda root: pictures(root, "train", None),
    "`labels.csv`: a line without its image": lambda root: listed(root, "labels.csv", TRAIN, ".") or (root / "05.png").unlink(),
    "`labels.csv`: two lines for an image": lambda root: listed(root, "labels.csv", TRAIN, ".") or (root / "labels.csv").write_text((root / "labels.csv").read_text() + "\n03.png,cat"),
    "`labels.csv`: two images of the name in a line": lambda root: listed(root, "labels.csv", TRAIN, "a") or listed(root, "labels.csv", TRAIN, "b"),
    "`labels.csv`: a line without a label": lambda root: listed(root, "labels.csv", TRAIN, ".") or (root / "labels.csv").write_text("file,label\n00.png,cat\n01.png,"),
    "zip, tar: a name outside the folder": lambda root: zipped(root, {"../x_train.npy": b""}),
    "zip, tar: a link": linked,
    "zip: a password": encrypted,
    "zip, tar: more than 256 MiB, and more than 100 times the archive's size": lambda root: zipped(root, {"x_train.npy": bytes(2**20 * 257)}),
    "zip, tar: archives in the archive": lambda root: zipped(root, {"a.zip": b"", "b.zip": b""}),
    "MATLAB, HDF5: a damaged file": lambda root: svhn(root) or (root / "train_32x32.mat").write_bytes((root / "train_32x32.mat").read_bytes()[:300]),
    "MATLAB, HDF5: arrays of other names": lambda root: scipy.io.savemat(root / "own.mat", {"a": TRAIN.images, "b": TRAIN.labels}),
    "nothing that is known": lambda root: (root / "photo.rar").touch(),
    "images without folders of classes and without `labels.csv`": lambda root: Image.new("L", (4, 4)).save(root / "1.png"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_documented_message(tmp_path, name):
    REFUSED[name](tmp_path)
    (message,) = (message for row, message in documented("refused") if row == name)
    with pytest.raises(InputError) as error:
        readers.read(tmp_path)
    for part in message.strip("`").split("…"):
        assert part.strip() in str(error.value).replace("\\", "")


def test_test_images_and_a_test_share_are_refused(tmp_path):
    npz(tmp_path)
    with pytest.raises(InputError, match="has test images, so remove dataset"):
        readers.read(tmp_path, options=Options(test_share=0.5))


def test_the_drawn_test_images_are_a_share_of_each_class():
    labels = np.repeat([3, 5, 9], [2, 10, 50]).astype(np.uint8)
    whole = Split(np.arange(62, dtype=np.uint8).reshape(62, 1, 1), labels)
    train, test = Holdout(0.2, 7).divide(whole, "here")
    assert np.bincount(test.labels)[[3, 5, 9]].tolist() == [1, 2, 10]
    assert np.all(np.diff(test.images.ravel()) > 0)
    both = np.concatenate([train.images, test.images])
    assert sorted(both.ravel()) == list(range(62))
    again, other = (Holdout(0.2, seed).divide(whole, "here")[1] for seed in (7, 8))
    np.testing.assert_array_equal(again.images, test.images)
    assert not np.array_equal(other.images, test.images)
    single = Split(whole.images[1:], labels[1:])
    with pytest.raises(InputError, match="class with label 3 has only one image"):
        Holdout(0.2, 0).divide(single, "here")


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_an_axis_of_one_is_left_out(axis):
    given = {n: np.expand_dims(a, axis) if n[0] == "x" else a for n, a in BOTH.items()}
    np.testing.assert_array_equal(arrays.to_dataset(given, "").train.images, TRAIN.images)


def test_colours_are_converted_with_the_weights_of_predict():
    colours = np.random.default_rng(0).integers(0, 256, (N_TRAIN, SIDE, SIDE, 3))
    given = BOTH | {"x_train": colours.astype(np.uint8)}
    grey = arrays.to_dataset(given, "").train.images
    np.testing.assert_allclose(grey, colours @ [0.299, 0.587, 0.114], atol=0.5)


@pytest.mark.parametrize("kind", IDX_TYPES)
def test_every_type_of_idx_is_read(tmp_path, kind):
    half = BOTH | {name: BOTH[name] // 2 for name in ("x_train", "x_test")}  # int8
    idx_files(tmp_path, kind=kind, of=half)
    images = readers.read(tmp_path).train.images
    np.testing.assert_array_equal(images, half["x_train"])


def test_texts_that_are_numbers_are_the_labels():
    texts = {n: a.astype(str) if n[0] == "y" else a for n, a in BOTH.items()}
    data = arrays.to_dataset(texts, "")
    assert data.names == ("0", "1", "2")
    np.testing.assert_array_equal(data.test.labels, TEST.labels)


def test_floats_above_1_keep_their_values():
    small = {n: a / 200 if n[0] == "x" else a for n, a in BOTH.items()}  # up to 1.275
    assert arrays.to_dataset(small, "").train.images.max() == 1


def test_a_class_whose_training_images_are_all_blank_is_a_warning(tmp_path, caplog):
    images = TRAIN.images.copy()
    images[TRAIN.labels == 1] = 200
    images[TRAIN.labels == 1, 0] = 203
    images[TRAIN.labels == 2] = 0
    images[2] = TRAIN.images[2]
    npz(tmp_path, of=BOTH | {"x_train": images}, names=np.array(NAMES))
    readers.read(tmp_path)
    (message,) = caplog.messages
    assert "all training images of the class dog (10) are blank" in message


def test_without_pyarrow_parquet_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "train.parquet").touch()
    for path in (tmp_path, tmp_path / "train.parquet"):
        with pytest.raises(InputError, match="install it with `make setup EXTRAS=parquet`"):
            readers.read(path)


def test_the_label_may_be_the_name_of_an_image_without_its_ending(tmp_path):
    """In 3.png,7 the 7 is the label, although there is a 7.png."""
    lines = ["label,file"]
    for i, (image, label) in enumerate(zip(*TRAIN, strict=True)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
        lines.append(f"{label},{i}.png")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    data = readers.read(tmp_path, options=Options(test_share=0.25))
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert np.bincount(labels).tolist() == np.bincount(TRAIN.labels).tolist()


@pytest.mark.hard
def test_parquet_labels_may_be_bytes(tmp_path):
    from pyarrow import parquet, table  # noqa: PLC0415 (of requirements-hard.lock)

    columns(tmp_path)
    for path in tmp_path.iterdir():
        content = parquet.read_table(path)
        labels = [NAMES[label].encode() for label in content["label"].to_pylist()]
        rest = {name: content[name] for name in content.column_names if name != "label"}
        parquet.write_table(table({"label": labels} | rest), path)
    assert [*readers.read(tmp_path).names] == NAMES


@pytest.mark.hard
def test_parquet_with_images_in_one_split_alone_is_refused(tmp_path):
    hugging_face(tmp_path)
    columns(tmp_path / "data")
    for path in (tmp_path / "data").glob("train*-of-*"):
        path.unlink()
    (tmp_path / "data/test.parquet").unlink()
    with pytest.raises(InputError, match="one split has a column of images, and the other"):
        readers.read(tmp_path / "data")


def test_messages_about_an_archive_name_it_and_not_the_temporary_folder(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    packed(tmp_path, with_validation)
    readers.read(tmp_path)
    assert str(tmp_path / "own.zip") in caplog.text
    (tmp_path / "own.zip").unlink()
    packed(tmp_path, lambda root: idx_files(root, pack=lambda content: content[:-1]))
    with pytest.raises(InputError) as error:
        readers.read(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "own.zip"))
    assert "unpacked" not in caplog.text + str(error.value)


@pytest.mark.parametrize(
    "row",
    ["img/00.png,7,dog,x", "./img/00.png,7,dog,x", "img\\00.png,7,dog,x", "00,7,dog,x"],
)
def test_a_table_of_labels_may_have_other_columns(tmp_path, row):
    listed(tmp_path, "labels.csv", TRAIN, "img", header=None)
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    others = [f"{name},7,{label},x" for name, label in (line.split(",") for line in lines)]
    text = "\n".join(["path,width,class,remark", row, *others[1:]])
    (tmp_path / "labels.csv").write_text(text)
    labels = TRAIN.labels.copy()
    labels[0] = 1
    data = readers.read(tmp_path, options=Options(test_share=0.25))
    expected = Holdout(0.25, 0).divide(Split(TRAIN.images, labels), "")
    np.testing.assert_array_equal(data.train.images, expected[0].images)
    np.testing.assert_array_equal(data.test.labels, expected[1].labels)


def test_images_without_a_label_are_counted(tmp_path, caplog):
    listed(tmp_path, "labels.csv", TRAIN, "a")
    for name in ("x", "y"):
        Image.fromarray(TRAIN.images[0]).save(tmp_path / f"{name}.png")
    readers.read(tmp_path, options=Options(test_share=0.25))
    assert "2 images are not in this file, so they are not used: " in caplog.text
    assert "x.png, …" in caplog.text


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8", "u8", "bool"])
def test_matlab_files_are_read_as_by_scipy(tmp_path, dtype, compressed):
    rng = np.random.default_rng(0)
    given = {
        "a": rng.integers(0, 2, (3, 4)).astype(dtype),
        "long_name_of_an_array": rng.integers(0, 200, (5, 2, 3)).astype(dtype),
        "s": {"t": {"u": rng.integers(0, 100, (1, 7)).astype(dtype)}, "text": "abc"},
        "text": "abc",
    }
    path = tmp_path / "own.mat"
    scipy.io.savemat(path, given, do_compression=compressed)
    found = matlab.read(path)
    expected = scipy.io.loadmat(path)
    assert found.keys() == {"a", "long_name_of_an_array", "s.t.u"}
    for name in ("a", "long_name_of_an_array"):
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_array_equal(found["s.t.u"], given["s"]["t"]["u"])


def test_a_compressed_part_of_hdf5_may_not_unpack_to_more_than_its_size(tmp_path):
    with h5py.File(tmp_path / "own.h5", "w") as file:
        shape = {"shape": (4, 4), "chunks": (4, 4), "dtype": "u1", "compression": "gzip"}
        bomb = file.create_dataset("x", **shape)
        bomb.id.write_direct_chunk((0, 0), zlib.compress(bytes(2**20)))
    with pytest.raises(InputError, match="would unpack to too many bytes"):
        readers.read(tmp_path)


@pytest.mark.parametrize("array", ["y_train", "names"])
def test_texts_that_are_not_unicode_are_refused(tmp_path, array):
    """NumPy reads them, and Python ends in a SystemError where it uses them."""
    texts = np.array(["cat", "dog"] * 5)
    broken = np.full(10 * 3, 0x110000, np.uint32).view("U3")
    images = np.zeros((10, 4, 4), np.uint8)
    content = {"x_train": images, "y_train": texts, "x_test": images, "y_test": texts}
    if array == "names":
        numbers = np.tile([0, 1], 5)
        content |= {"y_train": numbers, "y_test": numbers}
    np.savez(tmp_path / "data.npz", **(content | {array: broken}))
    with pytest.raises(InputError, match="is not a text in Unicode"):
        readers.read(tmp_path / "data.npz")
