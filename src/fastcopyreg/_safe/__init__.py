"""What `fastcopyreg.safe` is made of: rows, policies, refusals, and what is read off pickles."""
