"""What `fastcopyreg.clusters` is made of: remaking, and what goes into a cluster that runs."""
