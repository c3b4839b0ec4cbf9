"""Stage II: the router of one task is learnt over the skills."""
