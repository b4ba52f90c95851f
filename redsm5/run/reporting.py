"""Brings together what ``report.json`` holds."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import torch
import yaml

from redsm5.hub import resolved_revision
from redsm5.report.models import CorpusInfo, EncoderInfo, Environment, Evaluation, Part, Report, TrainingInfo
from redsm5.report.writing import read_report, write_report

if TYPE_CHECKING:
    from redsm5.run.folder import RunFolder
    from redsm5.run.lightning_cli import ReDSM5CLI


def update_report(
    cli: ReDSM5CLI, folder: RunFolder, part: Part, evaluation: Evaluation, thresholds: tuple[float, ...]
) -> Report:
    """Write ``report.json`` with this evaluation, keeping those of the other part and of the baselines."""
    earlier = read_report(folder.report) if folder.report.exists() else None
    report = Report(
        created=datetime.now(UTC),
        environment=_environment(cli),
        encoder=_encoder(cli),
        corpus=_corpus(cli),
        config=yaml.safe_load(folder.config.read_text(encoding="utf-8")),
        training=TrainingInfo(**json.loads(folder.training.read_text(encoding="utf-8"))),
        thresholds=dict(zip(cli.datamodule.codes, thresholds, strict=True)),
        evaluations={**(earlier.evaluations if earlier else {}), part: evaluation},
        baselines=earlier.baselines if earlier else {},
    )
    write_report(folder.report, report)
    return report


def add_baseline(folder: RunFolder, name: str, evaluations: dict[Part, Evaluation]) -> Report:
    """Set a baseline's figures beside those of the run in its ``report.json``."""
    report = read_report(folder.report)
    report = report.model_copy(update={"baselines": {**report.baselines, name: evaluations}})
    write_report(folder.report, report)
    return report


def _environment(cli: ReDSM5CLI) -> Environment:
    device = cli.trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Environment.current(seed=cli.config.seed_everything, threads=torch.get_num_threads(), device=name)


def _encoder(cli: ReDSM5CLI) -> EncoderInfo:
    option = cli.model.encoder_option
    parameters = list(cli.model.network.parameters()) if cli.model.network is not None else []
    return EncoderInfo(
        id=option.id,
        revision=resolved_revision(option.id, option.revision),
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
    )


def _corpus(cli: ReDSM5CLI) -> CorpusInfo:
    corpus, split = cli.datamodule.corpus, cli.datamodule.split
    return CorpusInfo(
        source=corpus.source,
        synthetic=corpus.synthetic,
        sha256=corpus.sha256,
        posts=len(corpus.posts),
        splits={"train": len(split.train), "val": len(split.val), "test": len(split.test)}
        | ({"unused": len(split.unused)} if split.unused else {}),
        alignments=dict(Counter(a.alignment for a in corpus.annotations)),
    )
