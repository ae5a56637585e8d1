import os
import subprocess
import sys

import pytest

from digits.data import files


def test_a_file_is_replaced_atomically(tmp_path):
    path = tmp_path / "folder" / "value.json"
    files.write_json(path, {"a": 1})
    files.write_json(path, {"a": 2})
    assert path.read_text() == '{\n  "a": 2\n}\n'
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_failure_leaves_only_the_old_file(tmp_path, is_folder):
    path = tmp_path / "result"

    def write(target, text):
        if is_folder:
            target.mkdir()
        (target / "part" if is_folder else target).write_text(text)

    with files.replacing(path) as temporary:
        write(temporary, "old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:  # noqa: PT012 (the block fails)
        write(temporary, "new")
        raise ZeroDivisionError
    assert (path / "part" if is_folder else path).read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_the_old_one(tmp_path):
    for name in ("old", "new"):
        with files.replacing(tmp_path / "result") as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["new"]


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="nan"):
        files.write_json(tmp_path / "value.json", {"accuracy": float("nan")})
    assert not any(tmp_path.iterdir())


def test_csv_rounds_to_six_decimals(tmp_path):
    files.write_csv(tmp_path / "table.csv", ("a", "b"), [(1 / 3, 2), ("x", "")])
    assert (tmp_path / "table.csv").read_text() == "a,b\n0.333333,2\nx,\n"


def test_files_that_a_killed_process_left_are_removed(tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    gone, here = (
        2**22 + 1,
        os.getppid(),
    )  # above Linux's highest number; the parent of pytest
    for number in (gone, here, killed.pid, "a"):
        (tmp_path / f".tmp-{number}-value.json").write_text("half")
    killed.kill()
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # stays a zombie
    files.write_json(tmp_path / "value.json", {})
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"value.json", f".tmp-{here}-value.json"}
    killed.communicate()


def test_a_later_process_with_the_same_number_does_not_keep_them(tmp_path):
    left = tmp_path / f".tmp-{os.getppid()}-value.json"
    left.write_text("half")
    os.utime(left, (0, 0))
    files.write_json(tmp_path / "value.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["value.json"]
