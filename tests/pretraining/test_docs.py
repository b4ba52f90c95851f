from pathlib import Path

import pytest

from redsm5.catalog import CATALOG
from redsm5.pretraining.packing import PACKABLE

PAGE = Path(__file__).parents[2] / "docs" / "pretraining.md"
HEADS = {True: "pretrained", False: "fresh", None: "as the file has it"}


@pytest.mark.parametrize("id", CATALOG)
def test_page_says_of_each_encoder_where_its_head_comes_from(id):
    facts = CATALOG[id]
    [row] = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {id} |")]
    _, _, family, head, packing, _, _ = (cell.strip() for cell in row.split("|"))
    assert family == facts.family
    assert packing == ("packed" if family in PACKABLE else "buckets")
    assert head.startswith("refused: Flax" if facts.weights == ("flax",) else HEADS[facts.mlm_head])
