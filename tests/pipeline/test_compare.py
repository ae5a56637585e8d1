"""The command `digits compare` on two commits of a small project."""

import json
import math
import sys

import pytest

from digits import commands
from digits.commands import compare
from digits.commands.compare import Change
from digits.errors import InputError
from digits.metrics import METRICS
from tests.helpers.project import Project


@pytest.fixture(scope="module")
def changed(done, tmp_path_factory) -> Project:
    """Two commits that differ in one parameter and in its effects."""
    project = done.copy(tmp_path_factory.mktemp("changed") / "project")
    project.edit("threshold: 0.49", "threshold: 0.0")
    project.repro()
    project.commit("Cut at 0")
    return project


@pytest.fixture
def project(done, tmp_path) -> Project:
    return done.copy(tmp_path / "project")


def run(project, *arguments):
    return project.run("python", "-m", "digits", "compare", *arguments, check=False)


THRESHOLD_0 = """\
### Parameters

| parameter | `HEAD~1` | `HEAD` |
| --- | ---: | ---: |
| `variants.linear_binary.evaluate.threshold` | 0.49 | 0 |

### Metrics

| variant | metric | `HEAD~1` | `HEAD` | change |  |
| --- | --- | ---: | ---: | ---: | ---: |
| `linear_binary` | `accuracy` | 1 | 0.666667 | -0.333333 | ↓ worse |
| `linear_binary` | `errors` | 0 | 8 | +8 | ↑ worse |
| `linear_binary` | `f1_macro` | 1 | 0.625 | -0.375 | ↓ worse |
| `linear_binary` | `precision_macro` | 1 | 0.8 | -0.2 | ↓ worse |
| `linear_binary` | `recall_macro` | 1 | 0.666667 | -0.333333 | ↓ worse |

### Mistakes

| variant | actual and predicted class | `HEAD~1` | `HEAD` | change |
| --- | --- | ---: | ---: | ---: |
| `linear_binary` | 0 predicted as 1 | 0 | 8 | +8 |

Figures: `metrics/linear_binary/figures/`.
"""


def test_only_one_parameter_and_its_effects_are_shown(changed, tmp_path):
    changed.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))  # has no data
    result = run(Project(tmp_path / "clone"), "HEAD~1", "HEAD")
    assert (result.returncode, result.stdout, result.stderr) == (0, THRESHOLD_0, "")


@pytest.mark.slow
def test_by_default_the_last_commit_and_the_workspace_are_compared(changed):
    same = "No parameter, metric or mistake differs between `HEAD` and `{}`.\n"
    for revisions, name in (((), "workspace"), (("HEAD", "main"), "main")):
        result = run(changed, *revisions)
        assert (result.returncode, result.stdout) == (0, same.format(name))


@pytest.mark.slow
def test_a_metric_worse_by_more_than_the_tolerance_fails(changed):
    result = run(changed, "HEAD~1", "HEAD", "--tolerance", "0.333333")
    assert result.returncode == 1
    assert result.stdout.startswith(THRESHOLD_0[:200])
    assert "| -0.375 | ↓ worse, **exceeds the tolerance** |" in result.stdout
    assert result.stdout.count("exceeds the tolerance") == 1
    assert result.stdout.endswith("**Worse by more than 0.333333: 1 of the metrics.**\n")


@pytest.mark.slow
def test_an_improvement_never_fails(changed):
    result = run(changed, "HEAD", "HEAD~1", "--tolerance", "0", "--json")
    assert result.returncode == 0
    printed = json.loads(result.stdout)
    assert printed["parameters"] == [
        {"variant": "", "name": "variants.linear_binary.evaluate.threshold",
         "old": 0.0, "new": 0.49, "change": 0.49}
    ]  # fmt: skip
    assert len(printed["metrics"]) >= 5
    assert all(entry["worsening"] < 0 for entry in printed["metrics"])
    assert not any(entry["too_much"] for entry in printed["metrics"])
    assert printed["mistakes"] == [
        {
            "variant": "linear_binary",
            "name": "0 predicted as 1",
            "old": 8,
            "new": 0,
            "change": -8,
        }
    ]


