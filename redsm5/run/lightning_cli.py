"""The LightningCLI of the project: what can be set, how it is linked, and errors as one sentence."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import torch
from jsonargparse import ActionYesNo, Namespace, set_parsing_settings
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from redsm5.callbacks.early_stopping import EarlyStopping
from redsm5.callbacks.trackers import Trackers
from redsm5.checkpoints.options import Checkpointing
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.errors import UserError
from redsm5.modules.module import MultiTaskModule
from redsm5.pretraining.options import Pretraining
from redsm5.run.combinations import Chosen, refuse_impossible
from redsm5.run.given import given_sources, merged
from redsm5.run.option_checks import check_options, dataclass_groups
from redsm5.run.options import Runtime
from redsm5.run.own_defaults import drop_foreign_values
from redsm5.run.quiet import quiet_libraries
from redsm5.run.sentences import config_sentence, known_keys
from redsm5.run.trainer_options import TrainerOptions

set_parsing_settings(docstring_parse_attribute_docstrings=True)

LIGHTNING_PRECISION = {"none": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
LARGEST_SEED = 2**32 - 1
OPTION_GROUPS = {
    "runtime": Runtime,
    "early_stopping": EarlyStopping,
    "checkpoint": Checkpointing,
    "trackers": Trackers,
    "pretraining": Pretraining,
    "trainer": TrainerOptions,
    **dataclass_groups("model", MultiTaskModule),
    **dataclass_groups("data", ReDSM5DataModule),
}
PATH_KEYS = (
    "run_dir", "model.encoder.id", "data.path", "data.posts", "data.annotations", "data.criteria", "data.split_file",
    "data.cache_dir",
)  # fmt: skip
"""Made absolute in a resolved config, so that it works from any folder."""


class ConfigParser(LightningArgumentParser):
    """Raises one sentence where jsonargparse prints its usage and exits."""

    given: ClassVar[dict[str, Any]] = {}
    """What the user set, by dotted key."""
    sources: ClassVar[list[dict[str, Any]]] = []
    """The same by config file and run of options, in their order."""
    keys: ClassVar[dict[str, Any]] = {}
    """Types by dotted key: the parser that meets an error may be one that jsonargparse made for a part."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Raise instead of exiting."""
        raise UserError(config_sentence(message, self.keys, self.given)) from ex

    def _parse_common(self, cfg: Namespace, *args: Any, **settings: Any) -> Namespace:
        """Let every variant have its own defaults, before what is not set is filled in, or the config is printed."""
        # jsonargparse makes parsers of this class for parts too: only that of the whole config has this key.
        if any(action.dest == "run_dir" for action in self._actions):
            drop_foreign_values(cfg, self.sources, self.get_defaults())
        parsed: Namespace = super()._parse_common(cfg, *args, **settings)
        return parsed


class ReDSM5CLI(LightningCLI):
    """Model and data by our classes, plus what a run needs beside them."""

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add Trainer, model and data; of the Trainer the fields that a config may set."""
        parser.add_argument("--trainer", type=TrainerOptions, default=TrainerOptions())
        parser.add_lightning_class_args(MultiTaskModule, "model")
        parser.add_lightning_class_args(self._datamodule_class, "data")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run and the links between model, data and Trainer."""
        parser.add_argument("--run_dir", type=str, default="runs/fit", help="Folder of this run")
        parser.add_argument(
            "--fresh", action=ActionYesNo, default=False, help="Start over in a folder that holds a run"
        )
        parser.add_argument(
            "--tune_batch",
            action=ActionYesNo,
            default=False,
            help="Find the largest batches that fit before the fit starts, and put them into its config",
        )
        parser.add_argument("--runtime", type=Runtime, default=Runtime())
        parser.add_argument("--early_stopping", type=EarlyStopping, default=EarlyStopping())
        parser.add_argument("--checkpoint", type=Checkpointing, default=Checkpointing())
        parser.add_argument("--trackers", type=Trackers, default=Trackers())
        parser.add_argument("--pretraining", type=Pretraining, default=Pretraining())
        parser.link_arguments("model.encoder.id", "data.encoder_id")
        parser.link_arguments("model.encoder.revision", "data.encoder_revision")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        ConfigParser.keys = known_keys(parser)

    def before_instantiate_classes(self) -> None:
        """Refuse what this machine cannot do; set threads and TF32."""
        check_options(self.config, OPTION_GROUPS)
        self.refuse_on_this_machine()
        refuse_impossible(Chosen(self.config))
        runtime = self.config.runtime
        if runtime.threads is not None:
            torch.set_num_threads(runtime.threads)
        self.config.runtime.threads = torch.get_num_threads()
        torch.set_float32_matmul_precision("high" if runtime.tf32 else "highest")

    def refuse_on_this_machine(self) -> None:
        """Refuse what needs a device that is not here."""
        _refuse_on_this_machine(self.config)

    def instantiate_classes(self) -> None:
        """Instantiate model and data; the Trainer is made by the command, with its callbacks."""
        self.config_init = self.parser.instantiate_classes(self.config)
        self.datamodule: ReDSM5DataModule = self.config_init.data
        self.model: MultiTaskModule = self.config_init.model

    def post_texts(self) -> list[str]:
        """The texts of the corpus, as far as it has been read: they must not stand in a log."""
        corpus = getattr(self.datamodule, "corpus", None)
        return [] if corpus is None else [post.text for post in corpus.posts]

    @property
    def is_global_zero(self) -> bool:
        """Whether this process is the one that writes; all are, before there is a Trainer."""
        trainer: Trainer | None = getattr(self, "trainer", None)
        return trainer is None or bool(trainer.is_global_zero)

    def make_trainer(self, *callbacks: Callback, **settings: Any) -> Trainer:
        """The configured Trainer with these callbacks and settings."""
        option: TrainerOptions = self.config_init.trainer
        precision = LIGHTNING_PRECISION[self.config_init.runtime.precision]
        self.trainer: Trainer = option.build(callbacks=list(callbacks), precision=precision, **settings)
        return self.trainer


