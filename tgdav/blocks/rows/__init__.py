"""What is known of blocks, packs and stores: tables, and statements on them."""
