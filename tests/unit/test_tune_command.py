"""`digits tune`: list, print and apply results of tunings; DVC itself does not run here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from digits import commands
from digits.commands import tune
from digits.commands.verify import md5
from digits.config import params
from digits.tuning import choice
from tests.helpers.params import GOOD

# Written as a user might: with comments, in several styles.
VARIANTS = """\
  # the one to tune
  multinomial:
    subset: digits
    train: {model: multinomial_logistic, C: 1.0,   max_iter: 2000, tol: 1.0e-9}  # C: 1.0
    evaluate: {}
  neighbours:
    subset: binary
    train:
      model: nearest_neighbours   # needs no training
      k: 3  # 1, 3 or 5

    evaluate: {}
  lines:
    subset: digits
    train: {model: linear_regression}
    evaluate:
      thresholds:
        - 0.5
        - 1.5
        - 2.5
        - 3.5

        # the upper half
        - 4.5
        - 5.5
        - 6.5
        - 7.5
        -   8.5  # the last
"""
TUNINGS = """\
tuning:
  penalty_C:
    variant: multinomial
    grid: {C: [0.001, 0.1, 1]}
  nearest:
    variant: neighbours
    folds: 3
    measure: accuracy  # or log_loss
    grid: {preprocess: [null, deskew], k: [3, 1]}
  lines:
    variant: lines
    grid: {thresholds: [[0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5], best]}
"""
HEADER = "accuracy,accuracy_se,log_loss,log_loss_se,worse_by,worse_by_se,choice,candidate"
TABLES = {
    "penalty_C": f"""\
C,{HEADER}
0.001,0.89,0.02,0.4,0.01,0.01,0.002,simplest,C = 0.001
0.1,0.9,0.02,0.3,0.01,0.0,0.0,best,C = 0.1
1,0.88,0.03,0.5,0.01,0.02,0.03,,C = 1
""",
    "lines": f"""\
thresholds,{HEADER}
"[0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5]",0.2,0.01,,,0.1,0.01,,first
"[0.25, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 9.0]",0.3,0.01,,,0.0,0.0,best,second
""",
}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A project in which two tunings have run."""
    monkeypatch.chdir(tmp_path)
    head = GOOD.partition("variants:\n")[0]
    Path("params.yaml").write_text(f"{head}variants:\n{VARIANTS}{TUNINGS}")
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    Path("fingerprints/tune").mkdir(parents=True)
    checked = params.load()
    stages = {}
    for name, text in TABLES.items():
        block = checked.tuning_block(name)
        table = Path("tuning", name, "values.csv")
        table.parent.mkdir(parents=True)
        table.write_text(text)
        code = Path("fingerprints/tune", f"{block['model']}.json")
        code.write_text("{}")
        stages[f"tune@{name}"] = {
            "cmd": "",
            "deps": [
                {"path": "../data/subsets/digits/train", "md5": "not here"},
                {"path": f"../{code}", "md5": md5(code)},
            ],
            "params": {"stages.yaml": {f"tunings.{name}": block}},
            "outs": [{"path": f"{name}/values.csv", "md5": md5(table)}],
        }
    Path("tuning/dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))
    return tmp_path


def run(monkeypatch, *arguments):
    """Run the command and return its status."""
    monkeypatch.setattr(sys, "argv", ["digits", "tune", *arguments])
    with pytest.raises(SystemExit) as exit_:
        commands.main()
    return exit_.value.code


def test_the_tunings_are_listed_with_fits_and_choice(root, monkeypatch, capsys):
    assert run(monkeypatch) == 0
    columns = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [[cell.strip() for cell in line if cell] for line in columns] == [
        ["tuning", "variant", "grid (values)", "fits", "best", "simplest", "result"],
        ["penalty_C", "multinomial", "C (3)", "15", "C = 0.1", "C = 0.001", "up to date"],
        ["nearest", "neighbours", "preprocess (2), k (2)", "12", "none"],
        ["lines", "lines", "thresholds (2)", "5", "thresholds = [0.25, 1.5, …, 9]",
         "up to date"],
    ]  # fmt: skip


def test_without_tunings_the_list_says_so(root, monkeypatch, capsys):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace(TUNINGS, ""))
    assert run(monkeypatch) == 0
    assert "has no block `tuning`" in capsys.readouterr().out


