"""A trained model at work: read from a run or an export, predicting, exported."""
