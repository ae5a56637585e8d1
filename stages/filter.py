"""Keep a subset's digits.

reads   params.yaml: subsets.<subset>; data/raw/
writes  data/subsets/<subset>/{train,test}/{images,labels}.npy
        metrics/subsets/<subset>/summary.json and first_digits.png
"""

import logging
from pathlib import Path

import numpy as np

from digits import cli, dataset, files, gallery
from digits.dataset import Dataset
from digits.errors import InputError
from digits.params import Params

log = logging.getLogger(__name__)


def keep(data: Dataset, digits: tuple[int, ...]) -> Dataset:
    """Return the images of `digits` in both splits.

    Raises `InputError` if a digit has no training image or none is left to test.
    """
    kept = Dataset(*(dataset.select(split, digits) for split in data))
    missing = sorted(set(digits) - set(np.unique(kept.train.labels).tolist()))
    if missing:
        raise InputError(f"the data has no training image of the digits {missing}")
    if len(kept.test.labels) == 0:
        raise InputError(f"the data has no test image of the digits {sorted(digits)}")
    return kept


def main(params: Params, subset: str, root: Path) -> None:
    """Load, filter, save."""
    data = keep(dataset.load(root / "data/raw"), params.subsets[subset].digits)
    dataset.save(root / "data/subsets" / subset, data)
    folder = root / "metrics/subsets" / subset
    files.write_json(folder / "summary.json", dataset.summary(data))
    gallery.first_digits(folder / "first_digits.png", *data.train)
    log.info("%s: %d training and %d test images", subset, *(len(s.labels) for s in data))


if __name__ == "__main__":
    cli.run(main, __doc__, of="subset")
