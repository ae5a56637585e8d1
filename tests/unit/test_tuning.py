import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, cross_val_score

from digits import methods, pipeline, process
from digits.config import cli, params
from digits.data import dataset
from digits.data.dataset import Split
from digits.errors import InputError
from digits.models.decision import RULES, Probabilistic
from digits.solvers import path
from digits.thresholds import best_thresholds
from digits.tuning import candidates, choice, folds, paths, tasks
from digits.tuning.candidates import Candidate
from digits.tuning.tasks import HeldOut, Store, Task
from stages import train, tune
from tests.helpers.params import GOOD
from tests.helpers.project import options

GRID = "grid: {C: [0.01, 0.1]}"
TUNED = f"{GOOD}\ntuning:\n  one:\n    variant: multinomial\n    {GRID}\n"

# The text that is replaced, its replacement, and what the message must name.
MISTAKES = {
    "another variant": ("variant: multinomial", "variant: multinominal", "tuning.one.variant: must be one of linear_binary, logistic_binary,"),
    "a misspelt parameter": ("C: [", "max_itr: [", "tuning.one.grid.max_itr: multinomial_logistic has no such parameter; did you mean 'max_iter'?"),
    "an unknown parameter": ("C: [", "epochs: [", "tuning.one.grid.epochs: multinomial_logistic has no such parameter; it has C, max_iter, preprocess, solver, tol"),
    "the model": ("C: [0.01, 0.1]", "model: [lenet5]", "grid.model: multinomial_logistic has no such"),
    "the subset": ("C: [0.01, 0.1]", "subset: [binary]", "grid.subset: multinomial_logistic has no such"),
    "a negative value": ("[0.01, 0.1]", "[0.01, -1]", "tuning.one.grid: the candidate C: -1 is refused: train.C: must be greater than or equal to 1e-08, got -1"),
    "an exponent without a point": ("[0.01, 0.1]", "[1e-3, 0.1]", "the candidate C: 1e-3 is refused: train.C: must be a valid number, got '1e-3', which YAML reads as text; write 0.001"),
    "a threshold for a softmax": ("C: [0.01, 0.1]", "threshold: [0.1]", "tuning.one.grid.threshold: multinomial_logistic has no such parameter; it has C,"),
    "best of C": ("0.1]", "best]", "tuning.one: grid.C: only thresholds can be 'best'"),
    "best without a list": ("[0.01, 0.1]", "best", "tuning.one.grid.C: must be a list, got 'best'"),
    "a value twice": ("[0.01, 0.1]", "[0.1, 0.1]", "tuning.one: grid.C has 0.1 twice"),
    "no values": ("[0.01, 0.1]", "[]", "tuning.one.grid.C: needs at least 1 entries"),
    "a mapping as a value": ("[0.01, 0.1]", "[{a: 1}]", "tuning.one.grid.C.0: must be a number, text, or a list of numbers"),
    "no parameters": ("{C: [0.01, 0.1]}", "{}", "tuning.one.grid: needs at least 1 entries"),
    "no grid": (GRID, "folds: 5", "tuning.one.grid: is missing"),
    "too many candidates": (GRID, "grid: {C: {from: 1, to: 2, values: 500, scale: log}, max_iter: [1, 2, 3]}", "tuning.one: grid has 1,500 candidates; there may be 1,000"),
    "too many values": ("[0.01, 0.1]", "{from: 1, to: 2, values: 1001, scale: log}", "tuning.one.grid.C.values: must be less than or equal to 1000"),
    "one value of a range": ("[0.01, 0.1]", "{from: 1, to: 2, values: 1, scale: log}", "tuning.one.grid.C.values: must be greater than or equal to 2"),
    "a range downwards": ("[0.01, 0.1]", "{from: 1, to: 0.1, values: 3, scale: log}", "tuning.one.grid.C: from must be below to, got 1 and 0.1"),
    "a logarithm of zero": ("[0.01, 0.1]", "{from: 0, to: 0.1, values: 3, scale: log}", "tuning.one.grid.C: from must be above 0 on a log scale, got 0"),
    "no scale": ("[0.01, 0.1]", "{from: 1, to: 2, values: 3}", "tuning.one.grid.C.scale: is missing"),
    "values too close": ("[0.01, 0.1]", "{from: 1, to: 1.000001, values: 9, scale: linear}", "tuning.one.grid.C: 9 values from 1 to 1 are the same to 6 digits"),
    "one fold": (GRID, f"folds: 1\n    {GRID}", "tuning.one.folds: must be greater than or equal to 2"),
    "another measure": (GRID, f"measure: errors\n    {GRID}", "tuning.one.measure: must be 'accuracy' or 'log_loss'"),
    "no probabilities": (f"multinomial\n    {GRID}", "linear_binary\n    measure: log_loss\n    grid: {threshold: [0.4]}", "tuning.one.measure: linear_regression has no probabilities; use accuracy"),
    "thresholds for a threshold": (f"multinomial\n    {GRID}", "linear_binary\n    grid: {thresholds: [[0.4]]}", "the candidate thresholds: [0.4] is refused: evaluate: needs either threshold"),
    "too few thresholds": (f"multinomial\n    {GRID}", "linear_digits\n    grid: {thresholds: [[0.4], best]}", "evaluate.thresholds: 10 classes take 9 thresholds, got 1"),
    "an unknown key": (GRID, f"fold: 3\n    {GRID}", "tuning.one.fold: is not a known key; did you mean 'folds'?"),
    "a name that starts with a capital": ("  one:", "  One:", "tuning.One: a name has"),
    "two names that are one file": ("  one:", f"  oNe:\n    variant: multinomial\n    {GRID}\n  one:", "tuning.oNe: differs from one only in case"),
    "a list of tunings": (f"one:\n    variant: multinomial\n    {GRID}", "- one", "tuning: must be a mapping"),
}  # fmt: skip


