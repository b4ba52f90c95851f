"""The search: many fits, each a config of its own. It stands on top, and nothing below knows of it."""
