"""What is published: results of finished runs as files, and the pages that are filled from them."""
