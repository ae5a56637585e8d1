"""Two results on the same test images, image by image."""

import numpy as np
import pytest

from digits import certainty, paired
from digits.data import files
from digits.models.decision import RULES
from digits.paired import Result

COUNTS = {("0", "0"): 5, ("0", "1"): 1, ("1", "0"): 2, ("1", "1"): 4}
MISTAKES = "image,actual,predicted\n1,0,1\n4,1,0\n7,1,0\n"


def result(n_images, wrong, classes="01"):
    """Return a result with these mistakes, all of the first class."""
    counts = {(a, b): 0 for a in classes for b in classes}
    a, b = classes[:2]
    counts |= {(a, a): n_images - len(wrong), (a, b): len(wrong)}
    return Result(counts, dict.fromkeys(wrong, (a, b)))


def test_the_tables_are_read():
    text = "actual,predicted,count\n" + "".join(
        f"{a},{b},{n}\n" for (a, b), n in COUNTS.items()
    )
    counts = paired.read_counts(text)
    assert counts == COUNTS
    found = Result(counts, paired.read_mistakes(MISTAKES, counts))
    assert found.mistakes == {1: ("0", "1"), 4: ("1", "0"), 7: ("1", "0")}
    assert (found.n_images, found.n_right, found.support) == (12, 9, {"0": 6, "1": 6})


def test_a_name_may_need_quotes():
    counts = paired.read_counts('actual,predicted,count\n"a, ""b""","a, ""b""",1\n')
    assert counts == {('a, "b"', 'a, "b"'): 1}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("image,", "images,", "its header is not image,actual,predicted"),
        (MISTAKES, "", "its header is not image,actual,predicted"),
        ("1,0,1", "1,0", "a row has 2 columns, not 3"),
        ("1,0,1", "one,0,1", "'one' is not a whole number from 0"),
        ("1,0,1", "-1,0,1", "'-1' is not a whole number from 0"),
        ("1,0,1", "12,0,1", "image 12 of 12, which are counted from 0"),
        ("4,1,0", "7,1,0", "image 7 is there twice"),
        ("1,0,1\n", "", "0 predicted as 1: 0 here, 1 in confusion.csv"),
        ("7,1,0\n", "7,1,0\n8,1,0\n", "1 predicted as 0: 3 here, 2 in confusion.csv"),
        ("7,1,0", "7,2,0", "2 predicted as 0 is not a mistake in confusion.csv"),
        ("7,1,0", "7,1,1", "1 predicted as 1 is not a mistake in confusion.csv"),
        ("7,1,0", '7,1,"0', "unexpected end of data"),
    ],
)
def test_a_damaged_list_of_mistakes_is_refused(old, new, problem):
    assert old in MISTAKES
    with pytest.raises(ValueError, match=problem):
        paired.read_mistakes(MISTAKES.replace(old, new), COUNTS)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "its header is not"),
        ("actual,predicted,count\n", "it has no images"),
        ("actual,predicted,count\n0,0,0\n", "it has no images"),
        ("actual,predicted,count\n0,0,1.5\n", "'1.5' is not a whole number from 0"),
        ("actual,predicted,count\n0,1,1\n0,1,1\n", "0 predicted as 1 is there twice"),
    ],
)
def test_a_damaged_confusion_matrix_is_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        paired.read_counts(text)


def test_images_are_counted_that_only_one_classifies_correctly():
    pairs = {"v": (result(100, {1, 2, 3, 50}), result(100, {3, 60}))}
    (found,) = paired.compare(pairs, 0.05)
    assert (found.only_old, found.only_new) == (1, 3)
    assert (found.accuracy_old, found.accuracy_new, found.difference) == (0.96, 0.98, 0.02)
    assert found.p_value == certainty.mcnemar(1, 3)
    assert found.difference_interval == pytest.approx(
        certainty.difference_interval(1, 3, 100), abs=1e-6
    )
    assert found.interval_new == pytest.approx(certainty.wilson(98, 100), abs=1e-6)
    assert found.verdict == "no clear difference"
    assert found.log_loss is None
    assert not found.is_of_equals


@pytest.mark.parametrize(
    ("old", "new", "level", "verdict"),
    [
        (range(6), (), 0.05, "better"),  # p = 2 / 2⁶
        ((), range(6), 0.05, "worse"),
        (range(6), (), 0.03, "no clear difference"),
        (range(6), (), 2 / 2**6, "better"),  # at most the level
        (range(5), (), 0.05, "no clear difference"),
        ((), (), 0.5, "no clear difference"),
    ],
)
def test_the_verdict_is_on_the_newer_result(old, new, level, verdict):
    pairs = {"v": (result(100, {*old}), result(100, {*new}))}
    assert paired.compare(pairs, level)[0].verdict == verdict


def test_the_level_is_also_that_of_the_intervals():
    pairs = {"v": (result(100, {1, 2, 3, 50}), result(100, {3, 60}))}
    usual, wide = (paired.compare(pairs, level)[0] for level in (0.05, 0.01))
    assert wide.interval_old == pytest.approx(certainty.wilson(96, 100, 0.99), abs=1e-6)
    for one, other in zip(usual.difference_interval, wide.difference_interval, strict=True):
        assert abs(one - 0.02) < abs(other - 0.02)


