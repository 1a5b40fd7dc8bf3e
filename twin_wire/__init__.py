"""The contract between gateway and server: readings, batches, statements, log, receipts. Pure: no I/O, no clock."""
