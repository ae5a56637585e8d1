import json
import re
import subprocess
import sys
import zlib
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from importlib import import_module

import numpy as np
import pytest
import yaml

from digits import certainty, methods
from digits.config import params
from digits.data import dataset
from digits.data.dataset import DIGITS
from digits.errors import InputError
from digits.models.decision import Largest
from digits.report import content, graph, notebook_results, packed_arrays
from digits.report.calibration import reliability
from stages import report
from tests.helpers.pages import MODELS, page_of, result
from tests.helpers.project import PARAMS, ROOT, options

EN_DASH = "\N{EN DASH}"


class Structure(HTMLParser):
    """The elements of a page and their ids."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.ids = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]


KINDS = [
    pytest.param({"a": ("threshold", (0, 1))}, id="a line of two digits"),
    pytest.param({"a": ("threshold", (2, 5, 7))}, id="a line of three digits"),
    pytest.param({"a": ("sigmoid", (3, 8))}, id="logistic"),
    pytest.param({"a": ("softmax", (0, 1, 2)), "b": ("one_vs_rest", (0, 9))}, id="many"),
]


@pytest.mark.parametrize("kinds", KINDS)
def test_a_page_can_show_any_variants(tiny, kinds):
    results = [result(name, *kind, tiny.test) for name, kind in kinds.items()]
    page = page_of(results, tiny.test)
    shape = Structure(page)
    assert len(shape.ids) == len(set(shape.ids))
    decisions = {each.decision.name for each in results}
    assert {"draw", "weights"} <= set(shape.ids)
    lines = {len(each.classes) for each in results if each.decision.uses_thresholds}
    assert ("two-classes" in shape.ids) == (2 in lines)
    assert ("thresholds" in shape.ids) == bool(lines - {2})
    assert ("logistic" in shape.ids) == ("sigmoid" in decisions)
    assert ("unsure" in shape.ids) == bool(decisions - {"threshold"})
    assert ("calibration" in shape.ids) == bool(decisions - {"threshold"})


def test_a_page_of_models_without_weights_shows_their_predictions(tiny):
    each = replace(
        result("a", "softmax", (0, 1, 2), tiny.test), decision=Largest(), model=None
    )
    page = page_of([each], tiny.test)
    assert {"confusion", "mistakes"} <= set(Structure(page).ids)
    assert not {"draw", "weights", "calibration", "thresholds"} & set(Structure(page).ids)
    assert not re.search(r"a/(mean|coef)", page)
    page = page_of([each, result("b", "softmax", (0, 1, 2), tiny.test)], tiny.test)
    assert re.search(r"b classifies\s+the image while you draw", page)
    assert " 1 subset</text>" in page


def with_errors(n_errors, n_images):
    """Return a variant of two classes that misclassifies some images."""
    labels = (np.arange(n_images) % 2).astype(np.uint8)
    split = dataset.Split(np.zeros((n_images, 2, 2), np.uint8), labels)
    predicted = labels.copy()
    predicted[:n_errors] = 1 - labels[:n_errors]
    return replace(result("a", "sigmoid", (0, 1), split), predicted=predicted), split


@pytest.mark.parametrize(
    ("n_errors", "n_images", "accuracy", "interval"),
    [
        (182, 263, "30.80%", "25.53-36.62%"),  # Newcombe 1998: 0.2553 to 0.3662
        (20, 20, "0.00%", "0.00-16.11%"),
        (0, 20, "100.00%", "83.89-100.00%"),
        (1, 30_000, "99.99%", "99.98-99.99%"),  # none of the three is 100%
    ],
)
def test_an_accuracy_has_an_interval_and_is_100_only_without_errors(
    n_errors, n_images, accuracy, interval
):
    each, split = with_errors(n_errors, n_images)
    page = page_of([each], split)
    assert f">{accuracy}</span>" in page
    assert f">{interval.replace('-', EN_DASH)}</span>" in page


def test_the_best_of_several_thresholds_are_on_the_page(tiny):
    each = result("a", "threshold", (2, 5, 7), tiny.test)
    found = content.variant(each, is_mnist=False)["best_thresholds"]
    predicted = each.decision.predict(each.scores, found["values"])
    assert (predicted == each.indices[0]).sum() == found["n_right"]
    assert found["n_right"] > (each.actual == each.predicted).sum()
    for decision in ("threshold", "sigmoid"):
        other = result("a", decision, (2, 5), tiny.test)
        assert content.variant(other, is_mnist=False)["best_thresholds"] is None


def test_every_model_is_described_on_the_page(tiny):
    shown = page_of([result("some", "softmax", (3, 4), tiny.test)], tiny.test)
    assert options(MODELS["softmax"], C=1.0, max_iter=9, tol=0.1).summary in shown
    sentences = {
        import_module(f"digits.methods.{name}").Options.summary for name in methods.NAMES
    }
    assert len(sentences) == len(methods.NAMES)
    assert all(re.fullmatch(r"[A-Z].*[^.]", sentence) for sentence in sentences)


def test_the_names_of_many_classes_are_listed_only_where_they_are_not_all(tiny):
    results = [
        result("whole", "softmax", tuple(range(10)), tiny.test),
        result("part", "softmax", (3, 4), tiny.test),
    ]
    page = page_of(results, tiny.test, names=[f"kind {i}" for i in range(10)])
    assert page.count("All 10 classes:") == 1
    assert "Classes <bdi>kind 3</bdi>, <bdi>kind 4</bdi>:" in page


@pytest.mark.parametrize("size", [(5, 3), (64, 64)])
def test_images_may_have_any_size(size):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, *size)).astype(np.uint8)
    split = dataset.Split(images, (np.arange(20) % 3).astype(np.uint8))
    page = page_of([result("a", "softmax", (0, 1, 2), split)], split)
    assert f"{size[1]} \N{MULTIPLICATION SIGN} {size[0]}" in page


def test_the_same_results_give_the_same_bytes(tiny):
    results = [result("a", "softmax", (0, 1, 2), tiny.test)]
    assert page_of(results, tiny.test) == page_of(results, tiny.test)


def test_external_text_is_escaped(tiny):
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    results = [result("a", "sigmoid", (0, 1), tiny.test)]
    plain = Structure(page_of(results, tiny.test)).tags
    texts = {"name": hostile, "title": hostile, "source": hostile}
    parameters = [("dataset.x", hostile)]
    names = [hostile, *DIGITS[1:]]
    page = page_of(results, tiny.test, parameters=parameters, names=names, **texts)
    assert hostile not in page
    assert Structure(page).tags == plain


def test_the_page_loads_nothing(tiny):
    page = page_of([result("a", "softmax", (0, 1, 2), tiny.test)], tiny.test)
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)="(?!#|data:)""", page)
    assert not re.search(r"\bfetch\(|XMLHttpRequest|import\(", page)


