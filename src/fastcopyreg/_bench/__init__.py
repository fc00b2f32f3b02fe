"""What `python -m fastcopyreg bench MODULE:FUNCTION…` does: a user's own objects, raced."""
