"""What training costs: measured apart from what runs import, by `shl bench`."""
