from __future__ import annotations

import hashlib
import importlib
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from hub_server import GRANTED, LOGGED_IN, HubServer
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

from redsm5 import hub
from redsm5.errors import UserError

CLIENT = importlib.import_module(HfHubHTTPError.__mro__[1].__module__.split(".")[0])
"""The HTTP client of the hub's library: httpx, or what followed it."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def http_error(status: int, kind: type[HfHubHTTPError] = HfHubHTTPError) -> HfHubHTTPError:
    request = CLIENT.Request("GET", "https://huggingface.co/api/models/owner/name")
    return kind(f"{status} error", response=CLIENT.Response(status, request=request))


def not_on_disk(cause: Exception) -> LocalEntryNotFoundError:
    """What the library makes of an HTTP or connection error when nothing is on disk either."""
    error = LocalEntryNotFoundError("cannot find the files on the hub or on disk")
    error.__cause__ = cause
    return error


FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
TOKENIZER_FILES = {name: name.encode() for name in ("config.json", "tokenizer.json", "tokenizer_config.json")}
# Different bytes each: the client fetches equal ones once.


@pytest.fixture
def failing(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Let the client meet errors that a server cannot make, before it asks the stand-in; lists its tries."""
    original = huggingface_hub.snapshot_download

    def make(*errors: Exception) -> list[str]:
        hub_server.add("owner/name", FILES)
        left, tries = list(errors), []

        def download(repo_id: str, *, local_files_only: bool = False, **arguments: object) -> str:
            if not local_files_only:
                tries.append(repo_id)
                if left:
                    raise left.pop(0)
            return original(repo_id, local_files_only=local_files_only, **arguments)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        return tries

    return make


def no_sleep(seconds: float) -> None:
    pytest.fail(f"waited {seconds} s")


def test_resolve_takes_a_folder_as_it_is(tmp_path, hub_server):
    (tmp_path / "config.json").write_text("{}")
    assert hub.resolve(str(tmp_path), None, allow=hub.CONFIG) == tmp_path
    assert hub.resolved_revision(str(tmp_path), None) is None
    assert hub_server.requests == []


def test_resolve_refuses_a_folder_without_config(tmp_path):
    with pytest.raises(UserError, match=r"holds no config\.json"):
        hub.resolve(str(tmp_path), None, allow=hub.CONFIG)


@pytest.mark.parametrize("id", ["./nowhere", "/no/where", "~/no/where/at-all", "runs/a/encoder"])
def test_resolve_refuses_a_missing_folder_without_asking_the_hub(hub_server, id):
    with pytest.raises(UserError, match="there is no folder"):
        hub.resolve(id, None, allow=hub.CONFIG)
    assert hub_server.requests == []


def test_resolve_downloads_once_and_then_takes_the_cache(hub_server):
    commit = hub_server.add("owner/name", FILES)
    first = hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=no_sleep)
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {"config.json": b"{}"}
    hub_server.requests.clear()
    assert hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=no_sleep) == first
    assert hub.resolved_revision("owner/name", None) == commit
    assert hub_server.requests == []


