"""The result of a tuning: means and standard errors over the folds, and the choice."""

import json
import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

DECIMALS = 6
OF_A_LIST = 3  # numbers of a list that are in a text

# A row for each candidate, in the order of the grid: first the value of each parameter,
# then `accuracy`, `accuracy_se`, `log_loss`, `log_loss_se` (None without probabilities),
# `worse_by` and `worse_by_se`, the difference from the best one in the measure that
# chooses, and `choice`: "", "best", "simplest" or "best, simplest". Until the choice,
# `folds` has the measures of each fold.
Row = dict[str, Any]
Table = list[Row]


def estimate(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean over the folds and its standard error, rounded to six decimals.

    The standard error is the standard deviation of the folds, with n - 1 in the
    denominator, divided by the square root of their number n. The folds share training
    images, so it is approximate (Bengio and Grandvalet, No unbiased estimator of the
    variance of k-fold cross-validation, Journal of Machine Learning Research 5, 2004).

    Args:
        values: A value of each fold; at least two.
    """
    n = len(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return round(mean, DECIMALS), round(math.sqrt(variance / n), DECIMALS)


def row(
    values: dict[str, Any], accuracies: Sequence[float], log_losses: Sequence[float]
) -> Row:
    """Return the row of a candidate, without a choice.

    Args:
        values: Of each parameter.
        accuracies: Of each fold, from 0 to 1.
        log_losses: Of each fold; empty without probabilities.
    """
    accuracy, accuracy_se = estimate(accuracies)
    log_loss, log_loss_se = estimate(log_losses) if log_losses else (None, None)
    return {
        **values,
        "accuracy": accuracy,
        "accuracy_se": accuracy_se,
        "log_loss": log_loss,
        "log_loss_se": log_loss_se,
        "worse_by": None,
        "worse_by_se": None,
        "choice": "",
        "folds": {"accuracy": accuracies, "log_loss": log_losses},
    }


def best(table: Table, measure: str) -> int:
    """Return the index of the best row; of equal ones that with the lowest log loss.

    Of rows that are equal in both, it is the first.

    Args:
        table: The candidates.
        measure: `accuracy` or `log_loss`.
    """

    def rank(index: int) -> tuple[float, float]:
        found = table[index]
        log_loss = found["log_loss"] if found["log_loss"] is not None else 0.0
        return (-found["accuracy"] if measure == "accuracy" else log_loss), log_loss

    return min(range(len(table)), key=rank)


def simplest(table: Table, measure: str) -> int:
    """Return the index of the first row within one standard error of the best one.

    Source: the one-standard-error rule of Breiman, Friedman, Olshen and Stone,
    Classification and Regression Trees, 1984, section 3.4.3.

    Args:
        table: The candidates, from simple to complex.
        measure: `accuracy` or `log_loss`.
    """
    top = table[best(table, measure)]
    sign = 1 if measure == "accuracy" else -1
    limit = round(sign * top[measure] - top[f"{measure}_se"], DECIMALS)
    return next(i for i, found in enumerate(table) if sign * found[measure] >= limit)


def choose(table: Table, measure: str, *, ordered: bool) -> dict[str, Row]:
    """Mark the choice in the table, compare all with the best; return the chosen rows.

    The folds are the same for all candidates, so each difference is taken fold by fold:
    what makes a fold difficult for all of them is not in its standard error.

    Args:
        table: The candidates; `choice` and `worse_by` are filled in, `folds` is removed.
        measure: `accuracy` or `log_loss`.
        ordered: Whether they go from simple to complex, so that there is a simplest one.

    Returns:
        The row `best`, and `simplest` if there is one.
    """
    chosen = {"best": best(table, measure)}
    if ordered:
        chosen["simplest"] = simplest(table, measure)
    of_folds = [found.pop("folds")[measure] for found in table]
    sign = 1 if measure == "accuracy" else -1
    for index, found in enumerate(table):
        pairs = zip(of_folds[chosen["best"]], of_folds[index], strict=True)
        differences = [sign * (top - other) for top, other in pairs]
        found["worse_by"], found["worse_by_se"] = estimate(differences)
        found["choice"] = ", ".join(name for name, at in chosen.items() if at == index)
    return {name: table[at] for name, at in chosen.items()}


def metrics(chosen: dict[str, Row]) -> dict[str, dict[str, Any]]:
    """Return the chosen rows as metrics, without what is unknown.

    Args:
        chosen: By `best` and `simplest`.
    """
    return {
        name: {key: value for key, value in found.items() if _is_known(key, value)}
        for name, found in chosen.items()
    }


def _is_known(key: str, value: Any) -> bool:
    return key not in ("choice", "worse_by", "worse_by_se") and value is not None


def parameters(found: Row) -> list[str]:
    """Return the names of the parameters in a row: the keys before the measures."""
    return [*takewhile(lambda key: key != "accuracy", found)]


def named(found: Row, keys: Sequence[str]) -> str:
    """Return the values of some parameters as a short text, such as "C = 0.01"."""
    return ", ".join(f"{key} = {text(found[key])}" for key in keys)


def text(value: Any) -> str:
    """Return a value as a short text; a long list loses its middle."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = [*map(text, value)]
        if len(shown) > OF_A_LIST:
            shown[OF_A_LIST - 1 : -1] = ["…"]
        return f"[{', '.join(shown)}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)  # null, true


def describe(found: Row, measure: str) -> str:
    """Return the values of a row and what they reach, such as "C = 0.01: accuracy 0.91".

    Args:
        found: The row.
        measure: `accuracy` or `log_loss`.
    """
    reached = f"{found[measure]:.6f} ± {found[f'{measure}_se']:.6f}"
    values = named(found, parameters(found))
    return f"{values}: {measure.replace('_', ' ')} {reached}"
