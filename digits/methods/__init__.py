"""A module for each model, by the name that `train.model` has in params.yaml.

It has `Options`, its block of parameters with its sentence for page and docs, each number
with a lowest and a highest value; `fit`, see `digits.models.Fit`; and `MODEL`, the class of
what it fits, whose `kind` is the module's name, unless that is `LinearModel`. Nothing else
lists the models. What takes long to import is imported in `fit`.
"""

import pkgutil

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))