def test_a_result_is_shown_as_a_table_with_sentences(root):
    assert (
        tune.summary(params.load(), "penalty_C", tune.result(root, "penalty_C"))
        == """\
penalty_C: multinomial, mean of 5 folds ± one standard error
C      accuracy           log loss
0.001  0.89000 ± 0.02000  0.40000 ± 0.01000  simplest
0.1    0.90000 ± 0.02000  0.30000 ± 0.01000  best
1      0.88000 ± 0.03000  0.50000 ± 0.01000
The best accuracy: C = 0.1.
The simplest within one standard error of it: C = 0.001.
multinomial has C = 1: its accuracy is lower by 0.02000 ± 0.03000 in the same folds, \
no clear difference."""
    )


@pytest.mark.parametrize(
    ("edit", "last"),
    [
        (("C: 1.0,", "C: 0.1,"), "multinomial has it already."),
        (("C: 1.0,", "C: 0.2,"), "multinomial has C = 0.2, which was not tried."),
        (
            ("C: 1.0,", "C: 0.001,"),
            (
                "multinomial has C = 0.001: its accuracy is lower by 0.01000 ± 0.00200 "
                "in the same folds, a clear difference."
            ),
        ),
    ],
)
def test_the_variant_is_compared_with_the_best(root, edit, last):
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace(*edit))
    assert [*tune.sentences(params.load(), "penalty_C", tune.result(root, "penalty_C"))][
        -1
    ] == last


def test_without_log_loss_there_is_no_column(root):
    table = tune.summary(params.load(), "lines", tune.result(root, "lines"))
    assert "log loss" not in table
    assert "[0.25, 1.5, …, 9]" in table


@pytest.mark.parametrize(
    ("newline", "end"),
    [("\n", "\n"), ("\r\n", "\n"), ("\n", "")],
    ids=["LF", "CRLF", "no newline at the end"],
)
@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (("penalty_C",), "C: 1.0,   max", "C: 0.1,   max"),
        (("penalty_C", "--simplest"), "C: 1.0,   max", "C: 0.001,   max"),
        (("lines",), "        - 0.5\n", "        - 0.25\n"),
    ],
)
def test_a_choice_changes_its_value_and_no_other_byte(  # noqa: PLR0917 (parameters)
    root, monkeypatch, arguments, old, new, end, newline
):
    path = root / "params.yaml"
    text = path.read_text().removesuffix("\n") + end
    path.write_bytes(text.replace("\n", newline).encode())
    assert run(monkeypatch, "--apply", *arguments) == 0
    expected = text.replace(old, new)
    if "lines" in arguments:
        expected = expected.replace("-   8.5", "-   9.0")
    assert path.read_bytes() == expected.replace("\n", newline).encode()
    # the value is no part of what the result depends on
    assert tune.outdated(root, params.load(), arguments[0]) is None


def test_a_value_that_is_there_changes_nothing(root, monkeypatch, capsys):
    assert run(monkeypatch, "--apply", "penalty_C") == 0
    assert capsys.readouterr().out == (
        "params.yaml: variants.multinomial.train.C: 1.0 is now 0.1\n"
        "next: `dvc repro`, then `dvc metrics diff`\n"
    )
    before = Path("params.yaml").read_bytes(), Path("params.yaml").stat().st_mtime_ns
    assert run(monkeypatch, "--apply", "penalty_C") == 0
    assert before == (
        Path("params.yaml").read_bytes(), Path("params.yaml").stat().st_mtime_ns,
    )  # fmt: skip
    expected = "params.yaml: variants.multinomial.train.C is already 0.1, the best value\n"
    assert capsys.readouterr().out == expected


def damage_table(root):
    (root / "tuning/penalty_C/values.csv").write_text(
        TABLES["penalty_C"].replace("0.1,0.9", "0.2,0.9")
    )


def remove_table(root):
    (root / "tuning/penalty_C/values.csv").unlink()


def edit_params(old, new):
    def edit(root):
        text = (root / "params.yaml").read_text()
        assert old in text
        (root / "params.yaml").write_text(text.replace(old, new))

    return edit


def edit_code(root):
    (root / "fingerprints/tune/multinomial_logistic.json").write_text("{} ")


def edit_data(root):
    (root / "data/subsets/digits/train").mkdir(parents=True)


