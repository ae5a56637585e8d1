"""`digits experiments` prints a readable row for each experiment, whatever its state."""

import copy
import json

import pytest

from digits.commands import experiments
from digits.errors import InputError

EXPERIMENTS = ("python", "-m", "digits", "experiments")
VARIANTS = {
    "line": {"train": {"model": "linear_regression"}, "evaluate": {"threshold": 0.5}},
    "softmax": {"train": {"C": 1.0}, "evaluate": {}},
    "pair": {"train": {"C": 1.0}, "evaluate": {}},
}
METRICS = {
    "line": {"accuracy": 0.9, "rmse": 0.2},
    "softmax": {"accuracy": 0.8, "log_loss": 0.4},
    "pair": {"accuracy": 0.7, "log_loss": 0.5},
}


def data(variants, metrics, deps=None):
    return {
        "params": {"params.yaml": {"data": {"variants": variants}}},
        "metrics": {f"metrics/{k}.json": {"data": v} for k, v in metrics.items()}
        | {"tuning/line_C.json": {"data": {"log_loss": 0.1}}},
        "deps": deps or {"digits/models": {"hash": "a"}, "data/raw": {"hash": "a"}},
    }


def experiment(name, content, state=None, error=None):
    return {
        "name": name,
        "executor": state and {"state": state},
        "revs": [{"rev": "1" * 40, "name": name, "data": content, "error": error}],
    }


def changed(name, key, value, results, **others):
    variants, metrics = copy.deepcopy(VARIANTS), copy.deepcopy(METRICS)
    variant, block, parameter = key.split(".")
    variants[variant][block][parameter] = value
    metrics[variant] |= results
    return experiment(name, data(variants, metrics), **others)


ADDED = {**VARIANTS, "more": {"train": {"model": "x", "C": 1.0}, "evaluate": {}}}


@pytest.fixture
def shown(monkeypatch):
    """Replace DVC by a list of experiments of all kinds."""
    other = {"digits/models": {"hash": "b"}, "data/raw": {"hash": "b"}}
    failure = {"msg": "Experiment run failed", "type": ""}
    entries = [
        changed("sharp-fork", "softmax.train.C", 0.1, {"accuracy": 0.85, "log_loss": 0.6}),
        changed("blunt-fork", "softmax.train.C", 0.01, {"accuracy": 0.75, "log_loss": 0.3}),
        changed("cut-low", "line.evaluate.threshold", 0.3, {}),
        changed("bad-luck", "pair.train.C", -1.0, {}, state="failed", error=failure),
        changed("in-line", "pair.train.C", 2.0, {}, state="queued"),
        experiment("at-work", {"params": {"params.yaml": {"error": {}}}}, state="running"),
        experiment("just-done", {"params": {}}, state="running"),
        changed("just-done", "pair.train.C", 3.0, {"accuracy": 0.6}),
        experiment("one-more", data(ADDED, METRICS | {"more": {"accuracy": 0.95}})),
        experiment("re-coded", data(VARIANTS, METRICS, other)),
    ]
    base = {"rev": "2" * 40, "name": "main", "data": data(VARIANTS, METRICS)}
    shown = [
        {"rev": "workspace", "name": None, "data": data(VARIANTS, METRICS)},
        base | {"experiments": entries},
    ]
    monkeypatch.setattr(experiments, "dvc", lambda *_: shown)
    return shown


def run(capsys, metric="accuracy", variant=None, *, as_json=False):
    experiments.show(metric, variant, everywhere=False, as_json=as_json)
    return capsys.readouterr().out


def test_each_experiment_is_a_row_sorted_by_the_metric_unfinished_last(shown, capsys):
    rows = run(capsys).splitlines()
    assert rows[0].split() == [
        "experiment", "changed", "variant", "accuracy", "log_loss", "rmse"
    ]  # fmt: skip
    assert [row.split() for row in rows[1:11]] == [
        ["one-more", "+more", "more", "0.95"],
        ["cut-low", "threshold=0.3", "line", "0.9", "0.2"],
        ["sharp-fork", "softmax.train.C=0.1", "softmax", "0.85", "0.6"],
        ["blunt-fork", "softmax.train.C=0.01", "softmax", "0.75", "0.3"],
        ["just-done", "pair.train.C=3", "pair", "0.6", "0.5"],
        ["re-coded", "code", "(no", "variant", "changed)"],
        ["bad-luck", "pair.train.C=-1", "(failed)"],
        ["in-line", "pair.train.C=2", "(queued)"],
        ["at-work", "?", "(running)"],
        [],
    ]
    last = "\n".join(rows[11:])
    for command in ("dvc exp apply", "dvc exp branch", "dvc exp remove", "dvc queue logs"):
        assert f"{command} NAME" in last
    assert max(map(len, rows)) <= 100


