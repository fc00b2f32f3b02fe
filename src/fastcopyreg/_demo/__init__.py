"""What `python -m fastcopyreg bench` measures."""
