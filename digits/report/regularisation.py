"""The regularisation path: a logistic regression for several values of C, for the page."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from digits.data import files
from digits.models.linear import LinearModel

# The colours of the weights stop at a quantile, as in page/weights_section.js.
COLOUR_QUANTILE = 0.99
MOST_INT8 = 127


@dataclass(frozen=True)
class RegularisationPath:
    """The models of a subset, by C ascending; none if fitting them would take too long.

    Attributes:
        classes: (n_classes,) uint8, the labels, ascending.
        C: (n_values,) float64, the inverse strength of the penalty.
        weights: (n_values, n_outputs, n_pixels) int8, the weights of standardised pixels in
            127ths of `limits`; larger ones are cut off.
        limits: (n_values,) float64, where the colours of the weights stop.
        errors: (n_values, 2) int64, misclassified training and test images.
        log_loss: (n_values, 2) float64, of training and test images, to six decimals.
        half_levels: (n_values,) int64, the smallest change of all pixels, in whole grey
            levels, that flips at least half of the answers; 256: none does.
        sizes: (4,) int64, the numbers of images that the models were fitted to, of all
            training images, of test images, and of those whose answers are to be flipped.
    """

    classes: np.ndarray
    C: np.ndarray
    weights: np.ndarray
    limits: np.ndarray
    errors: np.ndarray
    log_loss: np.ndarray
    half_levels: np.ndarray
    sizes: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: The file is missing or damaged.
        """
        try:
            found = cls(**files.read_npz(path, [field.name for field in fields(cls)]))
        except (OSError, ValueError) as error:
            raise files.unusable(path, f"cannot be read ({error})") from error
        if problem := found._problem():
            raise files.unusable(path, problem)
        return found

    def save(self, path: Path) -> None:
        """Write the arrays; the same ones give the same bytes."""
        files.write_npz(path, **vars(self))

    def _problem(self) -> str | None:
        """Return what is wrong with the arrays, None if nothing is."""
        n_classes, n_values = self.classes.size, self.C.size
        n_outputs = 1 if n_classes == 2 else n_classes  # noqa: PLR2004
        expected = {
            "classes": (n_classes,),
            "C": (n_values,),
            "weights": (n_values, n_outputs, *(self.weights.shape[2:3] or (1,))),
            "limits": (n_values,),
            "errors": (n_values, 2),
            "log_loss": (n_values, 2),
            "half_levels": (n_values,),
            "sizes": (4,),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype.kind not in "uif":
                return f"{name} is not an array of numbers of the shape {shape}"
            if not np.isfinite(array).all():
                return f"{name} has values that are not finite"
        return None

    def plain(self, subset: str) -> dict[str, Any]:
        """Return plain values, as `RegularisationPath` in page/payload.js."""
        n_train, n_all, n_test, n_changed = self.sizes.tolist()
        return {
            "subset": subset,
            "classes": self.classes.tolist(),
            "C": self.C.tolist(),
            "limits": self.limits.tolist(),
            "errors": self.errors.tolist(),
            "log_loss": self.log_loss.tolist(),
            "half_levels": self.half_levels.tolist(),
            "n_train": n_train,
            "n_all": n_all,
            "n_test": n_test,
            "n_changed": n_changed,
        }


def drawn_weights(model: LinearModel) -> tuple[np.ndarray, float]:
    """Return the weights of standardised pixels as bytes.

    Args:
        model: The model.

    Returns:
        weights: (n_outputs, n_pixels) int8, in 127ths of the limit.
        limit: The 99th percentile of the sizes of the weights that are not 0; 1 if all are.
    """
    sizes = np.sort(np.abs(model.coef[model.coef != 0]))
    limit = float(sizes[int(COLOUR_QUANTILE * (len(sizes) - 1))]) if len(sizes) else 1.0
    shares = np.clip(model.coef / limit, -1, 1)
    return np.rint(MOST_INT8 * shares).astype(np.int8), limit
