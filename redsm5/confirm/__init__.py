"""Whether the best trials of a search hold: trained again on other seeds and other parts of its posts."""
