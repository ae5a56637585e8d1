"""Calibration: whether a model's probabilities agree with the share that is correct."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: confidence and accuracy in equally wide bins from 0 to 1.

    The confidence is the probability of the most likely class. Source: Guo et al., "On
    calibration of modern neural networks", 2017.

    Attributes:
        counts: (n_bins,) images whose confidence is in the bin.
        confidence: (n_bins,) mean confidence of these images; 0 if there are none.
        accuracy: (n_bins,) share of these images that is correct; 0 if there are none.
        error: The expected calibration error: the mean over all images of the difference
            between confidence and accuracy of their bin.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float


def reliability(
    log_probabilities: np.ndarray, actual: np.ndarray, n_bins: int = 10
) -> Reliability:
    """Return the reliability diagram of a model's probabilities.

    Args:
        log_probabilities: (n_samples, n_classes).
        actual: (n_samples,) class indices.
        n_bins: The number of bins.
    """
    likeliest = log_probabilities.argmax(axis=1)
    stated = np.exp(log_probabilities[np.arange(len(actual)), likeliest])
    # Rounded, so that the last bits of the exponential move no image to another bin.
    bins = np.minimum((stated.round(12) * n_bins).astype(np.intp), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    n_images = np.maximum(counts, 1)
    confidence = np.bincount(bins, stated, n_bins) / n_images
    accuracy = np.bincount(bins, likeliest == actual, n_bins) / n_images
    error = math.fsum(np.abs(confidence - accuracy) * counts) / len(actual)
    return Reliability(counts, confidence, accuracy, error)
