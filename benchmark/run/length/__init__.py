"""How long a run takes, and how long it goes on: estimates, budgets, and seeds that are added."""
