import pytest
import yaml
from tiny_runs import fit_options

from redsm5.cli import main

BASE = {
    "model": {"encoder": {"id": "no/such-encoder"}},
    "data": {"path": "no/such/corpus"},
}


def merged(change):
    config = yaml.safe_load(yaml.safe_dump(BASE))
    for dotted, value in change.items():
        node = config
        *parents, last = dotted.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return config


CASES = [
    # misspelt keys
    ({"model.poolin": "Mean"}, ["model.poolin", "model.pooling"]),
    ({"dta": {"path": "x"}}, ["dta"]),
    ({"trainer.max_epoch": 3}, ["trainer.max_epoch", "trainer.max_epochs"]),
    ({"data.max_lenght": 3}, ["data.max_lenght", "data.max_length"]),
    ({"early_stopping.patienc": 3}, ["early_stopping", "patienc"]),
    # wrong types
    ({"trainer.max_epochs": "many"}, ["trainer.max_epochs", "many", "whole number"]),
    ({"data.max_length": 2.5}, ["data.max_length", "2.5", "whole number"]),
    (
        {"model.task_weighting": {"class_path": "FixedWeights", "init_args": {"lambda_span": "big"}}},
        ["model.task_weighting.lambda_span", "big", "a number"],
    ),
    # closed choices and variants
    ({"runtime.precision": "fp8"}, ["runtime.precision", "fp8", "none or bf16 or fp16"]),
    ({"early_stopping.monitor": "val_f1"}, ["early_stopping.monitor", "val_f1", "val_f1_macro"]),
    ({"data.group_by": "city"}, ["data.group_by", "city", "author or post"]),
    ({"model.pooling": "Men"}, ["model.pooling", "Men", "CLS, Mean"]),
    ({"model.optimizer": "Lamb"}, ["model.optimizer", "Lamb", "LAMB", "AdamW"]),
    (
        {"model.schedule": {"class_path": "OneCycle", "init_args": {"warmup_ratio": 0.1}}},
        ["OneCycle has no option warmup"],
    ),
    (
        {"model.schedule": {"class_path": "NoSchedule", "init_args": {"horizon": 0.5}}},
        ["NoSchedule has no option horizon"],
    ),
    ({"model.optimizer": {"init_args": {"momentum": 0.5}}}, ["model.optimizer", "no option momentum"]),
    (
        {"model.optimizer": {"class_path": "Adafactor", "init_args": {"relative_step": True, "lr": 0.1}}},
        ["model.optimizer.lr is 0.1", "relative_step"],
    ),
    (
        {"model.aggregation": {"class_path": "Max", "init_args": {"temperature": 2.0}}},
        ["model.aggregation", "Max has no option temperature"],
    ),
    # impossible values
    ({"early_stopping.patience": 0}, ["patience is 0", "at least 1"]),
    (
        {"model.task_weighting": {"class_path": "FixedWeights", "init_args": {"lambda_class": -1.0}}},
        ["model.task_weighting.lambda_class is -1.0", "at least 0"],
    ),
    ({"runtime.threads": 0}, ["threads is 0", "at least 1"]),
    ({"data.fold": 1}, ["fold"]),
    ({"data.fold": 5, "data.folds": 5}, ["fold"]),
    ({"data.fractions": [0.9, 0.2, 0.1]}, ["fractions"]),
    ({"data.stride": 256, "data.max_length": 256}, ["stride"]),
    (
        {"model.optimizer": {"class_path": "AdamW", "init_args": {"lr": -1.0}}},
        ["lr", "-1.0"],
    ),
    ({"model.criteria_head": {"class_path": "LinearHead", "init_args": {"dropout": 1.5}}}, ["dropout", "1.5"]),
    # pooling, head and coupling
    ({"model.pooling": {"class_path": "CLS", "init_args": {"heads": 4}}}, ["model.pooling", "CLS has no option heads"]),
    (
        {"model.pooling": {"class_path": "Attention", "init_args": {"heads": 2}}},
        ["model.pooling.heads", "2", "1 or 4"],
    ),
    ({"model.pooling": {"class_path": "ScalarMix", "init_args": {"layers": 1}}}, ["model.pooling.layers is 1", "CLS"]),
    (
        {
            "model.encoder.id": "google-bert/bert-base-uncased",
            "model.pooling": {"class_path": "ScalarMix", "init_args": {"layers": 13}},
        },
        ["model.pooling.layers is 13", "google-bert/bert-base-uncased has 12 layers"],
    ),
    ({"model.criteria_head": "MLP"}, ["model.criteria_head", "MLP", "MLPHead", "ResidualMLPHead", "GatedHead"]),
    (
        {"model.criteria_head": {"class_path": "LinearHead", "init_args": {"hidden": 256}}},
        ["model.criteria_head", "LinearHead has no option hidden"],
    ),
    (
        {"model.criteria_head": {"class_path": "GatedHead", "init_args": {"activation": "gelu"}}},
        ["model.criteria_head", "GatedHead has no option activation", "gate"],
    ),
    (
        {"model.criteria_head": {"class_path": "MLPHead", "init_args": {"activation": "swish"}}},
        ["model.criteria_head.activation", "swish", "gelu or silu or relu or leaky_relu or mish or tanh"],
    ),
    ({"model.criteria_head": {"class_path": "MLPHead", "init_args": {"hidden": 0}}}, ["hidden is 0", "at least 1"]),
    (
        {"model.criteria_head": {"init_args": {"dropout_samples": 3}}},
        ["model.criteria_head.dropout_samples", "3", "1 or 4 or 8"],
    ),
    (
        {"model.criteria_head": {"init_args": {"dropout_samples": 8, "dropout": 0.0}}},
        ["model.criteria_head.dropout_samples is 8", "dropout is 0"],
    ),
    ({"model.coupling": "Informed"}, ["model.coupling", "Informed", "Independent, EvidenceInformed"]),
    (
        {"model.coupling": {"class_path": "Independent", "init_args": {"join": "add"}}},
        ["model.coupling", "Independent has no option join"],
    ),
    (
        {"model.coupling": {"class_path": "EvidenceInformed", "init_args": {"pooling": "sum"}}},
        ["model.coupling.pooling", "sum", "mean or max or attention"],
    ),
    (
        {"model.coupling": {"class_path": "EvidenceInformed", "init_args": {"join": "multiply"}}},
        ["model.coupling.join", "multiply", "concat or add or mean or weighted_sum or weighted_mean"],
    ),
    # methods and freezing
    ({"model.peft": "Lora"}, ["model.peft", "Lora", "LoRAPlus"]),
    ({"model.peft": {"class_path": "Houlsby", "init_args": {"bottleneck": "x"}}}, ["bottleneck", "a whole number"]),
    ({"model.peft": {"class_path": "IA3", "init_args": {"r": 4}}}, ["model.peft", "IA3 has no option r"]),
    ({"model.peft": {"class_path": "LoRA", "init_args": {"r": 0}}}, ["model.peft.r is 0", "at least 1"]),
    (
        {"model.peft": {"class_path": "LoRA", "init_args": {"targets": "keys"}}},
        ["model.peft.targets", "keys", "query_value or query_key_value_output"],
    ),
    (
        {
            "model.encoder.id": "google-bert/bert-base-uncased",
            "model.peft": {"class_path": "LoRA", "init_args": {"r": 999}},
        },
        ["model.peft.r is 999", "768"],
    ),
    (
        {
            "model.encoder.id": "medicalai/ClinicalBERT",
            "model.peft": {"class_path": "Pfeiffer", "init_args": {"layers": "top_8"}},
        },
        ["model.peft.layers is top_8", "6 layers"],
    ),
    (
        {
            "model.encoder.id": "medicalai/ClinicalBERT",
            "model.freezing": {"class_path": "BottomLayers", "init_args": {"n": 6}},
        },
        ["model.freezing.n is 6", "6 layers", "WholeEncoder"],
    ),
    (
        {
            "model.encoder.id": "sentence-transformers/all-MiniLM-L6-v2",
            "model.peft": {"class_path": "Houlsby", "init_args": {"bottleneck": 400}},
        },
        ["model.peft.bottleneck is 400", "384"],
    ),
    ({"model.peft": "LoRA", "model.freezing": "BottomLayers"}, ["model.freezing", "LoRA freezes the whole encoder"]),
    # what would change nothing
    (
        {"model.evidence_head": {"init_args": {"inside": False, "inside_weight": 3.0}}},
        ["model.evidence_head.inside_weight is 3.0", "inside is false", "leave it at 30.0"],
    ),
    (
        {"model.evidence_head": {"class_path": "StartEndMLP", "init_args": {"inside": False, "inside_scale": 0.0}}},
        ["model.evidence_head.inside_scale is 0.0", "inside is false"],
    ),
    (
        {"model.schedule": {"class_path": "CosineRestarts", "init_args": {"num_cycles": 1, "T_mult": 2}}},
        ["model.schedule.T_mult is 2", "num_cycles is 1"],
    ),
    (
        {"trainer.gradient_clip_algorithm": "value", "trainer.gradient_clip_val": None},
        ["trainer.gradient_clip_algorithm is value", "gradient_clip_val is null"],
    ),
    ({"trainer.accelerator": "cuda"}, ["trainer.accelerator", "cuda", "cpu"]),
    ({"runtime.precision": "fp16"}, ["runtime.precision", "fp16", "CUDA"]),
]


