"""Small trainings, one a framework: `python -m tests.integrations.programs.NAME ROOT MODE`.

Each logs to the experiment `trained` below the root. The modes are `whole`; `kill`, `raise` and
`interrupt`, which end it in the middle of its steps; and `resume`, which goes on from the last
checkpoint of one that was killed.
"""