def test_resolve_goes_online_when_the_cache_holds_other_files_only(hub_server):
    hub_server.add("owner/name", TOKENIZER_FILES)
    hub.resolve("owner/name", None, allow=hub.CONFIG)
    hub_server.requests.clear()
    folder = hub.resolve("owner/name", None, allow=hub.TOKENIZER, need=hub.VOCABULARIES)
    assert hub_server.fetched() == {"tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in folder.iterdir()} == set(TOKENIZER_FILES)


def test_resolve_goes_online_when_the_cache_lacks_one_of_several_files(hub_server):
    """A tokenizer without its tokenizer_config.json would be read, and lowercase a cased encoder."""
    hub_server.add("owner/name", TOKENIZER_FILES)
    hub_server.fail("tokenizer_config.json", status=404)
    with pytest.raises(UserError):
        hub.resolve("owner/name", None, allow=hub.TOKENIZER, need=hub.VOCABULARIES, sleep=no_sleep)
    hub_server.heal()
    folder = hub.resolve("owner/name", None, allow=hub.TOKENIZER, need=hub.VOCABULARIES)
    assert {path.name for path in folder.iterdir()} == set(TOKENIZER_FILES)


def test_cached_folder_never_goes_online(hub_server):
    hub_server.add("owner/name", FILES)
    assert hub.cached_folder("owner/name", None, allow=hub.CONFIG) is None
    assert hub.resolved_revision("owner/name", None) is None
    assert hub_server.requests == []
    folder = hub.resolve("owner/name", None, allow=hub.CONFIG)
    assert hub.cached_folder("owner/name", None, allow=hub.CONFIG) == folder


@pytest.mark.parametrize("revision", ["branch", "v1.0", "refs/pr/3"])
def test_resolve_pins_a_branch_a_tag_and_a_commit(hub_server, revision):
    older = hub_server.add("owner/name", {"config.json": b"1"}, revision)
    newer = hub_server.add("owner/name", {"config.json": b"2"})
    contents = {
        asked: (hub.resolve("owner/name", asked, allow=hub.CONFIG) / "config.json").read_bytes()
        for asked in (None, revision, older, newer)
    }
    assert contents == {None: b"2", revision: b"1", older: b"1", newer: b"2"}
    assert hub.resolved_revision("owner/name", revision) == older
    assert hub.resolved_revision("owner/name", None) == newer


def test_resolve_keeps_to_the_commit_that_a_branch_had_when_it_was_fetched(hub_server):
    """Config, tokenizer and weights are fetched one after the other: all come from one commit."""
    older = hub_server.add("owner/name", FILES | {"vocab.txt": b"a"})
    hub.resolve("owner/name", None, allow=hub.CONFIG)
    hub_server.add("owner/name", FILES | {"vocab.txt": b"b", "config.json": b"[]"})
    folder = hub.resolve("owner/name", None, allow=hub.TOKENIZER, need=hub.VOCABULARIES)
    assert (folder / "vocab.txt").read_bytes() == b"a"
    assert hub.resolve_weights("owner/name", None) == folder
    assert hub.resolved_revision("owner/name", None) == older


def test_resolve_takes_the_branch_when_its_commit_is_gone(hub_server):
    older = hub_server.add("owner/name", {"config.json": b"{}", "vocab.txt": b"a"})
    hub.resolve("owner/name", None, allow=hub.CONFIG)
    newer = hub_server.add("owner/name", {"config.json": b"[]", "vocab.txt": b"b"})
    del hub_server.repositories["owner/name"].commits[older]
    folder = hub.resolve("owner/name", None, allow=hub.TOKENIZER, need=hub.VOCABULARIES)
    assert (folder.name, (folder / "config.json").read_bytes()) == (newer, b"[]")


@pytest.mark.parametrize(("status", "path"), [(503, "/revision/"), (500, "/revision/"), (429, "/tree/")])
def test_resolve_tries_again_when_the_hub_fails_twice(hub_server, monkeypatch, status, path):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # the client's own tries
    hub_server.add("owner/name", FILES)
    hub_server.fail(path, times=2, status=status)
    waits: list[float] = []
    folder = hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=waits.append)
    assert (folder / "config.json").read_bytes() == b"{}"
    assert len([request for request in hub_server.requests if path in request]) == 3
    assert len(waits) == (2 if path == "/revision/" else 0)  # the client asks for the listing again by itself


TRANSIENT = {
    "request timeout": http_error(408),
    "behind a disk error": not_on_disk(http_error(500)),
    "no name resolution": not_on_disk(CLIENT.ConnectError("no address")),
    "read timeout": CLIENT.ReadTimeout("slow"),
    "connection reset": ConnectionResetError(),
    "timeout": TimeoutError(),
    "unknown": LocalEntryNotFoundError("no cause given"),
}


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_resolve_tries_again_after_a_passing_error(failing, error):
    tries = failing(error, error)
    waits: list[float] = []
    folder = hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=waits.append)
    assert (folder / "config.json").is_file()
    assert len(tries) == 3
    assert len(waits) == 2


def test_resolve_gives_up_after_five_tries_with_exponential_waits(failing):
    tries = failing(*[CLIENT.ConnectError("unreachable")] * 9)
    waits: list[float] = []
    state = random.getstate()
    with pytest.raises(UserError, match=r"5 tries for owner/name \(ConnectError\).*check the network, point HF_HOME"):
        hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=waits.append)
    assert len(tries) == 5
    for wait, base in zip(waits, (1, 2, 4, 8), strict=True):
        assert base <= wait < base + 1
    assert random.getstate() == state


