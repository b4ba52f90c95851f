from datetime import UTC, datetime

from redsm5.pretraining.record import Point, StageRecord
from redsm5.report.view_pretraining import pretraining_panel


def stage(kind, curve, before=None):
    return StageRecord(
        redsm5="1", created=datetime.now(UTC), kind=kind, key=f"key of {kind}", epochs=len(curve) - 1,
        settings={"masking_style": "span", "probability": 0.3, "texts": f"hash of {kind}"}, encoder="some/encoder",
        revision="abc", before=before, pretrained_head=before is not None, texts=1234, tokens=56789, rows=300,
        held_out_rows=33, curve=[Point(epoch=i, loss=i + 0.5, perplexity=value) for i, value in enumerate(curve)],
        seconds=4321.0, weights_sha256="0" * 64,
    )  # fmt: skip


def test_panel_shows_curve_and_facts_of_every_stage_in_order():
    page = pretraining_panel(stage("tapt", [80.0, 64.25], stage("dapt", [900.5, 150.75, 90.125])))
    assert page.index("DAPT: texts of the domain") < page.index("TAPT: the training posts")
    for said in (
        "900.50", "150.75", "90.12", "64.25", "epoch 2: perplexity 90.12", "1,234, 56,789 tokens", "hash of dapt",
        "300 trained on, 33 held out", "span, 0.3 of the tokens", "2 in 4,321 s", "some/encoder at abc", "key of tapt",
    ):  # fmt: skip
        assert said in page, said
    assert page.count("<svg") == 2
    assert page.count("of the release") == page.count("fresh") == 1


def test_panel_of_one_stage_has_one_card():
    assert pretraining_panel(stage("tapt", [80.0, 64.25])).count('class="card"') == 1
