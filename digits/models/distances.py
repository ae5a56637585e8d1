"""Distances between images."""

import numpy as np


def squared_distances(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return ‖x - y‖² of each x in X and y in Y.

    Args:
        X: (n, n_pixels) float32 or float64.
        Y: (m, n_pixels) of the same type.

    Returns:
        (n, m) of the same type; exact if all sums of squares are whole numbers that the
        type holds.
    """
    distances = X @ (-2 * Y.T)
    distances += np.einsum("ij,ij->i", X, X)[:, None]
    distances += np.einsum("ij,ij->i", Y, Y)
    return distances