def make_cli(
    args: list[str],
    *,
    command: str,
    parse_only: bool = False,
    elsewhere: bool = False,
    data_class: type[ReDSM5DataModule] = ReDSM5DataModule,
) -> ReDSM5CLI:
    """Parse and, unless ``parse_only``, instantiate; see ``redsm5.cli.build_cli``.

    Args:
        args: Config options, as on the command line.
        command: The name shown in help.
        parse_only: Parse and check, instantiate nothing.
        elsewhere: Parse only, for a training on another machine: its devices need not be here.
        data_class: What is made of the options of ``data``.
    """
    quiet_libraries()
    ConfigParser.sources = given_sources(args)
    ConfigParser.given = merged(ConfigParser.sources)
    _check_seed(ConfigParser.given)
    cli_class = _PlanningCLI if elsewhere else _ParsingCLI if parse_only else ReDSM5CLI
    # LightningCLI warns when the process has arguments of its own beside `args`: ours are those very arguments.
    with mock.patch.object(sys, "argv", [f"redsm5 {command}"]):
        try:
            return cli_class(
                MultiTaskModule,
                data_class,
                save_config_callback=None,
                seed_everything_default=0,
                parser_class=ConfigParser,
                parser_kwargs={
                    "prog": f"redsm5 {command}",
                    "usage": _usage(command),
                    "description": None,
                    "allow_abbrev": False,
                },
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,  # which dumps the config once more, for checkpoints of Lightning's
                args=args,
                run=False,
            )
        except (ValueError, TypeError) as error:
            if isinstance(error.__cause__ or error, UserError):
                raise
            raise UserError(config_sentence(str(error), {}, {})) from error


def _usage(command: str) -> str:
    if command == "fit":
        return "redsm5 fit --config CONFIG [--config CONFIG ...] [options]"
    return f"redsm5 {command} RUN [options]"


class _ParsingCLI(ReDSM5CLI):
    """Stops after parsing."""

    def instantiate_classes(self) -> None:
        """Instantiate nothing."""


class _PlanningCLI(_ParsingCLI):
    """Stops after parsing, and asks nothing of this machine."""

    def refuse_on_this_machine(self) -> None:
        """Refuse nothing."""


def config_json_schema() -> dict[str, Any]:
    """JSON Schema of the config file, made by jsonargparse from the option classes."""
    # 4.53 has no public name for what --print_completion jsonschema prints.
    from jsonargparse._completions_jsonschema import config_jsonschema

    cli = make_cli(["--model.encoder.id", "x", "--data.path", "x"], command="fit", parse_only=True)
    schema: dict[str, Any] = _without_completion(config_jsonschema(cli.parser))
    return schema


def _without_completion(node: Any) -> Any:
    """A schema without an option that is no key of a config: jsonargparse adds it to each parser that has parsed."""
    if isinstance(node, dict):
        return {key: _without_completion(value) for key, value in node.items() if key != "print_shtab"}
    return [_without_completion(item) for item in node] if isinstance(node, list) else node


def resolved_yaml(cli: ReDSM5CLI) -> str:
    """The config with every default in it and absolute paths, as YAML that runs unchanged."""
    config = cli.config.clone()
    config.pop("config", None)
    config.fresh = config.tune_batch = False
    for key in PATH_KEYS:
        value = config.get(key)
        if value and (Path(value).exists() or key in ("run_dir", "data.cache_dir")):
            config[key] = str(Path(value).absolute())
    # With what is null: left out, it would be read again as its default.
    text: str = cli.parser.dump(config, skip_none=False, skip_validation=True)
    return text


def _check_seed(given: dict[str, Any]) -> None:
    """Lightning also takes true and false, and draws a seed that nobody knows before."""
    value = given.get("seed_everything", 0)
    if not re.fullmatch(r"\d{1,10}", str(value)) or int(value) > LARGEST_SEED:
        shown = "null" if value is None else value
        raise UserError(f"seed_everything is {shown}; it takes a whole number from 0 to {LARGEST_SEED}")


def _refuse_on_this_machine(config: Namespace) -> None:
    if config.runtime.precision == "fp16" and not torch.cuda.is_available():
        raise UserError("runtime.precision is fp16, which needs a CUDA device; use none or bf16 on CPU")
    accelerator = config.trainer.accelerator
    if accelerator in ("cuda", "gpu") and not torch.cuda.is_available():
        raise UserError(f"trainer.accelerator is {accelerator}, but PyTorch sees no CUDA device; use auto or cpu")
    if accelerator == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.accelerator is mps, but this is no Apple machine with a GPU; use auto or cpu")
