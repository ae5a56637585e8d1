"""Fetch the raw arrays, or read the user's own, and check them.

reads   params.yaml: dataset; data/own/ if the source is there
writes  data/raw/{train,test}/{images,labels}.npy
        metrics/dataset/summary.json, metrics/dataset/first_digits.png
"""

import logging
from pathlib import Path

from digits import cli, dataset, files, gallery, sources
from digits.dataset import Dataset
from digits.params import Params

log = logging.getLogger(__name__)


def download(name: str, source: str, root: Path) -> Dataset:
    """Return the arrays, checked: to the byte if they are to be MNIST."""
    if source == "auto":
        return sources.fetch_mnist()
    path = root / source
    data = sources.read(path)
    if name == "mnist":
        dataset.check_mnist(data, path)
    return data


def main(params: Params, root: Path) -> None:
    """Load, check, save."""
    data = download(params.dataset.name, params.dataset.source, root)
    dataset.save(root / "data/raw", data)
    folder = root / "metrics/dataset"
    files.write_json(
        folder / "summary.json",
        {**dataset.summary(data), "sha256": dataset.checksums(data)},
    )
    gallery.first_digits(folder / "first_digits.png", *data.train)
    for split, part in data._asdict().items():
        log.info("%s: %d images of %s", split, len(part.images), part.images.shape[1:])


if __name__ == "__main__":
    cli.run(main, __doc__)
