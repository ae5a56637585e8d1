"""Download a known data set, or read the user's own files, and check the arrays.

The network is not used if data/raw already has the arrays of the known data set.

reads   params.yaml: dataset; data/own/ if the source is there
writes  data/raw/{train,test}/{images,labels}.npy, data/raw/classes.json
        metrics/dataset/summary.json, metrics/dataset/first_images.png
"""

import logging
from pathlib import Path

from digits.config import cli
from digits.config.params import Dataset as Block
from digits.config.params import Params
from digits.data import dataset, files, mirrors, readers, registry
from digits.data.dataset import Dataset
from digits.data.ignore import Ignored
from digits.data.registry import DATASETS
from digits.errors import InputError
from digits.figures import sample_grid

log = logging.getLogger(__name__)


def fetch(block: Block, root: Path) -> Dataset:
    """Return the data set, its checksums compared if it is a known one.

    Args:
        block: The block `dataset` of params.yaml.
        root: The project's folder.

    Raises:
        InputError: If it cannot be had, or is damaged or not what it should be.
    """
    name, source = block.name, block.source
    if source == "auto":
        return mirrors.fetch(name)
    if name not in DATASETS:
        return readers.read_custom(source, root, block.options)
    path = root / source
    return registry.verify_checksums(name, readers.read(path, Ignored(root)), path)


def load_existing(name: str, folder: Path) -> Dataset | None:
    """Return the known data set of that name if a folder has it, or None."""
    try:
        data = dataset.load(folder)
        known = registry.verify_checksums(name, data, folder)
    except InputError:
        return None
    return known if known.names == data.names else None


def main(params: Params, root: Path) -> None:
    """Load, check, save."""
    name, raw = params.dataset.name, root / "data/raw"
    data = load_existing(name, raw) if params.dataset.source == "auto" else None
    if data:
        log.info("%s: already there, and its checksums are correct", raw)
    else:
        data = fetch(params.dataset, root)
        dataset.save(raw, data)
    folder = root / "metrics/dataset"
    files.write_json(
        folder / "summary.json",
        {
            "title": DATASETS[name].title if name in DATASETS else "Your own images",
            **dataset.summary(data),
            "sha256": dataset.checksums(data),
        },
    )
    sample_grid.draw(folder / "first_images.png", *data.train, data.names)
    for split, part in data.splits.items():
        log.info("%s: %d images of %s", split, len(part.images), part.images.shape[1:])


if __name__ == "__main__":
    cli.run(main, __doc__, uses=("dataset",))
