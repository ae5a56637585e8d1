import json
import re

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from digits.config import params
from digits.errors import InputError
from tests.helpers.params import GOOD, MISTAKES
from tests.helpers.project import ROOT


def make(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_with_its_key_and_rule(tmp_path, old, new, expected):
    path = tmp_path / "params.yaml"
    path.write_text(make(old, new))
    with pytest.raises(InputError, match=re.escape(expected)) as error:
        params.load(path)
    lines = [line for line in str(error.value).splitlines() if line.startswith(str(path))]
    assert len(lines) == (2 if "datasets" in new else 1)  # one missing, one unknown


def test_all_mistakes_are_reported_at_once(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(make("C: 0.01", "C: -1").replace("C: 1.0", "C: no", 1))
    with pytest.raises(InputError) as error:
        params.load(path)
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == [
        "variants.logistic_binary.train.C",
        "variants.one_vs_rest.train.C",
    ]


def test_a_key_of_another_block_is_not_suggested_for_itself(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(GOOD.replace("\nvariants:", "\nvariant:"))
    with pytest.raises(InputError, match=r"variant: is not .* did you mean 'variants'\?"):
        params.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.yaml: cannot be read"):
        params.load(tmp_path / "nowhere.yaml")


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
def test_a_number_as_dvc_writes_it_is_read(value):
    read = yaml.load(f"C: {value!r}", params.Loader)  # noqa: S506 (it is a SafeLoader)
    assert read == {"C": value}


def test_params_cannot_be_changed(tmp_path):
    (tmp_path / "params.yaml").write_text(GOOD)
    checked = params.load(tmp_path / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        checked.dataset.name = "custom"


def test_the_schema_in_the_project_is_up_to_date():
    written = json.loads((ROOT / "params.schema.json").read_text())
    assert written == params.schema(), "run `dvc repro`"


@pytest.mark.parametrize(
    "name",
    ["misspelt key", "no model", "label of a hundred", "list for a number", "no dataset"],
)
def test_the_schema_finds_mistakes(name):
    schema = params.schema()
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    old, new, _ = MISTAKES[name]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(make(old, new)), schema)
