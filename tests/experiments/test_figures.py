"""Figures: files that open, the same bytes each time, the reader's settings left alone, colours told apart."""

import xml.etree.ElementTree as ET
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from widenet.errors import InvalidFile
from widenet.experiments.figures import COLOURS, as_svg, figure_style, label_line, new_figure, save_figure

# Viénot, Brettel and Mollon 1999: what people without red or without green receptors see, in linear RGB.
PROTANOPIA = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
DEUTERANOPIA = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])


def drawing():
    with figure_style():
        figure = new_figure(3.0, 2.0)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], label="line")
        label_line(axes, (1.0, 1.0), "line", COLOURS["blue"])
        axes.set_xlabel("angle θ")
    return figure


def test_png_and_svg_have_the_size_asked_for(tmp_path):
    png, svg = save_figure(drawing(), tmp_path, "line")
    assert (png.name, svg.name) == ("line.png", "line.svg")
    assert imread(png).shape[:2] == (400, 600)
    root = ET.parse(svg).getroot()
    assert (root.get("width"), root.get("height")) == ("216pt", "144pt")
    assert imread(png)[..., :3].min() < 0.5


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first = [path.read_bytes() for path in save_figure(drawing(), tmp_path, "first")]
    second = [path.read_bytes() for path in save_figure(drawing(), tmp_path, "second")]
    assert first == second


def test_svg_for_pages_is_one_element():
    text = as_svg(drawing())
    assert text.startswith("<svg")
    assert ET.fromstring(text).tag.endswith("svg")


def test_style_leaves_the_readers_settings_alone(tmp_path):
    before = dict(mpl.rcParams)
    save_figure(drawing(), tmp_path, "line")
    assert dict(mpl.rcParams) == before
    with figure_style():
        assert mpl.rcParams["axes.spines.top"] is False
    assert dict(mpl.rcParams) == before


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(InvalidFile):
        save_figure(drawing(), tmp_path / "none", "line")


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["full", "protanopia", "deuteranopia"])
def test_colours_are_told_apart(sight):
    """Differences of 10 in L*a*b* are plain to see; about 2 is the least that is noticed."""
    for first, second in combinations(COLOURS, 2):
        srgb = np.array([to_rgb(COLOURS[first]), to_rgb(COLOURS[second])])
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        apart = np.linalg.norm(lab(sight @ linear[0]) - lab(sight @ linear[1]))
        assert apart > 10, (first, second, apart)
