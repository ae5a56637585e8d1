"""How far a model's probabilities can be believed."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """What a model says of itself, and what is so, in equally wide bins from 0 to 1.

    counts: (n_bins,) images whose likeliest class has a probability in the bin
    stated: (n_bins,) mean of these probabilities; 0 if there is no image
    right: (n_bins,) share of these images that is right; 0 if there is no image
    gap: mean of |stated - right| over all images (the expected calibration error)

    Source: Guo et al., "On calibration of modern neural networks", 2017.
    """

    counts: np.ndarray
    stated: np.ndarray
    right: np.ndarray
    gap: float


def reliability(
    log_probabilities: np.ndarray, actual: np.ndarray, n_bins: int = 10
) -> Reliability:
    """Return how well the probability of the likeliest class is met.

    log_probabilities: (n_samples, n_classes)
    actual: (n_samples,) class indices
    """
    likeliest = log_probabilities.argmax(axis=1)
    stated = np.exp(log_probabilities[np.arange(len(actual)), likeliest])
    bins = np.minimum((stated * n_bins).astype(np.intp), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    n_images = np.maximum(counts, 1)
    mean = np.bincount(bins, stated, n_bins) / n_images
    right = np.bincount(bins, likeliest == actual, n_bins) / n_images
    gap = float(np.abs(mean - right) @ counts / len(actual))
    return Reliability(counts, mean, right, gap)
