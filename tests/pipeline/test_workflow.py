"""The workflow is safe to run on a fork's pull request, and its steps work."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from tests.helpers.project import ROOT, Project

TEXT = (ROOT / ".github/workflows/pipeline.yml").read_text()
WORKFLOW = yaml.load(TEXT, Loader=yaml.BaseLoader)  # noqa: S506 (reads all as text, also `on`)
JOBS = WORKFLOW["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]
SCRIPTS = [step["run"] for step in STEPS if "run" in step]


def test_every_action_is_pinned_to_a_commit_and_names_its_version():
    used = re.findall(r"uses: (.*)", TEXT)
    assert len(used) == sum("uses" in step for step in STEPS) >= 3
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_only_the_job_that_runs_no_code_of_the_request_may_write():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    writing = {
        name: job["permissions"] for name, job in JOBS.items() if "permissions" in job
    }
    assert writing == {"comment": {"pull-requests": "write"}}
    steps = JOBS["comment"]["steps"]
    assert not any("uses" in step for step in steps)
    assert not re.search(r"python|make|checkout", steps[0]["run"])
    assert "head.repo.full_name == github.repository" in JOBS["comment"]["if"]


def test_code_of_a_fork_does_not_run_with_the_owners_rights():
    assert set(WORKFLOW["on"]) == {"pull_request", "push", "schedule"}
    assert "pull_request_target" not in TEXT
    assert "secrets" not in str(WORKFLOW)  # except in a comment
    checkouts = [step["with"] for step in STEPS if "checkout" in step.get("uses", "")]
    assert len(checkouts) == len(JOBS) - 1
    assert all(options["persist-credentials"] == "false" for options in checkouts)


def test_text_of_a_pull_request_does_not_become_a_script():
    assert SCRIPTS
    assert not [script for script in SCRIPTS if "${{" in script]


def test_it_calls_the_targets_of_the_ci_script():
    """It also sets up, before DVC pulls, and runs the longest tests every week."""
    makefile = (ROOT / "Makefile").read_text()
    target = re.compile(r"\bmake ([a-z-]+(?: [A-Z_]+=\d+)*)")
    called = set(target.findall("\n".join(SCRIPTS)))
    on_schedule = "github.event_name == 'schedule'"
    parts = [part for part in (*JOBS.values(), *STEPS) if part.get("if") == on_schedule]
    weekly = set(target.findall(str(parts)))
    assert {name.split()[0] for name in weekly} == {"test-hard", "test-exports"}
    in_script = set(target.findall((ROOT / ".ci/run").read_text()))
    assert called - weekly - {"setup"} == in_script
    assert called >= {"check", "test", "repro", "test-reproduction", "test-results"}
    names = [name.split()[0] for name in called]
    assert all(re.search(rf"(?m)^{name}:", makefile) for name in names)


def test_the_command_that_it_runs_exists():
    (command,) = re.findall(r"\.venv/bin/digits (\w+)", "\n".join(SCRIPTS))
    assert (ROOT / f"digits/commands/{command}.py").is_file()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.split("\n")[0][:30])
def test_shellcheck_finds_nothing(script):
    """`make check` runs it on .ci/ itself."""
    bin_ = Path(sys.executable).parent
    result = subprocess.run(
        ["shellcheck", "--shell=bash", "-"],
        input=script,
        env=os.environ | {"PATH": f"{bin_}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_all_runs_share_a_cache_of_results():
    cache, again = (step["with"] for step in STEPS if "cache" in step.get("uses", ""))
    assert cache == again
    assert cache["path"] == ".dvc/cache"
    assert "'dvc.lock'" in cache["key"]
    assert cache["key"].startswith(cache["restore-keys"])
    order = [step.get("run", step.get("uses", "")) for step in JOBS["pipeline"]["steps"]]
    pulled = next(i for i, step in enumerate(order) if "dvc pull" in step)
    assert next(i for i, s in enumerate(order) if "cache@" in s) < pulled
    assert pulled < order.index("make repro")


def test_the_comparison_runs_even_if_tests_fail():
    assert not {"needs", "if"} & {*JOBS["pipeline"]}
    assert "make test" not in [step.get("run") for step in JOBS["pipeline"]["steps"]]
    assert JOBS["comment"]["needs"] == "pipeline"
    assert "!cancelled()" in JOBS["comment"]["if"]


def test_a_copy_of_the_project_need_not_have_its_results():
    """Only one job checks them, and only if a variable asks for it."""
    checks = re.compile("make test-(results|exports|reproduction)|make verify")
    (job,) = (job for job in JOBS.values() if checks.search(str(job)))
    assert job["if"] == "vars.CHECK_RESULTS == 'true'"
    assert job["needs"] == "pipeline"  # then the cache has everything
    assert not [
        name for name, other in JOBS.items() if "results" in str(other.get("needs"))
    ]


def run_step(name, project, **environment):
    """Run a step of the job `pipeline` in a project, like GitHub's runner."""
    (script,) = (s["run"] for s in JOBS["pipeline"]["steps"] if s.get("name") == name)
    if not (project.root / ".venv").exists():
        (project.root / ".venv").symlink_to(sys.prefix)
        (project.root / ".git/info/exclude").write_text("/.venv\n")
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=project.root,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tracked(fresh, tmp_path):
    """A clone of a project whose data was pushed by DVC, and its remote."""
    project = fresh.copy(tmp_path / "project")
    project.run("git", "rm", "--quiet", "--cached", "data/own/tiny.npz")
    project.run("dvc", "add", "data/own/tiny.npz")
    project.run("dvc", "remote", "add", "--default", "team", str(tmp_path / "remote"))
    project.commit("Track the data with DVC")
    project.run("dvc", "push")
    project.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    return Project(tmp_path / "clone"), tmp_path / "remote"


