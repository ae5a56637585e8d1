"""Unlock: whatever DVC leaves of its own files when it is killed, it starts again."""

import pytest

from commands import unlock


@pytest.fixture
def project(done, tmp_path):
    return done.copy(tmp_path / "project")


def test_what_is_whole_is_left_alone(project):
    before = (project.root / "dvc.lock").read_bytes()
    assert list(unlock.unlock(project.root)) == []
    assert (project.root / "dvc.lock").read_bytes() == before


@pytest.mark.parametrize("folder", [".", "published"])
def test_an_empty_list_of_locks_is_removed_and_a_full_one_stays(project, folder):
    path = project.root / folder / ".dvc/tmp/rwlock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    assert list(unlock.unlock(project.root)) == []
    path.write_text("")
    assert "left empty" in "".join(unlock.unlock(project.root))
    assert not path.exists()


@pytest.mark.parametrize(
    "left", ["", "schema: '2.0'\nstages:\n  check:\n    deps:\n    - path:"]
)
def test_a_lock_that_was_cut_short_is_taken_from_git(project, left):
    path = project.root / "dvc.lock"
    before = path.read_bytes()
    path.write_text(left)
    assert "that of Git" in "".join(unlock.unlock(project.root))
    assert path.read_bytes() == before


def test_without_one_in_git_it_is_made_again(fresh, tmp_path):
    project = fresh.copy(tmp_path / "project")
    (project.root / "dvc.lock").write_text("stages: [")
    assert "to be made" in "".join(unlock.unlock(project.root))
    assert not (project.root / "dvc.lock").exists()
