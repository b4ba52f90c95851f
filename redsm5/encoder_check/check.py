"""One encoder of full size through the classes of ``fit``: both formats, its context, and what the catalog says."""

from __future__ import annotations

import csv
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from redsm5.catalog import EncoderFacts
from redsm5.datamodules.batch import Batch
from redsm5.datamodules.batching import BatchSize
from redsm5.datamodules.criteria import load_criteria
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.datamodules.formats import BinaryPairs, Format, MultiLabel
from redsm5.datamodules.synth.corpus import POSTS_FILE
from redsm5.datamodules.tokenizer import check_vocabulary
from redsm5.encoder_check.result import FORMATS, CheckResult, tokenizer_kind
from redsm5.encoder_check.snapshot import own_cache
from redsm5.errors import UserError
from redsm5.modules.encoder import Encoder
from redsm5.modules.encoder_build import built
from redsm5.modules.encoder_model import EncoderModel
from redsm5.modules.encoder_sparse import BigBirdEncoder, LongformerEncoder
from redsm5.modules.module import MultiTaskModule
from redsm5.optim.sgd import SGD
from redsm5.run.quiet import quiet_libraries
from redsm5.run.trainer_options import TrainerOptions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

RATE = 1e-6
"""Of the one step: it shall not move the weights that the second format starts from."""
WINDOW = 64
"""Tokens of a training window: the cost of a large encoder grows with them."""
ATTENTION_LINEARS = {"longformer": 7}
"""Linear layers of attention in a transformer layer, where there are more than query, key, value and output."""


class CheckError(Exception):
    """A check that did not hold; the message is the sentence of the table."""


def check_encoder(
    facts: EncoderFacts, corpus: Path, folder: Path, *, download: bool, tell: Callable[[str], None] = lambda _: None
) -> CheckResult:
    """Check one encoder; never raises for what concerns the encoder.

    Args:
        facts: Of the encoder.
        corpus: Folder of a small corpus.
        folder: For files of this check.
        download: Take the real weights and tokenizer from the hub's cache or the hub, instead of random weights and a
            tiny tokenizer.
        tell: Is told what comes next, so that one knows where a process died.
    """
    quiet_libraries()
    started = time.monotonic()
    result = CheckResult(facts.id, facts.family, tokenizer_kind(facts))
    run = _Check(facts, corpus, folder, random_weights=not download, tell=tell)
    try:
        with nullcontext() if download else own_cache(facts, _texts(corpus), folder / "hub"):
            run.all()
    except (UserError, CheckError) as error:
        result = replace(result, failure=str(error))
    except Exception as error:
        said = str(error).strip().splitlines()
        failure = f"{type(error).__name__} in {run.stage}{': ' + said[0][:200] if said else ''}"
        result = replace(result, failure=failure, traceback=traceback.format_exc())
    return replace(
        result,
        parameters=run.parameters,
        formats=tuple(run.passed),
        seconds=time.monotonic() - started,
        cpu_seconds=time.process_time(),
        memory_gb=_peak_memory_gb(),
    )


