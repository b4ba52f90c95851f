"""The config in the folder of a run, as far as its batches go."""

import yaml


def config_of(run_dir, *, length=64, accumulate=1, **batching):
    config = {
        "run_dir": str(run_dir),
        "data": {"max_length": length, "batching": {"class_path": "X", "init_args": batching}},
        "trainer": {"accumulate_grad_batches": accumulate},
    }
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