PULL = "Pull data and results, if a remote is configured"


@pytest.mark.slow
def test_data_that_dvc_tracks_is_pulled(tracked):
    clone, _ = tracked
    result = run_step(PULL, clone)
    assert result.returncode == 0, result.stderr
    assert (clone.root / "data/own/tiny.npz").is_file()


@pytest.mark.slow
def test_data_that_no_remote_has_is_an_error_that_names_it(tracked):
    clone, remote = tracked
    remote.rename(remote.with_name("elsewhere"))
    unreachable = run_step(PULL, clone)
    clone.run("dvc", "remote", "remove", "team")
    for result in (unreachable, run_step(PULL, clone)):
        assert result.returncode == 1
        (error,) = re.findall("::error::(.*)", result.stdout)
        assert error.startswith("data/own/tiny.npz is tracked by DVC")
        assert "dvc push" in error


@pytest.mark.slow
def test_without_a_readable_remote_the_pipeline_computes_the_results(done, tmp_path):
    project = done.copy(tmp_path / "project")
    assert run_step(PULL, project).stdout == ""
    (tmp_path / "no folder").touch()
    remote = str(tmp_path / "no folder/remote")
    project.run("dvc", "remote", "add", "--default", "team", remote)
    shutil.rmtree(project.root / ".dvc/cache")
    result = run_step(PULL, project)
    assert result.returncode == 0
    assert "::warning::dvc pull failed" in result.stdout


@pytest.mark.slow
def test_changed_figures_are_collected_before_and_after(done, tmp_path):
    project = done.copy(tmp_path / "project")
    folder = "metrics/multinomial/figures"
    whole = (project.root / folder / "scores.png").read_bytes()
    (project.root / "README.md").write_text("x")
    project.commit("Say something")
    (project.root / folder / "scores.png").write_bytes(b"changed here")
    (project.root / folder / "ä new one.png").write_bytes(b"new")
    (project.root / "metrics/linear_binary/figures/confusion.png").unlink()
    step = "Collect the figures that changed"
    result = run_step(step, project, RUNNER_TEMP=str(tmp_path))
    assert result.returncode == 0, result.stderr
    changed = tmp_path / "changed"
    found = {str(p.relative_to(changed)): p.read_bytes() for p in changed.rglob("*.png")
             if "plots" not in p.parts}  # fmt: skip
    assert found.pop("before/metrics/linear_binary/figures/confusion.png")
    assert found == {
        f"before/{folder}/scores.png": whole,
        f"after/{folder}/scores.png": b"changed here",
        f"after/{folder}/ä new one.png": b"new",
    }
    assert "vegaEmbed" in (changed / "plots/index.html").read_text()


