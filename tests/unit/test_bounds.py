"""Each parameter has limits in the schema, within which a fit works or is refused.

The models and their parameters are read from the code, so new ones are tested as well.
"""

import dataclasses
import itertools
import json
import signal
from contextlib import contextmanager
from importlib import import_module
from math import inf, isfinite, log10, nextafter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digits import memory, methods
from digits.config import params
from digits.data import dataset
from digits.data.dataset import Dataset, Split
from digits.errors import InputError
from digits.methods import support_vectors
from digits.models.base import are_finite
from digits.models.training_log import TrainingLog
from stages import evaluate, train
from tests.helpers.project import generate, options

SECONDS = 60  # for a fit that takes less than two, on a busy machine
FEW = {"epochs": 2}  # slower methods
QUICK = [name for name in methods.NAMES if name != "lenet5"]


def ranges(model):
    """Return each parameter's values: a list, or the type and both limits."""
    schema = import_module(f"digits.methods.{model}").Options.model_json_schema()
    return {
        name: values(name, field)
        for name, field in schema["properties"].items()
        if name != "model"
    }


def values(name, field):
    if "anyOf" in field:
        kinds = [values(name, kind) for kind in field["anyOf"]]
        assert all(isinstance(kind, list) for kind in kinds), name
        return list(itertools.chain(*kinds))
    if field.get("type") == "null":
        return [None]
    if "enum" in field or "const" in field:
        return field.get("enum", [field.get("const")])
    kind = {"integer": int, "number": float}[field["type"]]
    low, high = field.get("minimum"), field.get("maximum")
    if low is None:  # the limit is exclusive
        low = nextafter(float(field["exclusiveMinimum"]), inf)
    if high is None:
        high = nextafter(float(field["exclusiveMaximum"]), -inf)
    return kind, kind(low), kind(min(high, FEW.get(name, high)))


def between(kind, low, high):
    """Return a strategy for numbers from low to high, of all orders of magnitude."""
    if kind is int:
        spread = st.integers(low, high)
    else:
        small = max(low, high * 1e-30)
        orders = st.floats(log10(small), log10(high))
        spread = orders.map(lambda order: min(max(10.0**order, low), high))
    return st.sampled_from([low, high]) | spread


def ends(model):
    """Return all combinations of each parameter's lowest and highest value."""
    choices = {
        name: given if isinstance(given, list) else given[1:]
        for name, given in ranges(model).items()
        if name != "preprocess"
    }
    return [
        dict(zip(choices, chosen, strict=True))
        for chosen in itertools.product(*choices.values())
    ]


@pytest.fixture(scope="module")
def data():
    """Sixty images of four shapes, a fifth of them with a wrong label."""
    clean = generate(150, 50, seed=1)
    train, test = (
        Split(*(a[split.labels < 4] for a in split)) for split in (clean.train, clean.test)
    )
    rng = np.random.default_rng(2)
    labels = np.where(rng.random(60) < 0.2, rng.integers(0, 4, 60), train.labels)
    return Dataset(Split(train.images, labels.astype(np.uint8)), test)


@pytest.fixture(autouse=True)
def little_memory(request, monkeypatch):
    """Refuse what would fit into the memory of a large machine and take minutes there."""
    free = 2**31 if "lenet5" in request.node.name else 2**28  # TensorFlow needs more
    monkeypatch.setattr(memory, "_physical", lambda: {"free": free})


