"""The workflow is safe to run on a stranger's pull request, and calls what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny import ROOT

TEXT = (ROOT / ".github/workflows/pipeline.yml").read_text()
WORKFLOW = yaml.load(TEXT, Loader=yaml.BaseLoader)  # noqa: S506 (makes text; `on` is no bool)
JOBS = WORKFLOW["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]
SCRIPTS = [step["run"] for step in STEPS if "run" in step]


def test_every_action_is_pinned_to_a_commit_and_names_its_version():
    used = re.findall(r"uses: (.*)", TEXT)
    assert len(used) == sum("uses" in step for step in STEPS) >= 3
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_it_may_only_read_but_for_the_job_that_runs_nothing_of_the_request():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    writing = {
        name: job["permissions"] for name, job in JOBS.items() if "permissions" in job
    }
    assert writing == {"comment": {"pull-requests": "write"}}
    steps = JOBS["comment"]["steps"]
    assert not any("uses" in step for step in steps)
    assert not re.search(r"python|make|checkout", steps[0]["run"])
    assert "head.repo.full_name == github.repository" in JOBS["comment"]["if"]


def test_it_does_not_run_a_strangers_code_with_the_owners_rights():
    assert set(WORKFLOW["on"]) == {"pull_request", "push"}
    assert "pull_request_target" not in TEXT
    assert "secrets" not in TEXT
    (checkout,) = (step for step in STEPS if "checkout" in step.get("uses", ""))
    assert checkout["with"] == {"fetch-depth": "0", "persist-credentials": "false"}


def test_nothing_that_a_stranger_writes_becomes_a_script():
    assert SCRIPTS
    assert not [script for script in SCRIPTS if "${{" in script]


def test_what_it_calls_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"\bmake ([a-z-]+)", "\n".join(SCRIPTS))
    assert targets == ["check", "test", "repro"]
    assert all(re.search(rf"(?m)^{target}:", makefile) for target in targets)
    modules = re.findall(r"python -m ([\w.]+)", "\n".join(SCRIPTS))
    assert modules == ["commands.compare"]
    assert all((ROOT / f"{name.replace('.', '/')}.py").is_file() for name in modules)


def test_the_results_go_into_a_cache_that_all_runs_share():
    (cache,) = (step["with"] for step in STEPS if "cache" in step.get("uses", ""))
    assert cache["path"] == ".dvc/cache"
    assert "'dvc.lock'" in cache["key"]
    assert cache["key"].startswith(cache["restore-keys"])
    order = [step.get("run", step.get("uses", "")) for step in JOBS["pipeline"]["steps"]]
    assert order.index("make repro") > next(i for i, s in enumerate(order) if "cache@" in s)


@pytest.mark.parametrize("job", JOBS)
def test_no_job_runs_for_ever(job):
    assert int(JOBS[job]["timeout-minutes"]) <= 60


@pytest.mark.hard
def test_zizmor_finds_nothing():
    zizmor = Path(sys.executable).parent / "zizmor"  # `make test-hard` installs it
    command = (zizmor, "--offline", "--quiet", ROOT / ".github/workflows")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


LOCKS = ("requirements.lock", "requirements-hard.lock")


def pinned(lock):
    """Return the version of each package and what follows it: its hashes."""
    text = (ROOT / lock).read_text()
    entries = re.split(r"(?m)^(?=[a-z0-9])", text)[1:]
    return [re.fullmatch(r"(\S+)==(\S+)(.*)", e, re.DOTALL).groups() for e in entries]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_by_hash(lock):
    entries = pinned(lock)
    assert len(entries) > 100
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", rest) for *_, rest in entries)


def test_the_hard_tests_change_no_version():
    usual, hard = ({(name, v) for name, v, _ in pinned(lock)} for lock in LOCKS)
    both = {name for name, _ in usual} & {name for name, _ in hard}
    assert both
    assert {pair for pair in hard if pair[0] in both} <= usual
