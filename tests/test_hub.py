from __future__ import annotations

import hashlib
import importlib
import json
import random
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

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


class FakeHub:
    """`snapshot_download` of one repository, with a cache in a folder, failing as it is told."""

    def __init__(self, root: Path, files: tuple[str, ...], errors: tuple[Exception, ...] = ()) -> None:
        self.root, self.files, self.errors = root, files, list(errors)
        self.online: list[list[str]] = []
        self.folder = root / "models--owner--name" / "snapshots" / COMMIT

    def __call__(
        self, repo_id: str, *, revision: str | None, allow_patterns: list[str], local_files_only: bool = False
    ) -> str:
        if repo_id.count("/") != 1:
            raise HFValidationError(f"bad id {repo_id}")
        if local_files_only:
            if not self.folder.is_dir():
                raise LocalEntryNotFoundError("not cached")
            return str(self.folder)
        self.online.append(allow_patterns)
        if self.errors:
            raise self.errors.pop(0)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in self.files:
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (self.folder / name).write_text("{}")
        return str(self.folder)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeHub]:
    def make(*errors: Exception, files: tuple[str, ...] = ("config.json", "model.safetensors")) -> FakeHub:
        made = FakeHub(tmp_path / "cache", files, errors)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", made)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        return made

    return make


def no_sleep(seconds: float) -> None:
    pytest.fail(f"waited {seconds} s")


def test_resolve_takes_a_folder_as_it_is(tmp_path, fake):
    fake()
    (tmp_path / "config.json").write_text("{}")
    assert hub.resolve(str(tmp_path), None, allow=hub.CONFIG) == tmp_path
    assert hub.resolved_revision(str(tmp_path), None) is None


def test_resolve_refuses_a_folder_without_config(tmp_path):
    with pytest.raises(UserError, match=r"holds no config\.json"):
        hub.resolve(str(tmp_path), None, allow=hub.CONFIG)


@pytest.mark.parametrize("id", ["./nowhere", "/no/where", "~/no/where/at-all", "runs/a/encoder"])
def test_resolve_refuses_a_missing_folder_without_asking_the_hub(fake, id):
    fake()
    with pytest.raises(UserError, match="there is no folder"):
        hub.resolve(id, None, allow=hub.CONFIG)


def test_resolve_downloads_once_and_then_takes_the_cache(fake):
    repository = fake()
    first = hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=no_sleep)
    assert sorted(path.name for path in first.iterdir()) == ["config.json"]
    assert hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=no_sleep) == first
    assert len(repository.online) == 1
    assert hub.resolved_revision("owner/name", None) == COMMIT


def test_resolve_goes_online_when_the_cache_holds_other_files_only(fake):
    repository = fake(files=("config.json", "tokenizer.json"))
    hub.resolve("owner/name", None, allow=hub.CONFIG)
    folder = hub.resolve("owner/name", None, allow=hub.TOKENIZER, need=hub.VOCABULARIES)
    assert len(repository.online) == 2
    assert (folder / "tokenizer.json").is_file()


def test_cached_folder_never_goes_online(tmp_path, fake):
    repository = fake()
    assert hub.cached_folder("owner/name", None, allow=hub.CONFIG) is None
    assert hub.resolved_revision("owner/name", None) is None
    assert repository.online == []
    folder = hub.resolve("owner/name", None, allow=hub.CONFIG)
    assert hub.cached_folder("owner/name", None, allow=hub.CONFIG) == folder


TRANSIENT = {
    "too many requests": http_error(429),
    "server error": http_error(503),
    "request timeout": http_error(408),
    "behind a disk error": not_on_disk(http_error(500)),
    "no name resolution": not_on_disk(CLIENT.ConnectError("no address")),
    "read timeout": CLIENT.ReadTimeout("slow"),
    "connection reset": ConnectionResetError(),
    "timeout": TimeoutError(),
    "unknown": LocalEntryNotFoundError("no cause given"),
}


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_resolve_tries_again_after_a_passing_error(fake, error):
    repository = fake(error, error)
    waits: list[float] = []
    folder = hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=waits.append)
    assert (folder / "config.json").is_file()
    assert len(repository.online) == 3
    assert len(waits) == 2


def test_resolve_gives_up_after_five_tries_with_exponential_waits(fake):
    repository = fake(*[CLIENT.ConnectError("unreachable")] * 9)
    waits: list[float] = []
    state = random.getstate()
    with pytest.raises(UserError, match=r"5 tries for owner/name \(ConnectError\).*check the network, point HF_HOME"):
        hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=waits.append)
    assert len(repository.online) == 5
    for wait, base in zip(waits, (1, 2, 4, 8), strict=True):
        assert base <= wait < base + 1
    assert random.getstate() == state


