"""Records of stages of pretraining, made up."""

from datetime import UTC, datetime

from redsm5.pretraining.record import Point, StageRecord


def stage(kind, curve, before=None):
    return StageRecord(
        redsm5="1", created=datetime.now(UTC), kind=kind, key=f"key of {kind}", epochs=len(curve) - 1,
        settings={"masking_style": "span", "probability": 0.3, "texts": f"hash of {kind}"}, encoder="some/encoder",
        revision="abc", before=before, pretrained_head=before is not None, texts=1234, tokens=56789, rows=300,
        held_out_rows=33, curve=[Point(epoch=i, loss=i + 0.5, perplexity=value) for i, value in enumerate(curve)],
        seconds=4321.0, weights_sha256="0" * 64,
    )  # fmt: skip
