"""Methods that the dual-branch model is measured against, one a file."""
