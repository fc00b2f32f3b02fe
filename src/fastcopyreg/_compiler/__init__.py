"""What `fastcopyreg.compiler` reads bytecode with, and which code the core knows by itself."""
