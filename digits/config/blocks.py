"""What the blocks of `params.yaml` are made of."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Solver = Literal["fast", "scikit_learn"]
Ridge = Annotated[
    float, Field(ge=0, description="Penalty on squared coefficients, of the mean error.")
]
Seed = Annotated[int, Field(ge=0, description="Of what is drawn at random.")]


class Block(BaseModel):
    """A mapping of `params.yaml`: no other keys, no conversions, no `nan`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TrainBlock(Block):
    """What every model can be asked for. `model` tells the blocks apart.

    summary: the model in a sentence without its full stop, for the page and the docs
    most_classes: how many the model can tell apart; None: any number
    needs_thresholds: whether `evaluate` turns its score into a class by thresholds
    """

    summary: ClassVar[str]
    most_classes: ClassVar[int | None] = None
    needs_thresholds: ClassVar[bool] = False

    model: str
    preprocess: Literal["deskew"] | None = Field(
        default=None,
        description="deskew: shear each image upright, by its moments.",
    )


class Evaluate(Block):
    """How scores become classes: thresholds for linear regression, else nothing."""

    threshold: float | None = Field(
        default=None, description="Linear regression, two classes: the cut, about 0.5."
    )
    thresholds: Annotated[tuple[float, ...] | None, Field(strict=False)] = Field(
        default=None, description="Linear regression: one ascending cut between classes."
    )

    @property
    def cuts(self) -> tuple[float, ...]:
        """The thresholds in ascending order; empty if the model needs none."""
        return self.thresholds or (() if self.threshold is None else (self.threshold,))