def remove_lock(root):
    (root / "tuning/dvc.lock").unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (remove_lock, "tuning penalty_C has not run"),
        (remove_table, "tuning/penalty_C/values.csv is not that of tuning/dvc.lock"),
        (damage_table, "tuning/penalty_C/values.csv is not that of tuning/dvc.lock"),
        (edit_params("[0.001, 0.1, 1]", "[0.001, 0.1]"), "is of another grid"),
        (edit_params("max_iter: 2000", "max_iter: 9"), "is of another train"),
        (edit_code, "fingerprints/tune/multinomial_logistic.json is not that of"),
        (edit_data, "data/subsets/digits/train is not that of"),
    ],
)
def test_a_result_of_something_else_is_not_applied(  # noqa: PLR0917 (parameters)
    root, monkeypatch, caplog, capsys, change, reason
):
    change(root)
    before = Path("params.yaml").read_bytes()
    assert run(monkeypatch, "--apply", "penalty_C") == 2
    assert reason in caplog.text
    assert caplog.text.rstrip().endswith("run `digits tune penalty_C`")
    assert Path("params.yaml").read_bytes() == before
    if change is not remove_table:
        assert run(monkeypatch) == 0
        assert "out of date" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("D",),
            "there is no tuning D in params.yaml; there are: penalty_C, nearest, lines",
        ),
        (("nearst",), "did you mean nearest?"),
        (("--apply",), "name the tuning to apply"),
        (("--simplest", "penalty_C"), "--simplest needs --apply"),
        (("--apply", "--simplest", "lines"), "tuning lines has no simplest value"),
        (("--apply", "nearest"), "tuning nearest has not run; run `digits tune nearest`"),
    ],
)
def test_a_mistake_is_explained(root, monkeypatch, caplog, arguments, message):
    assert run(monkeypatch, *arguments) == 2
    assert message in caplog.text


def test_messages_name_the_folder(root, monkeypatch, caplog):
    monkeypatch.chdir(root.parent)
    assert run(monkeypatch, "--apply", "nearest", "--in", root.name) == 2
    assert f"run `digits tune nearest --in {root.name}`" in caplog.text


def test_check_runs_before_the_tuning_and_a_failure_is_passed_on(root, monkeypatch, capsys):
    """DVC reads tuning/stages.yaml, which `check` writes, before any stage runs."""
    statuses, calls, schedulers = [0, 7], [], []

    class Process(subprocess.Popen):
        def __init__(self, command, cwd, env):
            calls.append((*command[3:], Path(cwd)))
            schedulers.append(env["DIGITS_SCHEDULER"])
            code = f"raise SystemExit({statuses[len(calls) - 1]})"
            super().__init__([sys.executable, "-c", code])

    monkeypatch.setattr(tune.subprocess, "Popen", Process)
    assert run(monkeypatch, "penalty_C", "lines", "penalty_C") == 7
    targets = ("tuning/dvc.yaml:tune@penalty_C", "tuning/dvc.yaml:tune@lines")
    assert calls == [("repro", "check", Path()), ("repro", *targets, Path())]
    calls.clear()
    statuses[:] = [0, 0]
    assert run(monkeypatch, "penalty_C") == 0
    shown = capsys.readouterr().out
    assert "The best accuracy: C = 0.1." in shown
    calls.clear()
    statuses[:] = [3]
    assert run(monkeypatch, "--all") == 3
    assert len(calls) == 1
    assert {*schedulers} == {""}
    address = "tls://10.0.0.1:8786"
    Path("scheduler.json").write_text(json.dumps({"address": address}))
    calls.clear()
    statuses[:] = [3, 3]
    assert run(monkeypatch, "--all", "--scheduler", "scheduler.json") == 3
    monkeypatch.setenv("DIGITS_SCHEDULER", "tcp://10.0.0.1:1")
    assert run(monkeypatch, "--all") == 3
    assert schedulers[-2:] == [address, "tcp://10.0.0.1:1"]
    assert run(monkeypatch, "--all", "--scheduler", "10.0.0.1:8786") == 2
    assert len(calls) == 2


def test_a_difference_is_taken_fold_by_fold():
    """What makes a fold difficult for all candidates is not in its standard error."""
    table = [
        choice.row({"C": 1}, [0.7, 0.8, 0.9], [0.3, 0.2, 0.1]),
        choice.row({"C": 2}, [0.6, 0.7, 0.8], [0.3, 0.2, 0.4]),
    ]
    choice.choose(table, "accuracy", ordered=True)
    assert [row["worse_by"] for row in table] == [0, 0.1]
    assert [row["worse_by_se"] for row in table] == [0, 0]
    assert table[0]["accuracy_se"] > 0.05
    table = [
        choice.row({"C": 1}, [0.7, 0.7], [0.3, 0.5]),
        choice.row({"C": 2}, [0.7, 0.7], [0.1, 0.2]),
    ]
    choice.choose(table, "log_loss", ordered=True)
    assert [row["worse_by"] for row in table] == [0.25, 0]
    assert table[0]["worse_by_se"] == pytest.approx(0.05)
