"""The measures of a training, for metrics/<variant>/training/curve.csv."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class TrainingLog:
    """What was measured during a training, and where the training may be checkpointed.

    Attributes:
        checkpoint_dir: A folder for an unfinished training. It need not exist, and stays
            when the training is killed.
        rows: (step, measure, split, value) of each measurement.
    """

    checkpoint_dir: Path = Path("data/unfinished")
    rows: list[tuple[int, str, str, float]] = field(default_factory=list)

    def record(
        self, step: int, measure: str, value: float, split: str = "training"
    ) -> None:
        """Add the value of a measure after a step, to six significant digits."""
        self.rows.append((step, measure, split, float(f"{value:.6g}")))
