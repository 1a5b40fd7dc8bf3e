"""The server: takes signed batches in, keeps them in one Merkle log per enterprise, mirrors and shows them."""
