"""Sets of masks: generated, rebuilt from their manifest, checked."""
