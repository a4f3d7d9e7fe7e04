"""Training a feed-forward style network and exporting it (the only part that needs torch)."""
