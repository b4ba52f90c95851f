"""What ``pretraining.json`` says of an encoder."""

import pytest
from stage_records import stage

from redsm5.errors import UserError
from redsm5.pretraining.record import RECORD, has_read_posts

DAPT, TAPT = stage("dapt", [9.0, 8.0]), stage("tapt", [9.0, 8.0])


@pytest.mark.parametrize(
    ("record", "has_read"),
    [(None, False), (DAPT, False), (TAPT, True), (stage("dapt", [9.0, 8.0], before=TAPT), True)],
)
def test_encoder_has_read_posts_where_a_stage_was_of_training_posts(tmp_path, record, has_read):
    if record is not None:
        (tmp_path / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
    assert has_read_posts(str(tmp_path)) is has_read


def test_encoder_of_the_hub_has_read_no_posts():
    assert not has_read_posts("google-bert/bert-base-uncased")


def test_record_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / RECORD).write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="is no record of a pretraining"):
        has_read_posts(str(tmp_path))