@pytest.mark.slow
def test_a_removed_variant_is_not_worse(project):
    text = (project.root / "params.yaml").read_text()
    start, end = text.index("  logistic_binary:"), text.index("  linear_digits:")
    (project.root / "params.yaml").write_text(text[:start] + text[end:])
    project.run("rm", "-r", "metrics/logistic_binary.json", "metrics/logistic_binary")
    result = run(project, "--tolerance", "0")
    assert result.returncode == 0
    rows = [line for line in result.stdout.splitlines() if "logistic_binary` | " in line]
    assert len(rows) == 6
    assert all(row.endswith("| removed |") for row in rows)
    assert "### Mistakes" not in result.stdout


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (
            "metrics/multinomial.json",
            "{",
            "metrics/multinomial.json in workspace: cannot be read",
        ),
        pytest.param(
            "metrics/multinomial/confusion.csv",
            "",
            "not a confusion matrix",
            marks=pytest.mark.slow,
        ),
        pytest.param("dvc.yaml", "stages: [", "dvc.yaml", marks=pytest.mark.slow),
    ],
)
def test_an_unreadable_file_does_not_pass_as_unchanged(project, path, content, message):
    (project.root / path).write_text(content)
    result = run(project)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


@pytest.mark.slow
def test_a_missing_result_is_named_and_the_others_are_compared(project):
    """As when a variant's block was committed before its results."""
    kept = project.root / ".git/kept"
    kept.mkdir()
    for name in ("multinomial.json", "multinomial"):
        (project.root / "metrics" / name).rename(kept / name)
    project.commit("Add the block alone")
    for name in ("multinomial.json", "multinomial"):
        (kept / name).rename(project.root / "metrics" / name)
    project.commit("Add its results")
    path = project.root / "metrics/linear_digits.json"
    path.write_text(path.read_text().replace('"accuracy": 0', '"accuracy": -1'))
    project.commit("Get worse")
    shown = run(project, "HEAD~2", "HEAD", "--tolerance", "0.001")
    assert shown.returncode == 1
    assert "| `linear_digits` | `accuracy` |" in shown.stdout
    assert "| `multinomial` | `accuracy` | - | 1 | - | new |" in shown.stdout.replace(
        compare.EN_DASH, "-"
    )
    assert shown.stdout.count(" in `HEAD~2`") == 2
    assert "- `metrics/multinomial.json` in `HEAD~2`\n" in shown.stdout
    back = run(project, "HEAD~1", "HEAD~2", "--json", "--tolerance", "0.001")
    assert back.returncode == 0
    assert json.loads(back.stdout)["missing"] == [
        {"variant": "multinomial", "path": path, "revision": "HEAD~2"}
        for path in ("metrics/multinomial.json", "metrics/multinomial/confusion.csv")
    ]


