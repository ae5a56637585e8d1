"""The whole pipeline under DVC on generated data, as a user runs it."""

import csv
import json
import re
import runpy
import shutil
import sys
from collections import Counter

import numpy as np
import pytest
import yaml

from digits import pipeline
from digits.metrics import METRICS
from tests.helpers.dvc_yaml import COMPARISONS, STAGES, VARIANTS
from tests.helpers.params import GOOD, MISTAKES
from tests.helpers.project import ROOT, Project


def metrics_diff(project, *revisions):
    out = project.run("dvc", "metrics", "diff", "--json", *revisions).stdout
    return json.loads(out or "{}")


@pytest.fixture
def project(done, tmp_path):
    return done.copy(tmp_path / "project")


def test_a_run_makes_everything_and_leaves_nothing_untracked(done):
    made = {path.stem for path in (done.root / "metrics").glob("*.json")}
    assert made == {*VARIANTS}
    assert {path.stem for path in (done.root / "data/predictions").iterdir()} == {*VARIANTS}
    assert not done.run("git", "status", "--porcelain").stdout
    assert not list(done.root.rglob(".tmp-*"))


def test_a_second_run_does_nothing(done):
    result = done.run("dvc", "repro")
    assert "Data and pipelines are up to date." in result.stdout
    assert "Running stage" not in result.stdout


def test_metrics_are_flat_short_and_rounded(done):
    for variant in VARIANTS:
        values = json.loads((done.root / f"metrics/{variant}.json").read_text())
        last = "rmse" if variant.startswith("linear") else "log_loss"
        assert [*values][:5] == [
            "accuracy", "errors", "precision_macro", "recall_macro", "f1_macro"
        ]  # fmt: skip
        assert values.keys() & {"rmse", "log_loss"} == {last}
        assert values.keys() <= METRICS.keys()
        assert all(value == round(value, 6) for value in values.values())
        assert values["accuracy"] > 0.2
        assert values["accuracy"] < 1 or values["errors"] == 0


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_tables_agree_with_the_metrics(done, variant):
    folder = done.root / "metrics" / variant
    values = json.loads((done.root / f"metrics/{variant}.json").read_text())
    confusion = read_csv(folder / "confusion.csv")
    digits = ["0", "1"] if variant.endswith("binary") else [str(d) for d in range(10)]
    assert [(row["actual"], row["predicted"]) for row in confusion] == [
        (actual, predicted) for actual in digits for predicted in digits
    ]
    wrong = sum(int(row["count"]) for row in confusion if row["actual"] != row["predicted"])
    assert wrong == values["errors"]
    report = read_csv(folder / "report.csv")
    recall = sum(float(row["recall"]) for row in report) / len(digits)
    assert recall == pytest.approx(values["recall_macro"], abs=1e-6)
    spread = read_csv(folder / "scores.csv")
    images = [row for row in spread if row["kind"] == "images"]
    assert sum(int(row["count"]) for row in images) == 12 * len(digits)
    thresholds = {float(row["score"]) for row in spread if row["kind"] == "threshold"}
    expected = {"linear_binary": {0.49}, "linear_digits": {i + 0.5 for i in range(9)}}
    assert thresholds == expected.get(variant, {0})


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_mistakes_are_the_misclassified_test_images(done, variant):
    """A perfect model has none: the table then is its header alone."""
    path = done.root / f"metrics/{variant}/mistakes.csv"
    assert path.read_text().startswith("image,actual,predicted\n")
    rows = [tuple(map(int, row.values())) for row in read_csv(path)]
    with np.load(done.root / f"data/predictions/{variant}.npz") as predictions:
        actual, predicted = predictions["actual"], predictions["predicted"]
    subset = "binary" if variant.endswith("binary") else "digits"
    labels = np.load(done.root / f"data/subsets/{subset}/test/labels.npy")
    assert actual.tolist() == labels.tolist()
    assert rows == [
        (image, actual[image], predicted[image])
        for image in range(len(labels))
        if actual[image] != predicted[image]
    ]
    values = json.loads((done.root / f"metrics/{variant}.json").read_text())
    assert len(rows) == values["errors"]
    assert rows or variant != "linear_digits"


