"""Which file system a path lies on."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ncpfs", "coda", "lustre", "gpfs", "beegfs", "ceph", "pvfs2",
    "orangefs", "panfs", "wekafs", "acfs", "gfs2", "ocfs2", "virtiofs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse",
    "fuse.juicefs", "fuse.mfs", "fuse.davfs2", "davfs", "fuse.blobfuse2", "fuse.goofys", "fuse.mount-s3",
}  # fmt: skip
"""Types on which two hosts, or two views of one file, need not see each other's locks and shared memory."""


def network_file_system(path: Path, mounts: str | None = None) -> str | None:
    """The type of the network file system that a path lies on; None for a local one, or where the system does not say.

    Args:
        path: Need not exist yet.
        mounts: Lines of the mount table; None for this system's.
    """
    if mounts is None:
        try:
            mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
    where, best, kind = path.resolve(), Path(), None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1]))
        # Of several mounts at one point, the later covers the earlier.
        if where.is_relative_to(point) and (kind is None or len(point.parts) >= len(best.parts)):
            best, kind = point, fields[2]
    return kind if kind in NETWORK else None
