"""Read image files and convert them to the format of the training images."""