def test_variants_are_corrected_for_each_other_but_not_for_equals():
    clear, equal = (result(100, set(range(6))), result(100, set())), (result(9, {1}),) * 2
    alone = paired.compare({"a": clear, "same": equal, "same2": equal}, 0.05)
    assert [c.p_adjusted for c in alone] == [2 / 2**6, 1, 1]
    assert [c.is_of_equals for c in alone] == [False, True, True]
    both = paired.compare({"a": clear, "b": clear, "same": equal}, 0.05)
    assert [c.p_adjusted for c in both] == [4 / 2**6, 4 / 2**6, 1]
    assert [c.p_value for c in both] == [2 / 2**6, 2 / 2**6, 1]
    assert {c.verdict for c in both} == {"no clear difference"}


def test_the_test_images_must_be_the_same():
    old = result(100, {1, 2})
    assert paired.have_same_images(old, result(100, {2, 3}))
    assert not paired.have_same_images(old, result(101, {2, 3}))
    assert not paired.have_same_images(old, result(100, {2, 3}, classes="012"))
    other_order = Result({("0", "0"): 98, ("0", "1"): 2, ("1", "0"): 0, ("1", "1"): 0},
                         {2: ("1", "0")})  # fmt: skip
    assert not paired.have_same_images(old, other_order)


class Stored:
    """The files of a model and its predictions, of which the first two are wrong."""

    def __init__(self, folder, decision, scores, labels):
        self.model, self.predictions = folder / "model.npz", folder / "predictions.npz"
        folder.mkdir()
        classes = np.array([3, 8], np.uint8)
        files.write_npz(
            self.model, kind="linear", classes=classes, decision=decision,
            preprocess="none", parameters="{}", weights=np.zeros(2),
        )  # fmt: skip
        predicted = classes[RULES[decision].predict(scores, (0.0,))]
        files.write_npz(
            self.predictions, scores=scores, predicted=predicted, actual=labels,
            parameters="{}",
        )  # fmt: skip
        wrong = np.flatnonzero(predicted != labels).tolist()
        names = {3: "three", 8: "eight"}
        counts = {(a, b): 0 for a in names.values() for b in names.values()}
        mistakes = {}
        for i, (actual, other) in enumerate(zip(labels, predicted, strict=True)):
            counts[names[actual], names[other]] += 1
            if i in wrong:
                mistakes[i] = names[actual], names[other]
        self.result = Result(counts, mistakes, (self.model, self.predictions))


@pytest.fixture
def stored(tmp_path):
    labels = np.array([3, 3, 3, 8, 8, 8] * 20, np.uint8)
    signs = np.where(labels == 8, 1.0, -1.0)
    rng = np.random.default_rng(0)

    def of(name, scale, decision="sigmoid"):
        scores = (signs * rng.exponential(scale, len(labels)) - 0.3)[:, np.newaxis]
        return Stored(tmp_path / name, decision, scores, labels), scores[:, 0] * signs

    return of


def test_log_losses_are_compared_where_the_scores_are_at_hand(stored):
    (old, margin_old), (new, margin_new) = stored("old", 1.0), stored("new", 2.0)
    losses_old, losses_new = (
        np.log1p(np.exp(-margin)) for margin in (margin_old, margin_new)
    )
    (found,) = paired.compare({"v": (old.result, new.result)}, 0.1)
    assert found.log_loss.old == pytest.approx(losses_old.mean(), abs=1e-6)
    assert found.log_loss.new == pytest.approx(losses_new.mean(), abs=1e-6)
    assert found.log_loss.difference == pytest.approx(
        (losses_new - losses_old).mean(), abs=1e-6
    )
    expected = certainty.log_loss_interval(losses_old, losses_new, 0.9)
    assert found.log_loss.interval == expected


def test_a_changed_log_loss_is_a_difference(stored):
    old, _ = stored("old", 1.0)
    new = Stored(
        old.model.parent / "new", "sigmoid",
        2 * files.read_npz(old.predictions, ["scores"], among_others=True)["scores"],
        files.read_npz(old.predictions, ["actual"], among_others=True)["actual"],
    )  # fmt: skip
    (found,) = paired.compare({"v": (old.result, new.result)}, 0.05)
    assert found.only_old == found.only_new == 0
    assert not found.is_of_equals
    (same,) = paired.compare({"v": (old.result, old.result)}, 0.05)
    assert same.is_of_equals


def test_without_probabilities_or_scores_of_this_result_there_is_no_log_loss(stored):
    (old, _), (new, _) = stored("old", 1.0), stored("new", 2.0)

    def log_loss(older, newer):
        return paired.compare({"v": (older, newer)}, 0.05)[0].log_loss

    def with_files(*paths):
        return Result(new.result.counts, new.result.mistakes, paths)

    assert log_loss(old.result, with_files(new.model, new.predictions))
    cuts, _ = stored("cuts", 1.0, "threshold")
    assert log_loss(old.result, cuts.result) is None
    assert log_loss(old.result, with_files(new.model, old.predictions)) is None
    assert log_loss(old.result, with_files(new.model, new.model)) is None
    assert log_loss(old.result, with_files(new.predictions, new.predictions)) is None
    content = new.predictions.read_bytes()
    new.predictions.write_bytes(content[: len(content) // 2])
    assert log_loss(old.result, new.result) is None
    new.predictions.unlink()
    assert log_loss(old.result, new.result) is None