class _Check:
    """The checks of one encoder, in their order."""

    def __init__(
        self, facts: EncoderFacts, corpus: Path, folder: Path, *, random_weights: bool, tell: Callable[[str], None]
    ) -> None:
        self.facts = facts
        self.corpus = corpus
        self.folder = folder
        self.option = Encoder(facts.id, random_weights=random_weights)
        self.tell = tell
        self.stage = ""
        self.parameters: float | None = None
        self.passed: list[str] = []

    def all(self) -> None:
        """Everything, until the first that fails."""
        self._begin("building the encoder")
        encoder = self.option.build()
        self._sizes(encoder)
        self._module_names(encoder)
        for name, option in zip(FORMATS, (MultiLabel(), BinaryPairs()), strict=True):
            self._begin(f"training in {name}")
            self._train(encoder, option)
            self.passed.append(name)
        encoder.zero_grad(set_to_none=True)
        encoder.eval()
        with torch.no_grad():
            # All layers are alike, and one of them is enough for what follows.
            del encoder.layers[1:]
            self._begin("a window of the whole context")
            self._context(encoder)
            self._begin("token types")
            self._token_types(encoder)

    def _begin(self, stage: str) -> None:
        self.stage = stage
        self.tell(stage)

    def _sizes(self, encoder: EncoderModel) -> None:
        facts = self.facts
        self.parameters = sum(p.numel() for p in encoder.parameters()) / 1e6
        if facts.parameters is not None:
            _see(
                abs(self.parameters / facts.parameters - 1) < 0.01,
                f"it has {self.parameters:.1f} M parameters and the catalog says {facts.parameters:.1f} M",
            )
        for what, found, expected in (
            ("hidden size", encoder.hidden_size, facts.hidden),
            ("number of layers", len(encoder.layers), facts.layers),
            ("vocabulary", encoder.vocabulary, facts.vocabulary),
            ("context", encoder.context, facts.context),
            ("number of token types", encoder.token_types, facts.token_types),
        ):
            _see(found == expected, f"its {what} is {found:,} and the catalog says {expected:,}")
        kinds = {p.dtype for p in encoder.parameters()}
        _see(kinds == {torch.float32}, f"it holds {', '.join(sorted(map(str, kinds)))} instead of float32 alone")

    def _module_names(self, encoder: EncoderModel) -> None:
        """The catalog's patterns name all linear layers of all transformer layers, each once."""
        facts = self.facts
        linears = {name for name, module in encoder.model.named_modules() if isinstance(module, nn.Linear)}
        attention, ffn = (_matching(linears, p) for p in (facts.attention_modules, facts.ffn_modules))
        per_layer = ATTENTION_LINEARS.get(facts.family, 4)
        for kind, found, expected in (
            ("attention", attention, per_layer * facts.layers),
            ("feed-forward", ffn, 2 * facts.layers),
        ):
            _see(len(found) == expected, f"its {kind} patterns match {len(found)} linear layers instead of {expected}")
        _see(not attention & ffn, "a linear layer is both attention and feed-forward by the catalog's patterns")
        left = sorted(linears - attention - ffn)
        _see(not left, f"no pattern of the catalog matches its linear layers {', '.join(left[:3])}")

    def _train(self, encoder: EncoderModel, option: Format) -> None:
        """A training step of the Trainer: loss, backward pass, clipping."""
        # Longformer fills each window up to 512 tokens, so that one window costs what eight cost elsewhere.
        batch_size = 1 if isinstance(encoder, LongformerEncoder) else 2
        data = ReDSM5DataModule(
            encoder_id=self.facts.id,
            path=str(self.corpus),
            format=option,
            batching=BatchSize(train=batch_size),
            max_length=min(WINDOW, self.facts.context),
            stride=8,
            max_windows=1,
            cache_dir=str(self.folder / "tokens"),
            workers=0,
        )
        data.setup()
        self._tokenizer(data)
        module = MultiTaskModule(built(self.facts.id, encoder), optimizer=SGD(lr=RATE, head_lr=RATE))
        watch = _Watch()
        trainer: pl.Trainer = TrainerOptions(accelerator="cpu", max_epochs=1).build(
            callbacks=[watch], max_steps=1, limit_val_batches=0, enable_checkpointing=False, enable_progress_bar=False,
            default_root_dir=str(self.folder),
        )  # fmt: skip
        trainer.fit(module, datamodule=data)
        _see(watch.loss is not None and bool(torch.isfinite(watch.loss)), f"its loss is {watch.loss}")
        _see(watch.windows > 0, "no window reached it")
        # None is exempt: a pooler, which the loss would not reach, is not built.
        _see(not watch.lacking, f"{len(watch.lacking)} parameters have no gradient ({_some(watch.lacking)})")
        _see(not watch.infinite, f"{len(watch.infinite)} gradients are not finite ({_some(watch.infinite)})")
        flat = [f"layer {n}" for n, norm in enumerate(watch.layers) if norm == 0]
        _see(not flat, f"the gradients of {_some(set(flat))} are zero")

    def _tokenizer(self, data: ReDSM5DataModule) -> None:
        tokenizer, facts = data.tokenizer, self.facts
        text = data.corpus.posts[0].text
        encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        covered = {i for start, end in encoded["offset_mapping"] for i in range(start, end)}
        _see(
            all(i in covered for i, character in enumerate(text) if not character.isspace()),
            "the offsets of its tokenizer leave out characters",
        )
        _see(tokenizer.unk_token_id not in encoded["input_ids"], "its tokenizer knows no token for some plain words")
        check_vocabulary(tokenizer, facts.vocabulary, facts.id)
        same = _ids(tokenizer, "I FEEL LOW") == _ids(tokenizer, "i feel low")
        _see(same is not facts.cased, f"its tokenizer {'drops' if same else 'keeps'} case against the catalog")

    def _context(self, encoder: EncoderModel) -> None:
        """A window of the whole context, at which long encoders attend sparsely; and not a token more."""
        ids = _random_ids(encoder, encoder.context)
        states: Tensor = encoder(ids, torch.ones_like(ids))
        _see(
            states.shape == (1, encoder.context, self.facts.hidden) and bool(torch.isfinite(states).all()),
            f"its states of {encoder.context:,} tokens have the shape {tuple(states.shape)} or are not finite",
        )
        if isinstance(encoder, BigBirdEncoder):
            _see(
                encoder.model.attention_type == "block_sparse", "its attention is not sparse in a window of all tokens"
            )
        try:
            encoder(ids.new_ones(1, encoder.context + 1), ids.new_ones(1, encoder.context + 1))
        except ValueError:
            return
        raise CheckError(f"it takes {encoder.context + 1:,} tokens, more than its context")

    def _token_types(self, encoder: EncoderModel) -> None:
        """They change the states where the catalog says that there are two, and nothing where there are not."""
        ids = _random_ids(encoder, 8)
        mask, zeros = torch.ones_like(ids), torch.zeros_like(ids)
        types = zeros.clone()
        types[:, 4:] = 1
        same = torch.equal(encoder(ids, mask, zeros), encoder(ids, mask, types))
        _see(same is (self.facts.token_types < 2), f"token types {'change nothing' if same else 'are read'}")


