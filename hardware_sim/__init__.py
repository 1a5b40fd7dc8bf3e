"""The mine that does not exist: a world, its instruments and bad lines, speaking only bytes."""
