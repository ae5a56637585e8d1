"""A corpus of invalid files and generated ones: one message each, and no stage runs.

To add a mistake, add a line to a table: a name, the text, and the expected message.
test_params.py has mistakes in the tests' own params.yaml.
"""

import re
import sys

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digits import process
from digits.config import cli, params
from digits.config.params import Params
from digits.errors import InputError

pytestmark = pytest.mark.long  # hundreds of cases

GOOD = """\
dataset: {name: mnist, source: auto}
subsets:
  two: {classes: [3, 8]}
  all: {classes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}
variants:
  line:
    subset: two
    train: {model: linear_regression}
    evaluate: {threshold: 0.49}
  cuts:
    subset: all
    train: {model: linear_regression}
    evaluate: {thresholds: [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5]}
  softmax:
    subset: all
    train: {model: multinomial_logistic, C: 1.0, max_iter: 2000, tol: 1.0e-9}
    evaluate: {}
"""

# The text of the valid file that is replaced, its replacement, and the expected message.
EDITS = {
    # altered copies
    "copies all the same": ("[3, 8]}", "[3, 8], augment: {factor: 2, max_shift: 0}}", "are 0, so all copies would be the same"),
    "factor of one": ("[3, 8]}", "[3, 8], augment: {factor: 1, max_shift: 2}}", "factor: must be greater than or equal to 2"),
    "rotated too far": ("[3, 8]}", "[3, 8], augment: {factor: 2, max_shift: 2, max_rotation: 90}}", "max_rotation: must be less than or equal to 45"),
    # not YAML, or not as DVC reads it
    "bracket that stays open": ("[3, 8]", "[3, 8", "cannot be read"),
    "brace that stays open": ("{name: mnist", "{name: mnist, {", "cannot be read"),
    "quote that stays open": ("source: auto", "source: 'auto", "cannot be read"),
    "indented too far": ("  two:", "    two:", "cannot be read"),
    "indented too little": ("    subset: two", "subset: two", "cannot be read"),
    "no space after the colon": ("C: 1.0", "C:1.0", "C:1.0: is not a known key"),
    "unknown escape": ("source: auto", r'source: "\q"', "cannot be read"),
    "reference to nothing": ("[3, 8]", "*digits", "undefined alias"),
    "an anchor twice": ("[3, 8]", "&a &a [3, 8]", "cannot be read"),
    "two documents": ("variants:", "---\nvariants:", "cannot be read"),
    "a directive": ("dataset:", "%YAML 9.9\n---\ndataset:", "cannot be read"),
    "a list for a key": ("dataset:", "? [dataset]\n:", "cannot be read"),
    "a mapping for a key": ("dataset:", "? {a: b}\n:", "cannot be read"),
    "a percent sign first": ("dataset:", "%", "cannot be read"),
    "a backtick": ("auto", "`auto`", "cannot be read"),
    "a control character": ("auto", "au\x07to", "cannot be read"),
    # tags, which would build other objects
    "a call of Python's": ("auto", "!!python/object/apply:os.system [true]", "constructor"),
    "a module of Python's": ("auto", "!!python/module:os x", "constructor"),
    "a custom tag": ("auto", "!digits auto", "constructor"),
    "a date by its tag": ("auto", "!!timestamp 2020-01-01", "constructor"),
    "a date that is none": ("auto", "!!timestamp soon", "constructor"),
    "bytes": ("auto", "!!binary aGVsbG8=", "constructor"),
    "a set": ("[3, 8]", "!!set {3, 8}", "constructor"),
    "an ordered mapping": ("[3, 8]", "!!omap [{a: 3}]", "constructor"),
    "text called a number": ("2000", "!!int many", "cannot be read"),
    "nothing called a number": ("2000", "!!int ''", "cannot be read"),
    "text called a float": ("C: 1.0", "C: !!float much", "cannot be read"),
    "text called a bool": ("C: 1.0", "C: !!bool perhaps", "cannot be read"),
    "a list called a mapping": ("[3, 8]", "!!map [3, 8]", "cannot be read"),
    "a number called text": ("2000", "!!str 2000", "max_iter: must be a valid integer"),
    # numbers
    "thousands with a comma": ("2000", "2,000", "cannot be read|is not a known key"),
    "thousands with a line": ("2000", "2_000", "max_iter: must be a valid integer"),
    "octal": ("2000", "0o17", "max_iter: must be a valid integer, got '0o17'"),
    "hexadecimal": ("2000", "0x10", "max_iter: must be a valid integer, got '0x10'"),
    "a leading zero": ("2000", "02000", "max_iter: must be a valid integer, got '02000'"),
    "a decimal comma": ("C: 1.0", "C: '1,0'", "C: must be a valid number, got '1,0'"),
    "a percentage": ("C: 1.0", "C: 50%", "C: must be a valid number, got '50%'"),
    "a fraction": ("C: 1.0", "C: 1/2", "C: must be a valid number, got '1/2'"),
    "a sum": ("C: 1.0", "C: 1+1", "C: must be a valid number, got '1"),
    "minus zero": ("C: 1.0", "C: -0.0", "C: must be greater than or equal to 1e-08"),
    "negative infinity": ("C: 1.0", "C: -.inf", "C: must be"),
    "thousands of digits": ("2000", "1" * 5000, "cannot be read"),
    "hundreds of digits": ("C: 1.0", "C: " + "1" * 400, "C: must be"),
    "null": ("C: 1.0", "C: null", "C: must be a valid number, got None"),
    "a tilde": ("2000", "~", "max_iter: must be a valid integer, got None"),
    "a negative tol": ("tol: 1.0e-9", "tol: -1.0e-9", "tol: must be greater than or equal to 1e-24"),
    "a tol of zero": ("tol: 1.0e-9", "tol: 0", "tol: must be greater than or equal to 1e-24"),
    "negative iterations": ("2000", "-1", "max_iter: must be greater than or equal to 1"),
    "iterations as a float": ("2000", "2000.0", "max_iter: must be a valid integer"),
    "true iterations": ("2000", "true", "max_iter: must be a valid integer, got True"),
    "a threshold of infinity": ("0.49", ".inf", "threshold: must be a finite number"),
    "a threshold in words": ("0.49", "a half", "threshold: must be a valid number"),
    "a threshold as a list": ("0.49", "[0.49]", "threshold: must be a valid number"),
    "thresholds as a number": ("[0.5, 1.5", "7}\n#", "thresholds: must be a list"),
    "a threshold not a number": ("[0.5,", "[.nan,", "thresholds.0: must be a finite number"),
    "a threshold missing": ("[0.5,", "[null,", "thresholds.0: must be a valid number"),
    "thresholds that descend": ("[0.5, 1.5,", "[1.5, 0.5,", "must be ascending"),
    "a threshold twice": ("[0.5, 1.5,", "[0.5, 0.5,", "must be ascending"),
    "too many thresholds": ("[0.5,", "[0.4, 0.5,", "take 9 thresholds, got 10"),
    "a threshold beyond all scores": ("0.49", "1.0e+308", "less than or equal to 1000000"),
    "a threshold far below": ("0.49", "-1.0e+308", "greater than or equal to -1000000"),
    "the smallest C": ("C: 1.0", "C: 5.0e-324", "C: must be greater than or equal to 1e-08"),
    "the largest C": ("C: 1.0", "C: 1.7976931348623157e+308", "C: must be less than or equal"),
    "a trillion iterations": ("2000", "1" + "0" * 12, "less than or equal to 1000000, got 1"),
    "a thousand digits": ("2000", "1" + "0" * 1000, "less than or equal to 1000000, got 1"),
    # digits and subsets
    "too many labels": ("[3, 8]", f"[{'3, ' * 200}8]", "classes: may have at most 100 entries"),
    "too many classes": ("classes: [3, 8]", f"classes: [{'a, ' * 200}b]", "at most 100 entries"),
    "hundreds of mistakes": ("[3, 8]", f"[{'1.5, ' * 80}8]", "params.yaml: 60 more mistakes"),
    "too many thresholds to read": ("[0.5,", f"[{'0.5, ' * 200}", "may have at most 99 entries"),
    "a class with a long name": ("classes: [3, 8]", f"classes: [{'x' * 101}, b]", "at most 100 char"),
    "a subset with a long name": ("subset: two", f"subset: {'x' * 9000}", "at most 64 characters"),
    "too many variants": ("variants:", "variants:\n" + "".join(f"  v{i}: {{}}\n" for i in range(1001)) + "#", "variants: may have at most 1000 entries|more mistakes"),
    "a label as text": ("[3, 8]", "[3, '8']", "classes"),
    "a label as a float": ("[3, 8]", "[3, 8.0]", "classes"),
    "a label as a bool": ("[3, 8]", "[true, 8]", "classes"),
    "a label that is null": ("[3, 8]", "[3, null]", "classes"),
    "a list in the list": ("[3, 8]", "[[3, 8]]", "classes"),
    "no classes": ("[3, 8]", "[]", "classes"),
    "classes as text": ("[3, 8]", "'38'", "classes: must be 'all'"),
    "classes as a mapping": ("[3, 8]", "{a: 3}", "classes: must be a list"),
    "no key of a subset": ("{classes: [3, 8]}", "{}", "subsets.two"),
    "a subset that is a list": ("{classes: [3, 8]}", "[3, 8]", "subsets.two: must be a map"),
    "a subset that is null": ("{classes: [3, 8]}", "", "subsets.two: must be a mapping"),
    "another key in a subset": ("[3, 8]}", "[3, 8], seed: 1}", "seed: is not a known key"),
    "a subset twice": ("  all:", "  two:", "duplicate key 'two'"),
    # names
    "a name with a space": ("  line:", "  my line:", "a name has lower-case letters"),
    "a name with a dash": ("  line:", "  my-line:", "a name has lower-case letters"),
    "a name with a dot": ("  line:", "  my.line:", "a name has lower-case letters"),
    "a name with a slash": ("  line:", "  ../line:", "a name has lower-case letters"),
    "a name with an umlaut": ("  line:", "  linié:", "a name has lower-case letters"),
    "a name with a line break": ("  line:", '  "line\\n":', "a name has lower-case letters"),
    "a name with a zero byte": ("  line:", '  "line\\0":', "a name has lower-case letters"),
    "half a character": ("  line:", r'  "\ud800":', "variants"),
    "a name that is a number": ("  line:", "  1:", "variants.1"),
    "a name that is null": ("  line:", "  ~:", "variants.None"),
    "an empty name": ("  line:", "  '':", "a name has lower-case letters"),
    "a long name": ("  line:", f"  {'x' * 65}:", "at most 64 characters"),
    "the name of a folder": ("  line:", "  subsets:", "this name is reserved"),
    # variants
    "no variants": ("variants:", "variants: {}\nothers:", "variants: "),
    "variants as a list": ("variants:", "variants: []\nothers:", "variants: must be a map"),
    "a variant that is null": ("  line:", "  none:\n  line:", "variants.none: must be a"),
    "a subset that is a number": ("subset: two", "subset: 2", "subset: must be a valid str"),
    "no subset": ("    subset: two\n", "", "line.subset: is missing"),
    "no train": ("    train: {model: linear_regression}\n", "", "line.train: is missing"),
    "train that is null": ("{model: linear_regression}", "", "line.train: "),
    "a model that is a list": ("model: linear_regression", "model: [a]", "train.model: must be"),
    "a model that is null": ("model: linear_regression", "model: ", "model: must be one of"),
    "a C for least squares": ("{model: linear_regression}",
        "{model: linear_regression, C: 1.0}", "line.train.C: is not a known key"),
    "an unknown solver": ("{model: linear_regression}",
        "{model: linear_regression, solver: best}", "line.train.solver: must be"),
    "no evaluate": ("    evaluate: {}\n", "", "softmax.evaluate: is missing"),
    "evaluate that is null": ("evaluate: {}", "evaluate:", "softmax.evaluate: must be a map"),
    "thresholds for a softmax": ("evaluate: {}", "evaluate: {thresholds: [0.5]}",
        "uses no thresholds"),
    # data sets
    "a data set that is a list": ("{name: mnist, source: auto}", "[mnist]", "dataset: must"),
    "no source": (", source: auto", "", "dataset.source: is missing"),
    "a source that is a list": ("source: auto", "source: [a, b]", "source: must be a valid"),
    "a path upwards": ("name: mnist, source: auto",
        "name: custom, source: data/own/../../x", "source must be a path under data/own/"),
    "an absolute path": ("name: mnist, source: auto",
        "name: custom, source: /etc/passwd", "source must be a path under data/own/"),
    "a URL": ("name: mnist, source: auto",
        "name: custom, source: 'http://127.0.0.1/x'", "source must be a path under data/own/"),
    "a test share of known data": ("source: auto", "source: auto, test_share: 0.2",
        "test_share is only for custom data: the arrays of mnist are known"),
    "a seed of known data": ("source: auto", "source: auto, seed: 3", "seed is only for"),
    "a test share of all": ("name: mnist, source: auto",
        "name: custom, source: data/own, test_share: 1.0", "test_share: must be less than 1"),
    "no test share": ("name: mnist, source: auto",
        "name: custom, source: data/own, test_share: 0", "must be greater than 0"),
    "another key of the data": ("source: auto", "source: auto, mirror: x", "not a known key"),
    "a command": ("source: auto", "source: auto, cmd: rm -rf /", "cmd: is not a known key"),
    "a zero byte in a path": ("source: auto", r'source: "a\0b"', "without control characters"),
    "a line break in a path": ("source: auto", r'source: "a\nb"', "without control characters"),
    "a long path": ("source: auto", f"source: {'x' * 1001}", "at most 1000 characters"),
    # bombs
    "references to references": ("auto}", "auto}\na: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n"
                  for a, b in zip("abcdefghijk", "bcdefghijkl", strict=True))
        + "#", "l: is not a known key"),
    "references where a number is due": ("C: 1.0", "C: " + "[" * 20 + "&a [x]" + ", *a]" * 20,
        "C: must be a valid number, got [[[[...]"),
    "a list that holds itself": ("[3, 8]", "&a [*a, 8]", "classes"),
    "a mapping that holds itself": ("{classes: [3, 8]}", "&a {classes: *a}", "classes: must be"),
    "a thousand brackets": ("[3, 8]", "[" * 1000 + "]" * 1000, "cannot be read"),
    "a thousand levels": ("auto}", "auto}\n" + "".join(
        " " * i + "a:\n" for i in range(400)) + "#", "cannot be read|is not a known key"),
    "a long file": ("auto}", "auto}\n" + "# more\n" * 20_000, "is longer than 100,000"),
    "a long key": ("auto}", f"auto}}\n{'k' * 1000}: 1\n#", "is not a known key"),
    "a long text": ("C: 1.0", f"C: {'x' * 90_000}", "C: must be a valid number, got 'xxxx"),
}  # fmt: skip

