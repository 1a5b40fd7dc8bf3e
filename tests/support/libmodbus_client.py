"""libmodbus' own client, compiled where it is present: reads in a loop and says what one read cost."""

import subprocess
import tempfile
from pathlib import Path

from tests.support.debian import libmodbus

SOURCE = r"""
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static double cpu(void) {
    struct rusage u; getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
int main(int n, char **word) { /* tcp PORT | rtu DEVICE, then reads and registers */
    modbus_t *bus = strcmp(word[1], "tcp") ? modbus_new_rtu(word[2], 115200, 'N', 8, 1)
                                           : modbus_new_tcp("127.0.0.1", atoi(word[2]));
    uint16_t registers[125];
    int reads = atoi(word[3]), count = atoi(word[4]);
    modbus_set_slave(bus, 1);
    if (modbus_connect(bus)) return 1;
    double begin = now(), used = cpu();
    for (int k = 0; k < reads; k++) if (modbus_read_registers(bus, 0, count, registers) != count) return 2;
    printf("%.9f %.9f\n", (now() - begin) / reads, (cpu() - used) / reads);
    return 0;
}
"""


def measure(kind: str, where: str, reads: int, count: int) -> tuple[float, float]:
    """Return (seconds, processor seconds) per read; debian.Missing without libmodbus."""
    _, flags, environment = libmodbus()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "client.c").write_text(SOURCE)
        program = Path(folder) / "client"
        subprocess.run(["gcc", "-O2", "-o", program, Path(folder) / "client.c", *flags], check=True, timeout=60)
        command = [program, kind, where, str(reads), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    seconds, cpu_s = map(float, done.stdout.split())
    return seconds, cpu_s
