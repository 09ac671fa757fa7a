//go:build !unix

package sqlite

// fileLock does nothing where there is no flock: the controller ships for unix, the tools that read a ledger build anywhere.
type fileLock struct{}

func lockFile(string) (*fileLock, error) { return &fileLock{}, nil }

func (*fileLock) release() error { return nil }