def test_the_threshold_sweep_agrees_with_the_metrics(done):
    rows = read_csv(done.root / "metrics/linear_binary/figures/thresholds.csv")
    accuracy = {
        row["threshold"]: row["value"] for row in rows if row["measure"] == "accuracy"
    }
    assert list(accuracy) == [str(i / 100) for i in range(101)]
    values = json.loads((done.root / "metrics/linear_binary.json").read_text())
    assert float(accuracy["0.49"]) == values["accuracy"]


def test_a_threshold_re_runs_one_evaluate(project):
    project.edit("threshold: 0.49", "threshold: 5.0")
    assert project.repro() == ["check", "evaluate@linear_binary", "report"]
    assert set(metrics_diff(project)) == {"metrics/linear_binary.json"}
    params = json.loads(project.run("dvc", "params", "diff", "--json").stdout)
    assert params == {
        "params.yaml": {
            "variants.linear_binary.evaluate.threshold": {
                "old": 0.49,
                "new": 5.0,
                "diff": 4.51,
            }
        }
    }


@pytest.mark.slow
def test_a_penalty_re_runs_one_variant(project):
    project.edit("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.001")
    assert project.repro() == [
        "check", "train@multinomial", "evaluate@multinomial", "report"
    ]  # fmt: skip
    assert set(metrics_diff(project)) == {"metrics/multinomial.json"}


@pytest.fixture(scope="module")
def three_or_eight(done, tmp_path_factory):
    """The project after the subset `binary` became 3 and 8, and the stages that ran."""
    project = done.copy(tmp_path_factory.mktemp("three-or-eight") / "project")
    project.edit("[0, 1]", "[3, 8]")
    ran = project.repro()
    project.commit("Tell 3 from 8")
    return project, ran


@pytest.mark.slow
def test_other_classes_re_run_their_two_variants(three_or_eight):
    project, ran = three_or_eight
    assert ran[:2] == ["check", "filter@binary"]
    assert ran[-1] == "report"
    of_variants = [
        f"{stage}@{variant}"
        for stage in ("evaluate", "train")
        for variant in ("linear_binary", "logistic_binary")
    ]
    assert sorted(ran[2:-1]) == sorted([*of_variants, "path@binary"])
    rows = read_csv(project.root / "metrics/logistic_binary/confusion.csv")
    assert [row["actual"] for row in rows] == ["3", "3", "8", "8"]


def test_tables_and_predictions_name_classes_not_indices(three_or_eight):
    project, _ = three_or_eight
    folder = project.root / "metrics/linear_binary"
    counts = {
        (int(row["actual"]), int(row["predicted"])): int(row["count"])
        for row in read_csv(folder / "confusion.csv")
    }
    with np.load(project.root / "data/predictions/linear_binary.npz") as predictions:
        pairs = Counter(
            zip(
                predictions["actual"].tolist(),
                predictions["predicted"].tolist(),
                strict=True,
            )
        )
    assert counts == {pair: pairs[pair] for pair in counts}
    for row in read_csv(folder / "report.csv"):
        digit = int(row["class"])
        called = counts[3, digit] + counts[8, digit]
        assert int(row["support"]) == counts[digit, 3] + counts[digit, 8]
        assert float(row["precision"]) == pytest.approx(
            counts[digit, digit] / called, abs=1e-6
        )
    # 8 is the upper class, so its scores are the higher ones.
    spread = [row for row in read_csv(folder / "scores.csv") if row["kind"] == "images"]
    mean = {}
    for digit in "38":
        rows = [row for row in spread if row["class"] == digit]
        scores = [float(row["score"]) for row in rows]
        mean[digit] = np.average(scores, weights=[int(row["count"]) for row in rows])
    assert mean["3"] < 0.49 < mean["8"]


@pytest.mark.slow
def test_commits_are_compared_in_a_clone_without_a_cache(three_or_eight, tmp_path):
    project, _ = three_or_eight
    project.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    changed = metrics_diff(Project(tmp_path / "clone"), "HEAD~1", "HEAD")
    assert "metrics/linear_binary.json" in changed
    assert set(changed) <= {"metrics/linear_binary.json", "metrics/logistic_binary.json"}
    assert changed == metrics_diff(project, "HEAD~1", "HEAD")
    clone = Project(tmp_path / "clone")
    plots = json.loads(clone.run("dvc", "plots", "diff", "HEAD~1", "HEAD", "--json").stdout)
    assert not plots.get("errors")
    assert {*COMPARISONS} <= plots["data"].keys()


