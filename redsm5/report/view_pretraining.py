"""The panel of the view page with what the encoder was pretrained on, and how well it came to fill in masked tokens."""

from __future__ import annotations

from redsm5.pretraining.record import StageRecord
from redsm5.report.chart import Chart, ticks
from redsm5.report.markup import Markup, joined, table, tag
from redsm5.report.view_training import epoch_ticks

NAMES = {"dapt": "DAPT: texts of the domain", "tapt": "TAPT: the training posts"}
INTRODUCTION = (
    "Perplexity of texts that were held out: the exponential of the loss per masked token. Epoch 0 is before the "
    "training; masks are the same after every epoch, and other ones with another probability or style."
)


def pretraining_panel(record: StageRecord) -> Markup:
    """A card per stage, the first one first: its curve and its facts.

    Args:
        record: Of the run's encoder.
    """
    cards = [_card(stage) for stage in record.chain]
    return joined((tag("h2", "Pretraining"), tag("p", INTRODUCTION, class_="lead"), tag("div", *cards, class_="cards")))


def _card(stage: StageRecord) -> Markup:
    points = [(float(point.epoch), point.perplexity) for point in stage.curve]
    values = [value for _, value in points]
    chart = Chart(
        f"Perplexity by epoch, {stage.kind.upper()}",
        "epoch",
        "",
        epoch_ticks(points[-1][0]),
        ticks(0.0, max(values)),
        height=200,
    )
    dots = [chart.dot(x, y, "bin val", f"epoch {x:g}: perplexity {y:.4g}", 2.5) for x, y in points]
    settings = stage.settings
    rows = [
        ["encoder at the beginning", stage.encoder + (f" at {stage.revision}" if stage.revision else "")],
        ["masked-LM head", "of the release" if stage.pretrained_head else "fresh"],
        ["texts", f"{stage.texts:,}, {stage.tokens:,} tokens"],
        ["rows", f"{stage.rows:,} trained on, {stage.held_out_rows:,} held out"],
        ["masking", f"{settings['masking_style']}, {settings['probability']:g} of the tokens"],
        ["epochs", f"{stage.epochs} in {stage.seconds:,.0f} s"],
        ["hash of the texts", str(settings["texts"])],
        ["key of the stage", stage.key],
    ]
    curve = [[f"{point.epoch}", f"{point.loss:.4f}", f"{point.perplexity:.2f}"] for point in stage.curve]
    return tag(
        "section",
        tag("h3", NAMES[stage.kind]),
        tag("figure", chart.draw(chart.line(points, "curve val"), *dots)),
        table(f"{stage.kind.upper()}: held-out texts", ["epoch", "loss", "perplexity"], curve),
        table(f"{stage.kind.upper()}: what was run", ["what", "value"], rows, class_="figures words"),
        class_="card",
    )
