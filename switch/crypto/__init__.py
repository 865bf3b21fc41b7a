"""Key file, card master keys and cryptogram profiles. The walk uses the key file only, so far."""
