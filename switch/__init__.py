"""tapswitch: an open payment switch that a city can run."""
