"""matplotlib without the user's settings; no other module imports matplotlib.

matplotlib reads the first file of settings that it finds, and looks in the working folder
first. So it is imported with the folder of its default settings as working folder
(https://matplotlib.org/stable/users/explain/customizing.html#the-matplotlibrc-file).
"""

import os
from contextlib import chdir
from importlib.util import find_spec
from pathlib import Path

_FOUND = find_spec("matplotlib")
_HOME = Path(_FOUND.origin).with_name("mpl-data") if _FOUND and _FOUND.origin else Path()

os.environ.pop("MPLBACKEND", None)
with chdir(_HOME):
    from matplotlib import colormaps, get_data_path
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.ft2font import FT2Font
    from matplotlib.patches import Rectangle

__all__ = [
    "Axes", "FT2Font", "Figure", "LinearSegmentedColormap", "Rectangle", "colormaps",
    "get_data_path",
]  # fmt: skip
