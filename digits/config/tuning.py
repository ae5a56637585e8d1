"""The block `tuning` of `params.yaml`: what cross-validation chooses among."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from digits.config.blocks import Block, Seed

MOST_CANDIDATES = 1000
MOST_PARAMETERS = 4
THRESHOLDS = ("threshold", "thresholds")
FOUND = "best"  # in the place of thresholds: those found on held-out scores
LONGEST = 1000  # characters of a value
DIGITS = 6  # significant ones of a value in a range, so that 0.001 is 0.001


def _plain(value: Any) -> Any:
    """Return a value of a parameter: a number, text, true, false, null, or numbers."""
    parts = value if isinstance(value, list | tuple) else [value]
    kinds = int | float if parts is value else int | float | str | None
    if not all(isinstance(part, kinds) for part in parts) or len(str(value)) > LONGEST:
        raise PydanticCustomError("grid", "must be a number, text, or a list of numbers")
    return value


Value = Annotated[
    Any,
    AfterValidator(_plain),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["number", "string", "boolean", "null"]},
                {"type": "array", "items": {"type": "number"}},
            ]
        }
    ),
]


class Range(Block):
    """Equally spaced values from the first to the last, or their logarithms."""

    # The limits of the parameter itself are narrower.
    first: Annotated[float, Field(ge=-1e12, le=1e12)] = Field(
        alias="from", description="The first value."
    )
    last: Annotated[float, Field(ge=-1e12, le=1e12)] = Field(
        alias="to", description="The last value, above the first."
    )
    number: Annotated[int, Field(ge=2, le=MOST_CANDIDATES)] = Field(
        alias="values", description="How many values, with the first and the last."
    )
    scale: Literal["log", "linear"] = Field(
        description="log: each value is the one before, times the same factor. linear: "
        "plus the same number."
    )

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        rule = ""
        if self.first >= self.last:
            rule = f"from must be below to, got {self.first:g} and {self.last:g}"
        elif self.scale == "log" and self.first <= 0:
            rule = f"from must be above 0 on a log scale, got {self.first:g}"
        elif len(set(self.expand())) < self.number:
            rule = (
                f"{self.number} values from {self.first:g} to {self.last:g} are the same "
                f"to {DIGITS} digits; list fewer"
            )
        if rule:
            raise PydanticCustomError("tuning", "{rule}", {"rule": rule})
        return self

    def expand(self) -> list[int | float]:
        """Return the values, ascending, to six significant digits; whole numbers as int."""
        shares = [i / (self.number - 1) for i in range(self.number)]
        if self.scale == "log":
            low, high = math.log10(self.first), math.log10(self.last)
            exact = [10 ** (low + share * (high - low)) for share in shares]
        else:
            exact = [self.first + share * (self.last - self.first) for share in shares]
        rounded = [float(f"{value:.{DIGITS}g}") for value in exact]
        return [int(value) if value.is_integer() else value for value in rounded]


def _kind(value: object) -> Literal["range", "list"]:
    """Return which form a parameter's values have, so that an error names only that one."""
    return "range" if isinstance(value, dict | Range) else "list"


Values = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[
        tuple[Value, ...],
        Field(min_length=1, max_length=MOST_CANDIDATES, strict=False),
        Tag("list"),
    ],
    Discriminator(_kind),
]


class Tuning(Block):
    """Values to try by cross-validation on the training images of a variant.

    `grid` has for each parameter of `train` or `evaluate` a list of values, from simple to
    complex, or a range; `best` finds thresholds. All combinations are tried.
    """

    variant: Annotated[str, Field(max_length=100)] = Field(
        description="A name from `variants`."
    )
    folds: Annotated[int, Field(ge=2, le=20)] = Field(
        default=5, description="Number of parts; each is held out of a fit once."
    )
    seed: Seed = 0
    measure: Literal["accuracy", "log_loss"] = Field(
        default="accuracy", description="What decides: a mean over the folds."
    )
    grid: Annotated[dict[str, Values], Field(min_length=1, max_length=MOST_PARAMETERS)]

    @model_validator(mode="after")
    def _can_be_tried(self) -> Self:
        number, rule = 1, ""
        for key, values in self.lists.items():
            number *= len(values)
            texts = [repr(value) for value in values]
            twice = next((text for text in texts if texts.count(text) > 1), None)
            if twice:
                rule = f"grid.{key} has {twice} twice"
            elif FOUND in values and key not in THRESHOLDS:
                rule = f"grid.{key}: only thresholds can be {FOUND!r}"
        if number > MOST_CANDIDATES:
            rule = f"grid has {number:,} candidates; there may be {MOST_CANDIDATES:,}"
        if rule:
            raise PydanticCustomError("tuning", "{rule}", {"rule": rule})
        return self

    @property
    def lists(self) -> dict[str, list[Any]]:
        """The values of each parameter, in the order of the file."""
        return {
            key: values.expand() if isinstance(values, Range) else list(values)
            for key, values in self.grid.items()
        }

    def candidates(self) -> Iterator[dict[str, Any]]:
        """Yield the value of each parameter for all combinations; the last varies first."""
        lists = self.lists
        for values in product(*lists.values()):
            yield dict(zip(lists, values, strict=True))
