"""A serial port opened for reading alone: the operating system itself refuses every write on its descriptor.

Three more things keep a listener from speaking: the port's output is stopped before anything else (an untouched
terminal echoes what it hears until it is set to raw), it is set to raw without echo, and where asked the line RTS,
which many RS-485 adapters take for "transmit", is let go.
"""

import contextlib
import errno
import fcntl
import os
import struct
import sys
import termios

RS485_ENABLED, RS485_RTS_ON_SEND = 1, 2  # linux/serial.h
TIOCSRS485, TIOCGSERIAL, TIOCSSERIAL, ASYNC_LOW_LATENCY = 0x542F, 0x541E, 0x541F, 1 << 13
TCGETS2, TCSETS2, BOTHER, CBAUD = 0x802C542A, 0x402C542B, 0o010000, 0o010017  # asm-generic/termbits.h
TERMIOS2_BYTES, SERIAL_INTS = 44, 32


class ReadOnlyPort:
    """An open port from which bytes can come and into which none can go."""

    def __init__(self, path: str, baud: int, parity: str, stop_bits: int, release_rts: bool) -> None:
        """Open and set the port, for this process alone; OSError, termios.error or ValueError."""
        self._fd = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # before anything that another user would feel
        except OSError:
            os.close(self._fd)
            raise
        try:
            termios.tcflow(self._fd, termios.TCOOFF)
            if release_rts:
                with contextlib.suppress(OSError):  # a pseudo-terminal has no such line
                    fcntl.ioctl(self._fd, termios.TIOCMBIC, struct.pack("I", termios.TIOCM_RTS))
            self._set_raw(baud, parity, stop_bits)
            termios.tcflush(self._fd, termios.TCIFLUSH)  # what came before has no times
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor; its access mode is O_RDONLY."""
        return self._fd

    def set_low_latency_mode(self, on: bool) -> None:
        """Ask the driver to hand bytes on at once; OSError where it cannot."""
        settings = bytearray(4 * SERIAL_INTS)
        fcntl.ioctl(self._fd, TIOCGSERIAL, settings)
        flags = struct.unpack_from("i", settings, 16)[0]
        struct.pack_into("i", settings, 16, flags | ASYNC_LOW_LATENCY if on else flags & ~ASYNC_LOW_LATENCY)
        fcntl.ioctl(self._fd, TIOCSSERIAL, settings)

    def set_rs485(self, before_ms: float, after_ms: float) -> None:
        """Let the kernel keep the transmitter's driver off (it does while nothing is sent); OSError where it cannot."""
        flags = RS485_ENABLED | RS485_RTS_ON_SEND
        fcntl.ioctl(self._fd, TIOCSRS485, struct.pack("8I", flags, round(before_ms), round(after_ms), 0, 0, 0, 0, 0))

    def close(self) -> None:
        """Release the port."""
        with contextlib.suppress(termios.error):
            termios.tcflow(self._fd, termios.TCOON)  # whoever opens it next may speak
        os.close(self._fd)

    def _set_raw(self, baud: int, parity: str, stop_bits: int) -> None:
        cflag = termios.CS8 | termios.CREAD | termios.CLOCAL
        cflag |= {"N": 0, "E": termios.PARENB, "O": termios.PARENB | termios.PARODD}[parity]
        cflag |= termios.CSTOPB if stop_bits == 2 else 0
        known = getattr(termios, f"B{baud}", None)
        speed = termios.B38400 if known is None else known
        control = list(termios.tcgetattr(self._fd)[6])
        control[termios.VMIN], control[termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSANOW, [termios.IGNBRK, 0, cflag, 0, speed, speed, control])
        if known is None:
            self._set_other_speed(baud)

    def _set_other_speed(self, baud: int) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError(errno.EINVAL, f"{baud} baud is no usual speed")
        settings = bytearray(TERMIOS2_BYTES)
        fcntl.ioctl(self._fd, TCGETS2, settings)
        cflag = struct.unpack_from("I", settings, 8)[0]
        struct.pack_into("I", settings, 8, cflag & ~CBAUD | BOTHER)
        struct.pack_into("2I", settings, 36, baud, baud)
        fcntl.ioctl(self._fd, TCSETS2, settings)