def test_a_subset_with_altered_copies_cannot_be_tuned(tmp_path):
    path = tmp_path / "params.yaml"
    copies = "digits: {augment: {factor: 2, max_shift: 1}, "
    path.write_text(TUNED.replace("digits: {", copies))
    with pytest.raises(InputError, match=r"tuning.one.variant: the subset digits of mul"):
        params.load(path)


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_tuning_is_one_line(tmp_path, old, new, expected):
    assert old in TUNED
    path = tmp_path / "params.yaml"
    before, _, block = TUNED.rpartition("tuning:")
    path.write_text(f"{before}tuning:{block.replace(old, new, 1)}")
    with pytest.raises(InputError) as caught:
        params.load(path)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def checked(tmp_path, block):
    path = tmp_path / "params.yaml"
    path.write_text(f"{GOOD}\ntuning:\n  one: {block}\n")
    return params.load(path)


def test_without_the_block_there_is_no_tuning(tmp_path):
    (tmp_path / "params.yaml").write_text(GOOD)
    assert params.load(tmp_path / "params.yaml").tuning == {}


def test_ranges_are_rounded_and_several_parameters_make_a_product(tmp_path):
    grid = "{C: {from: 0.0001, to: 1, values: 5, scale: log}, max_iter: [10, 20]}"
    tuning = checked(tmp_path, f"{{variant: multinomial, grid: {grid}}}").tuning["one"]
    assert tuning.lists["C"] == [0.0001, 0.001, 0.01, 0.1, 1]
    listed = [(values["C"], values["max_iter"]) for values in tuning.candidates()]
    assert listed[:3] == [(0.0001, 10), (0.0001, 20), (0.001, 10)]
    assert len(listed) == 10
    grid = "{threshold: {from: 0.3, to: 0.7, values: 41, scale: linear}}"
    tuning = checked(tmp_path, f"{{variant: linear_binary, grid: {grid}}}").tuning["one"]
    assert tuning.lists["threshold"] == [i / 100 for i in range(30, 71)]


def test_what_a_tuning_depends_on_leaves_out_what_it_varies(tmp_path):
    grid = "{C: [0.1, 1], solver: [fast]}"
    block = f"{{variant: multinomial, grid: {grid}}}"
    assert checked(tmp_path, block).tuning_block("one") == {
        "variant": "multinomial",
        "subset": "digits",
        "model": "multinomial_logistic",
        "train": {"model": "multinomial_logistic", "max_iter": 2000, "tol": 1e-9},
        "evaluate": {},
        "folds": 5,
        "seed": 0,
        "measure": "accuracy",
        "grid": {"C": [0.1, 1], "solver": ["fast"]},
        "order": ["C", "solver"],
    }


