"""`set_values` changes a value in the text of params.yaml, and no other byte."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from digits.config.edit import set_values, written
from digits.config.params import Loader
from digits.errors import InputError

COMMENTED = """\
# yaml-language-server: $schema=params.schema.json
# Above all.

dataset:   # after a key
    name: mnist      # wide indentation
    source: "auto"   # in quotes


subsets:
  digits: { classes: [0, 1, 2,   # in a flow list
                      3] }
variants:
  # C: 1.0 is not this one
  flow:
    subset: digits   # C: 1.0
    train: {model: multinomial_logistic, C: 1.0, max_iter: 2000,   tol: 1.0e-9}  # C: 1.0
    evaluate: {}  # nothing
  block:
    subset: digits
    train:
      model: 'lenet5'   # the largest

      epochs: 12   # two minutes
      # between
      learning_rate: 0.01

      # below the last
    evaluate:   # nothing
      {}
  other: &shared

    # above
    subset:   digits
    train: { model: linear_regression , }
    evaluate:
      thresholds:   # three
        - 0.5   # first
        - 1.5

        # between
        -   2.5   # last
      # below
  lists:
    subset: digits
    train: {model: linear_regression, preprocess: "deskew"}
    evaluate: {thresholds: [0.5,  1.5,   # two
        2.5]}
  empty:
    subset: digits
    train:
      model: nearest_neighbours
      preprocess:
    evaluate: {}
"""
CASES = {
    "flow": ("flow.train.C", 0.001, ", C: 1.0, max", ", C: 0.001, max"),
    "flow, last": ("flow.train.tol", 1e-6, "tol: 1.0e-9}", "tol: 1.0e-6}"),
    "block": ("block.train.epochs", 8, "epochs: 12   #", "epochs: 8   #"),
    "block, last": ("block.train.learning_rate", 0.03, "0.01\n\n", "0.03\n\n"),
    "missing in flow": (
        "flow.train.preprocess", "deskew", "1.0e-9}", "1.0e-9, preprocess: deskew}",
    ),
    "missing before a comma": (
        "other.train.preprocess", "deskew", "linear_regression , }",
        "linear_regression, preprocess: deskew , }",
    ),
    "missing in block": (
        "block.train.weight_decay", 1e-5, "0.01\n", "0.01\n      weight_decay: 1.0e-5\n",
    ),
    "missing in braces": (
        "flow.evaluate.threshold", 0.49, "{}  # n", "{threshold: 0.49}  # n",
    ),
    "missing in braces on their line": (
        "block.evaluate.threshold", 0.49, "      {}\n", "      {threshold: 0.49}\n",
    ),
    "missing after a list": (
        "other.evaluate.more", 1, "# last\n", "# last\n      more: 1\n",
    ),
    "list": (
        "other.evaluate.thresholds", [0.5, 1.25, 3.0],
        "- 1.5\n\n        # between\n        -   2.5 ",
        "- 1.25\n\n        # between\n        -   3.0 ",
    ),
    "list in flow": (
        "lists.evaluate.thresholds", (0.25, 1.5, 2.75),
        "[0.5,  1.5,   # two\n        2.5]", "[0.25,  1.5,   # two\n        2.75]",
    ),
    "shorter list": (
        "lists.evaluate.thresholds", [1.0, 2.0],
        "[0.5,  1.5,   # two\n        2.5]", "[1.0, 2.0]",
    ),
    "quoted": ("block.train.model", "other", "'lenet5' ", "'other' "),
    "to null": ("lists.train.preprocess", None, '"deskew"', "null"),
    "from nothing": ("empty.train.preprocess", "deskew", "ss:\n", "ss: deskew\n"),
}  # fmt: skip


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("key", "value", "old", "new"), CASES.values(), ids=CASES)
def test_only_the_value_changes(key, value, old, new, newline):
    text = COMMENTED.replace("\n", newline)
    old, new = (part.replace("\n", newline) for part in (old, new))
    assert text.count(old) == 1
    changed = set_values(text, {("variants", *key.split(".")): value})
    assert changed == text.replace(old, new)


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("end", ["", "  # comment"])
def test_a_file_without_a_newline_at_its_end_gets_none(newline, end):
    text = f"a: 1{newline}b:{newline}  c: 2{end}"
    assert set_values(text, {("b", "c"): 3}) == f"a: 1{newline}b:{newline}  c: 3{end}"
    added = f"a: 1{newline}b:{newline}  c: 2{end}{newline}  d: 3"
    assert set_values(text, {("b", "d"): 3}) == added


def test_several_values_change():
    text = "v:\n  train: {C: 1.0}  # C\n  evaluate: {}\n"
    changed = set_values(text, {("v", "train", "C"): 2.0, ("v", "evaluate", "t"): [1, 2]})
    assert changed == "v:\n  train: {C: 2.0}  # C\n  evaluate: {t: [1, 2]}\n"


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {C: 1.0}\nv: *x\n",  # would change a as well
        "a: &x 1.0\nv: {C: *x}\n",
        "v: {C: &x 1.0}\na: *x\n",  # would leave a reference to nothing
    ],
)
def test_a_reference_is_left_to_the_user(text):
    with pytest.raises(InputError, match=re.escape("v.C is part of a reference")) as error:
        set_values(text, {("v", "C"): 1e-5})
    assert str(error.value).endswith("set it by hand to 1.0e-5")


def test_a_reference_elsewhere_does_no_harm():
    text = "a: &x {C: 1.0}\nb: *x\nv: {C: 1.0}\n"
    changed = "a: &x {C: 1.0}\nb: *x\nv: {C: 2.0}\n"
    assert set_values(text, {("v", "C"): 2.0}) == changed


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_is_read_as_the_same_by_this_project_and_by_dvc(number):
    from ruamel.yaml import YAML  # noqa: PLC0415 (DVC's reader)

    text = f"key: {written(number)}"
    for read in (yaml.load(text, Loader), YAML(typ="safe").load(text)):  # noqa: S506 (safe)
        assert repr(read["key"]) == repr(number)


@pytest.mark.parametrize("value", ["deskew", "null", "a b", "it's", "1e-3", ""])
def test_a_text_is_read_as_the_same(value):
    assert yaml.load(f"[{written(value)}]", Loader) == [value]  # noqa: S506 (safe)
