"""Valid parameters, and mistakes in them."""

from tests.helpers.project import PARAMS

GOOD = PARAMS.read_text()

# The text that is replaced, its replacement, and what the message must name.
MISTAKES = {
    "exponent without a point": ("C: 0.01", "C: 1e-3", "C: must be a valid number, got '1e-3', which YAML reads as text; write 0.001"),
    "number in quotes": ("0.49", "'0.49'", "threshold: must be a valid number, got '0.49'"),
    "bool for a number": ("C: 0.01", "C: true", "C: must be a valid number, got True"),
    "list for a number": ("C: 0.01", "C: [1]", "C: must be a valid number, got [1]"),
    "nan": ("0.49", ".nan", "threshold: must be a finite number, got nan"),
    "infinity": ("C: 0.01", "C: .inf", "C: must be a finite number, got inf"),
    "negative C": ("C: 0.01", "C: -1", "C: must be greater than or equal to 1e-08, got -1"),
    "C of zero": ("C: 0.01", "C: 0", "C: must be greater than or equal to 1e-08, got 0"),
    "no C": ("C: 0.01, ", "", "logistic_binary.train.C: is missing"),
    "no iterations": ("max_iter: 2000", "max_iter: 0", "max_iter: must be greater than or equal to 1, got 0"),
    "half an iteration": ("max_iter: 2000", "max_iter: 10.5", "max_iter: must be a valid integer, got 10.5"),
    "nan as a word": ("C: 0.01", "C: nan", "C: must be a valid number, got 'nan'"),
    "too large to be a number": ("C: 0.01", "C: 1e400", "C: must be a valid number, got '1e400'"),
    "small exponent": ("tol: 1.0e-9", "tol: 1e-8", "tol: must be a valid number, got '1e-8', which YAML reads as text; write 1.0e-08"),
    "a date that is none": ("C: 0.01", "C: 2024-13-45", "C: must be a valid number, got '2024-13-45'"),
    "minutes and seconds": ("0.49", "1:30", "threshold: must be a valid number, got '1:30'"),
    "yes": ("C: 0.01", "C: yes", "C: must be a valid number, got 'yes'"),
    "tol of one": ("tol: 1.0e-9", "tol: 1", "tol: must be less than 1, got 1"),
    "misspelt key": ("threshold: 0.49", "treshold: 0.49", "treshold: is not a known key; did you mean 'threshold'?"),
    "unknown key at the top": ("dataset:", "seed: 1\ndataset:", "seed: is not a known key"),
    "unknown key in a variant": ("subset: binary\n", "subset: binary\n    note: x\n", "linear_binary.note: is not a known key"),
    "no dataset": ("dataset:", "datasets:", "dataset: is missing"),
    "unknown dataset": ("name: mnist", "name: minst", "dataset.name: must be 'mnist', 'fashion_mnist' or 'custom', got 'minst'"),
    "number for a path": ("source: auto", "source: 3", "dataset.source: must be a valid string, got 3"),
    "empty path": ("source: auto", "source: ''", "dataset.source: "),
    "custom data outside data/own": ("name: mnist", "name: custom", "dataset: source must be a path under data/own/"),
    "label twice": ("[0, 1]", "[0, 0]", "subsets.binary: classes must differ, got [0, 0]"),
    "one label": ("[0, 1]", "[0]", "subsets.binary.classes: needs at least 2 entries, got [0]"),
    "label of ten": ("[0, 1]", "[0, 10]", "subsets.binary.classes: must be from 0 to 9 for this data, got 10"),
    "label of a hundred": ("[0, 1]", "[0, 100]", "subsets.binary.classes.1: must be less than or equal to 99, got 100"),
    "no classes": ("{classes: [0, 1]}", "{}", "subsets.binary.classes: is missing"),
    "class twice": ("classes: [0, 1]", "classes: [one, ' one']", "subsets.binary: classes must differ, got ['one', 'one']"),
    "one class": ("classes: [0, 1]", "classes: ['1']", "subsets.binary.classes: needs at least 2 entries, got ['1']"),
    "numbers for names": ("classes: [0, 1]", "classes: ['0', 1]", "subsets.binary.classes.1: must be a valid string, got 1"),
    "a word for all": ("classes: [0, 1]", "classes: every", "subsets.binary.classes: must be 'all', got 'every'"),
    "a class that is not there": ("classes: [0, 1]", "classes: ['0', ten]", "subsets.binary.classes: this data has no class 'ten'; it has 0, 1, 2"),
    "negative label": ("[0, 1]", "[-1, 1]", "subsets.binary.classes.0: must be greater than or equal to 0, got -1"),
    "classes as a number": ("[0, 1]", "1", "subsets.binary.classes: must be a list, got 1"),
    "no such subset": ("subset: binary", "subset: binaries", "linear_binary.subset: must be one of binary, digits, got 'binaries'"),
    "no such model": ("model: linear_regression", "model: linear", "linear_binary.train.model: must be one of lenet5, linear_regression, "),
    "misspelt model": ("model: linear_regression", "model: linear_regresion, seed: 1", "support_vectors, got 'linear_regresion'; did you mean 'linear_regression'?"),
    "no model": ("{model: linear_regression}", "{}", "linear_binary.train: model is missing"),
    "train is no mapping": ("{model: linear_regression}", "linear_regression", "linear_binary.train: must be a mapping of keys, got 'linear_regression'"),
    "no evaluate": ("    evaluate: {threshold: 0.49}\n", "", "linear_binary.evaluate: is missing"),
    "no threshold": ("{threshold: 0.49}", "{}", "linear_binary.evaluate: needs either threshold"),
    "threshold without a value": ("{threshold: 0.49}", "{threshold: }", "linear_binary.evaluate.threshold: 2 classes take 1 thresholds, got 0"),
    "both kinds of threshold": ("{threshold: 0.49}", "{threshold: 0.4, thresholds: [0.4]}", "linear_binary.evaluate: needs either threshold"),
    "too few thresholds": ("7.5, 8.5]", "7.5]", "linear_digits.evaluate.thresholds: 10 classes take 9 thresholds, got 8"),
    "thresholds not ascending": ("7.5, 8.5]", "7.5, 7.5]", "linear_digits.evaluate.thresholds: must be ascending"),
    "threshold for a logistic model": ("evaluate: {}", "evaluate: {threshold: 0.5}", "logistic_binary.evaluate.threshold: logistic_regression uses no thresholds"),
    "two-class model on ten digits": ("model: multinomial_logistic", "model: logistic_regression", "multinomial.train.model: logistic_regression distinguishes 2 classes"),
    "name in capitals": ("  linear_binary:", "  Linear:", "variants.Linear: a name has lower-case letters"),
    "name that is taken": ("  linear_binary:", "  dataset:", "variants.dataset: this name is reserved"),
    "key twice": ("dataset:", "dataset: {}\ndataset:", "duplicate key 'dataset'"),
    "no YAML": ("dataset:", "dataset: [", "cannot be read"),
    "tab": ("  name: mnist", "\tname: mnist", "cannot be read"),
    "nothing": (GOOD, "", "the whole file: must be a mapping of keys, got None"),
}  # fmt: skip

# For two subsets of the generated data.
SMALL = """
dataset: {name: custom, source: data/own/tiny.npz}
subsets:
  binary: {classes: [0, 1]}
  digits: {classes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}
variants:
  line: {subset: binary, train: {model: linear_regression}, evaluate: {threshold: 0.49}}
  softmax:
    subset: digits
    train: {model: multinomial_logistic, C: 1.0, max_iter: 100, tol: 1.0e-3}
    evaluate: {}
"""