def test_models_with_probabilities_say_so():
    """So that a tuning by log loss is refused before a fit; the others: test_methods.py."""
    for name in ("lenet5", *paths.RULES):
        assert methods.load(name).Options.has_probabilities
    assert all(isinstance(rule, Probabilistic) for rule in paths.RULES.values())


def test_the_folds_are_a_function_of_labels_and_seed(tiny):
    labels = tiny.train.labels
    fold = folds.assign(labels, 3, 0)
    assert (fold == folds.assign(labels.copy(), 3, 0)).all()
    assert (fold != folds.assign(labels, 3, 1)).any()
    for number in range(3):
        assert (np.bincount(labels[fold == number]) == 10).all()
    splits = StratifiedKFold(3, shuffle=True, random_state=0).split(labels, labels)
    for number, (_, held_out) in enumerate(splits):
        assert (np.flatnonzero(fold == number) == held_out).all()


def test_a_class_has_at_least_an_image_for_each_fold():
    with pytest.raises(InputError, match="folds: 3 are more than the 2 training images of"):
        folds.assign(np.array([0, 0, 0, 1, 1]), 3, 0)


class Variant(ClassifierMixin, BaseEstimator):
    """A variant as scikit-learn's estimator."""

    def __init__(self, block=None, thresholds=()):
        self.block, self.thresholds = block, thresholds

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.model_ = train.train(Split(X.reshape(-1, 8, 8), y), self.block)
        return self

    def decision_function(self, X):
        return self.model_.scores(X.reshape(-1, 8, 8))

    def predict(self, X):
        scores = self.decision_function(X)
        return self.classes_[self.model_.decision.predict(scores, self.thresholds)]

    def predict_proba(self, X):
        return np.exp(self.model_.decision.log_probabilities(self.decision_function(X)))


