"""Cross-validation on the training images: folds, fits, and the choice."""
