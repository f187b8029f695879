"""One class a pixel, one of two, any of several: from the data set to the report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import atrous
from atrous.classes import Classes
from atrous.data.dataset import open_dataset
from atrous.data.masks import read_mask, read_planes
from atrous.errors import RunError
from atrous.evaluate import Counted, summed
from atrous.metrics.boundary import BoundaryScores
from atrous.metrics.scores import scored
from atrous.predict.predictor import Predictor
from atrous.recipe import make_recipe
from atrous.runs import RunFolder
from atrous.train.start import new_facts, new_training, weights_of_classes
from atrous.types import Grid
from atrous.weights import read_weights

TASKS = ("multiclass", "binary", "multilabel")
NAMES = {
    "multiclass": ("class 0", "class 1", "class 2"),
    "binary": ("background", "foreground"),
    "multilabel": ("disc", "shade"),
}


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def overlapping(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, its disc and its shade, which may lie on the disc."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :64]
    cy, cx = random.integers(14, 34, 2)
    disc, shade = (y - cy) ** 2 + (x - cx) ** 2 < 144, (x + y) % 64 > 40
    colours = np.where(disc[..., None], (230, 220, 90), (60, 130, 50)) * (1 - shade[..., None] / 2)
    return (colours + random.normal(0, 9, (48, 64, 3))).clip(0, 255), disc, shade


def write_data(root: Path, task: str) -> Path:
    for i in range(6):
        split, (image, disc, shade) = ("val" if i > 3 else "train"), overlapping(i)
        write(root / split / "images" / f"{i}.png", image)
        folder = root / split / "masks"
        if task == "multilabel":
            write(folder / f"{i}/disc.png", disc * 255)
            write(folder / f"{i}/shade.png", shade)
            write(folder / f"{i}/void.png", np.arange(64) < 2 * np.ones((48, 1)))
        else:
            mask = disc.astype(np.uint8) + shade * (task == "multiclass")
            mask[0] = 255
            write(folder / f"{i}.png", mask)
    return root


@pytest.fixture(scope="module", params=TASKS)
def trained(request, small, tmp_path_factory):
    """The task, its data set, and a run of three steps."""
    task, root = request.param, tmp_path_factory.mktemp(request.param)
    data = write_data(root / "data", task)
    atrous.train(data, out=root / "run", steps=3, set=small)
    return task, data, root / "run"


def test_a_run_knows_its_task_and_has_the_logits_of_it(trained):
    task, _, run = trained
    tensors, about, _ = read_weights(RunFolder(run).weights("last"))
    classes = Classes.from_dict(about["classes"])
    assert (classes.task, classes.names) == (task, NAMES[task])
    assert tensors["head.classify.bias"].shape == (classes.num_logits,)
    assert classes.num_logits == {"multiclass": 3, "binary": 1, "multilabel": 2}[task]


def test_a_run_is_evaluated_as_it_was_validated(trained):
    task, data, run = trained
    evaluation = atrous.evaluate(run, data)
    scores = evaluation.to_dict()
    assert scores == json.loads(RunFolder(run).scores.read_text())
    void = 2 * 48 if task == "multilabel" else 64
    assert scores["pixels"] == 2 * (48 * 64 - void)
    shape = {"multiclass": (3, 3), "binary": (2, 2), "multilabel": (2, 2, 2)}[task]
    assert np.shape(scores["confusion"]) == shape
    assert [row["name"] for row in scores["classes"]] == [*NAMES[task]]


def test_what_is_predicted_can_be_the_truth(trained, tmp_path):
    """Masks are written in the form in which they are read: the model then scores 1."""
    _, data, run = trained
    images = data / "val" / "images"
    atrous.predict(run, images, out=tmp_path / "val" / "masks", overlay=True)
    overlays = tmp_path / "val" / "masks" / "overlay"
    assert sorted(path.name for path in overlays.iterdir()) == ["4.jpg", "5.jpg"]
    for path in overlays.iterdir():
        path.unlink()
    shutil.copytree(images, tmp_path / "val" / "images")
    evaluation = atrous.evaluate(run, tmp_path)
    assert evaluation.scores.pixels == 2 * 48 * 64
    assert evaluation.scores.pixel_accuracy == evaluation.scores.miou == 1


def test_the_report_shows_the_task(trained):
    task, _, run = trained
    html = atrous.report(run).read_text(encoding="utf-8")
    assert f"<dt>Task</dt><dd>{task}</dd>" in html
    assert html.count("<figure") == 2 and 'class="notice"' not in html
    assert ("Costliest confusions" in html or 'class="confusion' in html) == (task != "multilabel")


def test_a_run_goes_on_with_its_task_and_no_other(trained):
    task, data, run = trained
    other = "multilabel" if task == "binary" else "binary"
    atrous.train(data, out=run, resume=True)
    with pytest.raises(atrous.AtrousError, match=rf"task|planes|{len(NAMES[task])} classes"):
        atrous.train(data, out=run, resume=True, set=f"task={other}")


def test_the_recipe_goes_before_the_masks(small, tmp_path):
    data = write_data(tmp_path / "data", "binary")
    atrous.train(data, out=tmp_path / "run", steps=1, set=[*small, "task=multiclass"])
    tensors, about, _ = read_weights(RunFolder(tmp_path / "run").weights("last"))
    assert about["classes"]["task"] == "multiclass"
    assert tensors["head.classify.bias"].shape == (2,)
    # A model keeps its task on data that would give another.
    evaluation = atrous.evaluate(tmp_path / "run", data)
    assert evaluation.scores.names == ("background", "foreground")


def test_a_task_that_the_data_set_declares_since_is_no_continuation(small, tmp_path):
    data = write_data(tmp_path / "data", "binary")
    atrous.train(data, out=tmp_path / "run", steps=1, set=small)
    (data / "dataset.toml").write_text('task = "multiclass"')
    with pytest.raises(RunError, match="binary there, multiclass in the data"):
        atrous.train(data, out=tmp_path / "run", resume=True)


class Planted:
    """An engine that answers with logits given beforehand, whatever the picture."""

    name, precision, bands, dtype, grid = "torch", "f32", 3, "uint8", Grid(1)
    lanes, threads = 1, 1

    def __init__(self, logits: np.ndarray) -> None:
        self.logits = np.asarray(logits, np.float32)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.logits[None]


def answer(task: str, names: tuple[str, ...], logits: list) -> list:
    picture = np.zeros((1, 3, 3), np.uint8)
    classes = Classes(names, task=task)  # pyright: ignore[reportArgumentType]
    engine = Planted(np.array(logits)[:, None])
    return Predictor(engine, classes)(picture).mask.tolist()  # pyright: ignore[reportArgumentType]


def test_each_task_decides_by_its_own_rule():
    two = [[1, -1, -2], [2, -3, 3]]
    assert answer("multiclass", ("a", "b"), two) == [[1, 0, 1]]
    assert answer("binary", ("a", "b"), two[:1]) == [[1, 0, 0]]
    assert answer("multilabel", ("a", "b"), two) == [[3, 0, 2]]


def test_files_hold_what_was_predicted(trained, tmp_path):
    task, data, run = trained
    image = data / "val" / "images" / "4.png"
    (path,), _ = atrous.predict(run, image, out=tmp_path)
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png")}
    predictor = atrous.load(run)
    mask = predictor(image).mask
    if task == "multilabel":
        assert (path, files) == (tmp_path / "4", {"4/disc.png", "4/shade.png"})
        assert {v for f in path.iterdir() for v in np.unique(read_mask(f))} <= {0, 255}
        assert np.array_equal(read_planes(path, predictor.classes), mask)
    else:
        assert (path, files) == (tmp_path / "4.png", {"4.png"})
        assert np.array_equal(read_mask(path), mask)


@pytest.mark.parametrize("folder", ["crackforest", "chasedb1_vessels", "isbi_membrane"])
def test_real_sets_of_two_values_are_binary(shared_data: Path, folder: str):
    data = open_dataset(shared_data / folder, only="val")
    assert (data.classes.task, data.classes.names) == ("binary", ("background", "foreground"))
    mask = data.read(data.split("val")[0]).mask
    assert set(np.unique(mask).tolist()) == {0, 1}
    assert any(note.startswith("Task: binary (1 logit)") for note in data.notes)
    two = open_dataset(shared_data / folder, only="val", task="multiclass")
    assert (two.classes.task, two.classes.num_logits) == ("multiclass", 2)


def test_a_picture_of_nothing_in_which_nothing_is_found_has_no_score_of_its_own():
    classes = Classes(("disc", "shade"), task="multilabel")
    truth = np.array([[1, 2, 0, 4]], np.uint8)
    images = [
        Counted(
            name,
            scored(mask, mask, classes),
            BoundaryScores(classes.names, np.zeros((2, 3), np.int64)),
        )
        for name, mask in (("x", truth), ("y", np.zeros((1, 4), np.uint8)))
    ]
    evaluation = summed("val", classes, images)
    assert (evaluation.num_images, evaluation.miou_per_image) == (2, 1.0)
    assert "NaN" not in json.dumps(evaluation.to_dict())


@pytest.mark.parametrize("kind", ["power", "median_frequency", "enet", "effective_number"])
def test_rare_planes_do_not_change_the_scale_of_the_loss(kind, tmp_path):
    dataset = open_dataset(write_data(tmp_path, "multilabel"))
    sets = ["model.name=fcn_basic", f"loss.class_weights={kind}"]
    now = new_training(new_facts(make_recipe(sets=sets), dataset), dataset)
    weights = weights_of_classes(now, dataset)
    assert weights.mean() == pytest.approx(1) and weights[0] != weights[1]
