package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// claim makes sure that the file is there, that it may be used, and that no other process writes it.
func claim(path string, opts Options) (resolved string, lock *fileLock, err error) {
	if resolved, err = resolve(path); err != nil {
		return "", nil, err
	}
	if err := makeFolder(filepath.Dir(resolved)); err != nil {
		return "", nil, err
	}
	if err := refuseNetwork(resolved, opts.network); err != nil {
		return "", nil, err
	}
	if lock, err = lockFile(resolved); err != nil {
		return "", nil, err
	}
	if err := create(resolved); err != nil {
		return "", nil, errors.Join(err, lock.release())
	}
	return resolved, lock, nil
}

// locate resolves the path of a ledger that must exist.
func locate(path string) (string, error) {
	path, err := resolve(path)
	if err != nil {
		return "", err
	}
	if err := refuseNetwork(path, networkFilesystem); err != nil {
		return "", err
	}
	info, err := os.Stat(path) //nolint:gosec // the operator's own setting
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: there is no ledger at %s", ledger.ErrNotFound, path)
	case err != nil:
		return "", fmt.Errorf("cannot open ledger: %w", err)
	case info.IsDir():
		return "", fmt.Errorf("%w: %s is a folder; name the ledger's file in it", ledger.ErrNotFound, path)
	case info.Size() == 0:
		return "", fmt.Errorf("%w: the ledger at %s is empty", ledger.ErrNotFound, path)
	}
	return path, nil
}

// resolve follows symbolic links, since SQLite keeps the log beside the file they lead to.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("cannot find the ledger's folder: %w", err)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target, nil
	}
	return path, nil
}

func makeFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil { //nolint:gosec // the operator's own setting
		return fmt.Errorf("cannot create the ledger's folder: %w", err)
	}
	return nil
}

// refuseNetwork: several machines that map one write-ahead log do not see each other's writes, which destroys it.
func refuseNetwork(path string, network func(string) (string, error)) error {
	kind, err := network(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("cannot tell the file system of ledger %s: %w", path, err)
	}
	if kind == "" {
		return nil
	}
	return fmt.Errorf("ledger %s is on a network file system (%s), where SQLite's write-ahead log is not safe: "+
		"put it on a local disk or a block volume (in Kubernetes, a ReadWriteOnce claim of a block storage class)", path, kind)
}

// create makes an empty file with the mode that SQLite then gives to the log too. An empty file beside a log that holds
// something is a lost ledger and no new one: SQLite would throw the log away.
func create(path string) error {
	info, err := os.Stat(path) //nolint:gosec // the operator's own setting
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("cannot open ledger: %w", err)
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("cannot open ledger %s: it is not a regular file", path)
	case err == nil && info.Size() > 0:
		return nil
	}
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 { //nolint:gosec // the operator's own setting
		return fmt.Errorf("%w: %s is missing or empty, but its write-ahead log %s-wal is not: %s", ledger.ErrCorrupt, path, path, mend)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is the operator's own setting
	if err != nil {
		return fmt.Errorf("cannot create ledger: %w", err)
	}
	return errors.Join(file.Close(), syncFolder(filepath.Dir(path)))
}

// Room is what a file system has for a ledger, in bytes.
type Room struct {
	Free, Size uint64
	// ReadOnly: it takes no writes, as after an error of its disk.
	ReadOnly bool
}

// syncFolder makes a new file's name survive a power failure.
func syncFolder(folder string) error {
	dir, err := os.Open(folder) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("cannot sync the ledger's folder: %w", err)
	}
	// Some file systems cannot sync folders, and then there is nothing to be done about it.
	_ = dir.Sync()
	return dir.Close()
}
