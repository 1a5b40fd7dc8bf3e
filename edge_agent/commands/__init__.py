"""The commands of `edge-agent` as a table; a command's module is imported only when it is the one to run.

A module of a command has `arguments(parser)`, which adds what the command takes, and `run(arguments) -> int`, which
does it and returns the exit code. `edge_agent.commands.say` holds how it speaks.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """One command: its name, the module that holds it, and what it does in one line."""

    name: str
    module: str
    text: str


COMMANDS = (
    Row("scan", "edge_agent.commands.scan", "find the units on a serial bus or TCP address nobody polls"),
    Row("identify", "edge_agent.commands.identify", "find out what instrument a unit is, with the evidence"),
    Row("map", "edge_agent.commands.map", "add an instrument's points to gateway.toml and points.csv"),
    Row("record", "edge_agent.commands.record", "write down what is said on a bus another master polls"),
    Row(
        "kj-points", "edge_agent.commands.kj_points", "lines of points.csv for what a KJ host's definition file defines"
    ),
    Row("learn", "edge_agent.commands.learn", "what a recorded bus teaches: questions, profiles, registers"),
    Row("profile", "edge_agent.commands.profile", "describe an instrument no profile fits, from its registers"),
    Row("check", "edge_agent.commands.check", "check gateway.toml and everything it names; print what it will do"),
    Row("simulate", "edge_agent.commands.simulate", "run this very configuration against simulated devices"),
    Row("doctor", "edge_agent.commands.doctor", "look at ports, permissions, clock, disk, keys and server"),
    Row("enroll", "edge_agent.commands.enroll", "make this gateway's key from a voucher; needs no link"),
    Row("run", "edge_agent.commands.run", "poll, seal and send until SIGTERM or Ctrl-C"),
    Row("alarm-test", "edge_agent.commands.alarm_test", "send a marked test alarm to the log and wait for its receipt"),
    Row("certificate", "edge_agent.commands.certificate", "seal who put what into operation, with golden readings"),
    Row("mark", "edge_agent.commands.mark", "log that a point is being calibrated or is bypassed"),
    Row("backtest", "edge_agent.commands.backtest", "run the detection over recorded or simulated episodes"),
    Row("export-usb", "edge_agent.commands.export_usb", "copy what the server lacks to a memory stick"),
    Row("label", "edge_agent.commands.label", "print what belongs on the box: key id, page, certificate"),
)
