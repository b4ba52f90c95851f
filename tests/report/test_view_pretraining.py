from stage_records import stage

from redsm5.report.view_pretraining import pretraining_panel


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
