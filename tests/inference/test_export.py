import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import redsm5
from redsm5.cli import main
from redsm5.errors import UserError
from redsm5.inference.build import build_network
from redsm5.inference.export import export
from redsm5.inference.manifest import ExportFolder, Manifest
from redsm5.inference.model_files import read_model, sha256_of
from redsm5.modules.network_state import state_sha256, trained_state
from redsm5.run.folder import RunFolder

TEXTS = ["Honestly I feel gloomy all the time. The bus was late again today.", "It rained. " * 40]


@pytest.fixture(scope="module")
def exported(trained_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "model"
    assert main(["export", str(trained_run), "--out", str(out)]) == 0
    return out


@pytest.fixture
def copy(exported, tmp_path):
    """A copy of the exported model that a test may spoil."""
    import shutil

    return shutil.copytree(exported, tmp_path / "copy")


def rewrite_manifest(folder, **changes):
    """Set the hashes to those of the files, as someone would who wants to be believed."""
    paths = ExportFolder(folder)
    manifest = json.loads(paths.manifest.read_text())
    manifest["files"] = {name: sha256_of(folder / name) for name in manifest["files"]}
    paths.manifest.write_text(json.dumps({**manifest, **changes}))


@pytest.mark.parametrize("fixture", ["trained_run", "pairs_run"])
def test_export_predicts_as_its_run(fixture, request, tmp_path):
    run = request.getfixturevalue(fixture)
    export(run, tmp_path / "model")
    assert redsm5.load(tmp_path / "model").predict(TEXTS) == redsm5.load(run).predict(TEXTS)


def test_export_leaves_what_the_readme_lists_and_no_more(exported):
    left = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert left == {
        "README.md", "config.yaml", "criteria.json", "thresholds.json", "model.safetensors", "manifest.json",
        "encoder/config.json", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json",
    }  # fmt: skip
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]
    manifest = Manifest.model_validate_json((exported / "manifest.json").read_text())
    assert manifest.files.keys() == left - {"manifest.json", "README.md"}


def test_export_holds_the_weights_of_the_best_checkpoint(exported, trained_run):
    tensors = load_file(RunFolder(trained_run).best_checkpoint().path / "weights.safetensors")
    expected = {k.removeprefix("state_dict/network."): v for k, v in tensors.items()}
    found = load_file(exported / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_export_loads_where_neither_the_run_nor_the_encoder_is(exported, tmp_path):
    """In a process of its own, elsewhere, offline, with an empty cache of the hub."""
    moved = tmp_path / "elsewhere" / "model"
    moved.parent.mkdir()
    subprocess.run(["cp", "-r", str(exported), str(moved)], check=True)
    script = (
        "import sys, redsm5\n"
        f"model = redsm5.load({str(moved)!r})\n"
        f"print(sorted(model.predict({TEXTS!r})[0].probabilities.items()))\n"
        "assert 'lightning' not in sys.modules, 'lightning is not needed'\n"
    )
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "REDSM5_CACHE": str(tmp_path / "c"),
    }
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = sorted(redsm5.load(exported).predict(TEXTS)[0].probabilities.items())
    assert done.stdout.strip() == str(expected)


def test_export_holds_no_post_text(exported, tiny_corpus_dir):
    text = (tiny_corpus_dir / "redsm5_posts.csv").read_text().splitlines()[1].split(",", 1)[1][:40]
    assert all(text.encode() not in path.read_bytes() for path in exported.rglob("*") if path.is_file())


