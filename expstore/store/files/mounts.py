"""The kind of file system that an open file is on.

Guarantees: only a file system that is known to be used by this machine alone is called local; any
other, and one that cannot be determined, may be written to by another machine at the same time.
"""

from __future__ import annotations

# What this kernel alone writes to: on a block device, in memory, or layered over such ones. FUSE is
# not among them, whatever the daemon behind it does, except on a block device.
_LOCAL = """
    bcachefs btrfs exfat ext2 ext3 ext4 f2fs fuseblk hfsplus jffs2 jfs msdos nilfs2 ntfs ntfs3
    overlay ramfs reiserfs rootfs tmpfs ubifs udf vfat xfs zfs
"""


def file_system(descriptor: int) -> str:
    """The file system's type, as `mount` shows it (ext4, nfs4, fuse.sshfs); empty if unknown."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as info:
            mount = dict(line.split(":", 1) for line in info)["mnt_id"].strip()
        with open("/proc/self/mountinfo", errors="surrogateescape") as mounts:
            for line in mounts:
                # The type follows the hyphen that ends the optional fields.
                if line.split(" ", 1)[0] == mount:
                    return line.split(" - ", 1)[1].split(" ", 1)[0]
    except (OSError, KeyError, ValueError, IndexError):
        pass  # no /proc, or none of this form
    return ""


def is_local(kind: str) -> bool:
    """Whether only this machine writes to file systems of this type."""
    return kind in _LOCAL.split()