@pytest.mark.slow
def test_a_change_of_your_own_data_is_noticed(project):
    path = project.root / "data/own/tiny.npz"
    path.write_bytes(path.read_bytes() + b"x")
    assert "download" in project.run("dvc", "status").stdout


@pytest.mark.slow
def test_a_variant_is_added_from_the_command_line_and_numbers_survive(project):
    project.run(
        "dvc", "exp", "run", "--set-param", "+variants.sixth.subset=digits",
        "--set-param", "+variants.sixth.train.model=multinomial_logistic",
        "--set-param", "+variants.sixth.train.C=1e-5",
        "--set-param", "+variants.sixth.train.max_iter=100",
        "--set-param", "+variants.sixth.train.tol=1e-4",
        "--set-param", "+variants.sixth.evaluate={}",
    )  # fmt: skip
    assert (project.root / "metrics/sixth.json").is_file()
    written = yaml.safe_load((project.root / "params.yaml").read_text())
    assert written["variants"]["sixth"]["train"]["C"] == "1e-05"  # so PyYAML reads DVC
    assert project.repro() == []
    shown = project.run("dvc", "metrics", "show").stdout
    assert "metrics/sixth.json" in shown.replace("\\", "/")


@pytest.mark.slow
def test_a_queued_experiment_runs_and_shows(project):
    project.run("dvc", "exp", "run", "--queue", "--set-param",
                "variants.linear_binary.evaluate.threshold=0.2")  # fmt: skip
    project.run("dvc", "exp", "run", "--run-all")
    shown = project.run("dvc", "exp", "show", "--csv", "--only-changed").stdout
    rows = list(csv.DictReader(shown.splitlines()))
    key = "variants.linear_binary.evaluate.threshold"
    assert {row[key] for row in rows} == {"0.49", "0.2"}


def refuse(project, old, new):
    """Put a mistake into params.yaml; `dvc repro` must refuse it and change nothing."""
    project.edit(old, new)
    before = sorted(project.root.rglob("*.*"))
    result = project.run("dvc", "repro", check=False)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert not set(project.stages_run(result)) - {"check"}
    assert project.run("git", "status", "--porcelain").stdout.split() == [
        "M",
        "params.yaml",
    ]
    assert sorted(project.root.rglob("*.*")) == before
    return result.stderr, project.stages_run(result)


@pytest.mark.slow
def test_a_mistake_that_no_stage_reads_also_stops_dvc(project):
    message, _ = refuse(project, "dataset:", "seed: 1\ndataset:")
    assert "seed: is not a known key" in message


# Some mistakes of each kind: values, keys, blocks that DVC's `foreach` reads, files that
# are not YAML. tests/unit/test_params.py tests all mistakes, without DVC.
WITH_DVC = (
    "exponent without a point",
    "bool for a number",
    "misspelt key",
    "no dataset",
    "label twice",
    "a class that is not there",
    "no such subset",
    "no such model",
    "no model",
    "train is no mapping",
    "no evaluate",
    "name in capitals",
    "key twice",
    "no YAML",
    "nothing",
)


@pytest.mark.slow
@pytest.mark.parametrize("mistake", WITH_DVC)
def test_a_mistake_of_any_kind_stops_dvc_and_loses_nothing(done, tmp_path, mistake):
    old, new, expected = MISTAKES[mistake]
    project = done.copy(tmp_path / "project")
    own = (project.root / "params.yaml").read_text()
    text = GOOD.replace(old, new, 1)
    # The classes of custom data are not known before it is read.
    of_mnist = "custom" in new or "this data" in expected
    for name, value in (("name: mnist", "name: custom"), ("auto", "data/own/tiny.npz")):
        if name not in new and not of_mnist:
            text = text.replace(name, value, 1)
    (project.root / "params.yaml").write_text(own)
    message, ran = refuse(project, own, text)
    if ran:
        assert expected in message
    else:  # DVC cannot read the file either, and prints its own message
        assert message.startswith("ERROR: ")


