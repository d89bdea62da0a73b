"""What a run folder is held to: its plan, its code, what is damaged, and what others have finished."""
