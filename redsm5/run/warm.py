"""For the server that fits are forked from: imports, and what the first parse of a config finds out about its types.

Parsing a config for the first time takes four times as long as later. No operation of torch runs here, after which no
process could be forked.
"""

import importlib

from jsonargparse import set_parsing_settings
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from redsm5.cli import build_cli

for module in ("redsm5.run.fit", "redsm5.modules.network", "redsm5.modules.encoder_model", "peft"):
    importlib.import_module(module)
# Nobody asks a trial or a probe for help, and reading it out of the sources takes half of a parse.
set_parsing_settings(docstring_parse_attribute_docstrings=False)
build_cli(["--model.encoder.id=any", "--data.path=any"], parse_only=True)
# The first weights that are loaded would compile some thousand patterns of all families.
get_checkpoint_conversion_mapping("bert")  # type: ignore[no-untyped-call]
