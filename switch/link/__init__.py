"""One peer's session, sans-IO: states, session, matcher, window, backoff."""
