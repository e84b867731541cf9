"""The picture shows every effect, and letters as high as their bases are needed."""

import matplotlib.image
import numpy as np
import pytest
from matplotlib.patches import PathPatch

from generalNAS_tools.pictures import mutation_map

EFFECTS = np.array([[0.0, -3, 1, 0], [-1, 0, 1, 0], [-2, -3, 0, 0], [-3, 0, 1, 0]])
"""Of A, needed (2 on average); C, needed (2); G, better without (-1); N, which changes nothing."""


@pytest.fixture
def figure(monkeypatch):
    drawn = []
    monkeypatch.setattr(mutation_map, "save_figure", lambda figure, path: drawn.append(figure))
    mutation_map.draw_mutations(EFFECTS, "ACGN", "x.png", title="two: s", start=10)
    return drawn[0]


def test_letters_are_as_high_as_the_bases_are_needed(figure):
    boxes = [p.get_path().get_extents() for p in figure.axes[0].patches if isinstance(p, PathPatch)]
    places = [(box.x0 + box.x1) / 2 for box in boxes]
    np.testing.assert_allclose(places, [10, 11, 12], atol=1e-6)
    np.testing.assert_allclose(
        [(box.y0, box.y1) for box in boxes], [(0, 2), (0, 2), (-1, 0)], atol=1e-6
    )
    low, high = figure.axes[0].get_ylim()
    assert low < -1 < 2 < high


def test_the_heat_map_is_aligned_with_the_letters(figure):
    image = figure.axes[1].images[0]
    np.testing.assert_array_equal(image.get_array(), EFFECTS)
    assert image.get_extent() == [9.5, 13.5, 3.5, -0.5]
    assert image.get_clim() == (-3, 3)
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == list("ACGT")
    assert figure.axes[0].get_shared_x_axes().joined(*figure.axes[:2])


def test_effects_of_nothing_are_drawn(tmp_path):
    mutation_map.draw_mutations(np.zeros((4, 3)), "ACG", tmp_path / "x.png", title="t")
    assert matplotlib.image.imread(tmp_path / "x.png").ndim == 3
