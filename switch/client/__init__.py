"""A well-behaved acquirer in a box."""
