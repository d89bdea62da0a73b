"""Tasks of pretraining: corruptions of structures whose undoing needs no label, and training on labels."""