def test_an_unknown_revision_is_one_line(done):
    result = run(done, "nosuch")
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        result.stderr == "error: dvc metrics diff nosuch: unknown Git revision 'nosuch'\n"
    )


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "much"])
def test_a_tolerance_is_a_number_from_0(text, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["digits", "compare", f"--tolerance={text}"])
    with pytest.raises(SystemExit) as exit_:
        commands.main()
    assert exit_.value.code == 2
    assert "--tolerance" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "old", "new", "verdict", "exceeds"),
    [
        ("accuracy", 0.9, 0.899, "↓ worse", False),  # not by more, whatever floats say
        ("accuracy", 0.9, 0.898, "↓ worse, **exceeds the tolerance**", True),
        ("recall_macro", 0.9, 0.91, "↑ better", False),
        ("log_loss", 0.3, 0.302, "↑ worse, **exceeds the tolerance**", True),
        ("rmse", 0.5, 0.4, "↓ better", False),
        ("errors", 1, 9, "↑ worse", False),  # accuracy judges
        ("unheard_of", 1, 9, compare.EN_DASH, False),
        ("accuracy", None, 0.1, "new", False),
        ("accuracy", 0.9, None, "removed", False),
    ],
)
def test_each_metric_has_its_better_direction(name, old, new, verdict, exceeds):
    change = Change("variant", name, old, new)
    assert compare.verdict(change, 0.001) == verdict
    assert change.exceeds(0.001) is exceeds
    assert not change.exceeds(None)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.994326, "0.994326"),
        (2000, "2000"),
        (0.0, "0"),
        (-0.5, "-0.5"),
        (1e-9, "1e-09"),
        (True, "`True`"),
        (None, compare.EN_DASH),
        ("[0, 1]", "`[0, 1]`"),
        ("a | b\n`c`", "`a b c `"),
    ],
)
def test_a_value_does_not_break_the_table(value, shown):
    assert compare.number(value) == shown


def test_the_largest_changes_come_first_and_the_others_are_counted():
    cells = [Change("v", f"{i} predicted as 9", 0, 9 - i) for i in range(8)]
    changed = {"parameters": [], "metrics": [], "mistakes": cells}
    shown = compare.markdown(("a" * 40, "b"), changed, None)
    assert shown.count(" predicted as ") == compare.N_CELLS
    assert "| actual and predicted class | `aaaaaaa` | `b` |" in shown
    assert "Smaller changes: 3 more of `v`. Figures: `metrics/v/figures/`." in shown


def plots(rows):
    data = {"data": {"values": [dict(zip(FIELDS, row, strict=True)) for row in rows]}}
    plot = {"revisions": ["HEAD", "workspace"], "content": data}
    return {"data": {"metrics/v/confusion.csv": [plot]}}


FIELDS = ("rev", "actual", "predicted", "count")


def test_matrices_of_other_classes_are_not_compared(monkeypatch):
    rows = [("HEAD", "0", "1", 3), ("workspace", "3", "8", 5)]
    monkeypatch.setattr(compare, "dvc", lambda *_: plots(rows))
    assert compare.mistakes([], set()) == ([], set())


def test_a_matrix_may_be_missing_only_where_the_variant_is(monkeypatch):
    monkeypatch.setattr(compare, "dvc", lambda *_: plots([("HEAD", "0", "1", 3)]))
    assert compare.mistakes([], {"v"}) == ([], set())
    with pytest.raises(InputError, match="it is empty in workspace"):
        compare.mistakes([], set())


def test_a_metric_that_is_not_a_number_is_refused(monkeypatch):
    for value in ("high", math.inf, math.nan, True):
        diff = {"metrics/v.json": {"accuracy": {"old": 0.9, "new": value}}}
        monkeypatch.setattr(compare, "metrics_diff", lambda _, diff=diff: {"diff": diff})
        with pytest.raises(InputError, match=r"metrics/v\.json: accuracy is"):
            compare.metrics([])


def invented(monkeypatch, new):
    diff = {"metrics/v.json": {"invented": {"old": 0.92, "new": new}}}
    monkeypatch.setattr(compare, "metrics_diff", lambda _: {"diff": diff})
    return compare.metrics([])[0]


def test_a_new_metric_needs_a_direction_and_is_then_judged(monkeypatch):
    with pytest.raises(
        InputError,
        match=r"v\.json: whether a higher or a lower invented.*@directions.*metrics\.py",
    ):
        invented(monkeypatch, 0.5)
    (gone,) = invented(monkeypatch, None)
    assert not gone.exceeds(0.001)
    monkeypatch.setitem(METRICS, "invented", "higher")
    (fallen,) = invented(monkeypatch, 0.5)
    assert fallen.exceeds(0.001)
    assert compare.verdict(fallen, 0.001) == "↓ worse, **exceeds the tolerance**"
