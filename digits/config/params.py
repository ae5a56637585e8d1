"""The only reader of `params.yaml`: typed, checked as a whole, immutable.

The models below are also the source of `params.schema.json`, by which editors complete
and check the file.
"""

import difflib
import math
import re
import reprlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union

import yaml
from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from digits import methods
from digits.config.blocks import Block, Evaluate, Seed, TrainBlock
from digits.config.tuning import FOUND, THRESHOLDS, Tuning
from digits.data import regular
from digits.data.dataset import MAX_SIDE, class_name
from digits.data.options import Options
from digits.data.registry import DATASETS
from digits.errors import InputError
from digits.images.mnist_format import MNIST_LIKE

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
TuningName = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_]*$", max_length=64)]
Label = Annotated[int, Field(ge=0, le=99)]
ClassName = Annotated[str, Field(max_length=100), AfterValidator(class_name)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]  # pixels
AtLeastTwo = Field(min_length=2, max_length=100, strict=False)


def _kind_of_classes(value: object) -> Literal["all", "labels", "names"]:
    """Return which form of `Classes` is meant, so that an error names only that one."""
    if isinstance(value, str):
        return "all"
    has_names = isinstance(value, list | tuple) and any(isinstance(v, str) for v in value)
    return "names" if has_names else "labels"


Classes = Annotated[
    Annotated[Literal["all"], Tag("all")]
    | Annotated[tuple[Label, ...], AtLeastTwo, Tag("labels")]
    | Annotated[tuple[ClassName, ...], AtLeastTwo, Tag("names")],
    Discriminator(_kind_of_classes),
]
# metrics/ also has folders with the figures and counts of the data.
RESERVED_VARIANTS = ("dataset", "subsets")


class Dataset(Block):
    """Where the images come from."""

    name: Literal["mnist", "fashion_mnist", "custom"] = Field(
        description="mnist, fashion_mnist: the arrays must match their checksums. "
        "custom: your own data, under data/own/."
    )
    source: Annotated[str, Field(min_length=1, max_length=1000)] = Field(
        description="auto: try the mirrors in turn. Otherwise the path of a file or a "
        "folder, in one of the formats of docs/data.md."
    )
    test_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="custom data without test images: which share of the images of each "
        "class becomes test images.",
    )
    seed: Seed = Field(default=0, description="Seed of the draw of test images.")
    size: Annotated[tuple[Side, Side], Field(strict=False)] | None = Field(
        default=None,
        description="custom data: the height and width to which images are brought, in "
        "pixels, with their aspect ratio kept.",
    )
    invert: bool = Field(
        default=False,
        description="custom data: invert the grey values, if the ink is dark on light.",
    )
    transpose: bool = Field(
        default=False,
        description="custom data: exchange rows and columns, as EMNIST's images need it.",
    )
    centre: bool = Field(
        default=False,
        description="custom data: bring the digit in each image to the format of MNIST.",
    )

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the classes, where they are known without the data."""
        return DATASETS[self.name].names if self.name in DATASETS else None

    @property
    def mnist_like(self) -> bool:
        """Whether the images are digits in MNIST's format."""
        return self.name in MNIST_LIKE or self.centre

    @property
    def options(self) -> Options:
        """How to read the images of custom data."""
        return Options(**self.model_dump(include={*Options._fields}))

    @model_validator(mode="after")
    def _source_can_be_used_and_watched(self) -> Self:
        """Images without a checksum must be where DVC notices changes."""
        if re.search(r"[\x00-\x1f\x7f]", self.source):
            raise PydanticCustomError(
                "dataset",
                "source must be a path without control characters, got {source}",
                {"source": repr(self.source)},
            )
        if self.name == "custom":
            folder = Path("data/own")
            path = Path(self.source)
            if ".." in path.parts or not path.is_relative_to(folder):
                raise PydanticCustomError(
                    "dataset",
                    "source must be a path under data/own/ for custom data "
                    "(so that DVC notices when it changes), got {source}",
                    {"source": repr(self.source)},
                )
            if self.centre and self.invert:
                raise PydanticCustomError(
                    "dataset", "centre finds dark ink as well as light ink; remove invert"
                )
        elif given := self.model_fields_set & {*Options._fields}:
            raise PydanticCustomError(
                "dataset",
                "{key} is only for custom data: the arrays of {name} are known",
                {"key": min(given), "name": self.name},
            )
        return self


