"""The registry of known data sets: their titles, names of classes and checksums."""

from dataclasses import dataclass, replace

from digits.data.dataset import DIGITS, Dataset, checksums
from digits.errors import InputError


@dataclass(frozen=True)
class DatasetInfo:
    """A data set whose content is known.

    Attributes:
        title: Its name in a sentence.
        names: The names of its classes; label i is `names[i]`.
        sha256: The SHA-256 of each of its four arrays' bytes in C order, by the array's
            name; independent of the file format.
    """

    title: str
    names: tuple[str, ...]
    sha256: dict[str, str]


DATASETS = {
    # As read from the IDX files of LeCun, Cortes and Burges, "The MNIST database of
    # handwritten digits".
    "mnist": DatasetInfo(
        "MNIST",
        DIGITS,
        {
            "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        },
    ),
    # As read from the IDX files of Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017, whose
    # README has the names. Debian's package dataset-fashion-mnist holds the same.
    "fashion_mnist": DatasetInfo(
        "Fashion-MNIST",
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        {
            "x_train": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
            "y_train": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
            "x_test": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
            "y_test": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        },
    ),
}


def verify_checksums(name: str, dataset: Dataset, origin: object) -> Dataset:
    """Check that arrays are those of a known data set, and add the names of its classes.

    Args:
        name: A key of `DATASETS`.
        dataset: The arrays.
        origin: Where they are from, for the error.

    Raises:
        InputError: If an array has another checksum.
    """
    known = DATASETS[name]
    for array, actual in checksums(dataset).items():
        if actual != known.sha256[array]:
            raise InputError(
                f"{origin}: {array} is not {known.title}'s: its SHA-256 is {actual}, "
                f"expected {known.sha256[array]}"
            )
    return replace(dataset, names=known.names)
