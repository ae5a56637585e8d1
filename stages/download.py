"""Fetch the raw arrays, or read the user's own, and check them.

reads   params.yaml: dataset; data/own/ if the source is there
writes  data/raw/{train,test}/{images,labels}.npy, data/raw/classes.json
        metrics/dataset/summary.json, metrics/dataset/first_digits.png
"""

import logging
from pathlib import Path

from digits import gallery, sources
from digits.config import cli
from digits.config.params import Params
from digits.data import dataset, files
from digits.data.dataset import Dataset
from digits.data.ignore import Ignored
from digits.data.registry import KNOWN

log = logging.getLogger(__name__)


def download(name: str, source: str, root: Path) -> Dataset:
    """Return the images, checked: to the byte if they are to be a known data set."""
    if source == "auto":
        return sources.fetch(name)
    if name not in KNOWN:
        return sources.read_own(source, root)
    path = root / source
    return dataset.check_known(name, sources.read(path, Ignored(root)), path)


def main(params: Params, root: Path) -> None:
    """Load, check, save."""
    data = download(params.dataset.name, params.dataset.source, root)
    dataset.save(root / "data/raw", data)
    folder = root / "metrics/dataset"
    files.write_json(
        folder / "summary.json",
        {**dataset.summary(data), "sha256": dataset.checksums(data)},
    )
    gallery.first_digits(folder / "first_digits.png", *data.train, data.names)
    for split, part in data.splits.items():
        log.info("%s: %d images of %s", split, len(part.images), part.images.shape[1:])


if __name__ == "__main__":
    cli.run(main, __doc__)
