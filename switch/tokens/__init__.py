"""Token states, domains, vault and index. Not built yet: the tap (next issue) fills this room."""
