import pytest

from redsm5.batch_search.grid import METHOD_NAMES, Grid, requests
from redsm5.batch_search.request import CARD_GB, Budget
from redsm5.catalog import CATALOG
from redsm5.errors import UserError
from redsm5.peft.options import PEFT

CONFIG = ("--config", "configs/tune-batch.yaml")
BERT, LONG = "google-bert/bert-base-uncased", "allenai/longformer-base-4096"


def found(**changes):
    return list(requests(CONFIG, Grid(**changes), Budget()))


def test_grid_combines_everything_once():
    wanted = found(encoders=(BERT, LONG), lengths=(128, 512), precisions=("none", "bf16"), peft=("NoPEFT", "LoRA"))
    settings = [request.setting for request in wanted]
    assert len(settings) == len(set(settings)) == 2 * 2 * 2 * 2 * 2
    assert {s.max_length for s in settings} == {128, 512}
    assert {s.checkpointing for s in settings} == {False, True}
    assert all(s.accumulates for s in settings)
    one = wanted[-1]
    assert one.spec.precision == one.setting.precision
    assert one.spec.max_length == one.setting.max_length == one.shape.max_length
    assert f"--data.max_length={one.setting.max_length}" in one.spec.args


def test_grid_leaves_out_what_the_encoder_cannot_read():
    assert [r.setting.max_length for r in found(encoders=(BERT,), lengths=(512, 1024), precisions=("none",),
            peft=("NoPEFT",), checkpointing=(False,))] == [512]  # fmt: skip


def test_grid_has_all_methods_and_the_whole_catalog_by_default():
    named = {cls.__name__ for cls in _subclasses(PEFT)}
    assert set(METHOD_NAMES) == {name for name in named if not name.startswith("_")}
    assert Grid().encoders == tuple(CATALOG)


def test_grid_refuses_a_config_that_is_wrong():
    with pytest.raises(UserError, match="no_such"):
        list(requests((*CONFIG, "--model.no_such=1"), Grid(encoders=(BERT,)), Budget()))


def test_budget_of_a_prediction_is_that_of_the_card():
    grid = Grid(encoders=(BERT,), lengths=(128,), precisions=("bf16",), peft=("NoPEFT",), checkpointing=(False,))
    (fake,) = requests(CONFIG, grid, Budget(mode="fake"))
    assert fake.spec.memory_gb == CARD_GB
    (real,) = requests(CONFIG, grid, Budget())
    assert real.spec.memory_gb is None


def _subclasses(cls):
    found = set(cls.__subclasses__())
    return found | {one for sub in found for one in _subclasses(sub)}