def test_arrays_are_restored_from_the_data_block():
    rng = np.random.default_rng(0)
    held = {
        "a": rng.integers(0, 255, (3, 5)).astype(np.uint8),
        "b": rng.normal(size=(2, 3)),
        "c": rng.normal(size=7).astype(np.float32),
        "d": np.array([], np.uint32),
    }
    packed = packed_arrays.pack(held)
    block = zlib.decompress(b64decode(packed.text))
    for name, array in held.items():
        kind, start, length = packed.layout[name]
        assert start % 8 == 0
        read = np.frombuffer(block, kind, length, start)
        np.testing.assert_array_equal(read, array.ravel())


def test_with_too_many_images_each_variants_worst_mistakes_are_kept():
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8)).astype(np.uint8)
    worst = [np.array([150, 3, 77]), np.array([4, 150, 199])]
    kept = content.included_images(images, worst, limit=2000)
    assert len(packed_arrays.deflate(images[kept].tobytes())) <= 2000
    assert len(kept) < 40
    assert {150, 3, 77, 4, 199} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    few = content.included_images(images, worst, limit=200)
    assert set(few.tolist()) <= {150, 4, 3}
    assert len(content.included_images(images, worst, limit=10**6)) == 200


def test_a_page_that_holds_few_images_says_so_and_counts_all(tiny, monkeypatch):
    monkeypatch.setattr(content.included_images, "__defaults__", (1500,))
    each = result("a", "softmax", tuple(range(10)), tiny.test)
    page = page_of([each], tiny.test)
    held = json.loads(re.search(r'id="payload">(.*?)</script>', page)[1])
    assert held["dataset"]["n_included"] < 120
    assert f"includes {held['dataset']['n_included']} of the 120" in page
    assert np.sum(held["variants"][0]["confusion"]) == 120


@pytest.mark.parametrize("decision", MODELS)
def test_the_worst_mistakes_come_first(tiny, decision):
    digits = (0, 1) if decision == "sigmoid" else (0, 1, 2)
    each = result("a", decision, digits, tiny.test)
    order = content.worst_first(each)
    assert set(order) == set(np.flatnonzero(each.actual != each.predicted))
    scores = each.scores[order]
    actual = np.searchsorted(digits, each.actual[order])
    if decision == "threshold":
        bounds = np.array([-np.inf, *each.thresholds, np.inf])
        off = np.maximum(bounds[actual] - scores[:, 0], scores[:, 0] - bounds[actual + 1])
    elif decision == "sigmoid":
        off = np.abs(scores[:, 0])
    else:
        off = scores.max(axis=1) - scores[np.arange(len(scores)), actual]
    assert (off >= 0).all()
    assert (np.diff(off) <= 0).all()


