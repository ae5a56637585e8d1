"""The command `digits compare` on two commits of a small project."""

import json
import math
import sys

import numpy as np
import pytest

from digits import commands, revisions
from digits.commands import compare
from digits.errors import InputError
from digits.metrics import METRICS
from digits.paired import Result
from digits.revisions import Change, Found
from tests.helpers.project import ROOT, Project


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

### More than chance?

| variant | accuracy of `HEAD~1` | accuracy of `HEAD` | only `HEAD~1` right | \
only `HEAD` right | difference | p-value | `HEAD` is |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| `linear_binary` | 1.0000 (0.8620 to 1.0000) | 0.6667 (0.4671 to 0.8203) | 8 | 0 | \
-0.3333 (-0.5004 to -0.1149) | 0.0078 | **worse** |

Of the 8 test images that only one of the two classifies correctly, `HEAD` has 0 and \
`HEAD~1` 8. If both were equally good, chance would divide them at least as unevenly \
with probability 0.0078 (McNemar's exact test). A p-value of at most 0.05 is a clear \
difference. In parentheses: 95 % intervals.

In both, the same images are right: `linear_digits`, `logistic_binary`, `multinomial`, \
`one_vs_rest`.

### Mistakes

| variant | actual and predicted class | `HEAD~1` | `HEAD` | change |
| --- | --- | ---: | ---: | ---: |
| `linear_binary` | 0 predicted as 1 | 0 | 8 | +8 |

Figures: `metrics/linear_binary/figures/`.
"""


@pytest.mark.slow
def test_only_one_parameter_and_its_effects_are_shown(changed, tmp_path):
    changed.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))  # has no data
    result = run(Project(tmp_path / "clone"), "HEAD~1", "HEAD")
    assert (result.returncode, result.stdout, result.stderr) == (0, THRESHOLD_0, "")


@pytest.mark.slow
def test_a_page_is_written_in_a_clone_without_data(changed, tmp_path):
    changed.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    result = run(clone, "HEAD~1", "HEAD", "--page", "--output", "a page.html")
    assert (result.returncode, result.stdout) == (0, THRESHOLD_0)
    assert result.stderr == "a page.html: open it in a browser\n"
    page = " ".join((clone.root / "a page.html").read_text().split())
    assert "1 parameter changed. Clearly worse: <code>linear_binary</code>." in page
    assert "8 images of 24: 8 that only A classifies correctly." in page
    assert "The images themselves are not on this page" in page
    assert not (clone.root / "report").exists()


@pytest.mark.slow
def test_a_page_can_be_of_an_experiment(project):
    project.edit("threshold: 0.49", "threshold: 0.0")
    project.repro("evaluate@linear_binary")
    project.run("dvc", "exp", "save", "--force", "--name", "trial")
    project.run("git", "checkout", "--quiet", ".")
    result = run(project, "HEAD", "trial", "--page")
    assert result.returncode == 0
    renamed = THRESHOLD_0.replace("`HEAD`", "`trial`").replace("`HEAD~1`", "`HEAD`")
    assert result.stdout == renamed
    page = (project.root / "report/comparison.html").read_text()
    assert "<h1>HEAD and trial compared</h1>" in page


@pytest.mark.slow
def test_results_on_other_data_are_not_compared_by_image(changed, tmp_path):
    """The page and the text say that the images differ, and show no pairs."""
    project = changed.copy(tmp_path / "project")
    path = project.root / "data/own/tiny.npz"
    arrays = dict(np.load(path))
    arrays["x_test"][0, 5, 5] ^= 1
    np.savez(path, **arrays)
    project.repro("evaluate@linear_binary")
    result = run(project, "HEAD~1", "--page", "--json")
    assert result.returncode == 0
    printed = json.loads(result.stdout)
    assert printed["comparisons"] == []
    assert {one["revision"] for one in printed["not_compared"]} == {None}
    page = " ".join((project.root / "report/comparison.html").read_text().split())
    assert "Changed arrays: x_test." in page
    assert "Not compared image by image, as the test images differ:" in page
    assert "images of 24" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--page", "--variants", "a", "b"), "--page compares two commits: leave out --v"),
        (("--output", "x.html"), "--output says where to write the page: add --page"),
        (("--page", "--output", "x"), "x: the page needs a name in .html"),
        (("--page", "--output", "x.html"), "x.html: is a folder; give another --output"),
    ],
)
def test_a_page_of_nothing_or_over_a_folder_is_refused(
    tmp_path, arguments, message, monkeypatch, caplog
):
    (tmp_path / "x.html").mkdir()
    monkeypatch.chdir(tmp_path)
    given = ["digits", "compare", *arguments, "--in", str(ROOT)]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit) as exit_:
        commands.main()
    assert exit_.value.code == 2
    assert caplog.messages[-1].startswith(f"error: {message}")


@pytest.mark.slow
def test_a_clear_worsening_fails_only_where_that_was_asked_for(changed):
    assert run(changed, "HEAD~1", "HEAD", "--tolerance", "1").returncode == 0
    worse = run(changed, "HEAD~1", "HEAD", "--fail-on", "worse")
    assert worse.returncode == 1
    assert worse.stdout == f"{THRESHOLD_0}\n**Clearly worse: `linear_binary`.**\n"
    strict = run(changed, "HEAD~1", "HEAD", "--fail-on", "worse", "--level", "0.007")
    assert strict.returncode == 0
    assert "| 0.0078 | no clear difference |" in strict.stdout
    assert "In parentheses: 99.3 % intervals." in strict.stdout
    better = run(changed, "HEAD", "HEAD~1", "--fail-on", "worse", "--json")
    assert better.returncode == 0
    printed = json.loads(better.stdout)
    (found,) = [c for c in printed["comparisons"] if c["name"] == "linear_binary"]
    assert (found["only_old"], found["only_new"], found["verdict"]) == (0, 8, "better")
    assert found["p_value"] == found["p_adjusted"] == 2 / 2**8


@pytest.mark.slow
def test_a_revision_without_lists_of_mistakes_is_compared_but_not_by_image(
    changed, tmp_path
):
    """As one from before they were written."""
    project = changed.copy(tmp_path / "project")
    for path in project.root.glob("metrics/*/mistakes.csv"):
        path.unlink()
    project.run("git", "commit", "--quiet", "--all", "--message", "Remove the lists")
    project.edit("threshold: 0.0", "threshold: 0.49")
    project.repro()
    result = run(project, "--fail-on", "worse")
    assert result.returncode == 0
    assert "| `linear_binary` | `accuracy` | 0.666667 | 1 |" in result.stdout
    assert (
        "\n\nNot compared image by image, as `HEAD` has no `mistakes.csv` of "
        "`linear_binary`, `linear_digits`, `logistic_binary`, `multinomial`, "
        "`one_vs_rest`: `dvc repro` there writes it.\n" in result.stdout
    )
    alone = run(project, "--variants", "one_vs_rest", "multinomial", "HEAD")
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr.startswith("error: metrics/one_vs_rest/mistakes.csv in HEAD: is mi")


@pytest.mark.slow
def test_log_losses_are_compared_if_the_cache_has_the_scores(project, tmp_path):
    project.edit("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.001")
    project.repro("evaluate@multinomial")
    shown = run(project, "--json")
    project.commit("Set C")
    project.run("rm", "-r", "data")
    cached = run(project, "HEAD~1", "HEAD", "--json")
    assert (
        json.loads(cached.stdout)["comparisons"] == json.loads(shown.stdout)["comparisons"]
    )
    (found,) = [c for c in json.loads(shown.stdout)["comparisons"] if c["log_loss"]]
    assert found["name"] == "multinomial"
    values = {
        change["name"]: (change["old"], change["new"], change["change"])
        for change in json.loads(shown.stdout)["metrics"]
    }
    loss = found["log_loss"]
    assert (loss["old"], loss["new"], loss["difference"]) == pytest.approx(
        values["log_loss"], abs=1.1e-6
    )
    assert 0 < loss["interval"][0] < loss["difference"] < loss["interval"][1]
    assert " | difference of log loss | " in run(project, "HEAD~1", "HEAD").stdout
    project.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    without = run(Project(tmp_path / "clone"), "HEAD~1", "HEAD")
    assert "difference of log loss" not in without.stdout


@pytest.mark.slow
def test_two_variants_are_compared_in_a_clone(changed, tmp_path):
    changed.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    variants = ("--variants", "logistic_binary", "linear_binary")
    shown = run(clone, *variants, "--fail-on", "worse")
    assert (shown.returncode, shown.stderr) == (1, "")
    assert shown.stdout.startswith(
        "### `logistic_binary` and `linear_binary`\n\n"
        "| revision | accuracy of `logistic_binary` | accuracy of `linear_binary` | only "
    )
    assert " | 8 | 0 | -0.3333 (-0.5004 to -0.1149) | 0.0078 | **worse** |" in shown.stdout
    before = run(clone, *variants, "HEAD~1")
    assert before.returncode == 0
    assert before.stdout.endswith(
        "\n\nIn `HEAD~1` both classify the same images correctly.\n"
    )
    printed = json.loads(run(clone, *variants, "--json").stdout)
    assert printed["variants"] == ["logistic_binary", "linear_binary"]
    assert printed["comparison"]["verdict"] == "worse"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("linear_binary", "multinomial"),
            (
                "linear_binary and multinomial have other test images (those of "
                "linear_binary 24 of 0, 1 and those of multinomial 120 of 0, 1, 2, 3, 4, "
                "5, 6, 7, 8, 9); "
                "compare two variants of the same subset"
            ),
        ),
        (
            ("linear_binary", "logistic"),
            (
                "metrics/logistic/confusion.csv in workspace: is missing; the "
                "variants there are linear_binary, linear_digits, logistic_binary, "
                "multinomial, one_vs_rest"
            ),
        ),
        (("a", "b", "nosuch"), "unknown Git revision 'nosuch'"),
        (
            ("a", "b", "HEAD", "HEAD"),
            "--variants compares two variants in one commit: name",
        ),
        (("a", "b", "--tolerance=1"), "--variants compares two variants in one commit: na"),
    ],
)
def test_two_variants_that_cannot_be_compared_are_refused(
    done, arguments, message, monkeypatch, caplog
):
    monkeypatch.chdir(done.root)
    monkeypatch.setattr(sys, "argv", ["digits", "compare", "--variants", *arguments])
    with pytest.raises(SystemExit) as exit_:
        commands.main()
    assert exit_.value.code == 2
    assert caplog.messages[-1].startswith(f"error: {message}")


TUNING = """\
vars: [stages.yaml]
stages:
  tune:
    foreach: ${tunings}
    do:
      cmd: echo
      params:
        - stages.yaml: ["tunings.${key}"]
      metrics:
        - ${key}.json: {cache: false}
"""


OF_TUNINGS = """\
### Tuning

| tuning | result | `HEAD` | `workspace` | change |
| --- | --- | ---: | ---: | ---: |
| `C` | `best.C` | 1 | 0.1 | -0.9 |
| `C` | `best.accuracy` | 0.9 | 0.8 | -0.1 |
| `C` | `simplest.thresholds` | `[0.5, 1]` | `[0.4, 1]` | - |
"""


@pytest.mark.slow
def test_the_results_of_tunings_have_their_own_table(project):
    folder = project.root / "tuning"
    folder.mkdir(exist_ok=True)
    (folder / "dvc.yaml").write_text(TUNING)
    stages = {"tunings": {"C": {"folds": 5}, "not_run": {"folds": 5}}}
    (folder / "stages.yaml").write_text(json.dumps(stages))
    before = {"best": {"C": 1.0, "accuracy": 0.9}, "simplest": {"thresholds": "[0.5, 1]"}}
    (folder / "C.json").write_text(json.dumps(before))
    project.commit("Tune")
    stages["tunings"]["C"]["folds"] = 2
    (folder / "stages.yaml").write_text(json.dumps(stages))
    after = {"best": {"C": 0.1, "accuracy": 0.8}, "simplest": {"thresholds": "[0.4, 1]"}}
    (folder / "C.json").write_text(json.dumps(after))
    result = run(project, "--tolerance", "0", "--fail-on", "worse")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.replace(compare.EN_DASH, "-") == OF_TUNINGS


@pytest.mark.slow
def test_by_default_the_last_commit_and_the_workspace_are_compared(changed):
    same = "No parameter, metric or mistake differs between `HEAD` and `{}`.\n"
    for named, name in (((), "workspace"), (("HEAD", "main"), "main")):
        result = run(changed, *named)
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


@pytest.mark.slow
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
            "metrics/multinomial/confusion.csv in workspace: cannot be read (its header is",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "metrics/multinomial/mistakes.csv",
            "image,actual,predicted\n0,0,1\n",
            "mistakes.csv in workspace: cannot be read (0 predicted as 1 is not",
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
    assert result.stderr == "error: unknown Git revision 'nosuch'\n"


@pytest.mark.parametrize(
    "option",
    [
        *(f"--tolerance={text}" for text in ("-1", "nan", "inf", "much")),
        *(f"--level={text}" for text in ("0", "1", "-0.1", "nan", "5%")),
        "--fail-on=better",
    ],
)
def test_a_wrong_option_is_refused(option, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["digits", "compare", option])
    with pytest.raises(SystemExit) as exit_:
        commands.main()
    assert exit_.value.code == 2
    assert f"argument {option.partition('=')[0]}: " in capsys.readouterr().err


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
        (0.0316228, "0.0316228"),
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
    shown = compare.markdown(("a" * 40, "b"), Found(mistakes=cells))
    assert shown.count(" predicted as ") == compare.N_CELLS
    assert "| actual and predicted class | `aaaaaaa` | `b` |" in shown
    assert "Smaller changes: 3 more of `v`. Figures: `metrics/v/figures/`." in shown


def test_matrices_of_other_classes_are_not_compared():
    counts = [{("0", "0"): 4, ("0", "1"): n} for n in (3, 5)]
    older, same, other = Result(counts[0]), Result(counts[1]), Result({("3", "8"): 5})
    assert revisions.mistakes({"v": older}, {"v": other}) == []
    assert revisions.mistakes({"v": older}, {"w": same}) == []
    assert revisions.mistakes({"v": older}, {"v": same}) == [
        Change("v", "0 predicted as 1", 3, 5)
    ]


class Repo:
    """As DVC's `Repo`, with this difference of metrics or parameters."""

    def __init__(self, found):
        self.metrics = self.params = self
        self.found = found

    def diff(self, *_, **__):
        return self.found


PAIR = ("HEAD", "workspace")


def test_a_metric_that_is_not_a_number_is_refused():
    for value in ("high", math.inf, math.nan, True):
        diff = {"metrics/v.json": {"accuracy": {"old": 0.9, "new": value}}}
        with pytest.raises(InputError, match=r"metrics/v\.json: accuracy is"):
            revisions.metrics(Repo({"diff": diff}), PAIR)


def invented(new):
    diff = {"metrics/v.json": {"invented": {"old": 0.92, "new": new}}}
    return revisions.metrics(Repo({"diff": diff}), PAIR).changed


def test_a_new_metric_needs_a_direction_and_is_then_judged(monkeypatch):
    with pytest.raises(
        InputError,
        match=r"v\.json: whether a higher or a lower invented.*@directions.*metrics\.py",
    ):
        invented(0.5)
    (gone,) = invented(None)
    assert not gone.exceeds(0.001)
    monkeypatch.setitem(METRICS, "invented", "higher")
    (fallen,) = invented(0.5)
    assert fallen.exceeds(0.001)
    assert compare.verdict(fallen, 0.001) == "↓ worse, **exceeds the tolerance**"
