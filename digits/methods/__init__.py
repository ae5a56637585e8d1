"""A module for each model, named as `train.model` in params.yaml.

This package is the registry: a module in it is a model, and no other code lists the models.
A module has

- `Options`, a subclass of `digits.config.blocks.TrainBlock`: the parameters, each number
  with a lowest and a highest value; `model: Literal["<module's name>"]`; and `summary`, a
  sentence for the report and the documentation.
- `fit(data, options, training_log)`: takes a `digits.models.base.TrainingSet`, the
  `Options` and a `digits.models.training_log.TrainingLog`, and returns the fitted model.
  It records at least one measure in the log.
- `MODEL`, only if the fitted model is not a `digits.models.linear.LinearModel`: its class,
  a subclass of `digits.models.base.Model` whose `model_type` is the module's name.

Things to know:

- `data.y` has class indices from 0, not labels.
- The model's decision rule, one of `digits.models.decision`, says how many scores an image
  has. `Largest`, the default, takes one for each class, also for two classes; there
  scikit-learn's linear classifiers fit a single one, s, which becomes -s and s. The
  `coef_` of some, such as `RidgeClassifier`, then has one dimension: use `np.atleast_2d`.
- A `LinearModel` on the pixels as they are has a `mean` of 0 and a `scale` of 1.
- A library that is slow to import is imported in `fit`.
- The result has the same bits on any processor and number of threads. A matrix product has
  them if it is exact: `digits.grid` has grids on which it is, and `digits.models.features`
  and `digits.models.distances` use them. Round what other libraries compute to a grid.
- `fit` checks parameters whose limits depend on the data, and raises `InputError` with a
  message that begins with the parameter, such as `train.k: `.
"""

import importlib
import pkgutil
from typing import Any

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> Any:
    """Return the module of a model; `name` is one of `NAMES`."""
    return importlib.import_module(f"{__name__}.{name}")
