"""The log-losses: of independent problems of two classes, and of one softmax.

Arrays of samples are in blocks, (n_blocks, n_outputs, BLOCK_ROWS), as in `standardized`.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

MIN_PROBABILITY = 1e-7  # below it, the logarithm of a probability is cut off


class Loss(ABC):
    """The log-loss of a sample as a function of its scores.

    Attributes:
        coupled: Whether all outputs belong to one problem, or each is its own problem.
        padding_target: Target of the padded rows.
    """

    coupled: ClassVar[bool]
    padding_target: ClassVar[int]

    @staticmethod
    @abstractmethod
    def targets(member: np.ndarray) -> np.ndarray:
        """Return the targets Y, int8; member: whether a sample is of a class, bool."""

    @staticmethod
    @abstractmethod
    def evaluate(Z: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Evaluate the loss of each sample and its derivatives.

        Args:
            Z: Scores.
            Y: Targets.

        Returns:
            The loss of each problem, the residuals (the derivatives by the scores), and
            the curvature, as `curvature` returns it.
        """

    @staticmethod
    @abstractmethod
    def curvature(R: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Return the second derivatives by the scores, from the residuals R.

        Of a softmax these are the probabilities p: its Hessian is diag(p) - p pᵀ.
        """

    @staticmethod
    @abstractmethod
    def at_zero(n_outputs: int) -> float:
        """Return the loss of a sample whose scores are all 0."""

    def n_problems(self, n_outputs: int) -> int:
        """Return the number of problems that can be solved independently."""
        return 1 if self.coupled else n_outputs


class LogisticLoss(Loss):
    """The log-loss of independent problems, each of the classes -1 and +1."""

    coupled = False
    padding_target = 1

    @staticmethod
    def targets(member: np.ndarray) -> np.ndarray:
        """Return +1 where a sample is of the class, else -1, as int8."""
        return np.where(member, 1, -1).astype(np.int8)

    @staticmethod
    def evaluate(Z: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the losses, the residuals and p(1 - p), all shaped like Z."""
        margin = Y * Z
        E = np.exp(-np.abs(margin))
        q = np.where(margin > 0, E, 1) / (1 + E)  # probability of the wrong class
        return np.log1p(E) - np.minimum(margin, 0), -Y * q, q * (1 - q)

    @staticmethod
    def curvature(R: np.ndarray, Y: np.ndarray) -> np.ndarray:  # noqa: ARG004 (a softmax needs the targets)
        """Return p(1 - p)."""
        q = np.abs(R)
        return q - q * q

    @staticmethod
    def at_zero(n_outputs: int) -> float:  # noqa: ARG004 (a softmax needs the number)
        """Return log 2."""
        return float(np.log(2))


class SoftmaxLoss(Loss):
    """The log-loss of one problem of many classes."""

    coupled = True
    padding_target = 0

    @staticmethod
    def targets(member: np.ndarray) -> np.ndarray:
        """Return 1 where a sample is of the class, else 0, as int8."""
        return member.astype(np.int8)

    @staticmethod
    def evaluate(Z: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the losses, (n_blocks, 1, BLOCK_ROWS), the residuals and p."""
        top = Z.max(axis=1, keepdims=True)
        P = np.exp(Z - top)
        total = P.sum(axis=1, keepdims=True)
        P /= total
        loss = np.log(total) + top - (Z * Y).sum(axis=1, keepdims=True)
        return loss, P - Y, P

    @staticmethod
    def curvature(R: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Return the probabilities p."""
        return R + Y

    @staticmethod
    def at_zero(n_outputs: int) -> float:
        """Return the logarithm of the number of classes."""
        return float(np.log(n_outputs))


def floored_curvature(R: np.ndarray) -> np.ndarray:
    """Return p(1 - p) of the logistic loss, raised where a sample is far on the wrong side.

    There p(1 - p) is nearly 0, and a Newton step would be of the order of e^|score|. The
    slope of the secant to the score where the sample is classified correctly is larger.

    Args:
        R: Residuals.
    """
    q = np.abs(R)
    wrong = np.log(np.maximum(q, 0.5) / np.maximum(1 - q, MIN_PROBABILITY))
    return np.maximum(q * (1 - q), q / (4 + wrong))
