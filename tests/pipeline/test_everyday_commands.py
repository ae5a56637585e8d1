"""The everyday commands of DVC, the most frequent ones in three kinds of clones.

Each command must exit with 0, and only the stages that a change affects may run.
"""

import json
import re

import pytest

from tests.helpers.project import Project

pytestmark = pytest.mark.slow

THRESHOLD = ("threshold: 0.49", "threshold: 0.3")
PENALTY = "variants.multinomial.train.C"
TOUCHED = ["check", "train@multinomial", "evaluate@multinomial", "report"]


@pytest.fixture(scope="module")
def team(done, tmp_path_factory):
    """A Git remote and a DVC remote with the results of `main`."""
    folder = tmp_path_factory.mktemp("team")
    author = done.copy(folder / "author")
    author.run("git", "init", "--quiet", "--bare", "--initial-branch=main", "../origin.git")
    author.run(
        "dvc", "remote", "add", "--quiet", "--default", "team", str(folder / "storage")
    )
    author.run("git", "remote", "add", "origin", "../origin.git")
    author.commit("Share the cache")
    author.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    author.run("dvc", "push", "--quiet")
    return author


def clone(team, root, *options):
    """Return a clone with a user's name, before anything runs there."""
    team.run("git", "clone", "--quiet", *options, "../origin.git", str(root))
    project = Project(root)
    project.run("git", "config", "user.name", "colleague")
    project.run("git", "config", "user.email", "colleague@localhost")
    return project


@pytest.fixture
def colleague(request, team, tmp_path):
    kind = getattr(request, "param", "fresh")
    options = ["--config", "core.autocrlf=true"] if kind == "with autocrlf" else []
    project = clone(team, tmp_path / "a/project", *options)
    if kind == "with older results":
        project.edit("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.5")
        project.repro("--pull")
        project.run("git", "checkout", "--quiet", ".")
    project.run("dvc", "pull")
    return project


in_each_kind_of_clone = pytest.mark.parametrize(
    "colleague", ["fresh", "with older results", "with autocrlf"], indirect=True
)


def tracked_changes(project):
    return project.run("git", "status", "--porcelain").stdout.split("\n")[:-1]


@in_each_kind_of_clone
def test_a_clone_that_pulled_has_nothing_to_run_and_every_command_works(colleague):
    assert colleague.repro() == []
    assert tracked_changes(colleague) == []
    for command in (
        ("status", "--quiet"),
        ("checkout",),
        ("data", "status"),
        ("push",),
        ("pull",),
        ("gc", "--workspace", "--force"),
        ("metrics", "show"),
        ("plots", "show"),
        ("dag", "--collapse-foreach-matrix"),
        ("exp", "show"),
    ):
        colleague.run("dvc", *command)
    colleague.run("python", "-m", "digits", "verify")
    colleague.run("python", "-m", "digits", "experiments")


@in_each_kind_of_clone
def test_a_value_is_changed_compared_committed_and_reverted(colleague):
    colleague.run("git", "switch", "--quiet", "--create", "cut")
    colleague.edit(*THRESHOLD)
    assert colleague.repro() == ["check", "evaluate@linear_binary", "report"]
    for command in (("metrics", "diff"), ("params", "diff"), ("plots", "diff")):
        colleague.run("dvc", *command)
    colleague.run("python", "-m", "digits", "compare")
    colleague.commit("Cut at 0.3")
    colleague.run("dvc", "push")
    colleague.run("git", "push", "--quiet", "--force", "origin", "cut")
    colleague.run("dvc", "metrics", "diff", "HEAD~1")

    colleague.run("dvc", "install")
    for branch in ("main", "cut", "main"):
        colleague.run("git", "switch", branch)  # the hook runs `dvc checkout`
        assert colleague.repro() == []
    # Results of a value that was run before come from the run cache.
    colleague.edit(*THRESHOLD)
    assert set(colleague.repro()) <= {"check"}


