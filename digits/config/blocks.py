"""Base classes and shared types of the blocks in `params.yaml`."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Solver = Literal["fast", "scikit_learn"]
# Limits keep out what no method can compute with, and no more. What the data limits, such
# as neighbours by the number of images, a method refuses before it begins.
Ridge = Annotated[
    # features lie between 0 and 1: a millionth of any score is left by the highest
    float,
    Field(
        ge=0,
        le=1e6,
        description="Penalty on squared coefficients, relative to the mean squared error.",
    ),
]
# scikit-learn takes 32 bits
Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="Seed of the random numbers.")]
# Scores are near the class indices, which are below 100.
Threshold = Annotated[float, Field(ge=-1e6, le=1e6)]


class Block(BaseModel):
    """A mapping of `params.yaml`: no other keys, no conversions, no `nan`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TrainBlock(Block):
    """The parameters of every model; `model` selects the block.

    Attributes:
        summary: A sentence about the model without a full stop, for the report and the
            documentation.
        most_classes: The most classes that the model can distinguish; None: any number.
        needs_thresholds: Whether `evaluate` turns its score into a class by thresholds.
        has_probabilities: Whether its scores give a probability of each class.
    """

    summary: ClassVar[str]
    most_classes: ClassVar[int | None] = None
    needs_thresholds: ClassVar[bool] = False
    has_probabilities: ClassVar[bool] = False

    model: str
    preprocess: Literal["deskew"] | None = Field(
        default=None,
        description="deskew: shear each image upright, by its moments.",
    )


class Evaluate(Block):
    """Parameters of the decision: thresholds for linear regression, otherwise none."""

    threshold: Threshold | None = Field(
        default=None,
        description="Linear regression, two classes: the threshold, about 0.5.",
    )
    thresholds: Annotated[
        tuple[Threshold, ...] | None, Field(strict=False, max_length=99, fail_fast=True)
    ] = Field(
        default=None,
        description="Linear regression: one between each two neighbouring classes, "
        "ascending.",
    )

    @property
    def all_thresholds(self) -> tuple[float, ...]:
        """The thresholds in ascending order; empty if the model needs none."""
        return self.thresholds or (() if self.threshold is None else (self.threshold,))
