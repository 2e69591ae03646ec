"""RECORD and METRICS: the contents of `metrics.bin`, data points up to the end of the file.

Guarantees: a record never changes once written. There is no header, count or checksum, so one
write is enough to append, and a file may end inside a record (a torn tail).
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
"""The fields used to detect damage in a log."""
