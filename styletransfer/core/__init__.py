"""Shared ground: errors, pictures, the model card, the shipped styles, settings (numpy and Pillow only)."""