# Whole files, as bytes.
FILES = {
    "empty": b"",
    "spaces": b"   \n\n",
    "a comment alone": b"# nothing\n",
    "null": b"null\n",
    "a number": b"42\n",
    "a text": b"hello\n",
    "a list": b"- a\n- b\n",
    "an empty mapping": b"{}\n",
    "zero bytes": bytes(100),
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a zip": b"PK\x03\x04" + bytes(100),
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "Latin-1": GOOD.replace("auto", "Zürich").encode("latin-1"),
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-32": GOOD.encode("utf-32"),
    "cut in half": GOOD.encode()[: len(GOOD) // 2],
    "a merge conflict": GOOD.replace(
        "    subset: two", "<<<<<<< HEAD\n    subset: two\n=======\n>>>>>>> x"
    ).encode(),
    "JSON cut off": b'{"dataset": {"name": "mnist"',
    "a web page": b"<!doctype html><title>Sign in</title>",
    "twice the same": (GOOD + GOOD).encode(),
}


def load(path, content):
    path.write_bytes(content)
    return params.load(path)


def test_the_valid_file_is_accepted(tmp_path):
    assert len(load(tmp_path / "params.yaml", GOOD.encode()).variants) == 3


@pytest.mark.parametrize(("old", "new", "expected"), EDITS.values(), ids=EDITS)
def test_a_mistake_is_one_message(tmp_path, old, new, expected):
    assert old in GOOD
    path = tmp_path / "params.yaml"
    with pytest.raises(InputError) as caught:
        load(path, GOOD.replace(old, new, 1).encode())
    message = str(caught.value)
    assert any(part in message for part in expected.split("|")), message
    assert message.startswith(f"{path}: ")
    assert len(message) < 5000


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_that_is_not_params_is_refused(tmp_path, content):
    path = tmp_path / "params.yaml"
    with pytest.raises(InputError, match=re.escape(f"{path}: ")):
        load(path, content)


def test_there_are_more_than_a_hundred_mistakes():
    assert len(EDITS) + len(FILES) > 120


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["two", "all", "linear_regression", "mnist", "auto"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5) | st.sampled_from(["model", "C"]), inner,
                      max_size=3),
    max_leaves=4,
)  # fmt: skip


