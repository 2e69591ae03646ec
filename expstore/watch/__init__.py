"""The terminal view: runs and their curves, live, for ssh and tmux (extra `tui`).

What is shown is made by modules that know no terminal: `listing` (which runs), `feeds` (their
points), `canvas` and `drawing` (curves as text). The others are Textual's widgets and the
application `expstore.watch.app.WatchApp`.
"""
