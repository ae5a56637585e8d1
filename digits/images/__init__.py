"""Images to classify: reading an image file, and bringing it to the data's format."""