def test_experiments_are_tried_kept_shared_and_removed(colleague, team):
    colleague.run("dvc", "exp", "run", "--set-param", f"{PENALTY}=0.3", "--name", "here")
    assert colleague.repro() == []
    colleague.run("git", "checkout", ".")  # revert it
    colleague.run("dvc", "checkout")
    assert colleague.repro() == []
    assert tracked_changes(colleague) == []

    ran = colleague.run(
        "dvc", "exp", "run", "--temp", "--set-param", f"{PENALTY}=0.2", "--name", "apart"
    )
    assert colleague.stages_run(ran) == TOUCHED
    assert tracked_changes(colleague) == []
    colleague.run("dvc", "exp", "run", "--queue", "--set-param", f"{PENALTY}=0.05,0.1")
    ran = colleague.run("dvc", "exp", "run", "--run-all")
    assert sorted(colleague.stages_run(ran)) == sorted(2 * TOUCHED)
    colleague.run("dvc", "exp", "show")
    shown = colleague.run("python", "-m", "digits", "experiments").stdout
    assert all(re.search(rf"\bC=0\.{digit}\b", shown) for digit in ("05", "1", "2", "3"))

    colleague.run("dvc", "exp", "apply", "apart")
    assert colleague.repro() == []
    assert "params.yaml" in " ".join(tracked_changes(colleague))
    colleague.run("git", "checkout", ".")
    colleague.run("dvc", "checkout")
    colleague.run("dvc", "exp", "branch", "apart", "weaker")
    colleague.run("dvc", "exp", "push", "origin", "apart")

    # pulling it trains nothing
    team.run("dvc", "exp", "list", "origin")
    team.run("dvc", "exp", "pull", "origin", "apart")
    team.run("dvc", "exp", "apply", "apart")
    assert team.repro() == []
    team.run("git", "checkout", ".")
    team.run("dvc", "checkout")
    team.run("dvc", "exp", "remove", "--all-commits")
    team.run("dvc", "exp", "remove", "--git-remote", "origin", "apart")

    colleague.run("git", "switch", "weaker")
    colleague.run("dvc", "checkout")
    assert colleague.repro() == []
    colleague.run("git", "switch", "main")
    colleague.run("dvc", "checkout")
    colleague.run("dvc", "exp", "remove", "apart")
    colleague.run("dvc", "exp", "remove", "--all-commits")
    assert (
        "no experiments"
        in colleague.run("python", "-m", "digits", "experiments").stdout.lower()
    )


def test_with_data_outside_git_a_queued_experiment_runs_only_affected_stages(
    team, tmp_path
):
    """Custom data that `dvc add` tracks, with a source that is not committed."""
    project = clone(team, tmp_path / "a/project")
    project.run("git", "rm", "--quiet", "--cached", "data/own/tiny.npz")
    project.run("git", "commit", "--quiet", "--message", "Take the data out of Git")
    (project.root / "data/own/tiny.npz").rename(project.root / "data/own/mine.npz")
    project.run("dvc", "add", "data/own/mine.npz")
    project.run("git", "add", "data/own")  # an experiment contains what Git tracks
    project.edit("tiny.npz", "mine.npz")
    project.run("dvc", "pull", "--allow-missing")
    project.repro("--pull")
    project.run("dvc", "exp", "run", "--queue", "--set-param", f"{PENALTY}=0.07,0.09")
    ran = project.run("dvc", "exp", "run", "--run-all")
    assert sorted(project.stages_run(ran)) == sorted(2 * TOUCHED)


def test_a_variant_is_added_and_removed(colleague):
    before = json.loads(colleague.run("dvc", "metrics", "show", "--json").stdout)
    with (colleague.root / "params.yaml").open("a") as file:
        file.write(
            "  one_vs_rest_weak:\n    subset: digits\n    evaluate: {}\n    train: "
            "{model: one_vs_rest_logistic, C: 0.01, max_iter: 2000, tol: 1.0e-9}\n"
        )
    assert colleague.repro() == [
        "check", "train@one_vs_rest_weak", "evaluate@one_vs_rest_weak", "report"
    ]  # fmt: skip
    colleague.commit("Add a variant")
    colleague.run("python", "-m", "digits", "remove", "one_vs_rest_weak")
    assert set(colleague.repro()) <= {"check", "report"}
    colleague.run("python", "-m", "digits", "verify")
    colleague.commit("Remove it")
    assert json.loads(colleague.run("dvc", "metrics", "show", "--json").stdout) == before
    colleague.run("git", "diff", "--exit-code", "HEAD~2", "--", "params.yaml", "metrics")


def test_two_colleagues_branches_are_merged_by_a_third(team, tmp_path):
    """Both orders give the same results, and nothing is trained again."""
    edits = {
        "alice": ("one_vs_rest_logistic, C: 1.0", "one_vs_rest_logistic, C: 0.5"),
        "bob": ("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.25"),
    }
    for name, edit in edits.items():
        project = clone(team, tmp_path / name / "project")
        project.run("dvc", "pull")
        project.run("git", "switch", "--quiet", "--create", name)
        project.edit(*edit)
        project.repro()
        project.commit(f"Change a variant of {name}")
        project.run("dvc", "push")
        project.run("git", "push", "--quiet", "origin", name)
    merged = []
    for first, second in (("alice", "bob"), ("bob", "alice")):
        project = clone(team, tmp_path / first / "third/project")
        project.run("git", "merge", "--quiet", f"origin/{first}")
        conflict = project.run("git", "merge", f"origin/{second}", check=False)
        assert "CONFLICT" in conflict.stdout
        project.run("python", "-m", "digits", "unlock")
        project.run("dvc", "pull", "--allow-missing")
        assert set(project.repro()) <= {"check", "report"}
        assert project.repro() == []
        project.run("git", "add", "--all")
        project.run("git", "commit", "--quiet", "--no-edit")
        project.run("python", "-m", "digits", "verify")
        merged.append(
            project.run("git", "ls-files", "--stage", "metrics", "params.yaml").stdout
        )
    assert merged[0] == merged[1]
