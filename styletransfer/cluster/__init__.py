"""Work on many machines, through Ray: the only part that imports it."""
