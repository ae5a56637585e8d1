"""The files that describe the project agree with each other."""

import re
import tomllib

import yaml

from tests.helpers.project import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
MANIFESTS = {
    "github-actions": ".github/workflows/*.yml",
    "npm": "package.json",
    "pip": "pyproject.toml",
}


def test_version_and_date_are_those_of_the_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    version, date = re.findall(r"(?m)^## (\d\S+) - (\S+)$", changelog)[0]
    assert version == PROJECT["version"] == CITATION["version"]
    assert date == CITATION["date-released"]


def test_the_license_is_mit():
    assert PROJECT["license"] == CITATION["license"] == "MIT"
    (name,) = PROJECT["license-files"]
    assert (ROOT / name).read_text().startswith("MIT License\n")


def test_dependabot_updates_all_dependencies():
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    used = {name for name, pattern in MANIFESTS.items() if any(ROOT.glob(pattern))}
    assert {update["package-ecosystem"] for update in updates} >= used
    assert {update["directory"] for update in updates} == {"/"}
