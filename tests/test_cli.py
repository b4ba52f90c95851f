import importlib
import subprocess
import sys

import pytest

from redsm5 import __version__
from redsm5.cli import OTHER_COMMANDS, RUN_COMMANDS, SECTIONS, SentenceParser, config_schema, main, refuse_misspelt


@pytest.mark.parametrize("args", [[], ["-h"], ["--help"]])
def test_main_help_names_every_command(args, capsys):
    assert main(args) == 0
    out = capsys.readouterr().out
    for command in [*RUN_COMMANDS, *OTHER_COMMANDS]:
        assert f"  {command} " in out


def test_main_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"redsm5 {__version__}\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["fitt"], "there is no command 'fitt'; the commands are fit, validate"),
        (["baseline"], "the following arguments are required: run"),
        (["predict", "x", "--posts", "a.csv", "--text", "b"], "not allowed with argument"),
        (["predict", "--text", "b"], "name the model once"),
        (["demo", "--config", "missing.yaml"], "missing.yaml; run in a checkout of redsm5, or add --config FILE"),
        (["test"], "name the run: redsm5 test RUN_DIR"),
        (["validate", "no/such/run"], "no/such/run is no run folder"),
        (["hpo", "statsu"], "redsm5 hpo takes no word 'statsu'; did you mean status?"),
        (["hpo", "status", "now"], "redsm5 hpo takes no word 'now'; it takes status, choose, dashboard or none"),
        (["pretrain", "texts.txt"], "redsm5 pretrain takes no word 'texts.txt'; it takes options alone"),
        (["hpo", "--n-trial", "5"], "redsm5 hpo has no option --n-trial; did you mean --n-trials?"),
        (["hpo", "--n_trials=5"], "redsm5 hpo has no option --n_trials; did you mean --n-trials?"),
    ],
)
def test_main_bad_usage_is_one_sentence_and_code_2(args, said, capsys):
    assert main(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("redsm5: error: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_no_key_of_the_config_is_taken_for_a_misspelt_option():
    assert {*config_schema()["properties"]} - {"$schema"} == SECTIONS
    keys = [f"--{key}" for key in sorted(SECTIONS)]
    for command in ("hpo", "tune-batch", "pretrain", "plot-schedule"):
        module = importlib.import_module(f"redsm5.commands.{command.replace('-', '_')}")
        assert module.TAKES_CONFIG
        parser = SentenceParser(prog=command)
        module.add_arguments(parser)
        refuse_misspelt(parser, (), keys, keys)


@pytest.mark.parametrize(
    "args", [["--help"], ["data", "check", "--help"], ["predict", "--help"], ["view", "--help"], ["models", "--help"]]
)
def test_help_imports_no_torch(args):
    code = (
        "import sys\nfrom redsm5.cli import main\n"
        f"try:\n    main({args!r})\nexcept SystemExit:\n    pass\n"
        "sys.exit(10 if {'torch', 'transformers', 'lightning', 'pandas'} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "package",
    [
        "redsm5.modules.pooling",
        "redsm5.modules.coupling",
        "redsm5.modules.aggregation",
        "redsm5.modules.criteria_head",
        "redsm5.modules.evidence_head",
        "redsm5.modules.criteria_loss",
        "redsm5.modules.decoding",
        "redsm5.modules.encoder",
        "redsm5.optim.optimizers",
        "redsm5.optim.adafactor",
        "redsm5.optim.layerwise",
        "redsm5.optim.sgd",
        "redsm5.optim.one_cycle",
        "redsm5.optim.reduce_on_plateau",
        "redsm5.optim.schedules",
        "redsm5.datamodules.formats",
        "redsm5.datamodules.batching",
        "redsm5.callbacks.early_stopping",
        "redsm5.run.combinations",
        "redsm5.run.options",
    ],
)
def test_option_files_import_no_torch(package):
    code = f"import sys, {package}\nsys.exit(10 if 'torch' in sys.modules else 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_python_dash_m_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "redsm5", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"redsm5 {__version__}\n")


def test_crash_leaves_its_traceback_in_a_log_and_prints_one_line(monkeypatch, capsys, tmp_path):
    def broken(argv):
        raise RuntimeError("inner detail")

    monkeypatch.setattr("redsm5.cli._dispatch", broken)
    monkeypatch.setattr("redsm5.run.crash._folder", tmp_path)
    assert main(["fit"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert str(tmp_path / "run.log") in err
    assert "RuntimeError: inner detail" in (tmp_path / "run.log").read_text()
    with pytest.raises(RuntimeError):
        main(["fit", "--debug"])
