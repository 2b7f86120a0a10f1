"""What stands behind make and the command line."""
