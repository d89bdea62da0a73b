"""Plain references, written from the papers' equations, of what the suite does fast; they share no code with it."""
