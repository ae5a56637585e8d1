"""Check that this machine reproduces the results in Git, in a clean clone.

    python -m tests.stress.reproduction

A second `dvc repro` must run no stage, and the tunings that take seconds are run again.
Then `git status` must be clean: the results equal those in Git, byte for byte. The one
exception is LeNet-5 on a processor that is not x86-64 with AVX2: only its files and its
hashes in `dvc.lock` may differ.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from digits.methods.lenet5 import has_avx2

OF_LENET5 = re.compile(r"metrics/lenet5(\.json|/.*)")
QUICK_TUNINGS = ("logistic_binary_C", "linear_binary_threshold", "linear_digits_thresholds")
STAGES_OF_LENET5 = {"train@lenet5", "evaluate@lenet5", "report"}  # the report shows it


def run(*command: str) -> str:
    """Run a command, print its output and return it; exit if it fails."""
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(result.stdout, end="", flush=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}: exit status {result.returncode}")
    return result.stdout


def output(*command: str) -> str:
    """Run a command and return its output, which must not be printed."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def changes() -> list[str]:
    """Return the two letters of `git status` and the path of each file that changed."""
    return output("git", "status", "--porcelain", "-z").split("\0")[:-1]


def of_others(changed: list[str]) -> Iterator[str]:
    """Yield the changes that LeNet-5 does not explain."""
    for entry in changed:
        if entry == " M dvc.lock":
            now, before = (
                yaml.safe_load(text)["stages"]
                for text in (
                    Path("dvc.lock").read_text(),
                    output("git", "show", "HEAD:./dvc.lock"),
                )
            )
            for stage in now.keys() | before.keys():
                if now.get(stage) != before.get(stage) and stage not in STAGES_OF_LENET5:
                    yield f"{entry}: {stage}"
        elif not (entry.startswith(" M ") and OF_LENET5.fullmatch(entry[3:])):
            yield entry


def main() -> None:
    """Exit with a message if something is not reproduced."""
    if "Running stage" in run("dvc", "repro"):
        sys.exit("a second `dvc repro` ran a stage again")
    known = yaml.safe_load(Path("params.yaml").read_text()).get("tuning", {})
    tunings = [f"tuning/dvc.yaml:tune@{name}" for name in QUICK_TUNINGS if name in known]
    if tunings:
        run("dvc", "repro", "--force", "--single-item", *tunings)
    changed = changes()
    wrong = changed if has_avx2() else sorted(of_others(changed))
    if wrong:
        run("git", "diff", "--", "*.json", "*.csv")
        sys.exit("\n".join(("this run does not give the results in Git:", *wrong)))
    if changed:
        print("LeNet-5 is not the same on this processor:", *changed, sep="\n")
    else:
        print("all results equal those in Git, byte for byte")


if __name__ == "__main__":
    main()