GATED = (
    "owner/gated is gated: accept the terms at https://huggingface.co/owner/gated, then `hf auth login` or set HF_TOKEN"
)
REFUSALS = {
    "gated, not logged in": ("owner/gated", None, None, GATED),
    "gated, terms not accepted": ("owner/gated", None, LOGGED_IN, GATED),
    "missing, not logged in": ("owner/missing", None, None, "the hub has no encoder owner/missing, or it is private"),
    "missing": ("owner/missing", None, LOGGED_IN, "the hub has no encoder owner/missing, or it is private"),
    "revision": ("owner/name", "v9", None, "owner/name has no revision 'v9'"),
    "commit": ("owner/name", COMMIT, None, f"owner/name has no revision '{COMMIT}'"),
    "bad token": (
        "owner/name", None, "hf_expired",
        r"refuses owner/name \(HTTP 401\): `hf auth login` or set a valid HF_TOKEN",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("id", "revision", "token", "sentence"), REFUSALS.values(), ids=REFUSALS.keys())
def test_resolve_says_at_once_what_to_do_about_a_refusal(hub_server, monkeypatch, id, revision, token, sentence):
    hub_server.add("owner/name", FILES)
    hub_server.add("owner/gated", FILES, gated=True)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match=sentence) as caught:
        hub.resolve(id, revision, allow=hub.CONFIG, sleep=no_sleep)
    assert "\n" not in str(caught.value)
    assert hub.cached_folder(id, revision, allow=hub.CONFIG) is None


def test_resolve_reads_a_gated_encoder_with_a_token_that_has_access(hub_server, monkeypatch):
    hub_server.add("owner/gated", FILES, gated=True)
    with pytest.raises(UserError, match="is gated"):
        hub.resolve_weights("owner/gated", None)
    monkeypatch.setenv("HF_TOKEN", GRANTED)
    assert (hub.resolve_weights("owner/gated", None) / "model.safetensors").read_bytes() == b"weights"


FINAL = {
    "gated behind a disk error": (not_on_disk(http_error(403, GatedRepoError)), "is gated: accept the terms"),
    "not found": (http_error(404), "the hub has no encoder owner/name"),
    "forbidden": (not_on_disk(http_error(403)), r"refuses owner/name \(HTTP 403\)"),
    "disk": (
        OSError(28, "No space left on device"),
        "cannot fetch owner/name into the cache .*No space left on device; HF_HOME",
    ),
}


@pytest.mark.parametrize(("error", "sentence"), FINAL.values(), ids=FINAL.keys())
def test_resolve_says_at_once_what_to_do_about_a_lasting_error(failing, error, sentence):
    tries = failing(error)
    with pytest.raises(UserError, match=sentence) as caught:
        hub.resolve("owner/name", "v9", allow=hub.CONFIG, sleep=no_sleep)
    assert len(tries) == 1
    assert "\n" not in str(caught.value)


def test_resolve_lets_an_error_of_ours_pass(failing):
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=no_sleep)


def test_resolve_offline_says_so_and_names_the_cache(hub_server, monkeypatch):
    hub_server.add("owner/name", FILES)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"not in the hub's cache .* and HF_HUB_OFFLINE is set"):
        hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=no_sleep)
    assert hub_server.requests == []


@pytest.mark.parametrize("revision", [None, "main"])
def test_resolve_offline_takes_the_cache(hub_server, monkeypatch, revision):
    hub_server.add("owner/name", FILES)
    folder = hub.resolve_weights("owner/name", revision)
    hub_server.requests.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert hub.resolve_weights("owner/name", revision) == folder
    assert hub_server.requests == []


@pytest.mark.parametrize("id", ["what is this", "owner/na me", "a..b"])
def test_resolve_refuses_what_is_no_id(hub_server, id):
    with pytest.raises(UserError, match="neither a folder nor an id"):
        hub.resolve(id, None, allow=hub.CONFIG)
    assert hub_server.requests == []


