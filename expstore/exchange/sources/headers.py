"""What programs call the columns of steps and of times, in lower case."""

from __future__ import annotations

STEPS = (
    *("step", "global_step", "_step", "trainer/global_step", "global step", "iter", "iteration"),
    *("iters", "iterations", "it", "num_updates", "update", "time/total_timesteps"),
    *("total_timesteps", "total timesteps", "timesteps", "training_iteration", "timesteps_total"),
    *("total_steps", "num_steps", "misc/total_timesteps", "total/steps", "time/iterations"),
    *("epoch", "epochs", "episode", "episodes", "batch", "round"),
    *("timestepssofar", "totalenvinteracts"),
)
"""The headers of steps, in lower case; the first that a table has is taken."""

TIMES = (
    *("timestamp", "_timestamp", "wall time", "wall_time", "walltime", "datetime", "time"),
    *("date", "created_at", "logged_at", "ts"),
)
"""The headers of times, likewise; it must also hold times."""
