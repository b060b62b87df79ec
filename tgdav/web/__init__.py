"""The page a browser gets for a directory: knows the tree, nothing of blocks."""
