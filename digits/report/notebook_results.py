"""The results of the reference notebook, with which the pipeline's are compared.

They were measured with scikit-learn 1.9.1, at its default tolerance, on MNIST.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from digits.config.params import Train

# The default `tol` of scikit-learn's logistic regression.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class NotebookResult:
    """The result of one of the notebook's variants, and its parameters.

    Attributes:
        model: The value of `train.model`.
        C: The inverse penalty; None for models without one.
        classes: The labels, ascending.
        thresholds: Ascending; empty for models without thresholds.
        correct: The number of test images that are classified correctly.
        n_images: The number of test images.
    """

    model: str
    C: float | None
    classes: tuple[int, ...]
    thresholds: tuple[float, ...]
    correct: int
    n_images: int

    @property
    def accuracy(self) -> float:
        """The share of the test images that is correct, from 0 to 1."""
        return self.correct / self.n_images


_TEN = tuple(range(10))
_HALVES = tuple(i + 0.5 for i in range(9))
RESULTS = {
    "linear_binary": NotebookResult("linear_regression", None, (0, 1), (0.49,), 2103, 2115),
    "logistic_binary": NotebookResult("logistic_regression", 0.01, (0, 1), (), 2114, 2115),
    "linear_digits": NotebookResult("linear_regression", None, _TEN, _HALVES, 2303, 10000),
    "one_vs_rest": NotebookResult("one_vs_rest_logistic", 1.0, _TEN, (), 9178, 10000),
    "multinomial": NotebookResult("multinomial_logistic", 1.0, _TEN, (), 9218, 10000),
}


def find(
    name: str,
    train: Train,
    classes: Sequence[int],
    thresholds: Sequence[float],
) -> NotebookResult | None:
    """Return the notebook's result for a variant on MNIST; None if it has none.

    A variant of the same name with other classes, thresholds, preprocessing or penalty is
    a different one.
    """
    result = None if train.preprocess else RESULTS.get(name)
    C = getattr(train, "C", None)
    same = result and (result.model, result.C, result.classes, result.thresholds) == (
        train.model,
        C,
        tuple(sorted(classes)),
        tuple(thresholds),
    )
    return result if same else None
