"""The word that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["nearest", "suggest"]


def nearest(word: str, words: Iterable[str]) -> str:
    """The one of `words` that `word` was probably meant to be, or ''."""
    found = get_close_matches(word, list(words), n=1, cutoff=0.5)
    return found[0] if found else ""


def suggest(word: str, words: Iterable[str]) -> str:
    """A line of help for a `word` that is not among `words`."""
    listed = sorted(words)
    found = nearest(word, listed)
    return f'did you mean "{found}"?' if found else f"valid here: {', '.join(listed) or 'nothing'}"
