import itertools

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread
from matplotlib.text import Text

from generalNAS_tools.pictures import pictures
from generalNAS_tools.pictures.graph_drawing import LABEL_SIZE, place_nodes
from generalNAS_tools.pictures.pictures import draw_alphas, draw_curves, draw_genotype
from generalNAS_tools.search_space.genotypes import CELL_KINDS
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE, genotypes


@pytest.fixture
def figures(monkeypatch):
    """Collects the figures instead of writing them."""
    found = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: found.append(figure))
    return found


def weights(epochs, edges, primitives):
    return np.random.default_rng(0).dirichlet(np.ones(primitives), (epochs, edges))


def alphas(epochs=3):
    return {
        "normal": weights(epochs, 14, 9),
        "reduce": weights(epochs, 14, 9),
        "rnn": weights(epochs, 36, 5),
    }


HISTORY = [
    {"train_loss": 0.5, "acc_train": 0.1, "valid_loss": None, "acc_valid": None},
    {"train_loss": 0.4, "acc_train": 0.2, "valid_loss": 0.45, "acc_valid": 0.15},
    {"train_loss": 0.3, "acc_train": 0.3},
]


def edge_labels(axes):
    return [text for text in axes.findobj(Text) if text.get_fontsize() == LABEL_SIZE]


def test_pictures_are_png_files(tmp_path):
    draw_genotype(EXAMPLE, tmp_path / "genotype.png")
    draw_alphas(alphas(), tmp_path / "alphas.png")
    draw_curves(HISTORY, tmp_path / "new" / "curves.png")
    for name in ("genotype.png", "alphas.png", "new/curves.png"):
        image = imread(tmp_path / name)
        assert min(image.shape[:2]) > 400
        assert image[..., :3].std() > 0.02
    assert not list(tmp_path.glob(".*"))


def test_no_global_figure_is_made(tmp_path):
    import matplotlib.pyplot as plt

    draw_genotype(EXAMPLE, tmp_path / "genotype.png")
    assert plt.get_fignums() == []


@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(genotypes())
def test_every_operation_is_labelled_in_its_colour_without_overlap(genotype):
    with pytest.MonkeyPatch.context() as patch:
        found = []
        patch.setattr(pictures, "save_figure", lambda figure, path: found.append(figure))
        draw_genotype(genotype, "unused")
    renderer = FigureCanvasAgg(found[0]).get_renderer()
    cells = zip(found[0].axes, (genotype.normal, genotype.reduce, genotype.rnn), strict=True)
    for axes, genes in cells:
        labels = edge_labels(axes)
        assert sorted(text.get_text() for text in labels) == sorted(name for name, _ in genes)
        legend = {
            text.get_text(): line.get_color()
            for text, line in zip(
                axes.get_legend().get_texts(), axes.get_legend().get_lines(), strict=True
            )
        }
        assert all(legend[text.get_text()] == text.get_color() for text in labels)
        assert len(set(legend.values())) == len(legend)
        boxes = [text.get_window_extent(renderer) for text in labels]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("name", ["normal", "rnn"])
def test_graphs_hold_the_genotype_left_to_right(name):
    cell = pictures._CELLS[name]
    graph = pictures._cell_graph(cell, getattr(EXAMPLE, name))
    assert len(graph) == len(cell.states) + 1
    labelled = [label for *_, label in graph.edges(data="label") if label]
    assert sorted(labelled) == sorted(primitive for primitive, _ in getattr(EXAMPLE, name))
    assert graph.in_degree(cell.output) == len(cell.states) - cell.kind.inputs
    places = place_nodes(graph)
    assert all(places[source][0] < places[target][0] for source, target in graph.edges())


