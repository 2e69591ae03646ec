"""The operating system: what a store needs of it, one module for each kind.

`native` gives what this system has: `fs`, the calls of `os` on files and directories, and `own`,
what `os` does not have. On POSIX, `fs` is `os` itself and `own` is `posix`; elsewhere both are
`portable`. No other folder imports `fcntl`, `termios` and the like.
"""
