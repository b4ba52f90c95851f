import json

from redsm5.metrics.records import PredictedPost, ScoredSpan
from redsm5.run.predictions import prediction_lines


def test_prediction_lines_decide_at_the_threshold_and_drop_spans_below_null():
    post = PredictedPost(
        post_id="s_1_2",
        probabilities=(0.5, 0.2),
        candidates=((ScoredSpan(3, 9, 1.25), ScoredSpan(0, 2, -0.5)), (ScoredSpan(4, 5, 0.0),)),
    )
    lines = [json.loads(line) for line in prediction_lines([post], ("A", "B"), (0.5, 0.3)).splitlines()]
    assert lines == [
        {
            "post_id": "s_1_2",
            "criterion": "A",
            "probability": 0.5,
            "threshold": 0.5,
            "decision": True,
            "spans": [{"start": 3, "end": 9, "score": 1.25}],
        },
        {"post_id": "s_1_2", "criterion": "B", "probability": 0.2, "threshold": 0.3, "decision": False, "spans": []},
    ]
