//go:build !linux

package sqlite

// networkFilesystem knows network file systems on Linux only, where the controller runs.
func networkFilesystem(string) (string, error) { return "", nil }

// RoomOf is not known of other systems than Linux.
func RoomOf(string) (room Room, known bool, err error) { return Room{}, false, nil }
