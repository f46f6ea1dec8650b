"""Small models whose right verdict is known: recipes, training, the shipped zoo, and the relearning check."""
