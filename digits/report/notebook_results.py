"""What the notebook's own steps gave: the figures that the pipeline is held against.

They were measured with scikit-learn 1.9.1, at its default tolerance, on MNIST.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from digits.config.params import Train


@dataclass(frozen=True)
class Figure:
    """The result of one of the notebook's variants, and the parameters it is of."""

    model: str
    C: float | None
    digits: tuple[int, ...]
    cuts: tuple[float, ...]
    right: int  # test images
    n_images: int

    @property
    def accuracy(self) -> float:
        """The share of the test images that is right, from 0 to 1."""
        return self.right / self.n_images


_TEN = tuple(range(10))
FIGURES = {
    "linear_binary": Figure("linear_regression", None, (0, 1), (0.49,), 2103, 2115),
    "logistic_binary": Figure("logistic_regression", 0.01, (0, 1), (), 2114, 2115),
    "linear_digits": Figure(
        "linear_regression", None, _TEN, tuple(i + 0.5 for i in range(9)), 2303, 10000
    ),
    "one_vs_rest": Figure("one_vs_rest_logistic", 1.0, _TEN, (), 9178, 10000),
    "multinomial": Figure("multinomial_logistic", 1.0, _TEN, (), 9218, 10000),
}


def figure(
    name: str,
    train: Train,
    digits: Sequence[int],
    cuts: Sequence[float],
) -> Figure | None:
    """Return the notebook's figure of a variant on MNIST, None if it has none.

    A variant of the same name with other digits, thresholds or penalty is another one.
    """
    known = None if train.preprocess else FIGURES.get(name)
    C = getattr(train, "C", None)
    same = known and (known.model, known.C, known.digits, known.cuts) == (
        train.model,
        C,
        tuple(sorted(digits)),
        tuple(cuts),
    )
    return known if same else None
