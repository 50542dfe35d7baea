package app

import "golang.org/x/sys/unix"

// sharedFileSystems are those on which SQLite's locks, or the memory that its
// processes share, cannot be relied on (statfs(2)).
var sharedFileSystems = map[int64]string{
	unix.NFS_SUPER_MAGIC:   "NFS",
	unix.CIFS_SUPER_MAGIC:  "CIFS",
	unix.SMB_SUPER_MAGIC:   "SMB",
	unix.SMB2_SUPER_MAGIC:  "SMB",
	unix.FUSE_SUPER_MAGIC:  "FUSE or virtiofs", // which have one number
	unix.V9FS_MAGIC:        "9P",
	unix.AFS_SUPER_MAGIC:   "AFS",
	unix.CODA_SUPER_MAGIC:  "Coda",
	unix.NCP_SUPER_MAGIC:   "NCP",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
}

// sharedFileSystem names the file system of the directory if it is one of them.
func sharedFileSystem(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return ""
	}
	return sharedFileSystems[int64(uint32(s.Type))]
}
