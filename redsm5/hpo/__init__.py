"""The search: space, study, trials, workers. Sits on top of everything; nothing below knows of it."""
