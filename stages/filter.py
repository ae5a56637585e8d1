"""Write the images of a subset's classes, and altered copies of the training images.

reads   params.yaml: subsets.<subset>; data/raw/
writes  data/subsets/<subset>/{train,test}/{images,labels}.npy and classes.json
        metrics/subsets/<subset>/summary.json and first_images.png, and copies.png if
        there are altered copies
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from digits.config import cli
from digits.config.params import Augment, Params, Subset
from digits.data import dataset, files
from digits.data.dataset import Dataset
from digits.errors import InputError
from digits.figures import sample_grid
from digits.images import augmentation

log = logging.getLogger(__name__)


def subset_labels(subset: Subset, data: Dataset) -> tuple[int, ...]:
    """Return the labels of a subset's classes, in the order listed.

    Args:
        subset: The subset's block of params.yaml.
        data: All images, with the names of their classes.

    Raises:
        InputError: If the data has no such class.
    """
    if subset.classes == "all":
        labels = [split.labels for split in data.splits.values()]
        return tuple(dataset.labels_in(np.concatenate(labels)))
    broken = [f"{key[1:]}: {rule}" for key, rule in subset.broken_rules(data.names)]
    if broken:
        raise InputError("subsets in params.yaml: " + "; ".join(broken))
    return tuple(c if isinstance(c, int) else data.names.index(c) for c in subset.classes)


def keep_classes(data: Dataset, labels: tuple[int, ...]) -> Dataset:
    """Return the images with those labels in both splits.

    Args:
        data: All images.
        labels: The labels to keep.

    Raises:
        InputError: If a class has no training image, or none has a test image.
    """
    train, test = (dataset.select(split, labels) for split in data.splits.values())
    missing = sorted(set(labels) - set(dataset.labels_in(train.labels)))
    if missing:
        names = ", ".join(data.names[label] for label in missing)
        raise InputError(
            f"the data has no training image of {names}, so no model could predict it; "
            "add training images, or remove its test images or list other classes in "
            "subsets"
        )
    if len(test.labels) == 0:
        names = ", ".join(data.names[label] for label in sorted(labels))
        raise InputError(f"the data has no test image of {names}")
    return Dataset(train, test, data.names)


def altered_copies(
    images: np.ndarray, options: Augment, number: int, first: int | None = None
) -> Iterator[np.ndarray]:
    """Yield altered copies of images, as `augmentation.copies` does.

    Args:
        images: (n_samples, height, width) uint8, all training images.
        options: The block `augment`.
        number: How many copies.
        first: Only so many images of each copy are made; None: all.
    """
    among = augmentation.variations(options.max_shift, options.max_rotation)
    return augmentation.copies(images, number, among, options.seed, first)


def draw_copies(path: Path, data: Dataset, options: Augment) -> None:
    """Draw the first two training images, each followed by altered copies of it.

    Args:
        path: The PNG file.
        data: All images.
        options: The block `augment`.
    """
    number = min(options.factor - 1, 5)
    copies = altered_copies(data.train.images, options, number, first=2)
    images = np.concatenate(list(zip(data.train.images, *copies, strict=False)))
    labels = np.repeat(data.train.labels[:2], number + 1)
    sample_grid.draw(path, images, labels, data.names)


def main(params: Params, subset: str, root: Path) -> None:
    """Load, filter, save."""
    whole = dataset.load(root / "data/raw")
    options = params.subsets[subset]
    data = keep_classes(whole, subset_labels(options, whole))
    augment, factor = options.augment, 1
    copies: Iterable[np.ndarray] = ()
    if augment:
        from tqdm import tqdm  # noqa: PLC0415 (slow to import)

        factor = augment.factor
        made = altered_copies(data.train.images, augment, factor - 1)
        copies = tqdm(made, "copies", factor - 1, leave=False, disable=None)
    dataset.save(root / "data/subsets" / subset, data, copies, factor)
    folder = root / "metrics/subsets" / subset
    files.write_json(folder / "summary.json", dataset.summary(data, factor))
    sample_grid.draw(folder / "first_images.png", *data.train, data.names)
    files.remove(folder / "copies.png")
    if augment:
        draw_copies(folder / "copies.png", data, augment)
    n_train, n_test = (len(split.labels) for split in data.splits.values())
    log.info("%s: %d training and %d test images", subset, factor * n_train, n_test)


if __name__ == "__main__":
    cli.run(main, __doc__, of="subset", uses=("classes", "augment"))
