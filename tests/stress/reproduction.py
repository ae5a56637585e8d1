"""Check that this machine reproduces the results in Git, in a clean clone.

    python -m tests.stress.reproduction

A second `dvc repro` must run no stage, and the results must equal those in Git, byte for
byte. On another processor than the one that computed the committed results, the last bits
of a score may differ, and with them the files that `DEPENDS_ON_PROCESSOR` matches. If so,
all stages run once more, and must give the same `dvc.lock` again.
"""

import re
import subprocess
import sys
from pathlib import Path

# The hashes of models and predictions; all results of LeNet-5; the training logs; the
# histograms of the scores, where a score is next to the edge of a bin.
DEPENDS_ON_PROCESSOR = re.compile(
    r"dvc\.lock|metrics/lenet5(\.json|/.*)|metrics/\w+/(training/curve|scores)\.csv"
)


def run(*command: str) -> str:
    """Run a command, print its output and return it; exit if it fails."""
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(result.stdout, end="", flush=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}: exit status {result.returncode}")
    return result.stdout


def changes() -> list[str]:
    """Return the two letters of `git status` and the path of each file that changed."""
    command = ("git", "status", "--porcelain", "-z")
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return output.split("\0")[:-1]


def main() -> None:
    """Exit with a message if something is not reproduced."""
    if "Running stage" in run("dvc", "repro"):
        sys.exit("a second `dvc repro` ran a stage again")
    changed = changes()
    unexpected = [
        entry
        for entry in changed
        if not (entry.startswith(" M ") and DEPENDS_ON_PROCESSOR.fullmatch(entry[3:]))
    ]
    if unexpected:
        run("git", "diff", "--", "*.json", "*.csv")
        sys.exit("\n".join(("this run does not give the results in Git:", *unexpected)))
    if not changed:
        print("all results equal those in Git, byte for byte")
        return
    first = Path("dvc.lock").read_bytes()
    run("dvc", "repro", "--force", "--no-run-cache")
    if Path("dvc.lock").read_bytes() != first:
        sys.exit("two runs on this machine gave different results")
    print("\n".join(("another processor computed these files otherwise:", *changed)))
    print("a second run of all stages gave the same dvc.lock")


if __name__ == "__main__":
    main()
