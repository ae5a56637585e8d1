"""Print the validation errors by which the parameters of the published table were chosen.

Each alternative is fitted on the first 50,000 training images of MNIST and scored on the
last 10,000. No test image is read. This takes a quarter of an hour.
"""

import sys
from pathlib import Path

import numpy as np

from digits.config import params
from digits.data import dataset
from digits.data.dataset import Split
from stages import train

ROOT = Path(__file__).parents[1]

N_VALIDATION = 10_000
ALTERNATIVES = {
    "radial_basis": [
        {"sigma": w, "ridge": r} for w in (700.0, 1000.0, 1500.0, 2200.0) for r in (1e-8,)
    ],
    "random_features": [{"ridge": r} for r in (1e-8, 1e-6, 1e-5, 1e-4)],
    "support_vectors": [
        {"C": C, "gamma": g} for C in (3.0, 10.0) for g in (0.015, 0.025, 0.035)
    ],
}


def main(names: list[str]) -> None:
    """Fit and score the alternatives.

    Args:
        names: The variants; all of `ALTERNATIVES` if empty.
    """
    checked = params.load(ROOT / "published/params.yaml")
    split = dataset.load_split(ROOT / "published/data/subsets/digits/train")
    first, last = (
        Split(split.images[part], split.labels[part])
        for part in (slice(-N_VALIDATION), slice(-N_VALIDATION, None))
    )
    for name in names or ALTERNATIVES:
        for values in ALTERNATIVES[name]:
            options = checked.variants[name].train.model_copy(update=values)
            model = train.train(first, options)
            predicted = model.decision.predict(model.scores(last.images))
            errors = np.count_nonzero(model.classes[predicted] != last.labels)
            print(f"{name:16} {values}: {errors} errors", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
