//go:build !linux

package sqlite

// networkFilesystem knows network file systems on Linux only, where the controller runs.
func networkFilesystem(string) (string, error) { return "", nil }
