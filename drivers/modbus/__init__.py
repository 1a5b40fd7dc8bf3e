"""Modbus, reading only: RTU on a serial line, TCP; the state of the bus is kept apart from the bytes."""