def test_an_unknown_variant_is_refused_with_the_known_ones(done):
    result = done.run("python", "-m", "stages.train", "multinominal", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: params.yaml has no variant 'multinominal'")
    assert "multinomial" in result.stderr


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_help_text(stage, monkeypatch, capsys):
    path = str(ROOT / f"stages/{stage}.py")
    monkeypatch.setattr(sys, "argv", [path, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(path, run_name="__main__")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert re.search(r"reads .*params\.yaml", shown)
    assert "writes" in shown


def test_plots_have_the_right_labels_and_need_no_network(three_or_eight, tmp_path):
    project, _ = three_or_eight
    result = project.run(
        "dvc", "plots", "diff", "HEAD~1", "HEAD", "--out", str(tmp_path), "--json"
    )
    shown = json.loads(result.stdout)
    assert not shown.get("errors")
    (plot,) = shown["data"]["metrics/logistic_binary/confusion.csv"]
    rows = plot["content"]["data"]["values"]
    labels = {rev: [] for rev in plot["revisions"]}
    for row in rows:
        labels[row["rev"]].append((row["actual"], row["predicted"]))
    assert labels == {
        "HEAD~1": [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")],
        "HEAD": [("3", "3"), ("3", "8"), ("8", "3"), ("8", "8")],
    }


def test_the_confusion_template_puts_each_count_in_its_cell(done):
    """All fields that DVC fills in, and the order that DVC's own template gets wrong."""
    shown = done.run("dvc", "plots", "show", "--json", "metrics/multinomial/confusion.csv")
    (plot,) = json.loads(shown.stdout)["data"]["metrics/multinomial/confusion.csv"]
    spec = plot["content"]
    derived = {step["as"]: step["calculate"] for step in spec["transform"] if "as" in step
               and "calculate" in step}  # fmt: skip
    assert derived["actual class"] == "toString(datum['actual'])"
    assert derived["predicted class"] == "toString(datum['predicted'])"
    assert derived["images"] == "toNumber(datum.count)"
    assert derived["shown"].endswith(": datum.images")  # where there is no difference
    assert derived["label"].startswith("format(datum.shown,")
    assert spec["facet"]["sort"] == {"op": "min", "field": "place"}  # not []
    assert spec["resolve"]["scale"] == {"x": "independent", "y": "independent"}
    cell = spec["spec"]
    assert cell["encoding"]["x"]["field"] == "predicted class"
    assert cell["encoding"]["x"]["title"] == "predicted"
    assert cell["encoding"]["y"]["field"] == "actual class"
    assert cell["encoding"]["y"]["title"] == "actual"
    for axis in ("x", "y"):  # as in the table, not "10" before "9"
        assert cell["encoding"][axis]["sort"] == {"op": "min", "field": "row"}
    (text,) = (layer for layer in cell["layer"] if "text" in layer["encoding"])
    assert text["encoding"]["text"]["field"] == "label"


def test_the_page_of_plots_needs_no_network(done, tmp_path):
    done.run("dvc", "plots", "show", "--out", str(tmp_path))
    page = (tmp_path / "index.html").read_text()
    assert len(re.findall(r"vegaEmbed\('#\w+', spec\);", page)) == (
        len(COMPARISONS) + 1 + 2 + 5 * len(VARIANTS) + 1  # data set, subsets, sweep
    )
    images = set(re.findall(r'<img src="(static/\w+_png\.png|static/[^"]+)"', page))
    assert images
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)  # Vega itself
    assert len(markup) < len(page) - 700_000
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="(?!data:|static/)', markup)


def compared(project):
    """Return the tables that each plot of all variants shows, as DVC draws it."""
    shown = json.loads(project.run("dvc", "plots", "show", "--json").stdout)
    assert not shown.get("errors")
    found = {}
    for title in COMPARISONS:
        (plot,) = shown["data"][title]
        rows = plot["content"]["data"]["values"]
        found[title] = {row["filename"] for row in rows}
    return found


def test_plots_compare_all_variants_and_none_is_named_by_hand(done):
    assert compared(done) == {
        title: {f"{variant}/{table}" for variant in VARIANTS}
        for title, table in COMPARISONS.items()
    }
    text = (done.root / "dvc.yaml").read_text()
    assert not [name for name in VARIANTS if re.search(rf"\b{name}\b", text)]


def test_what_is_compared_is_what_the_stages_of_dvc_yaml_write():
    blocks = pipeline.read_entries(ROOT / "dvc.yaml").values()
    written = {out.path for block in blocks for out in block.outputs}
    for table, _ in pipeline.COMPARED.values():
        assert f"metrics/${{key}}/{table}" in written


@pytest.mark.slow
def test_a_new_variant_is_in_the_plots_and_a_removed_one_is_not(project):
    project.edit(
        "  logistic_binary:\n",
        "  other:\n    subset: binary\n    train: {model: linear_regression}\n"
        "    evaluate: {threshold: 0.3}\n  logistic_binary:\n",
    )
    assert project.repro() == ["check", "train@other", "evaluate@other", "report"]
    project.run("dvc", "status", "--quiet")
    for shown in compared(project).values():
        assert {name.partition("/")[0] for name in shown} == {*VARIANTS, "other"}
    project.commit("Add a variant")
    project.run("python", "-m", "digits", "remove", "other")
    assert {*project.repro()} <= {"check", "report"}
    for shown in compared(project).values():
        assert {name.partition("/")[0] for name in shown} == {*VARIANTS}


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        "<<<<<<< HEAD\n",
        *(pytest.param(left, marks=pytest.mark.slow) for left in (None, "", "plots: [")),
    ],
)
def test_dvc_runs_again_after_unlock_if_what_is_compared_cannot_be_read(project, content):
    path = project.root / "plots.yaml"
    before = path.read_text()
    path.unlink()
    if content is not None:
        path.write_text(content)
    if content != "":
        assert "plots.yaml" in project.run("dvc", "status", check=False).stderr
    said = project.run("python", "-m", "digits", "unlock").stderr
    assert "plots.yaml: could not be read, and is written again\n" in said
    assert path.read_text() == before
    project.run("dvc", "status", "--quiet")


def test_git_merges_what_two_branches_compare(fresh, tmp_path):
    project = fresh.copy(tmp_path / "project")
    for name in ("ours", "theirs"):
        project.run("git", "switch", "--quiet", "--create", name, "main")
        pipeline.write_plots(project.root, [*sorted(VARIANTS), name])
        project.commit(f"Compare {name}")
    project.run("git", "merge", "--quiet", "ours")
    for tables in pipeline.read(project.root / "plots.yaml")["plots"].values():
        names = [path.split("/")[1] for path in tables]
        assert sorted(names) == sorted([*VARIANTS, "ours", "theirs"])


@pytest.mark.slow
def test_the_artifacts_can_be_got_by_their_names(project, tmp_path):
    for name in ("dataset", "models"):
        project.run("git", "tag", "--annotate", "--message", "x", f"{name}@v1.0.0")
        out = tmp_path / name
        project.run("dvc", "artifacts", "get", ".", name, "--out", str(out))
    assert (tmp_path / "dataset/train/images.npy").is_file()
    assert {path.stem for path in (tmp_path / "models").iterdir()} == {*VARIANTS}


def test_the_graph_is_drawn(done):
    graph = done.run("dvc", "dag", "--collapse-foreach-matrix", "--md").stdout
    nodes = dict(re.findall(r'(node\d)\["(\w+)"\]', graph))
    edges = {(nodes[a], nodes[b]) for a, b in re.findall(r"(node\d)-->(node\d)", graph)}
    assert edges == {
        *(("check", stage) for stage in STAGES if stage != "check"),
        ("download", "filter"),
        ("filter", "train"),
        ("filter", "evaluate"),
        ("train", "evaluate"),
        ("download", "report"),
        ("train", "report"),
        ("evaluate", "report"),
        ("filter", "path"),
        ("path", "report"),
    }


@pytest.mark.slow
def test_a_clone_by_git_for_windows_has_the_same_bytes_and_is_up_to_date(done, tmp_path):
    done.run("git", "clone", "--quiet", "-c", "core.autocrlf=true", ".",
             str(tmp_path / "clone"))  # fmt: skip
    clone = Project(tmp_path / "clone")
    for name in done.run("git", "ls-files").stdout.splitlines():
        assert (clone.root / name).read_bytes() == (done.root / name).read_bytes(), name
    shutil.copytree(done.root / ".dvc/cache", clone.root / ".dvc/cache")
    clone.run("dvc", "checkout", "--quiet")
    clone.run("dvc", "status", "--quiet")
    assert not clone.run("git", "status", "--porcelain").stdout
