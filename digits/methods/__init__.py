"""How a model is fitted: a module for each name that `train.model` may have."""
