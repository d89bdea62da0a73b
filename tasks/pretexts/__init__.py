"""Self-supervised tasks: corruptions of structures whose undoing needs no label."""