def test_card_says_what_it_is_not_for_and_gives_the_test_figures(exported, trained_run):
    card = (exported / "README.md").read_text()
    for part in ("No diagnosis", "No triage", "No surveillance", "On the test part", "Limits of the data"):
        assert part in card
    assert "$" not in card
    report = json.loads((trained_run / "report.json").read_text())
    evaluation = report["evaluations"]["test"]
    assert f"macro F1 at tuned thresholds: {evaluation['tuned']['f1_macro']:.3f}" in card
    for row in evaluation["criteria"]:
        assert f"| {row['code']} | {row['support']} | {row['threshold']:.2f} |" in card


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "lacks model.safetensors"),
        (lambda f: (f / "thresholds.json").write_text("{}"), "thresholds.json is damaged"),
        (lambda f: flip_bit(f / "model.safetensors"), "model.safetensors is damaged"),
        (lambda f: (f / "manifest.json").write_text("{"), "is no manifest of this version"),
        (lambda f: (f / "manifest.json").unlink(), "neither an exported model .* nor a"),
    ],
)
def test_load_refuses_a_damaged_export(copy, spoil, said):
    (copy / "config.yaml").touch()
    spoil(copy)
    if said.startswith("neither"):
        (copy / "config.yaml").unlink()
    with pytest.raises(UserError, match=said):
        redsm5.load(copy)


def flip_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


class Payload:
    """Would write a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer/tokenizer.json", "criteria.json"])
def test_load_never_executes_a_pickle_in_place_of_a_file(copy, tmp_path, name):
    (copy / name).write_bytes(pickle.dumps(Payload(tmp_path / "executed")))
    rewrite_manifest(copy)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever says no
        redsm5.load(copy)
    assert not (tmp_path / "executed").exists()


def test_load_refuses_weights_of_another_network(copy):
    state = load_file(copy / "model.safetensors")
    name = next(iter(state))
    save_file({k: v for k, v in state.items() if k != name}, copy / "model.safetensors")
    rewrite_manifest(copy)
    with pytest.raises(UserError, match=r"the file lacks 1 tensors"):
        redsm5.load(copy)
    save_file({**state, "more": torch.zeros(1)}, copy / "model.safetensors")
    rewrite_manifest(copy)
    with pytest.raises(UserError, match=r"holds unknown 1 tensors \(more\)"):
        redsm5.load(copy)


def test_export_refuses_what_is_there_and_replaces_an_export_when_asked(exported, trained_run, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    for out, said in (
        (exported, "holds an exported model; choose another, or add --overwrite"),
        (tmp_path / "other", "exists and is no exported model"),
        (tmp_path / "a" / "b", "there is no folder"),
    ):
        assert main(["export", str(trained_run), "--out", str(out)]) == 2
        assert said in capsys.readouterr().err
    export(trained_run, tmp_path / "model")
    before = (tmp_path / "model" / "manifest.json").read_bytes()
    assert main(["export", str(trained_run), "--out", str(tmp_path / "model"), "--overwrite"]) == 0
    assert (tmp_path / "model" / "manifest.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


@pytest.mark.parametrize(("run", "said"), [("nowhere", "is no folder of a run"), ("", "is no folder of a run")])
def test_export_refuses_what_is_no_run(tmp_path, run, said):
    with pytest.raises(UserError, match=said):
        export(tmp_path / run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_export_adapter_only_is_refused_where_all_was_trained(trained_run, tmp_path, capsys):
    assert main(["export", str(trained_run), "--out", str(tmp_path / "model"), "--adapter-only"]) == 2
    assert "every weight of" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_trained_state_leaves_out_frozen_encoder_weights_only(trained_run):
    files = read_model(trained_run)
    network = build_network(files, 9)
    for name, parameter in network.encoder.named_parameters():
        parameter.requires_grad = "layer.1" in name
    kept = trained_state(network).keys()
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen
    assert kept == network.state_dict().keys() - frozen
    assert any(name.startswith("evidence_head.") for name in kept)


def test_state_sha256_depends_on_names_types_shapes_and_contents():
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}
    same = {"b": torch.ones(2), "a": torch.arange(6.0).reshape(2, 3).clone()}
    others = [
        {"a": state["a"], "c": state["b"]},
        {"a": state["a"].reshape(3, 2), "b": state["b"]},
        {"a": state["a"], "b": state["b"].to(torch.float64)},
        {"a": state["a"] + 1e-6, "b": state["b"]},
    ]
    assert state_sha256(state) == state_sha256(same)
    assert len({state_sha256(state), *map(state_sha256, others)}) == 5
