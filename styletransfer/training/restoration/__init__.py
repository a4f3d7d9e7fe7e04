"""The paper's other half: networks that enlarge or repair photos, trained with the same losses as the styles."""
