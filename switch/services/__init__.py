"""Token API, console, then the city services; never each other. Not built yet."""
