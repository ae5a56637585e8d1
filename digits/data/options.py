"""How to read data of your own: the keys of `dataset` in params.yaml that say it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from digits.data import large
from digits.data.holdout import Holdout


class Options(NamedTuple):
    """How to read images, and how to change them; by default, not at all.

    The steps are in this order: `transpose`, then `invert`, then `centre` or `size`.

    Attributes:
        test_share: Which share of each class becomes test images; None if the data has
            test images.
        seed: The seed of that draw.
        size: The height and width to which images are brought, in pixels; None if all have
            one size, which is kept.
        invert: Whether grey values are inverted, for dark ink on light paper.
        transpose: Whether rows and columns are exchanged, for EMNIST.
        centre: Whether the digit in each image is brought to MNIST's format.
    """

    test_share: float | None = None
    seed: int = 0
    size: tuple[int, int] | None = None
    invert: bool = False
    transpose: bool = False
    centre: bool = False

    @property
    def holdout(self) -> Holdout | None:
        """How to draw test images; None if the data has them."""
        return Holdout(self.test_share, self.seed) if self.test_share else None

    def without_changes(self) -> "Options":
        """Return the options for images that are changed already."""
        return Options(self.test_share, self.seed)

    @property
    def changes_images(self) -> bool:
        """Whether images are changed at all."""
        return bool(self.size or self.invert or self.transpose or self.centre)

    def prepare(self, images: np.ndarray) -> tuple[np.ndarray, int]:
        """Return changed images, (n_samples, height, width) uint8, and how many are framed.

        Args:
            images: (n_samples, height, width) uint8.

        Raises:
            ValueError: If there is no ink to centre. It says in which image.
        """
        if self.transpose:
            images = images.swapaxes(1, 2)
        shape = self.size or (images.shape[1], images.shape[2])
        n_changed = 0

        def prepared() -> Iterator[np.ndarray]:
            nonlocal n_changed
            for rows in large.slices(len(images)):
                block, n = self._prepared(images[rows], shape, rows.start)
                n_changed += n
                yield block

        return large.joined(prepared(), (len(images), *shape)), n_changed

    def _prepared(
        self, images: np.ndarray, shape: tuple[int, int], first: int
    ) -> tuple[np.ndarray, int]:
        """Return what `prepare` does, of images that are upright.

        Args:
            images: (n_samples, height, width) uint8.
            shape: Height and width of the result.
            first: The number of the first image, for the error.
        """
        if self.invert:
            images = ~images
        if not self.centre and images.shape[1:] == shape:
            return images, 0
        from digits.images import image_input  # noqa: PLC0415 (imports Pillow)

        framed = np.empty((len(images), *shape), np.uint8)
        n_changed = 0
        for i, image in enumerate(images):
            grey = image[..., None].astype(np.float64)
            found = image_input.framed(grey, shape, mnist_like=self.centre)
            if found is None and self.centre:
                raise ValueError(
                    f"in image {first + i} is no ink to centre, or it is too faint"
                )
            framed[i] = 0 if found is None else found
            n_changed += framed[i].shape != image.shape or (framed[i] != image).any()
        return framed, int(n_changed)


KEEP = Options()
