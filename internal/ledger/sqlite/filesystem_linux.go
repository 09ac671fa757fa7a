package sqlite

import (
	"fmt"
	"path/filepath"
	"syscall"
)

// The magic numbers of statfs(2) of file systems that several machines can mount without sharing mapped memory.
var networkMagic = map[uint32]string{
	0x00006969: "NFS",
	0x0000517b: "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x5346414f: "AFS",
	0x73757245: "Coda",
	0x0000564c: "NCP",
}

// networkFilesystem names the network file system that a folder is on; empty if it is on none that we know.
func networkFilesystem(folder string) (string, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return "", fmt.Errorf("cannot stat the file system of %s: %w", folder, err)
	}
	return networkMagic[uint32(stat.Type)], nil //nolint:gosec // the type's width differs by architecture, the numbers have 32 bits
}

// mountedReadOnly is ST_RDONLY of statfs(2).
const mountedReadOnly = 1

// RoomOf tells how many bytes the file system of a ledger has, and how many of them a process without privileges may still write. It is not
// known of other systems than Linux.
func RoomOf(ledger string) (room Room, known bool, err error) {
	var stat syscall.Statfs_t
	folder := filepath.Dir(ledger)
	if err := syscall.Statfs(folder, &stat); err != nil {
		return Room{}, false, fmt.Errorf("cannot stat the file system of %s: %w", folder, err)
	}
	block := uint64(stat.Frsize) //nolint:gosec // sizes are positive; their width differs by architecture
	return Room{Free: stat.Bavail * block, Size: stat.Blocks * block, ReadOnly: stat.Flags&mountedReadOnly != 0}, true, nil
}
