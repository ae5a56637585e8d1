"""The comparisons in docs/comparing.md are those of the results on MNIST."""

import subprocess
import sys
from math import sqrt

import numpy as np
import pytest
from scipy import stats

from digits import certainty
from digits.data import dataset
from stages import train
from tests.helpers.documentation import PAGES
from tests.helpers.project import ROOT, options, read_csv

pytestmark = pytest.mark.results

PAGE = PAGES["docs/comparing.md"]


def wrong(variant):
    """Return the test images that a variant misclassifies."""
    return {int(row["image"]) for row in read_csv(ROOT / f"metrics/{variant}/mistakes.csv")}


def n_images(variant):
    rows = read_csv(ROOT / f"metrics/{variant}/confusion.csv")
    return sum(int(row["count"]) for row in rows)


def row(wrong_a, wrong_b, n):
    """Return the end of a row of the table, computed with SciPy alone."""
    only_a, only_b = len(wrong_b - wrong_a), len(wrong_a - wrong_b)
    p_value = stats.binomtest(only_a, only_a + only_b).pvalue
    # Agresti and Min: each of the four cells with half an image more
    a, b, total = only_a + 0.5, only_b + 0.5, n + 2
    error = sqrt(a + b - (b - a) ** 2 / total) / total
    low, high = stats.norm.interval(0.95, (b - a) / total, error)
    better = "better" if p_value <= 0.05 else "no clear difference"
    return (
        f"| {n} | {only_a} | {only_b} | {(only_b - only_a) / n:+.4f} "
        f"({low:+.4f} to {high:+.4f}) | {p_value:.4f} | {better} |\n"
    )


@pytest.mark.parametrize(
    ("a", "b"), [("one_vs_rest", "multinomial"), ("linear_binary", "logistic_binary")]
)
def test_two_variants_differ_as_the_page_says(a, b):
    assert f"| `{a}` | `{b}` {row(wrong(a), wrong(b), n_images(a))}" in PAGE


def test_another_threshold_differs_as_the_page_says():
    with np.load(ROOT / "data/predictions/linear_binary.npz") as predictions:
        above = predictions["scores"][:, 0] > 0.3
        other = {*np.flatnonzero(above != predictions["actual"]).tolist()}
    expected = row(wrong("linear_binary"), other, 2115)
    name = "`linear_binary`, threshold 0.49"
    assert f"| {name} | the same with 0.3 {expected}" in PAGE


def test_another_C_differs_as_the_page_says():
    data = dataset.load(ROOT / "data/subsets/digits")
    block = options("multinomial_logistic", C=0.001, max_iter=2000, tol=1e-9)
    scores = train.train(data.train, block).scores(data.test.images)
    other = {*np.flatnonzero(scores.argmax(axis=1) != data.test.labels).tolist()}
    expected = row(wrong("multinomial"), other, 10000)
    assert f"| `multinomial`, C = 1 | the same with C = 0.001 {expected}" in PAGE
    with np.load(ROOT / "data/predictions/multinomial.npz") as predictions:
        losses_a, losses_b = (
            losses(s, data.test.labels) for s in (predictions["scores"], scores)
        )
    low, high = certainty.log_loss_interval(losses_a, losses_b)
    old, new = losses_a.mean(), losses_b.mean()
    assert f" {new:.3f} instead of {old:.3f}\n(the difference is {new - old:.3f}" in PAGE
    assert f"(the difference is {new - old:.3f}, from {low:.3f} to {high:.3f})" in PAGE


def losses(scores, labels):
    """Return -log p(actual class) of the softmax."""
    largest = scores.max(axis=1, keepdims=True)
    sums = np.log(np.exp(scores - largest).sum(axis=1)) + largest[:, 0]
    return sums - scores[np.arange(len(labels)), labels]


def test_the_command_prints_what_the_page_shows():
    names = ("one_vs_rest", "multinomial")
    command = f"digits compare --variants {' '.join(names)}"
    shown = PAGE.split(f"```console\n$ {command}\n")[1].split("```\n")[0]
    result = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout == shown
    a, b = map(wrong, names)
    n_both, n_none = 10000 - len(a | b), len(a & b)
    assert f"{n_both:,} images correctly and {n_none} wrongly" in " ".join(PAGE.split())
    assert f"{len(b)}\nerrors instead of {len(a)}" in PAGE
