"""A search that tests run: a tiny encoder and corpus, two epochs a trial."""

import json

from tiny_runs import fit_options

SPACE = """
version: 1
groups:
  training:
    optimizer: {path: model.optimizer, choices: [AdamW, RAdam]}
    lr: {path: model.optimizer.lr, low: 1.0e-4, high: 1.0e-2, log: true}
    betas: {path: model.optimizer.betas, choices: [[0.9, 0.999], [0.9, 0.98]]}
  architecture:
    dropout: {path: model.criteria_head.dropout, low: 0.0, high: 0.5}
  peft:
    peft: {path: model.peft, choices: [NoPEFT, LoRA]}
    lora_r: {path: model.peft.r, choices: [4, 8], when: {peft: [LoRA]}}
"""


def search_options(corpus, encoder, tmp_path):
    """A function that makes the command line: more options, and the name of the study's folder below the path."""
    space = tmp_path / "space.yaml"
    space.write_text(SPACE, encoding="utf-8")
    config = tmp_path / "hpo.yaml"
    config.write_text(f"hpo: {{lease_seconds: 30, best_config: {tmp_path}/best.yaml}}\n", encoding="utf-8")
    fit = [arg for arg in fit_options(corpus, encoder, tmp_path)[1:] if "run_dir" not in arg]
    fit = [arg for arg in fit if not arg.startswith(("--model.optimizer", "--early_stopping"))]

    def made(*more, study="study"):
        return ["hpo", "--config", str(config), "--space", str(space), "--study-dir", str(tmp_path / study), *fit,
                "--trainer.max_epochs=2", *more]  # fmt: skip

    return made


def reports(study):
    """Of the trials that have ended."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(study.glob("trials/*/report.json"))]
