"""HTTP and WebDAV on the tree; knows nothing of blocks, stores or SQL."""
