"""Low-rank matrix completion by alternating minimisation."""
