"""Bottleneck adapters as a tuner of the PEFT library: importing this module registers it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.peft_types import PeftType, register_peft_method
from torch import Tensor, nn

from redsm5.peft.bottleneck_layers import Activation, Bottleneck, shared_rule

Mode = Literal["after", "norm", "residual", "around"]
"""How an adapter meets the module at its site; see ``BottleneckLayer``."""
NAME = "BOTTLENECK"


def _peft_type(name: str) -> PeftType:
    """A new member of ``PeftType``: ``register_peft_method`` asks for one, and an Enum has no public way to add it."""
    if name not in PeftType.__members__:
        member = str.__new__(PeftType, name)
        member._name_ = member._value_ = name
        PeftType._member_map_[name] = member
        PeftType._member_names_.append(name)
        PeftType._value2member_map_[name] = member
        type.__setattr__(PeftType, name, member)  # from Python 3.12 on members are attributes
    return PeftType[name]


BOTTLENECK = _peft_type(NAME)


@dataclass
class BottleneckConfig(PeftConfig):
    """Config of bottleneck adapters.

    Attributes:
        sites: Expressions that fully match names of modules, with the mode at these.
        bottleneck: Width of the adapters.
        dropout: Dropout inside.
        activation: Between the two maps.
        hypercomplex: n of hypercomplex maps, 0 for dense ones.
        rank: Rank inside hypercomplex maps.
        target_modules: One expression for all sites, for PEFT; made from them.
    """

    sites: dict[str, Mode] = field(default_factory=dict)
    bottleneck: int = 64
    dropout: float = 0.0
    activation: Activation = "relu"
    hypercomplex: int = 0
    rank: int = 1
    target_modules: str | None = None

    def __post_init__(self) -> None:
        """Set what PEFT reads."""
        super().__post_init__()  # type: ignore[no-untyped-call]
        self.peft_type = BOTTLENECK
        self.target_modules = "|".join(self.sites)


class BottleneckLayer(nn.Module, BaseTunerLayer):
    """A module with adapters, by mode.

    With ``f`` the adapter: ``after``: ``y + f(y)``, y the module's output. ``norm``: the module is the norm of "add
    and norm", called with the sum z: ``LN(z + f(LN(z)))``. ``residual``: the module is called with (hidden states, r)
    and adds r itself: r + f(r) takes the place of r. ``around``: ``y + f(x)``, x the module's input, y its output.

    Args:
        base_layer: The module.
        adapter_name: Name of the first adapter.
        config: Its config.
        mode: How it meets the module.
        hidden: Width of the states.
        rules: Shared rules by adapter, held by the tuner.
    """

    adapter_layer_names = ("bottleneck_block", "bottleneck_rule")
    other_param_names = ()

    def __init__(
        self,
        base_layer: nn.Module,
        adapter_name: str,
        config: BottleneckConfig,
        *,
        mode: Mode,
        hidden: int,
        rules: nn.ParameterDict,
    ) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.mode = mode
        self.hidden = hidden
        self._rules = (rules,)  # in a tuple, which hides it from nn.Module: saved once, with the tuner
        self.bottleneck_block = nn.ModuleDict()
        self.merged_adapters: list[str] = []
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    @property
    def bottleneck_rule(self) -> nn.ParameterDict:
        """The shared rules; under this name PEFT activates, freezes and deletes them."""
        return self._rules[0]

    def update_layer(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Add an adapter."""
        self.bottleneck_block[adapter_name] = Bottleneck(
            self.hidden,
            bottleneck=config.bottleneck,
            dropout=config.dropout,
            activation=config.activation,
            hypercomplex=config.hypercomplex,
            rank=config.rank,
        )
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The module's output with the active adapters in it."""
        active = [] if self.disable_adapters else [a for a in self.active_adapters if a in self.bottleneck_block]
        if not active:
            return self.base_layer(x, *args, **kwargs)
        match self.mode:
            case "after":
                y = self.base_layer(x, *args, **kwargs)
                for name in active:
                    y = y + self._added(name, y)
                return y
            case "norm":
                y = self.base_layer(x)
                for name in active:
                    y = self.base_layer(x + self._added(name, y))
                return y
            case "residual":
                residual, *others = args
                return self.base_layer(x, residual + self._sum(active, residual), *others, **kwargs)
            case "around":
                y = self.base_layer(x, *args, **kwargs)
                added = self._sum(active, x)
                # Attention returns its probabilities too.
                return (y[0] + added, *y[1:]) if isinstance(y, tuple) else y + added

    def _sum(self, names: list[str], x: Tensor) -> Tensor:
        return torch.stack([self._added(name, x) for name in names]).sum(dim=0)

    def _added(self, name: str, x: Tensor) -> Tensor:
        rules = self.bottleneck_rule
        added: Tensor = self.bottleneck_block[name](x, rules.get(name))
        return added


class BottleneckModel(BaseTuner):
    """The tuner: puts adapters at the sites of a config and holds the rule that hypercomplex ones share."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 - PEFT's own name and type
    uses_shared_state = True

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """Make the shared rule, then the layers: PEFT's hook before injection runs for the first adapter only."""
        config = self.peft_config[adapter_name]
        assert isinstance(config, BottleneckConfig)
        if not hasattr(self, "bottleneck_rule"):
            self.bottleneck_rule = nn.ParameterDict()
        if config.hypercomplex:
            self.bottleneck_rule[adapter_name] = shared_rule(config.hypercomplex).to(_device(model))
        super().inject_adapter(model, adapter_name, *args, **kwargs)

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        assert isinstance(peft_config, BottleneckConfig)
        if isinstance(target, BottleneckLayer):
            target.update_layer(adapter_name, peft_config)
        else:
            mode = next(mode for site, mode in peft_config.sites.items() if re.fullmatch(site, current_key))
            sizes = self.get_model_config(self.model)
            hidden = sizes.get("hidden_size") or sizes["dim"]
            layer = BottleneckLayer(
                target, adapter_name, peft_config, mode=mode, hidden=hidden, rules=self.bottleneck_rule
            )
            self._replace_module(parent, target_name, layer, target)
            target = layer
        target.bottleneck_block[adapter_name].to(_device(self.model))
        if adapter_name not in self.active_adapters:
            target.bottleneck_block[adapter_name].requires_grad_(False)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        # PEFT's own looks for a parameter in the child, and a Dropout has none.
        setattr(parent, child_name, new_module)

    def _check_merge_allowed(self) -> None:
        raise NotImplementedError("bottleneck adapters are not linear and cannot be merged; use unload()")


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


if BOTTLENECK not in PEFT_TYPE_TO_CONFIG_MAPPING:
    register_peft_method(name=NAME.lower(), config_cls=BottleneckConfig, model_cls=BottleneckModel)
