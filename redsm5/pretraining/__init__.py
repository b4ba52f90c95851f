"""Continued pretraining: masked-language modelling on a domain (DAPT) and on the training posts (TAPT)."""
