import subprocess
import sys

import pytest
from jsonargparse import ArgumentError, ArgumentParser

from redsm5.modules.aggregation import Aggregation, Attention, LogSumExp
from redsm5.modules.aggregation import Mean as MeanWindows
from redsm5.modules.criteria_head import CriteriaHead, LinearHead
from redsm5.modules.criteria_loss import CriteriaLoss, WeightedBCE
from redsm5.modules.evidence_head import EvidenceHead, StartEnd
from redsm5.modules.evidence_loss import EvidenceLoss
from redsm5.modules.pooling import CLS, Mean, Pooling
from redsm5.optim.optimizers import AdamW, Optimizer
from redsm5.optim.schedules import Linear, Schedule


def parse(base, *arguments):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--option", type=base)
    return parser.instantiate(parser.parse_args(list(arguments))).option


@pytest.mark.parametrize(
    ("base", "arguments", "expected"),
    [
        (Pooling, ["--option=CLS"], CLS()),
        (Pooling, ["--option=Mean"], Mean()),
        (Aggregation, ["--option=Mean"], MeanWindows()),
        (Aggregation, ["--option=LogSumExp", "--option.temperature=0.5"], LogSumExp(0.5)),
        (Aggregation, ["--option=Attention", "--option.hidden=8"], Attention(8)),
        (CriteriaHead, ["--option=LinearHead", "--option.dropout=0"], LinearHead(0.0)),
        (EvidenceHead, ["--option=StartEnd", "--option.dropout=0.3"], StartEnd(0.3)),
        (CriteriaLoss, ["--option=WeightedBCE", "--option.pos_weight=sqrt"], WeightedBCE(pos_weight="sqrt")),
        (EvidenceLoss, ["--option.null_weight=0.1"], EvidenceLoss(0.1)),
        (Optimizer, ["--option=AdamW", "--option.betas=[0.9,0.98]"], AdamW(betas=(0.9, 0.98))),
        (
            Schedule,
            ["--option=Linear", "--option.warmup_ratio=null", "--option.warmup_steps=5"],
            Linear(warmup_ratio=None, warmup_steps=5),
        ),
    ],
)
def test_option_is_picked_by_class_name(base, arguments, expected):
    assert parse(base, *arguments) == expected


@pytest.mark.parametrize(
    ("base", "arguments"),
    [
        (Pooling, ["--option=Mean", "--option.temperature=1"]),
        (Aggregation, ["--option=Max", "--option.temperature=1"]),
        (Pooling, ["--option=Average"]),
        (CriteriaLoss, ["--option=WeightedBCE", "--option.pos_weight=cubed"]),
        (Optimizer, ["--option=AdamW", "--option.momentum=0.9"]),
        (Optimizer, ["--option=AdamW", "--option.lr=fast"]),
    ],
)
def test_foreign_key_or_value_is_refused_while_parsing(base, arguments):
    with pytest.raises(ArgumentError):
        parse(base, *arguments)


def test_option_files_import_no_torch():
    modules = [
        *("pooling", "aggregation", "criteria_head", "criteria_loss", "evidence_head", "evidence_loss", "decoding"),
        *("output", "task_weighting", "adversarial"),
    ]
    imports = [f"redsm5.modules.{name}" for name in modules]
    imports += [f"redsm5.optim.{name}" for name in ("optimizers", "schedules", "curves", "groups")]
    code = f"import sys, {', '.join(imports)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