class Augment(Block):
    """Altered copies of the training images, which a subset adds to them."""

    factor: Annotated[int, Field(ge=2, le=1000)] = Field(
        description="How many times as many training images: the images and their copies."
    )
    max_shift: Annotated[int, Field(ge=0, le=8)] = Field(
        description="Largest shift in pixels, in each direction."
    )
    max_rotation: Annotated[int, Field(ge=0, le=45)] = Field(
        default=0, description="Largest rotation in degrees, in each direction."
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _alters(self) -> Self:
        if not self.max_shift and not self.max_rotation:
            rule = "max_shift and max_rotation are 0, so all copies would be the same"
            raise PydanticCustomError("augment", "{rule}", {"rule": rule})
        return self


class Subset(Block):
    """The classes to distinguish, in ascending order of their labels."""

    classes: Classes = Field(
        description="all, or the labels or the names of at least two classes."
    )
    augment: Augment | None = Field(
        default=None, description="Altered copies of the training images."
    )

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        listed = self.classes
        if listed != "all" and len(set(listed)) < len(listed):
            rule = "classes must differ, got {listed}"
            raise PydanticCustomError("subset", rule, {"listed": list(listed)})
        return self

    def n_classes(self, names: Sequence[str] | None) -> int | None:
        """Return the number of classes, None if only the data shows it.

        Args:
            names: The names of all classes of the data, if known.
        """
        if self.classes == "all":
            return None if names is None else len(names)
        return len(self.classes)

    def broken_rules(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the key and the rule for each class that is not among these names."""
        listed_classes = () if self.classes == "all" else self.classes
        labels = [label for label in listed_classes if isinstance(label, int)]
        if unknown := [str(label) for label in labels if label >= len(names)]:
            rule = f"must be from 0 to {len(names) - 1} for this data, got"
            yield ".classes", f"{rule} {', '.join(unknown)}"
        for listed in listed_classes:
            if isinstance(listed, str) and listed not in names:
                near = difflib.get_close_matches(listed, names, n=1, cutoff=0.5)
                hint = (
                    f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"
                )
                yield ".classes", f"this data has no class {listed!r}; {hint}"


if TYPE_CHECKING:
    Train = TrainBlock
else:
    # Each model's module defines the class of its block.
    Train = Union[  # noqa: UP007 (of a tuple)
        tuple(methods.load(name).Options for name in methods.NAMES)
    ]


class Variant(Block):
    """A model on a subset, with its parameters of training and evaluation."""

    subset: Name = Field(description="A name from `subsets`.")
    train: Train = Field(discriminator="model")
    evaluate: Evaluate

    def text(self, *blocks: str) -> str:
        """Return some of its blocks as JSON, to be stored in a result."""
        return self.model_dump_json(include=set(blocks), exclude_unset=True)

    def with_values(self, values: dict[str, Any]) -> Self:
        """Return the variant with other values of some parameters, checked.

        Args:
            values: By the parameter's name in `train` or `evaluate`. Thresholds that are to
                be found have some values for now.
        """
        content = self.model_dump(exclude_unset=True)
        for key, value in values.items():
            block = "evaluate" if key in THRESHOLDS else "train"
            given = value
            if value == FOUND and key in THRESHOLDS:
                given = content["evaluate"].get(key, ())
            content[block][key] = given
        return self.model_validate(content)


class Params(Block):
    """All of `params.yaml`."""

    dataset: Dataset
    # DVC makes stages of each, and is slow with thousands
    subsets: Annotated[dict[Name, Subset], Field(min_length=1, max_length=1000)]
    variants: Annotated[dict[Name, Variant], Field(min_length=1, max_length=1000)]
    tuning: Annotated[dict[TuningName, Tuning], Field(max_length=1000)] = Field(
        default={}, description="Values to try by cross-validation, by name."
    )

    @model_validator(mode="after")
    def _variants_fit_their_subsets(self) -> Self:
        names = self.dataset.names
        broken = [
            f"subsets.{name}{key}: {rule}"
            for name, subset in self.subsets.items()
            for key, rule in (subset.broken_rules(names) if names else ())
        ] + [
            f"variants.{name}{key}: {rule}"
            for name, variant in self.variants.items()
            for key, rule in self._broken_rules(name, variant)
        ]
        known = {name.lower(): name for name in self.tuning}
        broken = broken or [
            f"tuning.{name}: differs from {known[name.lower()]} only in case; rename one"
            for name in self.tuning
            if known[name.lower()] != name  # the same file on some systems
        ] + [
            f"tuning.{name}{key}: {rule}"
            for name, tuning in self.tuning.items()
            for key, rule in self._broken_rules_of_tuning(tuning)
        ]
        if broken:
            raise PydanticCustomError("variants", "{lines}", {"lines": "\n".join(broken)})
        return self

    def _broken_rules(self, name: str, variant: Variant) -> Iterator[tuple[str, str]]:
        """Yield the key and the rule of each mistake that involves several blocks."""
        if name in RESERVED_VARIANTS:
            yield "", "this name is reserved for a folder of metrics/; choose another"
        if variant.subset not in self.subsets:
            known = ", ".join(self.subsets)
            yield ".subset", f"must be one of {known}, got {variant.subset!r}"
            return
        model, evaluate = variant.train.model, variant.evaluate
        counted = self.subsets[variant.subset].n_classes(self.dataset.names)
        most, needs_thresholds = variant.train.most_classes, variant.train.needs_thresholds
        if counted is None and (most or needs_thresholds):
            rule = f"{model} needs to know the number of classes; list them under"
            yield ".subset", f"{rule} subsets.{variant.subset}"
            return
        n_classes = counted or 0  # the other models take any number
        given = [f".evaluate.{key}" for key in evaluate.model_fields_set]
        if not needs_thresholds:
            for key in given:
                yield key, f"{model} uses no thresholds; remove it"
        elif len(given) != 1:
            yield ".evaluate", "needs either threshold (two classes) or thresholds"
        elif len(evaluate.all_thresholds) != n_classes - 1:
            needed = f"{n_classes} classes take {n_classes - 1} thresholds"
            yield given[0], f"{needed}, got {len(evaluate.all_thresholds)}"
        elif any(low >= high for low, high in pairwise(evaluate.all_thresholds)):
            yield given[0], f"must be ascending, got {list(evaluate.all_thresholds)}"
        if most and n_classes > most:
            others = "one_vs_rest_logistic or multinomial_logistic"
            rule = f"{model} distinguishes {most} classes; for more use {others}"
            yield ".train.model", rule

    def _broken_rules_of_tuning(self, tuning: Tuning) -> Iterator[tuple[str, str]]:
        """Yield the key and the rule of a mistake that involves the variant."""
        if tuning.variant not in self.variants:
            rule = f"must be one of {', '.join(self.variants)}, got {tuning.variant!r}"
            yield ".variant", rule
            return
        variant = self.variants[tuning.variant]
        known = {*type(variant.train).model_fields} - {"model"}
        if variant.train.needs_thresholds:
            known |= {*Evaluate.model_fields}
        subset = self.subsets.get(variant.subset)
        if subset and subset.augment:
            rule = (
                f"the subset {variant.subset} of {tuning.variant} has altered copies, and "
                "those of a held-out image would be trained on; tune a variant of a subset "
                "without augment"
            )
            yield ".variant", rule
        unknown = [key for key in tuning.grid if key not in known]
        for key in unknown:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {_listed(known)}"
            yield f".grid.{key}", f"{variant.train.model} has no such parameter; {hint}"
        if unknown:
            return
        if tuning.measure == "log_loss" and not variant.train.has_probabilities:
            rule = f"{variant.train.model} has no probabilities; use accuracy"
            yield ".measure", rule
        for candidate in tuning.candidates():
            if refused := self._refused(tuning.variant, candidate):
                shown = ", ".join(f"{key}: {value}" for key, value in candidate.items())
                yield ".grid", f"the candidate {shown} is refused: {refused}"
                return

    def _refused(self, name: str, candidate: dict[str, Any]) -> str | None:
        """Return the rule that a variant breaks with the values of a candidate, or None."""
        try:
            variant = self.variants[name].with_values(candidate)
        except ValidationError as error:
            return _describe(error.errors()[0])[0]
        broken = self._broken_rules(name, variant)
        return next((f"{key[1:]}: {rule}" for key, rule in broken), None)

    def tuning_block(self, name: str) -> dict[str, Any]:
        """Return all that a tuning depends on, of its own block and of its variant.

        The parameters that it varies are left out of the variant's, so that to apply its
        choice makes no result out of date. DVC compares mappings without their order, so
        the order of the parameters is listed.
        """
        tuning = self.tuning[name]
        variant = self.variants[tuning.variant]
        fixed = {
            block: getattr(variant, block).model_dump(
                mode="json", exclude_unset=True, exclude={*tuning.grid}
            )
            for block in ("train", "evaluate")
        }
        chosen = tuning.model_dump(mode="json", by_alias=True, exclude={"variant"})
        return {
            "variant": tuning.variant,
            "subset": variant.subset,
            "model": variant.train.model,
            **fixed,
            **chosen,
            "order": [*tuning.grid],
        }


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


LONGEST = 100_000  # characters of the file
MOST_MISTAKES = 20  # shown at most


class Loader(yaml.SafeLoader):
    """A safe YAML loader that reads every value as DVC does, or refuses it.

    DVC reads YAML 1.2, PyYAML YAML 1.1, where 1:30 is 90, `no` is false and dates have a
    type. Here these are text. So is 1e-3, which the two read differently; 1e-05, as DVC
    writes it, is a number. A duplicate key is refused.
    """

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 (PyYAML's signature)
    ) -> dict[Hashable, Any]:
        """Return a mapping, with distinct keys."""
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {key.value!r}", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_TYPES = ("null", "bool", "int", "float", "str", "seq", "map")
# No other tags: `!!timestamp` and similar ones have no use in this file.
Loader.yaml_constructors = {
    tag: yaml.SafeLoader.yaml_constructors[tag]
    for tag in (
        None,  # refuses all other tags
        *(f"tag:yaml.org,2002:{t}" for t in _TYPES),
    )
}
Loader.yaml_implicit_resolvers = {}
for _tag, _pattern in {
    "null": r"~|null|",
    "bool": r"true|false",
    "int": r"[-+]?(0|[1-9]\d*)",
    "float": r"[-+]?(\d+\.\d*|\.\d+)(e[-+]\d+)?|-?[1-9]e[-+]\d\d+|[-+]?\.inf|\.nan",
}.items():
    Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$", re.IGNORECASE), None
    )


CONFLICT = re.compile("^<{7} ", re.MULTILINE)  # Git marks the beginning of one so
HAS_CONFLICT = "has a merge conflict; edit it and `git add` it"


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check all of `path`.

    Raises:
        InputError: It has a line for each mistake: the key, the rule and the value.
    """
    try:
        text = regular.text(path, LONGEST)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return _check(text, path)


@lru_cache(maxsize=1)  # the guard of a stage reads the file a second time
def _check(text: str, path: Path) -> Params:
    """Check the content of the file `path`; raise `InputError` as `load` does."""
    try:
        if CONFLICT.search(text):
            raise InputError(f"{path}: {HAS_CONFLICT}")
        content = yaml.load(text, Loader)  # noqa: S506 (it is a SafeLoader)
    except (ValueError, yaml.YAMLError) as error:
        said = str(error).replace('"<unicode string>"', str(path))
        raise InputError(f"{path}: cannot be read: {said}") from error
    # `!!bool x`, `!!map [x]`, a thousand brackets
    except (LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read: {type(error).__name__}") from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        details = error.errors()
        inner = {detail["loc"][:-1] for detail in details if detail["loc"]}
        lines = [
            line
            for detail in details
            if detail["loc"] not in inner  # a mistake in a part also fails the whole
            for line in _describe(detail)
        ]
        if len(lines) > MOST_MISTAKES:
            lines[MOST_MISTAKES:] = [f"{len(lines) - MOST_MISTAKES:,} more mistakes"]
        raise InputError("\n".join(f"{path}: {line}" for line in lines)) from error


def schema() -> dict[str, Any]:
    """Return the JSON schema of `params.yaml`, for editors."""
    return Params.model_json_schema()


# Rules whose message by pydantic is for programmers, or whose input is of no help.
_RULES = {
    "missing": "is missing",
    "union_tag_not_found": "model is missing",
    "union_tag_invalid": f"must be one of {', '.join(methods.NAMES)}",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "tuple_type": "must be a list",
    "string_pattern_mismatch": (
        "a name has lower-case letters, digits and _, and starts with a letter"
    ),
}


LONGEST_KEY = 80  # characters of a key that are shown
IN_GRID = 4  # the place of the form of values, after tuning.<name>.grid.<parameter>

# By references to references, a few lines of YAML can describe a value of terabytes.
_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict = 3, 20, 5
_short.maxstring = _short.maxlong = _short.maxother = 80


def _describe(error: ErrorDetails) -> list[str]:
    """Return a line for each mistake: the key, the rule and the value."""
    kind, value, loc = error["type"], error["input"], error["loc"]
    if kind == "union_tag_invalid":
        value, loc = value.get("model"), (*loc, "model")
    if kind == "variants":
        return error["msg"].splitlines()  # the lines name their keys
    # pydantic adds the chosen model to the path, and "[key]" for a key itself.
    path = [
        step if len(str(step)) <= LONGEST_KEY else f"{str(step)[:LONGEST_KEY]}…"
        for at, step in enumerate(loc)
        for before in [loc[at - 1] if at else None]
        if step != "[key]"
        and not (before == "train" and step in methods.NAMES)
        and not (before == "classes" and step in ("all", "labels", "names"))
        and not (loc[:1] == ("tuning",) and step in ("list", "range") and at == IN_GRID)
    ]
    rule = _RULES.get(kind, error["msg"].replace("Input should be", "must be"))
    got = f", got {_short.repr(value)}"
    if kind in ("missing", "subset", "dataset", "tuning"):
        got = ""  # it is in the rule
    elif kind == "extra_forbidden":
        others = [key for key in _keys() if key != path[-1]]  # it is one of another block
        near = difflib.get_close_matches(str(path[-1]), others, n=1)
        rule = "is not a known key" + (f"; did you mean {near[0]!r}?" if near else "")
        got = ""
    elif kind == "too_short":
        rule = f"needs at least {error['ctx']['min_length']} entries"
    elif kind.startswith(("greater_than", "less_than")):
        (limit,) = error["ctx"].values()
        rule = f"{rule.rpartition(' ')[0]} {limit:.12g}"  # without a trailing .0
    elif kind == "too_long":
        rule = f"may have at most {error['ctx']['max_length']} entries"
    elif kind == "union_tag_invalid":
        near = difflib.get_close_matches(str(value), methods.NAMES, n=1)
        got += f"; did you mean {near[0]!r}?" if near else ""
    elif kind in ("float_type", "int_type") and isinstance(value, str):
        got += _hint(value)
    return [f"{'.'.join(map(str, path)) or 'the whole file'}: {rule}{got}"]


def _hint(text: str) -> str:
    """Return how to write a number that YAML reads as text."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    whole = int(number) if number.is_integer() else number
    plain = re.sub(r"^(-?\d)e", r"\1.0e", repr(whole))
    return f", which YAML reads as text; write {plain}"


def _keys() -> list[str]:
    """Return every key that some block of the file may have."""
    whole = schema()
    blocks = (whole, *whole["$defs"].values())
    return sorted({key for block in blocks for key in block["properties"]})