def test_inactive_weights_are_grey_and_epochs_are_columns(figures):
    history = alphas(epochs=7)
    history["normal"][:, 3, 2] = 0
    history["normal"][4, 5, :] = np.nan
    draw_alphas(history, "unused")
    image = figures[0].axes[0].images[0].get_array()
    assert image.shape == (14 * 9, 7)
    assert image.mask.sum() == 7 + 9
    assert image.mask[3 * 9 + 2].all()
    assert image[13 * 9 + 8, 6] == pytest.approx(np.log2(9 * history["normal"][6, 13, 8]))
    assert image[3 * 9, 2] == pytest.approx(np.log2(8 * history["normal"][2, 3, 0]))
    titles = [axes.get_title() for axes in figures[0].axes if axes.get_title()]
    assert len(titles) == 3
    for axes in figures[0].axes[:3:2]:
        assert axes.get_xlabel() == "epoch"


def test_colours_are_centred_at_the_uniform_weight_on_one_scale(figures):
    history = {name: np.full((3, *kind.mask_shape), 1.0) for name, kind in CELL_KINDS.items()}
    history = {name: weights / weights.shape[2] for name, weights in history.items()}
    history["rnn"][2, 0, :2] = (0.8, 0.05)  # 4 times and a quarter of the uniform weight
    draw_alphas(history, "unused")
    images = [axes.images[0] for axes in figures[0].axes if axes.images]
    assert [image.get_clim() for image in images[:3]] == [pytest.approx((-2, 2))] * 3
    middle = images[0].cmap(0.5)
    assert np.allclose(images[0].cmap(images[0].norm(images[0].get_array())), middle, atol=0.01)
    colours = images[2].cmap(images[2].norm(images[2].get_array()))
    assert colours[0, 2, 0] > colours[0, 2, 2]  # red above
    assert colours[1, 2, 0] < colours[1, 2, 2]  # blue below


def test_stages_are_separated_and_discarded_edges_hatched(figures):
    history = alphas(epochs=5)
    history["normal"][2:, 4] = 0  # an edge that dies after the second epoch
    history["rnn"][3:, 35, 1] = 0  # an operation alone
    draw_alphas(history, "unused", stages=[1, 1, 2, 3, 3])
    for number, axes in enumerate(figures[0].axes[::2]):
        assert [text.get_text() for text in axes.texts if "stage" in text.get_text()] == [
            f"stage {stage}" for stage in (1, 2, 3)
        ]
        lines = [line.get_xdata()[0] for line in axes.lines if line.get_color() == "black"]
        assert lines == [0.5, 2.5, 3.5]
        hatched = {
            edge: bar.get_paths()[0].get_extents().bounds
            for edge, bar in enumerate(axes.collections)
            if bar.get_paths()[0].get_extents().width > 0
        }
        assert hatched == ({4: (2.5, 35.5, 3.0, 9.0)} if number == 0 else {})


def test_a_search_without_stages_has_no_lines(figures):
    draw_alphas(alphas(), "unused", stages=[1, 1, 1])
    axes = figures[0].axes[0]
    assert not [text for text in axes.texts if "stage" in text.get_text()]
    assert not figures[0].texts


def test_alphas_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"rnn weights have shape \(3, 14, 9\)"):
        draw_alphas(alphas() | {"rnn": weights(3, 14, 9)}, "unused")


def test_curves_skip_epochs_without_validation(figures):
    draw_curves(HISTORY, "unused")
    loss, f1 = figures[0].axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in loss.lines}
    assert lines == {"training": [[1, 0.5], [2, 0.4], [3, 0.3]], "validation": [[2, 0.45]]}
    lines = {line.get_label(): line.get_xydata().tolist() for line in f1.lines}
    assert lines == {"training": [[1, 0.1], [2, 0.2], [3, 0.3]], "validation": [[2, 0.15]]}
    assert all(axes.get_xlabel() and axes.get_ylabel() and axes.get_title() for axes in (loss, f1))


def test_a_run_without_epochs_is_drawn(tmp_path):
    draw_curves([], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_a_picture_that_can_t_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="can't be written"):
        draw_curves(HISTORY, tmp_path / "file" / "curves.png")


def test_a_picture_may_be_svg_and_is_the_same_again(tmp_path):
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        draw_curves(HISTORY, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
