"""The gateway process: polls instruments, seals what they say, keeps it through a power cut, sends it when it can."""