@pytest.fixture
def images(tiny, tmp_path):
    """A folder of training images that are difficult to tell apart."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, tiny.train.images.shape)
    mixed = (tiny.train.images * 0.2 + noise * 0.8).astype(np.uint8)
    dataset.save(
        tmp_path / "data", dataset.Dataset(Split(mixed, tiny.train.labels), tiny.test)
    )
    return tmp_path / "data/train"


BLOCKS = {
    "nearest_neighbours": {"k": 3},
    "linear_regression": {},
    "multinomial_logistic": {"C": 0.01, "max_iter": 100, "tol": 1e-6},
}


@pytest.mark.parametrize(("name", "parameters"), BLOCKS.items(), ids=BLOCKS)
def test_fold_scores_are_those_of_cross_val_score(name, parameters, images, tmp_path):
    block = options(name, **parameters)
    split = dataset.load_split(images)
    fold = folds.assign(split.labels, 4, 7)
    store = Store(tmp_path / "store", "")
    order = [Task(block.model_dump_json(), number) for number in range(4)]
    job = partial(tune.fit, images, fold, store)
    with ThreadPoolExecutor(1) as executor:
        done = dict(tasks.run(order, job, store, executor))
    thresholds = tuple(i + 0.5 for i in range(9)) if block.needs_thresholds else ()
    parts = [split.labels[fold == number] for number in range(4)]
    accuracies, log_losses = candidates.measures(
        [done[task] for task in order], parts, [thresholds] * 4
    )
    same = PredefinedSplit(fold)
    X, y = split.images.reshape(len(fold), -1), split.labels
    variant = Variant(block, thresholds)
    assert accuracies == cross_val_score(variant, X, y, cv=same).tolist()
    assert 0.1 < accuracies[0] < 1
    assert bool(log_losses) == block.has_probabilities
    if log_losses:
        expected = -cross_val_score(variant, X, y, cv=same, scoring="neg_log_loss")
        assert log_losses == pytest.approx(expected, rel=1e-12)


def table(*rows):
    """Return rows of (accuracy, its standard error, log loss and its)."""
    keys = ("C", "accuracy", "accuracy_se", "log_loss", "log_loss_se")
    return [dict(zip(keys, (i, *row), strict=True)) for i, row in enumerate(rows)]


def test_means_and_standard_errors_are_those_of_numpy():
    values = [0.91, 0.93, 0.9, 0.97, 0.95]
    mean, se = choice.estimate(values)
    assert mean == round(float(np.mean(values)), 6)
    assert se == round(float(np.std(values, ddof=1)) / math.sqrt(5), 6)


def test_the_best_has_the_lowest_log_loss_of_equal_ones_then_the_first():
    rows = table((0.8, 0, 0.5, 0), (0.9, 0, 0.4, 0), (0.9, 0, 0.3, 0), (0.9, 0, 0.3, 0))
    assert choice.best(rows, "accuracy") == 2
    rows[0]["log_loss"] = 0.1
    assert choice.best(rows, "log_loss") == 0
    without = table((0.8, 0, None, None), (0.9, 0, None, None), (0.9, 0, None, None))
    assert choice.best(without, "accuracy") == 1


def test_the_simplest_is_the_first_within_one_standard_error_of_the_best():
    rows = table((0.88, 0.5, 0.4, 0.5), (0.89, 0, 0.3, 0), (0.9, 0.01, 0.2, 0.1))
    assert choice.simplest(rows, "accuracy") == 1
    assert choice.simplest(rows, "log_loss") == 1
    rows[2]["accuracy_se"] = 0.009999
    assert choice.simplest(rows, "accuracy") == 2


def test_thresholds_for_a_fold_are_found_on_the_other_folds():
    """The first fold alone has its scores below 0; the others would not know."""
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 2, 50) for _ in range(3)]
    scores = [y[:, None] + rng.normal(0, 0.4, (50, 1)) for y in parts]
    scores[0] -= 2
    results = [HeldOut(of_fold, "threshold") for of_fold in scores]
    found = candidates.row(Candidate({"threshold": "best"}, "", (0.5,)), results, parts)
    expected = []
    for held_out in range(3):
        others = [number for number in range(3) if number != held_out]
        (at,), _ = best_thresholds(
            np.concatenate([scores[number][:, 0] for number in others]),
            np.concatenate([parts[number] for number in others]),
            2,
        )
        expected.append(np.mean((scores[held_out][:, 0] > at) == parts[held_out]))
    assert found["accuracy"] == round(np.mean(expected), 6)
    assert expected[0] < 0.6
    every, _ = best_thresholds(np.concatenate(scores)[:, 0], np.concatenate(parts), 2)
    assert found["threshold"] == every[0]


RESULT = HeldOut(np.arange(6.0).reshape(3, 2), "largest", np.ones(4))


def test_a_stored_result_is_read_for_the_same_task_and_inputs_only(tmp_path):
    task = Task('{"C": 1}', 0)
    store = Store(tmp_path / "store", "inputs")
    assert store.load(task) is None
    store.save(task, RESULT)
    found = store.load(task)
    assert (found.scores == RESULT.scores).all()
    assert (found.rule, found.decision) == ("largest", RULES["largest"])
    assert (found.state == RESULT.state).all()
    for other in (task._replace(fold=1), task._replace(train='{"C": 2}')):
        assert store.load(other) is None
    assert Store(tmp_path / "store", "others").load(task) is None


def test_a_damaged_result_is_computed_again(tmp_path, caplog):
    task, calls = Task("{}", 0), []

    def fit(wanted):
        calls.append(wanted)
        return RESULT

    store = Store(tmp_path / "store", "inputs")
    for n_calls, damage in enumerate((None, b"PK", bytes(100), slice(0, -30)), start=1):
        if damage is not None:
            path = store.path(task)
            whole = path.read_bytes()
            path.write_bytes(whole[damage] if isinstance(damage, slice) else damage)
        for _ in range(2):
            with ThreadPoolExecutor(1) as executor:
                ((_, found),) = tasks.run([task], fit, store, executor)
            assert (found.scores == RESULT.scores).all()
        assert len(calls) == n_calls
    assert caplog.text.count("cannot be read") == 3


def test_a_path_goes_on_after_the_last_value_and_gives_the_same(images, tmp_path):
    split = dataset.load_split(images)
    y = split.labels.astype(np.int64)
    fold = folds.assign(y, 3, 0)
    blocks = [json.dumps({"model": "multinomial_logistic", "C": C}) for C in (1, 0.01, 0.1)]
    order = [Task(block, number) for block in blocks for number in range(3)]
    inputs = {"images": split.images, "y": y, "fold": fold}
    store = Store(tmp_path / "whole", "")
    whole = dict(paths.run(order, store=store, **inputs))
    assert {*whole} == {*order}
    one_state = [store.load(Task(block, None)).state.size > 0 for block in blocks]
    assert one_state == [True, False, False]
    store = Store(tmp_path / "parts", "")
    for _ in range(4):
        written = {path: path.stat().st_mtime_ns for path in store.folder.glob("*.npz")}
        going = paths.run(order, store=store, **inputs)
        for _ in range(3 * len(written) + 1):
            next(going, None)
        going.close()
        now = {path: path.stat().st_mtime_ns for path in store.folder.glob("*.npz")}
        assert len(now) == min(len(written) + 1, 3)
    parts = dict(paths.run(order, store=store, **inputs))
    for task in order:
        assert (parts[task].scores == whole[task].scores).all()


def test_a_path_and_a_fit_agree(images, tmp_path, monkeypatch):
    monkeypatch.setattr(path, "TOLERANCE", 1e-12)
    split = dataset.load_split(images)
    y = split.labels.astype(np.int64)
    fold = folds.assign(y, 3, 0)
    block = options("one_vs_rest_logistic", C=0.01, max_iter=1000, tol=1e-9)
    order = [Task(block.model_dump_json(), number) for number in range(3)]
    store = Store(tmp_path / "store", "")
    found = dict(paths.run(order, split.images, y, fold, store))
    for task in order:
        exact = tune.fit(images, fold, store, task)
        assert found[task].rule == exact.rule
        assert found[task].scores == pytest.approx(exact.scores, abs=1e-3)


@pytest.mark.parametrize(
    ("model", "grid", "n_classes", "expected"),
    [
        ("multinomial_logistic", {"C": [1, 2]}, 10, True),
        ("multinomial_logistic", {"C": [1, 2]}, 2, False),
        ("one_vs_rest_logistic", {"C": [1, 2]}, 2, True),
        ("one_vs_rest_logistic", {"C": [1]}, 10, False),
        ("one_vs_rest_logistic", {"C": [1, 2], "tol": [0.1]}, 10, False),
        ("one_vs_rest_logistic", {"C": [1, 2], "preprocess": ["deskew"]}, 10, True),
        ("one_vs_rest_logistic", {"preprocess": ["deskew", None]}, 10, False),
    ],
)
def test_a_path_is_taken_over_values_of_C(model, grid, n_classes, expected):
    block = options(model, C=1.0, max_iter=10, tol=1e-3)
    assert paths.suits(block, grid, n_classes) == expected
    slow = options(model, C=1.0, max_iter=10, tol=1e-3, solver="scikit_learn")
    assert not paths.suits(slow, grid, n_classes)


@pytest.mark.parametrize(
    ("edit", "is_refused"),
    [
        (("[0.01, 0.1]", "[0.01, 0.2]"), True),
        (
            (
                "multinomial_logistic, C: 1.0, max",
                "multinomial_logistic, C: 1.0, preprocess: deskew, max",
            ),
            True,
        ),
        (("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.1"), False),
        (("threshold: 0.49", "threshold: 0.5"), False),
    ],
)
def test_a_result_is_refused_if_its_parameters_changed_meanwhile(
    tmp_path, monkeypatch, caplog, edit, is_refused
):
    path = tmp_path / "params.yaml"
    path.write_text(TUNED)
    pipeline.write_tunings(tmp_path, params.load(path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tune", "one"])
    monkeypatch.setenv("DVC_STAGE", "tune@one")
    monkeypatch.setattr(process, "end_with_dvc", lambda _: [])

    def main(checked, name, root):
        assert (name, root) == ("one", Path())
        changed = TUNED.replace(*edit)
        assert changed != TUNED
        path.write_text(changed)

    with pytest.raises(SystemExit) if is_refused else nullcontext():
        cli.run(main, "a stage", of="tuning")
    assert ("params.yaml changed while tune@one ran" in caplog.text) == is_refused


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
def test_damaged_training_images_are_named(images, tmp_path, name):
    path = tmp_path / "params.yaml"
    path.write_text(TUNED)
    tuned = params.load(path)
    folder = tmp_path / "data/subsets/digits/train"
    folder.parent.mkdir(parents=True)
    images.rename(folder)
    (folder / name).write_bytes(b"damaged")
    with pytest.raises(InputError) as caught:
        tune.main(tuned, "one", tmp_path)
    assert str(caught.value).startswith(f"tuning one: {folder / name}: ")
    assert str(caught.value).endswith("; `dvc repro` regenerates it")
    assert not (tmp_path / "tuning").exists()