@contextmanager
def in_time():
    def stop(*_):
        pytest.fail(f"takes more than {SECONDS} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def works_or_is_refused(model, parameters, data, folder):
    """Fit; assert that all results are finite, or that the fit is refused."""
    block, split = options(model, **parameters), data.train
    if block.most_classes:
        of_two = np.isin(split.labels, np.unique(split.labels)[:2])
        split = Split(*(array[of_two] for array in split))
    training_log = TrainingLog(checkpoint_dir=folder)
    try:
        with in_time():
            fitted = train.train(split, block, training_log)
            train.refuse_not_finite(fitted, training_log, split.images, block)
    except InputError as error:
        assert str(error).startswith("train.")  # noqa: PT017 (both outcomes are right)
        return False
    assert fitted.problem() is None
    assert are_finite(fitted.scores(data.test.images))
    return True


# The keys of a schema that limit values of a type: at least one of each group.
LIMITS = {
    "integer": (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")),
    "number": (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")),
    "string": (("maxLength", "enum", "const"),),
    "array": (("maxItems",),),
    "object": (("maxProperties", "properties"),),
}


# What is tried has the limits of the parameter itself, in the variant's own block.
TRIED = ".$defs.Tuning.properties.grid.additionalProperties.oneOf.items"


def unlimited(schema, path=""):
    """Yield the paths of a schema's values that have no limit."""
    if path == TRIED:
        return
    if isinstance(schema, dict):
        for limits in LIMITS.get(schema.get("type"), ()):
            if not any(limit in schema for limit in limits):
                yield f"{path}: no {' or '.join(limits)}"
        for key, part in schema.items():
            yield from unlimited(part, f"{path}.{key}")
    elif isinstance(schema, list):
        for part in schema:
            yield from unlimited(part, path)


def test_each_value_has_its_limits_in_the_schema():
    assert list(unlimited(params.schema())) == []
    models_ = {
        block["properties"]["model"]["const"]
        for block in params.schema()["$defs"].values()
        if "model" in block["properties"]
    }
    assert models_ == set(methods.NAMES)


def test_a_missing_limit_is_found():
    wrong = {"type": "object", "properties": {"C": {"type": "number", "minimum": 0}}}
    assert list(unlimited(wrong)) == [".properties.C: no maximum or exclusiveMaximum"]


@pytest.mark.slow
@pytest.mark.parametrize("model", QUICK)
def test_at_all_corners_of_its_limits_a_fit_is_finite_or_refused(model, data, tmp_path):
    for parameters in ends(model):
        works_or_is_refused(model, parameters, data, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model", QUICK)
def test_anywhere_within_its_limits_a_fit_is_finite_or_refused(
    model, data, tmp_path_factory
):
    drawn = {
        name: st.sampled_from(given) if isinstance(given, list) else between(*given)
        for name, given in ranges(model).items()
    }

    @settings(max_examples=15)
    @given(st.fixed_dictionaries(drawn))
    def check(parameters):
        works_or_is_refused(model, parameters, data, tmp_path_factory.getbasetemp())

    check()


LENET5 = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 0.01,
    "weight_decay": 0.05,
    "max_shift": 1,
    "validation_split": 0.1,
    "seed": 0,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ranges("lenet5"), "all"])
def test_at_each_end_of_its_limits_lenet5_is_finite_or_refused(name, data, tmp_path):
    names = [name] if name != "all" else list(LENET5)
    given = ranges("lenet5")
    for at in (0, -1):
        changed = {name: [*given[name]][-2:][at] for name in names}
        works_or_is_refused("lenet5", LENET5 | changed, data, tmp_path)


@pytest.mark.slow
def test_a_diverging_training_of_lenet5_is_refused(data, tmp_path):
    block = options("lenet5", **LENET5 | {"learning_rate": 1.0, "weight_decay": 10.0,
                                          "epochs": 40})  # fmt: skip
    expected = r"train\.learning_rate: with 1, and a weight_decay of 10, the training div"
    with pytest.raises(InputError, match=expected):
        train.train(data.train, block, TrainingLog(checkpoint_dir=tmp_path))


TOO_MUCH = {
    "neighbours": ("nearest_neighbours", {"k": 61}, "train.k: there are only 60 images, got 61"),
    "components": ("principal_quadratic", {"components": 65}, "train.components: 65 are more than the 64 pixels"),
    "components that do not vary": ("principal_quadratic", {"components": 64}, "train.components: the images have fewer than 64 that vary"),
    "products": ("principal_quadratic", {"components": 20}, "train.components: 20, that is 230 products, gives features that depend on each other on these 60 images"),
    "too few centres": ("radial_basis", {"centres": 3, "sigma": 300.0, "ridge": 1e-6, "seed": 0}, "train.centres: 3 gives class 3 0 centres"),
    "too many centres": ("radial_basis", {"centres": 61, "sigma": 300.0, "ridge": 1e-6, "seed": 0}, "train.centres: 61 gives class "),
    "a sigma at which all are alike": ("radial_basis", {"centres": 8, "sigma": 1e6, "ridge": 0.0, "seed": 0}, "train.centres: 8 gives features that depend on each other"),
    "a sigma at which all are nothing": ("radial_basis", {"centres": 8, "sigma": 0.01, "ridge": 0.0, "seed": 0}, "train.centres: 8 gives features that depend on each other"),
    "features without a ridge": ("random_features", {"features": 100, "ridge": 0.0, "seed": 0}, "train.features: 100 gives features that depend on each other"),
    "features for the memory": ("random_features", {"features": 100_000, "ridge": 1.0, "seed": 0}, "train.features: 100000 features of 60 images needs 381,"),
    "a batch": ("lenet5", LENET5 | {"batch_size": 55}, "train.batch_size: 55 are more than the 54 images to train on (of 60"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "parameters", "message"), TOO_MUCH.values(), ids=TOO_MUCH
)
def test_a_parameter_that_the_data_does_not_allow_is_refused_with_its_limit(
    model, parameters, message, data
):
    with pytest.raises(InputError) as caught:
        train.train(data.train, options(model, **parameters))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("limits", [{"MAX_ROUNDS": 1, "ADDED": 4}, {"MAX_STEPS": 1}])
def test_support_vector_machines_that_do_not_converge_are_refused(
    limits, data, monkeypatch
):
    for name, limit in limits.items():
        monkeypatch.setattr(support_vectors, name, limit)
    with pytest.raises(
        InputError, match=r"train\.C: with 100, and a gamma of 0\.01, no sol"
    ):
        train.train(data.train, options("support_vectors", C=100.0, gamma=0.01))


def not_a_number(model, training_log):
    coef = model.coef.copy()
    coef[0, 0] = np.nan
    return dataclasses.replace(model, coef=coef)


def overflowing(model, training_log):
    return dataclasses.replace(model, coef=np.full_like(model.coef, 1e306))


def measured_as_nothing(model, training_log):
    training_log.record(1, "log-loss", np.inf)
    return model


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (not_a_number, "coef has values that are not finite"),
        (overflowing, "its scores are not finite"),
        (measured_as_nothing, "a measure of the training is not finite"),
    ],
)
def test_values_that_are_not_finite_are_not_recorded(
    spoil, problem, data, tmp_path, monkeypatch
):
    text = """\
dataset: {name: mnist, source: auto}
subsets: {four: {classes: [0, 1, 2, 3]}}
variants:
  soft:
    subset: four
    train: {model: multinomial_logistic, C: 0.5, max_iter: 9, tol: 0.1}
    evaluate: {}
"""
    (tmp_path / "params.yaml").write_text(text)
    dataset.save(tmp_path / "data/subsets/four", data)
    fit = train.train
    monkeypatch.setattr(train, "train", lambda *given: spoil(fit(*given), given[-1]))
    with pytest.raises(InputError) as caught:
        train.main(params.load(tmp_path / "params.yaml"), "soft", tmp_path)
    assert str(caught.value) == (
        f"variant soft: train: the fit of multinomial_logistic failed ({problem}). Nothing "
        "is saved; its parameters are the likely cause: C 0.5, max_iter 9, tol 0.1"
    )
    assert not (tmp_path / "data/models").exists()
    assert not (tmp_path / "metrics").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("digits", "thresholds"),
    [
        ([0, 1], "threshold: -1.0e+6"),
        ([0, 1], "threshold: 1.0e+6"),
        ([0, 1], "threshold: -0.0"),
        ([0, 1], "threshold: 5.0e-324"),
        ([0, 1, 2, 3], "thresholds: [-1.0e+6, 0.0, 1.0e+6]"),
        ([0, 1, 2, 3], "thresholds: [0.0, 5.0e-324, 1.0e-323]"),
    ],
)
def test_at_its_limits_a_threshold_gives_finite_results(digits, thresholds, data, tmp_path):
    (tmp_path / "params.yaml").write_text(f"""\
dataset: {{name: mnist, source: auto}}
subsets: {{some: {{classes: {digits}}}}}
variants:
  line: {{subset: some, train: {{model: linear_regression}}, evaluate: {{{thresholds}}}}}
""")
    checked = params.load(tmp_path / "params.yaml")
    chosen = Dataset(*(dataset.select(split, digits) for split in (data.train, data.test)))
    dataset.save(tmp_path / "data/subsets/some", chosen)
    train.main(checked, "line", tmp_path)
    evaluate.main(checked, "line", tmp_path)
    measured = json.loads((tmp_path / "metrics/line.json").read_text())
    assert all(map(isfinite, measured.values()))
