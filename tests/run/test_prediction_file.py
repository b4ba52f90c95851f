import json

import pytest

from redsm5.errors import UserError
from redsm5.metrics.records import PredictedPost, ScoredSpan
from redsm5.run.prediction_file import read_predictions
from redsm5.run.predictions import prediction_lines

POSTS = [
    PredictedPost("s_1_1", (0.5, 0.2), ((ScoredSpan(3, 9, 1.25), ScoredSpan(0, 2, -0.5)), ())),
    PredictedPost("s_1_2", (0.4999996, 0.9), ((), (ScoredSpan(4, 5, 0.25),))),
]
GOOD = {"post_id": "a", "criterion": "A", "probability": 0.5, "threshold": 0.5, "decision": True, "spans": []}


def test_read_predictions_gives_back_what_was_written(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(prediction_lines(POSTS, ("A", "B"), (0.5, 0.3)))
    found = read_predictions(path, made_by="redsm5 test")
    assert found.codes == ("A", "B")
    assert found.thresholds == (0.5, 0.3)
    assert found.posts[0] == PredictedPost("s_1_1", (0.5, 0.2), ((ScoredSpan(3, 9, 1.25),), ()))
    assert found.posts[1].probabilities[0] == 0.5  # rounded up to the threshold,
    assert found.decisions == ((True, False), (False, True))  # and still decided as it was


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no predictions; run redsm5 test again"),
        ("{}\n", "line 1: not a prediction"),
        (json.dumps(GOOD) + "\nnonsense\n", "line 2: not a prediction"),
        (json.dumps({**GOOD, "spans": [1]}), "line 1: not a prediction"),
        (json.dumps(GOOD) + "\n" + json.dumps(GOOD), "stands for 2 posts; make the ids unique"),
        ("\n".join(json.dumps({**GOOD, "criterion": code}) for code in "ABA"), "one of them twice"),
        (json.dumps(GOOD) + "\n" + json.dumps({**GOOD, "post_id": "b", "criterion": "B"}), "post b has other criteria"),
        (json.dumps(GOOD) + "\n" + json.dumps({**GOOD, "post_id": "b", "threshold": 0.1}), "criteria or thresholds"),
    ],
)
def test_read_predictions_refuses_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_predictions(path, made_by="redsm5 test")


def test_read_predictions_missing_or_binary_file_names_the_command(tmp_path):
    with pytest.raises(UserError, match=r"No such file or directory; run redsm5 test first"):
        read_predictions(tmp_path / "p.jsonl", made_by="redsm5 test")
    (tmp_path / "p.parquet").write_bytes(b"PAR1\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_predictions(tmp_path / "p.parquet", made_by="redsm5 test")
