import subprocess
import sys

import pytest
from jsonargparse import ArgumentError, ArgumentParser

from redsm5.modules.aggregation import Aggregation, Attention, LogSumExp
from redsm5.modules.aggregation import Mean as MeanWindows
from redsm5.modules.coupling import Coupling, EvidenceInformed, Independent
from redsm5.modules.criteria_head import CriteriaHead, GatedHead, LinearHead, MLPHead, ResidualMLPHead
from redsm5.modules.criteria_loss import CriteriaLoss, WeightedBCE
from redsm5.modules.evidence_head import EvidenceHead, StartEnd
from redsm5.modules.pooling import CLS, Mean, Pooling, ScalarMix
from redsm5.modules.pooling import Attention as AttentionPooling
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
        (Pooling, ["--option=Attention", "--option.heads=4"], AttentionPooling(4)),
        (Pooling, ["--option=ScalarMix", "--option.layers=3"], ScalarMix(3)),
        (CriteriaHead, ["--option=LinearHead", "--option.dropout=0"], LinearHead(0.0)),
        (CriteriaHead, ["--option=MLPHead", "--option.activation=silu"], MLPHead(activation="silu")),
        (CriteriaHead, ["--option=ResidualMLPHead", "--option.dropout_samples=8"], ResidualMLPHead(dropout_samples=8)),
        (
            CriteriaHead,
            ["--option=GatedHead", "--option.gate=gelu", "--option.hidden=9"],
            GatedHead(hidden=9, gate="gelu"),
        ),
        (Coupling, ["--option=Independent"], Independent()),
        (Coupling, ["--option=EvidenceInformed", "--option.join=add"], EvidenceInformed(join="add")),
        (EvidenceHead, ["--option=StartEnd", "--option.dropout=0.3"], StartEnd(0.3)),
        (CriteriaLoss, ["--option=WeightedBCE", "--option.pos_weight=sqrt"], WeightedBCE(pos_weight="sqrt")),
        (EvidenceHead, ["--option=StartEnd", "--option.null_weight=0.1"], StartEnd(null_weight=0.1)),
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
        *("pooling", "coupling", "aggregation", "criteria_head", "criteria_loss", "evidence_head", "decoding"),
        *("output", "task_weighting", "adversarial"),
    ]
    imports = [f"redsm5.modules.{name}" for name in modules]
    imports += [f"redsm5.optim.{name}" for name in ("optimizers", "schedules", "curves", "groups")]
    code = f"import sys, {', '.join(imports)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
