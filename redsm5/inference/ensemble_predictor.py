"""The predictor of an ensemble: its members' predictions, combined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from redsm5.batch_search.limits import memory
from redsm5.datamodules.corpus import Post
from redsm5.datamodules.criteria import load_criteria
from redsm5.ensemble.models import ENSEMBLE_FILE, Ensemble
from redsm5.errors import UserError
from redsm5.inference.manifest import ExportFolder
from redsm5.inference.model_files import read_model, sha256_of
from redsm5.inference.network_predictor import NetworkPredictor, device_of
from redsm5.inference.predictor import BATCH_TOKENS, CHUNK_CHARACTERS, Predictor
from redsm5.metrics.records import PredictedPost

ROOM = 0.5
"""Share of the free memory that the weights of all members may take together; the rest is for activations."""


class EnsemblePredictor(Predictor):
    """Several networks as one.

    Args:
        folder: Of an exported ensemble.
        device: ``auto`` (CUDA where there is a GPU), or a device of torch.
        batch_tokens: Padded tokens per batch: what memory allows.
        one_at_a_time: Whether a member is loaded for each chunk of posts and then let go; None: where the weights of
            all would take more than half of the free memory.

    Raises:
        UserError: A file is missing or damaged, members do not fit each other, or the device is not there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        batch_tokens: int = BATCH_TOKENS,
        one_at_a_time: bool | None = None,
    ) -> None:
        self.device = device_of(device)
        self.batch_tokens = batch_tokens
        self._ensemble = read_ensemble(folder)
        self._folders = tuple(_member_folder(folder, one.folder, one.sha256) for one in self._ensemble.members)
        self._combination = self._ensemble.combination
        self.identity = sha256_of(folder / ENSEMBLE_FILE)
        if one_at_a_time is None:
            size = sum(ExportFolder(member).weights.stat().st_size for member in self._folders)
            one_at_a_time = size > ROOM * memory(on_cpu=self.device.type == "cpu").available()
        self.one_at_a_time = one_at_a_time
        self.criteria = load_criteria(str(ExportFolder(self._folders[0]).criteria))
        for member in self._folders[1:]:
            if load_criteria(str(ExportFolder(member).criteria)) != self.criteria:
                raise UserError(f"{member} has other criteria than the other members; make the ensemble again")
        if tuple(self._ensemble.thresholds) != self.codes:
            raise UserError(f"{folder / ENSEMBLE_FILE} is for other criteria than its members; make it again")
        self.thresholds = tuple(self._ensemble.thresholds.values())
        self._loaded = () if one_at_a_time else tuple(self._load(member) for member in self._folders)

    @property
    def group_characters(self) -> int:
        """Characters of posts that are best predicted at once: a whole chunk where each means loading all members."""
        return CHUNK_CHARACTERS if self.one_at_a_time else super().group_characters

    def predict_chunk(self, posts: Sequence[Post]) -> list[PredictedPost]:
        """Predict some posts at once, in their order; see ``Predictor``."""
        if self._loaded:
            return self._combination([member.predict_chunk(posts) for member in self._loaded])
        # No name for a member: it would hold the one before while the next one is read.
        return self._combination([self._load(folder).predict_chunk(posts) for folder in self._folders])

    def _load(self, folder: Path) -> NetworkPredictor:
        return NetworkPredictor(read_model(folder), device=str(self.device), batch_tokens=self.batch_tokens)


def is_ensemble(folder: Path) -> bool:
    """Whether a folder holds an exported ensemble."""
    return (folder / ENSEMBLE_FILE).is_file()


def read_ensemble(folder: Path) -> Ensemble:
    """What an ensemble is.

    Raises:
        UserError: Its file cannot be read, or is of another version.
    """
    try:
        found: Ensemble = Ensemble.model_validate_json((folder / ENSEMBLE_FILE).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(
            f"{folder / ENSEMBLE_FILE} is no ensemble of this version of redsm5 ({where}: {first['msg']}); make it "
            "again with redsm5 ensemble"
        ) from error
    exported = [member.weight for member in found.members if member.folder is not None]
    if not exported or len(exported) != len(found.members) or len(exported) != len(found.combination.weights):
        raise UserError(f"{folder / ENSEMBLE_FILE} does not combine the members that it lists; make it again")
    return found


def _member_folder(ensemble: Path, name: str | None, sha256: str | None) -> Path:
    """The folder of a member, which lies inside that of the ensemble and is the one that was combined."""
    folder = (ensemble / (name or "")).resolve()
    manifest = ExportFolder(folder).manifest
    if ensemble.resolve() not in folder.parents:
        raise UserError(f"{ensemble / ENSEMBLE_FILE} names a member outside of its folder ({name}); make it again")
    if not manifest.is_file():
        raise UserError(f"{ensemble} lacks its member {name}; copy the whole folder again, or make it again")
    if sha256_of(manifest) != sha256:
        raise UserError(f"{folder} is not the member that was combined; copy the whole folder again, or make it again")
    return folder
