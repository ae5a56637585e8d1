"""The command `digits` itself: its help, completion and errors."""

import subprocess
import sys

import pytest

from digits import commands
from tests.helpers.project import PARAMS


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["digits", *arguments])
    with pytest.raises(SystemExit) as exit_:
        commands.main()
    return exit_.value.code


NEEDED = {"export": ["multinomial"], "predict": ["seven.png"]}  # arguments


@pytest.mark.parametrize("name", [name for name in commands.COMMANDS if name != "inspect"])
def test_outside_a_project_a_command_says_where_to_run_it(
    name, monkeypatch, tmp_path, caplog
):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, name, *NEEDED.get(name, [])) in (1, 2)
    assert f"{tmp_path}: has no params.yaml; change to the project's folder" in caplog.text


@pytest.mark.parametrize("command", [("predict", "x.png"), ("remove", "multinomial")])
def test_a_merge_conflict_in_params_yaml_is_called_so(
    command, monkeypatch, tmp_path, caplog
):
    (tmp_path / "params.yaml").write_text("<<<<<<< HEAD\n" + PARAMS.read_text())
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    name, argument = command
    assert run(monkeypatch, name, "--in", str(tmp_path), argument) in (1, 2)
    assert "params.yaml: has a merge conflict; edit it and `git add` it" in caplog.text


@pytest.mark.parametrize(
    ("words", "expected"),
    [("digits veri", "verify"), ("digits predict REA", "README.md")],
)
def test_bash_completes_commands_and_files(tmp_path, words, expected):
    script = (sys.executable, "-m", "digits", "completion", "bash")
    completion = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    (tmp_path / "README.md").touch()
    ask = (
        f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _shtab_digits; "
        'echo "${COMPREPLY[@]}"'
    )
    result = subprocess.run(
        ["bash", "-c", f"{completion}\n{ask}"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout == f"{expected}\n"