FINAL = {
    "gated": (
        http_error(403, GatedRepoError),
        "owner/name is gated: accept the terms at https://huggingface.co/owner/name, "
        "then `hf auth login` or set HF_TOKEN",
    ),
    "gated behind a disk error": (not_on_disk(http_error(403, GatedRepoError)), "is gated: accept the terms"),
    "missing": (http_error(401, RepositoryNotFoundError), "the hub has no encoder owner/name"),
    "not found": (http_error(404), "the hub has no encoder owner/name"),
    "revision": (http_error(404, RevisionNotFoundError), "owner/name has no revision 'v9'"),
    "bad token": (http_error(401), r"refuses owner/name \(HTTP 401\): `hf auth login` or set a valid HF_TOKEN"),
    "forbidden": (not_on_disk(http_error(403)), r"refuses owner/name \(HTTP 403\)"),
    "disk": (
        OSError(28, "No space left on device"),
        "cannot fetch owner/name into the cache .*No space left on device; HF_HOME",
    ),
}


@pytest.mark.parametrize(("error", "sentence"), FINAL.values(), ids=FINAL.keys())
def test_resolve_says_at_once_what_to_do_about_a_lasting_error(fake, error, sentence):
    repository = fake(error)
    with pytest.raises(UserError, match=sentence) as caught:
        hub.resolve("owner/name", "v9", allow=hub.CONFIG, sleep=no_sleep)
    assert len(repository.online) == 1
    assert "\n" not in str(caught.value)


def test_resolve_lets_an_error_of_ours_pass(fake):
    fake(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=no_sleep)


def test_resolve_offline_says_so_and_names_the_cache(fake, monkeypatch):
    repository = fake(OfflineModeIsEnabled("offline"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"not in the hub's cache .* and HF_HUB_OFFLINE is set"):
        hub.resolve("owner/name", None, allow=hub.CONFIG, sleep=no_sleep)
    assert repository.online == []


def test_resolve_offline_takes_the_cache(fake, monkeypatch):
    fake()
    folder = hub.resolve("owner/name", None, allow=hub.CONFIG)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert hub.resolve("owner/name", None, allow=hub.CONFIG) == folder


def test_resolve_refuses_what_is_no_id(fake, monkeypatch):
    fake()

    def refuse(*_: object, **__: object) -> str:
        raise HFValidationError("no")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UserError, match="neither a folder nor an id"):
        hub.resolve("what is this", None, allow=hub.CONFIG)


@pytest.mark.parametrize(
    ("files", "fetched"),
    [
        (
            ("config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5"),
            {"config.json", "model.safetensors"},
        ),
        (("config.json", "pytorch_model.bin", "flax_model.msgpack"), {"config.json", "pytorch_model.bin"}),
        (
            ("config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors", "rust_model.ot"),
            {"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"},
        ),
    ],
    ids=["both", "pickle", "sharded"],
)
def test_resolve_weights_fetches_needed_files_only(fake, files, fetched):
    repository = fake(files=files)
    folder = hub.resolve_weights("owner/name", None)
    assert {path.name for path in folder.iterdir()} == fetched
    tries = len(repository.online)
    assert hub.resolve_weights("owner/name", None) == folder
    assert len(repository.online) == tries


def test_resolve_weights_refuses_an_encoder_without_pytorch_weights(fake):
    fake(files=("config.json", "flax_model.msgpack"))
    with pytest.raises(UserError, match=r"owner/name holds no model\.safetensors or pytorch_model\.bin"):
        hub.resolve_weights("owner/name", None)


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


def test_resolve_takes_a_bundled_encoder_without_the_hub(bundle, fake):
    repository = fake()
    assert hub.resolve("owner/bundled", None, allow=hub.CONFIG) == bundle
    assert hub.resolve_weights("owner/bundled", None) == bundle
    assert hub.resolved_revision("owner/bundled", None) == "sha256:" + hashlib.sha256(b"weights").hexdigest()
    assert repository.online == []


def test_resolve_asks_the_hub_for_a_revision_of_a_bundled_encoder(bundle, fake):
    repository = fake()
    assert hub.resolve("owner/bundled", "v2", allow=hub.CONFIG) == repository.folder


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


def test_resolved_revision_of_a_commit_is_that_commit(fake):
    fake()
    assert hub.resolved_revision("owner/name", COMMIT) == COMMIT
