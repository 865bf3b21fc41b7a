"""Reading the append-only journal: where it is, what became of a transaction, what is wrong.

The journal itself is native (native/src/journal); the gate appends, the worker holds it open. This
room only reads, and nothing here ever sees a whole card number.
"""