def compare_with_base(project, folder, tolerance):
    """Run the step; return its exit status, and the comparison that it passes on."""
    files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    environment = {name: str(file) for name, file in files.items()}
    environment["RUNNER_TEMP"] = str(folder)
    result = run_step("Compare with the base", project, TOLERANCE=tolerance, **environment)
    summary = files["GITHUB_STEP_SUMMARY"].read_text()
    handed = files["GITHUB_OUTPUT"].read_text()
    assert re.fullmatch(r"comparison<<(\w{32})\n(.*)\1\n", handed, re.DOTALL)[2] == summary
    return result.returncode, summary


@pytest.mark.slow
def test_the_comparison_is_passed_on_and_a_worse_metric_fails(done, tmp_path):
    project = done.copy(tmp_path / "project")
    path = project.root / "metrics/multinomial.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"accuracy": values["accuracy"] - 0.1}))
    project.commit("Make it worse")
    status, summary = compare_with_base(project, tmp_path, "0.001")
    assert status == 1
    assert "exceeds the tolerance" in summary
    assert "accuracy" in (tmp_path / "changed/comparison.html").read_text()


@pytest.mark.slow
def test_a_variant_that_is_clearly_worse_fails_within_the_tolerance(done, tmp_path):
    project = done.copy(tmp_path / "project")
    project.edit("threshold: 0.49", "threshold: 0.0")
    project.repro("evaluate@linear_binary")
    project.commit("Cut at 0")
    status, summary = compare_with_base(project, tmp_path, "1")
    assert status == 1
    assert "| **worse** |" in summary
    assert summary.endswith("\n**Clearly worse: `linear_binary`.**\n")


@pytest.mark.parametrize("job", JOBS)
def test_every_job_has_a_time_limit(job):
    assert int(JOBS[job]["timeout-minutes"]) <= 60


@pytest.mark.hard
def test_zizmor_finds_nothing():
    zizmor = Path(sys.executable).parent / "zizmor"  # `make test-hard` installs it
    command = (zizmor, "--offline", "--quiet", ROOT / ".github")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


LOCKS = ("requirements.lock", "requirements-hard.lock", "requirements-lowest.lock")
EXTRAS = ("cluster", "export", "parquet")


def pinned(lock):
    """Return each package's version and the hashes that follow it."""
    text = (ROOT / lock).read_text()
    entries = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]
    return [re.fullmatch(r"(\S+)==(\S+)(.*)", e, re.DOTALL).groups() for e in entries]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_by_hash(lock):
    entries = pinned(lock)
    assert len(entries) > 100
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", rest) for *_, rest in entries)


def versions_of(lock):
    return {name: version for name, version, _ in pinned(lock)}


@pytest.mark.parametrize("group", [*EXTRAS, "hard"])
def test_additional_packages_change_no_version(group):
    """The hard tests run with the packages of all groups."""
    usual, hard = versions_of("requirements.lock"), versions_of("requirements-hard.lock")
    additional = versions_of(f"requirements-{group}.lock")
    assert additional.items() <= (hard | usual).items()
    assert additional.keys() - usual.keys()
    lock = (ROOT / f"requirements-{group}.lock").read_text()
    assert lock.count("--hash=sha256:") > len(additional)


def test_the_lock_of_oldest_versions_has_the_lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = (re.match(r"([\w.-]+)>=([\d.]+)", text) for text in project["dependencies"])
    versions = {name: Version(v) for name, v, _ in pinned("requirements-lowest.lock")}
    for name, bound in (found.groups() for found in bounds):
        assert versions[name.replace(".", "-")] == Version(bound), name


def test_build_requirements_are_pinned():
    """Build code runs at install; tests/pipeline/test_setup.py tests that uv checks it."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    (built,) = re.findall("(?m)^BUILD_FLAGS := (.*)", makefile)
    assert "--require-build-hashes --build-constraints requirements.lock" in built
    lines = re.findall(r"(?m)^.*\b(?:pip|uv) (?:install|download|pip).*", makefile)
    kinds = [
        re.search("BUILD_FLAGS|only-binary :all:|no-(index|build-isolation)", line)
        for line in lines
    ]
    assert len(lines) == 7
    assert all(kinds), lines
    text = "\n".join((*SCRIPTS, (ROOT / ".ci/run").read_text()))
    assert not re.search(r"\b(pip|uv)\b", text)  # make installs it, and nothing else does
    (rest,) = (
        rest for name, _, rest in pinned("requirements.lock") if name == "setuptools"
    )
    assert ";" not in rest  # on every platform and Python
