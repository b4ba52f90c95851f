"""The search: it makes configs and starts fits; nothing below knows of it."""
