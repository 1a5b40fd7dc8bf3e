"""What must survive a power cut: the queue of sealed batches and the gateway's state documents."""
