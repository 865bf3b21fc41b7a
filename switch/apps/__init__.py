"""One file per process: worker, exporter, supervisor, demo."""
