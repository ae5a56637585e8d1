"""The linter and the type checker of the page's scripts, and their lock file."""

import json
import os
import re
import shutil
import subprocess

import pytest

from digits.report import render
from tests.helpers.project import ROOT


def test_the_lock_file_has_checksums_and_names_no_registry():
    text = (ROOT / "package-lock.json").read_text()
    assert not re.search(r"https?:|resolved", text), "`npm run lock` writes it without"
    packages = json.loads(text)["packages"]
    del packages[""]
    assert len(packages) > 50
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())


def test_the_tools_are_pinned_to_exact_versions():
    tools = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    assert {"eslint", "typescript"} <= set(tools)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in tools.values())


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 2)])
def test_without_npm_the_check_is_skipped_but_not_in_ci(tmp_path, ci, status):
    for name in ("awk", "make", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name))
    result = subprocess.run(
        ["make", "check-js"],
        cwd=ROOT,
        env=os.environ | {"PATH": str(tmp_path), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == status
    assert "npm is not installed" in result.stderr


def test_the_pages_have_every_script_and_none_defines_what_no_script_uses():
    template = "".join(path.read_text() for path in render.PAGE.glob("*.html.jinja"))
    scripts = {path.name: path.read_text() for path in render.PAGE.glob("*.js")}
    assert set(re.findall(r'"(\w+\.js)"', template)) == set(scripts)
    everything = template + "".join(scripts.values())
    definition = r"^(?:async )?(?:const|let|function|class) (\w+)"
    for name, text in scripts.items():
        for defined in re.findall(definition, text, re.MULTILINE):
            uses = re.findall(rf"\b{defined}\b", everything)
            assert len(uses) > 1, f"{name}: {defined}"
