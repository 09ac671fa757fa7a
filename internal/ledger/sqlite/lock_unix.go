//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/dora-controller/dora-controller/internal/ledger"
)

// fileLock is an exclusive lock on a file beside the ledger. The kernel releases it when the process ends, however it
// ends. SQLite's own locks would not do: they are taken per transaction. The file stays, since removing it would let two
// processes lock two files of one name.
type fileLock struct{ file *os.File }

func lockFile(ledgerPath string) (*fileLock, error) {
	file, err := os.OpenFile(ledgerPath+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator's own setting
	if err != nil {
		return nil, fmt.Errorf("cannot lock ledger: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(lockRefused(ledgerPath, err), file.Close())
	}
	return &fileLock{file}, sign(file)
}

func lockRefused(ledgerPath string, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("cannot lock ledger %s: %w", ledgerPath, err)
	}
	holder := "unknown"
	if text, err := os.ReadFile(ledgerPath + ".lock"); err == nil && len(text) > 0 { //nolint:gosec // as above
		holder = strings.TrimSpace(string(text))
	}
	return fmt.Errorf("%w: %s is held by %s; stop that controller, or give this one a ledger of its own",
		ledger.ErrInUse, ledgerPath, holder)
}

// sign says who holds the lock, for the message that the next one gets.
func sign(file *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("cannot sign the ledger's lock: %w", err)
	}
	if _, err := file.WriteAt(fmt.Appendf(nil, "process %d on %s\n", os.Getpid(), host), 0); err != nil {
		return fmt.Errorf("cannot sign the ledger's lock: %w", err)
	}
	return nil
}

func (l *fileLock) release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("cannot release the ledger's lock: %w", err)
	}
	return nil
}
