import pytest

from atrous.errors import RecipeError
from atrous.recipe import difference, from_tables, make_recipe, read_toml, to_toml


@pytest.mark.parametrize("name", ["deeplabv3plus", "fcn32s", "fcn16s", "fcn8s"])
def test_a_recipe_survives_its_toml(tmp_path, name):
    recipe = make_recipe(sets=[f"model.name={name}", "train.lr=3e-4", "train.steps=7"])
    file = tmp_path / "recipe.toml"
    file.write_text(to_toml(recipe))
    assert from_tables(read_toml(file), where="") == recipe
    assert difference(make_recipe(config=file), recipe) is None


def test_every_key_has_its_sentence():
    lines = [line for line in to_toml(make_recipe()).splitlines() if "=" in line]
    assert all(line.partition("  # ")[2] for line in lines)


def test_set_goes_over_flags_and_flags_over_the_file(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("[train]\nsteps = 1\nbatch = 2\nlr = 0.5\n")
    recipe = make_recipe(
        config=file,
        flags={"train.batch": 3, "train.lr": 0.25, "model.name": None},
        sets=["train.lr=1"],
    )
    assert (recipe.train.steps, recipe.train.batch, recipe.train.lr) == (1, 3, 1.0)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("train.stepz=3", ["train.stepz", "Did you mean train.steps?"]),
        ("trian.steps=3", ["trian", "Did you mean train?"]),
        ("model.low_level=3", ["model.low_level", "Did you mean model.low_level_channels?"]),
        ("model.name=fcn9s", ["fcn9s", "fcn32s, fcn16s", "Did you mean"]),
        ("train.lr=fast", ["train.lr", "'fast'", "number"]),
        ("train.steps=-1", ["train.steps", "-1", "greater than or equal to 1"]),
        ("train.steps=2.5", ["train.steps", "2.5", "integer"]),
        ("model.output_stride=7", ["model.output_stride", "7", "8, 16 or 32"]),
        ("augment.scale_min=3", ["augment", "scale_min must not exceed scale_max, 2.0"]),
        ("train.lr=nan", ["train.lr", "nan", "finite"]),
        ("train.batch", ["train.batch", "no '='"]),
        ("train=3", ["train", "3"]),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(text, parts):
    with pytest.raises(RecipeError) as caught:
        make_recipe(sets=[text])
    for part in parts:
        assert part in str(caught.value)


def test_a_file_that_is_no_toml_is_named(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("steps = = 3")
    with pytest.raises(RecipeError, match=r"r\.toml"):
        make_recipe(config=file)


def test_the_difference_of_two_recipes_is_named():
    a, b = make_recipe(sets=["train.lr=0.5"]), make_recipe(sets=["train.lr=0.25"])
    assert difference(a, b) == "train.lr: 0.5 != 0.25"
    named = difference(make_recipe(sets=["model.name=fcn8s"]), make_recipe())
    assert named is not None and named.startswith("model.name")
