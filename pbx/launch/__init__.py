"""What `./run` and `./test` do: environment, embedded engines, secrets, process table."""