def test_the_answers_of_one_versus_rest_are_counted(tiny):
    each = result("a", "one_vs_rest", (0, 1, 2), tiny.test)
    scores = np.full((len(each.actual), 3), -1.0)
    scores[:4] = [[-3, -2, -1], [-1, 2, -1], [1, 2, -3], [1, 2, 3]]
    actual = each.predicted.copy()
    actual[:4], predicted = [2, 1, 1, 0], actual.copy()
    predicted[:4] = [2, 0, 1, 2]
    counted = content.yes_counts(
        replace(each, scores=scores, actual=actual, predicted=predicted)
    )
    n = len(actual)
    assert counted == [
        {"images": n - 3, "correct": n - 3},
        {"images": 1, "correct": 0},
        {"images": 2, "correct": 1},
    ]
    page = page_of([each], tiny.test)
    assert "so all can say no" in page
    assert "sum to 1" not in page
    page = page_of([result("b", "softmax", (0, 1, 2), tiny.test)], tiny.test)
    assert "so all can say no" not in page
    assert re.search(r"probabilities of b sum to 1", page)


def test_reliability_of_a_calibrated_model():
    stated = np.repeat([0.65, 0.95], [100, 1000])
    actual = np.zeros(1100, np.intp)
    actual[:35] = 1
    actual[100:150] = 1
    found = reliability(np.log(np.column_stack([stated, 1 - stated])), actual)
    assert found.counts[[6, 9]].tolist() == [100, 1000]
    np.testing.assert_allclose(found.accuracy[[6, 9]], [0.65, 0.95])
    np.testing.assert_allclose(found.confidence[[6, 9]], [0.65, 0.95])
    assert found.error == pytest.approx(0, abs=1e-12)


def test_the_last_bit_of_a_probability_moves_no_image_to_another_bin():
    for edge in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        for stated in (np.nextafter(edge, 0), edge, np.nextafter(edge, 2)):
            log_p = np.log(np.array([[stated, 1e-3]]))
            found = reliability(log_p, np.array([0]))
            assert found.counts.argmax() == min(round(10 * edge), 9)


def test_the_notebooks_results_are_shown_for_its_own_parameters_alone():
    find = notebook_results.find
    checked = params.load(PARAMS)
    for name, variant in checked.variants.items():
        classes, train = checked.subsets[variant.subset].classes, variant.train
        thresholds = variant.evaluate.all_thresholds
        # the notebook has no lenet5
        expected = notebook_results.RESULTS.get(name)
        assert find(name, train, classes, thresholds) == expected
        assert find(name, train, classes[:-1], thresholds) is None
        assert find(f"{name}_2", train, classes, thresholds) is None
        assert find(name, train, classes, (0.3,)) is None
    other = options("logistic_regression", C=1.0, max_iter=9, tol=0.1)
    assert find("logistic_binary", other, (0, 1), ()) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "tol", "said"),
    [
        (0, 1e-9, "makes as\n    many errors as in the notebook"),
        (3, 1e-9, "More errors are possible"),
        (-3, 1e-9, "stops further from the optimum than this run's"),
        (3, 0.1, "not the same number of errors as in the notebook"),
    ],
)
def test_what_is_said_of_the_notebook_is_so(tiny, monkeypatch, more, tol, said):
    each = result("a", "softmax", (0, 1, 2), tiny.test)
    each = replace(each, train=options("multinomial_logistic", C=1.0, max_iter=9, tol=tol))
    correct = int((each.actual == each.predicted).sum())
    theirs = notebook_results.NotebookResult(
        "multinomial_logistic", 1.0, (0, 1, 2), (), correct + more, len(each.actual)
    )
    monkeypatch.setitem(notebook_results.RESULTS, "a", theirs)
    page = page_of([each], tiny.test, name="mnist")
    assert said in page
    assert ("More errors are possible" in page) == (more > 0 and tol < 1e-4)
    assert ("stops further" in page) == (more != 0 and tol < 1e-4)


