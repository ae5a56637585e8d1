"""Custom data through the whole pipeline of DVC."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from digits.data.dataset import Dataset, Split
from tests.helpers.project import make, read_csv, write_params

NAMES = ("שלום", "猫", "$a$ <b>", "a, \"b\" & 'c'")


@pytest.fixture(scope="module")
def digits():
    """scikit-learn's digits, 8 by 8 pixels of 17 grey values, split in two."""
    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    parts = train_test_split(images, labels, test_size=450, random_state=0, stratify=labels)
    x_train, x_test, y_train, y_test = parts
    return Dataset(Split(x_train, y_train), Split(x_test, y_test))


def direct(model, data):
    """Return scikit-learn's predictions for the test images, and its outputs."""
    scaler = StandardScaler()
    X, T = (s.images.reshape(len(s.images), -1).astype(float) for s in data.splits.values())
    model.fit(scaler.fit_transform(X), data.train.labels)
    outputs = getattr(model, "decision_function", model.predict)(scaler.transform(T))
    return model.predict(scaler.transform(T)), outputs


@pytest.mark.slow
def test_the_digits_of_scikit_learn_give_its_own_results(digits, tmp_path):
    project = make(tmp_path / "project", digits)
    thresholds = [i + 0.5 for i in range(9)]
    logistic = {"C": 1.0, "max_iter": 2000, "tol": 1e-12}
    write_params(
        project,
        "data/own/tiny.npz",
        {"all_of_them": {"classes": "all"}, "listed": {"classes": list(range(10))}},
        {
            "line": {
                "subset": "listed",
                "train": {"model": "linear_regression"},
                "evaluate": {"thresholds": thresholds},
            },
            "softmax": {
                "subset": "all_of_them",
                "train": {"model": "multinomial_logistic", **logistic},
                "evaluate": {},
            },
        },
    )
    project.repro()
    line, scores = direct(LinearRegression(), digits)
    softmax, decision = direct(LogisticRegression(tol=1e-10, max_iter=20_000), digits)
    for name, predicted, outputs in (
        ("line", np.searchsorted(thresholds, line), scores[:, None]),
        ("softmax", softmax, decision),
    ):
        with np.load(project.root / f"data/predictions/{name}.npz") as file:
            np.testing.assert_array_equal(file["predicted"], predicted)
            np.testing.assert_array_equal(file["actual"], digits.test.labels)
            found = file["scores"]
        difference = found - outputs
        if name == "softmax":  # is the same if all scores shift equally
            difference -= difference.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(difference, 0, atol=1e-4)
        values = json.loads((project.root / f"metrics/{name}.json").read_text())
        right = np.mean(predicted == digits.test.labels)
        assert values["accuracy"] == pytest.approx(right, abs=1e-6)


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """The pipeline on images, 6 by 9, of four classes in folders with unusual names."""
    root = tmp_path_factory.mktemp("named") / "project"
    rng = np.random.default_rng(0)
    shapes = rng.integers(0, 160, (4, 6, 9))
    images = np.zeros((2, 6, 9), np.uint8)
    project = make(root, Dataset(*[Split(images, np.arange(2, dtype=np.uint8))] * 2))
    for split, count in (("train", 20), ("test", 6)):
        for name, shape in zip(NAMES, shapes, strict=True):
            folder = root / "data/own/mine" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                noisy = shape + rng.integers(0, 96, shape.shape)
                Image.fromarray(noisy.astype(np.uint8)).save(folder / f"{i}.png")
    write_params(
        project,
        "data/own/mine",
        {"whole": {"classes": "all"}, "pair": {"classes": [NAMES[1], NAMES[0]]}},
        {
            "softmax": {
                "subset": "whole",
                "train": {
                    "model": "multinomial_logistic",
                    "C": 1.0,
                    "max_iter": 99,
                    "tol": 1e-4,
                },
                "evaluate": {},
            },
            "line": {
                "subset": "pair",
                "train": {"model": "linear_regression"},
                "evaluate": {"threshold": 0.5},
            },
        },
    )
    project.repro()
    return project


@pytest.mark.slow
def test_tables_have_the_classes_names(named):
    ordered = sorted(NAMES)
    folder = named.root / "metrics/softmax"
    rows = read_csv(folder / "confusion.csv")
    assert [(row["actual"], row["predicted"]) for row in rows] == [
        (actual, predicted) for actual in ordered for predicted in ordered
    ]
    assert [row["class"] for row in read_csv(folder / "report.csv")] == ordered
    assert {row["class"] for row in read_csv(folder / "scores.csv")} == set(ordered)
    summary = json.loads((named.root / "metrics/subsets/pair/summary.json").read_text())
    counts = dict.fromkeys([n for n in ordered if n in NAMES[:2]], 20)
    rows = [row for row in summary["images_per_class"] if row["split"] == "train"]
    assert {row["class"]: row["images"] for row in rows} == counts


@pytest.mark.slow
def test_predict_prints_the_names(named):
    picture = f"data/own/mine/test/{NAMES[1]}/0.png"
    result = named.run(sys.executable, "-m", "digits", "predict", "--json", picture)
    (answer,) = json.loads(result.stdout)
    variants = answer["variants"]
    assert variants["softmax"]["class"] == NAMES[1] == variants["line"]["class"]
    assert set(variants["softmax"]["probabilities"]) == set(NAMES)
    table = named.run(sys.executable, "-m", "digits", "predict", picture).stdout
    assert NAMES[1] in table.splitlines()[-1]


@pytest.mark.slow
def test_the_page_shows_the_names_and_runs_none_of_them(named, chromium):
    page = chromium.new_context(offline=True).new_page()
    seen = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.goto((named.root / "report/index.html").as_uri())
    page.locator("html[data-ready]").wait_for()
    page.locator("#confusion-variant").select_option("softmax")
    heads = page.locator("#confusion-matrix th[scope=row]").all_text_contents()
    assert [text.strip("\u2068\u2069") for text in heads] == sorted(NAMES)
    page.locator("#random-image").click()
    assert (
        page.locator("article .verdict").first.text_content().strip("\u2068\u2069") in NAMES
    )
    assert page.evaluate("digits.modelInput().length") == 54
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen == []


@pytest.mark.slow
def test_renaming_a_class_trains_nothing(named, tmp_path):
    project = named.copy(tmp_path / "project")
    mine = project.root / "data/own/mine"
    for split in ("train", "test"):
        (mine / split / NAMES[1]).rename(mine / split / "鳥")  # the last one, as before
    text = (project.root / "params.yaml").read_text("utf-8")
    (project.root / "params.yaml").write_text(text.replace(NAMES[1], "鳥"), "utf-8")
    ran = project.repro()
    assert "evaluate@softmax" in ran
    assert not any(stage.startswith("train") for stage in ran)