def places(value, path=()):
    """Yield the path of every value in a tree of mappings and lists."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def refused_or_read(path, text):
    """Read a generated file, which gives a line for each mistake, or valid values."""
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        assert isinstance(params.load(path), Params)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 (both outcomes are right)


steady = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@steady
@given(st.data())
def test_no_value_in_any_place_gives_a_traceback(tmp_path, data):
    tree = yaml.safe_load(GOOD)
    path = data.draw(st.sampled_from(list(places(tree))[1:]))
    target = tree
    for key in path[:-1]:
        target = target[key]
    if data.draw(st.booleans()):
        target[path[-1]] = data.draw(VALUES)
    elif isinstance(target, dict):
        target[data.draw(st.text(max_size=6))] = target.pop(path[-1])
    else:
        del target[path[-1]]
    refused_or_read(tmp_path / "params.yaml", yaml.safe_dump(tree))


@pytest.mark.long
@steady
@given(st.data())
def test_no_change_of_the_text_gives_a_traceback(tmp_path, data):
    text = GOOD
    odd = st.sampled_from(
        [*"{}[]:,'\"&*!|>%@`#?-~\t\n \\", "<<: ", "!!int ", "---\n", "..."]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 8))
        text = text[:at] + data.draw(odd | st.text(max_size=4)) + text[at + cut :]
    refused_or_read(tmp_path / "params.yaml", text)


@pytest.mark.parametrize("content", [b"", b"{", GOOD.replace("3, 8", "3").encode()])
def test_a_stage_does_not_run_on_a_wrong_file(tmp_path, monkeypatch, content):
    (tmp_path / "params.yaml").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setattr(process, "end_with_dvc", lambda _: [])
    ran = []
    with pytest.raises(SystemExit) as ended:
        cli.run(lambda *_: ran.append(1), "a stage")
    assert ended.value.code == 1
    assert not ran
