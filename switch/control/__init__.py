"""One file per operator order."""