SHARDS = {
    f"{stem}-0000{n}-of-00002.{end}": b"%d" % n
    for stem, end in (("model", "safetensors"), ("pytorch_model", "bin"))
    for n in (1, 2)
}
INDEXES = {"model.safetensors.index.json": b"{}", "pytorch_model.bin.index.json": b"{}"}
KINDS = {
    "safetensors": ["model.safetensors"],
    "safetensors in parts": sorted(name for name in SHARDS | INDEXES if "safetensors" in name),
    "pickle": ["pytorch_model.bin"],
    "pickle in parts": sorted(name for name in SHARDS | INDEXES if ".bin" in name),
}
OTHER_FILES = dict.fromkeys(("tf_model.h5", "flax_model.msgpack", "rust_model.ot", "pytorch_model.generator.bin"), b"x")


def files_of(*names: str) -> dict[str, bytes]:
    return {"config.json": b"{}"} | OTHER_FILES | {n: (SHARDS | INDEXES).get(n, b"weights") for n in names}


@pytest.mark.parametrize("kind", KINDS)
def test_resolve_weights_fetches_needed_files_only(hub_server, kind):
    names = KINDS[kind] + (KINDS["pickle"] if "safetensors" in kind else [])
    hub_server.add("owner/name", files_of(*names))
    folder = hub.resolve_weights("owner/name", None)
    assert {path.name for path in folder.iterdir()} == {"config.json", *KINDS[kind]}
    hub_server.requests.clear()
    assert hub.resolve_weights("owner/name", None) == folder
    assert hub_server.requests == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", [0, -1])
def test_resolve_weights_never_takes_what_an_interrupted_download_left(hub_server, monkeypatch, kind, which):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # the client's own tries
    broken = [name for name in KINDS[kind] if "index" not in name][which]
    hub_server.add("owner/name", files_of(*KINDS[kind]))
    hub_server.fail(f"{broken}$")
    with pytest.raises(UserError, match="5 tries for owner/name"):
        hub.resolve_weights("owner/name", None, sleep=lambda _: None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="not in the hub's cache"):
        hub.resolve_weights("owner/name", None, sleep=no_sleep)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    hub_server.heal()
    folder = hub.resolve_weights("owner/name", None, sleep=no_sleep)
    expected = {name: files_of(*KINDS[kind])[name] for name in KINDS[kind]}
    assert {name: (folder / name).read_bytes() for name in KINDS[kind]} == expected


@pytest.mark.parametrize("names", [(), ("flax_model.msgpack",)])
def test_resolve_weights_refuses_an_encoder_without_pytorch_weights(hub_server, names):
    hub_server.add("owner/name", {"config.json": b"{}"} | dict.fromkeys(names, b"x"))
    with pytest.raises(UserError, match=r"owner/name holds no model\.safetensors or pytorch_model\.bin"):
        hub.resolve_weights("owner/name", None)
    assert hub_server.fetched() == {"config.json"}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with an encoder in it."""
    folder = tmp_path / "site" / "bundle_package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("def get_model_path():\n    return __path__[0]\n")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "bundle_package", raising=False)
    monkeypatch.setattr(hub, "BUNDLED", {"owner/bundled": ("bundle_package", hashlib.sha256(b"weights").hexdigest())})
    return folder


def test_resolve_takes_a_bundled_encoder_without_the_hub(bundle, hub_server):
    assert hub.resolve("owner/bundled", None, allow=hub.CONFIG) == bundle
    assert hub.resolve_weights("owner/bundled", None) == bundle
    assert hub.resolved_revision("owner/bundled", None) == "sha256:" + hashlib.sha256(b"weights").hexdigest()
    assert hub_server.requests == []


def test_resolve_asks_the_hub_for_a_revision_of_a_bundled_encoder(bundle, hub_server):
    commit = hub_server.add("owner/bundled", FILES, "v2")
    assert hub.resolve("owner/bundled", "v2", allow=hub.CONFIG).name == commit


def test_resolve_refuses_a_bundled_encoder_that_was_changed(bundle):
    hub.resolve("owner/bundled", None, allow=hub.CONFIG)
    (bundle / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(UserError, match=r"is not the original file of owner/bundled .*reinstall bundle-package"):
        hub.resolve("owner/bundled", None, allow=hub.CONFIG)


def test_resolve_reads_the_weights_for_their_hash_once(bundle, monkeypatch):
    hub._sha256.cache_clear()
    for _ in range(3):
        hub.resolve("owner/bundled", None, allow=hub.CONFIG)
    assert hub._sha256.cache_info().misses == 1


def test_resolved_revision_of_a_commit_is_that_commit():
    assert hub.resolved_revision("owner/name", COMMIT) == COMMIT
