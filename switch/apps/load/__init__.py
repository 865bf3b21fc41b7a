"""What a load run is judged by and shown as: thresholds, series, pictures, the report of a run.

Shared by `tapswitch bench ladder` and by locust's users in `loadtest/`. No module of it may bring
in an event loop, because locust's process runs on gevent.
"""
