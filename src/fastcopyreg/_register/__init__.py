"""What `register` finds out about a class, and the mistakes that can be made in telling it."""
