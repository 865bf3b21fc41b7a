"""The vocabulary: money, PAN, ids, kinds, response codes, time.

Values only, no behaviour that needs a clock.
"""
