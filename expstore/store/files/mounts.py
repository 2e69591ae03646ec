"""The file system that an open file is on.

Guarantees: only a file system that is known to be used by this machine alone is called local; any
other, and one that cannot be determined, may be written to by another machine at the same time.
"""

from __future__ import annotations

from typing import NamedTuple

# What this kernel alone writes to: on a block device, in memory, or layered over such ones. FUSE is
# not among them, whatever the daemon behind it does, except on a block device.
_LOCAL = """
    bcachefs btrfs exfat ext2 ext3 ext4 f2fs fuseblk hfsplus jffs2 jfs msdos nilfs2 ntfs ntfs3
    overlay ramfs reiserfs rootfs tmpfs ubifs udf vfat xfs zfs
"""


class Mounted(NamedTuple):
    """The file system of an open file, as the kernel has it.

    Attributes:
        kind: its type, as `mount` shows it (ext4, nfs4, fuse.sshfs); empty if unknown.
        device: its number, major:minor in decimal; that of `stat` is another on btrfs.
        inode: the file's; that of `stat` may be another on overlayfs. Empty if unknown.
    """

    kind: str = ""
    device: str = ""
    inode: str = ""


def mounted(descriptor: int) -> Mounted:
    """The file system that an open file is on; empty texts if that cannot be seen."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as info:
            # With locks of its own, a file has several lines of that name.
            known = dict(line.split(":", 1) for line in info)
        mount = known["mnt_id"].strip()
        with open("/proc/self/mountinfo", errors="surrogateescape") as mounts:
            for line in mounts:
                number, _, device, _ = line.split(" ", 3)
                if number == mount:
                    # The type follows the hyphen that ends the optional fields.
                    kind = line.split(" - ", 1)[1].split(" ", 1)[0]
                    return Mounted(kind, device, known.get("ino", "").strip())
    except (OSError, KeyError, ValueError, IndexError):
        pass  # no /proc, or none of this form
    return Mounted()


def file_system(descriptor: int) -> str:
    """The file system's type, as `mount` shows it (ext4, nfs4, fuse.sshfs); empty if unknown."""
    return mounted(descriptor).kind


def is_local(kind: str) -> bool:
    """Whether only this machine writes to file systems of this type."""
    return kind in _LOCAL.split()
