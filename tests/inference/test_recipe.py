import pytest
import yaml

from redsm5.datamodules.formats import MultiLabel
from redsm5.errors import UserError
from redsm5.inference.recipe import read_recipe, recipe_config
from redsm5.modules.pooling import CLS


@pytest.fixture
def config(trained_run):
    return yaml.safe_load((trained_run / "config.yaml").read_text())


def test_read_recipe_builds_the_options_of_the_run(config, tiny_encoder):
    config["model"]["pooling"] = {"class_path": "redsm5.modules.pooling.CLS"}
    recipe = read_recipe(config, "config.yaml")
    assert recipe.network.pooling == CLS()
    assert recipe.network.encoder.id == str(tiny_encoder)
    assert recipe.data.format == MultiLabel()
    assert (recipe.data.max_length, recipe.data.stride) == (32, 8)


def test_recipe_config_is_its_own_part_and_reads_as_the_same_recipe(config):
    part = recipe_config(config)
    assert recipe_config(part) == part
    assert read_recipe(part, "x") == read_recipe(config, "x")
    assert "optimizer" not in part["model"]
    assert "path" not in part["data"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "pooling",
            {"class_path": "os.system", "init_args": {"command": "true"}},
            "asks for 'os.system', which is no part",
        ),
        ("pooling", {"class_path": ["redsm5."]}, "which is no part of redsm5"),
        ("pooling", {"class_path": "redsm5.modules.pooling.Max9"}, "does not fit this version"),
        ("pooling", {"class_path": "redsm5.modules.aggregation.Max"}, "does not fit this version"),
        ("decoding", {"max_spans": 0}, "max_spans is 0"),
        ("decoding", {"spans": 3}, "does not fit this version"),
    ],
)
def test_read_recipe_refuses_what_is_no_option_of_ours(config, key, value, said):
    config["model"][key] = value
    with pytest.raises(UserError, match=said):
        read_recipe(config, "FILE")


@pytest.mark.parametrize("config", [None, [], {}, {"model": {}}, {"model": 3}, "text"])
def test_read_recipe_refuses_what_is_no_config(config):
    with pytest.raises(UserError, match="FILE is no config of a redsm5 run"):
        read_recipe(config, "FILE")
