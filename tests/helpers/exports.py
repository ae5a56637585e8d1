"""Models to export, fitted on generated data."""

from digits.data.dataset import Split
from digits.export.fitted import Fitted
from stages import train
from tests.helpers.project import generate, options

DATA = generate(600, 200, seed=3)  # ten overlapping classes, 8 by 8
LOGISTIC = {"C": 0.1, "max_iter": 500, "tol": 1e-9}
TEN = tuple(0.5 + k for k in range(9))
# by name: the number of classes, the block `train`, the thresholds
LINEAR = {
    "binary": (2, options("linear_regression"), (0.49,)),
    "digits": (10, options("linear_regression"), TEN),
    "logistic": (2, options("logistic_regression", **LOGISTIC), ()),
    "one_vs_rest": (10, options("one_vs_rest_logistic", **LOGISTIC), ()),
    "one_vs_rest_of_two": (2, options("one_vs_rest_logistic", **LOGISTIC), ()),
    "multinomial": (10, options("multinomial_logistic", **LOGISTIC), ()),
    "multinomial_of_two": (2, options("multinomial_logistic", **LOGISTIC), ()),
    "one_hot": (10, options("one_hot_regression"), ()),
    "one_hot_of_two": (2, options("one_hot_regression"), ()),
}


def split(part, n_classes):
    """Return the images of the last classes, so that labels differ from class indices."""
    kept = part.labels >= 10 - n_classes
    return Split(part.images[kept], part.labels[kept])


def fit(name, block, n_classes=10, thresholds=()):
    """Return a fitted variant, and the test images of its classes."""
    model = train.train(split(DATA.train, n_classes), block)
    parameters = {"subset": "digits", "train": block.model_dump(), "evaluate": {}}
    metadata = {"parameters": parameters, "versions": {"digits": "0.1.0"}}
    images = split(DATA.test, n_classes).images
    return Fitted(name, model, thresholds, images.shape[1:], metadata), images


def predicted(fitted, images):
    """Return the labels that the pipeline predicts."""
    model = fitted.model
    scores = model.scores(images)
    return model.classes[model.decision.predict(scores, fitted.thresholds)]