def test_calibration_has_intervals_and_no_rounding_to_1(tiny):
    each = result("a", "softmax", (0, 1, 2), tiny.test)
    values = content.variant(each, is_mnist=False)
    for bin_ in values["calibration"]["bins"]:
        low, high = bin_["interval"]
        assert 0 <= low <= bin_["accuracy"] <= high <= 1
        right = round(bin_["accuracy"] * bin_["images"])
        assert bin_["interval"] == pytest.approx(
            certainty.wilson(right, bin_["images"]), abs=1e-6
        )
    fraction = re.compile(r"confidence (\d\.\d{3})")
    page = page_of([each], tiny.test)
    shown = [float(text) for text in fraction.findall(page)]
    stated = [bin_["confidence"] for bin_ in values["calibration"]["bins"]]
    assert shown == [1 if x == 1 else min(round(x, 3), 0.999) for x in stated]


def test_variants_with_the_same_classes_stand_together(tiny):
    kinds = {"a": (0, 1), "b": (0, 1, 2), "c": (0, 1)}
    results = [result(name, "softmax", kind, tiny.test) for name, kind in kinds.items()]
    page = page_of(results, tiny.test)
    table = page[page.index('<table class="variants">') :]
    table = table[: table.index("</table>")]
    assert re.findall(r"<strong>(\w)</strong>", table) == ["a", "c", "b"]
    assert table.count('class="group"') == 2
    assert "only they can be compared" in page
    assert "only they can be compared" not in page_of(results[:1], tiny.test)


def test_the_parameters_of_the_variants_are_a_table(tiny):
    parameters = [
        ("dataset.name", "custom"),
        ("variants.a.train.C", 0.5),
        ("variants.a.train.model", "multinomial_logistic"),
        ("variants.b.evaluate.thresholds", [0.5, 1.5]),
    ]
    results = [result(name, "softmax", (0, 1, 2), tiny.test) for name in "ab"]
    page = page_of(results, tiny.test, parameters=parameters)
    table = page[page.index("Parameters of the variants</caption>") :]
    rows = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', table, re.DOTALL)[:3]
    cells = {name: re.findall(r"<td>(.*?)</td>", row) for name, row in rows}
    assert cells["train.C"] == ["0.5", "\N{EN DASH}"]
    assert cells["train.model"] == ["multinomial_<wbr>logistic", "\N{EN DASH}"]
    assert cells["evaluate.thresholds"] == ["\N{EN DASH}", "0.5, 1.5"]


def test_the_graph_is_that_of_dvc_yaml():
    nodes = {node.name: node for node in graph.nodes(ROOT / "dvc.yaml")}
    assert set(nodes) == set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    assert nodes["check"].after == ()
    assert nodes["evaluate"].after == ("check", "filter", "train")
    assert nodes["report"].after == ("check", "download", "train", "evaluate", "path")
    assert nodes["train"].each == "variants"
    assert nodes["train"].does == "Fit each variant on the training images of its subset"
    assert not any("\N{HORIZONTAL ELLIPSIS}" in node.does for node in nodes.values())
    assert all(
        nodes[other].depth < node.depth for node in nodes.values() for other in node.after
    )


def test_a_damaged_dvc_yaml_is_an_error_of_one_line(tmp_path):
    path = tmp_path / "dvc.yaml"
    path.write_text("stages")
    with pytest.raises(InputError, match=r"dvc\.yaml: is not a mapping"):
        graph.nodes(path)


def test_missing_predictions_are_an_error_of_one_line(tmp_path):
    with pytest.raises(InputError, match="dvc repro"):
        report.load_predictions(tmp_path / "none.npz", None, None, "{}")


def test_a_removed_variant_disappears_from_the_page(done, tmp_path):
    project = done.copy(tmp_path / "project")
    text = (project.root / "params.yaml").read_text()
    start, end = text.index("  linear_digits:"), text.index("  one_vs_rest:")
    project.edit(text[start:end], "")
    report.main(params.load(project.root / "params.yaml"), project.root)
    page = (project.root / "report/index.html").read_text()
    assert "linear_digits" not in page
    assert "one_vs_rest" in page


def test_the_stage_writes_the_same_bytes_again(done, tmp_path):
    project = done.copy(tmp_path / "project")
    before = (done.root / "report/index.html").read_bytes()
    path = project.root / "report/index.html"
    path.unlink()
    report.main(params.load(project.root / "params.yaml"), project.root)
    assert path.read_bytes() == before


@pytest.mark.results
def test_the_page_of_mnist_is_small_and_holds_every_image():
    page = ROOT / "report/index.html"
    assert page.stat().st_size < 4_000_000
    assert 'id="included"' not in page.read_text()


def test_importing_the_stage_is_quick():
    """It imports nothing slow, because it runs after every change."""
    slow = {"matplotlib", "sklearn", "scipy", "pandas", "pooch"}
    code = "import sys, stages.report; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert not slow & {name.partition(".")[0] for name in loaded.split()}
