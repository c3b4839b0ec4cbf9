"""What a model says to prompts: likelihoods, scores, labels and text."""
