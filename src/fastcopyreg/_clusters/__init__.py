"""What `fastcopyreg.clusters` opens when a cluster is to be reached that runs already."""