class _Watch(pl.Callback):
    """Keeps what a training step leaves: loss, gradients, windows."""

    def __init__(self) -> None:
        self.loss: Tensor | None = None
        self.windows = 0
        self.lacking: set[str] = set()
        self.infinite: set[str] = set()
        self.layers: list[float] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self.windows = len(batch.input_ids)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        network = pl_module.network
        assert network is not None
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad:
                continue
            if parameter.grad is None:
                self.lacking.add(name)
            # A sum is finite unless a term is not; it makes no second tensor of the size of the gradient.
            elif not torch.isfinite(parameter.grad.sum()):
                self.infinite.add(name)
        self.layers = [
            sum(float(p.grad.abs().max()) for p in layer.parameters() if p.grad is not None)
            for layer in network.encoder.layers
        ]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self.loss = outputs["loss"]


def _texts(corpus: Path) -> list[str]:
    """The posts and the criteria of a small corpus."""
    with (corpus / POSTS_FILE).open(newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    return texts + [text for criterion in load_criteria(None) for text in (criterion.title, criterion.text)]


def _see(holds: bool, otherwise: str) -> None:
    if not holds:
        raise CheckError(otherwise)


def _matching(names: set[str], patterns: Sequence[str]) -> set[str]:
    return {name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)}


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")


def _ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _random_ids(encoder: EncoderModel, length: int) -> Tensor:
    """Ids from the upper half of the embedding table, where no special token is."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(encoder.vocabulary // 2, encoder.vocabulary, (1, length), generator=generator)


def _peak_memory_gb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
