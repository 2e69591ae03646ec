"""RECORD and METRICS: what `metrics.bin` holds, data points one behind another to the end of file.

Guarantees of the format: a record is never changed once written; there is no header, no count and
no checksum, so a file may be appended to by one write, and may end inside a record (a torn tail).
"""

from construct import Float64b, GreedyRange, Int32ub, Int64sb, Struct

from formats.fields import Roles, Text

RECORD = Struct(
    "timestamp" / Int64sb * "time of logging in seconds since 1970-01-01 UTC",
    "step" / Int32ub * "training step, counted by the caller",
    "value" / Float64b * "measured value, any IEEE 754 double; NaN keeps its payload",
    "name" / Text * "metric name, such as loss or val/accuracy",
)

METRICS = GreedyRange(RECORD)

ROLES = Roles(clock="timestamp", counter="step", label="name")
"""The fields by which a damaged log is told from a whole one."""
