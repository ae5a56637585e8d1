"""Report pages of variants with random weights."""

from functools import cache

import numpy as np

from digits import robustness
from digits.data import dataset
from digits.data.dataset import DIGITS
from digits.methods import lenet5
from digits.models.decision import RULES, Softmax
from digits.models.linear import LinearModel
from digits.report import content, graph, render
from digits.report.result import Result
from tests.helpers.project import ROOT, options

MODELS = {
    "threshold": "linear_regression",
    "sigmoid": "logistic_regression",
    "one_vs_rest": "one_vs_rest_logistic",
    "softmax": "multinomial_logistic",
}


def result(name, decision, classes, split, seed=0):
    """Return a variant with random weights, and its predictions for the images."""
    rng = np.random.default_rng(seed)
    kept = dataset.select(split, classes)
    rule = RULES[decision]
    n_outputs = rule.n_outputs(len(classes))
    n_pixels = kept.images[0].size
    model = LinearModel(
        mean=rng.random(n_pixels),
        scale=rng.random(n_pixels) + 9,
        coef=rng.normal(size=(n_outputs, n_pixels)),
        intercept=rng.normal(size=n_outputs),
        classes=np.array(classes, np.uint8),
        decision=rule,
    )
    thresholds = tuple(i + 0.5 for i in range(rule.n_thresholds(len(classes))))
    scores = model.scores(kept.images)
    train = (
        options("linear_regression")
        if decision == "threshold"
        else options(MODELS[decision], C=1.0, max_iter=9, tol=0.1)
    )
    return Result(
        name=name,
        subset="some",
        train=train,
        thresholds=thresholds,
        classes=model.classes,
        decision=rule,
        model=model,
        scores=scores,
        actual=kept.labels,
        predicted=model.classes[rule.predict(scores, thresholds)],
        flipped_at=robustness.smallest_levels(model, kept.images, thresholds),
    )


@cache
def stages():
    return graph.nodes(ROOT / "dvc.yaml")


def random_lenet5(shape, seed=0, n_classes=3):
    """Return a LeNet-5 with random weights."""
    rng = np.random.default_rng(seed)
    n_features = 16 * lenet5.map_side(shape[0]) * lenet5.map_side(shape[1])
    shapes = {
        "kernel_1": (5, 5, 1, 6), "kernel_2": (5, 5, 6, 16),
        "dense_1": (n_features, 120), "dense_2": (120, 84), "dense_3": (84, n_classes),
    }  # fmt: skip
    for i, n in enumerate((6, 16, 120, 84, n_classes), start=1):
        shapes[f"bias_{i}"] = (n,)
    return lenet5.LeNet5(
        classes=np.arange(n_classes, dtype=np.uint8), decision=Softmax(),
        height=shape[0], width=shape[1],
        **{name: rng.normal(0, 0.2, each).astype(np.float32)
           for name, each in shapes.items()},
    )  # fmt: skip


def page_of(results, split, *, parameters=(("dataset.name", "custom"),), **described):
    """Return the page of some variants, as the stage makes it."""
    dataset_info = {
        "name": "custom", "title": "Own", "source": "data/own", "names": DIGITS,
        "n_train": 1,
    }  # fmt: skip
    payload, text = content.payload(results, split, dataset_info | described)
    return render.render(
        {
            "payload": payload,
            "packed_arrays": text,
            "sha256": {"x_test": "0" * 64},
            "parameters": parameters,
            "stages": stages(),
        }
    )
