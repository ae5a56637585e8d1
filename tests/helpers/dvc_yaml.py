"""The stages, variants and plots of the project, and what dvc.yaml declares for a name."""

import os
from pathlib import Path

import yaml

from tests.helpers.project import ROOT

STAGES = ("check", "download", "filter", "train", "evaluate", "path", "report")
SUBSET = "binary"
VARIANT = "linear_binary"
TUNING = "threshold"  # of the block below, which the tests' parameters lack
TUNINGS = f"""
tuning:
  {TUNING}:
    variant: {VARIANT}
    folds: 3
    grid: {{threshold: [0.4, 0.5, best]}}
"""
NAME = {
    "check": None,
    "download": None,
    "filter": SUBSET,
    "train": VARIANT,
    "evaluate": VARIANT,
    "path": SUBSET,
    "report": None,
    "tune": TUNING,
}
MODEL = "linear_regression"
VARIANTS = (
    "linear_binary",
    "logistic_binary",
    "linear_digits",
    "one_vs_rest",
    "multinomial",
)

COMPARISONS = {
    "Confusion matrices of all variants, in test images": "confusion.csv",
    "Training measures of all variants": "training/curve.csv",
    "Scores of all variants for the test images of each actual class": "scores.csv",
}


def declared(stage: str, model: str = MODEL, folder: Path = ROOT) -> dict[str, list[str]]:
    """Return a stage's entries in dvc.yaml, with its templates filled in for one name.

    Those of tuning/dvc.yaml are seen from the root.
    """
    inside = "tuning/" if stage == "tune" else ""
    block = yaml.safe_load((folder / inside / "dvc.yaml").read_text())["stages"][stage]
    block = block.get("do", block)
    entries = {}
    for key in ("params", "deps", "outs", "metrics", "plots"):
        entries[key] = [
            os.path.normpath(
                inside + (entry if isinstance(entry, str) else next(iter(entry)))
            )
            .replace("${key}", str(NAME.get(stage)))
            .replace("${item.subset}", SUBSET)
            .replace("${item.train.model}", model)
            .replace("${item.model}", model)
            for entry in block.get(key, [])
        ]
    return entries