@pytest.mark.parametrize(("change", "said"), CASES, ids=[next(iter(c)) + str(i) for i, (c, _) in enumerate(CASES)])
def test_bad_config_is_one_sentence_that_names_the_key(change, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(merged(change)))
    assert main(["fit", "--config", str(path), f"--run_dir={tmp_path / 'run'}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("redsm5: error: ")
    assert err.count("\n") == 1, err
    assert "usage" not in err
    for words in said:
        assert words in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--config", "missing.yaml"], "there is no config file missing.yaml"),
        (["--model.bogus", "3"], "there is no key model.bogus"),
        (["--trainer.max_epoc", "7"], "there is no key trainer.max_epoc; did you mean trainer.max_epochs"),
        (["--model.adversaria", "FGM"], "there is no key model.adversaria; did you mean model.adversarial"),
        (["--model.poolin", "Mean"], "there is no key model.poolin; did you mean model.pooling"),
        (["--model", "3"], "model is '3'; it takes keys below it"),
        (["--seed_everything", "-1"], "seed_everything is -1; it takes a whole number from 0 to 4294967295"),
        (["--seed_everything", "true"], "seed_everything is true; it takes a whole number"),
        (["--model.optimizer.betas", "[0.9]"], "model.optimizer.betas: [0.9] is not accepted"),
        (["--model.optimizer.lr", "abc"], "model.optimizer.lr: abc is not accepted; it takes a number"),
        (["--trainer.accelerator", "mps"], "trainer.accelerator is mps, but this is no Apple machine"),
        (["--data.path", "x"], "model.encoder.id"),
        (["--model.encoder.id", "x"], "data.path"),
    ],
)
def test_bad_arguments_are_one_sentence(args, said, capsys, tmp_path):
    required = [] if args[0] in ("--data.path", "--model.encoder.id") else ["--data.path=x", "--model.encoder.id=x"]
    assert main(["fit", *required, *args, f"--run_dir={tmp_path / 'run'}"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1, err


def test_broken_yaml_names_the_file(tmp_path, capsys):
    path = tmp_path / "broken.yaml"
    path.write_text("model: [unclosed\n")
    assert main(["fit", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    assert "broken.yaml" in err
    assert err.count("\n") == 1, err


def test_print_config_runs_unchanged(tiny_corpus_dir, tiny_encoder, tmp_path, capsys):
    options = fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", "--trainer.max_epochs=1")
    with pytest.raises(SystemExit) as stop:
        main([*options, "--model.schedule.warmup_ratio=null", "--print_config"])
    assert stop.value.code == 0
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    assert not (tmp_path / "run").exists()
    assert main(["fit", "--config", str(tmp_path / "printed.yaml")]) == 0
    ran = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    printed = yaml.safe_load((tmp_path / "printed.yaml").read_text())
    assert ran["model"] == printed["model"]
    assert ran["model"]["schedule"]["init_args"]["warmup_ratio"] is None  # left out, it would be the default again
