"""Files and their names: written whole or not at all, paired, read out of archives. No pictures."""