def test_the_lowest_loss_is_the_best(shown, capsys):
    rows = run(capsys, "log_loss").splitlines()
    assert rows[1].startswith("blunt-fork")
    assert rows[0].split()[3:] == ["log_loss", "accuracy", "rmse"]


def test_one_variant_is_selected(shown, capsys):
    rows = run(capsys, variant="pair").splitlines()
    assert [row.split()[0] for row in rows[1:4]] == ["just-done", "bad-luck", "in-line"]
    printed = json.loads(run(capsys, variant="pair", as_json=True))
    assert printed[0] == {
        "name": "just-done",
        "base": "main",
        "state": "done",
        "changed": {"variants.pair.train.C": [1.0, 3.0]},
        "metrics": {"pair": {"accuracy": 0.6, "log_loss": 0.5}},
    }


def test_a_commit_without_results_has_no_other_code_or_data(shown, capsys):
    missing = {"hash": None, "size": None}
    shown[1]["data"]["deps"] = {"digits/models": missing, "data/own": missing}
    other = {"digits/models": {"hash": "b"}, "data/own": {"hash": "b"}}
    shown[1]["experiments"] = [experiment("first", data(VARIANTS, METRICS, other))]
    assert run(capsys).splitlines()[1].split()[:2] == ["first", "nothing"]


def test_a_long_change_is_cut_to_the_width_with_a_row_for_each_variant(capsys, shown):
    variants = copy.deepcopy(VARIANTS)
    for variant, block in variants.items():
        block["train"] |= {f"a_long_parameter_of_{variant}": 123456.0}
    metrics = {name: {"accuracy": 0.5, "log_loss": 1.0} for name in VARIANTS}
    shown[1]["experiments"] = [experiment("all-of-it", data(variants, metrics))]
    variants["line"]["train"]["model"] = "x" * 80
    rows = run(capsys).splitlines()
    assert "…" in rows[1]
    assert max(map(len, rows)) <= 100
    assert [row.split()[-3] for row in rows[1:4]] == ["line", "softmax", "pair"]
    assert rows[2].startswith(" " * 12)


def test_an_unknown_name_is_refused_with_the_known_ones(shown):
    with pytest.raises(InputError, match="no metric 'acuracy'; there are accuracy, errors"):
        experiments.show("acuracy", None, everywhere=False, as_json=False)
    with pytest.raises(InputError, match="no variant 'lin'; there are line, more, pair"):
        experiments.show("accuracy", "lin", everywhere=False, as_json=False)


def test_names_are_as_short_as_they_can_be():
    names = {"variants.a.train.C", "variants.b.train.C", "variants.a.train.tol"}
    assert experiments.short_names(names) == {
        "variants.a.train.C": "a.train.C",
        "variants.b.train.C": "b.train.C",
        "variants.a.train.tol": "tol",
    }


@pytest.mark.slow
def test_without_experiments_it_says_how_to_run_one(done):
    said = done.run(*EXPERIMENTS).stdout
    assert said.startswith(
        "no experiments since the last commit (--all lists older ones); for example: "
        "dvc exp run --temp -S variants.linear_binary.evaluate"
    )


@pytest.mark.slow
def test_an_experiment_of_dvc_is_shown(done, tmp_path):
    project = done.copy(tmp_path / "project")
    key = "variants.linear_binary.evaluate.threshold"
    project.run("dvc", "exp", "run", "--name", "at-0", "--set-param", f"{key}=0.0")
    project.run("git", "checkout", "--quiet", ".")
    for name, value in (("queued-0", "0.1"), ("bad", "high")):
        project.run("dvc", "exp", "run", "--queue", "--name", name, "-S", f"{key}={value}")
    waiting = project.run(*EXPERIMENTS).stdout
    assert waiting.count("(queued)") == 2
    project.run("git", "commit", "--quiet", "--allow-empty", "--message", "Go on")
    assert project.run(*EXPERIMENTS).stdout.startswith("no experiments")
    assert project.run(*EXPERIMENTS, "--all").stdout == waiting
    project.run("dvc", "exp", "run", "--run-all", check=False)
    rows = project.run(*EXPERIMENTS, "--all").stdout.splitlines()
    assert [row.split()[:3] for row in rows[1:4]] == [
        ["queued-0", "threshold=0.1", "linear_binary"],
        ["at-0", "threshold=0", "linear_binary"],
        ["bad", "threshold=high", "(failed)"],
    ]
